/**
 * Paths over IPv4, and the table that shares them.
 *
 * @module
 */

import type { KeyedHash } from "../hash.ts";
import type { Interface } from "../link/interface.ts";
import { type Neighbour, NeighbourState } from "../link/neighbour.ts";
import { GSO_NONE, type Packet } from "../packet.ts";
import { fold } from "../wire/checksum.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as wire from "../wire/ipv4.ts";
import type { IpAddress } from "./address.ts";
import type { Ipv4 } from "./ipv4.ts";
import type { Path } from "./path.ts";

/** Smaller MTUs are not believed: they cost much, and links that small are not met (as Linux' min_pmtu). */
const LEAST_PATH_MTU = 552;

/** Hops that a packet may go unless its sender says otherwise (RFC 1122, 3.2.1.7), and a multicast (RFC 1112, 6.1). */
const HOPS = 64, MULTICAST_HOPS = 1;

/** How to reach one IPv4 destination from one address of ours. */
export class Ipv4Path implements Path {
  readonly version = 4;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly headerLength: number = wire.HEADER_LENGTH;
  readonly addressSum: number;
  /** The only interface it may leave by, or null for any. */
  readonly pinned: Interface | null;
  interface: Interface;
  mtu: number;
  local = false;
  /** The next hop is one host to be resolved, and not a group or ourselves. */
  resolves = false;
  /** The next hop's address, when {@link resolves}. */
  hop: IpAddress;
  /** Link address of the group, when it is one: first 16 bits. */
  groupHigh = 0;
  /** Link address of the group: last 32 bits. */
  groupLow = 0;
  /** Goes to a group: broadcast or multicast. */
  group = false;
  /** False while there is no route. */
  alive = false;
  /** The layer's generation that the fields above belong to. */
  generation: number = -1;

  /** @internal The next of the same bucket of the cache. */
  next: Ipv4Path | null = null;
  /** @internal Looked up since the eviction hand last came by. */
  used = true;
  /** @internal Place in the list that the eviction hand goes through; -1 when not in the cache. */
  index = -1;

  readonly #layer: Ipv4;
  readonly #hops: number;
  #neighbour: Neighbour | null = null;
  #learnedMtu = 0;
  #learnedAt = 0;

  /** @internal {@link Ipv4.path} makes them. */
  constructor(
    layer: Ipv4,
    source: IpAddress,
    destination: IpAddress,
    first: Interface,
    pinned: Interface | null,
  ) {
    this.#layer = layer;
    this.source = source;
    this.destination = destination;
    this.hop = destination;
    this.interface = first;
    this.mtu = first.mtu;
    this.pinned = pinned;
    this.addressSum = fold(fold(source.d) + fold(destination.d));
    this.#hops = destination.isMulticast ? MULTICAST_HOPS : HOPS;
  }

