/**
 * What a network's interfaces are given by the link: addresses, routers, servers of names and of time.
 *
 * @module
 */

import { Ipv6Configuration } from "../stack/configuration/ipv6.ts";
import type { Dhcpv6Options } from "../stack/dhcpv6/options.ts";
import { type Dhcpv6Given, NOTHING_GIVEN } from "../stack/dhcpv6/options.ts";
import { Ipv4Configuration, type Ipv4ConfigurationOptions } from "../stack/configuration/ipv4.ts";
import type { DhcpLease } from "../stack/dhcp/options.ts";
import { AddressState } from "../stack/ip/own_address.ts";
import type { Interface } from "../stack/link/interface.ts";
import type { Stack } from "../stack/stack.ts";
import { Alarm, type Clock } from "./clock.ts";
import { toldDomains, toldServers } from "./dns/told.ts";

/** How an interface is configured by the link. */
export interface ConfigureOptions extends Ipv4ConfigurationOptions {
  /** Whether DHCPv6 servers are asked when routers say so (RFC 8415), and how. Default true. */
  dhcpv6?: boolean | Dhcpv6Options;
  /** Whether leases are given back when the network is closed. Default false: the same address is likely next time. */
  release?: boolean;
}

/** µs between two looks at whether the link is there. */
const WATCH = 1_000_000;
/** µs between two looks at whether the network can be used, before it can. */
const LOOK = 50_000;
/** µs after a change in which further ones are told with it. */
const TOGETHER = 10_000;
/** µs that routers are waited for when there is an IPv4 address: they are asked within the first second. */
const ROUTERS = 2_000_000;

/** One interface. */
interface Configured {
  readonly interface: Interface;
  /** How it gets its IPv4 address; null for one with addresses by hand. */
  readonly ipv4: Ipv4Configuration | null;
  /** What it gets over IPv6 beside router advertisements; null for nothing. */
  readonly ipv6: Ipv6Configuration | null;
  readonly release: boolean;
  linkUp: boolean;
}

/**
 * What the link has told all interfaces of a network. A `change` event says that something of it is different.
 *
 * @example Following the configuration
 * ```ts ignore
 * network.configuration.addEventListener("change", () => console.log(network.configuration.addresses));
 * ```
 */
export class Configuration extends EventTarget {
  readonly #stack: Stack;
  readonly #clock: Clock;
  readonly #list: Configured[] = [];
  readonly #watch: Alarm;
  readonly #tell: Alarm;
  readonly #began: number;
  #told = "";
  #closed = false;

  /** @internal A network makes it. */
  constructor(stack: Stack, clock: Clock) {
    super();
    this.#stack = stack;
    this.#clock = clock;
    this.#began = clock.time();
    this.#watch = new Alarm(clock, () => this.#look());
    this.#tell = new Alarm(clock, () => this.#changed());
  }

  /** Addresses of all interfaces with their prefixes; those that are not to be used yet are left out. */
  get addresses(): string[] {
    return this.#stack.interfaces.flatMap((one) =>
      one.addresses.filter(({ address }) =>
        address.version === 4 || (this.#stack.ipv6.own(address, one)?.usable ?? false)
      ).map(String)
    );
  }

