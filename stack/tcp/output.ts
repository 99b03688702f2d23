/**
 * Sending: what goes out when, in which pieces (RFC 9293, section 3.8; RFC 7323; RFC 2018).
 *
 * @module
 */

import { OFFLOAD_TSO4, OFFLOAD_TSO6 } from "../device.ts";
import { CHECKSUM_PARTIAL, GSO_ECN, GSO_TCPV4, GSO_TCPV6, type Packet } from "../packet.ts";
import * as wire from "../wire/tcp.ts";
import { sackLength, sendAck, writeSackOption } from "./acks.ts";
import { usualOptions } from "./accurate_ecn.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { Recovery, SendTimer } from "./connection_state.ts";
import { stampDelivery } from "./delivery_rate.ts";
import { sendQuantum, spend, superSegment, tooEarly } from "./pacing.ts";
import { updateMss } from "./segment_size.ts";
import { EVER_RETRANSMITTED, FIN_RECORD, LOST, PUSHED, RETRANSMITTED, SACKED, SYN_RECORD } from "./sent.ts";
import { toldOfGaps } from "./sack_compression.ts";
import { join, joinsRetransmission, recount, unmark } from "./scoreboard.ts";
import { after, before } from "./sequence.ts";
import { signatureLength } from "./signatures.ts";
import { sendNew } from "./new_data.ts";
import { firstWindow, retransmitSyn, sendSyn, trySyn } from "./syn.ts";
import { writeUrgent } from "./urgent.ts";
import { armSendTimer } from "./timers.ts";

/** Traffic class of packets that may be marked (RFC 3168, section 5). */
const ECT0 = 2;
/** Bytes of payload up to which copying into the slot is cheaper than a piece of its own. */
const COPY_LIMIT = 1024;
/** Largest IP packet. */
const MAX_PACKET = 65535;

/** Our timestamp clock, 1 ms a tick (RFC 7323, section 5.4). */
export function timestamp(c: TcpConnection): number {
  return Math.floor(c.tcp.stack.now / 1000) + c.tsOffset | 0;
}

/** Sends whatever may be sent now: retransmissions, new data, FIN, an ACK. */
export function output(c: TcpConnection): void {
  const now = c.tcp.stack.now;
  // The peer may have answered the first SYN while the second waited for a slot.
  if (c.state >= State.Established && !c.passiveFastOpen) c.synDue = false;
  // One that waits for a record has a time of its own.
  if (c.synDue && !(c.paceTimerAt > now && c.paceTimerAt < Infinity)) {
    c.synDue = false;
    if (c.head < 0) {
      sendSyn(c, now);
    } else {
      stamp(c, c.head, false, now);
      trySyn(c);
    }
  }
  if (!c.synDue && (c.state >= State.Established || c.passiveFastOpen) && c.state !== State.TimeWait) {
    updateMss(c);
    if (c.repairHeld) {
      sendNew(c, now);
      if (!after(c.sndNxt, c.recoveryPoint)) c.repairHeld = c.frto = false;
    }
    if (c.lostOut > c.retransOut && !c.repairHeld && !c.repairPaused) retransmitLost(c, now);
    sendNew(c, now);
  }
  if (c.ackNow && c.state >= State.SynReceived) sendAck(c);
  if (c.tracer !== null) c.tracer.changed(now);
}

/** Most payload bytes of one transmission, in whole segments. */
export function largest(c: TcpConnection): number {
  // Every segment has a signature of its own.
  if (c.signatureKey !== null || (c.accurate !== null && c.accurate.indivisible)) return c.segmentSize;
  const most = MAX_PACKET - c.path.headerLength - wire.MAX_HEADER_LENGTH;
  const device = c.path.interface.device;
  const offload = c.path.version === 4 ? OFFLOAD_TSO4 : OFFLOAD_TSO6;
  let segments = Math.max(Math.floor(most / c.mss), 1);
  // Cut in software, every segment needs a slot of its own.
  if ((device.offloads & offload) === 0 && device.free < segments) segments = Math.max(device.free - 1, 1);
  return segments * c.segmentSize;
}

export function segmentsOf(c: TcpConnection, length: number): number {
  return length <= c.segmentSize ? 1 : Math.ceil(length / c.segmentSize);
}

