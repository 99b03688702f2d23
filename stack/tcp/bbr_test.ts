import assert from "node:assert/strict";
import { bottleneck, Flow } from "../testing/tcp_flow.ts";
import type { Bbr } from "./bbr.ts";

/** A reproducible chance of `share`. */
function chance(share: number): () => boolean {
  let state = 12345;
  return () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return (state >>> 0) < share * 2 ** 32;
  };
}

/** Most bits of payload a second of a link of 100 Mbit/s. */
const CEILING = 100e6 * 1448 / 1514;

const over = (queue: number, share = 0, delay = 10_000) =>
  new Flow({ delay, fate: (clock) => bottleneck(clock, 100e6, queue, chance(share)) }, { congestion: "bbr" });

Deno.test("Bbr fills a link of 100 Mbit/s and 20 ms, and leaves its queue nearly empty", () => {
  const flow = over(1000);
  flow.saturate(3_000_000);
  const rate = flow.saturate(10_000_000);
  const share = rate / CEILING;
  assert(share > 0.93, `${share}`);
  const { bandwidth, pathRtt } = flow.sender.congestion as Bbr;
  assert(bandwidth * 1448 * 8 > 0.95 * CEILING && bandwidth * 1448 * 8 < 1.08 * CEILING, `${bandwidth}`);
  assert(pathRtt < 22_000, `${pathRtt}`);
  assert(flow.sender.srtt < 30_000, `${flow.sender.srtt}`);
  assert.equal(flow.sender.retransmissions, 0);
});

Deno.test("Bbr fills the link with a queue of 20 frames", () => {
  const flow = over(20);
  flow.saturate(3_000_000);
  const share = flow.saturate(10_000_000) / CEILING;
  assert(share > 0.88, `${share}`);
});

Deno.test("Bbr takes no notice of 1% loss, where Cubic loses most of the rate", () => {
  const flow = over(200, 0.01);
  flow.saturate(3_000_000);
  const share = flow.saturate(10_000_000) / CEILING;
  assert(share > 0.88, `${share}`);
});

Deno.test("Bbr keeps its rate at 3% loss, and no recovery is taken for needless", () => {
  const flow = over(200, 0.03);
  flow.saturate(3_000_000);
  const share = flow.saturate(10_000_000) / CEILING;
  assert(share > 0.85, `${share}`);
  // A segment that an earlier recovery sent again is no first copy.
  assert.equal(flow.pair.tcp(0).counters.spuriousRecoveries, 0);
});

Deno.test("Bbr finds a rate that has grown, and one that has shrunk", () => {
  let rate = 20e6;
  const flow = new Flow({
    fate: (clock) => {
      let free = 0;
      return (segment) => {
        if (segment.from !== 0) return true;
        const time = (segment.length + 66) * 8e6 / rate;
        const start = Math.max(clock(), free);
        if (start - clock() > 200 * time) return false;
        free = start + time;
        return free - clock();
      };
    },
  }, { congestion: "bbr" });
  flow.saturate(5_000_000);
  rate = 100e6;
  flow.saturate(15_000_000);
  const grown = flow.saturate(5_000_000) / CEILING;
  assert(grown > 0.85, `${grown}`);
  rate = 10e6;
  flow.saturate(15_000_000);
  const shrunk = flow.saturate(5_000_000) / CEILING * 10;
  assert(shrunk > 0.85 && shrunk <= 1.01, `${shrunk}`);
  assert(flow.sender.srtt < 300_000, `${flow.sender.srtt}`);
});

Deno.test("Bbr comes back after a black-out", () => {
  let dark = false;
  const flow = new Flow({
    fate: (clock) => {
      const link = bottleneck(clock, 100e6, 200);
      return (segment, count) => dark ? false : link(segment, count);
    },
  }, { congestion: "bbr" });
  flow.saturate(3_000_000);
  dark = true;
  flow.saturate(1_000_000);
  dark = false;
  flow.saturate(4_000_000);
  const share = flow.saturate(3_000_000) / CEILING;
  assert(share > 0.85, `${share}`);
});

Deno.test("Bbr starts again at the rate it knows after the application was idle", () => {
  const flow = over(200);
  flow.saturate(3_000_000);
  flow.pair.run(3_000_000);
  const share = flow.saturate(500_000) / CEILING;
  assert(share > 0.8, `${share}`);
});
