/**
 * The frames that the conformance suite sends, and how it looks at what came.
 *
 * @module
 */

import {
  type Bytes,
  CHECKSUM_PARTIAL,
  CHECKSUM_VALID,
  type Handler,
  HEADROOM,
  type Packet,
} from "../stack/packet.ts";
import { linkHeader } from "./frame.ts";

/** EtherType for experiments on a local network (IEEE 802, local experimental 1). */
export const ETHERTYPE = 0x88b5;

const IPV4 = 0x0800;
const TCP = 6;
/** Protocol for experiments (RFC 3692), of the suite's packets where there is no link header. */
const PROTOCOL = 253;
/** Bytes of an IPv4 header, and of one with a TCP header. Neither has options. */
const IP_HEADER = 20, SEGMENT_HEADERS = 40;
/** A port that nothing else uses (RFC 863 discard), in the addresses of RFC 2544 for tests. */
const PORT = 9;
const SOURCE = 0xc6120001, DESTINATION = 0xc6120002;

/** One frame that came, copied. */
export interface Captured {
  /** The whole frame. */
  bytes: Bytes;
  /** Bytes of it. */
  length: number;
  /** Bytes of its link header. */
  header: number;
  /** {@link Packet.flags}. */
  flags: number;
  /** {@link Packet.gsoType}. */
  gsoType: number;
  /** {@link Packet.gsoSize}. */
  gsoSize: number;
  /** {@link Packet.checksumStart}, from the start of the frame. */
  checksumStart: number;
  /** {@link Packet.checksumOffset}. */
  checksumOffset: number;
}

/** Keeps the frames of the suite and leaves out those of others. */
export class Collector implements Handler {
  /** Frames of the suite, in the order in which they came. */
  readonly frames: Captured[] = [];
  /** What was wrong with them. */
  readonly faults: string[] = [];
  /** Frames that came, those of others included. */
  seen = 0;
  /** Bytes of them. */
  seenBytes = 0;

  receive(packet: Packet): void {
    this.seen++;
    this.seenBytes += packet.length;
    const segment = isSegment(packet);
    if (!segment && !isTestFrame(packet)) return;
    const frame: Captured = {
      bytes: packet.bytes.slice(packet.offset, packet.end),
      length: packet.length,
      header: linkHeader(packet.device),
      flags: packet.flags,
      gsoType: packet.gsoType,
      gsoSize: packet.gsoSize,
      checksumStart: packet.checksumStart - packet.offset,
      checksumOffset: packet.checksumOffset,
    };
    this.frames.push(frame);
    if (!segment) checkFrame(frame, this.faults);
  }

  /** The numbers that the frames were sent with. */
  sequences(): number[] {
    return this.frames.map(({ bytes, header }) => new DataView(bytes.buffer).getUint32(dataAt(header) + 2));
  }
}

/** Whether it is a frame that {@link fillFrame} made. */
export function isTestFrame(packet: Packet): boolean {
  const { view, offset } = packet;
  const header = linkHeader(packet.device);
  if (packet.length < dataAt(header) + 6) return false;
  return header === 0
    ? view.getUint8(offset) === 0x45 && view.getUint8(offset + 9) === PROTOCOL
    : view.getUint16(offset + 12) === ETHERTYPE;
}

/** The number that {@link fillFrame} gave a frame. */
export function sequenceOf(packet: Packet): number {
  return packet.view.getUint32(packet.offset + dataAt(linkHeader(packet.device)) + 2);
}

/** Where the suite's own bytes begin: behind the link header, or an IP header in its place. */
function dataAt(header: number): number {
  return header === 0 ? IP_HEADER : header;
}

/**
 * Lays out a numbered frame of `length` bytes: addresses, type, length, number and a pattern; on a medium without link
 * header, an IPv4 packet. Pieces that are there already are filled as part of it.
 * @param start Where it begins; by default where frames of a fresh slot do, or the cursor of a used one.
 */
export function fillFrame(
  packet: Packet,
  to: Uint8Array,
  from: Uint8Array,
  sequence: number,
  length: number,
  start: number = packet.length === 0 ? packet.base + HEADROOM - linkHeader(packet.device) : packet.offset,
): void {
  const { bytes, view } = packet;
  const pieces = packet.piece0Length;
  packet.offset = start;
  packet.end = start + length - pieces;
  const header = linkHeader(packet.device);
  const data = dataAt(header);
  if (header === 0) fillIpHeader(packet, start, PROTOCOL, length);
  else {
    bytes.set(to, start);
    bytes.set(from, start + 6);
    view.setUint16(start + 12, ETHERTYPE);
  }
  view.setUint16(start + data, length);
  view.setUint32(start + data + 2, sequence);
  for (let at = data + 6; at < length - pieces; at++) bytes[start + at] = patternAt(sequence, at);
  for (let at = 0; at < pieces; at++) {
    packet.piece0!.bytes[packet.piece0Offset + at] = patternAt(sequence, length - pieces + at);
  }
}

function patternAt(sequence: number, at: number): number {
  return (sequence * 7 + at * 13 + (at >> 8)) & 255;
}

