/**
 * What routers and middleboxes do to packets on the way: refuse them, and, with IPv4 alone, mark them and meddle with options.
 *
 * @module
 */

import { type Bytes, CHECKSUM_PARTIAL } from "../../stack/packet.ts";
import * as tcp from "../../stack/wire/tcp.ts";
import type { Frame } from "./link.ts";

const IP = 14;

function u16(bytes: Bytes, at: number): number {
  return bytes[at]! << 8 | bytes[at + 1]!;
}

function put16(bytes: Bytes, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** The Internet checksum of a range, one byte pair after the other. */
export function checksum(bytes: Bytes, from: number, to: number, sum = 0): number {
  for (let i = from; i < to; i += 2) sum += bytes[i]! << 8 | (i + 1 < to ? bytes[i + 1]! : 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Whether a frame is ARP. */
export function isArp(bytes: Bytes): boolean {
  return u16(bytes, 12) === 0x0806;
}

/** Where the IP packet's payload begins. */
export function payloadAt(bytes: Bytes): number {
  return isIpv6(bytes) ? IP + 40 : IP + ((bytes[IP]! & 15) << 2);
}

/** Whether a frame is IPv6. */
export function isIpv6(bytes: Bytes): boolean {
  return u16(bytes, 12) === 0x86dd;
}

/** Whether a frame is TCP over IPv4. */
function isTcp4(bytes: Bytes): boolean {
  return u16(bytes, 12) === 0x0800 && bytes[IP + 9] === 6;
}

/** Whether a frame is TCP, over IPv4 or IPv6. */
export function isTcp(bytes: Bytes): boolean {
  return isTcp4(bytes) || (isIpv6(bytes) && bytes[IP + 6] === 6);
}

/** Whether a frame is UDP, or a fragment of it: TCP is not cut. */
export function isDatagram(bytes: Bytes): boolean {
  if (isIpv6(bytes)) return bytes[IP + 6] === 17 || bytes[IP + 6] === 44;
  return u16(bytes, 12) === 0x0800 && bytes[IP + 9] === 17;
}

/** Whether a frame asks for a neighbour, or answers: ARP, or what neighbour discovery says (RFC 4861). */
export function isSolicitation(bytes: Bytes): boolean {
  return isArp(bytes) ||
    (isIpv6(bytes) && bytes[IP + 6] === 58 && (bytes[IP + 40]! === 135 || bytes[IP + 40]! === 136));
}

/** What the fragments of a packet share, its identification; -1 for a packet that is whole. */
export function packetOfPiece(bytes: Bytes): number {
  if (isIpv6(bytes)) return bytes[IP + 6] === 44 ? u16(bytes, IP + 44) * 65536 + u16(bytes, IP + 46) : -1;
  return u16(bytes, 12) === 0x0800 && (u16(bytes, IP + 6) & 0x3fff) !== 0 ? u16(bytes, IP + 4) : -1;
}

/** Bytes of an IP packet; 0 for anything else. */
export function ipLength(bytes: Bytes): number {
  if (isIpv6(bytes)) return 40 + u16(bytes, IP + 4);
  return u16(bytes, 12) === 0x0800 ? u16(bytes, IP + 2) : 0;
}

/** Marks a packet whose sender has asked for it (RFC 3168). @returns Whether it could be marked. */
export function markCongested(frame: Frame): boolean {
  const { bytes } = frame;
  if (!isTcp4(bytes) || (bytes[IP + 1]! & 3) === 0) return false;
  bytes[IP + 1]! |= 3;
  put16(bytes, IP + 10, 0);
  put16(bytes, IP + 10, checksum(bytes, IP, IP + 20));
  return true;
}

/** Fills `reply` with the ICMP error of a router through which `frame` does not fit (RFC 1191, section 4; RFC 4443, section 3.2). */
export function packetTooBig(frame: Frame, mtu: number, reply: Frame): void {
  const { bytes } = reply;
  const six = isIpv6(frame.bytes);
  const header = six ? 40 : 20;
  const icmp = IP + header;
  const quoted = Math.min(six ? 1280 - 48 : 28, frame.length - IP);
  reply.length = icmp + 8 + quoted;
  bytes.fill(0, 0, reply.length);
  bytes.set(frame.bytes.subarray(6, 12), 0);
  bytes.set(frame.bytes.subarray(0, 6), 6);
  put16(bytes, 12, six ? 0x86dd : 0x0800);
  put16(bytes, icmp + 6, mtu);
  bytes.set(frame.bytes.subarray(IP, IP + quoted), icmp + 8);
  let sum = 0;
  if (six) {
    bytes[IP] = 0x60;
    put16(bytes, IP + 4, 8 + quoted);
    bytes[IP + 6] = 58;
    bytes[IP + 7] = 64;
    bytes.set([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe], IP + 8);
    bytes.set(frame.bytes.subarray(IP + 8, IP + 24), IP + 24);
    bytes[icmp] = 2;
    sum = 58 + 8 + quoted;
    for (let i = IP + 8; i < IP + 40; i += 2) sum += u16(bytes, i);
  } else {
    bytes[IP] = 0x45;
    put16(bytes, IP + 2, reply.length - IP);
    bytes[IP + 8] = 64;
    bytes[IP + 9] = 1;
    bytes.set([10, 0, 0, 254], IP + 12);
    bytes.set(frame.bytes.subarray(IP + 12, IP + 16), IP + 16);
    put16(bytes, IP + 10, checksum(bytes, IP, IP + 20));
    bytes[icmp] = 3;
    bytes[icmp + 1] = 4;
  }
  put16(bytes, icmp + 2, checksum(bytes, icmp, reply.length, sum));
}

/** Where the TCP header of a SYN begins, or -1 for any other frame. */
function synAt(frame: Frame): number {
  const { bytes } = frame;
  if (!isTcp4(bytes)) return -1;
  const at = IP + ((bytes[IP]! & 15) << 2);
  return (bytes[at + 13]! & tcp.SYN) !== 0 ? at : -1;
}

/** Calls `visit` with the kind and place of each option of a header. */
function forEachOption(
  bytes: Bytes,
  at: number,
  visit: (kind: number, at: number, length: number) => void,
): void {
  const end = at + (bytes[at + 12]! >>> 4 << 2);
  for (let p = at + 20; p < end;) {
    const kind = bytes[p]!;
    if (kind === 0) return;
    const length = kind === 1 ? 1 : bytes[p + 1]!;
    if (length === 0) return;
    if (kind !== 1) visit(kind, p, length);
    p += length;
  }
}

/** Overwrites options of a SYN with NOPs. @returns Whether there was one. */
export function stripOptions(frame: Frame, kinds: readonly number[]): boolean {
  const at = synAt(frame);
  if (at < 0) return false;
  let found = false;
  forEachOption(frame.bytes, at, (kind, place, length) => {
    if (!kinds.includes(kind)) return;
    frame.bytes.fill(1, place, place + length);
    found = true;
  });
  if (found) sumAgain(frame, at);
  return found;
}

/** Lowers the MSS of a SYN. */
export function clampMss(frame: Frame, mss: number): void {
  const at = synAt(frame);
  if (at < 0) return;
  forEachOption(frame.bytes, at, (kind, place) => {
    if (kind === 2 && u16(frame.bytes, place + 2) > mss) put16(frame.bytes, place + 2, mss);
  });
  sumAgain(frame, at);
}

function sumAgain(frame: Frame, at: number): void {
  // An offloaded checksum is not there yet.
  if ((frame.flags & CHECKSUM_PARTIAL) !== 0) return;
  const { bytes } = frame;
  const end = IP + u16(bytes, IP + 2);
  put16(bytes, at + 16, 0);
  let sum = 6 + end - at;
  for (let i = IP + 12; i < IP + 20; i += 2) sum += u16(bytes, i);
  put16(bytes, at + 16, checksum(bytes, at, end, sum));
}
