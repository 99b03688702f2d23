/**
 * The IPv6 header and its extension headers (RFC 8200; RFC 6437 for the flow label).
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |Version|      DSCP |ECN|              Flow label               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |         Payload length        |  Next header  |   Hop limit   |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                                                               |
 * +                         Source address                        +
 * |                            16 bytes                           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                                                               |
 * +                      Destination address                      +
 * |                            16 bytes                           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 *
 * Hop-by-hop and destination options headers, and the fragment header:
 *
 * ```text
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Next header  | Length / 8 - 1|  Option type  | Option length | …
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Next header  |    Reserved   |     Fragment offset     |0 0 M|
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                         Identification                        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";

/** Bytes of the header. */
export const HEADER_LENGTH = 40;
/** Every link carries packets of this many bytes (section 5). */
export const LEAST_MTU = 1280;
/** Distance from the header to the source address. */
export const SOURCE = 8;
/** Distance from the header to the destination address. */
export const DESTINATION = 24;
/** Distance from the header to the next header field. */
export const NEXT_HEADER = 6;

/** {@link nextHeader}: hop-by-hop options. */
export const HOP_BY_HOP = 0;
/** {@link nextHeader}: routing. */
export const ROUTING = 43;
/** {@link nextHeader}: fragment. */
export const FRAGMENT = 44;
/** {@link nextHeader}: ICMPv6. */
export const ICMP = 58;
/** {@link nextHeader}: nothing follows. */
export const NO_NEXT_HEADER = 59;
/** {@link nextHeader}: destination options. */
export const DESTINATION_OPTIONS = 60;

/** Bytes of a fragment header. */
export const FRAGMENT_LENGTH = 8;
/** {@link fragment}: more fragments follow. */
export const MORE_FRAGMENTS = 1;

/** The first four bits. */
export function version(view: DataView, at: number): number {
  return view.getUint8(at) >>> 4;
}

/** DSCP and ECN. */
export function trafficClass(view: DataView, at: number): number {
  return view.getUint16(at) >>> 4 & 0xff;
}

/** 20 bits that packets of one flow have in common; 0 for none. */
export function flowLabel(view: DataView, at: number): number {
  return view.getInt32(at) & 0xfffff;
}

/** Bytes behind the header, extension headers included. */
export function payloadLength(view: DataView, at: number): number {
  return view.getUint16(at + 4);
}

/** What follows the header. */
export function nextHeader(view: DataView, at: number): number {
  return view.getUint8(at + 6);
}

/** Hops left. */
export function hopLimit(view: DataView, at: number): number {
  return view.getUint8(at + 7);
}

/** Writes a whole header. @param flowLabel 0 to 0xfffff. */
export function write(
  view: DataView,
  at: number,
  trafficClass: number,
  flowLabel: number,
  payloadLength: number,
  nextHeader: number,
  hopLimit: number,
  source: IpAddress,
  destination: IpAddress,
): void {
  view.setInt32(at, 0x60000000 | trafficClass << 20 | flowLabel);
  view.setInt32(at + 4, payloadLength << 16 | nextHeader << 8 | hopLimit);
  view.setInt32(at + 8, source.a);
  view.setInt32(at + 12, source.b);
  view.setInt32(at + 16, source.c);
  view.setInt32(at + 20, source.d);
  view.setInt32(at + 24, destination.a);
  view.setInt32(at + 28, destination.b);
  view.setInt32(at + 32, destination.c);
  view.setInt32(at + 36, destination.d);
}

/** Bytes of the extension header at `at`, for every kind but the fragment header: 8 to 2048. */
export function extensionLength(view: DataView, at: number): number {
  return (view.getUint8(at + 1) + 1) << 3;
}

/** Type of a routing header. */
export function routingType(view: DataView, at: number): number {
  return view.getUint8(at + 2);
}

/** Nodes that a routing header still names. */
export function segmentsLeft(view: DataView, at: number): number {
  return view.getUint8(at + 3);
}

/** Offset of a fragment in bytes (a multiple of 8), with {@link MORE_FRAGMENTS} in the last bit. */
export function fragment(view: DataView, at: number): number {
  return view.getUint16(at + 2) & 0xfff9;
}

/** What fragments of one packet have in common, signed. */
export function identification(view: DataView, at: number): number {
  return view.getInt32(at + 4);
}
