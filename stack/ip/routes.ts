/**
 * Which way to which network: the longest prefix wins, then the longest prefix of the source, then the smallest metric.
 *
 * @module
 */

import { StackError } from "../errors.ts";
import type { Interface } from "../link/interface.ts";
import type { Neighbour } from "../link/neighbour.ts";
import type { Cidr, IpAddress } from "./address.ts";
import { PrefixTrie } from "./prefix_trie.ts";

/** What a route does with packets. */
export enum RouteKind {
  /** They go to the gateway, or to the destination itself. */
  Unicast,
  /** They are dropped, and their sender is told that the host is unreachable. */
  Unreachable,
  /** They are dropped, and nobody is told. */
  Blackhole,
  /** They are dropped, and their sender is told that it is forbidden. */
  Prohibit,
}

/** What `Stack.addRoute` takes. */
export interface RouteOptions {
  /** The network, for example `0.0.0.0/0`. Host bits don't matter. */
  destination: Cidr;
  /** The router to send to, taken to be reachable on `interface`; left out for a network on the link itself. */
  gateway?: IpAddress;
  /** Where frames leave. Needed by routes that lead somewhere. */
  interface?: Interface;
  /** Among routes to the same network, the smallest is used. 0, the default, or more. */
  metric?: number;
  /**
   * Only packets from this network take the route (source-address policy, RFC 8678). Among routes to the same
   * network, the longest such prefix goes first, and metrics only decide between equals.
   */
  from?: Cidr;
  /** What is done with packets. Default: they are sent. */
  kind?: RouteKind;
  /** Largest IP packet that is sent this way, in bytes, where it is less than the interface's: 68 or 1280 to 65535. */
  mtu?: number;
  /** TTL or hop limit of packets of ours for which their sender has chosen none: 1 to 255. */
  hopLimit?: number;
  /** DSCP of packets of ours for which their sender has chosen none: 0 to 63. */
  dscp?: number;
}

/** One route. Immutable. */
export class Route {
  /** The network. */
  readonly destination: Cidr;
  /** The router, or null when destinations are on the link. */
  readonly gateway: IpAddress | null;
  /** Where frames leave; the loopback interface for routes that lead nowhere. */
  readonly interface: Interface;
  /** Smaller is better. */
  readonly metric: number;
  /** Where packets must come from, or null for anywhere. */
  readonly from: Cidr | null;
  /** What is done with packets. */
  readonly kind: RouteKind;
  /** Largest IP packet, in bytes, or 0 for what the interface takes. */
  readonly mtu: number;
  /** TTL or hop limit of packets of ours, or 0 for the usual one. */
  readonly hopLimit: number;
  /** DSCP of packets of ours. */
  readonly dscp: number;
  /** @internal The next best to the same network. */
  next: Route | null = null;
  /** @internal Place in the table's list; -1 when not in a table. */
  index = -1;
  /** @internal Goes up with each route that is added. */
  order = 0;
  /** @internal The gateway's entry, as forwarding last found it. */
  neighbour: Neighbour | null = null;

  /**
   * Makes a route; `Stack.addRoute` puts it into effect.
   * @throws {TypeError} When gateway, `from` and destination are of different versions, the gateway is no host, or
   *   there is no interface. @throws {RangeError} A metric, MTU, hop limit or DSCP out of range.
   */
  constructor(options: RouteOptions) {
    const network = this.destination = options.destination.network;
    const gateway = this.gateway = options.gateway ?? null;
    const from = this.from = options.from === undefined || options.from.prefix === 0
      ? null
      : options.from.network;
    this.kind = options.kind ?? RouteKind.Unicast;
    this.metric = options.metric ?? 0;
    this.mtu = options.mtu ?? 0;
    this.hopLimit = options.hopLimit ?? 0;
    this.dscp = options.dscp ?? 0;
    const { version } = network.address;
    if (options.interface === undefined) {
      throw new TypeError(`Cannot route ${network}: name the interface that packets leave by`);
    }
    this.interface = options.interface;
    if (gateway !== null) {
      if (gateway.version !== version) {
        throw new TypeError(
          `Cannot route ${network} by gateway ${gateway}: give one of the same IP version`,
        );
      }
      if (gateway.isMulticast || gateway.isUnspecified || gateway.isLoopback) {
        throw new TypeError(`Cannot route ${network} by gateway ${gateway}: give a host's address`);
      }
    }
    if (from !== null && from.address.version !== version) {
      throw new TypeError(`Cannot route ${network} from ${from}: give a network of the same IP version`);
    }
    check("Metric", this.metric, 0, 0xffffffff);
    if (this.mtu !== 0) check("MTU", this.mtu, version === 4 ? 68 : 1280, 65535);
    check("Hop limit", this.hopLimit, 0, 255);
    check("DSCP", this.dscp, 0, 63);
  }

