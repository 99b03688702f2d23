/**
 * What paths of both IP versions have in common.
 *
 * @module
 */

import type { IpCounters } from "../counters.ts";
import type { Limits } from "../limits.ts";
import type { Interface } from "../link/interface.ts";
import type { Neighbour } from "../link/neighbour.ts";
import { NeighbourState } from "../link/neighbour_state.ts";
import { GSO_NONE, type Packet } from "../packet.ts";
import { fold } from "../wire/checksum.ts";
import { IPV4, IPV6 } from "../wire/ethernet.ts";
import { TCP } from "../wire/ipv4.ts";
import type { IpAddress } from "./address.ts";
import { sendFragments } from "./fragment.ts";
import type { Path } from "./path.ts";
import type { Route } from "./routes.ts";

/** What a path needs of its layer. */
export interface PathLayer {
  /** Goes up whenever a route or an address changes. */
  readonly generation: number;
  /** The time, in µs. */
  readonly now: number;
  /** The stack's limits. */
  readonly limits: Readonly<Limits>;
  /** What happened. */
  readonly counters: IpCounters;
  /** What the fragments of the next packet that is cut have in common. */
  nextIdentification(): number;
  /** Shows a packet to the outgoing taps. */
  tapOutgoing(packet: Packet): boolean;
  /** A slot for a packet that is larger than the slots of its device, or null. */
  reserveLarge(): Packet | null;
  /** Hands a copy of a packet to a group to our own listeners on {@link Packet.looped}. */
  loop(packet: Packet, ethertype: number): void;
}

/** How to reach one destination from one address of ours, whatever the version. */
export abstract class IpPath implements Path {
  abstract readonly version: 4 | 6;
  abstract readonly headerLength: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly addressSum: number;
  /** The only interface it may leave by, or null for any. */
  readonly pinned: Interface | null;
  interface: Interface;
  mtu: number;
  local = false;
  group = false;
  /** The next hop is one host to be resolved, and not a group, ourselves, or all that there is at the other end. */
  resolves = false;
  /** The next hop's address, when {@link resolves}. */
  hop: IpAddress;
  /** Link address of the group, when it is one: first 16 bits. */
  groupHigh = 0;
  /** Link address of the group: last 32 bits. */
  groupLow = 0;
  /** TTL or hop limit that the route asks for, or 0. */
  hops = 0;
  /** Traffic class (DSCP alone) that the route asks for. */
  trafficClass = 0;
  /** False while there is no route. */
  alive = false;
  /** The layer's generation that the fields above belong to. */
  generation: number = -1;

  /** @internal Looked up since the cache's eviction hand last came by. */
  used = true;
  /** @internal Place in the cache's list; -1 when not in the cache. */
  index = -1;
  /** @internal Hash of the addresses. */
  readonly hash: number;

  readonly #layer: PathLayer;
  #neighbour: Neighbour | null = null;
  #routeMtu = 0;
  #learnedMtu = 0;
  #learnedAt = 0;

  /** @internal The layers make them. */
  constructor(
    layer: PathLayer,
    hash: number,
    source: IpAddress,
    destination: IpAddress,
    first: Interface,
    pinned: Interface | null,
  ) {
    this.#layer = layer;
    this.hash = hash;
    this.source = source;
    this.destination = destination;
    this.hop = destination;
    this.interface = first;
    this.mtu = first.mtu;
    this.pinned = pinned;
    this.addressSum = fold(sumOf(source) + sumOf(destination));
  }

  /** Finds the way and fills the fields in. @returns False without a route. */
  protected abstract route(): boolean;

  /** Largest packet of this version on {@link interface}. */
  protected abstract linkMtu(): number;

  /** Finds the neighbour that is the next hop. */
  protected abstract resolve(): Neighbour;

  abstract send(packet: Packet, protocol: number, trafficClass: number, hopLimit: number): boolean;

  /** Smallest MTU that is believed. */
  protected abstract readonly leastMtu: number;

