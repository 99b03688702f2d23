/**
 * Two flows of ours through one bottleneck, in virtual time.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Bottleneck, jain } from "./bottleneck.ts";

/** Seconds until the second flow starts. */
const ALONE = 2;
/**
 * Round trip in µs, bits a second of the bottleneck (its queue holds what is in flight on it), seconds until the flows
 * should have found each other, and seconds for which they are measured: many cycles of the slowest control.
 */
const LINKS = [[10_000, 50e6, 15, 30], [50_000, 50e6, 30, 120], [200_000, 20e6, 100, 300]] as const;

for (const congestion of ["reno", "cubic", "bbr"] as const) {
  for (const [roundTrip, rate, settle, measured] of LINKS) {
    Deno.test(`Two ${congestion} flows share a bottleneck fairly at a round trip of ${roundTrip / 1000} ms`, () => {
      // Without any jitter, flows lock in step, and the same one finds the queue full each time.
      const world = new Bottleneck({ seed: 7, roundTrip, rate, impairment: { jitter: 1000 } });
      world.start(congestion);
      world.run(ALONE);
      world.start(congestion);
      world.run(settle);
      const rates = world.run(measured);
      const used = rates.reduce((sum, one) => sum + one) / rate;
      assert(jain(rates) >= 0.95, `Jain's index ${jain(rates).toFixed(3)}: ${rates.join(" and ")} bit/s`);
      assert(used > 0.88, `the link was used to ${(used * 100).toFixed(0)}%`);
    });
  }
}
