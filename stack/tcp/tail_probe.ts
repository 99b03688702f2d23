/**
 * The tail loss probe (RFC 8985, section 7): what is in flight last is sent again before the time-out.
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";
import { Recovery } from "./connection_state.ts";
import { sendNew } from "./new_data.ts";
import { retransmit } from "./output.ts";
import { splitAt } from "./scoreboard.ts";
import { updateMss } from "./segment_size.ts";
import { SACKED, SYN_RECORD } from "./sent.ts";
import { after } from "./sequence.ts";

/** Sends the tail loss probe: new data if there is some, the last segment again if not. @returns Whether one was due. */
export function sendTailProbe(c: TcpConnection, now: number): boolean {
  const records = c.tcp.records;
  const r = c.tail;
  if (c.probing || r < 0 || records.flags[r]! & (SACKED | SYN_RECORD)) return false;
  c.tcp.counters.tailLossProbes++;
  c.tracer?.probe(now);
  const end = c.sndNxt;
  updateMss(c);
  sendNew(c, now, true);
  c.probing = true;
  c.probeEnd = c.sndNxt;
  c.probeAgain = c.sndNxt === end;
  if (c.probeAgain) {
    let last = r;
    if (records.segments[r]! > 1) {
      const cut = splitAt(
        c,
        r,
        records.start[r]! + (records.segments[r]! - 1) * records.segmentBytes[r]! | 0,
      );
      if (cut >= 0) last = cut;
    }
    c.probing = retransmit(c, last, 1, now, true);
  }
  return c.probing;
}

/**
 * RFC 8985, section 7.4: what was sent again and is not reported as a duplicate repaired a loss, of which the window
 * has to know.
 * @param reported The probe was reported to have come twice. @param duplicate The segment is a duplicate ACK and nothing else.
 */
export function endProbe(c: TcpConnection, ack: number, reported: boolean, duplicate: boolean): void {
  if (!c.probeAgain || reported || duplicate) {
    c.probing = false;
  } else if (after(ack, c.probeEnd)) {
    c.probing = false;
    if (c.recovery !== Recovery.Open) return;
    c.ssthresh = c.congestion.reduce(c, c.tcp.stack.now);
    c.cwnd = Math.min(c.cwnd, c.ssthresh);
  }
}
