/**
 * The IPv4 header (RFC 791, section 3.1; RFC 2474 and RFC 3168 for the traffic class).
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |Version|  IHL  |      DSCP |ECN|          Total length         |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |         Identification        |0 D M|     Fragment offset     |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Time to live |    Protocol   |        Header checksum        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                         Source address                        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                      Destination address                      |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                    Options                    |    Padding    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 *
 * @module
 */

import { fold } from "./checksum.ts";

/** Bytes of a header without options. */
export const HEADER_LENGTH = 20;
/** Every link carries packets of this many bytes (RFC 791, section 3.2). */
export const LEAST_MTU = 68;
/** Protocol number of ICMP. */
export const ICMP = 1;
/** Protocol number of TCP. */
export const TCP = 6;
/** Protocol number of UDP. */
export const UDP = 17;
/** {@link fragment}: don't fragment. */
export const DONT_FRAGMENT = 0x4000;
/** {@link fragment}: more fragments follow. */
export const MORE_FRAGMENTS = 0x2000;

/** The first four bits. */
export function version(view: DataView, at: number): number {
  return view.getUint8(at) >>> 4;
}

/** Bytes of the header, options included: 0 to 60; less than 20 is malformed. */
export function headerLength(view: DataView, at: number): number {
  return (view.getUint8(at) & 15) << 2;
}

/** DSCP and ECN. */
export function trafficClass(view: DataView, at: number): number {
  return view.getUint8(at + 1);
}

/** Bytes of header and payload. */
export function totalLength(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}

/** What fragments of one packet have in common. */
export function identification(view: DataView, at: number): number {
  return view.getUint16(at + 4);
}

/** Flags and offset: {@link DONT_FRAGMENT}, {@link MORE_FRAGMENTS}, and the offset in units of 8 bytes. */
export function fragment(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** Whether the packet is one of several fragments. */
export function isFragment(view: DataView, at: number): boolean {
  return (view.getUint16(at + 6) & 0x3fff) !== 0;
}

/** Hops left. */
export function timeToLive(view: DataView, at: number): number {
  return view.getUint8(at + 8);
}

/** Upper-layer protocol. */
export function protocol(view: DataView, at: number): number {
  return view.getUint8(at + 9);
}

/** The checksum field. */
export function checksum(view: DataView, at: number): number {
  return view.getUint16(at + 10);
}

/** Source address, signed. */
export function source(view: DataView, at: number): number {
  return view.getInt32(at + 12);
}

/** Destination address, signed. */
export function destination(view: DataView, at: number): number {
  return view.getInt32(at + 16);
}

/** Whether the header checksum is right. `length` is the header's. */
export function checksumOk(view: DataView, at: number, length: number): boolean {
  let low = 0, high = 0;
  for (let i = at; i < at + length; i += 4) {
    const word = view.getInt32(i);
    low += word & 0xffff;
    high += word >>> 16;
  }
  return fold(low + high) === 0xffff;
}

/** Sets the checksum of a header of `length` bytes. */
export function writeChecksum(view: DataView, at: number, length: number): void {
  view.setUint16(at + 10, 0);
  let low = 0, high = 0;
  for (let i = at; i < at + length; i += 4) {
    const word = view.getInt32(i);
    low += word & 0xffff;
    high += word >>> 16;
  }
  view.setUint16(at + 10, ~fold(low + high));
}

/** Writes a whole header without options, checksum included. */
export function write(
  view: DataView,
  at: number,
  trafficClass: number,
  totalLength: number,
  identification: number,
  fragment: number,
  timeToLive: number,
  protocol: number,
  source: number,
  destination: number,
): void {
  const first = 0x4500 | trafficClass;
  const fifth = timeToLive << 8 | protocol;
  const total = first + totalLength + identification + fragment + fifth + (source >>> 16) +
    (source & 0xffff) +
    (destination >>> 16) + (destination & 0xffff);
  view.setInt32(at, first << 16 | totalLength);
  view.setInt32(at + 4, identification << 16 | fragment);
  view.setInt32(at + 8, fifth << 16 | (~fold(total) & 0xffff));
  view.setInt32(at + 12, source);
  view.setInt32(at + 16, destination);
}
