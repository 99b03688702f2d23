import assert from "node:assert/strict";
import { type CongestionState, INFINITE_SSTHRESH, NewReno } from "./congestion.ts";
import { Cubic } from "./cubic.ts";

const state = (cwnd: number, srtt = 100_000): CongestionState => ({
  cwnd,
  ssthresh: INFINITE_SSTHRESH,
  cwndCount: 0,
  mss: 1448,
  srtt,
  minRtt: srtt,
  latestRtt: srtt,
  inFlight: cwnd,
});

Deno.test("NewReno doubles a round trip in slow start and adds one segment a round trip after", () => {
  const reno = new NewReno();
  const s = state(10);
  for (let i = 0; i < 10; i++) reno.acked(s, 1);
  assert.equal(s.cwnd, 20);
  s.ssthresh = reno.reduce(s);
  assert.equal(s.ssthresh, 10);
  s.cwnd = 10;
  for (let i = 0; i < 10; i++) reno.acked(s, 1);
  assert.equal(s.cwnd, 11);
});

Deno.test("Cubic reduces to 0.7 and is back at the old window after K seconds (RFC 9438, 4.2)", () => {
  const cubic = new Cubic();
  const s = state(1000);
  s.ssthresh = s.cwnd = cubic.reduce(s);
  assert.equal(s.cwnd, 700);
  const k = Math.cbrt(300 / 0.4);
  let now = 0;
  for (; now < (k - 0.1) * 1e6; now += 100_000) cubic.acked(s, s.cwnd, now);
  assert(s.cwnd > 950 && s.cwnd <= 1010, `window ${s.cwnd} at K`);
  const plateau = s.cwnd;
  for (; now < (k + 3) * 1e6; now += 100_000) cubic.acked(s, s.cwnd, now);
  assert(s.cwnd > plateau, "no growth beyond the plateau");
});

Deno.test("Cubic grows as Reno does where that is faster", () => {
  const cubic = new Cubic();
  const s = state(10, 1000);
  s.ssthresh = s.cwnd = cubic.reduce(s);
  // 100 round trips of 1 ms: the cubic function has hardly begun.
  for (let i = 0; i < 100; i++) cubic.acked(s, s.cwnd, i * 1000);
  assert(s.cwnd > 30, `window ${s.cwnd}`);
});

Deno.test("Cubic leaves slow start when delay rises (RFC 9406)", () => {
  const cubic = new Cubic();
  const s = { ...state(10) };
  let rounds = 0;
  while (s.ssthresh === INFINITE_SSTHRESH && rounds < 30) {
    const segments = s.cwnd;
    const rtt = 50_000 + (rounds > 4 ? 20_000 * (rounds - 4) : 0);
    for (let i = 0; i < segments; i++) cubic.acked(Object.assign(s, { latestRtt: rtt }), 1, rounds * 50_000);
    rounds++;
  }
  assert(s.ssthresh < INFINITE_SSTHRESH, "still in slow start");
  assert(rounds > 5 && rounds < 15, `left after ${rounds} rounds`);
});
