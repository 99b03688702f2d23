/**
 * What is due when, and what happens then.
 *
 * @module
 */

import { sendAck } from "./acks.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { Recovery, SendTimer } from "./connection_state.ts";
import { drop, reset } from "./ending.ts";
import { noteTimeout } from "./fast_open.ts";
import { suspectBlackHole } from "./mtu_probing.ts";
import { sendIntoWindow } from "./new_data.ts";
import { output, retransmit, retransmitLost, sendProbe } from "./output.ts";
import { detectLate } from "./loss_detection.ts";
import { repairReordered, retransmissionTimeout } from "./repair.ts";
import { endOfFirstPiece } from "./pieces.ts";
import { SYN_RECORD } from "./sent.ts";
import { after } from "./sequence.ts";
import { sendTailProbe } from "./tail_probe.ts";

/** TIME-WAIT, and FIN-WAIT-2 of an orphan, in µs. */
export const TIME_WAIT = 60_000_000;
/** Longest time a single segment's delayed ACK is waited for by a tail loss probe (RFC 8985, section 7.2). */
const WORST_DELAYED_ACK = 200_000;
/** The probe while no round trip was measured, in µs. */
const UNKNOWN_PROBE = 1_000_000;
/** µs that Linux adds to timers that are compared with round trips. */
export const LEAST_TIMER = 2_000;

/** Least time between probes of a window, in µs (Linux's TCP_RTO_MIN). */
const LEAST_PROBE = 200_000;
/** Segments in flight from which duplicate ACKs tell of losses, and time-outs that do not double below that (as Linux). */
const THIN = 4, LINEAR_TIMEOUTS = 6;

/**
 * Sets the send timer for what is in flight, or for a closed window; replaces what was set.
 * @param probe Whether it may be the one of a tail loss probe.
 */
export function armSendTimer(c: TcpConnection, now: number, probe = true): void {
  if (c.head < 0) {
    if (c.state >= State.Established && waitsForWindow(c)) armWindowTimer(c, now, 0);
    else {
      c.sendTimer = SendTimer.None;
      c.sendTimerAt = Infinity;
    }
    return;
  }
  c.unansweredProbes = 0;
  // The first SYNs are not backed off, as with Linux's tcp_syn_linear_timeouts.
  const linear = c.state === State.SynSent ? c.tcp.settings.synLinearTimeouts : 0;
  const rto = backedOff(c, Math.max(0, c.doublings - linear));
  // Where a shorter timer was set for what is oldest, the time-out counts from when that was sent.
  const shorter = c.sendTimer === SendTimer.Reorder || c.sendTimer === SendTimer.Probe;
  c.sendTimer = SendTimer.Retransmit;
  c.sendTimerAt = shorter ? Math.max(c.tcp.records.sentAt[c.head]! + rto, now + 1) : now + rto;
  if (c.userTimeout > 0 && c.timeouts > 0) {
    const left = c.firstRetransmission + c.userTimeout - now;
    if (left < rto) c.sendTimerAt = now + Math.max(left, 1000);
  }
  if (probe) armTailProbe(c, now, rto);
  c.schedule();
}

/** Sets the timer for a window that keeps everything back. @param times How often its time has doubled. */
function armWindowTimer(c: TcpConnection, now: number, times: number): void {
  const base = Math.max(backedOff(c, c.doublings), LEAST_PROBE);
  c.sendTimer = SendTimer.Window;
  c.sendTimerAt = Math.min(
    now + Math.min(base * (1 << Math.min(times, 16)), c.mostRto),
    c.userTimeout > 0 ? Math.max(c.firstRetransmission + c.userTimeout, now + 1000) : Infinity,
  );
  c.schedule();
}

/**
 * The peer has told its window while nothing was in flight. If that takes all of the first piece, the next one begins
 * anew; otherwise the next probe waits from here on.
 */
export function windowTold(c: TcpConnection, now: number): void {
  if (!waitsForWindow(c)) return;
  if (after(endOfFirstPiece(c), c.sndUna + c.sndWnd | 0)) {
    armWindowTimer(c, now, c.backoff);
    return;
  }
  c.backoff = 0;
  c.sendTimer = SendTimer.None;
  c.sendTimerAt = Infinity;
  c.tcp.markDirty(c);
}

/** New data was sent: whatever was set, a tail loss probe comes first, but never later than the time-out of what is oldest. */
export function dataSent(c: TcpConnection, now: number): void {
  if (c.sendTimer !== SendTimer.Retransmit) armSendTimer(c, now, false);
  armTailProbe(c, now, Math.max(c.tcp.records.sentAt[c.head]! + backedOff(c, c.doublings) - now, 0));
  c.schedule();
}

