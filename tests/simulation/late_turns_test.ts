/**
 * What becomes of a sender whose process is late for all it has to do, as on a machine that others use.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Bottleneck } from "./bottleneck.ts";

/** Payload bits of a full frame, by bits on the link. */
const EFFICIENCY = 1448 / 1514;
const RATE = 100e6;

// Above 2% of loss BBR gives way by its own rules (draft-ietf-ccwg-bbr, BBR.LossThresh).
for (const loss of [0.001, 0.01]) {
  for (const lateness of [5_000, 12_000]) {
    Deno.test(`BBR keeps its rate at ${loss * 100}% loss in turns up to ${lateness / 1000} ms late`, () => {
      const world = new Bottleneck({
        seed: 7,
        roundTrip: 20_000,
        rate: RATE,
        queueFrames: 1000,
        impairment: { loss },
        lateness,
      });
      world.start("bbr");
      world.run(3);
      const share = world.run(20)[0]! / (RATE * EFFICIENCY * (1 - loss));
      assert(share > 0.8, `${(share * 100).toFixed(0)}% of the link`);
    });
  }
}

Deno.test("A late turn makes up for no more than half a round trip", () => {
  const world = new Bottleneck({
    seed: 7,
    roundTrip: 20_000,
    rate: RATE,
    queueFrames: 1000,
    lateness: 12_000,
  });
  world.start("bbr");
  world.run(3);
  const flow = world.flows[0]!;
  let greatest = 0;
  for (let i = 0; i < 2000; i++) {
    const before = flow.bytesSent;
    world.run(0.001);
    greatest = Math.max(greatest, flow.bytesSent - before);
  }
  // 10 ms at 1.25 of 100 Mbit/s, and the quanta around it.
  assert(greatest < 1.6 * RATE / 8 * 0.010, `${greatest} bytes in a millisecond`);
});