  reserve(): Packet | null {
    if (this.generation !== this.#layer.generation) this.revalidate();
    if (!this.alive) return null;
    const packet = this.interface.device.reserve();
    if (packet === null) return null;
    packet.interface = this.interface;
    packet.path = this;
    return packet;
  }

  send(packet: Packet, protocol: number, trafficClass: number, hopLimit: number): boolean {
    const layer = this.#layer;
    if (this.generation !== layer.generation) this.revalidate();
    if (!this.alive) {
      layer.counters.sendNoRoute++;
      packet.discard();
      return false;
    }
    if (this.#learnedMtu !== 0 && layer.now - this.#learnedAt > layer.limits.pathMtuLifetime) {
      this.#learnedMtu = 0;
      this.mtu = this.interface.mtu;
    }
    const length = packet.length + wire.HEADER_LENGTH;
    if (length > 65535 || (length > this.mtu && packet.gsoType === GSO_NONE)) {
      layer.counters.sendTooBig++;
      packet.discard();
      return false;
    }
    packet.transport = packet.offset;
    packet.version = 4;
    packet.protocol = protocol;
    const at = packet.network = packet.offset -= wire.HEADER_LENGTH;
    wire.write(
      packet.view,
      at,
      trafficClass,
      length,
      // Never fragmented, neither here nor on the way, so the identification means nothing (RFC 6864, section 4.1).
      0,
      wire.DONT_FRAGMENT,
      hopLimit === 0 ? this.#hops : hopLimit,
      protocol,
      this.source.d,
      this.destination.d,
    );
    if (layer.tapOutgoing(packet)) return true;
    layer.counters.sent++;
    if (!this.resolves) {
      return this.interface.send(packet, this.groupHigh, this.groupLow, ethernet.IPV4);
    }
    let neighbour = this.#neighbour;
    if (neighbour === null || neighbour.state === NeighbourState.Gone) {
      neighbour = this.#neighbour = this.interface.arp.neighbours.resolve(this.hop);
    }
    return neighbour.send(packet, ethernet.IPV4);
  }

  learnMtu(mtu: number): void {
    const least = Math.max(mtu, LEAST_PATH_MTU);
    if (least >= this.mtu) return;
    this.mtu = this.#learnedMtu = least;
    this.#learnedAt = this.#layer.now;
  }

  /** Looks the way up again after routes or addresses have changed. */
  revalidate(): void {
    const before = this.interface;
    this.#neighbour = null;
    this.generation = this.#layer.generation;
    this.alive = this.#layer.route(this);
    if (this.interface !== before) this.#learnedMtu = 0;
    this.mtu = this.#learnedMtu === 0 ? this.interface.mtu : Math.min(this.#learnedMtu, this.interface.mtu);
  }
}

/** The paths that are shared, at most as many as the limit says; second chance when full. */
export class PathCache {
  readonly #limit: number;
  readonly #hash: KeyedHash;
  readonly #buckets: (Ipv4Path | null)[];
  readonly #entries: Ipv4Path[] = [];
  #hand = 0;

  /**
   * Makes an empty table.
   * @param limit Most paths.
   * @param hash The stack's.
   */
  constructor(limit: number, hash: KeyedHash) {
    this.#limit = limit;
    this.#hash = hash;
    let size = 16;
    while (size < limit && size < 65536) size *= 2;
    this.#buckets = new Array(size).fill(null);
  }

  /** Paths held. */
  get size(): number {
    return this.#entries.length;
  }

  /** The path between two addresses, pinned to an interface or to none; or null. Allocates nothing. */
  find(source: number, destination: number, pinned: Interface | null): Ipv4Path | null {
    let path = this.#buckets[this.#bucket(source, destination)]!;
    while (
      path !== null &&
      !(path.destination.d === destination && path.source.d === source && path.pinned === pinned)
    ) path = path.next!;
    if (path !== null) path.used = true;
    return path;
  }

  /** Shares a path that {@link find} did not find. */
  insert(path: Ipv4Path): void {
    if (this.#entries.length >= this.#limit) this.#evict();
    const bucket = this.#bucket(path.source.d, path.destination.d);
    path.next = this.#buckets[bucket]!;
    this.#buckets[bucket] = path;
    path.index = this.#entries.length;
    this.#entries.push(path);
  }

  #bucket(source: number, destination: number): number {
    return this.#hash.words2(source, destination) & (this.#buckets.length - 1);
  }

  #evict(): void {
    for (;;) {
      if (this.#hand >= this.#entries.length) this.#hand = 0;
      const path = this.#entries[this.#hand]!;
      if (!path.used) {
        this.#remove(path);
        return;
      }
      path.used = false;
      this.#hand++;
    }
  }

  #remove(path: Ipv4Path): void {
    const bucket = this.#bucket(path.source.d, path.destination.d);
    let link = this.#buckets[bucket]!;
    if (link === path) this.#buckets[bucket] = path.next;
    else {
      while (link !== null && link.next !== path) link = link.next!;
      if (link !== null) link.next = path.next;
    }
    path.next = null;
    const last = this.#entries.pop()!;
    if (last !== path) {
      this.#entries[path.index] = last;
      last.index = path.index;
    }
    path.index = -1;
  }
}
