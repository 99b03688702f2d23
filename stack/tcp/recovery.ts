/**
 * What an ACK says of the segments in flight: delivered, missing, late. RACK-TLP (RFC 8985) finds losses, PRR
 * (RFC 6937) paces their repair, the congestion control decides the window in between.
 *
 * @module
 */

import type { TcpOptions } from "../wire/tcp.ts";
import type { TcpConnection } from "./connection.ts";
import { Limit, Recovery, SendTimer } from "./connection_state.ts";
import { RateSampler } from "./delivery_rate.ts";
import {
  detectLosses,
  limitDuplicates,
  markLost,
  narrowReordering,
  widenReordering,
} from "./loss_detection.ts";
import { mtuProbeAcknowledged, mtuProbeLost } from "./mtu_probing.ts";
import { retransmit } from "./output.ts";
import { updatePacingRate } from "./pacing.ts";
import { join, joinable, splitAt, unmark } from "./scoreboard.ts";
import { EVER_RETRANSMITTED, LOST, SACKED, SYN_RECORD } from "./sent.ts";
import { after, before, later } from "./sequence.ts";
import { endProbe } from "./tail_probe.ts";
import { armSendTimer } from "./timers.ts";

/** Time-out when the SYN was sent again, so that no round trip could be measured, in µs (RFC 6298, section 5.7). */
const FALLBACK_RTO = 3_000_000;

/**
 * Works on an acceptable ACK: SACK blocks, what it covers, losses, the window.
 * @param ack SEG.ACK, between SND.UNA and SND.NXT. @param data Whether the segment carried data or a flag that counts.
 * @param windowChanged Whether it changed the send window. @param marked Whether it echoes a congestion mark.
 */
export function acknowledge(
  c: TcpConnection,
  ack: number,
  options: TcpOptions,
  data: boolean,
  windowChanged: boolean,
  marked: boolean,
  now: number,
): void {
  const before_ = c.delivered;
  const priorUna = c.sndUna;
  const lostBefore_ = c.lost;
  sample.reset();
  rate.begin(c, marked);
  let news = false;
  if (options.sackBlocks > 0 && c.sackPermitted) news = markSacked(c, options, ack, now);
  const advanced = after(ack, c.sndUna);
  if (advanced) {
    removeAcknowledged(c, ack, now);
    if (c.timeoutAt > 0) {
      c.timeoutTime += now - c.timeoutAt;
      c.timeoutAt = 0;
    }
    c.timeouts = 0;
    c.firstRetransmission = Infinity;
    c.duplicateAcks = 0;
    if (c.mtuProbing !== null) mtuProbeAcknowledged(c, c.mtuProbing);
  } else if (!data && !windowChanged && !c.sackPermitted && c.head >= 0 && ack === priorUna) {
    // Without SACK a duplicate ACK stands for one segment that has left the network.
    c.duplicateAcks++;
    if (c.sackedOut + c.lostOut < c.packetsOut) c.sackedOut++;
    c.delivered++;
    news = true;
  }
  takeRttSample(c, options, advanced, now);
  if (c.probing && !before(ack, c.probeEnd)) {
    endProbe(c, ack, options, !advanced && !news && !data && !windowChanged);
  }

  const delivered = c.delivered - before_;
  if (marked) c.deliveredMarked += c.accurate === null ? delivered : c.accurate.news;
  const lostBefore = c.lostOut;
  if (c.head >= 0 && (c.sackedOut > 0 || c.recovery !== Recovery.Open)) detectLosses(c, now);
  const newlyLost = c.lostOut > lostBefore;

  if (c.recovery !== Recovery.Open && c.undoValid && isSpurious(c, options, advanced)) undo(c);
  if (c.recovery !== Recovery.Open && advanced && isRecovered(c)) leaveRecovery(c);
  if (c.recovery <= Recovery.Reduced && c.lostOut > 0) lossFound(c, now);
  rate.end(c, delivered, c.lost - lostBefore_, now);
  const control = c.congestion.rateControl;
  if (control !== null) {
    control.sampled(c, rate, now);
  } else if (c.recovery === Recovery.Fast || c.recovery === Recovery.Reduced) {
    proportional(c, delivered, newlyLost, advanced && !newlyLost);
  } else if (delivered > 0 && advanced && isWindowUsed(c)) {
    c.congestion.acked(c, delivered, now);
  }
  if (control === null && (c.tcp.settings.pacing || c.maxPacingRate < Infinity)) updatePacingRate(c);
  if (c.head < 0) {
    if (c.sendQueued === 0) c.limitedBy(Limit.None, now);
    if (c.sendTimer !== SendTimer.Window) {
      c.sendTimer = SendTimer.None;
      c.sendTimerAt = Infinity;
    }
  } else if (advanced || news) {
    if (c.sendTimer !== SendTimer.Reorder) armSendTimer(c, now);
  }
}

