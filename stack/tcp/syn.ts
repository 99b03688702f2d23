/**
 * SYN and SYN-ACK: what they offer, and how they are sent again (RFC 9293, section 3.10.1; RFC 7323; RFC 3168).
 *
 * @module
 */

import * as wire from "../wire/tcp.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { Limit } from "./connection_state.ts";
import { drop } from "./ending.ts";
import { prepareSyn } from "./fast_open.ts";
import { link, placePayload, stamp, timestamp, writeSegment } from "./output.ts";
import { EVER_RETRANSMITTED, PUSHED, RETRANSMITTED, SYN_RECORD } from "./sent.ts";
import { signatureLength } from "./signatures.ts";
import { armSendTimer } from "./timers.ts";

/** Sends SYN or SYN-ACK, by state, as a new record. */
export function sendSyn(c: TcpConnection, now: number): void {
  const records = c.tcp.records;
  const r = records.take();
  if (r < 0) {
    c.tcp.counters.noRecords++;
    retrySyn(c, now);
    return;
  }
  c.timeouts = 0;
  records.start[r] = c.iss;
  records.end[r] = c.iss + 1 | 0;
  records.segments[r] = 1;
  records.flags[r] = SYN_RECORD;
  c.sndNxt = c.iss + 1 | 0;
  // Its owner's time for an answer begins here, and not with the second one (as Linux).
  if (c.state === State.SynSent && c.userTimeout > 0) c.firstRetransmission = now;
  stamp(c, r, true, now);
  link(c, r);
  if (c.fastOpen !== null && c.state === State.SynSent) sendSynData(c, now);
  trySyn(c);
  armSendTimer(c, now);
}

/** No record is free. A peer's SYN comes again by itself; ours is tried again, as if it had been lost. */
function retrySyn(c: TcpConnection, now: number): void {
  if (c.state !== State.SynSent) {
    drop(c, null);
    return;
  }
  if (c.timeouts++ >= c.synRetries) {
    drop(c, c.failure("TooMany", "Too much is in flight to open a connection"));
    return;
  }
  c.synDue = true;
  c.paceTimerAt = now + c.rto;
  c.schedule();
}

/** Puts the data that goes with the SYN behind it in flight (RFC 7413, section 4.2.1). */
function sendSynData(c: TcpConnection, now: number): void {
  const records = c.tcp.records;
  const state = c.fastOpen!;
  prepareSyn(c);
  if (state.synLength === 0) return;
  const r = records.take();
  if (r < 0) {
    state.synLength = 0;
    state.sentData = false;
    return;
  }
  records.start[r] = c.sndNxt;
  records.end[r] = c.sndNxt = c.sndNxt + state.synLength | 0;
  records.segments[r] = 1;
  records.flags[r] = PUSHED;
  stamp(c, r, true, now);
  link(c, r);
  c.bytesSent += state.synLength;
  c.dataSegmentsOut++;
  c.lastSent = now;
  c.limitedBy(Limit.Network, now);
}

/** Sends the SYN, or does so when the device has a slot again: until a time-out might find none once more. */
export function trySyn(c: TcpConnection): boolean {
  c.synDue = !writeSyn(c);
  if (!c.synDue) return true;
  c.tcp.retryLater(c);
  return false;
}

/** Sends a SYN again. */
export function retransmitSyn(c: TcpConnection, r: number, now: number): boolean {
  const records = c.tcp.records;
  if ((records.flags[r]! & RETRANSMITTED) === 0) {
    records.flags[r]! |= RETRANSMITTED | EVER_RETRANSMITTED;
    c.retransOut++;
  }
  if (c.tracer !== null) c.tracer.retransmitted(c.iss, 0, true);
  c.retransmissions++;
  c.tcp.counters.retransmittedSegments++;
  stamp(c, r, false, now);
  return trySyn(c);
}

