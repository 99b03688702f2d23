/**
 * A million connections: two stacks on a cable of memory in one process, each with one end of every connection, all
 * established, and then a byte there and back on a sample of them. Run with `--v8-flags=--expose-gc` and a heap large
 * enough; prints JSON.
 *
 * @module
 */

import { MemoryDevice } from "../drivers/memory.ts";
import { Cidr, IpAddress } from "../stack/ip/address.ts";
import { Stack } from "../stack/stack.ts";
import { type Connection, type ConnectionHandler, State } from "../stack/tcp/api.ts";
import { heapInUse } from "./heap.ts";

const CONNECTIONS = Number(Deno.args[0] ?? 1_000_000);
/** Connections to one port: our own ports for one are 16,384. */
const PER_PORT = 10_000, FIRST_PORT = 7;
/** Connections opened, or asked, in a turn. */
const BATCH = 64;
/** Connections that carry a byte: one in so many. */
const SAMPLE = 100;

const random = () => (Math.random() * 2 ** 32) | 0;
const [near, far] = MemoryDevice.pair({ queue: 1024 });
const client = new Stack({ random });
const server = new Stack({ random });
const clientInterface = client.addInterface(near, { addresses: [Cidr.parse("10.0.0.1/24")] });
const serverInterface = server.addInterface(far, { addresses: [Cidr.parse("10.0.0.2/24")] });
const target = IpAddress.parse("10.0.0.2");
const BYTE = Uint8Array.of(7);

let answers = 0, wrong = 0, now = 0;

const asker: ConnectionHandler = {
  connected() {},
  receive(_connection, bytes, offset, length) {
    if (length !== 1 || bytes[offset] !== BYTE[0]) wrong++;
    answers++;
    return length;
  },
  finished() {},
  writable() {},
  closed() {
    wrong++;
  },
};

const answerer: ConnectionHandler = {
  connected() {},
  receive: (connection, bytes, offset, length) => connection.write(bytes, offset, length),
  finished() {},
  writable() {},
  closed() {
    wrong++;
  },
};

const open: Connection[] = [], taken: Connection[] = [];
for (let port = 0; port * PER_PORT < CONNECTIONS; port++) {
  server.tcp.listen({ port: FIRST_PORT + port, backlog: 1024 }, {
    ready(listener) {
      for (let connection; (connection = listener.take()) !== null;) {
        connection.handler = answerer;
        taken.push(connection);
      }
    },
  });
}

function turn(micros: number): void {
  now += micros;
  client.poll(now);
  far.poll(serverInterface, 1024, now);
  server.poll(now);
  near.poll(clientInterface, 1024, now);
  client.poll(now);
}

/** Opens connections until there are `total`. @returns µs a connection, both ends. */
function connect(total: number): number {
  const before = open.length, start = performance.now();
  while (open.length < total) {
    for (let i = 0; i < BATCH && open.length < total; i++) {
      const port = FIRST_PORT + Math.floor(open.length / PER_PORT);
      open.push(client.tcp.connect({ address: target, port }, asker));
    }
    for (let i = 0; i < 4; i++) turn(100);
  }
  return (performance.now() - start) * 1000 / (total - before);
}

function expectEstablished(): void {
  const established = [open, taken].map((ends) =>
    ends.reduce((sum, { state }) => sum + (state === State.Established ? 1 : 0), 0)
  );
  if (wrong > 0 || established[0] !== open.length || established[1] !== open.length) {
    throw new Error(
      `Only ${established} ends of ${open.length} connections are established, ${wrong} went wrong`,
    );
  }
}

// Some first, so that what is made once a stack, and the compilers, are not charged to connections.
const few = CONNECTIONS / 100;
connect(few);
const firstCost = connect(2 * few);
for (let i = 0; i < 100; i++) turn(20_000);
const before = heapInUse();
connect(CONNECTIONS - few);
const lastCost = connect(CONNECTIONS);
for (let i = 0; i < 100; i++) turn(20_000);
const after = heapInUse();
expectEstablished();

let asked = 0;
for (let i = 0; i < CONNECTIONS;) {
  for (let j = 0; j < BATCH && i < CONNECTIONS; j++, i += SAMPLE) {
    open[i]!.write(BYTE, 0, 1);
    asked++;
  }
  for (let j = 0; j < 4; j++) turn(100);
}
for (let i = 0; i < 100; i++) turn(20_000);
expectEstablished();
if (answers !== asked) throw new Error(`Asked ${asked}, answered ${answers}`);

console.log(JSON.stringify({
  "Connections established in one process, both ends": CONNECTIONS,
  "Memory in use with them, both ends, GB": after / 1e9,
  "The same of one end, bytes": (after - before) / (2 * (CONNECTIONS - 2 * few)),
  "Opening one after the first hundredth, both ends, µs": firstCost,
  "Opening one of the last hundredth, ratio": lastCost / firstCost,
}));
