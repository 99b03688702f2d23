/**
 * What was never sent: when it goes out, and in which segments (RFC 9293, sections 3.7.4 and 3.8.6.2.1; RFC 7661).
 *
 * @module
 */

import * as wire from "../wire/tcp.ts";
import { DELAYED_ACK } from "./acks.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { Limit, Recovery, SendTimer } from "./connection_state.ts";
import { markAppLimited } from "./delivery_rate.ts";
import { sendMtuProbe } from "./mtu_probing.ts";
import { acked, largest, link, segmentsOf, stamp, transmit, windowClosed } from "./output.ts";
import { sendQuantum, spend, superSegment, tooEarly } from "./pacing.ts";
import { closes, firstPiece, forgetSent, pushes } from "./pieces.ts";
import { updateMss } from "./segment_size.ts";
import { FIN_RECORD, PUSHED } from "./sent.ts";
import { after, before } from "./sequence.ts";
import { armSendTimer, dataSent } from "./timers.ts";

/** µs after a transmission in which another one may wait to become larger. */
const DEFER_TIME = 1000;

/** What becomes of a super-segment that the windows cut short. */
enum Deferral {
  /** It goes out as it is. */
  None,
  /** It waits for the next ACK. */
  Waits,
  /** It waits, and it is the congestion window that cuts it short. */
  WaitsForWindow,
}

/**
 * Sends what was never sent, as far as the windows let.
 * @param probe At least one segment, whatever the congestion window says: a tail loss probe.
 */
export function sendNew(c: TcpConnection, now: number, probe = false): void {
  let unsent = c.sendQueued - (c.sndNxt - c.sendBase | 0);
  if (c.finSent) return;
  const waiting = unsent > 0;
  const before_ = c.sndNxt;
  if (waiting && c.packetsOut === 0) {
    const control = c.congestion.rateControl;
    if (control === null) restartAfterIdle(c, now);
    else control.restarted(c, now);
  }
  const right = c.sndUna + c.sndWnd | 0;
  const paced = c.pacingRate > 0;
  if (waiting && !probe && c.mtuProbing !== null && !c.keepsRecords) {
    const probed = sendMtuProbe(c, c.mtuProbing, unsent, now);
    if (probed < 0) return;
    unsent -= probed;
  }
  forgetSent(c);
  const size = c.segmentSize;
  let deferral = Deferral.None;
  let held = false;
  while (unsent > 0 || c.finQueued) {
    // An answer to a SYN's data does not count its SYN-ACK.
    const free = c.cwnd - c.inFlight + (c.state === State.SynReceived ? 1 : 0);
    let quota = Math.min(free, Math.max(c.cwnd >> 1, 1));
    if (quota <= 0) {
      if (!probe) break;
      quota = 1;
    }
    const room = right - c.sndNxt | 0;
    if (room <= 0) break;
    if (paced && !probe && tooEarly(c, now)) {
      held = true;
      break;
    }
    const segments = (paced ? sendQuantum(c) : superSegment(c)) / c.mss;
    const whole = Math.min(largest(c), segments * size);
    const most = Math.min(quota * size, whole);
    let length = unsent > 0 ? firstPiece(c, most, unsent) : 0;
    const last = length === unsent;
    if (length <= size) {
      if (length + (last && c.finQueued ? 1 : 0) > room) break;
      if (length < size && last && !probe && !sendsSmall(c)) break;
    } else {
      if (room < size) break;
      if (!paced && !probe) {
        deferral = defers(c, length, last, Math.min(free * c.mss, room), room, whole, now);
        if (deferral !== Deferral.None) break;
      }
      length = cut(c, length, last, most, room, probe || before(c.sndNxt, c.sentIfPushed));
    }
    const fin = c.finQueued && length === unsent;
    if (!sendPiece(c, length, fin, pushes(c, c.sndNxt + length | 0), now)) break;
    unsent -= length;
    if (paced) spend(c, length, now);
    if (c.sendTimer !== SendTimer.Reorder && (c.sendTimer !== SendTimer.Retransmit || !probe)) {
      dataSent(c, now);
    }
    if (fin || probe) break;
  }
  c.paceHeld = held;
  c.sentIfPushed = c.sndNxt;
  if (waiting) {
    const shut = c.cwnd > c.inFlight && (right - c.sndNxt | 0) < Math.min(unsent, c.mss);
    // All is sent, and the application would write more if there were room.
    const full = unsent === 0 && c.writeBlocked;
    c.limitedBy(shut ? Limit.Window : full ? Limit.Buffer : Limit.Network, now);
    judgeWindowUse(c, c.sndNxt !== before_, deferral === Deferral.WaitsForWindow);
  }
  if (unsent < c.mss && c.inFlight < c.cwnd && c.lostOut <= c.retransOut) markAppLimited(c);
  if (c.packetsOut === 0 && c.sendTimer === SendTimer.None) armSendTimer(c, now);
}

