/**
 * How a DHCPv6 client behaves, and what it has been given.
 *
 * @module
 */

import type { Cidr, IpAddress } from "../ip/address.ts";
import type { Bytes } from "../packet.ts";

/** What a DHCPv6 client is told. */
export interface Dhcpv6Options {
  /** Who it says it is: its DUID, 3 to 130 bytes (RFC 8415, section 11). Default: DUID-LL, made of the link address. */
  duid?: Bytes;
  /** Whether prefixes are asked for, for other links of the application (IA_PD). Default false. */
  prefixes?: boolean;
  /** Whether a server may skip offering (section 14.1). Default true. */
  rapid?: boolean;
}

/** An address or a prefix for a time. Times are of the stack's clock, in µs. */
export interface Dhcpv6Lease {
  /** An address as /128, or a prefix. */
  readonly network: Cidr;
  /** When it stops to be preferred. */
  readonly preferredUntil: number;
  /** When it goes. */
  readonly validUntil: number;
}

/** What a server has given. */
export interface Dhcpv6Given {
  /** Addresses. */
  readonly addresses: readonly Dhcpv6Lease[];
  /** Delegated prefixes. */
  readonly prefixes: readonly Dhcpv6Lease[];
  /** Servers of names. */
  readonly nameServers: readonly IpAddress[];
  /** Domains in which short names are looked up. */
  readonly searchDomains: readonly string[];
  /** Servers of time. */
  readonly timeServers: readonly IpAddress[];
}

/** What a server has given while it has given nothing. */
export const NOTHING_GIVEN: Dhcpv6Given = {
  addresses: [],
  prefixes: [],
  nameServers: [],
  searchDomains: [],
  timeServers: [],
};

/** States of a DHCPv6 client. */
export enum Dhcpv6State {
  /** Nothing is asked. */
  Stopped,
  /** It looks for servers. */
  Soliciting,
  /** It has asked one for what it has offered. */
  Requesting,
  /** It has what it needs. */
  Bound,
  /** It has asked the server for more time. */
  Renewing,
  /** It has asked every server for more time. */
  Rebinding,
  /** It has asked for servers of names and such, and for no address. */
  Informing,
}