/** Notes when a record was sent, and what had been delivered by then. */
export function stamp(c: TcpConnection, record: number, fresh: boolean, now: number): void {
  const records = c.tcp.records;
  records.sentAt[record] = now;
  stampDelivery(c, record, fresh, now);
}

/** Puts a new record at the end. */
export function link(c: TcpConnection, record: number): void {
  const records = c.tcp.records;
  if (c.tail < 0) c.head = record;
  else records.next[c.tail] = record;
  c.tail = record;
  records.segmentBytes[record] = c.segmentSize;
  c.packetsOut += records.segments[record]!;
  c.recordCount++;
}

/** Sends records marked lost again, oldest first, as far as the window lets. */
export function retransmitLost(c: TcpConnection, now: number): void {
  const records = c.tcp.records;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    if (c.lostOut <= c.retransOut) return;
    const flags = records.flags[r]!;
    if ((flags & (LOST | RETRANSMITTED | SACKED)) !== LOST) continue;
    let quota = c.cwnd - c.inFlight;
    if (quota <= 0) return;
    if (c.pacingRate > 0) {
      if (tooEarly(c, now)) return;
      quota = Math.min(quota, sendQuantum(c) / c.mss);
    }
    if (!retransmit(c, r, quota, now)) return;
  }
}

/**
 * Sends a record again, at most `quota` segments of it.
 * @param probe As a tail loss probe, which does not count as repair.
 * @returns False when it could not be sent.
 */
export function retransmit(c: TcpConnection, r: number, quota: number, now: number, probe = false): boolean {
  const records = c.tcp.records;
  // What was acknowledged in part, or was built for a larger MTU, is cut anew.
  const start = records.start[r]!;
  let length = records.end[r]! - start | 0;
  let flags = wire.ACK;
  if (records.flags[r]! & SYN_RECORD) return retransmitSyn(c, r, now);
  // Another connection may have found that the path takes less.
  updateMss(c);
  if (records.flags[r]! & FIN_RECORD) length--;
  // What a peer has taken its window back from waits, but for the first segment, which asks for room.
  let room = (c.sndUna + c.sndWnd | 0) - start | 0;
  if (room <= 0) {
    if (start !== c.sndUna) return false;
    room = c.segmentSize;
  }
  // Small ones that follow go with it.
  const joins = c.tcp.settings.retransmitCollapse && !c.keepsRecords;
  while (joins && joinsRetransmission(c, r, length)) {
    unmark(c, records.next[r]!);
    join(c, r);
    records.segments[r]!--;
    c.packetsOut--;
    if (!c.sackPermitted && c.sackedOut > 0) c.sackedOut--;
    length = (records.end[r]! - start | 0) - (records.flags[r]! & FIN_RECORD ? 1 : 0);
  }
  const before = records.segments[r]!;
  const segments = segmentsOf(c, length);
  if (segments !== before) recount(c, r, segments);
  records.segmentBytes[r] = c.segmentSize;
  const size = c.segmentSize;
  let most = Math.min(quota * size, largest(c), c.pacingRate > 0 ? Infinity : superSegment(c) / c.mss * size);
  if (most > room) most = room - room % size || room;
  if (length > most) {
    // A window may cut within a segment.
    recount(c, r, segmentsOf(c, most) + segmentsOf(c, length - most));
    if (records.split(r, start + most | 0, segmentsOf(c, most)) < 0) return false;
    c.recordCount++;
    if (c.tail === r) c.tail = records.next[r]!;
    length = most;
  }
  if (records.flags[r]! & FIN_RECORD) flags |= wire.FIN;
  if (records.flags[r]! & PUSHED) flags |= wire.PSH;
  if (c.tracer !== null) c.tracer.retransmitted(start, length, false);
  if (!transmit(c, start, length, flags, false)) {
    c.tcp.retryLater(c);
    return false;
  }
  const count = records.segments[r]!;
  if (c.pacingRate > 0) spend(c, length, now);
  c.bytesRetransmitted += length;
  if (!probe && now < c.firstRetransmission) c.firstRetransmission = now;
  records.flags[r]! |= EVER_RETRANSMITTED;
  if (!probe && (records.flags[r]! & RETRANSMITTED) === 0) {
    records.flags[r]! |= RETRANSMITTED;
    c.retransOut += count;
  }
  c.retransmissions += count;
  c.tcp.counters.retransmittedSegments += count;
  if (c.recovery === Recovery.Fast || c.recovery === Recovery.Reduced) c.prrOut += count;
  if (!probe) {
    if (!c.undoSent) c.undoStamp = timestamp(c);
    c.undoSent = true;
    if (c.undoValid) c.undoRetransmits = Math.max(c.undoRetransmits, 0) + count;
  }
  stamp(c, r, false, now);
  acked(c);
  if (c.sendTimer !== SendTimer.Reorder && (r === c.head || c.sendTimer !== SendTimer.Retransmit)) {
    armSendTimer(c, now);
  }
  return true;
}