  /** Whether it leads somewhere. */
  get leads(): boolean {
    return this.kind === RouteKind.Unicast;
  }

  /** `DESTINATION via GATEWAY dev INTERFACE`, as `ip route` says it. */
  toString(): string {
    const kind = this.leads ? "" : `${RouteKind[this.kind].toLowerCase()} `;
    const from = this.from === null ? "" : ` from ${this.from}`;
    const via = this.gateway === null ? "" : ` via ${this.gateway}`;
    return `${kind}${this.destination}${from}${via}${this.leads ? ` dev ${this.interface.name}` : ""}`;
  }

  /** Whether it asks of packets to come from where `other` asks them to. */
  sameSource(other: Route): boolean {
    if (this.from === null || other.from === null) return this.from === other.from;
    return this.from.prefix === other.from.prefix && this.from.address.equals(other.from.address);
  }

  /** Whether it goes before `other`, which leads to the same network. */
  precedes(other: Route): boolean {
    const own = this.from?.prefix ?? 0, others = other.from?.prefix ?? 0;
    return own !== others ? own > others : this.metric < other.metric;
  }
}

/**
 * The routes of a stack, of both versions, in a trie each: what a look-up costs does not depend on how many there
 * are. Paths look them up once a change, forwarding once a packet.
 */
export class RouteTable {
  readonly #limit: number;
  readonly #v4 = new PrefixTrie();
  readonly #v6 = new PrefixTrie();
  /** The best route of each network, by the trie's value. */
  readonly #heads: (Route | null)[] = [];
  readonly #spare: number[] = [];
  readonly #all: Route[] = [];
  #order = 0;

  /**
   * Makes an empty table.
   * @param limit Most routes.
   */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** How many there are. */
  get size(): number {
    return this.#all.length;
  }

  /** Bytes of the tries, the routes themselves not counted. */
  get bytes(): number {
    return this.#v4.bytes + this.#v6.bytes;
  }

