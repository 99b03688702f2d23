/**
 * Which segments are lost: RACK (RFC 8985, section 6.2), duplicate ACKs where there is no SACK (RFC 6582), routers' word.
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";
import { Recovery, SendTimer } from "./connection_state.ts";
import { updateMss } from "./segment_size.ts";
import { splitAt } from "./scoreboard.ts";
import { APP_LIMITED, LOST, RETRANSMITTED, SACKED, SYN_RECORD } from "./sent.ts";
import { after, before } from "./sequence.ts";
import { armSendTimer, LEAST_TIMER } from "./timers.ts";

/** Quarters of the least round trip by which segments may be late, at most; the smoothed round trip bounds it first. */
const MOST_STEPS = 255;
/** Recoveries without a duplicate reported after which the reordering window is reset. */
const RECOVERIES = 16;
/** Segments that may overtake each other at most, whatever was seen (Linux's tcp_max_reordering). */
const MOST_REORDERING = 300;
/**
 * Marks what is lost: sent long enough before something that was delivered (RFC 8985, section 6.2), and for peers
 * without SACK the first segment after three duplicate ACKs. Sets the reordering timer for the undecided.
 */
export function detectLosses(c: TcpConnection, advanced: boolean, now: number): void {
  if (c.head < 0) return;
  if (!c.sackPermitted) {
    detectWithoutSack(c, advanced);
    return;
  }
  // Nothing was delivered of late: nothing else has become late.
  if (!c.rackAdvanced || c.rackTime === -Infinity) return;
  c.rackAdvanced = false;
  detectLate(c, now);
}

/** Marks what is late, and sets the reordering timer for what may be. */
export function detectLate(c: TcpConnection, now: number): void {
  const records = c.tcp.records;
  let reorderWindow = 0;
  if (c.reordering > 0 || (c.recovery <= Recovery.Reduced && c.sackedOut < c.reorderDegree)) {
    reorderWindow = Math.min(c.minRtt / 4 * c.reorderSteps, c.srtt);
  }
  let wait = 0;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    const flags = records.flags[r]!;
    if (flags & SACKED || (flags & (LOST | RETRANSMITTED)) === LOST) continue;
    const sentAt = records.sentAt[r]!;
    if (sentAt > c.rackTime || (sentAt === c.rackTime && !before(records.end[r]!, c.rackEnd))) continue;
    const remaining = sentAt + c.rackRtt + reorderWindow - now;
    if (remaining <= 0) markLost(c, r);
    else if (remaining > wait) wait = remaining;
  }
  if (wait > 0) {
    c.sendTimer = SendTimer.Reorder;
    c.sendTimerAt = now + wait + LEAST_TIMER;
    c.schedule();
  } else if (c.sendTimer === SendTimer.Reorder) armSendTimer(c, now);
}

/**
 * Something was sent again for nothing, as the peer reports: segments overtake each other by more than was allowed for,
 * so more is allowed from now on, one step a round trip at most (RFC 8985, section 6.2.1).
 */
export function widenReordering(c: TcpConnection): void {
  if (c.reorderPersist > 0 && before(c.sndUna, c.reorderRound)) return;
  c.reorderRound = c.sndNxt;
  c.reorderSteps = Math.min(c.reorderSteps + 1, MOST_STEPS);
  c.reorderPersist = RECOVERIES;
}

/** A recovery is over: after some without such a report, the window is what it was. */
export function narrowReordering(c: TcpConnection): void {
  if (c.reorderPersist === 0) return;
  if (--c.reorderPersist === 0) c.reorderSteps = 1;
}

/** All retransmissions were needless: what was learnt of reordering is kept for longer. */
export function persistReordering(c: TcpConnection): void {
  c.reorderPersist = Math.min(RECOVERIES, c.reorderPersist + 1);
}

/** Segments from `lowest` on were overtaken by all that was acknowledged selectively. */
export function noteReordering(c: TcpConnection, lowest: number): void {
  const highest = c.sackedOut > 0 ? c.fack : c.sndUna;
  if (!before(lowest, highest)) return;
  const segments = Math.ceil((highest - lowest | 0) / c.mss);
  if (segments > c.reorderDegree) c.reorderDegree = Math.min(segments, MOST_REORDERING);
  c.reordering++;
}

/** Whether a record was sent so late that the latest round trip would not have brought its ACK. */
export function mayStillArrive(c: TcpConnection, r: number, now: number): boolean {
  return c.rackRtt !== Infinity && c.tcp.records.sentAt[r]! + c.rackRtt - now > 0;
}

function detectWithoutSack(c: TcpConnection, advanced: boolean): void {
  const records = c.tcp.records;
  const r = c.head;
  // NewReno: in recovery every partial ACK says that the segment after it is missing as well (RFC 6582).
  const lost = c.recovery <= Recovery.Reduced
    ? c.sackedOut >= c.reorderDegree
    : c.recovery === Recovery.Fast && advanced;
  if (!lost || records.flags[r]! & LOST) return;
  if (records.segments[r]! > 1) splitAt(c, r, records.start[r]! + records.segmentBytes[r]! | 0);
  markLost(c, r);
}

/** A duplicate ACK of a peer without SACK: one segment more has left the network. */
export function addDuplicate(c: TcpConnection): void {
  const { sackedOut } = c;
  c.sackedOut++;
  noteDuplicateReordering(c, 0);
  c.delivered += Math.max(0, c.sackedOut - sackedOut);
}

/**
 * Duplicate ACKs do not say of what: if there were more than there are segments that are neither lost nor acknowledged,
 * segments were overtaken. @param more Segments that were acknowledged along with that.
 */
export function noteDuplicateReordering(c: TcpConnection, more: number): void {
  const holes = Math.min(Math.max(c.lostOut, 1), c.packetsOut);
  if (c.sackedOut + holes <= c.packetsOut) return;
  c.sackedOut = c.packetsOut - holes;
  c.reorderDegree = Math.min(c.packetsOut + more, MOST_REORDERING);
  c.reordering++;
}

/** Duplicate ACKs can't have been of more segments than are neither lost nor acknowledged. */
function limitDuplicates(c: TcpConnection): void {
  c.sackedOut = Math.max(0, Math.min(c.sackedOut, c.packetsOut - c.lostOut));
}

/** A record is lost: it waits to be sent again. */
export function markLost(c: TcpConnection, r: number): void {
  const records = c.tcp.records;
  const segments = records.segments[r]!;
  const flags = records.flags[r]!;
  if (flags & RETRANSMITTED) c.retransOut -= segments;
  if ((flags & LOST) === 0) c.lostOut += segments;
  records.flags[r] = flags & ~RETRANSMITTED | LOST;
  c.tcp.counters.lostSegments += segments;
  if (!c.sackPermitted) limitDuplicates(c);
  // What waits to be sent again can't be lost a second time.
  if ((flags & (LOST | RETRANSMITTED)) === LOST) return;
  c.lost += segments;
  c.congestion.rateControl?.lost(
    c,
    segments,
    records.inFlight[r]!,
    c.lost - records.lost[r]!,
    (flags & APP_LIMITED) !== 0,
    c.tcp.stack.now,
  );
}

/** A router has refused what was sent from `sequence` on: it goes out again in smaller segments (RFC 1191, section 6.4). */
export function tooBig(c: TcpConnection, sequence: number): void {
  const records = c.tcp.records;
  const size = c.mss;
  updateMss(c);
  if (c.mss >= size) return;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    if (before(records.start[r]!, sequence) && !after(records.end[r]!, sequence)) continue;
    if ((records.flags[r]! & (SACKED | SYN_RECORD)) === 0) markLost(c, r);
  }
}
