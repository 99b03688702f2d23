/**
 * Messages of neighbour discovery (RFC 4861; RFC 4191 for router preferences and routes; RFC 8106 for names).
 * Offsets count from the ICMPv6 header.
 *
 * ```text
 * Neighbour solicitation (135), advertisement (136)     Router advertisement (134)
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |   Type    |   Code    |       Checksum        |     |   Type    |   Code    |       Checksum        |
 * |R S O                Reserved                  |     | Hop limit |M O H Prf  |   Router lifetime (s) |
 * |                                               |     |             Reachable time (ms)               |
 * |               Target address                  |     |             Retransmission time (ms)          |
 * |                                               |     |   Options …
 * |   Options …
 *
 * Option: link address of the source (1) or target (2)  Option: prefix information (3)
 * |   Type    |Length / 8 |    Link address       |     |   Type    | Length = 4|  Prefix   |L A        |
 * |                                               |     |             Valid lifetime (s)                |
 *                                                       |             Preferred lifetime (s)            |
 *                                                       |             Reserved                          |
 *                                                       |             Prefix (16 bytes)                 |
 * ```
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import * as icmp from "./icmpv6.ts";

/** All messages go with this hop limit, so that nobody off the link can send one (section 3.1). */
export const HOP_LIMIT = 255;
/** Bytes of a neighbour solicitation or advertisement without options. */
export const NEIGHBOUR_LENGTH = 24;
/** Bytes of a router solicitation without options. */
export const SOLICITATION_LENGTH = 8;
/** Bytes of a router advertisement without options. */
export const ADVERTISEMENT_LENGTH = 16;
/** Bytes of a redirect without options. */
export const REDIRECT_LENGTH = 40;
/** Bytes of an option with an Ethernet address. */
export const LINK_ADDRESS_LENGTH = 8;
/** Distance from a neighbour message or redirect to its target. */
export const TARGET = 8;
/** Distance from a redirect to the destination that it is about. */
export const REDIRECT_DESTINATION = 24;

/** {@link flags} of a neighbour advertisement: the sender is a router. */
export const ROUTER: number = 0x80000000 | 0;
/** {@link flags} of a neighbour advertisement: the answer to a solicitation. */
export const SOLICITED = 0x40000000;
/** {@link flags} of a neighbour advertisement: overrides what is known. */
export const OVERRIDE = 0x20000000;

/** Option: link address of the sender. */
export const SOURCE_LINK_ADDRESS = 1;
/** Option: link address of the target. */
export const TARGET_LINK_ADDRESS = 2;
/** Option: prefix information. */
export const PREFIX = 3;
/** Option: the beginning of the packet that a redirect is about. */
export const REDIRECTED_HEADER = 4;
/** Option: MTU of the link. */
export const MTU = 5;
/** Option: nonce (RFC 3971), which tells our own probes that come back from those of others (RFC 7527). */
export const NONCE = 14;
/** Option: route information (RFC 4191). */
export const ROUTE = 24;
/** Option: recursive DNS servers (RFC 8106). */
export const DNS_SERVERS = 25;
/** Option: DNS search list (RFC 8106). */
export const DNS_SEARCH = 31;

/** Flag of a router advertisement: addresses come from DHCPv6. */
export const MANAGED = 0x80;
/** Flag of a router advertisement: everything but addresses comes from DHCPv6. */
export const OTHER_CONFIGURATION = 0x40;

/** {@link prefixFlags}: addresses of the prefix are on the link. */
export const ON_LINK = 0x80;
/** {@link prefixFlags}: addresses may be made of the prefix. */
export const AUTONOMOUS = 0x40;

/** The second word of a neighbour advertisement. */
export function flags(view: DataView, at: number): number {
  return view.getInt32(at + 4);
}

/** Whether every option from `at` to `end` has a length and ends in time: else the message is dropped (section 6.1.2). */
export function optionsOk(view: DataView, at: number, end: number): boolean {
  while (at < end) {
    if (at + 8 > end) return false;
    const length = view.getUint8(at + 1) << 3;
    if (length === 0 || at + length > end) return false;
    at += length;
  }
  return true;
}

/** The first option of a type from `at` to `end`, or -1. Only after {@link optionsOk}. */
export function findOption(view: DataView, at: number, end: number, type: number): number {
  while (at < end) {
    if (view.getUint8(at) === type) return at;
    at += view.getUint8(at + 1) << 3;
  }
  return -1;
}

/** Bytes of the option at `at`. */
export function optionLength(view: DataView, at: number): number {
  return view.getUint8(at + 1) << 3;
}

/** First 16 bits of the link address in the option at `at`. */
export function linkHigh(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}

/** Last 32 bits of the link address in the option at `at`, signed. */
export function linkLow(view: DataView, at: number): number {
  return view.getInt32(at + 4);
}

/** Writes an option with an Ethernet address. */
export function writeLinkAddress(view: DataView, at: number, type: number, high: number, low: number): void {
  view.setUint16(at, type << 8 | 1);
  view.setUint16(at + 2, high);
  view.setInt32(at + 4, low);
}

/** Writes a neighbour solicitation or advertisement with a checksum of 0 and without options. @param flags {@link ROUTER}, {@link SOLICITED}, {@link OVERRIDE}. */
export function writeNeighbour(
  view: DataView,
  at: number,
  type: number,
  flags: number,
  target: IpAddress,
): void {
  view.setInt32(at, type << 24);
  view.setInt32(at + 4, flags);
  target.write(view, at + TARGET);
}

/** Writes a router solicitation with a checksum of 0 and without options. */
export function writeSolicitation(view: DataView, at: number): void {
  view.setInt32(at, icmp.ROUTER_SOLICITATION << 24);
  view.setInt32(at + 4, 0);
}

/** Hop limit that hosts shall use; 0 for none said. */
export function advertisedHopLimit(view: DataView, at: number): number {
  return view.getUint8(at + 4);
}

/** Preference of a router or of a route (RFC 4191, section 2.1) in the flags at `at`: 1 high, 0 medium, -1 low, -2 reserved. */
export function preference(view: DataView, at: number): number {
  return view.getInt8(at) << 27 >> 30;
}

/** Seconds for which the sender is a default router, 0 to 65535. */
export function routerLifetime(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** ms for which a neighbour counts as reachable; 0 for none said. */
export function reachableTime(view: DataView, at: number): number {
  return view.getUint32(at + 8);
}

/** ms between two solicitations; 0 for none said. */
export function retransmitTime(view: DataView, at: number): number {
  return view.getUint32(at + 12);
}

/** Bits of the prefix in a prefix or route option. */
export function prefixLength(view: DataView, at: number): number {
  return view.getUint8(at + 2);
}

/** {@link ON_LINK} and {@link AUTONOMOUS} of a prefix option. */
export function prefixFlags(view: DataView, at: number): number {
  return view.getUint8(at + 3);
}

/** Seconds for which a prefix, route, server or search list is valid; 0xffffffff for ever. */
export function lifetime(view: DataView, at: number): number {
  return view.getUint32(at + 4);
}

/** Seconds for which addresses of a prefix are preferred; 0xffffffff for ever. */
export function preferredLifetime(view: DataView, at: number): number {
  return view.getUint32(at + 8);
}

/** The MTU in an MTU option. */
export function linkMtu(view: DataView, at: number): number {
  return view.getUint32(at + 4);
}

/** {@link lifetime}: for ever. */
export const INFINITE_LIFETIME = 0xffffffff;
