/**
 * In which order the addresses of a host are tried (RFC 6724, section 6; RFC 8305, section 4).
 *
 * @module
 */

import type { IpAddress } from "../../stack/ip/address.ts";
import { AddressState } from "../../stack/ip/own_address.ts";
import { commonPrefix, labelOf, scopeOf } from "../../stack/ip/source_selection.ts";
import type { Interface } from "../../stack/link/interface.ts";
import type { Stack } from "../../stack/stack.ts";

/** An address of a host, with the interface that a link-local one is reached by. */
export interface HostAddress {
  /** The address. */
  readonly address: IpAddress;
  /** The only interface to leave by, or null. */
  readonly interface: Interface | null;
}

/** The default policy table (RFC 6724, section 2.1): first word, bits, precedence. */
const PRECEDENCES: readonly (readonly [number, number, number])[] = [
  [0x20010000, 32, 5],
  [0x20020000, 16, 30],
  [0x3ffe0000, 16, 1],
  [0xfec00000, 10, 1],
  [0xfc000000, 7, 3],
];

/** What decides about one destination. */
interface Rated {
  readonly target: HostAddress;
  readonly usable: boolean;
  readonly scope: number;
  readonly sameScope: boolean;
  readonly deprecated: boolean;
  readonly sameLabel: boolean;
  readonly precedence: number;
  readonly prefix: number;
}

/**
 * The addresses, best first; those to which no route leads last. Equals stay in their order, so that servers which
 * shuffle addresses spread their load.
 */
export function sortDestinations(stack: Stack, targets: readonly HostAddress[]): HostAddress[] {
  return targets.map((target) => rate(stack, target)).sort(compare).map(({ target }) => target);
}

/**
 * The addresses with both versions taking turns, in their order otherwise (RFC 8305, section 4).
 *
 * @param after The version whose turn was last. Default: the best address is first.
 */
export function interleave(targets: readonly HostAddress[], after?: 4 | 6): HostAddress[] {
  const first = after === undefined ? targets[0]?.address.version : 10 - after;
  const one = targets.filter(({ address }) => address.version === first);
  const other = targets.filter(({ address }) => address.version !== first);
  const mixed: HostAddress[] = [];
  for (let i = 0; i < one.length || i < other.length; i++) {
    if (i < one.length) mixed.push(one[i]!);
    if (i < other.length) mixed.push(other[i]!);
  }
  return mixed;
}

/** The precedence of an address in the policy table. */
export function precedenceOf(address: IpAddress): number {
  if (address.a === 0 && address.b === 0) {
    if (address.c === 0xffff) return 35;
    if (address.c === 0) return address.d === 1 ? 50 : 1;
  }
  for (const [word, bits, precedence] of PRECEDENCES) {
    if (((address.a ^ word) & (-1 << (32 - bits))) === 0) return precedence;
  }
  return 40;
}

function rate(stack: Stack, target: HostAddress): Rated {
  const { address, interface: by } = target;
  const path = stack.path(address, null, by);
  const source = path?.source ?? null;
  const scope = scopeOf(address);
  return {
    target,
    usable: source !== null,
    scope,
    sameScope: source !== null && scopeOf(source) === scope,
    deprecated: source !== null && stack.ipv6.own(source)?.state === AddressState.Deprecated,
    sameLabel: source !== null && labelOf(source) === labelOf(address),
    precedence: precedenceOf(address),
    // Between IPv4 addresses the longest prefix says nothing, and would undo what servers shuffle.
    prefix: source === null || address.version === 4 ? 0 : Math.min(64, commonPrefix(source, address)),
  };
}

/** Rules 1, 2, 3, 5, 6, 8, 9. */
function compare(one: Rated, other: Rated): number {
  return Number(other.usable) - Number(one.usable) ||
    Number(other.sameScope) - Number(one.sameScope) ||
    Number(one.deprecated) - Number(other.deprecated) ||
    Number(other.sameLabel) - Number(one.sameLabel) ||
    other.precedence - one.precedence ||
    one.scope - other.scope ||
    (one.target.address.version === other.target.address.version ? other.prefix - one.prefix : 0);
}
