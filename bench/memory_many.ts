/**
 * What a packet costs among many connections: two stacks on a cable of memory, 10 connections and then 100,000, on
 * which a byte goes there and back: on ten of them while the others are idle, and on all in the order of a fixed shuffle (where
 * each packet finds its connection outside of the processor's caches). Each turn asks 64 at most. Prints JSON.
 *
 * @module
 */

import { MemoryDevice } from "../drivers/memory.ts";
import { Cidr, IpAddress } from "../stack/ip/address.ts";
import { Stack } from "../stack/stack.ts";
import { type Connection, type ConnectionHandler, State } from "../stack/tcp/api.ts";
import { median } from "./statistics.ts";

const FEW = 10, MANY = 100_000;
/** Connections to one port: our own ports for one are 16,384. */
const PER_PORT = 10_000, FIRST_PORT = 7;
/** Connections asked in a turn, and opened in one. */
const BATCH = 64;
/** Exchanges of one measurement, and measurements. */
const EXCHANGES = 200_000, ROUNDS = 7;

const random = () => (Math.random() * 2 ** 32) | 0;
const [near, far] = MemoryDevice.pair({ queue: 1024 });
const client = new Stack({ random });
const server = new Stack({ random });
const clientInterface = client.addInterface(near, { addresses: [Cidr.parse("10.0.0.1/24")] });
const serverInterface = server.addInterface(far, { addresses: [Cidr.parse("10.0.0.2/24")] });
const target = IpAddress.parse("10.0.0.2");

let answers = 0, wrong = 0, now = 0;

const asker: ConnectionHandler = {
  connected() {},
  receive(_connection, bytes, offset, length) {
    if (length !== 1 || bytes[offset] !== 7) wrong++;
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
  closed() {},
};

for (let port = 0; port < MANY / PER_PORT; port++) {
  server.tcp.listen({ port: FIRST_PORT + port, backlog: 1024 }, {
    ready(listener) {
      for (let connection; (connection = listener.take()) !== null;) connection.handler = answerer;
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

const open: Connection[] = [];

function connect(total: number): void {
  while (open.length < total) {
    for (let i = 0; i < BATCH && open.length < total; i++) {
      const port = FIRST_PORT + Math.floor(open.length / PER_PORT);
      open.push(client.tcp.connect({ address: target, port }, asker));
    }
    for (let i = 0; i < 4; i++) turn(100);
  }
  for (let i = 0; i < 100; i++) turn(20_000);
  if (open.some((connection) => connection.state !== State.Established)) {
    throw new Error(`Not all of ${total} connections are established`);
  }
  // In the order of a fixed shuffle, so that neighbours in time are not neighbours in memory.
  for (let i = open.length - 1, state = 1; i > 0; i--) {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    const j = (state >>> 0) % (i + 1);
    [open[i], open[j]] = [open[j]!, open[i]!];
  }
}

const BYTE = Uint8Array.of(7);
let next = 0;

/** @param active How many connections are asked. @returns Nanoseconds of an exchange, both ends. */
function exchange(active: number, count: number): number {
  const before = answers;
  const start = performance.now();
  for (let asked = 0; asked < count;) {
    const batch = Math.min(BATCH, active);
    for (let i = 0; i < batch; i++) {
      open[next]!.write(BYTE, 0, 1);
      next = next + 1 >= active ? 0 : next + 1;
    }
    asked += batch;
    turn(100);
    if (answers - before !== asked || wrong !== 0) {
      throw new Error(`Asked ${asked}, answered ${answers - before}, wrong ${wrong}`);
    }
  }
  return (performance.now() - start) * 1e6 / (answers - before);
}

function measure(active: number): number {
  exchange(active, EXCHANGES);
  return median(Array.from({ length: ROUNDS }, () => exchange(active, EXCHANGES)));
}

connect(FEW);
const few = measure(FEW);
connect(MANY);
const idle = measure(FEW);
const many = measure(MANY);
console.log(JSON.stringify({
  "Exchange on 10 connections, both ends, ns": few,
  "The same beside 99,990 idle ones, ratio": idle / few,
  "Exchange on 100,000 connections in random order, ratio": many / few,
}));