function checkFrame(frame: Captured, faults: string[]): void {
  const { bytes, length } = frame;
  const view = new DataView(bytes.buffer);
  const data = dataAt(frame.header);
  const sequence = view.getUint32(data + 2);
  if (view.getUint16(data) !== length) {
    faults.push(`Frame ${sequence} came with ${length} bytes, sent with ${view.getUint16(data)}`);
  }
  for (let at = data + 6; at < length; at++) {
    if (bytes[at] !== patternAt(sequence, at)) {
      faults.push(`Frame ${sequence} of ${length} bytes is damaged at ${at}`);
      return;
    }
  }
}

function isSegment(packet: Packet): boolean {
  const { view, offset } = packet;
  const header = linkHeader(packet.device);
  const ip = offset + header;
  return packet.length >= header + SEGMENT_HEADERS &&
    (header === 0 ? view.getUint8(ip) === 0x45 : view.getUint16(offset + 12) === IPV4) &&
    view.getUint8(ip + 9) === TCP && view.getUint16(ip + 22) === PORT;
}

/** Writes an IPv4 header for a packet of `length` bytes. */
function fillIpHeader({ bytes, view }: Packet, at: number, protocol: number, length: number): void {
  bytes.fill(0, at, at + IP_HEADER);
  view.setUint8(at, 0x45);
  view.setUint16(at + 2, length);
  view.setUint8(at + 8, 64);
  view.setUint8(at + 9, protocol);
  view.setUint32(at + 12, SOURCE);
  view.setUint32(at + 16, DESTINATION);
  view.setUint16(at + 10, ~sum(bytes, at, IP_HEADER, 0) & 0xffff);
}

/**
 * Lays out a TCP segment over IPv4 whose checksum is left to the device: the field holds the sum of the
 * pseudo-header, folded and not inverted.
 */
export function fillSegment(
  packet: Packet,
  to: Uint8Array,
  from: Uint8Array,
  sequence: number,
  payload: number,
): void {
  const { bytes, view } = packet;
  const ip = packet.base + HEADROOM;
  const start = ip - linkHeader(packet.device);
  packet.offset = start;
  packet.end = ip + SEGMENT_HEADERS + payload;
  bytes.fill(0, start, ip + SEGMENT_HEADERS);
  if (start < ip) {
    bytes.set(to, start);
    bytes.set(from, start + 6);
    view.setUint16(start + 12, IPV4);
  }
  fillIpHeader(packet, ip, TCP, SEGMENT_HEADERS + payload);
  const tcp = ip + 20;
  view.setUint16(tcp, PORT);
  view.setUint16(tcp + 2, PORT);
  view.setUint32(tcp + 4, sequence);
  view.setUint8(tcp + 12, 0x50);
  view.setUint8(tcp + 13, 0x10);
  view.setUint16(tcp + 14, 0xffff);
  view.setUint16(tcp + 16, sum(bytes, ip + 12, 8, TCP + 20 + payload));
  for (let at = 0; at < payload; at++) bytes[tcp + 20 + at] = patternAt(0, sequence + at);
  packet.flags = CHECKSUM_PARTIAL;
  packet.checksumStart = tcp;
  packet.checksumOffset = 16;
}

/** Whether the TCP checksum of a frame is complete, or left to be completed at the right place. */
export function checksumState(frame: Captured): "good" | "bad" {
  const { bytes, header: ip } = frame;
  const payload = new DataView(bytes.buffer).getUint16(ip + 2) - IP_HEADER;
  const pseudo = sum(bytes, ip + 12, 8, TCP + payload);
  const tcp = ip + IP_HEADER;
  if ((frame.flags & CHECKSUM_PARTIAL) !== 0) {
    if ((frame.flags & CHECKSUM_VALID) === 0) return "bad";
    const field = new DataView(bytes.buffer).getUint16(tcp + 16);
    return frame.checksumStart === tcp && frame.checksumOffset === 16 && field === pseudo ? "good" : "bad";
  }
  return sum(bytes, tcp, payload, pseudo) === 0xffff ? "good" : "bad";
}

/** How many payload bytes the segments carry, counted from the first on, and how many of them are wrong. */
export function segmentPayload(frames: readonly Captured[]): { bytes: number; faults: number } {
  let bytes = 0, faults = 0;
  for (const frame of frames) {
    const view = new DataView(frame.bytes.buffer);
    const sequence = view.getUint32(frame.header + IP_HEADER + 4);
    const length = view.getUint16(frame.header + 2) - SEGMENT_HEADERS;
    if (sequence !== bytes) faults++;
    for (let at = 0; at < length; at++) {
      if (frame.bytes[frame.header + SEGMENT_HEADERS + at] !== patternAt(0, sequence + at)) faults++;
    }
    bytes += length;
  }
  return { bytes, faults };
}

/** Plain Internet checksum (RFC 1071), folded, not inverted. */
function sum(bytes: Bytes, from: number, length: number, start: number): number {
  let total = start;
  for (let at = 0; at < length; at++) total += (at & 1) === 0 ? bytes[from + at]! << 8 : bytes[from + at]!;
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}
