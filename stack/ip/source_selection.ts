/**
 * Which of our IPv6 addresses to use for a destination (RFC 6724, section 5).
 *
 * @module
 */

import type { IpAddress } from "./address.ts";
import { AddressState, type OwnAddress } from "./own_address.ts";

/** Scopes (RFC 4291, section 2.7). */
const LINK_LOCAL = 2, SITE_LOCAL = 5, GLOBAL = 14;

/** The default policy table (RFC 6724, section 2.1): first two words, bits, label. Longest prefixes first. */
const LABELS: readonly (readonly [number, number, number, number])[] = [
  [0x20010000, 0, 32, 5],
  [0x20020000, 0, 16, 2],
  [0x3ffe0000, 0, 16, 12],
  [0xfec00000, 0, 10, 11],
  [0xfc000000, 0, 7, 13],
];

/** The scope of an address (RFC 6724, section 3.1). */
export function scopeOf(address: IpAddress): number {
  if (address.isMulticast) return address.a >>> 16 & 15;
  if (address.isLinkLocal || address.isLoopback) return LINK_LOCAL;
  return address.a >>> 22 === 0x3fb ? SITE_LOCAL : GLOBAL;
}

/** The label of an address in the policy table. */
export function labelOf(address: IpAddress): number {
  if (address.a === 0 && address.b === 0) {
    if (address.c === 0xffff) return 4;
    if (address.c === 0) return address.d === 1 ? 0 : 3;
  }
  for (const [word, , bits, label] of LABELS) {
    if (((address.a ^ word) & (-1 << (32 - bits))) === 0) return label;
  }
  return 1;
}

/** How many leading bits two addresses share. */
export function commonPrefix(one: IpAddress, other: IpAddress): number {
  let bits = 0;
  for (const difference of [one.a ^ other.a, one.b ^ other.b, one.c ^ other.c, one.d ^ other.d]) {
    bits += Math.clz32(difference);
    if (difference !== 0) break;
  }
  return bits;
}

/**
 * The best source for a destination, among those that may be used at all; or null when there is none.
 * @param hop The router that packets go by; null for none, or when nobody knows.
 */
export function selectSource(
  candidates: Iterable<OwnAddress>,
  destination: IpAddress,
  hop: IpAddress | null = null,
): OwnAddress | null {
  let best: OwnAddress | null = null;
  for (const candidate of candidates) {
    if (candidate.usable && (best === null || isBetter(candidate, best, destination, hop))) best = candidate;
  }
  return best;
}

function isBetter(
  one: OwnAddress,
  other: OwnAddress,
  destination: IpAddress,
  hop: IpAddress | null,
): boolean {
  // Rule 1: the destination itself.
  if (one.address.equals(destination)) return true;
  if (other.address.equals(destination)) return false;
  // Rule 2: the smallest scope that is large enough.
  const scope = scopeOf(destination), a = scopeOf(one.address), b = scopeOf(other.address);
  if (a !== b) return a < b ? a >= scope : b < scope;
  // Rule 3: not deprecated; and rather sure to be ours (RFC 4429, section 3.1).
  const rank = rankOf(one) - rankOf(other);
  if (rank !== 0) return rank > 0;
  // Rule 5.5: of a prefix that the next hop has told.
  if (hop !== null) {
    const told = Number(isToldBy(one, hop)) - Number(isToldBy(other, hop));
    if (told !== 0) return told > 0;
  }
  // Rule 6: the same label.
  const label = labelOf(destination);
  const same = Number(labelOf(one.address) === label) - Number(labelOf(other.address) === label);
  if (same !== 0) return same > 0;
  // Rule 7: temporary addresses, or others, as the interface was told.
  if (one.preference !== other.preference) return one.preference > other.preference;
  // Rule 8: the longest common prefix, not beyond the source's own.
  return Math.min(one.cidr.prefix, commonPrefix(one.address, destination)) >
    Math.min(other.cidr.prefix, commonPrefix(other.address, destination));
}

function rankOf(own: OwnAddress): number {
  return own.state === AddressState.Preferred ? 2 : own.state === AddressState.Optimistic ? 1 : 0;
}

function isToldBy(own: OwnAddress, router: IpAddress): boolean {
  return own.routers.some((one) => one.equals(router));
}