/** Sets the timer of a tail loss probe where there may be one, at most `most` µs from now (RFC 8985, section 7.2). */
function armTailProbe(c: TcpConnection, now: number, most: number): void {
  if (
    !c.tcp.settings.tailLossProbe || !c.sackPermitted || c.recovery > Recovery.Reduced || c.disorder ||
    c.timeouts > 0 || c.state < State.Established || c.passiveFastOpen
  ) return;
  const probe = c.srtt === 0
    ? UNKNOWN_PROBE
    : 2 * c.srtt + (c.packetsOut === 1 ? WORST_DELAYED_ACK : LEAST_TIMER);
  // A probe is never worse than a time-out.
  c.sendTimer = SendTimer.Probe;
  c.sendTimerAt = now + (most > 0 ? Math.min(probe, most) : probe);
}

function backedOff(c: TcpConnection, times: number): number {
  return Math.min(c.rto * (1 << Math.min(times, 16)), c.mostRto);
}

/** Whether something waits to be sent and nothing in flight would bring an ACK. */
function waitsForWindow(c: TcpConnection): boolean {
  const unsent = c.sendQueued - (c.sndNxt - c.sendBase | 0);
  return (unsent > 0 || (c.finQueued && !c.finSent)) && c.head < 0;
}

/** Does what is due at `now`. */
export function expireTimers(c: TcpConnection, now: number): void {
  if (c.ackTimerAt <= now) {
    c.ackTimerAt = Infinity;
    // Nothing came for the ACK to ride on.
    c.interactive = false;
    c.tcp.counters.delayedAcks++;
    sendAck(c);
  }
  if (c.paceTimerAt <= now) {
    c.paceTimerAt = Infinity;
    output(c);
  }
  if (c.sendTimerAt <= now) expireSendTimer(c, now);
  if (c.lifeTimerAt <= now && c.state !== State.Closed) {
    c.lifeTimerAt = Infinity;
    // What was written was not handed over in the time that its owner gave it.
    if (c.orphan && c.linger < Infinity && c.state !== State.FinWait2 && c.state !== State.TimeWait) {
      c.tcp.counters.lingerTimeouts++;
      reset(c, null);
    } else {
      drop(c, null);
    }
  }
  if (c.keepAliveAt <= now && c.state !== State.Closed) expireKeepAlive(c, now);
}

function expireSendTimer(c: TcpConnection, now: number): void {
  const timer = c.sendTimer;
  c.sendTimer = SendTimer.None;
  c.sendTimerAt = Infinity;
  switch (timer) {
    case SendTimer.Retransmit:
      expireRetransmit(c, now);
      return;
    case SendTimer.Probe:
      // One probe at a time: without it, the time-out counts from when what is oldest was sent.
      c.sendTimer = sendTailProbe(c, now) ? SendTimer.None : SendTimer.Probe;
      armSendTimer(c, now, false);
      return;
    case SendTimer.Reorder:
      expireReorder(c, now);
      return;
    case SendTimer.Window:
      expireWindow(c, now);
      return;
  }
}

function expireReorder(c: TcpConnection, now: number): void {
  const { inFlight } = c;
  c.repairPaused = false;
  detectLate(c, now);
  // What is sent again counts from here; the time-out of what is oldest does not begin anew.
  c.sendTimer = SendTimer.Reorder;
  if (c.inFlight !== inFlight) {
    repairReordered(c, now);
    // New data waits for the next ACK, or for when it is its turn by rate.
    if (c.pacingRate > 0) output(c);
    else retransmitLost(c, now);
  }
  armSendTimer(c, now);
}

