/**
 * What an ACK says of the segments in flight: delivered, sacked, a second time. {@link judge} decides what follows, the
 * congestion control the window.
 *
 * @module
 */

import type { TcpOptions } from "../wire/tcp.ts";
import type { TcpConnection } from "./connection.ts";
import { Limit, Recovery, SendTimer } from "./connection_state.ts";
import { RateSampler } from "./delivery_rate.ts";
import { noteDuplicateReordering, noteReordering, widenReordering } from "./loss_detection.ts";
import { mtuProbeAcknowledged } from "./mtu_probing.ts";
import { updatePacingRate } from "./pacing.ts";
import { resetRtt, sampleRtt } from "./rtt.ts";
import { join, joinable, splitAt, unmark } from "./scoreboard.ts";
import { EVER_RETRANSMITTED, SACKED, SYN_RECORD } from "./sent.ts";
import { after, before, later } from "./sequence.ts";
import { endProbe } from "./tail_probe.ts";
import { armSendTimer } from "./timers.ts";
import { isBefore, sample } from "./ack_sample.ts";
import { judge, proportional } from "./repair.ts";

/** Time-out when the SYN was sent again, so that no round trip could be measured, in µs (RFC 6298, section 5.7). */
const FALLBACK_RTO = 3_000_000;

const rate = new RateSampler();

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
  const lostBefore = c.lost;
  const idle = c.head < 0;
  c.repairPaused = false;
  sample.reset();
  sample.echoed = c.timestamps && options.timestamps;
  sample.echo = options.timestampEcho;
  sample.highest = c.sackedOut > 0 ? c.fack : c.sndUna;
  rate.begin(c, marked);
  let sacked = false;
  if (options.sackBlocks > 0 && c.sackPermitted) sacked = markSacked(c, options, ack, now);
  const advanced = after(ack, c.sndUna);
  if (advanced) {
    removeAcknowledged(c, ack, now);
    if (c.timeoutAt > 0) {
      c.timeoutTime += now - c.timeoutAt;
      c.timeoutAt = 0;
    }
    c.timeouts = 0;
    c.firstRetransmission = Infinity;
    if (c.mtuProbing !== null) mtuProbeAcknowledged(c, c.mtuProbing);
  }
  takeRttSample(c, options, advanced, now);
  const nothing = !advanced && !data && !windowChanged;
  if (c.probing && !before(ack, c.probeEnd)) endProbe(c, ack, sample.probeDuplicate, nothing && !sacked);
  // Without SACK a duplicate ACK stands for one segment that has left the network.
  const duplicate = nothing && !c.sackPermitted && c.head >= 0;
  const dubious = nothing || sacked || marked || sample.duplicate || c.disorder ||
    c.recovery !== Recovery.Open;
  if (dubious && (!idle || sample.duplicate)) {
    judge(c, options, priorUna, advanced, duplicate, sacked, marked, now);
  }

  const delivered = c.delivered - before_;
  const losses = c.lost - lostBefore;
  if (marked) c.deliveredMarked += c.accurate === null ? delivered : c.accurate.news;
  rate.end(c, delivered, losses, now);
  const control = c.congestion.rateControl;
  if (control !== null) {
    control.sampled(c, rate, now);
  } else if (c.recovery === Recovery.Fast || c.recovery === Recovery.Reduced) {
    if (delivered > 0) proportional(c, delivered, losses > 0, advanced && losses === 0);
  } else if (delivered > 0 && (advanced || (sacked && c.reorderDegree > c.tcp.settings.reordering))) {
    if (isWindowUsed(c)) c.congestion.acked(c, delivered, now);
  }
  if (control === null && (c.tcp.settings.pacing || c.maxPacingRate < Infinity)) updatePacingRate(c);
  if (c.head < 0) {
    if (c.sendQueued === 0) c.limitedBy(Limit.None, now);
    if (c.sendTimer !== SendTimer.Window) {
      c.sendTimer = SendTimer.None;
      c.sendTimerAt = Infinity;
    }
  } else if (advanced || c.tcp.records.sentAt[c.head]! > sample.firstSackedAt) {
    // What was sent after the head puts the time-out off only once the head was sent again: it would never come else.
    if (c.sendTimer !== SendTimer.Reorder) armSendTimer(c, now);
  }
}