/** Whether everything is acknowledged that was sent before; after a mark, something that was sent since. */
function isRecovered(c: TcpConnection): boolean {
  return c.recovery === Recovery.Reduced
    ? after(c.sndUna, c.recoveryPoint)
    : !before(c.sndUna, c.recoveryPoint);
}

/** The newest segment that this ACK delivered. One object serves every ACK. */
class Sample {
  /** When the record that was missing first was last sent again, in µs; `Infinity` when it never was. */
  headSentAgain = Infinity;
  /** When the first and the last of what was acknowledged in order, and sent only once, were sent; `Infinity` for none. */
  firstSentAt = Infinity;
  lastSentAt = Infinity;
  /** The same for what was sacked. */
  firstSackedAt = Infinity;
  lastSackedAt = Infinity;
  /** Something acknowledged in order was sent again: it is not known which copy arrived (Karn). */
  retransmitted = false;
  /** The SYN was acknowledged. */
  handshake = false;
  /** Something was delivered that had been given up but not sent again: its first copy has arrived. */
  original = false;

  reset(): void {
    this.headSentAgain = Infinity;
    this.firstSentAt =
      this.lastSentAt =
      this.firstSackedAt =
      this.lastSackedAt =
        Infinity;
    this.retransmitted = false;
    this.original = this.handshake = false;
  }
}
const sample = new Sample();
const rate = new RateSampler();

/** A record was delivered: RACK learns from the one that was sent last. @param inOrder Not sacked before, but covered. */
function noteDelivered(c: TcpConnection, r: number, lost: boolean, inOrder: boolean, now: number): void {
  const records = c.tcp.records;
  const sentAt = records.sentAt[r]!;
  const end = records.end[r]!;
  const again = (records.flags[r]! & EVER_RETRANSMITTED) !== 0;
  c.delivered += records.segments[r]!;
  rate.take(c, r, now);
  if (lost && !again) sample.original = true;
  if (inOrder) {
    if (again) sample.retransmitted = true;
    else {
      if (sample.firstSentAt === Infinity) sample.firstSentAt = sentAt;
      sample.lastSentAt = sentAt;
    }
  } else if (!again) {
    if (sample.firstSackedAt === Infinity) sample.firstSackedAt = sentAt;
    sample.lastSackedAt = sentAt;
  }
  const rtt = now - sentAt;
  // The ACK may be of the first copy (RFC 8985, section 6.2, step 2).
  if (again && rtt < c.rtt.min) return;
  // Of several, the highest decides how long a segment may take: what an ACK freed early was on its way for longer.
  c.rackRtt = rtt;
  if (sentAt > c.rackTime || (sentAt === c.rackTime && after(end, c.rackEnd))) {
    c.rackTime = sentAt;
    c.rackEnd = end;
  }
}