function expireRetransmit(c: TcpConnection, now: number): void {
  if (c.head < 0) return;
  const handshake = (c.tcp.records.flags[c.head]! & SYN_RECORD) !== 0;
  if (c.sndWnd === 0 && !c.orphan && !handshake) {
    expireShut(c, now);
    return;
  }
  if (c.timeouts++ === 0) {
    c.timeoutRows++;
    c.timeoutAt = now;
  }
  c.totalTimeouts++;
  c.tracer?.timeout(now);
  c.backoff++;
  c.doublings++;
  const { settings } = c.tcp;
  const most = handshake
    ? c.state === State.SynSent
      ? c.synRetries + settings.synLinearTimeouts
      : settings.synAckRetries + (c.passiveFastOpen ? 1 : 0)
    : c.orphan
    ? settings.orphanRetries
    : settings.dataRetries;
  const { deferred } = c;
  const defer = deferred ? c.listener?.deferRetries ?? 0 : 0;
  const over = c.timeouts > Math.max(most, defer) ||
    c.timeouts > 1 && now - c.firstRetransmission >= (c.userTimeout || Infinity);
  if (c.fastOpen !== null) noteTimeout(c, over, now);
  if (over) {
    c.tcp.counters.timedOut++;
    const what = handshake ? "Connection attempt timed out" : "Peer does not answer";
    drop(c, c.failure(c.softError ?? "TimedOut", what));
    return;
  }
  if (handshake) {
    c.tcp.counters.retransmissionTimeouts++;
    // Whoever has acknowledged it and keeps its data back is asked once more before the time for it ends.
    if (!deferred || c.timeouts >= defer) retransmit(c, c.head, 1, now);
  } else {
    suspectBlackHole(c, now);
    retransmissionTimeout(c, now);
    if (staysLinear(c)) c.backoff = c.doublings = 0;
  }
  armSendTimer(c, now);
}

/** The peer has taken its window back: what is sent again probes it, and counts as no attempt while the peer answers. */
function expireShut(c: TcpConnection, now: number): void {
  if (c.firstRetransmission === Infinity) c.firstRetransmission = now;
  const limit = Math.min(2 * c.mostRto, c.userTimeout || Infinity);
  const tried = now - c.firstRetransmission;
  if ((c.userTimeout > 0 && tried >= c.userTimeout) || (now - c.lastReceived > limit && tried > limit)) {
    c.tcp.counters.timedOut++;
    drop(c, c.failure(c.softError ?? "TimedOut", "Peer does not answer"));
    return;
  }
  c.tracer?.timeout(now);
  c.backoff++;
  c.doublings++;
  retransmissionTimeout(c, now);
  armSendTimer(c, now);
}

/** Whether so little is in flight that duplicates could not tell of a loss: its first time-outs do not double. */
function staysLinear(c: TcpConnection): boolean {
  return (c.thinLinearTimeouts || c.tcp.settings.thinLinearTimeouts) && c.state === State.Established &&
    c.packetsOut < THIN && c.timeouts <= LINEAR_TIMEOUTS;
}

function expireWindow(c: TcpConnection, now: number): void {
  if (!waitsForWindow(c)) return;
  if (sendIntoWindow(c, now)) {
    c.backoff = 0;
    if (c.sendTimer === SendTimer.None) armSendTimer(c, now);
    return;
  }
  const { settings } = c.tcp;
  // A window that stays shut is the peer's right; a peer that says nothing at all is gone. Nobody waits for an orphan.
  if (c.firstRetransmission === Infinity) c.firstRetransmission = now;
  const over = now - c.firstRetransmission >= (c.userTimeout || Infinity);
  if (
    over || c.unansweredProbes >= settings.dataRetries || (c.orphan && c.backoff >= settings.orphanRetries)
  ) {
    c.tcp.counters.timedOut++;
    drop(c, c.failure("TimedOut", "Peer does not answer window probes"));
    return;
  }
  // If our own device is busy, that says nothing of the peer.
  if (sendProbe(c)) {
    c.tcp.counters.windowProbes++;
    c.unansweredProbes++;
    if (c.backoff < settings.dataRetries) c.backoff++;
  }
  armWindowTimer(c, now, c.backoff);
}

function expireKeepAlive(c: TcpConnection, now: number): void {
  const idle = now - c.lastReceived;
  // What is in flight or waits for a window has timers of its own.
  if (c.head >= 0 || waitsForWindow(c) || c.state < State.Established) {
    c.keepAliveAt = now + c.keepAlive;
    return;
  }
  if (c.keepAliveProbes === 0 && idle < c.keepAlive) {
    c.keepAliveAt = c.lastReceived + c.keepAlive;
    return;
  }
  const over = c.userTimeout > 0
    ? c.keepAliveProbes > 0 && idle >= c.userTimeout
    : c.keepAliveProbes >= c.keepAliveLimit;
  if (over) {
    c.tcp.counters.timedOut++;
    reset(c, c.failure("TimedOut", "Peer does not answer keep-alive probes"));
    return;
  }
  if (sendProbe(c)) {
    c.keepAliveProbes++;
    c.tcp.counters.keepAliveProbes++;
  }
  c.keepAliveAt = now + c.keepAliveInterval;
}
