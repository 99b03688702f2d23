/**
 * How an interface gets its IPv4 address by itself: from a DHCP server, or one of its own while there is none.
 *
 * @module
 */

import { DhcpClient } from "../dhcp/client.ts";
import type { DhcpHandler, DhcpLease, DhcpOptions } from "../dhcp/options.ts";
import { Cidr, IpAddress } from "../ip/address.ts";
import { Route, type RouteOptions } from "../ip/routes.ts";
import type { Interface } from "../link/interface.ts";
import { LinkLocalAddress } from "../link/link_local.ts";

/** Metric of routes that a server tells: what is configured by hand goes first. */
const METRIC = 1024;
const EVERYWHERE = new Cidr(IpAddress.v4(0), 0);
/** How an interface gets its IPv4 address. */
export interface Ipv4ConfigurationOptions {
  /** Whether servers are asked, and how. Default true. */
  dhcp?: boolean | DhcpOptions;
  /**
   * Whether it gives itself an address of the link, 169.254.x.y (RFC 3927): when no server has answered the first request,
   * for about 4 seconds, and until one does, or at once without DHCP. Default true.
   */
  linkLocal?: boolean;
}

/** Gives one interface its IPv4 address, routes and MTU as servers tell, and takes them away again. */
export class Ipv4Configuration implements DhcpHandler {
  /** Asks servers; null when it does not. */
  readonly dhcp: DhcpClient | null;
  /** Finds an address without a server; null when it does not. */
  readonly linkLocal: LinkLocalAddress | null;
  readonly #interface: Interface;
  readonly #changed: () => void;
  #routes: Route[] = [];

  /**
   * Makes it; nothing is done yet.
   * @param owner The interface. @param options What it does. @param changed Called after each change of what it was given.
   */
  constructor(owner: Interface, options: Ipv4ConfigurationOptions = {}, changed: () => void = () => {}) {
    this.#interface = owner;
    this.#changed = changed;
    const { dhcp = true, linkLocal = true } = options;
    this.dhcp = dhcp === false ? null : new DhcpClient(owner, this, dhcp === true ? {} : dhcp);
    this.linkLocal = linkLocal ? new LinkLocalAddress(owner, changed) : null;
  }

  /** The lease that is in force, or null. */
  get lease(): DhcpLease | null {
    return this.dhcp?.lease ?? null;
  }

  /** Begins. */
  start(): void {
    if (this.dhcp === null) this.linkLocal?.start();
    else this.dhcp.start();
  }

  /** Ends: addresses, routes and MTU go. @param release Whether the server is told. */
  stop(release = false): void {
    const { lease } = this;
    this.dhcp?.stop(release);
    this.linkLocal?.stop();
    if (lease !== null) this.#remove(lease);
  }

  /** The link was lost and is back. */
  linkUp(): void {
    this.dhcp?.reconfirm();
  }

  /** @internal */
  bound(lease: DhcpLease, before: DhcpLease | null): void {
    const owner = this.#interface;
    // Two addresses of different scopes only confuse (RFC 3927, section 1.9).
    this.linkLocal?.stop();
    const same = before !== null && before.address.address.equals(lease.address.address) &&
      before.address.prefix === lease.address.prefix;
    if (before !== null && !same) this.#remove(before);
    if (!same && !owner.hasV4(lease.address.address.d)) owner.addAddress(lease.address);
    owner.mtuV4 = lease.mtu;
    this.#setRoutes(lease);
    this.#changed();
  }

  /** @internal */
  lost(lease: DhcpLease): void {
    this.#remove(lease);
    this.#changed();
  }

  /** @internal */
  silent(): void {
    if (this.lease === null) this.linkLocal?.start();
  }

  #remove(lease: DhcpLease): void {
    for (const route of this.#routes) this.#interface.stack.removeRoute(route);
    this.#routes = [];
    this.#interface.mtuV4 = 0;
    this.#interface.removeAddress(lease.address.address);
  }

  /** Replaces routes as far as they differ, so that a renewal disturbs nobody. */
  #setRoutes(lease: DhcpLease): void {
    const owner = this.#interface;
    const { stack } = owner;
    const wanted: RouteOptions[] = lease.routers.map((gateway, i) => ({
      destination: EVERYWHERE,
      gateway,
      interface: owner,
      metric: METRIC + i,
    }));
    for (const { destination, gateway } of lease.routes) {
      const route = { destination, interface: owner, metric: METRIC };
      wanted.push(gateway === null ? route : { ...route, gateway });
    }
    const made = wanted.map((options) => new Route(options));
    const names = made.map(nameOf);
    const before = this.#routes.map(nameOf);
    for (const route of this.#routes) if (!names.includes(nameOf(route))) stack.removeRoute(route);
    this.#routes = this.#routes.filter((route) => names.includes(nameOf(route)));
    for (const [i, options] of wanted.entries()) {
      if (before.includes(names[i]!) || stack.routes.full) continue;
      this.#routes.push(stack.addRoute(options));
    }
  }
}

function nameOf(route: Route): string {
  return `${route} ${route.metric}`;
}
