/**
 * The composition: interfaces, layers, one timer wheel, one clock that others set.
 *
 * @module
 */

import type { Device } from "./device.ts";
import { StackError } from "./errors.ts";
import { KeyedHash } from "./hash.ts";
import { EchoSessions } from "./icmp/echo.ts";
import { Icmpv4 } from "./icmp/icmpv4.ts";
import { Igmp } from "./igmp/igmp.ts";
import { Icmpv6 } from "./icmp/icmpv6.ts";
import { Cidr, type IpAddress } from "./ip/address.ts";
import { Forwarding, type ForwardingOptions } from "./ip/forwarding.ts";
import { Ipv4 } from "./ip/ipv4.ts";
import { Ipv4Forwarder } from "./ip/ipv4_forwarder.ts";
import { Ipv6 } from "./ip/ipv6.ts";
import { Ipv6Forwarder } from "./ip/ipv6_forwarder.ts";
import { IcmpError, type Path, type Transport } from "./ip/path.ts";
import { AddressState } from "./ip/own_address.ts";
import { RawSockets } from "./ip/raw_socket.ts";
import { Reassembler } from "./ip/reassembly.ts";
import { Route, RouteKind, type RouteOptions, RouteTable } from "./ip/routes.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";
import { Interface, type InterfaceOptions } from "./link/interface.ts";
import { VlanDevice, type VlanOptions } from "./link/vlan.ts";
import { LoopbackDevice } from "./link/loopback.ts";
import { Groups } from "./multicast/groups.ts";
import type { Packet } from "./packet.ts";
import { Tcp } from "./tcp/tcp.ts";
import { TimerWheel } from "./timer_wheel.ts";
import { Udp } from "./udp/udp.ts";
import * as ethernet from "./wire/ethernet.ts";
import * as icmpv4 from "./wire/icmpv4.ts";
import * as icmpv6 from "./wire/icmpv6.ts";
import { PROTOCOL as IGMP } from "./wire/igmp.ts";
import * as ipv4 from "./wire/ipv4.ts";
import * as ipv6 from "./wire/ipv6.ts";
import { PROTOCOL as TCP } from "./wire/tcp.ts";

/** Rounds of delivering to ourselves in one turn, and packets of one round. */
const LOOPBACK_ROUNDS = 4, LOOPBACK_BUDGET = 64;

/** What a {@link Stack} needs from outside. */
export interface StackOptions {
  /** Gives 32 random bits. Secrets are made of them, so they must not be guessable on a real network. */
  random: () => number;
  /**
   * 16 secret bytes that stay the same from one start to the next: with them the IPv6 addresses that the host makes
   * for itself stay the same on one network and tell nothing on another (RFC 7217).
   */
  secret?: Uint8Array;
  /** Whether packets for others are sent on, and how (RFC 1812). Default false. */
  forwarding?: boolean | ForwardingOptions;
  /**
   * Whether an address belongs to its interface alone: packets to it are taken from there only, and packets from it
   * leave there only (the strong model of RFC 1122, section 3.3.4.2). Interfaces that forward take packets to any address
   * of the host. Default false, the weak model.
   */
  strongHost?: boolean;
  /** What differs from {@link DEFAULT_LIMITS}. */
  limits?: Partial<Limits>;
  /** Gets what handlers of applications throw. Default: it is thrown away and counted in {@link Stack.handlerErrors}. */
  report?: (error: unknown, where: string) => void;
}

/** Whoever has something to send when a batch of frames was delivered. */
export interface BatchEnder {
  /**
   * Sends what has come together: acknowledgements, segments. Called in each {@link Stack.poll}.
   * @returns Whether something is left that has to wait for the next turn (a device without a free slot).
   */
  finish(): boolean;
}

/**
 * One host: its interfaces, its routes and its protocols. It has no clock, no randomness and no loop of its own: a
 * loop sets the time with {@link advance}, has each device deliver to its interface, and calls {@link poll}.
 */
