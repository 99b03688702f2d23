import assert from "node:assert/strict";
import { bottleneck, Flow } from "../testing/tcp_flow.ts";

const link = (clock: () => number) => bottleneck(clock, 100e6, 300);

Deno.test("RateSampler finds the rate of the bottleneck, and no more, in spite of bursts", () => {
  const flow = new Flow({ fate: link });
  flow.saturate(3_000_000);
  const info = flow.sender.info();
  const bits = info.delivery_rate * 8;
  // Payload only: 1448 of 1514 bytes.
  assert(bits > 88e6 && bits < 98e6, `${bits}`);
  assert.equal(info.delivery_rate_app_limited, 0);
});

Deno.test("RateSampler says that the application limits the rate when it sends little", () => {
  const flow = new Flow({ fate: link });
  for (let i = 0; i < 20; i++) {
    flow.sender.write(new Uint8Array(1000), 0, 1000);
    flow.pair.run(100_000);
  }
  assert.equal(flow.sender.info().delivery_rate_app_limited, 1);
});

Deno.test("RateSampler does not count time in which nothing was in flight", () => {
  const flow = new Flow({ fate: link });
  flow.sender.write(new Uint8Array(14480), 0, 14480);
  flow.pair.run(10_000_000);
  flow.sender.write(new Uint8Array(14480), 0, 14480);
  flow.pair.run(100_000);
  // 10 segments in a round trip of little more than 20 ms.
  const rate = flow.sender.info().delivery_rate;
  assert(rate > 14480 / 0.025, `${rate}`);
});

Deno.test("A paced connection spreads its window over the round trip, in quanta of a millisecond", () => {
  const flow = new Flow({ delay: 50_000 }, { pacing: true, congestion: "reno" });
  flow.saturate(400_000);
  const times: number[] = [];
  const { log } = flow.pair;
  const seen = log.length;
  flow.sender.cwnd = flow.sender.ssthresh = 200;
  const end = flow.pair.now + 300_000;
  let last = seen;
  while (flow.pair.now < end) {
    flow.saturate(1_000);
    const sent = log.slice(last).filter((s) => s.from === 0 && s.length > 0).length;
    last = log.length;
    times.push(sent);
  }
  // 1.2 × 200 segments in 100 ms are 2.4 a millisecond; unpaced, they come as ACKs come.
  assert(Math.max(...times.slice(150)) <= 6, `${times}`);
});

Deno.test("A paced connection sends at its rate, and needs no more timers than quanta", () => {
  const flow = new Flow({ delay: 5_000 });
  flow.saturate(100_000);
  flow.sender.pacingRate = 10e6;
  flow.sender.cwnd = 1000;
  flow.saturate(100_000);
  const before = flow.server.received;
  flow.sender.pacingRate = 10e6;
  flow.saturate(1_000_000);
  const rate = flow.server.received - before;
  assert(rate > 9.8e6 && rate < 10.2e6, `${rate}`);
});

Deno.test("Pacing lets slow start go on, and fills a pipe", () => {
  const flow = new Flow({ fate: link }, { pacing: true });
  flow.saturate(1_000_000);
  const rate = flow.saturate(2_000_000);
  assert(rate > 85e6, `${rate}`);
});