/** Builds SYN or SYN-ACK. A SYN offers every option; a SYN-ACK those that the SYN had (RFC 7323, section 1.3). */
export function writeSyn(c: TcpConnection): boolean {
  const packet = c.path.reserve();
  if (packet === null) return false;
  // Who takes data from a SYN may have gone on to a later state before the SYN-ACK is sent again.
  const answer = c.state !== State.SynSent;
  const { settings } = c.tcp;
  const fastOpen = c.fastOpen;
  const cookie = fastOpen === null ? null : fastOpen.option;
  const data = fastOpen === null ? 0 : fastOpen.synLength;
  const signature = signatureLength(c);
  // Not both, for want of room (as Linux).
  const stamps = answer ? c.timestamps : settings.timestamps && signature === 0;
  const sack = answer ? c.sackPermitted : settings.sack;
  const scale = answer ? c.windowScaling : settings.windowScaling;
  let length = wire.HEADER_LENGTH + signature + 4 + (stamps ? 12 : sack ? 4 : 0) + (scale ? 4 : 0) +
    (cookie === null ? 0 : wire.fastOpenLength(cookie.length, fastOpen!.experimental));
  // Not in a SYN (RFC 9768, section 3.2.3).
  const ecn = answer && c.accurate !== null
    ? c.accurate.synOptionLength(c, wire.MAX_HEADER_LENGTH - length)
    : 0;
  length += ecn;
  if (data > 0) placePayload(c, packet, 0, data);
  const at = packet.push(length);
  const view = packet.view;
  let p = at + wire.HEADER_LENGTH + signature;
  const most = c.path.interface.mtu - c.path.headerLength - wire.HEADER_LENGTH;
  const mss = Math.min(most, c.mssLimit || 65495, c.offeredMss || 65495, 65495);
  view.setInt32(p, wire.OPTION_MSS << 24 | 4 << 16 | mss);
  p += 4;
  if (stamps) {
    if (sack) view.setInt32(p, 0x0402080a);
    else view.setInt32(p, 0x0101080a);
    view.setInt32(p + 4, timestamp(c));
    view.setInt32(p + 8, answer ? c.tsRecent : 0);
    p += 12;
  }
  if (ecn > 0) c.accurate!.writeOption(view, p);
  p += ecn;
  if (sack && !stamps) {
    view.setInt32(p, 0x01010402);
    p += 4;
  }
  if (scale) {
    view.setInt32(p, 0x01030300 | c.rcvShift);
    p += 4;
  }
  if (cookie !== null) wire.writeFastOpen(view, p, cookie, fastOpen!.experimental);
  writeSegment(c, packet, at, c.iss, length, wire.SYN | (answer ? wire.ACK : 0) | ecnSetup(c, answer));
  c.tcp.counters.sentSegments++;
  c.path.send(packet, wire.PROTOCOL, c.trafficClass, c.hopLimit);
  c.lastAck = c.rcvNxt;
  c.ackNow = false;
  if (fastOpen !== null) {
    // Sent again, it is an ordinary one (RFC 7413, section 4.1.3.1).
    fastOpen.option = null;
    fastOpen.synLength = 0;
  }
  return true;
}

/** RFC 3168, section 6.1.1; a SYN that was lost is sent again without (section 6.1.1.1). */
function ecnSetup(c: TcpConnection, answer: boolean): number {
  if (c.accurate !== null) return c.accurate.setup(answer, c.timeouts);
  if (!c.ecn || (c.timeouts > 0 && c.tcp.settings.ecnFallback)) return 0;
  return answer ? wire.ECE : wire.ECE | wire.CWR;
}

/** The window of a SYN: half of the first buffer in whole segments, or what was set for this connection. */
export function firstWindow(c: TcpConnection): number {
  if (c.receiveMemory !== null) return c.receiveMemory.first(c);
  const options = c.state === State.SynReceived && c.timestamps ? 12 : 0;
  const size = c.path.interface.mtu - c.path.headerLength - wire.HEADER_LENGTH - options;
  const most = Math.min(c.tcp.settings.receiveDefault >> 1, c.windowClamp);
  return Math.min(most > size ? most - most % size : most, c.firstWindowLimit * size);
}