/** Sends `length` bytes from SND.NXT on, which the first piece has. @returns False when they could not be sent. */
function sendPiece(c: TcpConnection, length: number, fin: boolean, push: boolean, now: number): boolean {
  const records = c.tcp.records;
  const record = records.take();
  if (record < 0) return false;
  const flags = wire.ACK | (push ? wire.PSH : 0) | (fin ? wire.FIN : 0);
  const end = c.sndNxt + length + (fin ? 1 : 0) | 0;
  records.start[record] = c.sndNxt;
  records.end[record] = end;
  records.segments[record] = segmentsOf(c, length);
  if (fin) records.flags[record]! |= FIN_RECORD;
  if (push) records.flags[record]! |= PUSHED;
  if (!transmit(c, c.sndNxt, length, c.cwrDue && length > 0 ? flags | wire.CWR : flags, true)) {
    // No slot is free: the device has its hands full, and the next turn tries again.
    records.give(record);
    c.tcp.retryLater(c);
    return false;
  }
  if (length > 0) c.cwrDue = false;
  stamp(c, record, true, now);
  link(c, record);
  if (length % c.segmentSize !== 0) c.smallEnd = end;
  c.sndNxt = end;
  forgetSent(c);
  c.bytesSent += length;
  if (c.recovery === Recovery.Fast || c.recovery === Recovery.Reduced) {
    c.prrOut += records.segments[record]!;
  }
  // A response carries the ACK of its request; from then on ACKs wait for responses.
  if (now - c.lastData < DELAYED_ACK) c.interactive = true;
  if (length > 0) c.lastSent = now;
  acked(c);
  if (fin) {
    c.finSent = true;
    if (c.state === State.Established || c.state === State.SynReceived) c.state = State.FinWait1;
    else if (c.state === State.CloseWait) c.state = State.LastAck;
  }
  return true;
}

/**
 * Something waits, nothing is in flight, and the time for it is over: one segment goes out, cut to the peer's window,
 * or none but a probe if that is shut (RFC 9293, sections 3.8.6.1 and 3.8.6.2.1).
 * @returns Whether there was room for data.
 */
export function sendIntoWindow(c: TcpConnection, now: number): boolean {
  if (windowClosed(c)) return false;
  const unsent = c.sendQueued - (c.sndNxt - c.sendBase | 0);
  const room = (c.sndUna + c.sndWnd | 0) - c.sndNxt | 0;
  forgetSent(c);
  updateMss(c);
  const piece = unsent > 0 ? firstPiece(c, 0, unsent) : 0;
  const length = Math.min(piece, room, c.segmentSize);
  const fin = c.finQueued && length === unsent && length < room;
  if (!sendPiece(c, length, fin, true, now)) c.tcp.retryLater(c);
  else armSendTimer(c, now, false);
  c.sentIfPushed = c.sndNxt;
  return true;
}

