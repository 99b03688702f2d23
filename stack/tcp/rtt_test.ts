import assert from "node:assert/strict";
import { INITIAL_RTO, MAX_RTO, MIN_RTO, RTO_BOUNDS, RTT_NUMBERS, type RttState, sampleRtt } from "./rtt.ts";

const fresh = (): RttState => ({ ...RTT_NUMBERS, ...RTO_BOUNDS });

Deno.test("sampleRtt() starts with a time-out of 1 s and takes the first sample whole (RFC 6298, 2.2)", () => {
  const rtt = fresh();
  assert.equal(rtt.rto, INITIAL_RTO);
  sampleRtt(rtt, 300_000, 1, 1000);
  assert.equal(rtt.srtt, 300_000);
  assert.equal(rtt.rttvar, 150_000);
  assert.equal(rtt.rto, 900_000);
});

Deno.test("sampleRtt() never has the time-out fall to less than the smoothed time plus 200 ms", () => {
  const rtt = fresh();
  for (let i = 0; i < 1000; i++) sampleRtt(rtt, 1000, i * 100, i * 100 + 50);
  assert.equal(rtt.srtt, 1000);
  assert.equal(Math.round(rtt.rto), 1000 + MIN_RTO);
  assert.equal(rtt.minRtt, 1000);
});

Deno.test("sampleRtt() follows a path that becomes slower, and bounds the time-out", () => {
  const rtt = fresh();
  for (let i = 0; i < 100; i++) sampleRtt(rtt, 10_000, i * 100, i * 100 + 50);
  for (let i = 100; i < 200; i++) sampleRtt(rtt, 500_000, i * 100, i * 100 + 50);
  assert(Math.abs(rtt.srtt - 500_000) < 1000);
  assert(rtt.rto > 500_000);
  sampleRtt(rtt, 1e9, 30_000, 30_001);
  assert(rtt.rto <= MAX_RTO);
});
