/**
 * UDP sockets in the shape of `Deno.DatagramConn`.
 *
 * @module
 */

import { StackError, type StackErrorCode } from "../stack/errors.ts";
import type { IpAddress } from "../stack/ip/address.ts";
import type { Interface } from "../stack/link/interface.ts";
import { IcmpError } from "../stack/ip/path.ts";
import type { Bytes } from "../stack/packet.ts";
import type { Stack } from "../stack/stack.ts";
import type { SendOptions } from "../stack/udp/datagram.ts";
import type { UdpHandler, UdpSocket } from "../stack/udp/socket.ts";
import type { PacketHeaders } from "../stack/ip/packet_headers.ts";
import type { BindOptions } from "../stack/udp/udp.ts";
import { checkPort, formatHostPort, parseHost, zoneOf } from "./address.ts";
import { type Datagram, DatagramQueue, type UdpAddr } from "./datagram_queue.ts";
import { literalHost, lookup } from "./dns/lookup.ts";
import type { Resolver } from "./dns/resolver.ts";
import { closedError, toDenoError } from "./errors.ts";
import { interfaceOf, MulticastMembership, type MulticastOptions, parseGroup } from "./multicast.ts";
import { checkClass, checkHops } from "./packet_options.ts";

/** What {@link DatagramConn} takes, whether it listens or is connected. */
export interface DatagramSettings {
  /** Whether it may send to broadcast addresses. Default false. */
  broadcast?: boolean;
  /** Whether others may bind the same port, if they say so too: groups and broadcasts then reach all of them. Default false. */
  reuseAddress?: boolean;
  /** Name, number or address of the only interface that it sends and receives by. Default: all. */
  interface?: string | number;
  /** TTL or hop limit of what it sends to hosts, 1 to 255. Default: as the route says. */
  hopLimit?: number;
  /** DSCP and ECN (TOS) of what it sends, 0 to 255. Default 0. */
  trafficClass?: number;
  /** Options of IPv4 and extension headers of IPv6 of what it sends; what is larger than the path's MTU is refused then. Default: none. */
  headers?: PacketHeaders;
  /** Whether what is larger than the path's MTU is refused rather than sent in fragments. Default false. */
  dontFragment?: boolean;
  /** Does without checksums over IPv6, both ways (RFC 6935). Default false. */
  zeroChecksum?: boolean;
  /** Whether listeners on this host hear what it sends to groups. Default true. */
  loopback?: boolean;
  /** Hop limit of what it sends to groups, 1 to 255. Default 1: no further than the link. */
  multicastHops?: number;
  /** Name, number or address of the interface that packets to groups leave by. Default: as the routes say. */
  multicastInterface?: string | number;
  /** Datagrams that wait to be received; while there are so many, further ones are dropped. Default 256. */
  queue?: number;
  /** Bytes of datagrams that wait to be received; as for {@link queue}. Default 1 MiB. */
  queueBytes?: number;
  /**
   * Gets what ICMP tells about datagrams that did not get through: the error that a connected socket would fail with, and
   * to whom the datagram was sent. Default, for a connected socket: the next `receive` or `send` fails.
   */
  onError?: (error: Error, addr: UdpAddr) => void;
  /** Closes the socket when aborted. */
  signal?: AbortSignal;
}

/** What `listenDatagram` takes. */
export interface DatagramOptions extends DatagramSettings {
  /** 1 to 65535; 0 picks a free one. */
  port: number;
  /**
   * Bind to this IP address only; `0.0.0.0` for all of IPv4, `::` for all of both versions, with a zone to be bound to
   * an interface. Default: all of both versions.
   */
  hostname?: string;
}

/** What `connectDatagram` takes. */
export interface DatagramConnectOptions extends DatagramSettings {
  /** The peer: an address, or a name, which is resolved first. */
  hostname: string;
  /** The peer's port, 1 to 65535. */
  port: number;
  /** Our address. Default: what the route says. */
  localHostname?: string;
  /** Our port, 1 to 65535; 0, the default, picks a free one. */
  localPort?: number;
}