/** @returns Whether a block told of something new. */
function markSacked(c: TcpConnection, options: TcpOptions, ack: number, now: number): boolean {
  const records = c.tcp.records;
  let news = false;
  for (let i = 0; i < options.sackBlocks; i++) {
    let left = options.sack[2 * i]!;
    const right = options.sack[2 * i + 1]!;
    // Blocks of what was never sent, or that are turned around, are lies; below the ACK they are D-SACK.
    if (!before(left, right) || after(right, c.sndNxt)) {
      c.tcp.counters.badSackBlocks++;
      continue;
    }
    if (!after(right, ack)) {
      c.tcp.counters.receivedDuplicateSacks++;
      c.duplicateSacks++;
      if (i === 0) widenReordering(c);
      // One of our retransmissions came where its first copy had been (RFC 2883; RFC 3708).
      if (i === 0 && c.undoRetransmits > 0 && !before(left, c.undoStart)) c.undoRetransmits--;
      continue;
    }
    left = later(left, c.sndUna);
    let previous = -1;
    for (
      let r = c.head;
      r >= 0 && before(records.start[r]!, right);
      previous = r, r = records.next[r]!
    ) {
      if (!after(records.end[r]!, left) || records.flags[r]! & SACKED) continue;
      if (before(records.start[r]!, left)) {
        const cut = splitAt(c, r, left);
        if (cut < 0) continue;
        previous = r;
        r = cut;
      }
      if (after(records.end[r]!, right) && splitAt(c, r, right) < 0) continue;
      const flags = records.flags[r]!;
      // Without anything sacked, the highest of it is an old number that means nothing.
      if ((flags & EVER_RETRANSMITTED) === 0 && c.sackedOut > 0 && before(records.end[r]!, c.fack)) {
        c.reordering = true;
      }
      unmark(c, r);
      records.flags[r]! |= SACKED;
      c.sackedOut += records.segments[r]!;
      noteDelivered(c, r, (flags & LOST) !== 0, false, now);
      if (c.sackedOut === records.segments[r]! || after(records.end[r]!, c.fack)) c.fack = records.end[r]!;
      news = true;
      // What was delivered side by side needs one record, however many segments it was.
      if (joinable(c, r)) join(c, r);
      if (previous >= 0 && joinable(c, previous)) {
        join(c, previous);
        r = previous;
      }
    }
  }
  return news;
}

/** Removes what a cumulative ACK covers from the records and from the ring. */
function removeAcknowledged(c: TcpConnection, ack: number, now: number): void {
  const records = c.tcp.records;
  let removed = 0;
  while (c.head >= 0) {
    const r = c.head;
    if (after(records.end[r]!, ack)) {
      if (!before(records.start[r]!, ack)) break;
      // Part of a record: the rest stays, whole segments counted off.
      if (splitAt(c, r, ack) < 0) {
        records.start[r] = ack;
        break;
      }
    }
    if (after(records.end[r]!, ack)) {
      records.start[r] = ack;
      break;
    }
    const flags = records.flags[r]!;
    const segments = records.segments[r]!;
    if (flags & SACKED) {
      c.sackedOut -= segments;
    } else {
      if (
        (flags & EVER_RETRANSMITTED) === 0 && c.sackedOut > 0 && c.sackPermitted &&
        before(records.end[r]!, c.fack)
      ) {
        c.reordering = true;
      }
      unmark(c, r);
      noteDelivered(c, r, (flags & LOST) !== 0, true, now);
    }
    if (flags & SYN_RECORD) sample.handshake = true;
    // A copy that waits for a slot has nothing to ask for any more.
    if (flags & SYN_RECORD) c.synDue = false;
    if (removed === 0 && flags & EVER_RETRANSMITTED) sample.headSentAgain = records.sentAt[r]!;
    removed += segments;
    c.packetsOut -= segments;
    c.head = records.next[r]!;
    records.give(r);
    c.recordCount--;
    if (c.head < 0) c.tail = -1;
  }
  if (!c.sackPermitted && c.sackedOut > 0) {
    // The duplicate ACKs spoke of segments that this ACK covers, all but the first of them.
    const spoken = Math.min(c.sackedOut, Math.max(0, removed - 1));
    c.sackedOut -= spoken;
    c.delivered -= spoken;
  }
  if (!c.sackPermitted) limitDuplicates(c);
  c.sndUna = ack;
  c.path.confirm();
  const data = Math.min(ack - c.sendBase | 0, c.sendQueued);
  if (data > 0) {
    c.sendRing.advance(data);
    c.sendBase = c.sendBase + data | 0;
    c.sendQueued -= data;
    c.bytesAcked += data;
    if (c.sendQueued === 0) c.sendRing.free();
  }
}

/**
 * Measures the round trip: for the time-out from what was sent first of what this ACK tells of, so that the peer's delay
 * counts; for the minimum from what was sent last (RFC 6298, section 3; as Linux).
 */
