/**
 * Paths over IPv4.
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { Neighbour } from "../link/neighbour.ts";
import type { Packet } from "../packet.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as wire from "../wire/ipv4.ts";
import type { IpAddress } from "./address.ts";
import { IpPath } from "./ip_path.ts";
import type { Ipv4 } from "./ipv4.ts";

/** Hops that a packet may go unless its sender says otherwise (RFC 1122, 3.2.1.7), and a multicast (RFC 1112, 6.1). */
const HOPS = 64, MULTICAST_HOPS = 1;

/** How to reach one IPv4 destination from one address of ours. */
export class Ipv4Path extends IpPath {
  /** The IP version. */
  readonly version = 4;
  /** Bytes of the header that is put in front. */
  readonly headerLength: number = wire.HEADER_LENGTH;
  /** Smaller MTUs are not believed: they cost much, and links that small are not met (as Linux' min_pmtu). */
  protected readonly leastMtu = 552;
  /** @internal The next of the same bucket of the cache. */
  next: Ipv4Path | null = null;
  readonly #layer: Ipv4;
  readonly #hops: number;

  /** @internal {@link Ipv4.path} makes them. */
  constructor(
    layer: Ipv4,
    hash: number,
    source: IpAddress,
    destination: IpAddress,
    first: Interface,
    pinned: Interface | null,
  ) {
    super(layer, hash, source, destination, first, pinned);
    this.#layer = layer;
    this.#hops = destination.isMulticast ? MULTICAST_HOPS : HOPS;
  }

  /** Puts the IP header in front of a packet and hands it to the link. */
  send(packet: Packet, protocol: number, trafficClass: number, hopLimit: number): boolean {
    const length = this.admit(packet, protocol, 65535);
    if (length < 0) return false;
    packet.transport = packet.offset;
    packet.version = 4;
    packet.protocol = protocol;
    const { headers } = packet;
    const header = wire.HEADER_LENGTH + (headers === null ? 0 : headers.lengthOf(4));
    const at = packet.network = packet.offset -= header;
    wire.write(
      packet.view,
      at,
      trafficClass | ((trafficClass & 0xfc) === 0 ? this.trafficClass : 0),
      length,
      // Never fragmented, neither here nor on the way, so the identification means nothing (RFC 6864, section 4.1).
      0,
      wire.DONT_FRAGMENT,
      hopLimit === 0 ? (this.hops || this.#hops) : hopLimit,
      protocol,
      this.source.d,
      this.destination.d,
    );
    if (headers !== null) headers.writeV4(packet, at);
    return this.#layer.tapOutgoing(packet) || this.forward(packet, ethernet.IPV4, length);
  }

  /** Looks the way up again. Returns whether there is one. */
  protected route(): boolean {
    return this.#layer.route(this);
  }

  /** Largest IP packet of the interface, in bytes. */
  protected linkMtu(): number {
    return this.interface.mtuV4;
  }

  /** The neighbour that packets go to. */
  protected resolve(): Neighbour {
    return this.interface.arp.neighbours.resolve(this.hop);
  }
}
