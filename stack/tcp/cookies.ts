/**
 * SYN cookies (RFC 4987, section 3.6): while a listener has too many handshakes under way, what would be kept of
 * one more is put into the numbers of the SYN-ACK, signed, and comes back with the peer's ACK.
 *
 * The sequence number holds 5 bits of a clock of 64 s, 3 bits of MSS and 24 bits of keyed hash. Where the peer uses
 * timestamps, the low bits of ours say which options it had: window scale, SACK, ECN.
 *
 * @module
 */

import type { KeyedHash } from "../hash.ts";
import type { IpAddress } from "../ip/address.ts";

/** MSS values that a cookie can name; the greatest that the peer takes is named. */
const MSS = [536, 1220, 1300, 1360, 1400, 1440, 1460, 8960];
/** µs of one tick of the cookies' clock. */
const TICK = 64_000_000;
/** Ticks for which a cookie is good, the current one included. */
const LIFETIME = 2;
/** Window scale that stands for no window scaling. */
const NO_SCALE = 15;
/** Bits of a timestamp that hold options. */
const OPTION_BITS = 6;

/** Domain of the keyed hash. */
const COOKIE_DOMAIN = 4;

/** Makes and reads the cookies of a stack. */
export class SynCookies {
  readonly #hash: KeyedHash;

  /** @param hash The stack's secret. */
  constructor(hash: KeyedHash) {
    this.#hash = hash;
  }

  /**
   * The ISN that stands for a handshake.
   * @param ports Ours in the upper half. @param irs The peer's ISN. @param mss What it offered. @param now In µs.
   */
  make(local: IpAddress, remote: IpAddress, ports: number, irs: number, mss: number, now: number): number {
    let index = MSS.length - 1;
    while (index > 0 && MSS[index]! > mss) index--;
    return this.#cookie(local, remote, ports, irs, index, Math.floor(now / TICK) % 32);
  }

  /** @returns The MSS that a cookie of ours names, or 0 when it is not one of ours, or too old. */
  read(local: IpAddress, remote: IpAddress, ports: number, irs: number, iss: number, now: number): number {
    const tick = iss >>> 27;
    const age = (Math.floor(now / TICK) - tick) % 32;
    if ((age + 32) % 32 >= LIFETIME) return 0;
    const index = iss >>> 24 & 7;
    return this.#cookie(local, remote, ports, irs, index, tick) === iss ? MSS[index]! : 0;
  }

  #cookie(
    local: IpAddress,
    remote: IpAddress,
    ports: number,
    irs: number,
    index: number,
    tick: number,
  ): number {
    const head = tick << 3 | index;
    const digest = this.#hash.strongFlow(local, remote, ports, COOKIE_DOMAIN);
    return head << 24 | this.#hash.words3(digest, irs, head) & 0xffffff;
  }
}

/**
 * Puts options into the low bits of a timestamp; it becomes older by less than 64 ticks, never newer.
 * @param windowScale 0 to 14, or -1 for none.
 */
export function stampOptions(timestamp: number, windowScale: number, sack: boolean, ecn: boolean): number {
  const options = (windowScale < 0 ? NO_SCALE : windowScale) | (sack ? 16 : 0) | (ecn ? 32 : 0);
  const stamped = timestamp >> OPTION_BITS << OPTION_BITS | options;
  return stamped - timestamp > 0 ? stamped - (1 << OPTION_BITS) | 0 : stamped;
}

/** The window scale in an echoed timestamp: 0 to 14, or -1 for none. */
export function stampedWindowScale(echo: number): number {
  const scale = echo & 15;
  return scale === NO_SCALE ? -1 : scale;
}

/** Whether an echoed timestamp says that SACK was offered. */
export function stampedSack(echo: number): boolean {
  return (echo & 16) !== 0;
}

/** Whether an echoed timestamp says that ECN was asked for. */
export function stampedEcn(echo: number): boolean {
  return (echo & 32) !== 0;
}
