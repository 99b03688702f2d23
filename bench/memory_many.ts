/**
 * What a packet costs among many connections: two stacks on a cable of memory, 10 connections and then 100,000, on
 * which a byte goes there and back: on ten of them while the others are idle, and on all in the order of a fixed shuffle (where
 * each packet finds its connection outside of the processor's caches). Each turn asks 64 at most. Prints JSON.
 *
 * @module
 */

import { BATCH, ManyConnections } from "./many_connections.ts";
import { median } from "./statistics.ts";

const FEW = 10, MANY = 100_000;
/** Exchanges of one measurement, and measurements. */
const EXCHANGES = 200_000, ROUNDS = 7;

const connections = new ManyConnections(MANY);
let asked = 0;

function connect(total: number): void {
  connections.connect(total);
  connections.rest();
  connections.expect(asked);
  // In the order of a fixed shuffle, so that neighbours in time are not neighbours in memory.
  const { open } = connections;
  for (let i = open.length - 1, state = 1; i > 0; i--) {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    const j = (state >>> 0) % (i + 1);
    [open[i], open[j]] = [open[j]!, open[i]!];
  }
}

let next = 0;

/** @param active How many connections are asked. @returns Nanoseconds of an exchange, both ends. */
function exchange(active: number, count: number): number {
  const before = asked;
  const start = performance.now();
  while (asked - before < count) {
    const batch = Math.min(BATCH, active);
    for (let i = 0; i < batch; i++) {
      connections.ask(next);
      next = next + 1 >= active ? 0 : next + 1;
    }
    asked += batch;
    connections.turn(100);
    connections.expectAnswers(asked);
  }
  return (performance.now() - start) * 1e6 / (asked - before);
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
