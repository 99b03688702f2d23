/**
 * What the routers of a link tell its hosts (RFC 4861, section 6.3; RFC 4862, section 5.5; RFC 4191; RFC 8106).
 *
 * Whoever is on the link can send advertisements. Everything taken from them is bounded by the stack's limits;
 * what comes when a list is full is refused and counted.
 *
 * @module
 */

import { Cidr, IpAddress } from "../ip/address.ts";
import { AddressOrigin, type OwnAddress } from "../ip/own_address.ts";
import type { Route } from "../ip/routes.ts";
import type { Interface } from "../link/interface.ts";
import type { Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import { readNames } from "../wire/domain_names.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as wire from "../wire/nd.ts";
import type { NeighbourDiscovery } from "./discovery.ts";

/** Solicitations, and µs between them (RFC 4861, section 10). */
const SOLICITATIONS = 3, SOLICITATION_INTERVAL = 4_000_000;
/** Metric of advertised routes: what is configured by hand goes first. */
const METRIC = 1024;
/** Added to the metric of a router that does not answer. */
const SILENT = 1024;
/** µs below which an advertisement that nobody has authenticated can't bring an address's lifetime (RFC 4862, 5.5.3). */
const TWO_HOURS = 7_200_000_000;
const DEFAULT_ROUTE = Cidr.parse("::/0");

/** A route that a router has told, the default route or another. */
interface Advertised {
  readonly router: IpAddress | null;
  readonly destination: Cidr;
  route: Route;
  preference: number;
  until: number;
}

/** A name server, or a search domain, with the time in µs until which it is to be used. */
export interface Expiring<T> {
  /** What it is. */
  readonly value: T;
  /** When it goes, in µs. */
  until: number;
}

/** Listens to the routers of one interface. */
export class RouterDiscovery implements TimerOwner {
  /** Whether the last advertisement has said that addresses come from DHCPv6 (RFC 4861, section 4.2, M). */
  managed = false;
  /** Whether the last advertisement has said that everything but addresses comes from DHCPv6 (O). */
  otherConfiguration = false;
  /** Called after each advertisement, and when something that was told has run out. */
  onChange: (() => void) | null = null;
  readonly #discovery: NeighbourDiscovery;
  readonly #interface: Interface;
  readonly #stack: Stack;
  readonly #enabled: boolean;
  readonly #solicit: Timer = new Timer(this);
  readonly #sweep: Timer = new Timer(this);
  #solicitations = 0;
  #heard = false;
  #routers: Advertised[] = [];
  #prefixes: Advertised[] = [];
  #routes: Advertised[] = [];
  #servers: Expiring<IpAddress>[] = [];
  #domains: Expiring<string>[] = [];

  /** @internal {@link NeighbourDiscovery} makes it. */
  constructor(discovery: NeighbourDiscovery, owner: Interface, stack: Stack, enabled: boolean) {
    this.#discovery = discovery;
    this.#interface = owner;
    this.#stack = stack;
    this.#enabled = enabled;
  }

  /** The default routers. */
  get routers(): readonly IpAddress[] {
    return this.#routers.map((entry) => entry.router!);
  }

  /** Prefixes that are on the link. */
  get prefixes(): readonly Cidr[] {
    return this.#prefixes.map((entry) => entry.destination);
  }

  /** Name servers, for a resolver. */
  get nameServers(): readonly Expiring<IpAddress>[] {
    return this.#servers;
  }

  /** Search domains, for a resolver. */
  get searchDomains(): readonly Expiring<string>[] {
    return this.#domains;
  }

  /** Whether routers have been heard, or nobody has answered the last of the questions for them. */
  get settled(): boolean {
    return !this.#enabled || (this.#heard || this.#solicitations >= SOLICITATIONS);
  }

  /** @internal Asks for routers after `delay` µs, a few times until one has answered. */
  start(delay: number): void {
    this.#solicitations = 0;
    this.#discovery.temporary.restart();
    if (this.#enabled) this.#stack.timers.arm(this.#solicit, this.#stack.now + delay);
  }

  /** @internal Stops listening. */
  stop(): void {
    this.#stack.timers.cancel(this.#solicit);
    this.#stack.timers.cancel(this.#sweep);
    for (const entry of [...this.#routers, ...this.#prefixes, ...this.#routes]) {
      this.#stack.removeRoute(entry.route);
    }
    this.#routers = this.#prefixes = this.#routes = [];
    this.#servers = [];
    this.#domains = [];
  }

  expire(timer: Timer, now: number): void {
    if (timer === this.#sweep) {
      this.#expireAll(now);
      return;
    }
    this.#discovery.solicitRouters();
    if (++this.#solicitations < SOLICITATIONS) {
      this.#stack.timers.arm(this.#solicit, now + SOLICITATION_INTERVAL);
    }
  }

  /** @internal A neighbour does not answer: if it is a router, others go first. */
  unreachable(address: IpAddress): void {
    for (const entry of [...this.#routers, ...this.#routes]) {
      if (entry.router!.equals(address) && entry.route.metric < METRIC + SILENT - 1) {
        this.#setRoute(entry, metricOf(entry.preference) + SILENT);
      }
    }
  }

  /** @internal A neighbour says that it is no router any more (RFC 4861, section 7.2.5). */
  resigned(address: IpAddress): void {
    this.#drop((entry) => entry.router !== null && entry.router.equals(address));
  }

  /** @internal Takes an advertisement whose form was checked. */
  advertised(packet: Packet): void {
    const { counters, neighbours } = this.#discovery;
    const { view, offset: at, end, network } = packet;
    if (view.getInt32(network + ipv6.SOURCE) >>> 22 !== 0x3fa) {
      counters.dropped.badAddress++;
      return;
    }
    if (!this.#enabled) {
      counters.dropped.ignored++;
      return;
    }
    counters.delivered++;
    this.#heard = true;
    this.#stack.timers.cancel(this.#solicit);
    const source = IpAddress.read(6, view, network + ipv6.SOURCE);
    const options = at + wire.ADVERTISEMENT_LENGTH;
    this.#parameters(view, at);
    const lifetime = wire.routerLifetime(view, at);
    this.#routers = this.#advertise(
      this.#routers,
      source,
      DEFAULT_ROUTE,
      wire.preference(view, at + 5),
      lifetime,
      this.#stack.limits.routers,
    );
    for (let option = options; option < end; option += wire.optionLength(view, option)) {
      this.#option(view, option, source);
    }
    const link = wire.findOption(view, options, end, wire.SOURCE_LINK_ADDRESS);
    if (link >= 0 && this.#interface.addressed && !ethernet.isGroup(wire.linkHigh(view, link))) {
      const high = wire.linkHigh(view, link), low = wire.linkLow(view, link);
      const entry = neighbours.find(source);
      if (entry !== null) neighbours.learn(entry, high, low, false);
      // Of those that are one too many, nobody needs to know where they are.
      else if ([...this.#routers, ...this.#routes].some(({ router }) => router!.equals(source))) {
        neighbours.add(source, high, low);
      }
    }
    this.arm();
    this.onChange?.();
  }

  #parameters(view: DataView, at: number): void {
    const discovery = this.#discovery;
    const flags = view.getUint8(at + 5);
    this.managed = (flags & wire.MANAGED) !== 0;
    this.otherConfiguration = (flags & wire.OTHER_CONFIGURATION) !== 0;
    const hopLimit = wire.advertisedHopLimit(view, at);
    if (hopLimit !== 0) discovery.hopLimit = hopLimit;
    const reachable = wire.reachableTime(view, at);
    // From half to one and a half, so that hosts don't ask all at once (RFC 4861, section 6.3.2). An hour at most.
    if (reachable !== 0 && reachable <= 3_600_000) {
      const factor = 0.5 + (this.#stack.random() >>> 0) / 2 ** 32;
      discovery.neighbours.reachable = reachable * 1000 * factor;
    }
    const retransmit = wire.retransmitTime(view, at);
    // Neither a flood nor for ever.
    if (retransmit >= 100 && retransmit <= 60_000) discovery.neighbours.retransmit = retransmit * 1000;
  }

  #option(view: DataView, at: number, source: IpAddress): void {
    const length = wire.optionLength(view, at);
    switch (view.getUint8(at)) {
      case wire.PREFIX:
        if (length === 32) this.#prefix(view, at, source);
        return;
      case wire.MTU: {
        const mtu = wire.linkMtu(view, at);
        if (
          length === 8 && mtu >= ipv6.LEAST_MTU && mtu <= this.#interface.mtu && mtu !== this.#discovery.mtu
        ) {
          this.#discovery.mtu = mtu;
          this.#stack.generation++;
        }
        return;
      }
      case wire.ROUTE:
        this.#route(view, at, length, source);
        return;
      case wire.DNS_SERVERS: {
        const seconds = wire.lifetime(view, at);
        for (let place = at + 8; place + 16 <= at + length; place += 16) {
          const server = IpAddress.read(6, view, place);
          this.#servers = this.#keep(this.#servers, server, seconds, (other) => other.equals(server));
        }
        return;
      }
      case wire.DNS_SEARCH:
        for (const name of readNames(view, at + 8, at + length) ?? []) {
          this.#domains = this.#keep(this.#domains, name, wire.lifetime(view, at), (other) => other === name);
        }
    }
  }

  #prefix(view: DataView, at: number, source: IpAddress): void {
    const bits = wire.prefixLength(view, at);
    const valid = wire.lifetime(view, at), preferred = wire.preferredLifetime(view, at);
    const prefix = IpAddress.read(6, view, at + 16);
    if (bits > 128 || prefix.isLinkLocal || prefix.isMulticast || preferred > valid) return;
    const flags = wire.prefixFlags(view, at);
    const { limits } = this.#stack;
    if ((flags & wire.ON_LINK) !== 0) {
      const network = new Cidr(prefix, bits).network;
      this.#prefixes = this.#advertise(this.#prefixes, null, network, 0, valid, limits.prefixes);
    }
    if ((flags & wire.AUTONOMOUS) !== 0 && bits === 64) this.#autonomous(prefix, valid, preferred, source);
  }

  /** RFC 4862, section 5.5.3. */
  #autonomous(prefix: IpAddress, valid: number, preferred: number, source: IpAddress): void {
    const { now } = this.#stack;
    const validUntil = until(now, valid), preferredUntil = until(now, preferred);
    const known = this.#discovery.addresses.find((own) =>
      own.origin === AddressOrigin.Router && own.address.a === prefix.a && own.address.b === prefix.b
    );
    if (known === undefined) {
      if (valid === 0) return;
      const made = this.#discovery.makeAddress(prefix, AddressOrigin.Router, 0);
      if (made === null) return;
      made.routers = [source];
      made.live(now, preferredUntil, validUntil);
      this.#discovery.temporary.follow(made);
      return;
    }
    if (
      known.routers.length < this.#stack.limits.routers && !known.routers.some((one) => one.equals(source))
    ) {
      known.routers = [...known.routers, source];
    }
    const longer = validUntil > known.validUntil || validUntil - now > TWO_HOURS;
    const end = longer ? validUntil : Math.min(known.validUntil, now + TWO_HOURS);
    if (known.live(now, preferredUntil, end)) this.#stack.generation++;
    this.#discovery.temporary.follow(known);
  }

  /** A route to more than the default (RFC 4191, section 2.3). */
  #route(view: DataView, at: number, length: number, source: IpAddress): void {
    const bits = wire.prefixLength(view, at);
    const preference = wire.preference(view, at + 3);
    if (bits > 128 || length < 8 + 8 * Math.ceil(bits / 64) || length > 24 || preference === -2) return;
    const words = [0, 0, 0, 0].map((_, i) => 8 + 4 * i < length ? view.getInt32(at + 8 + 4 * i) : 0);
    const destination = new Cidr(IpAddress.v6(words[0]!, words[1]!, words[2]!, words[3]!), bits).network;
    const { limits } = this.#stack;
    this.#routes = this.#advertise(
      this.#routes,
      source,
      destination,
      preference,
      wire.lifetime(view, at),
      limits.prefixes,
    );
  }

  /** Enters, changes or (lifetime 0) takes out a route in one of the lists. @param router null for what is on the link. */
  #advertise(
    list: Advertised[],
    router: IpAddress | null,
    destination: Cidr,
    preference: number,
    lifetime: number,
    limit: number,
  ): Advertised[] {
    const found = list.find((entry) =>
      (router === null || entry.router!.equals(router)) && entry.destination.prefix === destination.prefix &&
      entry.destination.address.equals(destination.address)
    );
    if (lifetime === 0) {
      if (found !== undefined) this.#stack.removeRoute(found.route);
      return found === undefined ? list : list.filter((entry) => entry !== found);
    }
    const metric = metricOf(preference);
    if (found !== undefined) {
      found.until = until(this.#stack.now, lifetime);
      found.preference = preference;
      if (found.route.metric !== metric) this.#setRoute(found, metric);
      return list;
    }
    if (list.length >= limit || this.#stack.routes.full) {
      this.#discovery.counters.refused++;
      return list;
    }
    const entry: Advertised = {
      router,
      destination,
      route: this.#addRoute(router, destination, metric),
      preference,
      until: until(this.#stack.now, lifetime),
    };
    return [...list, entry];
  }

  #addRoute(router: IpAddress | null, destination: Cidr, metric: number): Route {
    const options = { destination, interface: this.#interface, metric };
    return this.#stack.addRoute(router === null ? options : { ...options, gateway: router });
  }

  #setRoute(entry: Advertised, metric: number): void {
    this.#stack.removeRoute(entry.route);
    entry.route = this.#addRoute(entry.router, entry.destination, metric);
  }

  #keep<T>(list: Expiring<T>[], value: T, lifetime: number, same: (other: T) => boolean): Expiring<T>[] {
    const found = list.find((entry) => same(entry.value));
    if (lifetime === 0) return list.filter((entry) => entry !== found);
    if (found !== undefined) {
      found.until = until(this.#stack.now, lifetime);
      return list;
    }
    if (list.length >= this.#stack.limits.nameServers) {
      this.#discovery.counters.refused++;
      return list;
    }
    return [...list, { value, until: until(this.#stack.now, lifetime) }];
  }

  #drop(test: (entry: Advertised) => boolean): void {
    const rest = (list: Advertised[]) =>
      list.filter((entry) => {
        if (!test(entry)) return true;
        this.#stack.removeRoute(entry.route);
        return false;
      });
    this.#routers = rest(this.#routers);
    this.#prefixes = rest(this.#prefixes);
    this.#routes = rest(this.#routes);
  }

  #expireAll(now: number): void {
    this.#drop((entry) => entry.until <= now);
    this.#servers = this.#servers.filter((entry) => entry.until > now);
    this.#domains = this.#domains.filter((entry) => entry.until > now);
    for (const own of this.#discovery.addresses) {
      if (isTold(own) && own.validUntil <= now) this.#interface.removeAddress(own.address);
      else if (own.age(now)) this.#stack.generation++;
    }
    this.arm();
    this.onChange?.();
  }

  /** @internal Sees to it that what has an end is looked at then. Called when an address has got other lifetimes. */
  arm(): void {
    const { now, timers } = this.#stack;
    let next = Infinity;
    const lists = [this.#routers, this.#prefixes, this.#routes, this.#servers, this.#domains];
    for (const list of lists) for (const entry of list) next = Math.min(next, entry.until);
    for (const own of this.#discovery.addresses) {
      if (isTold(own)) next = Math.min(next, own.validUntil);
      if (own.preferredUntil > now) next = Math.min(next, own.preferredUntil);
    }
    if (next === Infinity) timers.cancel(this.#sweep);
    else timers.arm(this.#sweep, next);
  }
}

/** Whether an address goes by itself when its time is over. */
function isTold({ origin }: OwnAddress): boolean {
  return origin === AddressOrigin.Router || origin === AddressOrigin.Temporary;
}

/** When a lifetime in seconds ends, in µs. */
function until(now: number, seconds: number): number {
  return seconds === wire.INFINITE_LIFETIME ? Infinity : now + seconds * 1_000_000;
}

/** The smaller the better; a reserved preference counts as medium (RFC 4191, section 2.2). */
function metricOf(preference: number): number {
  return METRIC - (preference === -2 ? 0 : preference);
}