/** How one datagram is sent, where it differs from what holds for its socket. */
export interface DatagramSendOptions {
  /** Our address that it comes from. */
  source?: string;
  /** Name, number or address of the interface that it leaves by. */
  interface?: string | number;
  /** TTL or hop limit, 1 to 255. */
  hopLimit?: number;
  /** DSCP and ECN (TOS), 0 to 255. */
  trafficClass?: number;
  /** Options of IPv4 and extension headers of IPv6; null for none. */
  headers?: PacketHeaders | null;
}

/** To whom a datagram is sent: an address, or a name. */
export type DatagramPeer = { hostname: string; port: number };

/** What a {@link DatagramConn} uses of its network. */
export interface DatagramNetwork {
  /** Whose ports it binds. */
  readonly stack: Stack;
  /** Resolves the names that it sends to. */
  readonly resolver: Resolver;
}

/** A peer whose name is resolved. */
interface Destination {
  readonly address: IpAddress;
  readonly port: number;
  readonly options: SendOptions | null;
}

/** Bytes that {@link DatagramConn.sendBatch} puts together at a time. */
const BATCH = 65507;

/** Sends and receives datagrams. */
export class DatagramConn implements AsyncIterable<Datagram>, Disposable {
  /** Where it is bound. */
  readonly addr: UdpAddr;
  /** Whom it is connected to, or null. */
  readonly remoteAddr: UdpAddr | null;
  /** @internal Called once, when it is closed. */
  onclosed: (() => void) | null = null;
  readonly #from: DatagramNetwork;
  readonly #socket: UdpSocket;
  readonly #signal: AbortSignal | undefined;
  readonly #queue: DatagramQueue;
  readonly #onError: ((error: Error, addr: UdpAddr) => void) | null;
  #batch: Bytes | null = null;

