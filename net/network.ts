/**
 * One host on the network: a stack, its interfaces, and the loop that drives them.
 *
 * @module
 */

import type { EventEmitter } from "node:events";
import { Loop } from "../drivers/loop.ts";
import { openDevice } from "../drivers/open.ts";
import type { Device } from "../stack/device.ts";
import { Cidr } from "../stack/ip/address.ts";
import type { Route, RouteOptions } from "../stack/ip/routes.ts";
import type { Interface } from "../stack/link/interface.ts";
import { Stack, type StackOptions } from "../stack/stack.ts";
import { type Connection, State } from "../stack/tcp/api.ts";
import type { Clock } from "./clock.ts";
import { Alarm } from "./clock.ts";
import { Configuration } from "./configuration.ts";
import { TcpConn, type TcpConnectOptions } from "./conn.ts";
import { type Counters, plainCounters } from "./counters.ts";
import { dial } from "./dial.ts";
import { DatagramConn, type DatagramConnectOptions, type DatagramOptions } from "./datagram.ts";
import { lookup } from "./dns/lookup.ts";
import { type DnsResults, type DnsType, resolveDns, type ResolveDnsOptions } from "./dns/resolve_dns.ts";
import { Resolver } from "./dns/resolver.ts";
import { toDenoError } from "./errors.ts";
import { Mdns } from "./mdns/mdns.ts";
import type { Browser } from "./mdns/browser.ts";
import type { Advertisement, AdvertiseOptions } from "./mdns/service.ts";
import { fetchOver } from "./fetch.ts";
import { TcpListener, type TcpListenOptions } from "./listener.ts";
import { NodeListener } from "./node_server.ts";
import { TcpDuplex } from "./node_stream.ts";
import { interfaceOptions, type InterfaceSpec, type VlanSpec } from "./interface_spec.ts";
import { type NetworkOptions, specsOf } from "./network_options.ts";
import { ping, type PingOptions, type PingResult } from "./ping.ts";
import { routeOptions, type RouteSpec } from "./route_spec.ts";
import { systemRandom } from "./system_random.ts";
import { type Hop, traceroute, type TracerouteOptions } from "./traceroute.ts";
import { RawConn, type RawListenOptions } from "./raw.ts";
import { HttpServer, type ServeHandler, type ServeOptions } from "./serve.ts";

/** µs that `await using` gives connections to hand over what was written. */
const LINGER = 2_000_000;
/** µs that interfaces are waited for: an address of the link takes 8 to 12 seconds. */
const PATIENCE = 20_000_000;

/**
 * One host. Everything that an application opens on it is closed with it.
 *
 * @example A web server on a TAP device
 * ```ts ignore
 * import { Network } from "@ethox/ethox";
 *
 * await using network = await Network.open({ device: "tap:tap0", addresses: ["10.0.0.2/24"] });
 * await network.serve({ port: 80 }, () => new Response("hello")).finished;
 * ```
 */
export class Network implements Disposable, AsyncDisposable {
  /** One level down: the stack, with callbacks at each layer. */
  readonly stack: Stack;
  /** The stack's time, for what waits on it. */
  readonly clock: Clock;
  /** Resolves names. */
  readonly resolver: Resolver;
  /** Names and services of the link; silent until it is needed. */
  readonly mdns: Mdns;
  /** What the link has told, as it changes: addresses, routers, servers. */
  readonly configuration: Configuration;
  readonly #loop: Loop | null;
  readonly #budget: number;
  readonly #open = new Set<{ close(): void; onclosed: (() => void) | null }>();
  #closed = false;
  #now = 0;