export class Stack {
  /** The time, in µs, as the loop last set it. */
  now = 0;
  /** How much the layers may hold. */
  readonly limits: Readonly<Limits>;
  /** Gives 32 random bits, signed or unsigned. */
  readonly random: () => number;
  /** What {@link StackOptions.secret} said, or null. */
  readonly secret: Uint8Array | null;
  /** Whether an address belongs to its interface alone. */
  readonly strongHost: boolean;
  /** How packets for others are sent on, and what happened to them. */
  readonly forwarding: Forwarding;
  /** For tables and secrets. */
  readonly hash: KeyedHash;
  /** The timers of all layers. */
  readonly timers: TimerWheel = new TimerWheel();
  /** Which way to which network. Change it with {@link addRoute} and {@link removeRoute}. */
  readonly routes: RouteTable;
  /** Transports by protocol number; null for none. Change it with {@link attach}. */
  readonly transports: (Transport | null)[] = new Array(256).fill(null);
  /** Which groups the interfaces listen to. */
  readonly groups: Groups;
  /** The interface to ourselves: 127.0.0.1/8, and every address of the others. Not among {@link interfaces}. */
  readonly loopback: Interface;
  /** IPv4. */
  readonly ipv4: Ipv4;
  /** IPv6. */
  readonly ipv6: Ipv6;
  /** Puts fragments together, of both versions. */
  readonly reassembler: Reassembler;
  /** ICMP. */
  readonly icmp: Icmpv4;
  /** IGMP. */
  readonly igmp: Igmp;
  /** ICMPv6. */
  readonly icmpv6: Icmpv6;
  /** Echo requests of ours, over both versions. */
  readonly echoes: EchoSessions;
  /** Sockets of any IP protocol. */
  readonly rawSockets: RawSockets;
  /** UDP. */
  readonly udp: Udp;
  /** TCP. */
  readonly tcp: Tcp;
  /** Exceptions that handlers of applications have thrown. */
  handlerErrors = 0;
  /** Called at most once between two calls of {@link poll} when there is work for it that no frame brought. */
  onWork: (() => void) | null = null;
  /**
   * Times that a connection's handler took less than it was offered. Whoever delivers frames may let the application
   * catch up when this grows.
   */
  pauses = 0;

  /** @internal How many look at what comes in before it is known whether it is for us: groups that nobody has joined come in for them. */
  observers = 0;
  /** Goes up whenever an address or a route changes; paths of an older generation look their way up again. */
  generation = 0;

  readonly #report: ((error: unknown, where: string) => void) | null;
  readonly #interfaces: Interface[] = [];
  readonly #enders: BatchEnder[] = [];
  readonly #loopbackDevice: LoopbackDevice;
  #woken = false;
  #index = 0;
  #madeSecret: Uint8Array | null = null;

