/**
 * A million connections: two stacks on a cable of memory in one process, each with one end of every connection, all
 * established, and then a byte there and back on a sample of them. Run with `--v8-flags=--expose-gc` and a heap large
 * enough; prints JSON.
 *
 * @module
 */

import { heapInUse } from "./heap.ts";
import { BATCH, ManyConnections } from "./many_connections.ts";

const CONNECTIONS = Number(Deno.args[0] ?? 1_000_000);
/** Connections that carry a byte: one in so many. */
const SAMPLE = 100;

const connections = new ManyConnections(CONNECTIONS);
// Some first, so that what is made once a stack, and the compilers, are not charged to connections.
const few = CONNECTIONS / 100;
connections.connect(few);
const firstCost = connections.connect(2 * few);
connections.rest();
const before = heapInUse();
connections.connect(CONNECTIONS - few);
const lastCost = connections.connect(CONNECTIONS);
connections.rest();
const after = heapInUse();
connections.expect(0);

let asked = 0;
for (let i = 0; i < CONNECTIONS;) {
  for (let j = 0; j < BATCH && i < CONNECTIONS; j++, i += SAMPLE, asked++) connections.ask(i);
  for (let j = 0; j < 4; j++) connections.turn(100);
}
connections.rest();
connections.expect(asked);

console.log(JSON.stringify({
  "Connections established in one process, both ends": CONNECTIONS,
  "Memory in use with them, both ends, GB": after / 1e9,
  "The same of one end, bytes": (after - before) / (2 * (CONNECTIONS - 2 * few)),
  "Opening one after the first hundredth, both ends, µs": firstCost,
  "Opening one of the last hundredth, ratio": lastCost / firstCost,
}));