function takeRttSample(c: TcpConnection, options: TcpOptions, advanced: boolean, now: number): void {
  const inOrder = !sample.retransmitted && sample.firstSentAt !== Infinity;
  const sacked = sample.firstSackedAt !== Infinity;
  if (inOrder || sacked) {
    const first = inOrder ? sample.firstSentAt : sample.firstSackedAt;
    const last = sacked ? sample.lastSackedAt : sample.lastSentAt;
    c.rtt.sample(now - first, c.sndUna, c.sndNxt, now - last);
  } else if (advanced && c.timestamps && options.timestamps && options.timestampEcho !== 0) {
    // Everything delivered was sent twice: the echo tells which copy it was (RFC 7323, section 4.1).
    const echoed = options.timestampEcho - c.tsOffset | 0;
    const ticks = Math.floor(now / 1000) - echoed | 0;
    if (ticks < 0 || ticks >= 120_000) return;
    const rtt = Math.max(ticks * 1000, 1);
    c.rtt.sample(rtt, c.sndUna, c.sndNxt, rtt);
  } else if (sample.handshake) {
    // Nothing is known of the path, but that it is slow or loses: as it was before RFC 6298 (section 5.7).
    c.rtt.reset(FALLBACK_RTO);
    if (c.retransmissions > 1) c.cwnd = 1;
  } else return;
  c.backoff = 0;
}

/** What was late is lost: its repair begins without an ACK to clock it. */
export function repairReordered(c: TcpConnection, now: number): void {
  lossFound(c, now);
  if (c.congestion.rateControl === null && c.recovery === Recovery.Fast) proportional(c, 1, true, false);
}

/** Segments are missing: repairs them, with a smaller window unless it was a probe that is missing. */
function lossFound(c: TcpConnection, now: number): void {
  if (c.mtuProbing === null || !mtuProbeLost(c, c.mtuProbing)) enterRecovery(c, now);
}

function enterRecovery(c: TcpConnection, now: number): void {
  // A mark of the same window has reduced it already.
  if (c.recovery === Recovery.Open) reduce(c, now);
  c.recovery = Recovery.Fast;
  c.recoveryPoint = c.sndNxt;
  c.tcp.counters.fastRecoveries++;
}

/** Sets the threshold for what follows, which {@link proportional} brings the window to. */
function reduce(c: TcpConnection, now: number): void {
  c.priorCwnd = c.cwnd;
  c.prrDelivered = c.prrOut = 0;
  saveForUndo(c);
  c.ssthresh = c.congestion.reduce(c, now);
  c.cwndCount = 0;
}

/** The peer has echoed a congestion mark: reduces the window, once a round trip (RFC 3168, section 6.1.2). */
export function echoed(c: TcpConnection, now: number): void {
  if (c.recovery !== Recovery.Open || c.head < 0) return;
  reduce(c, now);
  c.undoValid = false;
  c.recovery = Recovery.Reduced;
  c.recoveryPoint = c.sndNxt;
  c.cwrDue = c.accurate === null;
  c.tcp.counters.markReductions++;
}

/** Remembers what a recovery that turns out to be needless has to give back. */
function saveForUndo(c: TcpConnection): void {
  c.undoValid = true;
  c.undoStart = c.sndUna;
  c.undoCwnd = c.cwnd;
  c.undoSsthresh = c.ssthresh;
  // Those that an earlier recovery has under way count as well.
  c.undoRetransmits = c.retransOut;
  c.undoSent = false;
}

/**
 * Whether nothing was lost after all: the echoed timestamp is older than the first retransmission (Eifel, RFC 3522),
 * every retransmission was reported as a duplicate (RFC 3708), or after a time-out the first copy of something
 * given up was acknowledged (F-RTO, RFC 5682).
 */
function isSpurious(c: TcpConnection, options: TcpOptions, advanced: boolean): boolean {
  if (c.frto && sample.original) return true;
  if (!c.undoSent) return false;
  if (
    advanced && c.timestamps && options.timestamps && (options.timestampEcho - c.undoStamp | 0) < 0 &&
    // What was sent again before this recovery (by an earlier one, or as a tail loss probe) is no first copy.
    (sample.headSentAgain === Infinity ||
      (options.timestampEcho - (Math.floor(sample.headSentAgain / 1000) + c.tsOffset | 0) | 0) < 0)
  ) {
    return true;
  }
  return c.undoRetransmits === 0;
}