  /**
   * Makes a host without interfaces but the loopback.
   * @param options What comes from outside.
   */
  constructor(options: StackOptions) {
    this.random = options.random;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.hash = new KeyedHash(options.random);
    this.secret = options.secret ?? null;
    if (this.secret !== null && this.secret.length !== 16) {
      throw new RangeError(`Secret must have 16 bytes, got ${this.secret.length}`);
    }
    this.#report = options.report ?? null;
    this.strongHost = options.strongHost ?? false;
    this.forwarding = new Forwarding(
      options.forwarding ?? false,
      (error, where) => this.report(error, where),
    );
    this.routes = new RouteTable(this.limits.routes);
    this.groups = new Groups(this.limits);
    this.ipv4 = new Ipv4(this);
    this.ipv6 = new Ipv6(this);
    this.reassembler = new Reassembler(this);
    this.ipv4.reassembler = this.ipv6.reassembler = this.reassembler;
    this.icmp = new Icmpv4(this);
    this.icmpv6 = new Icmpv6(this);
    this.echoes = new EchoSessions(this);
    this.rawSockets = new RawSockets(this);
    this.udp = new Udp(this);
    this.igmp = new Igmp();
    this.attach(IGMP, this.igmp);
    this.attach(ipv4.ICMP, this.icmp);
    this.attach(ipv6.ICMP, this.icmpv6);
    this.attach(ipv4.UDP, this.udp);
    this.tcp = new Tcp(this);
    this.attach(TCP, this.tcp);
    this.addBatchEnder(this.tcp);
    this.#loopbackDevice = new LoopbackDevice(this.limits.loopbackSlots);
    this.loopback = new Interface(this, this.#loopbackDevice, {}, true);
    this.loopback.attach(ethernet.IPV4, this.ipv4);
    this.loopback.attach(ethernet.IPV6, this.ipv6);
    this.loopback.addAddress(Cidr.parse("127.0.0.1/8"));
    this.loopback.addAddress(Cidr.parse("::1/128"));
  }

  /** The interfaces, in the order in which they were added. */
  get interfaces(): readonly Interface[] {
    return this.#interfaces;
  }

  /**
   * Adds an interface over an open device. The caller's loop polls the device and closes it in the end.
   * @throws {StackError} `AddressInUse`, `AddressNotAvailable`, `TooMany`. @throws {RangeError} An MTU out of range.
   */
  addInterface(device: Device, options: InterfaceOptions = {}): Interface {
    const added = new Interface(this, device, options);
    added.attach(ethernet.IPV4, this.ipv4);
    if (added.nd !== null) added.attach(ethernet.IPV6, this.ipv6);
    this.#interfaces.push(added);
    const { pool } = this.tcp;
    if (device.block !== undefined && (pool.source === null || pool.source.closed)) pool.source = device;
    try {
      for (const cidr of options.addresses ?? []) added.addAddress(cidr);
      added.nd?.start();
      if (added.forwarding) this.forwardingChanged(added);
    } catch (error) {
      this.removeInterface(added);
      throw error;
    }
    return added;
  }

  /**
   * Adds an interface for a VLAN on top of one; further tags go on top of it (802.1ad, "Q-in-Q"). It goes with the
   * interface below.
   * @throws {StackError} `AddressInUse` when there is one, `AddressNotAvailable` on a link without link addresses.
   * @throws {RangeError} An identifier, priority or MTU out of range.
   */
  addVlan(parent: Interface, options: VlanOptions): Interface {
    if (!parent.addressed) {
      throw new StackError(
        "AddressNotAvailable",
        `Cannot add VLAN ${options.id} on ${parent.name}: its packets have no link header`,
      );
    }
    const device = new VlanDevice(parent, options);
    parent.vlans.add(device);
    try {
      const added = this.addInterface(device, options);
      device.receiver = added;
      return added;
    } catch (error) {
      device.close();
      throw error;
    }
  }

  /** Removes an interface with its addresses and routes. Its device stays open. Idempotent. */
  removeInterface(removed: Interface): void {
    let at = this.#interfaces.indexOf(removed);
    if (at < 0) return;
    for (const { receiver } of removed.vlans.devices) {
      if (receiver !== null) this.removeInterface(receiver as Interface);
    }
    at = this.#interfaces.indexOf(removed);
    removed.nd?.advertiser.stop();
    for (const cidr of removed.addresses) removed.removeAddress(cidr.address);
    this.#interfaces.splice(at, 1);
    removed.active = false;
    removed.arp.neighbours.clear();
    removed.redirects.clear();
    if (removed.device instanceof VlanDevice) removed.device.close();
    removed.igmp?.stop();
    removed.nd?.stop();
    this.groups.removeInterface(removed);
    removed.linkGroups.close();
    this.routes.removeWhere((route) => route.interface === removed);
    this.generation++;
  }

  /**
   * Adds a route. Paths that exist follow it.
   * @throws {TypeError} A gateway that does not fit. @throws {StackError} `TooMany`.
   */
  addRoute(options: RouteOptions): Route {
    const route = this.#routeOf(options);
    this.routes.add(route);
    this.generation++;
    return route;
  }

  /**
   * Adds a route in place of those to the same network with the same `from` and metric, as `ip route replace`.
   * @throws As {@link addRoute}.
   */
  replaceRoute(options: RouteOptions): Route {
    const route = this.#routeOf(options);
    for (const other of this.routes.to(route.destination)) {
      if (!route.precedes(other) && !other.precedes(route) && route.sameSource(other)) {
        this.routes.remove(other);
      }
    }
    this.routes.add(route);
    this.generation++;
    return route;
  }

  /** Removes a route. @returns Whether it was there. */
  removeRoute(route: Route): boolean {
    const was = this.routes.remove(route);
    if (was) this.generation++;
    return was;
  }

  /** Gives packets of a protocol (0 to 255) to `transport`, whatever their IP version. Replaces; null for nobody. */
  attach(protocol: number, transport: Transport | null): void {
    this.transports[protocol] = transport;
  }

  /** Has `ender` called in each {@link poll}. */
  addBatchEnder(ender: BatchEnder): void {
    this.#enders.push(ender);
  }

  /** Whether `address` is one of ours, loopback included. */
  isLocal(address: IpAddress, by: Interface | null = null): boolean {
    if (address.version === 4) return this.ipv4.isLocal(address.d);
    const own = this.ipv6.own(address, by);
    return own !== null && own.state !== AddressState.Duplicate;
  }

  /**
   * The way to `destination`, shared with everyone who asks for the same; it follows routes and addresses as they
   * change. Hold it as long as needed.
   * @param source Our address. Default: what the route says.
   * @param by The only interface to leave by; needed to send from the unspecified address.
   * @returns null when no route leads there, or `source` is not ours.
   */
  path(destination: IpAddress, source?: IpAddress | null, by?: Interface | null): Path | null {
    if (source != null && source.version !== destination.version) return null;
    const layer = destination.version === 4 ? this.ipv4 : this.ipv6;
    return layer.path(destination, source ?? null, by ?? null);
  }

  /** The way back to the sender of a packet for us, from the address that it was sent to; or null. */
  pathBack(packet: Packet): Path | null {
    return packet.version === 4 ? this.ipv4.pathBack(packet) : this.ipv6.pathBack(packet);
  }

  /** Tells the sender of a datagram that nobody is bound to its port. */
  refusePort(packet: Packet): void {
    if (packet.version === 4) this.icmp.sendError(packet, icmpv4.UNREACHABLE, icmpv4.PORT, 0);
    else this.icmpv6.sendError(packet, icmpv6.UNREACHABLE, icmpv6.PORT, 0);
  }

  /** @internal */
  nextInterfaceIndex(): number {
    return ++this.#index;
  }

  /** @internal Somebody looks at what comes in. @returns Ends it. */
  observe(): () => void {
    let active = true;
    const count = (by: number) => {
      this.observers += by;
      for (const one of this.#interfaces) one.linkGroups.tell();
    };
    count(1);
    return () => {
      if (active) count(-1);
      active = false;
    };
  }

  /** @internal The secret that stable addresses are made with; a random one when none was handed in. */
  stableSecret(): Uint8Array {
    return this.secret ?? (this.#madeSecret ??= randomBytes(this.random));
  }

  /** Sets the time, in µs. It never goes back; an earlier time is taken as no progress. */
  advance(now: number): void {
    if (now > this.now) this.now = now;
  }

  /**
   * Ends a turn: expires timers, sends what has come together, delivers what we sent to ourselves, and flushes the devices.
   * @param now The time, in µs.
   * @returns When it has to be called again, in µs: `Infinity` for never, `now` for at once.
   */
  poll(now: number): number {
    this.advance(now);
    this.#woken = true;
    const device = this.#loopbackDevice;
    let more = false;
    try {
      this.timers.advance(this.now);
      more = this.#finish();
      for (let round = 0; device.waiting > 0 && round < LOOPBACK_ROUNDS; round++) {
        device.poll(this.loopback, LOOPBACK_BUDGET);
        more = this.#finish();
      }
      for (let i = 0; i < this.#interfaces.length; i++) this.#interfaces[i]!.device.flush();
    } finally {
      // Whatever was thrown, the next one who has work is heard.
      this.#woken = false;
    }
    return more || device.waiting > 0 ? this.now : this.timers.next();
  }

  /** Asks for {@link poll}: something is to be sent. Cheap to call again. */
  wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    this.onWork?.();
  }

  /** Takes note of an exception that an application's handler has thrown. @param where Which handler. */
  report(error: unknown, where: string): void {
    this.handlerErrors++;
    this.#report?.(error, where);
  }

  /** @internal A packet (headers in front, `transport` set) was given up because its next hop is silent. */
  hostUnreachable(packet: Packet): void {
    const { view, network } = packet;
    const ours = packet.version === 4
      ? this.ipv4.isLocal(ipv4.source(view, network))
      : this.ipv6.ownAt(view, network + ipv6.SOURCE, packet.interface) !== null;
    if (!ours) {
      // Forwarded for somebody else, who is told (RFC 1812, section 5.2.7.1; RFC 4443, section 3.1).
      if (packet.version === 4) this.icmp.sendError(packet, icmpv4.UNREACHABLE, icmpv4.HOST, 0);
      else this.icmpv6.sendError(packet, icmpv6.UNREACHABLE, icmpv6.ADDRESS, 0);
      return;
    }
    const transport = this.transports[packet.protocol]!;
    if (transport === null) return;
    packet.offset = packet.transport;
    transport.error(packet, IcmpError.HostUnreachable, 0);
  }

  /** @internal An interface has got or lost an address: the route to its network comes and goes with it, unless routers tell it. */
  addressesChanged(owner: Interface, cidr: Cidr, added: boolean, withRoute: boolean): void {
    const { address } = cidr;
    if (withRoute && !owner.loopback && cidr.prefix < (address.version === 4 ? 32 : 128)) {
      const ofNetwork = this.routes.to(cidr).filter((route) =>
        route.interface === owner && route.gateway === null && route.leads
      );
      if (added) {
        if (ofNetwork.length === 0) this.routes.add(new Route({ destination: cidr, interface: owner }));
      } else {
        const network = cidr.network.address;
        const keeps = owner.addresses.some((other) =>
          other.prefix === cidr.prefix && other.network.address.equals(network)
        );
        if (!keeps) { for (const route of ofNetwork) this.routes.remove(route); }
      }
    }
    if (address.version === 4) this.ipv4.addressesChanged(owner, cidr, added);
    this.generation++;
  }

  /** @internal An interface forwards, or does no more. */
  forwardingChanged(owner: Interface): void {
    this.forwarding.join(owner, this.groups);
    if (!owner.forwarding) return;
    // A router knows its ways itself.
    owner.redirects.clear();
    owner.nd?.redirects.taken.clear();
    this.ipv4.forwarder ??= new Ipv4Forwarder(this, this.forwarding);
    this.ipv6.forwarder ??= new Ipv6Forwarder(this, this.forwarding);
  }

  #routeOf(options: RouteOptions): Route {
    const leads = (options.kind ?? RouteKind.Unicast) === RouteKind.Unicast;
    return new Route(leads ? options : { ...options, interface: this.loopback });
  }

  #finish(): boolean {
    let more = false;
    for (let i = 0; i < this.#enders.length; i++) if (this.#enders[i]!.finish()) more = true;
    return more;
  }
}

function randomBytes(random: () => number): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  for (let at = 0; at < 16; at += 4) view.setInt32(at, random());
  return new Uint8Array(view.buffer);
}
