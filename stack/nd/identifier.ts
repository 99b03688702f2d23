/**
 * The lower half of addresses that a host makes for itself.
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import type { Interface } from "../link/interface.ts";
import { sipHash } from "../siphash.ts";

/** How an interface's addresses end: made of its link address, or so that nobody can tell where it was before. */
export type Identifiers = "eui64" | "stable";

/** ff02::1:ff00:0/104, the groups of those whose addresses end alike (RFC 4291, section 2.7.1). */
export function solicitedNode(address: IpAddress): IpAddress {
  return IpAddress.v6(0xff020000, 0, 1, 0xff000000 | address.d);
}

/**
 * An address of `prefix` (64 bits) for an interface.
 * @param secret 16 bytes: RFC 7217 with SipHash as its function; null: modified EUI-64 (RFC 4291, appendix A).
 * @param attempt How many addresses have turned out to be in use already.
 */
export function makeAddress(
  prefix: IpAddress,
  owner: Interface,
  secret: Uint8Array | null,
  attempt: number,
): IpAddress {
  const { macHigh } = owner;
  // What names the interface in the secret's terms: its number where it has no link address.
  const macLow = owner.addressed ? owner.macLow : owner.index;
  if (secret === null) {
    return IpAddress.v6(
      prefix.a,
      prefix.b,
      (macHigh ^ 0x0200) << 16 | (macLow >>> 24) << 8 | 0xff,
      0xfe000000 | (macLow & 0xffffff),
    );
  }
  const input = new DataView(new ArrayBuffer(15));
  input.setInt32(0, prefix.a);
  input.setInt32(4, prefix.b);
  input.setUint16(8, macHigh);
  input.setInt32(10, macLow);
  for (let counter = attempt;; counter += 64) {
    input.setUint8(14, counter);
    const identifier = new DataView(sipHash(secret, new Uint8Array(input.buffer)).buffer);
    const c = identifier.getInt32(0), d = identifier.getInt32(4);
    if (!isReserved(c, d) || counter >= 256) return IpAddress.v6(prefix.a, prefix.b, c, d);
  }
}

/** An address of `prefix` (64 bits) that nobody can tell from another host's (RFC 8981, section 3.3.1). @param random 32 random bits. */
export function makeTemporaryAddress(prefix: IpAddress, random: () => number): IpAddress {
  let c = random() | 0, d = random() | 0;
  for (let i = 0; isReserved(c, d) && i < 16; i++) {
    c = random() | 0;
    d = random() | 0;
  }
  return IpAddress.v6(prefix.a, prefix.b, c, d);
}

/** Identifiers with a meaning of their own (RFC 5453): of routers, of anycast, and those that end like a group. */
function isReserved(c: number, d: number): boolean {
  return (c === 0 && d === 0) || (c === (0xfdffffff | 0) && d >>> 7 === 0x1ffffff) ||
    (c === (0x02005eff | 0) && d >>> 24 === 0xfe);
}
