/**
 * IPv4 (RFC 791; RFC 1122, section 3; RFC 6864 for identifications).
 *
 * @module
 */

import { Ipv4Counters } from "../counters.ts";
import type { Interface } from "../link/interface.ts";
import { BROADCAST, GSO_NONE, MULTICAST, type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as icmp from "../wire/icmpv4.ts";
import * as wire from "../wire/ipv4.ts";
import { ICMP as ICMPV6 } from "../wire/ipv6.ts";
import { type Cidr, IpAddress } from "./address.ts";
import { ReversePath } from "./forwarding.ts";
import { sendFragments } from "./fragment.ts";
import { Ipv4Options } from "./ipv4_options.ts";
import { Ipv4Path } from "./ipv4_path.ts";
import { IpLayer } from "./layer.ts";
import { PathCache } from "./path_cache.ts";

/** 224.0.0.1, the group of all hosts (RFC 1112, section 4). */
const ALL_HOSTS = 0xe0000001 | 0;
/** 255.255.255.255. */
const LIMITED_BROADCAST = -1;
const HOPS = 64;

/** The IPv4 layer of a stack. */
export class Ipv4 extends IpLayer {
  /** What happened. */
  readonly counters: Ipv4Counters = new Ipv4Counters();
  /** @internal What is done with the options of packets. */
  readonly options: Ipv4Options;
  /** The ICMP of the other version. */
  protected readonly foreign: number = ICMPV6;
  readonly #paths: PathCache<Ipv4Path>;
  readonly #local = new Map<number, Interface>();
  readonly #broadcast = new Map<number, Interface>();
  #identification: number;

  /**
   * Makes the layer.
   * @param stack The owner.
   */
  constructor(stack: Stack) {
    super(stack, "IPv4");
    this.options = new Ipv4Options(stack, this.counters.dropped);
    this.#paths = new PathCache(stack.limits.paths);
    this.#identification = stack.random() & 0xffff;
  }

  /** @internal The identification of the next packet that is cut (RFC 6864): 16 bits that come back late. */
  nextIdentification(): number {
    return this.#identification = (this.#identification + 1) & 0xffff;
  }

  /** Whether `word` is an address of this stack, or in 127.0.0.0/8. */
  isLocal(word: number): boolean {
    return word >>> 24 === 127 || this.#local.has(word);
  }

  /** Whether `word` can't be the address of one host: multicast, reserved, or a broadcast address of ours. */
  isGroup(word: number): boolean {
    return word >>> 28 >= 14 || this.#broadcast.has(word);
  }

  /** Whether `word` is the broadcast address of one of our networks. */
  isDirectedBroadcast(word: number): boolean {
    return this.#broadcast.has(word);
  }

  /** Whether somebody has asked for packets with a router alert, and takes this one. Called by the forwarder. */
  alert(packet: Packet): boolean {
    return this.alerts.any && packet.transport > packet.network + wire.HEADER_LENGTH &&
      this.options.alerts(packet) && this.alerts.show(packet);
  }

  /** An interface has got or lost an address. Called by the stack. */
  addressesChanged(owner: Interface, cidr: Cidr, added: boolean): void {
    const broadcast = cidr.broadcast;
    if (added) {
      this.#local.set(cidr.address.d, owner);
      if (broadcast !== null) this.#broadcast.set(broadcast.d, owner);
    } else {
      this.#local.delete(cidr.address.d);
      // Another address of the same network keeps its broadcast address.
      if (
        broadcast !== null && !owner.addresses.some((other) => other.broadcast?.equals(broadcast) ?? false)
      ) {
        this.#broadcast.delete(broadcast.d);
      }
    }
  }

  /** Takes a packet from a link, its cursor at the IP header. */
  receive(packet: Packet): void {
    const { counters } = this;
    const { dropped } = counters;
    const { view, offset: at } = packet;
    const available = packet.end - at;
    counters.received++;
    if (available < wire.HEADER_LENGTH) {
      dropped.truncated++;
      return;
    }
    if (wire.version(view, at) !== 4) {
      dropped.badVersion++;
      return;
    }
    const headerLength = wire.headerLength(view, at);
    if (headerLength < wire.HEADER_LENGTH || headerLength > available) {
      dropped.badHeaderLength++;
      return;
    }
    const total = wire.totalLength(view, at);
    if (total < headerLength || total > available) {
      dropped.badTotalLength++;
      return;
    }
    if (!wire.checksumOk(view, at, headerLength)) {
      dropped.badChecksum++;
      return;
    }
    // Ethernet pads to 60 bytes.
    packet.end = at + total;
    packet.version = 4;
    packet.network = at;
    packet.transport = at + headerLength;
    packet.protocol = wire.protocol(view, at);
    if (this.tapsIn.show(packet)) {
      counters.delivered++;
      return;
    }
    const source = wire.source(view, at), destination = wire.destination(view, at);
    const by = packet.interface!;
    if (source >>> 28 >= 14 || this.#broadcast.has(source)) {
      dropped.badSource++;
      return;
    }
    const owner = this.#local.get(destination);
    // In the strong model an address belongs to its interface, and not to the host (RFC 1122, section 3.3.4.2).
    const local = owner !== undefined && (owner === by || by.loopback || by.weak);
    if (!by.loopback) {
      if (source >>> 24 === 127 || destination >>> 24 === 127 || destination >>> 24 === 0) {
        dropped.martian++;
        return;
      }
      if (this.#local.has(source)) {
        if (source === destination) dropped.land++;
        else dropped.ownSource++;
        return;
      }
    }
    if (by.reversePath !== ReversePath.Off && !this.#reversePathOk(by, source, destination)) {
      dropped.reversePath++;
      return;
    }
    const plain = headerLength === wire.HEADER_LENGTH;
    if (!plain && !this.options.admit(packet)) return;
    if (local || (by.loopback && destination >>> 24 === 127)) {
      if (packet.cast !== UNICAST) {
        dropped.unicastInGroup++;
        return;
      }
      // 0.0.0.0 has no business with one host (RFC 1122, section 3.2.1.3).
      if (source >>> 24 === 0) {
        dropped.badSource++;
        return;
      }
    } else if (destination === LIMITED_BROADCAST || this.#broadcast.get(destination) === by) {
      packet.cast = BROADCAST;
    } else if (destination >>> 28 === 14 && (destination === ALL_HOSTS || this.listens(packet, by))) {
      packet.cast = MULTICAST;
    } else {
      if (this.forwarder === null) dropped.notForUs++;
      else {
        counters.delivered++;
        this.forwarder.receive(packet);
      }
      return;
    }
    if (!plain) {
      const own = local ? destination : by.sourceV4For(source);
      this.options.record(packet, own, own);
    }
    if (wire.isFragment(view, at)) {
      if (this.reassembler === null) dropped.fragment++;
      else {
        counters.delivered++;
        this.reassembler.receive(packet);
      }
      return;
    }
    this.deliver(packet);
  }

  /** Tells the sender that nobody is attached to the protocol. */
  protected refuseProtocol(packet: Packet): void {
    this.counters.dropped.unknownProtocol++;
    this.stack.icmp.sendError(packet, icmp.UNREACHABLE, icmp.PROTOCOL, 0);
  }

  /**
   * Sends the packet that came in back to where it came from, in place: cursor and `transport` at the transport header of the answer,
   * `end` behind its last byte. Of the IP header's options, an ICMP message that is not cut takes record route and timestamps along.
   * @returns False when it was dropped.
   */
  answer(packet: Packet, protocol: number): boolean {
    const { view, network, link } = packet;
    const by = packet.interface!;
    const destination = wire.source(view, network);
    const asked = wire.destination(view, network);
    const source = packet.cast === UNICAST ? asked : by.sourceV4For(destination);
    // ECN belongs to one direction; the class of service is the asker's wish (RFC 1122, section 3.2.2.6).
    const trafficClass = wire.trafficClass(view, network) & 0xfc;
    const macHigh = ethernet.sourceHigh(view, link), macLow = ethernet.sourceLow(view, link);
    // Who has no address yet cannot be answered by packet.
    if (source === 0 || destination === 0) {
      this.counters.sendNoRoute++;
      return false;
    }
    let options = protocol === wire.ICMP && packet.transport > network + wire.HEADER_LENGTH
      ? this.options.take(packet, source)
      : 0;
    if (packet.length + wire.HEADER_LENGTH + options > by.mtuV4) options = 0;
    const length = packet.length + wire.HEADER_LENGTH + options;
    if (length > 65535) {
      this.counters.sendTooBig++;
      return false;
    }
    const at = packet.network = packet.offset -= wire.HEADER_LENGTH + options;
    packet.protocol = protocol;
    wire.write(view, at, trafficClass, length, 0, wire.DONT_FRAGMENT, HOPS, protocol, source, destination);
    if (options > 0) this.options.place(packet, at, options);
    if (this.tapOutgoing(packet)) return true;
    if (length > by.mtuV4 && packet.gsoType === GSO_NONE) {
      this.counters.sendFragmented++;
      return sendFragments(packet, by, by.mtuV4, this.nextIdentification(), (part) => {
        this.counters.sent++;
        return by.send(part, macHigh, macLow, ethernet.IPV4);
      });
    }
    this.counters.sent++;
    return by.send(packet, macHigh, macLow, ethernet.IPV4);
  }

  /**
   * The path to `destination`, shared with everyone who asks for the same.
   * @param source Our address; null lets the route choose.
   * @param by The only interface to leave by; needed to send from 0.0.0.0 (DHCP).
   * @returns null without a route, or when `source` is not ours.
   */
  path(destination: IpAddress, source: IpAddress | null, by: Interface | null): Ipv4Path | null {
    if (source === null) {
      source = this.#sourceFor(destination, by);
      if (source === null) return null;
    }
    const found = this.#find(source.d, destination.d, by);
    if (found !== null) {
      if (found.generation !== this.generation) found.revalidate();
      return found.alive ? found : null;
    }
    if (!this.isLocal(source.d) && !(source.isUnspecified && by !== null)) return null;
    const hash = this.stack.hash.words2(source.d, destination.d);
    const path = new Ipv4Path(this, hash, source, destination, by ?? this.stack.loopback, by);
    path.revalidate();
    if (!path.alive) return null;
    this.#paths.insert(path);
    return path;
  }

  /** The path back to the sender of a packet: from the address that it was sent to, if that is ours; or null. */
  pathBack(packet: Packet): Ipv4Path | null {
    const { view, network } = packet;
    const destination = wire.source(view, network);
    const asked = wire.destination(view, network);
    // What is forwarded is answered by the address that its sender knows us by (RFC 1812, section 4.3.2.4).
    const source = packet.cast === UNICAST && this.isLocal(asked)
      ? asked
      : packet.interface!.sourceV4For(destination);
    if (source === 0) return this.path(IpAddress.v4(destination), null, null);
    const found = this.#find(source, destination, null);
    if (found !== null && found.generation === this.generation) return found.alive ? found : null;
    return this.path(IpAddress.v4(destination), IpAddress.v4(source), null);
  }

  /** @internal Finds the way of a path and fills its fields in. @returns False without a route. */
  route(path: Ipv4Path): boolean {
    const { destination, source, pinned } = path;
    const word = destination.d;
    path.local = path.group = path.resolves = false;
    path.groupHigh = path.groupLow = 0;
    if (!this.isLocal(source.d) && !(source.isUnspecified && pinned !== null)) return false;
    if (pinned !== null && !pinned.active) return false;
    if (destination.isUnspecified) return false;
    if (this.isLocal(word)) {
      path.interface = this.stack.loopback;
      path.local = true;
      return true;
    }
    if (source.isLoopback) return false;
    const owner = pinned ?? this.#local.get(source.d) ?? null;
    if (word === LIMITED_BROADCAST || destination.isMulticast) {
      const by = owner ?? this.stack.interfaces[0] ?? null;
      if (by === null) return false;
      path.interface = by;
      path.group = true;
      path.groupHigh = word === LIMITED_BROADCAST ? 0xffff : 0x0100;
      // The group's lower 23 bits behind 01:00:5e (RFC 1112, section 6.4).
      path.groupLow = word === LIMITED_BROADCAST ? -1 : 0x5e000000 | (word & 0x7fffff);
      return true;
    }
    if (word >>> 28 === 15) return false;
    const route = this.stack.routes.lookup(destination, owner?.weak === false ? owner : pinned, source);
    if (route === null || !route.leads) return false;
    path.follow(route);
    path.interface = route.interface;
    if (this.#broadcast.get(word) === route.interface) {
      path.group = true;
      path.groupHigh = 0xffff;
      path.groupLow = -1;
    } else {
      path.resolves = route.interface.addressed;
      path.hop = route.gateway ?? destination;
    }
    return true;
  }

  #reversePathOk(by: Interface, source: number, destination: number): boolean {
    // Who has no address yet asks for one, and loopback knows no way back.
    if (source === 0 || by.loopback) return true;
    const route = this.stack.routes.lookupV4(source, destination);
    if (route === null || !route.leads) return false;
    return by.reversePath === ReversePath.Loose || route.interface === by;
  }

  /** Our address for a destination: of the next hop's network if there is one (RFC 1122, section 3.3.4.3). */
  #sourceFor(destination: IpAddress, by: Interface | null): IpAddress | null {
    if (this.#local.has(destination.d)) return destination;
    if (destination.isLoopback) return this.stack.loopback.addresses[0]!.address;
    let out = by;
    let hop = destination;
    if (destination.d === LIMITED_BROADCAST || destination.isMulticast) {
      out ??= this.stack.interfaces[0] ?? null;
    } else {
      const route = this.stack.routes.lookup(destination, by);
      if (route === null || !route.leads) return null;
      out = route.interface;
      hop = route.gateway ?? destination;
    }
    if (out === null) return null;
    const own = addressFor(out, hop);
    if (own !== null) return own;
    // An interface without a number of its own borrows another's (RFC 1812, section 2.2.7).
    for (const other of this.stack.interfaces) {
      const borrowed = addressFor(other, hop);
      if (borrowed !== null) return borrowed;
    }
    return null;
  }

  /** A path that is shared already, or null. Allocates nothing. */
  #find(source: number, destination: number, pinned: Interface | null): Ipv4Path | null {
    let path = this.#paths.chain(this.stack.hash.words2(source, destination));
    while (
      path !== null &&
      !(path.destination.d === destination && path.source.d === source && path.pinned === pinned)
    ) path = path.next;
    if (path !== null) path.used = true;
    return path;
  }
}

function addressFor(owner: Interface, hop: IpAddress): IpAddress | null {
  let first: IpAddress | null = null;
  for (const cidr of owner.addresses) {
    if (cidr.address.version !== 4) continue;
    if (cidr.contains(hop)) return cidr.address;
    first ??= cidr.address;
  }
  return first;
}
