/**
 * What a router tells the hosts of a link, as bytes (RFC 4861, section 4.2; RFC 4191; RFC 8106).
 *
 * @module
 */

import type { Cidr, IpAddress } from "../ip/address.ts";
import { encodeNames } from "../wire/domain_names.ts";
import * as icmp from "../wire/icmpv6.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as wire from "../wire/nd.ts";

/** How much a router, or a route of it, is preferred to others (RFC 4191, section 2.1). */
export type RouterPreference = "low" | "medium" | "high";

/** A prefix that hosts are told. */
export interface AdvertisedPrefix {
  /** The prefix; hosts make themselves addresses of those of 64 bits alone. */
  readonly prefix: Cidr;
  /** Whether its addresses are on the link. Default true. */
  readonly onLink?: boolean;
  /** Whether hosts make themselves addresses of it. Default true. */
  readonly autonomous?: boolean;
  /** Seconds for which it is valid; `Infinity` for ever. Default 30 days. */
  readonly validLifetime?: number;
  /** Seconds for which its addresses are preferred, 0 to deprecate them. Default 7 days. */
  readonly preferredLifetime?: number;
}

/** A route that hosts are told beside the default one (RFC 4191). */
export interface AdvertisedRoute {
  /** Where to. */
  readonly destination: Cidr;
  /** Default medium. */
  readonly preference?: RouterPreference;
  /** Seconds for which it holds. Default: three intervals. */
  readonly lifetime?: number;
}

/** What a router tells, and how often. Lifetimes are checked when it starts. */
export interface AdvertiseOptions {
  /** Seconds between two advertisements at most, 4 to 1800; a third of it at least. Default 600. */
  readonly interval?: number;
  /**
   * Seconds for which hosts take it for a default router: 0 for no such, else `interval` to 9000. While the interface does not forward it
   * tells 0. Default: three intervals.
   */
  readonly lifetime?: number;
  /** Default medium. */
  readonly preference?: RouterPreference;
  /** Default: the networks of 64 bits in which the interface has been given an address. */
  readonly prefixes?: readonly AdvertisedPrefix[];
  /** Further routes. */
  readonly routes?: readonly AdvertisedRoute[];
  /** Hop limit that hosts shall use, 0 to say none. Default 64. */
  readonly hopLimit?: number;
  /** MTU that hosts shall use, at least 1280 bytes. Default: none is told. */
  readonly mtu?: number;
  /** Whether addresses are to be had by DHCPv6. Default false. */
  readonly managed?: boolean;
  /** Whether other settings are to be had by DHCPv6. Default false. */
  readonly otherConfiguration?: boolean;
  /** Name servers, for three intervals (RFC 8106). */
  readonly nameServers?: readonly IpAddress[];
  /** Search domains, for three intervals. */
  readonly searchDomains?: readonly string[];
}

/** Default lifetimes of a prefix, in seconds (RFC 4861, section 6.2.1). */
const VALID = 2_592_000, PREFERRED = 604_800;
const PREFERENCES: Record<RouterPreference, number> = { low: 0x18, medium: 0, high: 0x08 };

/**
 * The bytes of an advertisement with a checksum of 0 and without the sender's link address.
 * @param options What is told; `prefixes` must be said.
 * @param mtu Of the interface, in bytes.
 * @throws {RangeError} A lifetime, MTU or name that can't be, or more than fits into one packet of every link.
 */
export function encodeAdvertisement(options: AdvertiseOptions, mtu: number): Uint8Array<ArrayBuffer> {
  const { interval = 600, hopLimit = 64, preference = "medium" } = options;
  check("Interval", interval, 4, 1800);
  const three = Math.ceil(3 * interval);
  const { lifetime = three } = options;
  if (lifetime !== 0) check("Lifetime", lifetime, interval, 9000);
  check("Hop limit", hopLimit, 0, 255);
  const flags = (options.managed ? wire.MANAGED : 0) |
    (options.otherConfiguration ? wire.OTHER_CONFIGURATION : 0);
  const out: number[] = [icmp.ROUTER_ADVERTISEMENT, 0, 0, 0, hopLimit, flags | PREFERENCES[preference]];
  out.push(...word16(lifetime), ...word32(0), ...word32(0));
  for (const one of options.prefixes ?? []) {
    const { validLifetime = VALID, preferredLifetime = Math.min(PREFERRED, validLifetime) } = one;
    if (preferredLifetime > validLifetime) {
      throw new RangeError(`Preferred lifetime must be at most ${validLifetime}, got ${preferredLifetime}`);
    }
    const how = (one.onLink ?? true ? wire.ON_LINK : 0) | (one.autonomous ?? true ? wire.AUTONOMOUS : 0);
    out.push(
      wire.PREFIX,
      4,
      one.prefix.prefix,
      how,
      ...seconds(validLifetime),
      ...seconds(preferredLifetime),
    );
    out.push(...word32(0), ...one.prefix.network.address.toBytes());
  }
  if (options.mtu !== undefined) {
    check("MTU", options.mtu, ipv6.LEAST_MTU, mtu);
    out.push(wire.MTU, 1, 0, 0, ...word32(options.mtu));
  }
  for (const { destination, preference = "medium", lifetime = three } of options.routes ?? []) {
    const bytes = destination.network.address.toBytes();
    const words = Math.ceil(destination.prefix / 64);
    out.push(wire.ROUTE, 1 + words, destination.prefix, PREFERENCES[preference], ...seconds(lifetime));
    out.push(...bytes.subarray(0, 8 * words));
  }
  const servers = (options.nameServers ?? []).map((address) => [...address.toBytes()]);
  if (servers.length > 0) {
    out.push(wire.DNS_SERVERS, 1 + 2 * servers.length, 0, 0, ...seconds(three), ...servers.flat());
  }
  const names = encodeNames(options.searchDomains ?? []);
  if (names.length > 0) {
    while (names.length % 8 !== 0) names.push(0);
    out.push(wire.DNS_SEARCH, 1 + names.length / 8, 0, 0, ...seconds(three), ...names);
  }
  const most = ipv6.LEAST_MTU - ipv6.HEADER_LENGTH - wire.LINK_ADDRESS_LENGTH;
  if (out.length > most) {
    throw new RangeError(
      `Advertisement must fit into ${most} bytes, got ${out.length}: tell fewer prefixes or names`,
    );
  }
  return Uint8Array.from(out);
}

function check(what: string, value: number, least: number, most: number): void {
  if (value >= least && value <= most) return;
  throw new RangeError(`${what} of an advertisement must be from ${least} to ${most}, got ${value}`);
}

function seconds(lifetime: number): number[] {
  if (lifetime === Infinity) return word32(wire.INFINITE_LIFETIME);
  check("Lifetime", lifetime, 0, wire.INFINITE_LIFETIME - 1);
  return word32(lifetime);
}

function word16(value: number): number[] {
  return [value >>> 8 & 255, value & 255];
}

function word32(value: number): number[] {
  return [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}