  /** All of them: the longest prefixes first, and those of one network in the order in which they are tried. Sorts. */
  get routes(): readonly Route[] {
    return this.#all.toSorted((one, other) =>
      other.destination.prefix - one.destination.prefix ||
      (other.from?.prefix ?? 0) - (one.from?.prefix ?? 0) || one.metric - other.metric ||
      one.order - other.order
    );
  }

  /** Whether {@link add} would throw. */
  get full(): boolean {
    return this.#all.length >= this.#limit;
  }

  /** Adds a route. @throws {StackError} `TooMany` when the table is full. @throws {TypeError} When it is in a table. */
  add(route: Route): void {
    if (this.full) {
      throw new StackError("TooMany", `Cannot add route ${route}: there are ${this.#limit} already`);
    }
    if (route.index >= 0) throw new TypeError(`Cannot add route ${route}: it is in a table already`);
    const slot = this.#slotOf(route.destination);
    route.index = this.#all.push(route) - 1;
    route.order = this.#order++;
    let before: Route | null = null;
    let after = slot < 0 ? null : this.#heads[slot]!;
    while (after !== null && !route.precedes(after)) {
      before = after;
      after = after.next;
    }
    route.next = after;
    if (before !== null) before.next = route;
    else if (slot >= 0) this.#heads[slot] = route;
    else this.#enter(route);
  }

  /** Takes a route away; the next best to the same network takes over. @returns Whether it was there. */
  remove(route: Route): boolean {
    if (route.index < 0 || this.#all[route.index] !== route) return false;
    const slot = this.#slotOf(route.destination);
    const head = this.#heads[slot]!;
    if (head === route) {
      this.#heads[slot] = route.next;
      if (route.next === null) this.#forget(route.destination, slot);
    } else {
      let before = head;
      while (before.next !== route) before = before.next!;
      before.next = route.next;
    }
    const last = this.#all.pop()!;
    if (last !== route) {
      this.#all[route.index] = last;
      last.index = route.index;
    }
    route.index = -1;
    route.next = route.neighbour = null;
    return true;
  }

  /** Takes all routes away for which `test` holds. */
  removeWhere(test: (route: Route) => boolean): void {
    for (let i = this.#all.length - 1; i >= 0; i--) {
      const route = this.#all[i]!;
      if (test(route)) this.remove(route);
    }
  }

  /** The routes to exactly this network, best first. Allocates. */
  to(destination: Cidr): Route[] {
    const slot = this.#slotOf(destination.network);
    const found: Route[] = [];
    for (let route = slot < 0 ? null : this.#heads[slot]!; route !== null; route = route.next) {
      found.push(route);
    }
    return found;
  }

  /**
   * The best route to `destination`, or null.
   * @param by Only routes by this interface, and those that lead nowhere; null for any.
   * @param source Where packets come from; null leaves out routes that ask.
   */
  lookup(destination: IpAddress, by: Interface | null, source: IpAddress | null = null): Route | null {
    const v4 = destination.version === 4;
    const trie = v4 ? this.#v4 : this.#v6;
    let longest = 128;
    for (;;) {
      const slot = v4
        ? trie.lookup(destination.d, 0, 0, 0, longest)
        : trie.lookup(destination.a, destination.b, destination.c, destination.d, longest);
      if (slot < 0) return null;
      longest = trie.matched - 1;
      for (let route = this.#heads[slot]!; route !== null; route = route.next!) {
        if (by !== null && route.interface !== by && route.leads) continue;
        if (route.from === null || (source !== null && route.from.contains(source))) return route;
      }
    }
  }

  /** As {@link lookup} of the IPv4 addresses `destination` and `source`, by any interface. Allocates nothing. */
  lookupV4(destination: number, source: number): Route | null {
    let longest = 32;
    for (;;) {
      const slot = this.#v4.lookup(destination, 0, 0, 0, longest);
      if (slot < 0) return null;
      longest = this.#v4.matched - 1;
      for (let route = this.#heads[slot]!; route !== null; route = route.next!) {
        const { from } = route;
        if (from === null || ((from.address.d ^ source) & from.maskWord(3)) === 0) return route;
      }
    }
  }

  /** As {@link lookup} of the IPv6 addresses whose 16 bytes are at `destination` and `source`. Allocates nothing. */
  lookupV6(view: DataView, destination: number, source: number): Route | null {
    const a = view.getInt32(destination), b = view.getInt32(destination + 4);
    const c = view.getInt32(destination + 8), d = view.getInt32(destination + 12);
    let longest = 128;
    for (;;) {
      const slot = this.#v6.lookup(a, b, c, d, longest);
      if (slot < 0) return null;
      longest = this.#v6.matched - 1;
      for (let route = this.#heads[slot]!; route !== null; route = route.next!) {
        if (route.from === null || route.from.containsAt(view, source)) return route;
      }
    }
  }

  #slotOf(network: Cidr): number {
    const { address, prefix } = network;
    return address.version === 4
      ? this.#v4.get(address.d, 0, 0, 0, prefix)
      : this.#v6.get(address.a, address.b, address.c, address.d, prefix);
  }

  #enter(route: Route): void {
    const { address, prefix } = route.destination;
    const slot = this.#spare.pop() ?? this.#heads.length;
    this.#heads[slot] = route;
    if (address.version === 4) this.#v4.set(address.d, 0, 0, 0, prefix, slot);
    else this.#v6.set(address.a, address.b, address.c, address.d, prefix, slot);
  }

  #forget(network: Cidr, slot: number): void {
    const { address, prefix } = network;
    this.#spare.push(slot);
    if (address.version === 4) this.#v4.delete(address.d, 0, 0, 0, prefix);
    else this.#v6.delete(address.a, address.b, address.c, address.d, prefix);
  }
}

function check(what: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${what} of a route must be from ${least} to ${most}, got ${value}`);
  }
}