  /** Servers of names, best first: those of DHCP, then those of routers; link-local ones with their zone. */
  get nameServers(): string[] {
    return unique([
      ...this.#leases().flatMap(({ nameServers }) => nameServers.map(String)),
      ...this.#given().flatMap(({ nameServers }) => nameServers.map(String)),
      ...toldServers(this.#stack),
    ]);
  }

  /** Domains in which short names are looked up. */
  get searchDomains(): string[] {
    return unique([
      ...this.#leases().flatMap(({ searchDomains }) => [...searchDomains]),
      ...this.#given().flatMap(({ searchDomains }) => [...searchDomains]),
      ...toldDomains(this.#stack),
    ]);
  }

  /** Servers of time (NTP). */
  get timeServers(): string[] {
    return unique(
      [...this.#leases(), ...this.#given()].flatMap(({ timeServers }) => timeServers.map(String)),
    );
  }

  /** Prefixes that DHCPv6 servers have delegated to the application, for its other links (`dhcpv6.prefixes` asks for them). */
  get prefixes(): string[] {
    return this.#given().flatMap(({ prefixes }) => prefixes.map(({ network }) => `${network}`));
  }

  /** Routes that are in force, those to the networks of the link among them. */
  get routes(): string[] {
    return this.#stack.routes.routes.map(String);
  }

  /** The IPv4 lease of an interface, the first by default; null while there is none. Its address, given as `dhcp.earlier`, is asked for first next time. */
  lease(by: Interface | null = this.#stack.interfaces[0] ?? null): DhcpLease | null {
    return this.#list.find((one) => one.interface === by)?.ipv4?.lease ?? null;
  }

  /**
   * Whether what is waited for at the start is there: each interface that is configured by the link has an IPv4 address (by
   * DHCP or of its own) and has heard of routers, or has an IPv6 address that is good beyond the link.
   */
  get usable(): boolean {
    const elapsed = this.#clock.time() - this.#began;
    return this.#list.every(({ interface: by, ipv4 }) => {
      if (ipv4 === null) return true;
      const routed = by.nd === null || elapsed >= ROUTERS || by.nd.routers.settled;
      const v4 = by.addresses.some(({ address }) => address.version === 4);
      const v6 = by.nd?.addresses.some(({ address, usable, state }) =>
        usable && state !== AddressState.Deprecated && !address.isLinkLocal
      ) ?? false;
      // An IPv4 server is a little slower, since the address is asked for.
      return (v4 && routed) || (v6 && elapsed >= 2 * ROUTERS);
    });
  }

  /** Resolves when it is {@link usable}, or after `patience` µs, or when the network is closed. */
  async settled(patience: number): Promise<void> {
    const limit = this.#clock.time() + patience;
    while (!this.#closed && !this.usable && this.#clock.time() < limit) {
      await new Promise<void>((resolve) => new Alarm(this.#clock, resolve).set(LOOK));
    }
  }

  /** @internal An interface of the network. @param options How it is configured; null for one with addresses by hand. */
  add(by: Interface, options: ConfigureOptions | null): void {
    const changed = () => {
      if (!this.#tell.armed && !this.#closed) this.#tell.set(TOGETHER);
    };
    // Servers know hosts by their link addresses.
    const ipv4 = options === null || !by.addressed ? null : new Ipv4Configuration(by, options, changed);
    const release = options?.release ?? false;
    const dhcpv6 = options?.dhcpv6 ?? true;
    const { nd } = by;
    const ipv6 = options === null || nd === null || !by.addressed || dhcpv6 === false
      ? null
      : new Ipv6Configuration(by, nd, dhcpv6 === true ? {} : dhcpv6, changed);
    this.#list.push({ interface: by, ipv4, ipv6, release, linkUp: by.device.linkUp });
    if (nd !== null) {
      nd.routers.onChange = () => {
        ipv6?.heard();
        changed();
      };
    }
    if (ipv4 === null) return;
    ipv4.start();
    if (!this.#watch.armed) this.#watch.set(WATCH);
  }

  /** @internal The network is closed. */
  close(): void {
    this.#closed = true;
    this.#watch.cancel();
    this.#tell.cancel();
    for (const { ipv4, ipv6, release } of this.#list) {
      ipv4?.stop(release);
      ipv6?.stop(release);
    }
  }

  #given(): Dhcpv6Given[] {
    return this.#list.map(({ ipv6 }) => ipv6?.given ?? NOTHING_GIVEN);
  }

  #leases(): DhcpLease[] {
    return this.#list.map(({ ipv4 }) => ipv4?.lease ?? null).filter((lease) => lease !== null);
  }

  /** The link may have been unplugged and plugged in elsewhere: what was given is asked for again. */
  #look(): void {
    for (const one of this.#list) {
      const { linkUp } = one.interface.device;
      if (linkUp === one.linkUp) continue;
      one.linkUp = linkUp;
      if (!linkUp || one.ipv4 === null) continue;
      one.ipv4.linkUp();
      one.ipv6?.linkUp();
      one.interface.nd?.routers.start(0);
    }
    this.#watch.set(WATCH);
  }

  #changed(): void {
    const { addresses, nameServers, searchDomains, timeServers, prefixes, routes } = this;
    const now = JSON.stringify([addresses, nameServers, searchDomains, timeServers, prefixes, routes]);
    if (now === this.#told) return;
    this.#told = now;
    try {
      this.dispatchEvent(new Event("change"));
    } catch (error) {
      this.#stack.report(error, "listener of a configuration");
    }
  }
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)];
}
