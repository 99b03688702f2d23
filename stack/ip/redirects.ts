/**
 * Better first hops that routers have told of (RFC 1122, section 3.2.2.2; RFC 4861, section 8).
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { Stack } from "../stack.ts";
import { Cidr, type IpAddress } from "./address.ts";
import { Route } from "./routes.ts";

/** Destinations of one interface and version that may have their own first hop. When full, the oldest goes. */
const MOST_REDIRECTS = 64;

/** The redirects that one interface has taken, of one IP version: a route to one host each. */
export class Redirects {
  readonly #stack: Stack;
  readonly #interface: Interface;
  #routes: Route[] = [];

  /**
   * Makes an empty list.
   * @param stack The owner. @param owner The interface.
   */
  constructor(stack: Stack, owner: Interface) {
    this.#stack = stack;
    this.#interface = owner;
  }

  /** Redirects held. */
  get size(): number {
    return this.#routes.length;
  }

  /**
   * Sends packets to a destination by another first hop from now on.
   * @param from Who says so: only the router that they are sent to now is believed.
   * @param hop The other router, or the destination itself when it is on the link.
   * @returns False when it is not believed.
   */
  learn(destination: IpAddress, from: IpAddress, hop: IpAddress): boolean {
    const { routes } = this.#stack;
    const now = routes.lookup(destination, this.#interface);
    if (now === null || now.gateway === null || !now.gateway.equals(from) || hop.equals(from)) return false;
    if (this.#stack.isLocal(hop) || this.#stack.isLocal(destination) || destination.isMulticast) return false;
    const index = this.#routes.findIndex((route) => route.destination.address.equals(destination));
    if (index >= 0) this.#drop(index);
    else if (this.#routes.length >= MOST_REDIRECTS) this.#drop(0);
    if (routes.full) return false;
    const network = new Cidr(destination, destination.version === 4 ? 32 : 128);
    const options = { destination: network, interface: this.#interface };
    const route = new Route(hop.equals(destination) ? options : { ...options, gateway: hop });
    routes.add(route);
    this.#routes.push(route);
    this.#stack.generation++;
    return true;
  }

  /** A neighbour does not answer: whoever was sent by it goes the old way again. */
  unreachable(hop: IpAddress): void {
    for (let i = this.#routes.length - 1; i >= 0; i--) {
      const { gateway, destination } = this.#routes[i]!;
      if ((gateway ?? destination.address).equals(hop)) this.#drop(i);
    }
  }

  /** Forgets all. */
  clear(): void {
    while (this.#routes.length > 0) this.#drop(0);
  }

  #drop(index: number): void {
    const [route] = this.#routes.splice(index, 1);
    this.#stack.removeRoute(route!);
  }
}
