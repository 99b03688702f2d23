/**
 * What the callback paths leave to the garbage collector: `memory_steady.ts bulk|request|echo|forward`. Two stacks, or two
 * and a router between them, on cables of memory in one process; ten million frames after a warm-up. Everything is checked.
 *
 * Run with `--v8-flags=--expose-gc,--trace-gc` by `memory.ts`, which adds up what V8 says that it has collected between
 * the collections asked for at the beginning and at the end. Prints JSON.
 *
 * @module
 */

import { Cidr, IpAddress } from "../stack/ip/address.ts";
import type { Interface } from "../stack/link/interface.ts";
import type { Bytes, Packet } from "../stack/packet.ts";
import { Stack } from "../stack/stack.ts";
import type { Connection, ConnectionHandler } from "../stack/tcp/api.ts";
import { pattern } from "./services.ts";
import { SteadyCable } from "./steady_cable.ts";

/** Frames of one measurement, and of the warm-up before it. */
const FRAMES = Number(Deno.args[1] ?? 10_000_000), WARM_UP = FRAMES / 5;
/** Datagrams of a turn. */
const BATCH = 64;

const random = () => (Math.random() * 2 ** 32) | 0;
let now = 0;

/** Stacks and cables that are turned together. */
class Turned {
  readonly stacks: Stack[] = [];
  readonly cables: SteadyCable[] = [];
  readonly interfaces: Interface[] = [];

  add(stack: Stack, cable: SteadyCable, address: string): Interface {
    if (!this.stacks.includes(stack)) this.stacks.push(stack);
    this.cables.push(cable);
    const made = stack.addInterface(cable, { addresses: [Cidr.parse(address)] });
    this.interfaces.push(made);
    return made;
  }

  turn(): void {
    now += 50;
    for (let i = 0; i < this.cables.length; i++) this.cables[i]!.poll(this.interfaces[i]!, 4 * BATCH);
    for (let i = 0; i < this.stacks.length; i++) this.stacks[i]!.poll(now);
  }

  /** Frames that have crossed cables. */
  get frames(): number {
    let sum = 0;
    for (let i = 0; i < this.cables.length; i++) sum += this.cables[i]!.counters.receivedFrames;
    return sum;
  }
}

/** What is measured: `step` goes on for some turns, `check` throws if anything was wrong. */
interface Scenario {
  turned: Turned;
  step(): void;
  check(): void;
}

function twoStacks(): { turned: Turned; client: Stack; server: Stack } {
  const turned = new Turned();
  const client = new Stack({ random }), server = new Stack({ random });
  const [near, far] = SteadyCable.pair(1);
  turned.add(client, near, "10.0.0.1/24");
  turned.add(server, far, "10.0.0.2/24");
  return { turned, client, server };
}

const TARGET = IpAddress.parse("10.0.0.2");

/** What handlers have in common. */
class Quiet implements ConnectionHandler {
  closes = 0;
  connected(_connection: Connection): void {}
  receive(_connection: Connection, _bytes: Bytes, _offset: number, length: number): number {
    return length;
  }
  finished(): void {}
  writable(_connection: Connection): void {}
  closed(): void {
    this.closes++;
  }
}

function listen(server: Stack, handler: () => ConnectionHandler): void {
  server.tcp.listen({ port: 7 }, {
    ready(listener) {
      for (let connection; (connection = listener.take()) !== null;) connection.handler = handler();
    },
  });
}

/** One connection, one direction, as much as it takes. */
function bulk(): Scenario {
  const { turned, client, server } = twoStacks();
  const data = pattern(256 * 1024);
  const receiver = new (class extends Quiet {
    received = 0;
    wrong = 0;
    override receive(_connection: Connection, bytes: Bytes, offset: number, length: number): number {
      // The first byte of each piece tells whether it is the one that is expected there.
      if (bytes[offset] !== data[this.received % data.length]) this.wrong++;
      this.received += length;
      return length;
    }
  })();
  const sender = new (class extends Quiet {
    sent = 0;
    override connected(connection: Connection): void {
      this.writable(connection);
    }
    override writable(connection: Connection): void {
      for (;;) {
        const at = this.sent % data.length;
        const written = connection.write(data, at, data.length - at);
        this.sent += written;
        if (written < data.length - at) return;
      }
    }
  })();
  listen(server, () => receiver);
  client.tcp.connect({ address: TARGET, port: 7 }, sender);
  return {
    turned,
    step: () => turned.turn(),
    check() {
      const { received, wrong } = receiver;
      if (wrong !== 0 || received < sender.sent - (64 << 20) || sender.closes !== 0) {
        throw new Error(`Sent ${sender.sent}, received ${received}, wrong ${wrong}`);
      }
    },
  };
}