/**
 * Whether a super-segment that the windows cut short waits for the next ACK to become whole (as Linux's
 * tcp_tso_should_defer): only right behind another transmission, and only if an ACK is due.
 * @param length Bytes of the first piece. @param last Nothing follows it. @param limit What both windows allow, in bytes.
 * @param room What the peer's window allows. @param whole Bytes of a whole one.
 */
function defers(
  c: TcpConnection,
  length: number,
  last: boolean,
  limit: number,
  room: number,
  whole: number,
  now: number,
): Deferral {
  if (c.recovery >= Recovery.Fast || now - c.lastTransmit > DEFER_TIME) return Deferral.None;
  if (limit >= whole || (!last && limit >= length)) return Deferral.None;
  if (limit >= Math.floor(Math.min(c.sndWnd, c.cwnd * c.mss) / 3) || c.head < 0) return Deferral.None;
  // How long until the ACK of what is oldest should come.
  const wait = c.tcp.records.sentAt[c.head]! + c.srtt - now;
  if (wait > Math.min(c.srtt / 2, DEFER_TIME)) return Deferral.None;
  if (limit <= length) return limit < room ? Deferral.WaitsForWindow : Deferral.Waits;
  return (last && c.finQueued) || closes(c, c.sndNxt + length | 0) ? Deferral.None : Deferral.Waits;
}

/**
 * Bytes of the next transmission, of a first piece that is longer than a segment.
 * @param pushed Nagle's rule does not hold for it: a probe, or what Linux sends while the application writes.
 */
function cut(
  c: TcpConnection,
  length: number,
  last: boolean,
  most: number,
  room: number,
  pushed: boolean,
): number {
  if (c.urgent) return c.segmentSize;
  if (most <= room && !last) return Math.min(length, most);
  const needed = Math.min(length, room);
  if (most <= needed) return most;
  // What is less than a segment goes with the others, unless one like it is in flight.
  const remnant = needed % c.segmentSize;
  return remnant > 0 && !pushed && holdsSmall(c) ? needed - remnant : needed;
}

/** Notes how much of the congestion window is in use: one that is not used does not grow (RFC 7661). */
function judgeWindowUse(c: TcpConnection, sent: boolean, deferred: boolean): void {
  const limited = deferred || c.inFlight >= c.cwnd;
  if (!sent && !limited) return;
  if (!before(c.sndUna, c.cwndUsageEnd) || limited || (!c.cwndLimited && c.packetsOut > c.maxPacketsOut)) {
    c.cwndLimited = limited;
    c.maxPacketsOut = c.packetsOut;
    c.cwndUsageEnd = c.sndNxt;
  }
}

/** Halves the window for every time-out of silence, down to where it began (RFC 5681, section 4.1; RFC 2861). */
function restartAfterIdle(c: TcpConnection, now: number): void {
  const { settings } = c.tcp;
  const { rto } = c;
  let idle = now - c.lastSent;
  if (!settings.slowStartAfterIdle || idle <= rto || idle === Infinity || c.cwnd <= settings.initialWindow) {
    return;
  }
  let { cwnd } = c;
  if (c.recovery === Recovery.Open) c.ssthresh = Math.max(c.ssthresh, (cwnd >> 1) + (cwnd >> 2));
  while ((idle -= rto) > 0 && cwnd > settings.initialWindow) cwnd >>= 1;
  c.cwnd = Math.max(cwnd, settings.initialWindow);
}

/** Whether less than a segment, with nothing behind it, may go out now. */
function sendsSmall(c: TcpConnection): boolean {
  return c.pushSmall || c.urgent || c.finQueued || !holdsSmall(c);
}

/** Whether less than a segment waits for more, or for an ACK (Minshall's variant of Nagle's rule). */
function holdsSmall(c: TcpConnection): boolean {
  if (c.finQueued) return false;
  if (c.corked || c.moreComing) return true;
  return !c.noDelay && c.packetsOut > 0 && after(c.smallEnd, c.sndUna);
}