  private constructor(options: NetworkOptions<Device>) {
    const { clock, onError } = options;
    const report = onError ?? ((error: unknown, where: string) => console.error(`Error in ${where}:`, error));
    const settings: StackOptions = {
      random: options.random ?? systemRandom(),
      limits: options.limits ?? {},
      report,
      forwarding: options.forwarding ?? false,
      strongHost: options.strongHost ?? false,
    };
    if (options.secret !== undefined) settings.secret = options.secret;
    this.stack = new Stack(settings);
    this.#budget = options.budget ?? 64;
    if (options.loop === false) {
      this.#loop = null;
      this.#now = clock?.() ?? 0;
    } else {
      this.#loop = new Loop(this.stack, {
        budget: this.#budget,
        ...(options.spin === undefined ? {} : { spin: options.spin }),
        ...(clock === undefined ? {} : { clock }),
        ...(onError === undefined ? {} : { onError }),
      });
    }
    const { stack } = this;
    this.clock = {
      timers: stack.timers,
      time: () => this.#loop?.now ?? this.#now,
      turn: () => stack.now,
      wake: () => stack.wake(),
    };
    // What is told at the beginning has to be right from the beginning.
    stack.advance(this.clock.time());
    this.configuration = new Configuration(stack, this.clock);
    this.resolver = new Resolver(stack, this.clock, options.dns ?? {}, this);
    this.mdns = new Mdns(stack, this.clock, options.hostname ?? null);
    if (options.dns?.mdns !== false) this.resolver.link = this.mdns;
  }

  /**
   * Opens the devices and brings the host up. An interface that is given no addresses joins the network by itself:
   * it asks DHCP servers and routers, and when nobody gives it an IPv4 address, it takes one of the link. This
   * resolves when the host can be used, or after {@link NetworkOptions.patience}.
   *
   * @throws {TypeError} An address, route or device of no known form.
   * @throws {Error} What a device needs, in one line.
   */
  static async open(options: NetworkOptions): Promise<Network> {
    const opened: Device[] = [];
    try {
      const interfaces: InterfaceSpec<Device>[] = [];
      for (const spec of specsOf(options)) {
        for (const address of spec.addresses ?? []) Cidr.parse(address);
        const device = typeof spec.device === "string" ? await openDevice(spec.device) : spec.device;
        opened.push(device);
        const none = (spec.addresses ?? []).length === 0 && (spec.vlans ?? []).length === 0;
        const bare = none && options.gateway === undefined;
        interfaces.push({ configure: bare, ...spec, device });
      }
      const { device: _device, addresses: _addresses, configure: _configure, ...rest } = options;
      const network = Network.create({ ...rest, interfaces });
      // Nothing moves a network without a loop but its owner.
      if (options.loop !== false) await network.configuration.settled(options.patience ?? PATIENCE);
      return network;
    } catch (error) {
      for (const device of opened) device.close();
      throw error;
    }
  }

  /**
   * Brings a host up on devices that are open. They belong to the network from here on, unless this throws.
   *
   * @throws {TypeError} An address or route of no known form.
   */
  static create(options: NetworkOptions<Device>): Network {
    const specs = specsOf(options);
    const network = new Network(options);
    try {
      for (const spec of specs) network.addInterface(spec);
      for (const route of options.routes ?? []) network.addRoute(route);
      if (options.gateway !== undefined) {
        network.addRoute({
          destination: options.gateway.includes(":") ? "::/0" : "0.0.0.0/0",
          gateway: options.gateway,
        });
      }
      if (options.hostname !== undefined) network.mdns.publishHost();
      return network;
    } catch (error) {
      // The caller keeps the devices.
      for (const { device } of specs) network.#loop?.remove(device);
      network.close();
      throw error;
    }
  }

  /** The first interface. @throws {TypeError} There is none. */
  get interface(): Interface {
    const first = this.stack.interfaces[0];
    if (first === undefined) throw new TypeError("The network has no interface");
    return first;
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Adds an interface over an open device, which belongs to the network from here on. */
  addInterface(spec: InterfaceSpec<Device>): Interface {
    try {
      const added = this.stack.addInterface(spec.device, interfaceOptions(spec));
      this.#loop?.add(spec.device, added);
      this.mdns.interfaceAdded(added);
      const { configure = false } = spec;
      this.configuration.add(added, configure === false ? null : configure === true ? {} : configure);
      for (const vlan of spec.vlans ?? []) this.addVlan(added, vlan);
      return added;
    } catch (error) {
      throw toDenoError(error);
    }
  }

  /** Adds an interface for a VLAN on top of another one. */
  addVlan(parent: Interface, spec: VlanSpec): Interface {
    const { id, protocol = "802.1Q", priority = 0 } = spec;
    try {
      const added = this.stack.addVlan(parent, { ...interfaceOptions(spec), id, protocol, priority });
      this.mdns.interfaceAdded(added);
      const { configure = false } = spec;
      this.configuration.add(added, configure === false ? null : configure === true ? {} : configure);
      for (const vlan of spec.vlans ?? []) this.addVlan(added, vlan);
      return added;
    } catch (error) {
      throw toDenoError(error);
    }
  }

  /**
   * Adds a route; {@link removeRoute} takes it away again.
   * @throws {TypeError} It is of no known form, or its gateway is in none of the networks.
   */
  addRoute(spec: RouteSpec): Route {
    return this.#route(spec, (route) => this.stack.addRoute(route));
  }

  /** Adds a route in place of those to the same network with the same `from` and metric. @throws As {@link addRoute}. */
  replaceRoute(spec: RouteSpec): Route {
    return this.#route(spec, (route) => this.stack.replaceRoute(route));
  }

  /** Takes a route away; the next best to the same network takes over. @returns Whether it was there. */
  removeRoute(route: Route): boolean {
    return this.stack.removeRoute(route);
  }

  /** Name servers that the network tells of. */
  get nameServers(): readonly string[] {
    return this.configuration.nameServers;
  }

  /** Domains in which short names are looked up, as the network tells. */
  get searchDomains(): readonly string[] {
    return this.configuration.searchDomains;
  }

  /** Opens a TCP connection. A name's addresses, of both versions, are tried side by side (RFC 8305). */
  connect(options: TcpConnectOptions): Promise<TcpConn> {
    return dial(this, options, (connection) => new TcpConn(connection));
  }

  /** Asks the DNS, in the shape of `Deno.resolveDns`. */
  resolveDns<T extends DnsType>(
    query: string,
    type: T,
    options?: ResolveDnsOptions,
  ): Promise<DnsResults[T]> {
    return resolveDns(this.resolver, query, type, options);
  }

  /** The addresses of a host in the order in which they should be tried (RFC 6724); link-local ones with their zones. */
  async lookup(hostname: string, options: { signal?: AbortSignal } = {}): Promise<string[]> {
    const found = await lookup(this.stack, this.resolver, hostname, options.signal);
    return found.map(({ address, interface: by }) => by === null ? `${address}` : `${address}%${by.name}`);
  }

  /** Tells the link of a service, until it is taken back or the network is closed (DNS-SD, RFC 6763). */
  advertise(options: AdvertiseOptions): Promise<Advertisement> {
    return this.mdns.advertise(options);
  }

  /** Follows the services of a type, such as `_http._tcp`, on the link. */
  browse(type: string, options: { signal?: AbortSignal } = {}): Browser {
    return this.mdns.browse(type, options.signal);
  }

  /** Opens a TCP connection as a `Duplex` of Node's, for `node:tls`, `node:http`, undici and whatever else takes one. */
  connectNode(options: TcpConnectOptions): Promise<TcpDuplex> {
    return dial(
      this,
      options,
      (connection) => new TcpDuplex(connection, this.clock, { allowHalfOpen: false }),
    );
  }

  /** Listens for TCP connections. */
  listen(options: TcpListenOptions): TcpListener {
    return this.#keep(new TcpListener(this.stack.tcp, options));
  }

  /** Gives the TCP connections of a port to a server of Node's, as `connection` events. */
  serveNode(server: EventEmitter, options: TcpListenOptions): NodeListener {
    return this.#keep(new NodeListener(this.stack.tcp, this.clock, server, options));
  }

  /** Binds a UDP port. */
  listenDatagram(options: DatagramOptions): DatagramConn {
    return this.#keep(new DatagramConn(this, options));
  }

  /** Binds a UDP port that talks to one peer, whose ICMP errors it is told. */
  async connectDatagram(options: DatagramConnectOptions): Promise<DatagramConn> {
    return this.#keep(await DatagramConn.connect(this, options));
  }

  /** Sends and receives packets of one IP protocol. */
  listenRaw(options: RawListenOptions): RawConn {
    return this.#keep(new RawConn(this.stack, options));
  }

  /** Serves HTTP. */
  serve(options: ServeOptions, handler: ServeHandler): HttpServer {
    return this.#keep(new HttpServer(this.stack.tcp, this.clock, options, handler));
  }

  /** Fetches over HTTP, in the shape of the global `fetch`. */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const stream = (hostname: string, port: number, signal: AbortSignal | null) =>
      this.connectNode(signal === null ? { hostname, port } : { hostname, port, signal });
    return fetchOver(stream, input, init);
  }

  /** Sends echo requests and yields what became of each. */
  ping(hostname: string, options?: PingOptions): AsyncGenerator<PingResult, void, void> {
    return ping(this, hostname, options);
  }

  /** Finds the routers on the way to a host and yields them hop by hop. */
  traceroute(hostname: string, options?: TracerouteOptions): AsyncGenerator<Hop, void, void> {
    return traceroute(this, hostname, options);
  }

  /** Everything that was counted, by layer; a copy. */
  counters(): Counters {
    const { stack } = this;
    const interfaces: Counters = {};
    for (const one of stack.interfaces) {
      interfaces[one.name] = {
        device: plainCounters(one.device.counters),
        link: plainCounters(one.counters),
        vlan: plainCounters(one.vlans.counters),
        arp: plainCounters(one.arp.counters),
        ...(one.igmp === null ? {} : { igmp: plainCounters(one.igmp.counters) }),
        ...(one.nd === null
          ? {}
          : { nd: plainCounters(one.nd.counters), mld: plainCounters(one.nd.listener.counters) }),
      };
    }
    return {
      interfaces,
      ipv4: plainCounters(stack.ipv4.counters),
      ipv6: plainCounters(stack.ipv6.counters),
      forwarding: plainCounters({ ipv4: stack.forwarding.ipv4, ipv6: stack.forwarding.ipv6 }),
      icmp: plainCounters(stack.icmp.counters),
      igmp: plainCounters(stack.igmp.counters),
      icmpv6: plainCounters(stack.icmpv6.counters),
      udp: plainCounters(stack.udp.counters),
      dns: { ...this.resolver.sizes, ...plainCounters(this.resolver.counters) },
      mdns: { ...this.mdns.sizes, ...plainCounters(this.mdns.counters) },
      tcp: { connections: stack.tcp.size, ...plainCounters(stack.tcp.counters) },
      handlerErrors: stack.handlerErrors,
      ...(this.#loop === null ? {} : { loop: plainCounters(this.#loop.counters) }),
    };
  }

  /**
   * One turn of a network without a loop: sets the time, delivers what has arrived, and does what is due.
   *
   * @param now The time, in µs; it never goes back.
   * @returns When the next turn is due, in µs, if nothing arrives before; `Infinity` for never.
   * @throws {TypeError} The network has a loop.
   */
  step(now: number): number {
    if (this.#loop !== null) {
      throw new TypeError("Cannot step this network: its loop does; create it with { loop: false }");
    }
    if (this.#closed) return Infinity;
    if (now > this.#now) this.#now = now;
    const { stack } = this;
    stack.advance(now);
    const { interfaces } = stack;
    let next = Infinity;
    for (let i = 0; i < interfaces.length; i++) {
      const { device } = interfaces[i]!;
      if (device.poll(interfaces[i]!, this.#budget, now) >= this.#budget) next = now;
      if (device.deadline < next) next = device.deadline;
    }
    return Math.min(next, stack.poll(now));
  }

  /** Closes everything: connections are reset, ports given back, devices closed. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const one of [...this.#open]) one.close();
    this.mdns.close();
    this.resolver.close();
    this.configuration.close();
    const connections: Connection[] = [];
    this.stack.tcp.forEach((connection) => void connections.push(connection));
    for (const connection of connections) connection.abort();
    for (const { nd } of this.stack.interfaces) nd?.advertiser.stop();
    // Tells handlers, and peers as far as the devices have room.
    this.stack.poll(this.clock.time());
    if (this.#loop !== null) this.#loop.close();
    else for (const { device } of this.stack.interfaces) device.close();
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** As {@link close}, but lets connections that were closed hand over what was written, for at most 2 seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of [...this.#open]) one.close();
    this.mdns.close();
    this.resolver.close();
    const limit = this.clock.time() + LINGER;
    while (!this.#closed && this.clock.time() < limit && this.#unsent()) await this.#pause(2000);
    this.close();
  }

  /** Whether a connection still has something to hand over, or a peer that has not taken it: a reset would destroy that. */
  #unsent(): boolean {
    let found = false;
    this.stack.tcp.forEach(({ state, unacknowledged }) => {
      const closing = state === State.FinWait1 || state === State.FinWait2 || state === State.Closing ||
        state === State.LastAck;
      if (closing || unacknowledged > 0) found = true;
    });
    return found;
  }

  #pause(delay: number): Promise<void> {
    return new Promise((resolve) => new Alarm(this.clock, resolve).set(delay));
  }

  #route(spec: RouteSpec, enter: (route: RouteOptions) => Route): Route {
    const route = routeOptions(spec, this.stack.interfaces);
    try {
      return enter(route);
    } catch (error) {
      throw toDenoError(error);
    }
  }

  #keep<T extends { close(): void; onclosed: (() => void) | null }>(one: T): T {
    this.#open.add(one);
    one.onclosed = () => this.#open.delete(one);
    return one;
  }
}
