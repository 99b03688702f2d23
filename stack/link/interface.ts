/**
 * One network interface: Ethernet II, or bare IP packets, over a device, with the addresses it goes by.
 *
 * @module
 */

import { LinkCounters } from "../counters.ts";
import type { Device } from "../device.ts";
import { StackError } from "../errors.ts";
import type { Cidr, IpAddress } from "../ip/address.ts";
import { ReversePath } from "../ip/forwarding.ts";
import { BROADCAST, type Handler, MULTICAST, OTHER, type Packet, type Tap, UNICAST } from "../packet.ts";
import { IgmpListener } from "../igmp/listener.ts";
import type { Stack } from "../stack.ts";
import { Taps } from "../taps.ts";
import * as ethernet from "../wire/ethernet.ts";
import { Redirects } from "../ip/redirects.ts";
import { AddressOrigin } from "../ip/own_address.ts";
import { NeighbourDiscovery } from "../nd/discovery.ts";
import type { Ipv6Options } from "../nd/options.ts";
import { LEAST_MTU } from "../wire/ipv6.ts";
import { Arp } from "./arp.ts";
import { Egress } from "./egress.ts";
import { LinkGroups } from "./link_groups.ts";
import { countLlc } from "./llc.ts";
import type { Neighbour } from "./neighbour.ts";
import { Vlans } from "./vlan.ts";

/** What `Stack.addInterface` takes. */
export interface InterfaceOptions {
  /** What a person calls it. Default: the device's name. */
  name?: string;
  /** The addresses, each with its network. More can be added later. */
  addresses?: readonly Cidr[];
  /** Largest IP packet, in bytes: 68 to the device's MTU, which is the default. */
  mtu?: number;
  /** False to keep addresses to ourselves until somebody asks. Default true. */
  announce?: boolean;
  /** Whether packets that come in here and are not for us are sent on. Default: what `StackOptions.forwarding` says. */
  forwarding?: boolean;
  /** Whether IPv4 routers may send packets to one host by another router of the link, by ICMP redirects. Default false. */
  acceptRedirects?: boolean;
  /** Whether packets must come from where they would be answered to (RFC 3704). Default: nothing is checked. */
  reversePath?: ReversePath;
  /** How it speaks IPv6; false: not at all, as with an MTU below 1280. Default true: as {@link Ipv6Options} say. */
  ipv6?: boolean | Ipv6Options;
}

/**
 * One interface. It is the {@link Handler} that its device delivers frames to, and the only way out to it.
 * Handlers and taps are lent each packet until they return.
 */
export class Interface implements Handler {
  /** The stack it belongs to. */
  readonly stack: Stack;
  /** What moves its frames. */
  readonly device: Device;
  /** The device whose slots its frames lie in: its own, or the one below it. */
  readonly memory: Device;
  /** The groups of its link that it takes frames of. */
  readonly linkGroups: LinkGroups;
  /** The VLANs on top of it, and what came for others. */
  readonly vlans: Vlans;
  /** What a person calls it. */
  readonly name: string;
  /** Largest IP packet, in bytes. */
  readonly mtu: number;
  #mtuV4 = 0;
  /** True for the stack's own interface to itself, which resolves nothing. */
  readonly loopback: boolean;
  /**
   * False for one end of a link between two without link addresses (a TUN device): packets go out as they are, and nothing is
   * resolved, claimed or asked for. There are no VLANs on it either.
   */
  readonly addressed: boolean;
  /** First 16 bits of its link address. */
  readonly macHigh: number;
  /** Last 32 bits of its link address, signed. */
  readonly macLow: number;
  /** What happened. */
  readonly counters: LinkCounters = new LinkCounters();
  /** Address resolution for IPv4. */
  readonly arp: Arp;
  /** Neighbour discovery and addresses of IPv6; null when it does not speak IPv6, and on the loopback interface. */
  readonly nd: NeighbourDiscovery | null;
  /** What tells the link's routers and switches which IPv4 groups it listens to; null on the loopback interface. */
  readonly igmp: IgmpListener | null;
  /** Its number, which no other interface of the stack has had: 1 for the loopback interface. */
  readonly index: number;
  /** Whether packets must come from where they would be answered to. May be changed at any time. */
  reversePath: ReversePath;
  /** False once it was removed from its stack. */
  active = true;
  /** Whether ICMP redirects of IPv4 routers are followed. May be changed at any time. */
  acceptRedirects: boolean;
  /** Better first hops that IPv4 routers have told of. */
  readonly redirects: Redirects;
  #forwarding: boolean;
  readonly #announce: boolean;
  #addresses: readonly Cidr[] = [];
  readonly #tapsIn: Taps;
  readonly #egress: Egress;
  #ipv4: Handler | null = null;
  #ipv6: Handler | null = null;
  readonly #handlers = new Map<number, Handler>();
  readonly #watches = new Map<number, () => void>();