  reserve(room = 0): Packet | null {
    if (this.generation !== this.#layer.generation) this.revalidate();
    if (!this.alive) return null;
    let packet = this.interface.device.reserve();
    if (packet === null) return null;
    if (packet.offset + room > packet.limit) {
      packet.discard();
      packet = this.#layer.reserveLarge();
      if (packet === null || packet.offset + room > packet.limit) {
        packet?.discard();
        return null;
      }
    }
    packet.interface = this.interface;
    packet.path = this;
    return packet;
  }

  learnMtu(mtu: number): void {
    const least = Math.max(mtu, this.leastMtu);
    if (least >= this.mtu) return;
    this.mtu = this.#learnedMtu = least;
    this.#learnedAt = this.#layer.now;
  }

  /**
   * Sends a packet that has its IP header already (cursor there; `network`, `transport`, `version` and `protocol` set), and
   * that is not larger than the MTU. Takes ownership. @returns False when it was dropped.
   */
  sendWhole(packet: Packet): boolean {
    const layer = this.#layer;
    if (this.generation !== layer.generation) this.revalidate();
    if (!this.alive) {
      layer.counters.sendNoRoute++;
      packet.discard();
      return false;
    }
    return layer.tapOutgoing(packet) || this.forward(packet, this.version === 4 ? IPV4 : IPV6, 0);
  }

  confirm(): void {
    this.#neighbour?.confirm();
  }

  /** Looks the way up again after routes or addresses have changed. */
  revalidate(): void {
    const before = this.interface;
    this.#neighbour = null;
    this.generation = this.#layer.generation;
    this.hops = this.trafficClass = this.#routeMtu = 0;
    this.alive = this.route();
    if (this.interface !== before) this.#learnedMtu = 0;
    const most = this.#mostMtu();
    this.mtu = this.#learnedMtu === 0 ? most : Math.min(this.#learnedMtu, most);
  }

  /** @internal Takes over what a route says about packets that go its way. */
  follow(route: Route): void {
    this.interface = route.interface;
    this.#routeMtu = route.mtu;
    this.hops = route.hopLimit;
    this.trafficClass = route.dscp << 2;
  }

  /** What the link takes, and the route allows. */
  #mostMtu(): number {
    const link = this.linkMtu();
    return this.#routeMtu === 0 ? link : Math.min(link, this.#routeMtu);
  }

  /**
   * Whether there is a way, and the packet (cursor at the transport header) fits it. Drops and counts it if not.
   * @param protocol Packets of TCP follow the path's MTU; those of others may be cut.
   * @param most Largest packet of the version.
   * @returns Bytes of the packet with its IP header, or -1 when it was dropped.
   */
  protected admit(packet: Packet, protocol: number, most: number): number {
    const layer = this.#layer;
    if (this.generation !== layer.generation) this.revalidate();
    if (!this.alive) {
      layer.counters.sendNoRoute++;
      packet.discard();
      return -1;
    }
    if (this.#learnedMtu !== 0 && layer.now - this.#learnedAt > layer.limits.pathMtuLifetime) {
      this.#learnedMtu = 0;
      this.mtu = this.#mostMtu();
    }
    const { headers } = packet;
    const length = packet.length + this.headerLength +
      (headers === null ? 0 : headers.lengthOf(this.version));
    if (headers !== null && length > this.mtu) {
      layer.counters.sendTooBig++;
      packet.discard();
      return -1;
    }
    if (length > most || (length > this.mtu && packet.gsoType === GSO_NONE && protocol === TCP)) {
      layer.counters.sendTooBig++;
      packet.discard();
      return -1;
    }
    return length;
  }

  /**
   * Hands a packet with its IP header to the next hop. Takes ownership.
   * @param length Bytes of the packet, as {@link admit} said. @returns False when it was dropped.
   */
  protected forward(packet: Packet, ethertype: number, length: number): boolean {
    if (packet.looped !== null) {
      this.#layer.loop(packet, ethertype);
      packet.looped = null;
    }
    if (length > this.mtu && packet.gsoType === GSO_NONE) {
      return this.#cut(packet, ethertype);
    }
    this.#layer.counters.sent++;
    if (!this.resolves) return this.interface.send(packet, this.groupHigh, this.groupLow, ethertype);
    let neighbour = this.#neighbour;
    if (neighbour === null || neighbour.state === NeighbourState.Gone) {
      neighbour = this.#neighbour = this.resolve();
    }
    return neighbour.send(packet, ethertype);
  }

  #cut(packet: Packet, ethertype: number): boolean {
    const layer = this.#layer;
    layer.counters.sendFragmented++;
    const { mtu } = this;
    return sendFragments(packet, this.interface, mtu, layer.nextIdentification(), (part) => {
      return this.forward(part, ethertype, 0);
    });
  }
}

/** Sum of an address as pseudo-headers take it. */
function sumOf(address: IpAddress): number {
  if (address.version === 4) return fold(address.d);
  return fold(fold(address.a) + fold(address.b) + fold(address.c) + fold(address.d));
}