/** A record was delivered: RACK learns from the one that was sent last. @param inOrder Not sacked before, but covered. */
function noteDelivered(c: TcpConnection, r: number, inOrder: boolean, now: number): void {
  const records = c.tcp.records;
  const sentAt = records.sentAt[r]!;
  const end = records.end[r]!;
  const again = (records.flags[r]! & EVER_RETRANSMITTED) !== 0;
  c.delivered += records.segments[r]!;
  rate.take(c, r, now);
  if (!again && !after(end, c.recoveryPoint)) sample.original = true;
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
  if (again && (rtt < c.minRtt || (inOrder && sample.echoed && isBefore(c, sample.echo, sentAt)))) return;
  c.rackAdvanced = true;
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
  let lowest = c.sndNxt;
  if (isDuplicate(options, ack)) {
    const start = options.sack[0]!;
    takeDuplicate(c, start, options.sack[1]!);
    if (sample.duplicate && isSackedAgain(c, start)) lowest = start;
  }
  for (let i = 0; i < options.sackBlocks; i++) {
    let left = options.sack[2 * i]!;
    const right = options.sack[2 * i + 1]!;
    // Blocks of what was never sent, or that are turned around, are lies; below the ACK they are D-SACK.
    if (!before(left, right) || after(right, c.sndNxt)) {
      c.tcp.counters.badSackBlocks++;
      continue;
    }
    if (!after(right, ack)) continue;
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
      if ((flags & EVER_RETRANSMITTED) === 0 && before(records.start[r]!, sample.highest)) {
        if (before(records.start[r]!, lowest)) lowest = records.start[r]!;
      }
      unmark(c, r);
      records.flags[r]! |= SACKED;
      c.sackedOut += records.segments[r]!;
      noteDelivered(c, r, false, now);
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
  if (c.recovery !== Recovery.Loss || c.undoValid) noteReordering(c, lowest);
  return news;
}

/** Whether the first block tells of what had come before (RFC 2883, section 4): it is below the ACK, or in the second block. */
function isDuplicate(options: TcpOptions, ack: number): boolean {
  const { sack } = options;
  return before(sack[0]!, ack) ||
    (options.sackBlocks > 1 && !after(sack[1]!, sack[3]!) && !before(sack[0]!, sack[2]!));
}

/** Whether what was sent again at `sequence` is sacked: the first copy came late. */
function isSackedAgain(c: TcpConnection, sequence: number): boolean {
  const records = c.tcp.records;
  for (let r = c.head; r >= 0 && !after(records.start[r]!, sequence); r = records.next[r]!) {
    if (!after(records.end[r]!, sequence)) continue;
    return (records.flags[r]! & SACKED) !== 0 && (records.flags[r]! & EVER_RETRANSMITTED) !== 0;
  }
  return false;
}

/** One of our retransmissions came where its first copy had been (RFC 2883; RFC 3708). */
function takeDuplicate(c: TcpConnection, start: number, end: number): void {
  const length = end - start | 0;
  if (length <= 0 || length > c.maxSndWnd || after(end, c.sndNxt)) return;
  c.tcp.counters.receivedDuplicateSacks++;
  const segments = length > c.mss ? Math.ceil(length / c.mss) : 1;
  const probe = segments === 1 && c.probing && end === c.probeEnd;
  c.duplicateSacks += segments;
  // More than was ever sent again: the network made it, or the peer.
  if (c.duplicateSacks > c.retransmissions) return;
  sample.probeDuplicate = probe;
  if (c.reordering > 0 && !probe) widenReordering(c);
  sample.duplicate = true;
  c.delivered += segments;
  if (c.undoValid && c.undoRetransmits > 0 && after(end, c.undoStart)) {
    c.undoRetransmits = Math.max(0, c.undoRetransmits - segments);
  }
}

/** Removes what a cumulative ACK covers from the records and from the ring. */
function removeAcknowledged(c: TcpConnection, ack: number, now: number): void {
  const records = c.tcp.records;
  let removed = 0;
  let lowest = c.sndNxt;
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
      if ((flags & (EVER_RETRANSMITTED | SYN_RECORD)) === 0 && before(records.start[r]!, lowest)) {
        lowest = records.start[r]!;
      }
      unmark(c, r);
      noteDelivered(c, r, true, now);
    }
    if (flags & SYN_RECORD) sample.handshake = true;
    // A copy that waits for a slot has nothing to ask for any more.
    if (flags & SYN_RECORD) c.synDue = false;
    removed += segments;
    c.packetsOut -= segments;
    c.head = records.next[r]!;
    records.give(r);
    c.recordCount--;
    if (c.head < 0) c.tail = -1;
  }
  c.sndUna = ack;
  if (c.sackPermitted) {
    if (before(lowest, sample.highest)) noteReordering(c, lowest);
  } else if (removed > 0) {
    // The duplicate ACKs spoke of segments that this ACK covers, all but the first of them.
    c.delivered += Math.max(removed - c.sackedOut, 1) - removed;
    c.sackedOut = Math.max(0, c.sackedOut - (removed - 1));
    noteDuplicateReordering(c, removed);
  }
  c.path.confirm();
  const data = Math.min(ack - c.sendBase | 0, c.sendQueued);
  if (data > 0) {
    c.sendRing.advance(data);
    c.sendBase = c.sendBase + data | 0;
    c.sendQueued -= data;
    c.bytesAcked += data;
    if (c.sendQueued === 0) c.sendRing = c.sendRing.free();
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
    sampleRtt(c, now - first, c.sndUna, c.sndNxt, now - last);
  } else if (advanced && c.timestamps && options.timestamps && options.timestampEcho !== 0) {
    // Everything delivered was sent twice: the echo tells which copy it was (RFC 7323, section 4.1).
    const echoed = options.timestampEcho - c.tsOffset | 0;
    const ticks = Math.floor(now / 1000) - echoed | 0;
    if (ticks < 0 || ticks >= 120_000) return;
    const rtt = Math.max(ticks * 1000, 1);
    sampleRtt(c, rtt, c.sndUna, c.sndNxt, rtt);
  } else if (sample.handshake) {
    // Nothing is known of the path, but that it is slow or loses: as it was before RFC 6298 (section 5.7).
    resetRtt(c, FALLBACK_RTO);
    if (c.retransmissions > 1) c.cwnd = 1;
  } else return;
  c.backoff = c.doublings = 0;
}

/** Whether so much of the window was in use that it may grow; in slow start half of it is enough. */
function isWindowUsed(c: TcpConnection): boolean {
  return c.cwndLimited || (c.cwnd < c.ssthresh && c.cwnd < 2 * c.maxPacketsOut);
}
