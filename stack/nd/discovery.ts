/**
 * Neighbour discovery on one interface (RFC 4861), with the interface's own IPv6 addresses (RFC 4862, RFC 4429).
 *
 * @module
 */

import { NdCounters } from "../counters.ts";
import { Cidr, IpAddress } from "../ip/address.ts";
import { ALL_NODES } from "../ip/ipv6.ts";
import { AddressOrigin, AddressState, OwnAddress } from "../ip/own_address.ts";
import { selectSource } from "../ip/source_selection.ts";
import type { Interface } from "../link/interface.ts";
import { type Neighbour, NeighbourCache } from "../link/neighbour.ts";
import type { Solicitor } from "../link/neighbour_state.ts";
import { clearOffloads } from "../link/offload.ts";
import { MULTICAST, type Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as echo from "../wire/icmpv4.ts";
import * as icmp from "../wire/icmpv6.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as wire from "../wire/nd.ts";
import { ALL_ROUTERS, RouterAdvertiser } from "./advertiser.ts";
import { DuplicateProbe, type ProbeOwner } from "./duplicate_probe.ts";
import { makeAddress, makeTemporaryAddress, solicitedNode } from "./identifier.ts";
import { MulticastListener } from "./multicast_listener.ts";
import type { Ipv6Options } from "./options.ts";
import { RedirectProtocol } from "./redirect.ts";
import { RouterDiscovery } from "./routers.ts";
import { TemporaryAddresses } from "./temporary.ts";

const LINK_LOCAL = IpAddress.v6(0xfe800000, 0, 0, 0);
const UNSPECIFIED = IpAddress.v6(0, 0, 0, 0);
/** µs of the random delay before an interface's first words (RFC 4862, section 5.4.2; RFC 4861, section 6.3.7). */
const FIRST_DELAY = 1_000_000;
/** Addresses that are tried in turn when each turns out to be somebody else's (RFC 7217, section 6). */
const ATTEMPTS = 4;

/** Asks for neighbours, answers for the interface, and finds addresses that nobody else has. */
export class NeighbourDiscovery implements Solicitor, ProbeOwner {
  /** What happened. */
  readonly counters: NdCounters = new NdCounters();
  /** Who was found. */
  readonly neighbours: NeighbourCache;
  /** What the routers of the link have told. */
  readonly routers: RouterDiscovery;
  /** Addresses of chance, for a while. */
  readonly temporary: TemporaryAddresses;
  /** Tells hosts of us as a router. */
  readonly advertiser: RouterAdvertiser;
  /** What routers have said of better first hops, and what a router says. */
  readonly redirects: RedirectProtocol;
  /** Which groups the interface listens to, as routers are told. */
  readonly listener: MulticastListener;
  /** Hops that packets may go unless their sender says otherwise, as routers advertise. */
  hopLimit = 64;
  /** Largest IPv6 packet, in bytes: the interface's MTU, or less when routers say so. */
  mtu: number;
  /** Gets addresses that turned out to be somebody else's, after they were given up. */
  onDuplicate: ((address: IpAddress) => void) | null = null;
  readonly #interface: Interface;
  readonly #stack: Stack;
  readonly #options: Ipv6Options;
  readonly #probes = new Map<OwnAddress, DuplicateProbe>();
  #addresses: readonly OwnAddress[] = [];

  /**
   * Makes the discovery of one interface.
   * @param owner The interface. @param stack Its stack. @param options What it does by itself.
   */
  constructor(owner: Interface, stack: Stack, options: Ipv6Options) {
    this.#interface = owner;
    this.#stack = stack;
    this.#options = options;
    this.mtu = owner.mtu;
    this.neighbours = new NeighbourCache(owner, this.counters, this, stack, stack.limits.neighbourDelay);
    this.redirects = new RedirectProtocol(stack, owner);
    this.listener = new MulticastListener(owner, stack);
    this.routers = new RouterDiscovery(this, owner, stack, options.routers ?? true);
    this.advertiser = new RouterAdvertiser(this, owner, stack);
    this.temporary = new TemporaryAddresses(this, stack, options.temporary ?? false);
  }

  /** The interface's IPv6 addresses, in whatever state. */
  get addresses(): readonly OwnAddress[] {
    return this.#addresses;
  }

  /** Whether nobody else can have this address for sure, yet. */
  probing(own: OwnAddress): boolean {
    return this.#probes.has(own);
  }

  /** Where an address comes from; null when it is not the interface's. */
  originOf(address: IpAddress): AddressOrigin | null {
    return this.#addresses.find((own) => own.address.equals(address))?.origin ?? null;
  }

  /** @internal Makes the link-local address, and asks for routers. */
  start(): void {
    if (this.#options.linkLocal ?? true) this.makeAddress(LINK_LOCAL, AddressOrigin.LinkLocal, 0);
    this.routers.start(this.#delay());
    const { advertise = false } = this.#options;
    if (advertise !== false) this.advertiser.start(advertise === true ? {} : advertise);
  }

  /** @internal Forgets everything. */
  stop(): void {
    this.routers.stop();
    this.temporary.stop();
    this.redirects.taken.clear();
    this.listener.stop();
    this.neighbours.clear();
  }

  /** @internal Makes an address of a prefix of 64 bits and gives it to the interface. @returns null when that is not possible. */
  makeAddress(prefix: IpAddress, origin: AddressOrigin, attempt: number): OwnAddress | null {
    const made = this.#addresses.filter((own) => own.origin !== AddressOrigin.Manual).length;
    if (made >= this.#stack.limits.addresses || attempt >= ATTEMPTS) {
      this.counters.refused++;
      return null;
    }
    const known = this.#interface.addressed
      ? this.#options.identifiers ?? (this.#stack.secret === null ? "eui64" : "stable")
      : "stable";
    const kind = origin === AddressOrigin.Temporary ? "temporary" : known;
    if (kind === "eui64" && attempt > 0) return null;
    const address = kind === "temporary"
      ? makeTemporaryAddress(prefix, this.#stack.random)
      : makeAddress(prefix, this.#interface, kind === "eui64" ? null : this.#stack.stableSecret(), attempt);
    if (this.#stack.isLocal(address, this.#interface)) return null;
    this.#interface.addAddress(new Cidr(address, 64), origin);
    return this.#addresses.find((own) => own.address.equals(address)) ?? null;
  }

  /** @internal The interface has got an address: it is asked for, unless told otherwise. */
  add(cidr: Cidr, origin: AddressOrigin): void {
    const mode = this.#options.duplicates ?? (origin === AddressOrigin.Manual ? "strict" : "optimistic");
    const { limits, timers, random, now } = this.#stack;
    const asks = mode !== "off" && limits.duplicateProbes > 0 && this.#interface.addressed;
    const state = !asks
      ? AddressState.Preferred
      : mode === "optimistic"
      ? AddressState.Optimistic
      : AddressState.Tentative;
    const own = new OwnAddress(this.#interface, cidr, origin, state);
    this.#addresses = [...this.#addresses, own];
    this.#stack.ipv6.addressChanged(own, true);
    own.listener = this.#stack.groups.join(solicitedNode(own.address), this.#interface, undefined, false);
    if (asks) {
      const { retransmit } = this.neighbours;
      const probe = new DuplicateProbe(own, this, timers, limits.duplicateProbes, retransmit, random);
      this.#probes.set(own, probe);
      // Many hosts may come up at once; an address that somebody has chosen is in more of a hurry.
      probe.start(origin === AddressOrigin.Manual ? now : now + this.#delay());
    }
  }

  /** @internal The interface has lost an address. */
  remove(address: IpAddress): void {
    const own = this.#addresses.find((other) => other.address.equals(address));
    if (own === undefined) return;
    this.#addresses = this.#addresses.filter((other) => other !== own);
    this.#endProbe(own);
    this.#stack.ipv6.addressChanged(own, false);
    own.listener?.leave();
  }

  /** @internal Takes a message of discovery (cursor at the ICMPv6 header, checksum verified). */
  receive(packet: Packet, type: number): void {
    const { counters } = this;
    const { dropped } = counters;
    const { view, offset: at, end, network } = packet;
    counters.received++;
    if (ipv6.hopLimit(view, network) !== wire.HOP_LIMIT) {
      dropped.badHopLimit++;
      return;
    }
    const least = leastLength(type);
    if (end - at < least) {
      dropped.truncated++;
      return;
    }
    if (echo.code(view, at) !== 0 || !wire.optionsOk(view, at + least, end)) {
      dropped.malformed++;
      return;
    }
    switch (type) {
      case icmp.NEIGHBOUR_SOLICITATION:
        this.#solicited(packet);
        return;
      case icmp.NEIGHBOUR_ADVERTISEMENT:
        this.#advertised(packet);
        return;
      case icmp.ROUTER_ADVERTISEMENT:
        this.routers.advertised(packet);
        return;
      case icmp.REDIRECT:
        if (this.#interface.forwarding || this.#options.redirects === false) dropped.ignored++;
        else if (this.redirects.receive(packet)) counters.delivered++;
        else dropped.badAddress++;
        return;
      default:
        this.advertiser.solicited(packet);
    }
  }

  solicit(neighbour: Neighbour, unicast: boolean): void {
    const { address } = neighbour;
    const own = selectSource(this.#addresses, address);
    if (own === null) return;
    const group = solicitedNode(address);
    const high = unicast ? neighbour.macHigh : 0x3333, low = unicast ? neighbour.macLow : group.d;
    // Until the address is ours for sure, nobody's cache shall be changed for it (RFC 4429, section 3.2).
    const link = own.state !== AddressState.Optimistic;
    this.#neighbourMessage(
      icmp.NEIGHBOUR_SOLICITATION,
      0,
      address,
      link ? wire.SOURCE_LINK_ADDRESS : 0,
      own.address,
      unicast ? address : group,
      high,
      low,
    );
  }

  unreachable(neighbour: Neighbour): void {
    this.routers.unreachable(neighbour.address);
    this.redirects.taken.unreachable(neighbour.address);
  }

  sendProbe(probe: DuplicateProbe): void {
    const { address } = probe.own;
    const group = solicitedNode(address);
    const packet = this.#interface.reserve();
    this.counters.requested++;
    if (packet === null) return;
    const { view, offset: at } = packet;
    wire.writeNeighbour(view, at, icmp.NEIGHBOUR_SOLICITATION, 0, address);
    wire.writeLinkAddress(view, at + wire.NEIGHBOUR_LENGTH, wire.NONCE, probe.nonceHigh, probe.nonceLow);
    packet.end = at + wire.NEIGHBOUR_LENGTH + wire.LINK_ADDRESS_LENGTH;
    this.send(packet, UNSPECIFIED, group, 0x3333, group.d);
  }

  verified({ own }: DuplicateProbe): void {
    this.#endProbe(own);
    own.state = own.preferredUntil > this.#stack.now ? AddressState.Preferred : AddressState.Deprecated;
    this.#stack.generation++;
    if (own.address.isLinkLocal) return;
    // Routers that know us can deliver at once what comes in for us (RFC 9131).
    this.announce(own.address, ALL_ROUTERS, false);
  }

  /** Tells everyone, or one group, our link address without being asked (RFC 4861, section 7.2.6). */
  announce(address: IpAddress, group: IpAddress = ALL_NODES, override = true): void {
    this.counters.requested++;
    this.#neighbourMessage(
      icmp.NEIGHBOUR_ADVERTISEMENT,
      (override ? wire.OVERRIDE : 0) | (this.#interface.forwarding ? wire.ROUTER : 0),
      address,
      wire.TARGET_LINK_ADDRESS,
      address,
      group,
      0x3333,
      group.d,
    );
  }

  /** @internal Asks for routers (RFC 4861, section 6.3.7). */
  solicitRouters(): void {
    const packet = this.#interface.reserve();
    if (packet === null) return;
    this.counters.requested++;
    const own = selectSource(this.#addresses, ALL_ROUTERS);
    const { view, offset: at } = packet;
    wire.writeSolicitation(view, at);
    packet.end = at + wire.SOLICITATION_LENGTH;
    if (own !== null && own.state !== AddressState.Optimistic) {
      this.#appendLink(packet, wire.SOURCE_LINK_ADDRESS);
    }
    this.send(packet, own?.address ?? UNSPECIFIED, ALL_ROUTERS, 0x3333, ALL_ROUTERS.d);
  }

  #solicited(packet: Packet): void {
    const { counters } = this;
    const { dropped } = counters;
    const { view, offset: at, end, network } = packet;
    const options = at + wire.NEIGHBOUR_LENGTH;
    const source = IpAddress.read(6, view, network + ipv6.SOURCE);
    const link = this.#interface.addressed
      ? wire.findOption(view, options, end, wire.SOURCE_LINK_ADDRESS)
      : -1;
    if (
      view.getUint8(at + wire.TARGET) === 0xff ||
      // A probe goes to the solicited-node group and says no link address (section 7.1.1).
      (source.isUnspecified && (packet.cast !== MULTICAST || link >= 0)) ||
      (link >= 0 && ethernet.isGroup(wire.linkHigh(view, link)))
    ) {
      dropped.badAddress++;
      return;
    }
    const own = this.#stack.ipv6.ownAt(view, at + wire.TARGET, this.#interface);
    if (own === null || own.interface !== this.#interface || own.state === AddressState.Duplicate) {
      dropped.notForUs++;
      return;
    }
    const probe = this.#probes.get(own);
    if (probe !== undefined && source.isUnspecified) {
      const nonce = wire.findOption(view, options, end, wire.NONCE);
      if (
        nonce >= 0 && wire.linkHigh(view, nonce) === probe.nonceHigh &&
        wire.linkLow(view, nonce) === probe.nonceLow
      ) {
        dropped.looped++;
        return;
      }
      counters.delivered++;
      this.#duplicate(own);
      return;
    }
    if (!own.usable) {
      dropped.notForUs++;
      return;
    }
    counters.delivered++;
    counters.answered++;
    const high = link >= 0 ? wire.linkHigh(view, link) : ethernet.sourceHigh(view, packet.link);
    const low = link >= 0 ? wire.linkLow(view, link) : ethernet.sourceLow(view, packet.link);
    if (link >= 0) {
      const entry = this.neighbours.findV6(view, network + ipv6.SOURCE);
      // It is about to talk to us.
      if (entry === null) this.neighbours.add(source, high, low);
      else this.neighbours.learn(entry, high, low, false);
    }
    const everyone = source.isUnspecified;
    const flags = (everyone ? 0 : wire.SOLICITED) | (this.#interface.forwarding ? wire.ROUTER : 0) |
      (own.state === AddressState.Optimistic ? 0 : wire.OVERRIDE);
    // In the slot that the question came in.
    clearOffloads(packet);
    wire.writeNeighbour(view, at, icmp.NEIGHBOUR_ADVERTISEMENT, flags, own.address);
    packet.end = at + wire.NEIGHBOUR_LENGTH;
    this.#appendLink(packet, wire.TARGET_LINK_ADDRESS);
    if (everyone) this.send(packet, own.address, ALL_NODES, 0x3333, ALL_NODES.d);
    else this.send(packet, own.address, source, high, low);
  }

  #advertised(packet: Packet): void {
    const { counters, neighbours } = this;
    const { dropped } = counters;
    const { view, offset: at, end } = packet;
    const flags = wire.flags(view, at);
    const link = wire.findOption(view, at + wire.NEIGHBOUR_LENGTH, end, wire.TARGET_LINK_ADDRESS);
    if (
      view.getUint8(at + wire.TARGET) === 0xff ||
      (packet.cast === MULTICAST && (flags & wire.SOLICITED) !== 0) ||
      (link >= 0 && ethernet.isGroup(wire.linkHigh(view, link)))
    ) {
      dropped.badAddress++;
      return;
    }
    const own = this.#stack.ipv6.ownAt(view, at + wire.TARGET, this.#interface);
    if (own !== null && own.interface === this.#interface) {
      if (this.#probes.has(own)) {
        counters.delivered++;
        this.#duplicate(own);
      } else dropped.conflict++;
      return;
    }
    const entry = neighbours.findV6(view, at + wire.TARGET);
    if (entry === null) {
      // Nobody wants to know (section 7.2.5).
      dropped.notForUs++;
      return;
    }
    counters.delivered++;
    neighbours.advertised(
      entry,
      link >= 0,
      link >= 0 ? wire.linkHigh(view, link) : 0,
      link >= 0 ? wire.linkLow(view, link) : 0,
      (flags & wire.SOLICITED) !== 0,
      (flags & wire.OVERRIDE) !== 0,
    );
    if ((flags & wire.ROUTER) === 0) this.routers.resigned(entry.address);
  }

  /** Somebody else has an address that we were about to use. */
  #duplicate(own: OwnAddress): void {
    this.counters.duplicates++;
    this.#endProbe(own);
    own.state = AddressState.Duplicate;
    own.listener?.leave();
    this.#stack.generation++;
    if (own.origin !== AddressOrigin.Manual) {
      this.#interface.removeAddress(own.address);
      this.#retry(own);
    }
    this.onDuplicate?.(own.address);
  }

  #retry(own: OwnAddress): void {
    const { address, origin } = own;
    const prefix = IpAddress.v6(address.a, address.b, 0, 0);
    const attempt = own.attempt + 1;
    const next = this.makeAddress(prefix, origin, attempt);
    if (next === null) {
      if (origin === AddressOrigin.Temporary) this.temporary.fail();
      return;
    }
    next.attempt = attempt;
    next.preferredUntil = own.preferredUntil;
    next.validUntil = own.validUntil;
    next.preferredLimit = own.preferredLimit;
    next.validLimit = own.validLimit;
    next.preference = own.preference;
    next.routers = own.routers;
  }

  #endProbe(own: OwnAddress): void {
    this.#probes.get(own)?.stop();
    this.#probes.delete(own);
  }

  #delay(): number {
    return (this.#stack.random() >>> 0) / 2 ** 32 * FIRST_DELAY;
  }

  #neighbourMessage(
    type: number,
    flags: number,
    target: IpAddress,
    option: number,
    source: IpAddress,
    destination: IpAddress,
    high: number,
    low: number,
  ): void {
    const packet = this.#interface.reserve();
    if (packet === null) return;
    wire.writeNeighbour(packet.view, packet.offset, type, flags, target);
    packet.end = packet.offset + wire.NEIGHBOUR_LENGTH;
    if (option !== 0) this.#appendLink(packet, option);
    this.send(packet, source, destination, high, low);
  }

  #appendLink(packet: Packet, option: number): void {
    const own = this.#interface;
    if (!own.addressed) return;
    wire.writeLinkAddress(packet.view, packet.end, option, own.macHigh, own.macLow);
    packet.end += wire.LINK_ADDRESS_LENGTH;
  }

  /** @internal Sends a message (cursor at the ICMPv6 header, checksum field 0) past the neighbour cache. Takes ownership. */
  send(packet: Packet, source: IpAddress, destination: IpAddress, high: number, low: number): void {
    const { view, end } = packet;
    const transport = packet.transport = packet.offset;
    const length = end - transport;
    const at = packet.network = packet.offset -= ipv6.HEADER_LENGTH;
    packet.version = 6;
    packet.protocol = ipv6.ICMP;
    ipv6.write(view, at, 0, 0, length, ipv6.ICMP, wire.HOP_LIMIT, source, destination);
    const pseudo = sum(packet.region, at + ipv6.SOURCE, 32) + ipv6.ICMP + length;
    echo.setChecksum(view, transport, ~fold(pseudo + sum(packet.region, transport, length)) & 0xffff);
    const layer = this.#stack.ipv6;
    if (layer.tapOutgoing(packet)) return;
    layer.counters.sent++;
    this.#interface.send(packet, high, low, ethernet.IPV6);
  }
}

function leastLength(type: number): number {
  switch (type) {
    case icmp.ROUTER_SOLICITATION:
      return wire.SOLICITATION_LENGTH;
    case icmp.ROUTER_ADVERTISEMENT:
      return wire.ADVERTISEMENT_LENGTH;
    case icmp.REDIRECT:
      return wire.REDIRECT_LENGTH;
    default:
      return wire.NEIGHBOUR_LENGTH;
  }
}
