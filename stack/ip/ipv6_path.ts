/**
 * Paths over IPv6.
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { Neighbour } from "../link/neighbour.ts";
import type { Packet } from "../packet.ts";
import * as ethernet from "../wire/ethernet.ts";
import { TCP, UDP } from "../wire/ipv4.ts";
import * as wire from "../wire/ipv6.ts";
import type { IpAddress } from "./address.ts";
import { IpPath } from "./ip_path.ts";
import type { Ipv6 } from "./ipv6.ts";

/** Hops that a packet may go unless its sender or the link's router says otherwise, and a multicast. */
const HOPS = 64, MULTICAST_HOPS = 1;

/** How to reach one IPv6 destination from one address of ours. */
export class Ipv6Path extends IpPath {
  /** IPv6. */
  readonly version = 6;
  /** Bytes of the IPv6 header. */
  readonly headerLength: number = wire.HEADER_LENGTH;
  /** No link has less (RFC 8201, section 4). */
  protected readonly leastMtu: number = wire.LEAST_MTU;
  /** @internal The next of the same bucket of the cache. */
  next: Ipv6Path | null = null;
  readonly #layer: Ipv6;
  /** The ports that {@link #label} was last made for: one conversation mostly follows itself. */
  #ports = 0;
  #label = 0;

  /** @internal {@link Ipv6.path} makes them. */
  constructor(
    layer: Ipv6,
    hash: number,
    source: IpAddress,
    destination: IpAddress,
    first: Interface,
    pinned: Interface | null,
  ) {
    super(layer, hash, source, destination, first, pinned);
    this.#layer = layer;
  }

  /** Puts the IPv6 header in front and sends. */
  send(packet: Packet, protocol: number, trafficClass: number, hopLimit: number): boolean {
    const length = this.admit(packet, protocol, 65535 + wire.HEADER_LENGTH);
    if (length < 0) return false;
    packet.transport = packet.offset;
    packet.version = 6;
    packet.protocol = protocol;
    const label = protocol === TCP || protocol === UDP
      ? this.#labelOf(packet.view.getInt32(packet.offset))
      : 0;
    const next = packet.headers === null ? protocol : packet.headers.pushV6(packet, protocol);
    const at = packet.network = packet.offset -= wire.HEADER_LENGTH;
    wire.write(
      packet.view,
      at,
      trafficClass | ((trafficClass & 0xfc) === 0 ? this.trafficClass : 0),
      label,
      length - wire.HEADER_LENGTH,
      next,
      hopLimit === 0 ? this.#hops() : hopLimit,
      this.source,
      this.destination,
    );
    return this.#layer.tapOutgoing(packet) || this.forward(packet, ethernet.IPV6, length);
  }

  /** Looks the way up. @returns Whether there is one. */
  protected route(): boolean {
    return this.#layer.route(this);
  }

  /** What the link takes: the router may say less than the interface. */
  protected linkMtu(): number {
    return this.interface.nd?.mtu ?? this.interface.mtu;
  }

  /** Who is next on the way. */
  protected resolve(): Neighbour {
    return this.interface.nd!.neighbours.resolve(this.hop);
  }

  #hops(): number {
    if (this.hops !== 0) return this.hops;
    return this.group ? MULTICAST_HOPS : this.interface.nd?.hopLimit ?? HOPS;
  }

  /** The same 20 bits for every packet of a flow, which nobody can guess (RFC 6437, section 3). */
  #labelOf(ports: number): number {
    if (ports !== this.#ports) {
      this.#ports = ports;
      this.#label = this.#layer.labelOf(this.hash, ports);
    }
    return this.#label;
  }
}