  /**
   * Binds a port of a stack; `Network.listenDatagram` is this with the network's own.
   *
   * @param from The network's parts. @param options Where. @param peer Whom it talks to alone, with the zone's interface.
   * @throws {Deno.errors.AddrInUse} The port is taken.
   * @throws {Deno.errors.AddrNotAvailable} The address is not one of the stack's.
   */
  constructor(from: DatagramNetwork, options: DatagramOptions, peer: Destination | null = null) {
    options.signal?.throwIfAborted();
    const { stack } = from;
    this.#from = from;
    const bind: BindOptions = {
      port: checkPort(options.port, 0),
      broadcast: options.broadcast ?? false,
      reuse: options.reuseAddress ?? false,
      zeroChecksum: options.zeroChecksum ?? false,
    };
    const hops = checkHops(options.multicastHops ?? 1);
    const hopLimit = options.hopLimit === undefined ? 0 : checkHops(options.hopLimit);
    const trafficClass = checkClass(options.trafficClass ?? 0);
    const groupInterface = interfaceOf(stack, options.multicastInterface);
    let own = interfaceOf(stack, options.interface);
    if (options.hostname !== undefined) {
      const address = parseHost(options.hostname);
      if (!address.isUnspecified) bind.address = address;
      else if (address.version === 4) bind.version = 4;
      own ??= zoneOf(options.hostname, stack.interfaces);
    }
    if (own !== null) bind.interface = own;
    this.#queue = new DatagramQueue(options.queue ?? 256, options.queueBytes ?? 1 << 20);
    this.#onError = options.onError ?? null;
    const handler: UdpHandler = {
      receive: (packet, socket) => this.#queue.put(packet, socket),
      error: (kind, remote, port, mtu) => this.#failed(kind, remote, port, mtu),
    };
    try {
      this.#socket = stack.udp.bind(bind, handler);
    } catch (error) {
      throw toDenoError(error);
    }
    const socket = this.#socket;
    socket.hopLimit = hopLimit;
    socket.trafficClass = trafficClass;
    socket.headers = options.headers ?? null;
    socket.dontFragment = options.dontFragment ?? false;
    socket.multicastHops = hops;
    socket.multicastLoop = options.loopback ?? true;
    socket.multicastInterface = groupInterface;
    const any = options.hostname === "::" ? "::" : "0.0.0.0";
    this.addr = { transport: "udp", hostname: socket.address?.toString() ?? any, port: socket.port };
    this.remoteAddr = null;
    if (peer !== null) {
      const { address, port } = peer;
      this.remoteAddr = { transport: "udp", hostname: address.toString(), port };
      try {
        socket.connect(address, port, peer.options?.interface ?? null);
      } catch (error) {
        socket.close();
        throw toDenoError(error);
      }
    }
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /**
   * Binds a port and connects it to one peer; `Network.connectDatagram` is this with the network's own. No packet is sent.
   *
   * @throws {Deno.errors.NotFound} There is no such name. @throws {Deno.errors.NetworkUnreachable} No route leads there.
   */
  static async connect(from: DatagramNetwork, options: DatagramConnectOptions): Promise<DatagramConn> {
    const { hostname, port, localHostname, localPort = 0, ...rest } = options;
    const peer = await resolve(from, { hostname, port });
    const where = localHostname === undefined ? {} : { hostname: localHostname };
    return new DatagramConn(from, { ...rest, ...where, port: localPort }, peer);
  }

  /** One level down: the stack's socket. Its handler belongs to this object. */
  get socket(): UdpSocket {
    return this.#socket;
  }

  /** Datagrams dropped because the queue was full. The socket's counters tell bytes, too. */
  get dropped(): number {
    return this.#socket.counters.queueFull;
  }

  /**
   * Waits for the next datagram.
   *
   * @param p Where to put it; what does not fit is cut off. Default: memory of its own.
   * @returns The datagram (a part of `p`, if given), who sent it, and how it came.
   * @throws {Deno.errors.ConnectionRefused} The peer of a connected socket says that nobody listens; and other errors
   *   that ICMP tells of.
   * @throws {Deno.errors.BadResource} The socket is closed.
   */
  receive(p?: Uint8Array): Promise<Datagram> {
    if (this.#socket.closed) return Promise.reject(this.#closedError());
    return this.#queue.take((p ?? null) as Bytes | null);
  }

  /**
   * Sends a datagram. It may be lost on the way, here too: what finds no room is counted by the stack as `sendFailed`.
   *
   * @param p What to send; copied at once.
   * @param addr To whom: an address, or a name, which is resolved first; it goes to the best of its addresses. A
   *   connected socket needs none.
   * @param options What differs for this datagram.
   * @returns The length of `p`.
   * @throws {Deno.errors.NetworkUnreachable} No route leads there.
   * @throws {Deno.errors.InvalidData} It is larger than a packet may be (`EMSGSIZE`), or than the path takes with `dontFragment`.
   * @throws {Deno.errors.NotConnected} The socket is not connected, and nobody was named.
   * @throws {Deno.errors.NotFound} There is no such name.
   * @throws {Deno.errors.ConnectionRefused} A datagram before it did not get through; see {@link receive}.
   * @throws {Deno.errors.BadResource} The socket is closed.
   */
  async send(p: Uint8Array, addr?: DatagramPeer, options?: DatagramSendOptions): Promise<number> {
    const failed = this.#queue.takeError();
    if (failed !== null) throw failed;
    let bytes = p as Bytes;
    let to = this.#destination(addr, options);
    if (to === null) {
      bytes = bytes.slice();
      to = await resolve(this.#from, addr!, options);
    }
    try {
      this.#socket.send(bytes, 0, bytes.length, to.address, to.port, to.options);
    } catch (error) {
      throw toDenoError(error);
    }
    return p.length;
  }

  /**
   * Sends many datagrams. Neighbours of the same length to the same peer leave in super-datagrams, which cost little more
   * than one; the device or this stack cuts them.
   *
   * @param datagrams Each with its peer, unless the socket is connected. Peers are given by address.
   * @returns How many were handed on; the rest was dropped for want of room.
   * @throws As {@link send}, for the first datagram that can't be sent; those before it were.
   */
  // deno-lint-ignore require-await -- errors are to be rejections, as those of send are
  async sendBatch(
    datagrams: readonly (readonly [Uint8Array, DatagramPeer?])[],
    options?: DatagramSendOptions,
  ): Promise<number> {
    const failed = this.#queue.takeError();
    if (failed !== null) throw failed;
    const batch = this.#batch ??= new Uint8Array(BATCH);
    let sent = 0;
    try {
      for (let i = 0; i < datagrams.length;) {
        const [first, addr] = datagrams[i]!;
        const to = this.#destination(addr, options);
        if (to === null) {
          throw new TypeError(
            `Cannot send a batch to "${addr!.hostname}": give an address, names are not resolved`,
          );
        }
        const size = first.length;
        let length = 0, count = 0;
        while (size > 0 && i + count < datagrams.length) {
          const [data, peer] = datagrams[i + count]!;
          const same = peer === addr || (peer?.hostname === addr?.hostname && peer?.port === addr?.port);
          if (!same || data.length > size || data.length === 0 || length + data.length > BATCH) break;
          batch.set(data, length);
          length += data.length;
          count++;
          if (data.length < size) break;
        }
        if (count < 2) {
          if (this.#socket.send(first as Bytes, 0, size, to.address, to.port, to.options)) sent++;
          i++;
        } else {
          sent += this.#socket.sendSegments(batch, 0, length, size, to.address, to.port, to.options);
          i += count;
        }
      }
    } catch (error) {
      throw toDenoError(error);
    }
    return sent;
  }

  /**
   * Payload bytes that get to a peer in one piece, as far as is known: what the link takes, or less once ICMP has told.
   * @throws As {@link send}; names are not resolved.
   */
  mtu(addr?: DatagramPeer): number {
    const to = this.#destination(addr);
    if (to === null) throw new TypeError(`Cannot tell the MTU to "${addr!.hostname}": give an address`);
    try {
      return this.#socket.mtu(to.address, to.port, to.options);
    } catch (error) {
      throw toDenoError(error);
    }
  }

  /**
   * Receives what is sent to an IPv4 group.
   *
   * @param address The group. @param networkInterface Name, number or address of an interface; `0.0.0.0` for the one
   *   that packets to the group leave by. @param options From whom.
   * @throws {TypeError} The group, interface or source is none. @throws {Deno.errors.AddrInUse} It is joined already.
   * @throws {Deno.errors.Busy} There are as many memberships as the stack's limits allow.
   */
  // deno-lint-ignore require-await -- the shape of Deno.DatagramConn
  async joinMulticastV4(
    address: string,
    networkInterface: string | number = "0.0.0.0",
    options: MulticastOptions = {},
  ): Promise<MulticastMembership> {
    return this.#join(parseGroup(address, 4), networkInterface, options);
  }

  /** As {@link joinMulticastV4}, for an IPv6 group; `networkInterface` 0 stands for the one that packets to the group leave by. */
  // deno-lint-ignore require-await -- the shape of Deno.DatagramConn
  async joinMulticastV6(
    address: string,
    networkInterface: string | number = 0,
    options: MulticastOptions = {},
  ): Promise<MulticastMembership> {
    return this.#join(parseGroup(address, 6), networkInterface, options);
  }

  /** Gives the port back; what waits fails. Idempotent. */
  close(): void {
    if (this.#socket.closed) return;
    this.#socket.close();
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#queue.close(() => this.#closedError());
    this.onclosed?.();
  }

  /** There for the shape of `Deno.DatagramConn`: it is the network that keeps the process alive. */
  ref(): void {}

  /** There for the shape of `Deno.DatagramConn`: it is the network that keeps the process alive. */
  unref(): void {}

  /** Yields datagrams until the socket is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Datagram> {
    while (!this.#socket.closed) {
      let datagram: Datagram;
      try {
        datagram = await this.receive();
      } catch (error) {
        if (this.#socket.closed) return;
        throw error;
      }
      yield datagram;
    }
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #join(group: IpAddress, where: string | number, { source }: MulticastOptions): MulticastMembership {
    if (this.#socket.closed) throw this.#closedError();
    return new MulticastMembership(this.#socket, group, interfaceOf(this.#from.stack, where), source);
  }

  #abort = (): void => this.close();

  /** Where to send; null when a name has to be resolved first. */
  #destination(addr: DatagramPeer | undefined, options?: DatagramSendOptions): Destination | null {
    if (addr !== undefined) return literal(this.#from, addr, options);
    const { remote, remotePort, remoteInterface } = this.#socket;
    if (remote === null) {
      throw toDenoError(
        new StackError("NotConnected", "Cannot send without a peer: name one, or use connectDatagram"),
      );
    }
    return {
      address: remote,
      port: remotePort,
      options: sendOptions(this.#from.stack, options, remoteInterface),
    };
  }

  #failed(kind: IcmpError, remote: IpAddress, port: number, mtu: number): void {
    const [code, text] = REASONS[kind];
    const about = `Datagram to ${formatHostPort(remote.toString(), port)} did not get through: ${text}`;
    const error = toDenoError(
      new StackError(code, mtu > 0 ? `${about}, the path takes packets of ${mtu} bytes` : about),
    );
    const addr: UdpAddr = { transport: "udp", hostname: remote.toString(), port };
    if (this.#onError !== null) this.#onError(error, addr);
    else if (this.#socket.remote !== null) this.#queue.fail(error);
  }

  #closedError(): Error {
    return closedError(`Datagram socket on ${formatHostPort(this.addr.hostname, this.addr.port)}`);
  }
}

/** What each ICMP error means to who has sent the datagram. */
const REASONS: Record<IcmpError, readonly [StackErrorCode, string]> = {
  [IcmpError.NetworkUnreachable]: ["NetworkUnreachable", "a router knows no way"],
  [IcmpError.HostUnreachable]: ["HostUnreachable", "the host does not answer"],
  [IcmpError.ProtocolUnreachable]: ["ConnectionRefused", "the host does not speak UDP"],
  [IcmpError.PortUnreachable]: ["ConnectionRefused", "nobody listens on the port"],
  [IcmpError.PacketTooBig]: ["MessageTooLong", "it is too big"],
  [IcmpError.Prohibited]: ["HostUnreachable", "it is prohibited on the way"],
  [IcmpError.TimeExceeded]: ["HostUnreachable", "its hop limit was used up on the way"],
  [IcmpError.ParameterProblem]: ["HostUnreachable", "its header is not understood on the way"],
};

/** The peer that is given by its address, or null when it is a name. */
function literal(
  from: DatagramNetwork,
  addr: DatagramPeer,
  options?: DatagramSendOptions,
): Destination | null {
  const host = literalHost(from.stack, addr.hostname);
  if (host === null) return null;
  return {
    address: host.address,
    port: checkPort(addr.port, 1),
    options: sendOptions(from.stack, options, host.interface),
  };
}

async function resolve(
  from: DatagramNetwork,
  addr: DatagramPeer,
  options?: DatagramSendOptions,
): Promise<Destination> {
  const known = literal(from, addr, options);
  if (known !== null) return known;
  const { address, interface: zone } = (await lookup(from.stack, from.resolver, addr.hostname))[0]!;
  return { address, port: checkPort(addr.port, 1), options: sendOptions(from.stack, options, zone) };
}

function sendOptions(
  stack: Stack,
  options: DatagramSendOptions | undefined,
  zone: Interface | null,
): SendOptions | null {
  if (options === undefined) return zone === null ? null : { interface: zone };
  return {
    source: options.source === undefined ? undefined : parseHost(options.source),
    interface: interfaceOf(stack, options.interface) ?? zone,
    hopLimit: options.hopLimit === undefined ? undefined : checkHops(options.hopLimit),
    trafficClass: options.trafficClass === undefined ? undefined : checkClass(options.trafficClass),
    headers: options.headers,
  };
}