/** One connection, a byte there and back, over and over. */
function request(): Scenario {
  const { turned, client, server } = twoStacks();
  const byte = new Uint8Array(1);
  let answers = 0, wrong = 0;
  const asker = new (class extends Quiet {
    override connected(connection: Connection): void {
      connection.write(byte, 0, 1);
    }
    override receive(connection: Connection, bytes: Bytes, offset: number, length: number): number {
      if (length !== 1 || bytes[offset] !== byte[0]) wrong++;
      byte[0] = ++answers;
      connection.write(byte, 0, 1);
      return length;
    }
  })();
  listen(
    server,
    () =>
      new (class extends Quiet {
        override receive(connection: Connection, bytes: Bytes, offset: number, length: number): number {
          return connection.write(bytes, offset, length);
        }
      })(),
  );
  client.tcp.connect({ address: TARGET, port: 7 }, asker);
  return {
    turned,
    step: () => turned.turn(),
    check() {
      if (wrong !== 0 || answers === 0 || asker.closes !== 0) {
        throw new Error(`${answers} answers, ${wrong} of them wrong`);
      }
    },
  };
}

/** Datagrams of 64 bytes to a port of `target`, answered in the slots they came in. */
function exchange(turned: Turned, client: Stack, server: Stack, target: IpAddress): Scenario {
  let sent = 0, echoed = 0, wrong = 0;
  server.udp.bind({ port: 7 }, { receive: (packet, socket) => void socket.answer(packet, packet.length) });
  const socket = client.udp.bind({}, {
    receive(packet: Packet) {
      if (packet.length !== 64 || packet.view.getInt32(packet.offset) !== echoed) wrong++;
      echoed++;
    },
  });
  // The neighbours find each other first.
  const hello = new Uint8Array(64);
  for (let i = 0; i < 100 && echoed === 0; i++) {
    if (i % 10 === 0) {
      new DataView(hello.buffer).setInt32(0, 0);
      socket.send(hello, 0, 64, target, 7);
    }
    turned.turn();
  }
  sent = echoed;
  return {
    turned,
    step() {
      for (let i = 0; i < BATCH; i++) {
        const packet = socket.reserve(target, 7);
        if (packet === null) throw new Error("No slot is free");
        packet.view.setInt32(packet.offset, sent++);
        packet.end = packet.offset + 64;
        if (!socket.transmit(packet)) throw new Error(`Datagram ${sent} was dropped`);
      }
      client.poll(now);
      turned.turn();
      turned.turn();
      turned.turn();
      turned.turn();
    },
    check() {
      if (wrong !== 0 || echoed !== sent) throw new Error(`Sent ${sent}, echoed ${echoed}, wrong ${wrong}`);
    },
  };
}

function echo(): Scenario {
  const { turned, client, server } = twoStacks();
  return exchange(turned, client, server, TARGET);
}

/** The same through a router, each datagram and each answer forwarded once. */
function forward(): Scenario {
  const turned = new Turned();
  const client = new Stack({ random }), server = new Stack({ random });
  const router = new Stack({ random, forwarding: true });
  const [a, b] = SteadyCable.pair(1), [c, d] = SteadyCable.pair(3);
  const left = turned.add(client, a, "10.0.0.1/24");
  turned.add(router, b, "10.0.0.254/24");
  turned.add(router, c, "10.0.1.254/24");
  const right = turned.add(server, d, "10.0.1.2/24");
  const all = Cidr.parse("0.0.0.0/0");
  client.addRoute({ destination: all, gateway: IpAddress.parse("10.0.0.254"), interface: left });
  server.addRoute({ destination: all, gateway: IpAddress.parse("10.0.1.254"), interface: right });
  return exchange(turned, client, server, IpAddress.parse("10.0.1.2"));
}

const scenarios: Record<string, () => Scenario> = { bulk, request, echo, forward };
const make = scenarios[Deno.args[0] ?? ""];
if (make === undefined) throw new TypeError(`Give one of ${Object.keys(scenarios).join(", ")}`);
const { gc } = globalThis as { gc?: () => void };
if (gc === undefined) throw new TypeError("Run with --v8-flags=--expose-gc,--trace-gc");
const scenario = make();

function run(frames: number): number {
  const { turned } = scenario;
  const from = turned.frames, start = performance.now();
  for (let last = from; turned.frames - from < frames;) {
    for (let i = 0; i < 1000; i++) scenario.step();
    if (turned.frames === last) throw new Error(`Nothing moves any more after ${turned.frames} frames`);
    last = turned.frames;
  }
  scenario.check();
  return performance.now() - start;
}

run(WARM_UP);
gc();
const before = Deno.memoryUsage().heapUsed;
const from = scenario.turned.frames;
const elapsed = run(FRAMES);
const after = Deno.memoryUsage().heapUsed;
const frames = scenario.turned.frames - from;
gc();
console.log(JSON.stringify({ grown: after - before, frames, elapsed }));
