/**
 * IPv6 (RFC 8200; RFC 4291 for addresses; RFC 4007 for zones: a link-local address belongs to one interface).
 *
 * @module
 */

import { Ipv6Counters } from "../counters.ts";
import type { Interface } from "../link/interface.ts";
import { GSO_NONE, MULTICAST, type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as icmp from "../wire/icmpv6.ts";
import { ICMP as ICMPV4 } from "../wire/ipv4.ts";
import * as wire from "../wire/ipv6.ts";
import { type Cidr, IpAddress } from "./address.ts";
import { sendFragments } from "./fragment.ts";
import { ReversePath } from "./forwarding.ts";
import { Ipv6Extensions, isExtension } from "./ipv6_extensions.ts";
import { Ipv6Path } from "./ipv6_path.ts";
import { IpLayer } from "./layer.ts";
import { AddressOrigin, AddressState, OwnAddress } from "./own_address.ts";
import { OwnAddresses } from "./own_addresses.ts";
import { PathCache } from "./path_cache.ts";
import { selectSource } from "./source_selection.ts";

/** ff02::1, the group of all nodes of a link. */
export const ALL_NODES: IpAddress = IpAddress.v6(0xff020000, 0, 0, 1);
/** First word of interface-local multicast addresses without their flags, and the mask that leaves flags out. */
const SCOPE_MASK = 0xff0f0000 | 0, RESERVED_SCOPE = 0xff000000 | 0, INTERFACE_SCOPE = 0xff010000 | 0;
const LINK_SCOPE = 0xff020000 | 0;
const HOPS = 64;

/** The IPv6 layer of a stack. */
export class Ipv6 extends IpLayer {
  /** What happened. */
  readonly counters: Ipv6Counters = new Ipv6Counters();
  /** Whether packets of a flow carry a label of their own (RFC 6437); 0 otherwise. Of flows that begin from then on. */
  flowLabels = true;
  /** @internal What stands between the IP header and the transport. */
  readonly extensions: Ipv6Extensions;
  /** The ICMP of the other version. */
  protected readonly foreign: number = ICMPV4;
  readonly #paths: PathCache<Ipv6Path>;
  readonly #local = new OwnAddresses();

  /**
   * Makes the layer.
   * @param stack The owner.
   */
  constructor(stack: Stack) {
    super(stack, "IPv6");
    this.extensions = new Ipv6Extensions(stack, this.counters);
    this.#paths = new PathCache(stack.limits.paths);
  }

  /** Our entry of an address, in whatever state; or null. @param by Where a link-local one is meant. Default: anywhere. */
  own(address: IpAddress, by: Interface | null = null): OwnAddress | null {
    return this.#local.getOn(address, by);
  }

  /** As {@link own}, of the address whose 16 bytes are at `at`. */
  ownAt(view: DataView, at: number, by: Interface | null = null): OwnAddress | null {
    return this.#local.findOn(view, at, by);
  }

  /** @internal The loopback interface's own address is ours without asking. */
  addLoopback(owner: Interface, cidr: Cidr): void {
    this.#local.add(new OwnAddress(owner, cidr, AddressOrigin.Manual, AddressState.Preferred));
  }

  /** @internal An interface has got or lost an address. */
  addressChanged(own: OwnAddress, added: boolean): void {
    if (added) this.#local.add(own);
    else this.#local.remove(own);
  }

  /** Takes a packet from a link, cursor at the IPv6 header. */
  receive(packet: Packet): void {
    const { counters } = this;
    const { dropped } = counters;
    const { view, offset: at } = packet;
    counters.received++;
    if (packet.end - at < wire.HEADER_LENGTH) {
      dropped.truncated++;
      return;
    }
    if (wire.version(view, at) !== 6) {
      dropped.badVersion++;
      return;
    }
    const payloadLength = wire.payloadLength(view, at);
    const end = at + wire.HEADER_LENGTH + payloadLength;
    if (end > packet.end) {
      dropped.badLength++;
      return;
    }
    // Who says nothing of the length says it in an option, or lies (RFC 2675).
    const jumbo = payloadLength === 0 && wire.nextHeader(view, at) === wire.HOP_BY_HOP;
    if (!jumbo) packet.end = end;
    packet.version = 6;
    packet.network = at;
    packet.transport = at + wire.HEADER_LENGTH;
    packet.protocol = wire.nextHeader(view, at);
    if (this.tapsIn.show(packet)) {
      counters.delivered++;
      return;
    }
    if (!this.#sourceOk(packet) || !this.#destinationOk(packet)) return;
    if (packet.protocol === wire.HOP_BY_HOP) {
      if (!this.#hopByHopOk(packet)) return;
      if (jumbo) {
        dropped.badLength++;
        return;
      }
    }
    if (!isExtension(packet.protocol) || this.extensions.walk(packet, false)) this.deliver(packet);
  }

  /** Goes on with a packet that was put together from fragments: over extension headers to the protocol. */
  override resume(packet: Packet): void {
    if (!isExtension(packet.protocol) || this.extensions.walk(packet, true)) this.deliver(packet);
  }

  /** Whether somebody has asked for packets with a router alert, and takes this one. Called by the forwarder. */
  alert(packet: Packet): boolean {
    return this.alerts.any && this.extensions.alerts(packet) && this.alerts.show(packet);
  }

  /**
   * Sends the packet that came in back to where it came from, in place: cursor and `transport` at the transport
   * header of the answer, `end` behind its last byte. Extension headers are left out. When the packet came to a group,
   * the caller has put an address of ours ({@link sourceOf}) in place of its destination.
   * @returns False when it was dropped.
   */
  answer(packet: Packet, protocol: number): boolean {
    const { view, network, link } = packet;
    const by = packet.interface!;
    const length = packet.length + wire.HEADER_LENGTH;
    const mtu = by.nd?.mtu ?? by.mtu;
    if (length > 65535 + wire.HEADER_LENGTH) {
      this.counters.sendTooBig++;
      return false;
    }
    // ECN belongs to one direction; class and label are those of the request (RFC 4443 leaves both open).
    const first = 0x60000000 | (wire.trafficClass(view, network) & 0xfc) << 20 |
      wire.flowLabel(view, network);
    const macHigh = ethernet.sourceHigh(view, link), macLow = ethernet.sourceLow(view, link);
    const a = view.getInt32(network + 8), b = view.getInt32(network + 12);
    const c = view.getInt32(network + 16), d = view.getInt32(network + 20);
    if ((a | b | c | d) === 0) {
      // Nobody has this address: who has none yet may ask a group, but is not answered by packet (RFC 4291, section 2.5.2).
      this.counters.sendNoRoute++;
      return false;
    }
    const ownA = view.getInt32(network + 24), ownB = view.getInt32(network + 28);
    const ownC = view.getInt32(network + 32), ownD = view.getInt32(network + 36);
    const at = packet.network = packet.offset -= wire.HEADER_LENGTH;
    packet.protocol = protocol;
    view.setInt32(at, first);
    view.setInt32(at + 4, (length - wire.HEADER_LENGTH) << 16 | protocol << 8 | (by.nd?.hopLimit ?? HOPS));
    view.setInt32(at + 8, ownA);
    view.setInt32(at + 12, ownB);
    view.setInt32(at + 16, ownC);
    view.setInt32(at + 20, ownD);
    view.setInt32(at + 24, a);
    view.setInt32(at + 28, b);
    view.setInt32(at + 32, c);
    view.setInt32(at + 36, d);
    if (this.tapOutgoing(packet)) return true;
    if (length > mtu && packet.gsoType === GSO_NONE) {
      this.counters.sendFragmented++;
      return sendFragments(packet, by, mtu, this.stack.random(), (part) => {
        this.counters.sent++;
        return by.send(part, macHigh, macLow, ethernet.IPV6);
      });
    }
    this.counters.sent++;
    return by.send(packet, macHigh, macLow, ethernet.IPV6);
  }

  /**
   * The path to `destination`, shared with everyone who asks for the same.
   * @param source Our address; null lets RFC 6724 choose.
   * @param by The only interface to leave by. A link-local or multicast destination needs one when there are several.
   * @returns null without a route, or when `source` is not ours or not to be used yet.
   */
  path(destination: IpAddress, source: IpAddress | null, by: Interface | null): Ipv6Path | null {
    by ??= this.#zoneOf(destination, source);
    if (source === null) {
      source = this.#sourceFor(destination, by);
      if (source === null) return null;
    }
    const { hash: keyed } = this.stack;
    const hash = keyed.addresses(source, destination);
    let path = this.#paths.chain(hash);
    while (
      path !== null &&
      !(path.hash === hash && path.pinned === by && path.destination.equals(destination) &&
        path.source.equals(source))
    ) path = path.next;
    if (path !== null) {
      path.used = true;
      if (path.generation !== this.generation) path.revalidate();
      return path.alive ? path : null;
    }
    path = new Ipv6Path(this, hash, source, destination, by ?? this.stack.loopback, by);
    path.revalidate();
    if (!path.alive) return null;
    this.#paths.insert(path);
    return path;
  }

  /** The path back to the sender of a packet: from the address that it was sent to, if that is ours; or null. */
  pathBack(packet: Packet): Ipv6Path | null {
    const { view, network } = packet;
    const by = packet.interface!;
    const linkLocal = view.getInt32(network + wire.SOURCE) >>> 22 === 0x3fa;
    const pinned = linkLocal && !by.loopback ? by : null;
    const ours = packet.cast === UNICAST && this.#local.findOn(view, network + wire.DESTINATION, by) !== null;
    if (!ours) return this.path(IpAddress.read(6, view, network + wire.SOURCE), null, pinned);
    const hash = this.stack.hash.addressesAt(view, network + wire.DESTINATION, network + wire.SOURCE);
    let path = this.#paths.chain(hash);
    while (
      path !== null &&
      !(path.hash === hash && path.pinned === pinned &&
        path.destination.isAt(view, network + wire.SOURCE) &&
        path.source.isAt(view, network + wire.DESTINATION))
    ) path = path.next;
    if (path !== null && path.generation === this.generation) {
      path.used = true;
      return path.alive ? path : null;
    }
    return this.path(
      IpAddress.read(6, view, network + wire.SOURCE),
      IpAddress.read(6, view, network + wire.DESTINATION),
      pinned,
    );
  }

  /** Our address that an answer to a packet to a group comes from, or null. Allocates. */
  sourceOf(packet: Packet): IpAddress | null {
    const destination = IpAddress.read(6, packet.view, packet.network + wire.SOURCE);
    return this.#sourceFor(destination, packet.interface!.loopback ? null : packet.interface);
  }

  /** @internal Finds the way of a path and fills its fields in. @returns False without a route. */
  route(path: Ipv6Path): boolean {
    const { destination, source, pinned } = path;
    path.local = path.group = path.resolves = false;
    path.groupHigh = path.groupLow = 0;
    const own = this.#local.getOn(source, pinned);
    if (own === null ? !(source.isUnspecified && pinned !== null) : !own.usable) return false;
    if ((pinned !== null && !pinned.active) || destination.isUnspecified || isMapped(destination)) {
      return false;
    }
    const target = this.#local.getOn(destination, pinned);
    if (target !== null) {
      path.interface = this.stack.loopback;
      path.local = true;
      return target.usable;
    }
    if (source.isLoopback || destination.isLoopback) return false;
    // A link-local source says which link (RFC 4007, section 9).
    const bound = own !== null && (source.isLinkLocal || (!own.interface.weak && !own.interface.loopback));
    const by = bound ? own.interface : pinned;
    if (pinned !== null && by !== pinned) return false;
    if (destination.isMulticast) {
      const out = by ?? own?.interface ?? null;
      if (out === null || out.nd === null) return false;
      path.interface = out;
      path.group = true;
      // The group's last 32 bits behind 33:33 (RFC 2464, section 7).
      path.groupHigh = 0x3333;
      path.groupLow = destination.d;
      return true;
    }
    if (destination.isLinkLocal) {
      if (by === null || by.nd === null) return false;
      path.interface = by;
      path.hop = destination;
    } else {
      const route = this.stack.routes.lookup(destination, by, source);
      if (route === null || !route.leads || route.interface.nd === null) return false;
      path.follow(route);
      path.interface = route.interface;
      path.hop = route.gateway ?? destination;
    }
    path.resolves = path.interface.addressed;
    return true;
  }

  /** @internal Nobody shall guess what comes next (RFC 7739). */
  nextIdentification(): number {
    return this.stack.random();
  }

  /** @internal 20 bits for a flow. */
  labelOf(addresses: number, ports: number): number {
    return this.flowLabels ? this.stack.hash.words2(addresses, ports) & 0xfffff : 0;
  }

  /** Answers a packet whose next header nobody takes. */
  protected refuseProtocol(packet: Packet): void {
    if (packet.protocol === wire.NO_NEXT_HEADER) {
      this.counters.delivered++;
      return;
    }
    this.counters.dropped.unknownProtocol++;
    const plain = packet.transport === packet.network + wire.HEADER_LENGTH;
    this.extensions.problem(packet, icmp.UNKNOWN_HEADER, plain ? wire.NEXT_HEADER : this.extensions.pointer);
  }

  #sourceOk(packet: Packet): boolean {
    const { dropped } = this.counters;
    const { view, network, interface: by } = packet;
    const at = network + wire.SOURCE;
    const first = view.getInt32(at);
    if (first >>> 24 === 0xff) {
      dropped.badSource++;
      return false;
    }
    if (by!.loopback) return true;
    if ((first | view.getInt32(at + 4)) === 0) {
      const c = view.getInt32(at + 8), d = view.getInt32(at + 12);
      // ::1 is ours, and IPv4 addresses in IPv6 headers would get past IPv4's rules (RFC 4942, section 2.2).
      if (c === 0xffff || (c === 0 && d === 1)) {
        dropped.martian++;
        return false;
      }
      // Who has no address yet speaks to groups only (RFC 4291, section 2.5.2).
      if ((c | d) === 0 && view.getUint8(network + wire.DESTINATION) !== 0xff) {
        dropped.badSource++;
        return false;
      }
    }
    const own = this.#local.findOn(view, at, by);
    // Until an address is ours for sure, it may be its owner who speaks.
    if (own !== null && own.usable && !own.interface.nd?.probing(own)) {
      dropped.ownSource++;
      return false;
    }
    if (by!.reversePath !== ReversePath.Off && !this.#reversePathOk(packet)) {
      dropped.reversePath++;
      return false;
    }
    return true;
  }

  #reversePathOk({ view, network, interface: by }: Packet): boolean {
    const at = network + wire.SOURCE;
    const first = view.getInt32(at);
    // :: and link-local addresses belong to the link that they are on.
    if (first >>> 22 === 0x3fa || (first === 0 && view.getInt32(at + 4) === 0)) return true;
    const route = this.stack.routes.lookupV6(view, at, network + wire.DESTINATION);
    if (route === null || !route.leads) return false;
    return by!.reversePath === ReversePath.Loose || route.interface === by;
  }

  #destinationOk(packet: Packet): boolean {
    const { dropped } = this.counters;
    const { view, network } = packet;
    const by = packet.interface!;
    const at = network + wire.DESTINATION;
    const first = view.getInt32(at);
    if (first >>> 24 === 0xff) {
      const scope = first & SCOPE_MASK;
      if (scope === RESERVED_SCOPE || (scope === INTERFACE_SCOPE && !by.loopback)) {
        dropped.badDestination++;
        return false;
      }
      packet.cast = MULTICAST;
      const allNodes = scope === LINK_SCOPE && ALL_NODES.isAt(view, at);
      if (allNodes || this.listens(packet, by)) return true;
      return this.#elsewhere(packet);
    }
    const own = this.#local.findOn(view, at, by);
    if (own === null) {
      if (first === 0 && view.getInt32(at + 4) === 0 && isMappedTail(view, at)) {
        dropped.martian++;
        return false;
      }
      return this.#elsewhere(packet);
    }
    if (own.interface.loopback && !by.loopback) {
      dropped.martian++;
      return false;
    }
    if (!own.usable) {
      dropped.tentative++;
      return false;
    }
    if (packet.cast !== UNICAST) {
      dropped.unicastInGroup++;
      return false;
    }
    // A link-local address of another link is another address, and so is any in the strong model.
    if ((first >>> 22 === 0x3fa || !by.weak) && own.interface !== by && !by.loopback) {
      return this.#elsewhere(packet);
    }
    return true;
  }

  #hopByHopOk(packet: Packet): boolean {
    if (this.extensions.hopByHopOk(packet)) return true;
    this.counters.dropped.badOption++;
    return false;
  }

  /** @returns False: the packet goes no further here. */
  #elsewhere(packet: Packet): boolean {
    // Hop-by-hop options are for everyone on the way.
    if (packet.protocol === wire.HOP_BY_HOP && !this.#hopByHopOk(packet)) return false;
    if (this.forwarder === null) this.counters.dropped.notForUs++;
    else {
      this.counters.delivered++;
      this.forwarder.receive(packet);
    }
    return false;
  }

  /** The interface that a destination of one link means when nobody has said: the only one there is, or the source's. */
  #zoneOf(destination: IpAddress, source: IpAddress | null): Interface | null {
    if (!destination.isLinkLocal && !destination.isMulticast) return null;
    if (this.#local.get(destination) !== null) return null;
    if (source !== null) {
      const own = this.#local.get(source);
      if (own !== null && !own.interface.loopback) return own.interface;
    }
    let only: Interface | null = null;
    for (const one of this.stack.interfaces) {
      if (one.nd === null) continue;
      if (only !== null) return destination.isMulticast ? only : null;
      only = one;
    }
    return only;
  }

  #sourceFor(destination: IpAddress, by: Interface | null): IpAddress | null {
    const own = this.#local.getOn(destination, by);
    if (own !== null) return own.usable ? destination : null;
    const near = destination.isLinkLocal || destination.isMulticast;
    const route = near ? null : this.stack.routes.lookup(destination, by);
    const out = by ?? route?.interface ?? null;
    if (out === null || out.nd === null) return null;
    const best = selectSource(out.nd.addresses, destination, route?.gateway ?? null);
    if (best !== null || destination.isLinkLocal) return best?.address ?? null;
    // An interface without an address of its own borrows another's.
    for (const other of this.stack.interfaces) {
      const borrowed = other.nd === null ? null : selectSource(other.nd.addresses, destination);
      if (borrowed !== null && !borrowed.address.isLinkLocal) return borrowed.address;
    }
    return null;
  }
}

function isMapped(address: IpAddress): boolean {
  return address.a === 0 && address.b === 0 && address.c === 0xffff;
}

/** Whether the address at `at`, whose first 64 bits are 0, is ::1, :: or IPv4-mapped. */
function isMappedTail(view: DataView, at: number): boolean {
  const c = view.getInt32(at + 8);
  return c === 0xffff || (c === 0 && view.getUint32(at + 12) <= 1);
}
