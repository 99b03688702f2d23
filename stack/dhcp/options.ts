/**
 * How a DHCPv4 client behaves, and what it has been given.
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import type { Bytes } from "../packet.ts";
import type { DhcpOffer } from "./message.ts";

/** What a DHCPv4 client is told. */
export interface DhcpOptions {
  /**
   * Who it says it is (RFC 2132, section 9.14): its link address; the identifier that its DHCPv6 client uses too (RFC
   * 4361, made of the link address); or up to 255 bytes of its owner's. Default `"mac"`.
   */
  clientId?: "mac" | "duid" | Bytes;
  /** What it calls itself to the server, which may tell DNS. Default: nothing. */
  hostname?: string;
  /** The address that it had before: it asks whether it may keep it before it asks for any (INIT-REBOOT). */
  earlier?: IpAddress;
  /**
   * Whether the address is asked for by ARP before it is used (RFC 2131, section 3.1): for half a second, for the 4 to 7
   * seconds of RFC 5227, or not at all. Default `"quick"`.
   */
  probe?: "quick" | "full" | "off";
  /** Whether answers shall go to everyone. Default false: they may go to the address that is given, and are heard there. */
  broadcast?: boolean;
  /** µs to the first repetition; doubled each time, up to 64 seconds, by a second more or less (RFC 2131, section 4.1). Default 4 seconds. */
  retransmit?: number;
}

/** An address for a time, with all that came with it. Times are of the stack's clock, in µs. */
export interface DhcpLease extends DhcpOffer {
  /** When it was asked for. */
  readonly since: number;
  /** When it is asked for again from the same server (T1). */
  readonly renewAt: number;
  /** When it is asked for again from any server (T2). */
  readonly rebindAt: number;
  /** When it ends; `Infinity` for never. */
  readonly expiresAt: number;
}

/** States of a DHCPv4 client (RFC 2131, figure 5). */
export enum DhcpState {
  /** Not started, or stopped. */
  Stopped,
  /** It waits before it begins anew. */
  Init,
  /** It has asked for offers. */
  Selecting,
  /** It has asked for what a server offers. */
  Requesting,
  /** It has asked whether it may keep the address that it had before. */
  Rebooting,
  /** It is being found out whether somebody else uses the address. */
  Checking,
  /** It has a lease. */
  Bound,
  /** It has asked the server for more time. */
  Renewing,
  /** It has asked every server for more time. */
  Rebinding,
}

/** Whoever uses what a client is given. */
export interface DhcpHandler {
  /** There is a lease: a new one, or the same address for more time. @param before The one that it replaces, or null. */
  bound(lease: DhcpLease, before: DhcpLease | null): void;
  /** The lease is over: its address must not be used any more. */
  lost(lease: DhcpLease): void;
  /** Nobody has answered a request for offers in time; called for each. @param elapsed µs since the first. */
  silent?(elapsed: number): void;
}
