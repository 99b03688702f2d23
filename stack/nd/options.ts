/**
 * How an interface speaks IPv6.
 *
 * @module
 */

import type { AdvertiseOptions } from "./advertisement.ts";
import type { Identifiers } from "./identifier.ts";
import type { TemporaryOptions } from "./temporary.ts";

/** How an interface speaks IPv6. */
export interface Ipv6Options {
  /** Whether it makes itself a link-local address. Default true. */
  linkLocal?: boolean;
  /** Whether it asks for routers, and takes routes, prefixes and addresses from them. Default true. */
  routers?: boolean;
  /**
   * When a new address is used: at once while the others are still being asked (RFC 4429), when nobody has
   * objected for a second (RFC 4862), or without asking. Default: at once for addresses that the interface makes
   * for itself, after the second for those it is given.
   */
  duplicates?: "optimistic" | "strict" | "off";
  /** Whether a router may send packets to one destination by another first hop; never while it forwards. Default true. */
  redirects?: boolean;
  /** How the addresses end that it makes for itself. Default: `stable` when the stack has a secret, else `eui64`. */
  identifiers?: Identifiers;
  /**
   * Whether it makes itself addresses of chance beside those, which change day by day, so that nobody can follow it (RFC 8981), and
   * how long each is used. A server has little of them. Default false.
   */
  temporary?: boolean | TemporaryOptions;
  /**
   * Whether it tells the hosts of its link about itself as a router, and what (RFC 4861, section 6.2). It is a default router while it
   * forwards. Default false.
   */
  advertise?: boolean | AdvertiseOptions;
}
