/**
 * UDP sockets in the shape of `Deno.DatagramConn`.
 *
 * @module
 */

import type { Bytes, Packet } from "../stack/packet.ts";
import { sourceOf, sourcePortOf, type UdpHandler, type UdpSocket } from "../stack/udp/socket.ts";
import type { Stack } from "../stack/stack.ts";
import type { IpAddress } from "../stack/ip/address.ts";
import type { BindOptions } from "../stack/udp/udp.ts";
import { checkPort, formatHostPort, parseHost } from "./address.ts";
import { literalHost, lookup } from "./dns/lookup.ts";
import type { Resolver } from "./dns/resolver.ts";
import { closedError, toDenoError } from "./errors.ts";
import {
  checkHops,
  interfaceOf,
  MulticastMembership,
  type MulticastOptions,
  parseGroup,
} from "./multicast.ts";

/** Where one end of a datagram's way is. */
export interface UdpAddr {
  /** Always `udp`. */
  transport: "udp";
  /** An IP address. */
  hostname: string;
  /** 1 to 65535. */
  port: number;
}

/** What `listenDatagram` takes. */
export interface DatagramOptions {
  /** 1 to 65535; 0 picks a free one. */
  port: number;
  /** Bind to this IP address only. Default: to all of the stack. */
  hostname?: string;
  /** Whether it may send to broadcast addresses. Default false. */
  broadcast?: boolean;
  /** Whether others may bind the same port, if they say so too: groups and broadcasts then reach all of them. Default false. */
  reuseAddress?: boolean;
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
  /** Closes the socket when aborted. */
  signal?: AbortSignal;
}

/** What came, and from whom. */
export type Datagram = [Bytes, UdpAddr];

/** What a {@link DatagramConn} uses of its network. */
export interface DatagramNetwork {
  /** Whose ports it binds. */
  readonly stack: Stack;
  /** Resolves the names that it sends to. */
  readonly resolver: Resolver;
}

interface Waiter {
  readonly buffer: Bytes | null;
  resolve(datagram: Datagram): void;
  reject(error: Error): void;
}

/** Sends and receives datagrams. */
export class DatagramConn implements AsyncIterable<Datagram>, Disposable {
  /** Where it is bound. */
  readonly addr: UdpAddr;
  /** Datagrams dropped because the queue was full. */
  dropped = 0;
  /** @internal Called once, when it is closed. */
  onclosed: (() => void) | null = null;
  readonly #from: DatagramNetwork;
  readonly #socket: UdpSocket;
  readonly #signal: AbortSignal | undefined;
  readonly #most: number;
  readonly #mostBytes: number;
  readonly #queue: Datagram[] = [];
  #queuedBytes = 0;
  readonly #waiters: Waiter[] = [];

  /**
   * Binds a port of a stack; `Network.listenDatagram` is this with the network's own.
   *
   * @param from The network's parts. @param options Where.
   * @throws {Deno.errors.AddrInUse} The port is taken.
   * @throws {Deno.errors.AddrNotAvailable} The address is not one of the stack's.
   */
  constructor(from: DatagramNetwork, options: DatagramOptions) {
    options.signal?.throwIfAborted();
    const { stack } = from;
    this.#from = from;
    const bind: BindOptions = {
      port: checkPort(options.port, 0),
      broadcast: options.broadcast ?? false,
      reuse: options.reuseAddress ?? false,
    };
    const hops = checkHops(options.multicastHops ?? 1);
    const by = interfaceOf(stack, options.multicastInterface);
    if (options.hostname !== undefined) {
      const address = parseHost(options.hostname);
      if (!address.isUnspecified) bind.address = address;
    }
    this.#most = options.queue ?? 256;
    this.#mostBytes = options.queueBytes ?? 1 << 20;
    const handler: UdpHandler = { receive: (packet) => this.#receive(packet) };
    try {
      this.#socket = stack.udp.bind(bind, handler);
    } catch (error) {
      throw toDenoError(error);
    }
    this.#socket.multicastHops = hops;
    this.#socket.multicastLoop = options.loopback ?? true;
    this.#socket.multicastInterface = by;
    const { address, port } = this.#socket;
    this.addr = { transport: "udp", hostname: address === null ? "0.0.0.0" : address.toString(), port };
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** One level down: the stack's socket. Its handler belongs to this object. */
  get socket(): UdpSocket {
    return this.#socket;
  }

  /**
   * Waits for the next datagram.
   *
   * @param p Where to put it; what does not fit is cut off. Default: memory of its own.
   * @returns The datagram (a part of `p`, if given) and who sent it.
   * @throws {Deno.errors.BadResource} The socket is closed.
   */
  receive(p?: Uint8Array): Promise<Datagram> {
    const buffer = (p ?? null) as Bytes | null;
    const first = this.#queue.shift();
    if (first !== undefined) {
      this.#queuedBytes -= first[0].length;
      if (buffer === null) return Promise.resolve(first);
      const length = Math.min(first[0].length, buffer.length);
      buffer.set(first[0].subarray(0, length));
      return Promise.resolve([buffer.subarray(0, length), first[1]]);
    }
    if (this.#socket.closed) return Promise.reject(this.#closedError());
    return new Promise((resolve, reject) => this.#waiters.push({ buffer, resolve, reject }));
  }

  /**
   * Sends a datagram. It may be lost on the way, here too: what finds no room is counted by the stack as `sendFailed`.
   *
   * @param p What to send; copied at once.
   * @param addr To whom: an address, or a name, which is resolved first; it goes to the best of its addresses.
   * @returns The length of `p`.
   * @throws {Deno.errors.NetworkUnreachable} No route leads there.
   * @throws {Deno.errors.InvalidData} It is larger than a packet may be; what is only larger than the link's is sent in fragments.
   * @throws {Deno.errors.NotFound} There is no such name.
   * @throws {Deno.errors.BadResource} The socket is closed.
   */
  async send(p: Uint8Array, addr: { hostname: string; port: number }): Promise<number> {
    const { stack, resolver } = this.#from;
    let bytes = p as Bytes;
    let literal = literalHost(stack, addr.hostname);
    if (literal === null) {
      bytes = bytes.slice();
      literal = (await lookup(stack, resolver, addr.hostname))[0]!;
    }
    try {
      this.#socket.send(bytes, 0, bytes.length, literal.address, checkPort(addr.port, 1));
    } catch (error) {
      throw toDenoError(error);
    }
    return p.length;
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
    this.#queue.length = 0;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#closedError());
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

  #receive(packet: Packet): void {
    const { bytes, offset, end } = packet;
    const waiter = this.#waiters.shift();
    const length = end - offset;
    if (
      waiter === undefined &&
      (this.#queue.length >= this.#most || this.#queuedBytes + length > this.#mostBytes)
    ) {
      this.dropped++;
      return;
    }
    const addr: UdpAddr = {
      transport: "udp",
      hostname: sourceOf(packet).toString(),
      port: sourcePortOf(packet),
    };
    const buffer = waiter?.buffer ?? null;
    if (waiter !== undefined && buffer !== null) {
      const count = Math.min(length, buffer.length);
      buffer.set(bytes.subarray(offset, offset + count));
      waiter.resolve([buffer.subarray(0, count), addr]);
      return;
    }
    const datagram: Datagram = [bytes.slice(offset, end), addr];
    if (waiter !== undefined) {
      waiter.resolve(datagram);
    } else {
      this.#queue.push(datagram);
      this.#queuedBytes += length;
    }
  }

  #closedError(): Error {
    return closedError(`Datagram socket on ${formatHostPort(this.addr.hostname, this.addr.port)}`);
  }
}
