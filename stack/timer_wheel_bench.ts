/**
 * What timers cost: `deno bench stack/timer_wheel_bench.ts`. The cost must not grow with the number of timers.
 *
 * @module
 */

import { Timer, TimerWheel } from "./timer_wheel.ts";

/** Timers set again in one iteration. */
const BATCH = 1000;
const owner = { expire() {} };

for (const others of [0, 100_000]) {
  const wheel = new TimerWheel();
  wheel.advance(0);
  for (let i = 0; i < others; i++) wheel.arm(new Timer(owner), 60_000_000 + i * 37);
  const timers = Array.from({ length: BATCH }, () => new Timer(owner));
  let now = 0;
  Deno.bench({
    name: `set again ${BATCH} beside ${others} others`,
    group: "set",
    baseline: others === 0,
    fn() {
      now += 1;
      for (let i = 0; i < BATCH; i++) wheel.arm(timers[i]!, now + 200_000 + i * 13);
    },
  });
}