/** Takes a needless reduction of the window back (RFC 4015). */
function undo(c: TcpConnection): void {
  const records = c.tcp.records;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    const flags = records.flags[r]!;
    if (flags & LOST) {
      c.lostOut -= records.segments[r]!;
      records.flags[r] = flags & ~LOST;
    }
  }
  c.undoValid = c.frto = false;
  c.recovery = Recovery.Open;
  c.cwnd = Math.max(c.cwnd, c.undoCwnd);
  c.ssthresh = Math.max(c.ssthresh, c.undoSsthresh);
  c.congestion.undone(c);
  c.tcp.counters.spuriousRecoveries++;
  c.tracer?.undone();
}

function leaveRecovery(c: TcpConnection): void {
  c.undoValid = c.frto = false;
  narrowReordering(c);
  if (c.recovery !== Recovery.Loss && c.congestion.rateControl === null) c.cwnd = c.ssthresh;
  c.recovery = Recovery.Open;
  c.cwndCount = 0;
  c.duplicateAcks = 0;
  if (!c.sackPermitted) c.sackedOut = 0;
}

/** Proportional rate reduction (RFC 6937, section 3, with the slow-start bound while repair goes well). */
function proportional(c: TcpConnection, delivered: number, newlyLost: boolean, progress: boolean): void {
  c.prrDelivered += delivered;
  const pipe = c.inFlight;
  let quota: number;
  if (pipe > c.ssthresh) {
    quota = Math.ceil(c.prrDelivered * c.ssthresh / Math.max(c.priorCwnd, 1)) - c.prrOut;
  } else {
    quota = Math.max(c.prrDelivered - c.prrOut, delivered);
    if (progress && !newlyLost) quota++;
    quota = Math.min(c.ssthresh - pipe, quota);
  }
  // The first retransmission goes out at once.
  quota = Math.max(quota, c.prrOut === 0 ? 1 : 0);
  c.cwnd = Math.max(pipe + quota, 1);
}

/** The retransmission timer has expired: everything not sacked is lost (RFC 6298, section 5; RFC 5681, section 3.1). */
export function retransmissionTimeout(c: TcpConnection, now: number): void {
  const records = c.tcp.records;
  c.tcp.counters.retransmissionTimeouts++;
  if (c.recovery !== Recovery.Loss || !before(c.sndUna, c.recoveryPoint)) {
    // In the middle of a repair, what arrives late proves nothing (RFC 5682, section 2.1, step 1).
    c.frto = c.recovery <= Recovery.Reduced;
    saveForUndo(c);
    c.ssthresh = c.congestion.reduce(c, now);
    c.priorCwnd = c.cwnd;
    c.congestion.timedOut(c);
  }
  c.recovery = Recovery.Loss;
  c.recoveryPoint = c.sndNxt;
  c.cwndCount = 0;
  c.duplicateAcks = 0;
  c.probing = false;
  // A peer may renege on SACKs only until here: the first record is missing whatever it said (RFC 2018, section 8).
  const reneged = c.head >= 0 && (records.flags[c.head]! & SACKED) !== 0;
  if (!c.sackPermitted) c.sackedOut = 0;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    if (records.flags[r]! & SACKED) {
      if (!reneged) continue;
      records.flags[r]! &= ~SACKED;
      c.sackedOut -= records.segments[r]!;
    }
    if (records.flags[r]! & SYN_RECORD) continue;
    markLost(c, r);
  }
  c.cwnd = c.inFlight + 1;
  if (c.head >= 0) {
    retransmit(c, c.head, 1, now);
    // What retransmit split off stays lost and waits for the window.
  }
}

/** What went with a SYN was not taken. It goes out again at once; that tells nothing of the network (as Linux has it). */
export function sendLostAgain(c: TcpConnection, now: number): void {
  const records = c.tcp.records;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    if ((records.flags[r]! & (SACKED | SYN_RECORD)) === 0) markLost(c, r);
  }
  c.recovery = Recovery.Loss;
  c.recoveryPoint = c.sndNxt;
  c.undoValid = false;
  armSendTimer(c, now);
  c.tcp.markDirty(c);
}

/** Whether so much of the window was in use that it may grow; in slow start half of it is enough. */
function isWindowUsed(c: TcpConnection): boolean {
  return c.cwndLimited || (c.cwnd < c.ssthresh && c.cwnd < 2 * c.maxPacketsOut);
}
