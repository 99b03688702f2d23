import assert from "node:assert/strict";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import { SendTimer } from "../../stack/tcp/connection_state.ts";
import { StallDetector } from "./stall_detector.ts";

/** What a detector looks at. */
type Looked = Pick<
  TcpConnection,
  "rto" | "sndUna" | "iss" | "rcvNxt" | "irs" | "doublings" | "backoff" | "sendTimer"
>;

/** One connection with a time-out of 2 s, which has come as far as `sndUna`. */
function waiting(sndUna: number, doublings = 0): TcpConnection[] {
  const looked: Looked = {
    rto: 2_000_000,
    sndUna,
    iss: 0,
    rcvNxt: 0,
    irs: 0,
    doublings,
    backoff: 0,
    sendTimer: SendTimer.Retransmit,
  };
  return [looked as TcpConnection];
}

/** A detector that has seen how far the connection is. */
function watching(sndUna: number): StallDetector {
  const detector = new StallDetector();
  assert.equal(detector.judge(waiting(sndUna), false), null);
  return detector;
}

Deno.test("StallDetector.judge() excuses silence by the time-outs of what was lost, and no more", () => {
  const detector = watching(7);
  // 0.4 s for applications, 2 s for a probe of the tail, and 2 + 4 + 8 s.
  detector.harmed();
  detector.harmed();
  detector.wait(16_000_000);
  assert(detector.suspicious);
  assert.equal(detector.judge(waiting(7), false), null);
  detector.wait(1_000_000);
  assert.match(detector.judge(waiting(7), false)!, /silence, for which 2 lost frames/);
});

Deno.test("StallDetector.judge() lets time-outs that had doubled stay so, if losses account for that, and bounds them by two minutes", () => {
  const detector = watching(7);
  for (let i = 0; i < 5; i++) detector.harmed();
  detector.progress(waiting(7, 5), false);
  // 0.4 s, 2 s, and 2 s that have doubled five times.
  detector.wait(66_000_000);
  assert.equal(detector.judge(waiting(7), false), null);
  detector.wait(1_000_000);
  assert.notEqual(detector.judge(waiting(7), false), null);
  const unexplained = watching(7);
  unexplained.harmed();
  unexplained.progress(waiting(7, 5), false);
  unexplained.wait(12_000_000);
  assert.notEqual(unexplained.judge(waiting(7), false), null);
  const many = watching(7);
  for (let i = 0; i < 100; i++) many.harmed();
  many.wait(100 * 120_000_000);
  assert.notEqual(many.judge(waiting(7), false), null);
});

Deno.test("StallDetector.judge() takes what was acknowledged for progress", () => {
  const detector = watching(7);
  detector.wait(1_000_000_000);
  assert.equal(detector.judge(waiting(8), false), null);
  assert(!detector.suspicious);
});

Deno.test("StallDetector.judge() excuses the time for which a neighbour that was not found is not asked for", () => {
  const detector = watching(7);
  detector.harmed(true);
  // 0.4 s, 2 s, 2 + 4 s, and twice 5.
  detector.wait(18_000_000);
  assert.equal(detector.judge(waiting(7), false), null);
  detector.wait(1_000_000);
  assert.notEqual(detector.judge(waiting(7), false), null);
});