/**
 * Builds and sends one transmission of data already in the ring.
 * @param fresh Sent for the first time; only then it may say that it can be marked (RFC 3168, section 6.1.5).
 * @param whole One segment, however long. @returns False when no slot is free.
 */
export function transmit(
  c: TcpConnection,
  sequence: number,
  length: number,
  flags: number,
  fresh: boolean,
  whole = false,
): boolean {
  const path = c.path;
  const packet = path.reserve();
  if (packet === null) return false;
  if (length > 0) placePayload(c, packet, sequence - c.sendBase | 0, length);
  const usual = usualOptions(c);
  // What came out of order is told of here as well, where there is room for it.
  const sack = sackLength(c, usual);
  const longest = whole ? length : Math.min(length, c.segmentSize);
  const options = sack > 0 && longest + sack <= c.mss ? usual + sack : usual;
  const header = packet.push(wire.HEADER_LENGTH + options);
  // Whoever puts super-segments together again on the way knows by PSH that one is complete (as Linux).
  const super_ = length > c.segmentSize && !whole;
  if (super_) flags |= wire.PSH;
  writeSegment(c, packet, header, sequence, wire.HEADER_LENGTH + options, flags);
  writeUsualOptions(c, packet.view, header + wire.HEADER_LENGTH);
  if (options > usual) writeSackOption(c, packet.view, header + wire.HEADER_LENGTH + usual, sack);
  if (length > 0) {
    const segments = whole ? 1 : segmentsOf(c, length);
    c.dataSegmentsOut += segments;
    c.segmentsOut += segments - 1;
  }
  if (super_) {
    packet.gsoType = path.version === 4 ? GSO_TCPV4 : GSO_TCPV6;
    if (flags & wire.CWR && c.accurate === null) packet.gsoType |= GSO_ECN;
    packet.gsoSize = c.segmentSize;
  }
  c.lastTransmit = c.tcp.stack.now;
  c.tcp.counters.sentSegments++;
  path.send(packet, wire.PROTOCOL, c.trafficClass | (c.ecn && fresh && length > 0 ? ECT0 : 0), c.hopLimit);
  return true;
}

/** Writes the options that every segment of a connection has. */
function writeUsualOptions(c: TcpConnection, view: DataView, at: number): void {
  at += signatureLength(c);
  if (c.timestamps) {
    wire.writeTimestamps(view, at, timestamp(c), c.tsRecent);
    at += 12;
  }
  if (c.accurate !== null && c.accurate.optionLength(c) > 0) c.accurate.writeOption(view, at);
}

/** Puts payload from the ring into an empty packet, or attaches the ring's memory. */
export function placePayload(c: TcpConnection, packet: Packet, at: number, length: number): void {
  if (length <= COPY_LIMIT && packet.end + length <= packet.limit) {
    c.sendRing.copyTo(at, packet.bytes, packet.end, length);
    packet.end += length;
  } else {
    c.sendRing.attach(packet, at, length);
  }
}

