/**
 * Which way to which network: the longest prefix wins, then the smallest metric.
 *
 * @module
 */

import { StackError } from "../errors.ts";
import type { Interface } from "../link/interface.ts";
import type { Cidr, IpAddress } from "./address.ts";

/** What `Stack.addRoute` takes. */
export interface RouteOptions {
  /** The network, for example `0.0.0.0/0`. Host bits don't matter. */
  destination: Cidr;
  /** The router to send to, taken to be reachable on `interface`; left out for a network on the link itself. */
  gateway?: IpAddress;
  /** Where frames leave. */
  interface: Interface;
  /** Among routes to the same network, the smallest is used. 0, the default, or more. */
  metric?: number;
}

/** One route. Immutable. */
export class Route {
  /** The network. */
  readonly destination: Cidr;
  /** The router, or null when destinations are on the link. */
  readonly gateway: IpAddress | null;
  /** Where frames leave. */
  readonly interface: Interface;
  /** Smaller is better. */
  readonly metric: number;

  /**
   * Makes a route; `Stack.addRoute` puts it into effect.
   * @throws {TypeError} When gateway and destination are of different versions, or the gateway is no host.
   */
  constructor(options: RouteOptions) {
    this.destination = options.destination.network;
    this.gateway = options.gateway ?? null;
    this.interface = options.interface;
    this.metric = options.metric ?? 0;
    const { gateway } = this;
    if (gateway !== null) {
      if (gateway.version !== this.destination.address.version) {
        throw new TypeError(
          `Cannot route ${this.destination} by gateway ${gateway}: give one of the same IP version`,
        );
      }
      if (gateway.isMulticast || gateway.isUnspecified || gateway.isLoopback) {
        throw new TypeError(`Cannot route ${this.destination} by gateway ${gateway}: give a host's address`);
      }
    }
  }

  /** `DESTINATION via GATEWAY dev INTERFACE`. */
  toString(): string {
    const via = this.gateway === null ? "" : ` via ${this.gateway}`;
    return `${this.destination}${via} dev ${this.interface.name}`;
  }
}

/** The routes of a stack, of both versions. Looked up once a path, not once a packet. */
export class RouteTable {
  readonly #limit: number;
  #routes: Route[] = [];

  /**
   * Makes an empty table.
   * @param limit Most routes.
   */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** All of them, in the order in which they are tried. */
  get routes(): readonly Route[] {
    return this.#routes;
  }

  /** Whether {@link add} would throw. */
  get full(): boolean {
    return this.#routes.length >= this.#limit;
  }

  /** Adds a route. @throws {StackError} `TooMany` when the table is full. */
  add(route: Route): void {
    if (this.full) {
      throw new StackError("TooMany", `Cannot add route ${route}: there are ${this.#limit} already`);
    }
    const { destination, metric } = route;
    let at = 0;
    while (at < this.#routes.length) {
      const other = this.#routes[at]!;
      if (other.destination.prefix < destination.prefix) break;
      if (other.destination.prefix === destination.prefix && other.metric > metric) break;
      at++;
    }
    this.#routes.splice(at, 0, route);
  }

  /** Takes a route away. @returns Whether it was there. */
  remove(route: Route): boolean {
    const at = this.#routes.indexOf(route);
    if (at >= 0) this.#routes.splice(at, 1);
    return at >= 0;
  }

  /** Takes all routes away for which `test` holds. */
  removeWhere(test: (route: Route) => boolean): void {
    this.#routes = this.#routes.filter((route) => !test(route));
  }

  /** The best route to `destination`, by `by` only if that is given; or null. */
  lookup(destination: IpAddress, by: Interface | null): Route | null {
    for (const route of this.#routes) {
      if (route.destination.contains(destination) && (by === null || route.interface === by)) return route;
    }
    return null;
  }
}