  /** @internal `Stack.addInterface` makes them. */
  constructor(stack: Stack, device: Device, options: InterfaceOptions, loopback = false) {
    this.stack = stack;
    this.index = stack.nextInterfaceIndex();
    this.device = device;
    this.memory = device.memory ?? device;
    this.vlans = new Vlans(this);
    this.name = options.name ?? device.name;
    this.loopback = loopback;
    const mtu = options.mtu ?? device.mtu;
    if (!Number.isInteger(mtu) || mtu < 68 || mtu > device.mtu) {
      throw new RangeError(`MTU of interface "${this.name}" must be from 68 to ${device.mtu}, got ${mtu}`);
    }
    this.mtu = mtu;
    this.#forwarding = !loopback && (options.forwarding ?? stack.forwarding.enabled);
    this.acceptRedirects = options.acceptRedirects ?? false;
    this.redirects = new Redirects(stack, this);
    this.reversePath = options.reversePath ?? ReversePath.Off;
    this.addressed = device.medium !== "ip";
    const mac = device.mac;
    this.macHigh = mac[0]! << 8 | mac[1]!;
    this.macLow = mac[2]! << 24 | mac[3]! << 16 | mac[4]! << 8 | mac[5]!;
    this.#tapsIn = new Taps(`tap on ${this.name}`, (error, where) => stack.report(error, where));
    this.#egress = new Egress(this);
    this.#announce = (options.announce ?? true) && !loopback && this.addressed;
    this.arp = new Arp(this, stack);
    this.igmp = loopback ? null : new IgmpListener(this, stack);
    if (!loopback && this.addressed) {
      this.attach(ethernet.ARP, this.arp);
      this.attach(ethernet.VLAN, this.vlans);
      this.attach(ethernet.SERVICE_VLAN, this.vlans);
    }
    const ipv6 = options.ipv6 ?? true;
    this.nd = loopback || ipv6 === false || mtu < LEAST_MTU
      ? null
      : new NeighbourDiscovery(this, stack, ipv6 === true ? {} : ipv6);
    this.linkGroups = new LinkGroups(device, stack, this.nd !== null);
  }

  /** Largest IPv4 packet that is sent, in bytes: {@link mtu}, or less when a server says so. 0 sets it back; more than {@link mtu} does so too. */
  get mtuV4(): number {
    return this.#mtuV4 === 0 ? this.mtu : this.#mtuV4;
  }

  set mtuV4(mtu: number) {
    const next = mtu >= this.mtu ? 0 : mtu;
    if (next === this.#mtuV4) return;
    this.#mtuV4 = next;
    this.stack.generation++;
  }

  /** Whether packets that come in here and are not for us are sent on. May be changed at any time. */
  get forwarding(): boolean {
    return this.#forwarding;
  }

  set forwarding(value: boolean) {
    this.#forwarding = value && !this.loopback;
    this.stack.forwardingChanged(this);
  }

  /** Whether it takes packets to addresses of other interfaces: of a router's always, of a host's in the weak model. */
  get weak(): boolean {
    return this.#forwarding || !this.stack.strongHost;
  }

  /** Its addresses, each with its network. */
  get addresses(): readonly Cidr[] {
    return this.#addresses;
  }

  /** Whether `word` is one of its IPv4 addresses. */
  hasV4(word: number): boolean {
    const addresses = this.#addresses;
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[i]!.address;
      if (address.d === word && address.version === 4) return true;
    }
    return false;
  }

