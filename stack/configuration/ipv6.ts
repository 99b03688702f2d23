/**
 * What an interface gets over IPv6 beside router advertisements: from DHCPv6 servers, when routers say so.
 *
 * @module
 */

import { Dhcpv6Client } from "../dhcpv6/client.ts";
import type { Dhcpv6Given, Dhcpv6Options } from "../dhcpv6/options.ts";
import type { IpAddress } from "../ip/address.ts";
import type { Interface } from "../link/interface.ts";
import type { NeighbourDiscovery } from "../nd/discovery.ts";

/** Gives one interface the addresses that DHCPv6 servers give, and takes them away again. */
export class Ipv6Configuration {
  /** Asks servers. */
  readonly dhcp: Dhcpv6Client;
  readonly #interface: Interface;
  readonly #nd: NeighbourDiscovery;
  readonly #changed: () => void;
  #addresses: IpAddress[] = [];

  /**
   * Makes it; nothing is done before {@link heard}.
   * @param owner The interface. @param nd Its neighbour discovery. @param options How servers are asked.
   * @param changed Called after each change of what it was given.
   */
  constructor(owner: Interface, nd: NeighbourDiscovery, options: Dhcpv6Options, changed: () => void) {
    this.#interface = owner;
    this.#nd = nd;
    this.#changed = changed;
    this.dhcp = new Dhcpv6Client(owner, options, () => this.#apply());
    nd.onDuplicate = (address) => this.dhcp.decline(address);
  }

  /** What servers have given. */
  get given(): Dhcpv6Given {
    return this.dhcp.given;
  }

  /** A router has advertised: begins to ask when it says so (RFC 4861, section 4.2). */
  heard(): void {
    const { managed, otherConfiguration } = this.#nd.routers;
    if (managed) this.dhcp.start();
    else if (otherConfiguration) this.dhcp.inform();
  }

  /** The link was lost and is back. */
  linkUp(): void {
    this.dhcp.reconfirm();
  }

  /** Ends: addresses go. @param release Whether the server is told. */
  stop(release = false): void {
    this.dhcp.stop(release);
    for (const address of this.#addresses) this.#interface.removeAddress(address);
    this.#addresses = [];
  }

  #apply(): void {
    const owner = this.#interface;
    const { addresses } = this.dhcp.given;
    for (const address of this.#addresses) {
      if (!addresses.some(({ network }) => network.address.equals(address))) owner.removeAddress(address);
    }
    this.#addresses = [];
    for (const { network, preferredUntil, validUntil } of addresses) {
      const { address } = network;
      let own = this.#nd.addresses.find((other) => other.address.equals(address));
      if (own === undefined && !owner.stack.isLocal(address)) {
        owner.addAddress(network);
        own = this.#nd.addresses.find((other) => other.address.equals(address));
      }
      if (own === undefined) continue;
      if (own.live(owner.stack.now, preferredUntil, validUntil)) owner.stack.generation++;
      this.#addresses.push(address);
    }
    this.#nd.routers.arm();
    this.#changed();
  }
}