/** Writes the header with the window of the moment, signs it if that was agreed on, and asks for the checksum. */
export function writeSegment(
  c: TcpConnection,
  packet: Packet,
  at: number,
  sequence: number,
  length: number,
  flags: number,
): void {
  const memory = c.receiveMemory;
  let window = memory === null ? c.receiveWindow : Infinity;
  // As Linux counts: what belongs to a handshake that the peer began is not the connection's.
  if ((flags & wire.SYN) === 0 || c.active) c.segmentsOut++;
  if ((flags & (wire.SYN | wire.RST)) === 0) {
    if (c.accurate !== null) flags |= c.accurate.flags(flags === wire.ACK && packet.length === length);
    else if (c.ecnEcho) flags |= wire.ECE;
  }
  if (flags & wire.SYN) {
    // Said again, it says what was offered before, whatever has become of the path meanwhile.
    window = Math.max(Math.min(firstWindow(c), window, 65535), Math.min(c.rcvAdv - c.rcvNxt | 0, 65535));
    const edge = c.rcvNxt + window | 0;
    if (after(edge, c.rcvAdv)) c.rcvAdv = edge;
  } else if (memory !== null) {
    window = memory.offer(c);
  } else {
    const offered = c.rcvAdv - c.rcvNxt | 0;
    // Before the handshake is over, no more than its SYN has said: it may have to be said again.
    if (c.state === State.SynReceived && window > offered) window = offered;
    // New room is rounded up to what the shift can say (as Linux), which moves the edge by less than that once. What was
    // offered before is not taken back.
    window = window > offered ? window + (1 << c.rcvShift) - 1 >> c.rcvShift : window >> c.rcvShift;
    // Rounding up moves the edge, which tiny segments must not use to get ever more room.
    const round = c.readable + offered <= 2 * c.receiveLimit;
    if (round && window << c.rcvShift < offered) window = offered + (1 << c.rcvShift) - 1 >> c.rcvShift;
    if (window > 65535) window = 65535;
    const edge = c.rcvNxt + (window << c.rcvShift) | 0;
    if (after(edge, c.rcvAdv)) c.rcvAdv = edge;
  }
  wire.writeHeader(
    packet.view,
    at,
    c.localPort,
    c.remotePort,
    sequence,
    flags & wire.ACK ? c.rcvNxt : 0,
    length,
    flags,
    window,
  );
  if (c.urgent) writeUrgent(c, packet.view, at, sequence);
  if (c.signatureKey !== null) {
    c.tcp.signer.sign(packet, at, length, c.path.source, c.path.destination, c.signatureKey);
  }
  finishChecksum(packet, at, c.path.addressSum);
  if (c.tracer !== null) c.tracer.sent(sequence, flags, packet.length - length, window);
}

/** Leaves the pseudo-header's sum in the checksum field, for the device or the interface to complete. */
export function finishChecksum(packet: Packet, at: number, addressSum: number): void {
  packet.transport = at;
  let sum = addressSum + wire.PROTOCOL + packet.length;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  wire.setChecksum(packet.view, at, sum);
  packet.flags |= CHECKSUM_PARTIAL;
  packet.checksumStart = at;
  packet.checksumOffset = wire.CHECKSUM_OFFSET;
}

/** What an ACK that was just sent settles. */
export function acked(c: TcpConnection): void {
  c.ackNow = false;
  c.ackTimerAt = Infinity;
  if (c.unacked > 0 && c.quickAcks > 0) c.quickAcks--;
  c.unacked = 0;
  c.smallSegments = 0;
  c.lastAck = c.rcvNxt;
  toldOfGaps(c);
}

/**
 * A probe that the peer must answer: one old byte's number, no data (zero window, keep-alive).
 * @returns False when no slot is free.
 */
export function sendProbe(c: TcpConnection): boolean {
  const packet = c.path.reserve();
  if (packet === null) return false;
  const options = usualOptions(c);
  const at = packet.push(wire.HEADER_LENGTH + options);
  writeUsualOptions(c, packet.view, at + wire.HEADER_LENGTH);
  writeSegment(c, packet, at, c.sndUna - 1 | 0, wire.HEADER_LENGTH + options, wire.ACK);
  c.tcp.counters.sentSegments++;
  c.path.send(packet, wire.PROTOCOL, c.trafficClass, c.hopLimit);
  return true;
}

/** Whether the peer's window keeps data back. */
export function windowClosed(c: TcpConnection): boolean {
  return !before(c.sndNxt, c.sndUna + c.sndWnd | 0);
}