  /** Whether the IPv4 address `word` is of one of its networks, and so on its link. */
  reachesV4(word: number): boolean {
    return this.#addresses.some((cidr) =>
      cidr.address.version === 4 && ((cidr.address.d ^ word) & cidr.maskWord(3)) === 0
    );
  }

  /** The IPv4 address that a request about `target` comes from: of the same network if there is one; or 0. */
  sourceV4For(target: number): number {
    let first = 0;
    for (const cidr of this.#addresses) {
      if (cidr.address.version !== 4) continue;
      if (((cidr.address.d ^ target) & cidr.maskWord(3)) === 0) return cidr.address.d;
      if (first === 0) first = cidr.address.d;
    }
    return first;
  }

  /**
   * Gives the interface one more address, a route to its network, and tells the neighbours.
   * An IPv6 address is used when it has turned out that nobody else has it: see {@link Ipv6Options.duplicates}.
   * @throws {StackError} `AddressInUse` when an interface of the stack has it; `AddressNotAvailable` for a
   *   multicast, unspecified or network's own or broadcast address, and for IPv6 on an interface that does not speak it.
   */
  addAddress(cidr: Cidr, origin: AddressOrigin = AddressOrigin.Manual): void {
    const { address } = cidr;
    if (address.version === 6 && this.nd === null && !this.loopback) {
      throw new StackError("AddressNotAvailable", `Cannot use ${cidr}: interface ${this.name} has no IPv6`);
    }
    if (
      address.isMulticast || address.isUnspecified || (address.version === 4 && address.d >>> 28 === 15) ||
      (cidr.broadcast !== null && cidr.broadcast.equals(address))
    ) {
      throw new StackError("AddressNotAvailable", `Cannot use ${cidr}: it is not the address of one host`);
    }
    if (address.version === 4 && cidr.prefix < 31 && cidr.network.address.equals(address)) {
      throw new StackError(
        "AddressNotAvailable",
        `Cannot use ${cidr}: it is the address of the network, not of a host in it`,
      );
    }
    if (!this.loopback && this.stack.isLocal(address, this)) {
      throw new StackError("AddressInUse", `Cannot use ${cidr}: the stack has this address already`);
    }
    this.#addresses = [...this.#addresses, cidr];
    if (address.version === 6) {
      if (this.nd === null) this.stack.ipv6.addLoopback(this, cidr);
      else this.nd.add(cidr, origin);
    }
    this.stack.addressesChanged(this, cidr, true, origin === AddressOrigin.Manual);
    if (address.version === 4 && !this.loopback && this.addressed) this.arp.hold(address, this.#announce);
  }

  /** Takes an address away. Paths that use it find another or none. Does nothing when it is not there. */
  removeAddress(address: IpAddress): void {
    const cidr = this.#addresses.find((own) => own.address.equals(address));
    if (cidr === undefined) return;
    this.#addresses = this.#addresses.filter((own) => own !== cidr);
    const manual = this.nd?.originOf(address) === AddressOrigin.Manual;
    if (address.version === 6) this.nd?.remove(address);
    else this.arp.letGo(address);
    this.stack.addressesChanged(this, cidr, false, address.version === 4 || manual);
  }

  /** Gives frames of an ethertype (0x600 to 0xffff; IPv4 and IPv6 alone come in without link addresses) to `handler`, its cursor behind the link header. Replaces. */
  attach(ethertype: number, handler: Handler): void {
    if (!Number.isInteger(ethertype) || ethertype < ethernet.LEAST_ETHERTYPE || ethertype > 0xffff) {
      throw new RangeError(`Ethertype must be from 0x600 to 0xffff, got ${ethertype}`);
    }
    if (ethertype === ethernet.IPV4) this.#ipv4 = handler;
    else if (ethertype === ethernet.IPV6) this.#ipv6 = handler;
    else {
      this.#handlers.set(ethertype, handler);
      if (handler !== this.arp && handler !== this.vlans && !this.#watches.has(ethertype)) {
        // Who knows which groups it listens to.
        this.#watches.set(ethertype, this.linkGroups.watch());
      }
    }
  }

  /** Nobody gets frames of this ethertype any more. */
  detach(ethertype: number): void {
    if (ethertype === ethernet.IPV4) this.#ipv4 = null;
    else if (ethertype === ethernet.IPV6) this.#ipv6 = null;
    else {
      this.#handlers.delete(ethertype);
      this.#watches.get(ethertype)?.();
      this.#watches.delete(ethertype);
    }
  }

  /**
   * Shows every frame to `tap` first, cursor at the link header (the IP header where there is none): what comes in (for other stations too), or what
   * goes out. In order of registration.
   * @returns Takes it away again.
   */
  tap(direction: "in" | "out", tap: Tap): () => void {
    if (direction === "out") return this.#egress.taps.add(tap);
    const end = this.linkGroups.watch(), remove = this.#tapsIn.add(tap);
    return () => {
      remove();
      end();
    };
  }

  receive(packet: Packet): void {
    const { counters } = this;
    const { view, offset: at } = packet;
    counters.received++;
    if (!this.addressed) {
      this.#receiveBare(packet);
      return;
    }
    if (packet.end - at < ethernet.HEADER_LENGTH) {
      counters.dropped.truncated++;
      return;
    }
    packet.interface = this;
    packet.link = at;
    const high = ethernet.destinationHigh(view, at);
    const low = ethernet.destinationLow(view, at);
    if (low === this.macLow && high === this.macHigh) packet.cast = UNICAST;
    else if (high === ethernet.BROADCAST_HIGH && low === ethernet.BROADCAST_LOW) packet.cast = BROADCAST;
    else packet.cast = ethernet.isGroup(high) ? MULTICAST : OTHER;
    if (this.#tapsIn.show(packet)) {
      counters.delivered++;
      return;
    }
    if (ethernet.isGroup(ethernet.sourceHigh(view, at))) {
      counters.dropped.badSource++;
      return;
    }
    if (packet.cast === OTHER) {
      counters.dropped.otherStation++;
      return;
    }
    const ethertype = ethernet.ethertype(view, at);
    if (
      packet.cast === MULTICAST && (ethertype === ethernet.IPV4 || ethertype === ethernet.IPV6) &&
      !this.linkGroups.has(high, low)
    ) {
      counters.dropped.otherGroup++;
      return;
    }
    let handler: Handler | null;
    if (ethertype === ethernet.IPV4) handler = this.#ipv4;
    else if (ethertype === ethernet.IPV6) handler = this.#ipv6;
    else if (ethertype < ethernet.LEAST_ETHERTYPE) {
      countLlc(packet, ethertype, counters);
      return;
    } else handler = this.#handlers.get(ethertype) ?? null;
    if (handler === null) {
      counters.dropped.unknownEthertype++;
      return;
    }
    counters.delivered++;
    packet.offset = packet.network = at + ethernet.HEADER_LENGTH;
    try {
      handler.receive(packet);
    } catch (error) {
      this.stack.report(error, `ethertype 0x${ethertype.toString(16)} on ${this.name}`);
    }
  }

  /** Takes a packet that has no link header: the first four bits tell the version. */
  #receiveBare(packet: Packet): void {
    const { counters } = this;
    const { offset: at } = packet;
    if (packet.end <= at) {
      counters.dropped.truncated++;
      return;
    }
    packet.interface = this;
    packet.link = packet.network = at;
    packet.cast = UNICAST;
    if (this.#tapsIn.show(packet)) {
      counters.delivered++;
      return;
    }
    const version = packet.view.getUint8(at) >>> 4;
    const handler = version === 4 ? this.#ipv4 : version === 6 ? this.#ipv6 : null;
    if (handler === null) {
      counters.dropped.unknownEthertype++;
      return;
    }
    counters.delivered++;
    try {
      handler.receive(packet);
    } catch (error) {
      this.stack.report(error, `IPv${version} on ${this.name}`);
    }
  }

  /** Takes a free slot for a frame that leaves here, or null. The cursor is behind the headroom. */
  reserve(): Packet | null {
    const packet = this.device.reserve();
    if (packet !== null) packet.interface = this;
    return packet;
  }

  /**
   * Puts the link header in front, if the link has one, and sends. Takes ownership.
   * @returns False when the frame was dropped.
   */
  send(packet: Packet, destinationHigh: number, destinationLow: number, ethertype: number): boolean {
    if (!this.addressed) return this.#sendBare(packet, ethertype);
    const at = packet.link = packet.offset -= ethernet.HEADER_LENGTH;
    ethernet.write(
      packet.view,
      at,
      destinationHigh,
      destinationLow,
      this.macHigh,
      this.macLow,
      ethertype,
    );
    return this.output(packet);
  }

  #sendBare(packet: Packet, ethertype: number): boolean {
    // Nothing tells the other end what a packet is but its first four bits.
    if (ethertype !== ethernet.IPV4 && ethertype !== ethernet.IPV6) {
      this.counters.sendRefused++;
      packet.discard();
      return false;
    }
    packet.link = packet.offset;
    return this.output(packet);
  }

  /** As {@link send}, to a neighbour; null for the other end of a link without link addresses, and for the loopback interface. */
  sendTo(packet: Packet, neighbour: Neighbour | null, ethertype: number): boolean {
    return neighbour === null ? this.send(packet, 0, 0, ethertype) : neighbour.send(packet, ethertype);
  }

  /**
   * Sends a finished frame, cursor at the link header. What the packet asks for and the device doesn't do
   * (checksum, segmentation) is done here. Takes ownership.
   * @returns False when the frame, or a part of it, was dropped.
   */
  output(packet: Packet): boolean {
    return this.#egress.output(packet);
  }
}
