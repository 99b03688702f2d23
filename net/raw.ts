/**
 * Raw sockets: packets of one IP protocol.
 *
 * @module
 */

import type { PacketHeaders } from "../stack/ip/packet_headers.ts";
import type { RawSocket } from "../stack/ip/raw_socket.ts";
import type { Bytes, Packet } from "../stack/packet.ts";
import type { Stack } from "../stack/stack.ts";
import { sourceOf } from "../stack/udp/datagram.ts";
import { parseHost, zoneOf } from "./address.ts";
import { DatagramInfo } from "./datagram_queue.ts";
import { closedError, toDenoError } from "./errors.ts";
import { interfaceOf } from "./multicast.ts";
import { checkHops } from "./packet_options.ts";

/** What `listenRaw` takes. */
export interface RawListenOptions {
  /** IP protocol number, 0 to 255: 1 is ICMP, 47 GRE, 58 ICMPv6, 89 OSPF, 132 SCTP, 253 and 254 are for experiments. */
  protocol: number;
  /** One IP version only. Default: both, or the address's. */
  version?: 4 | 6;
  /** Takes packets to this address of ours, or this group, only. Default: all. */
  hostname?: string;
  /** Name, number or address of the only interface. Default: all. */
  interface?: string | number;
  /** Whether packets come and go with their IP header. Default false. */
  headerIncluded?: boolean;
  /** TTL or hop limit of what it sends, 1 to 255. Default: as the route says. */
  hopLimit?: number;
  /** Options of IPv4 and extension headers of IPv6 of what it sends without headers of its own. Default: none. */
  headers?: PacketHeaders;
  /** Packets that wait to be received; while there are so many, further ones are dropped. Default 256. */
  queue?: number;
  /** Bytes of packets that wait to be received; as for {@link queue}. Default 1 MiB. */
  queueBytes?: number;
  /** Closes the socket when aborted. */
  signal?: AbortSignal;
}

/** A packet, who sent it, and how it came. */
export type RawPacket = [Bytes, string, DatagramInfo];

/** Sends and receives packets of one IP protocol. */
export class RawConn implements AsyncIterable<RawPacket>, Disposable {
  /** Packets dropped because the queue was full. */
  dropped = 0;
  /** @internal Called once, when it is closed. */
  onclosed: (() => void) | null = null;
  readonly #stack: Stack;
  readonly #socket: RawSocket;
  readonly #header: boolean;
  readonly #most: number;
  readonly #mostBytes: number;
  readonly #queue: RawPacket[] = [];
  #queuedBytes = 0;
  readonly #waiters: PromiseWithResolvers<RawPacket>[] = [];
  readonly #signal: AbortSignal | undefined;

  /**
   * Opens a raw socket; `Network.listenRaw` is this with the network's own.
   *
   * @param stack The host. @param options What it takes.
   * @throws {RangeError} A number out of range. @throws {Deno.errors.AddrNotAvailable} The address is not one of ours.
   */
  constructor(stack: Stack, options: RawListenOptions) {
    options.signal?.throwIfAborted();
    const { hostname, version } = options;
    const by = interfaceOf(stack, options.interface);
    const hopLimit = options.hopLimit === undefined ? 0 : checkHops(options.hopLimit);
    this.#stack = stack;
    this.#header = options.headerIncluded ?? false;
    this.#most = options.queue ?? 256;
    this.#mostBytes = options.queueBytes ?? 1 << 20;
    try {
      this.#socket = stack.rawSockets.open({
        protocol: options.protocol,
        ...(version === undefined ? {} : { version }),
        ...(hostname === undefined ? {} : { address: parseHost(hostname) }),
        ...(by === null ? {} : { interface: by }),
      }, { receive: (packet) => this.#receive(packet) });
    } catch (error) {
      throw toDenoError(error);
    }
    this.#socket.hopLimit = hopLimit;
    this.#socket.headers = options.headers ?? null;
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** Waits for the next packet; its bytes are a copy. @throws {Deno.errors.BadResource} The socket is closed. */
  receive(): Promise<RawPacket> {
    const first = this.#queue.shift();
    if (first !== undefined) {
      this.#queuedBytes -= first[0].length;
      return Promise.resolve(first);
    }
    if (this.#socket.closed) return Promise.reject(this.#closedError());
    const waiter = Promise.withResolvers<RawPacket>();
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  /**
   * Sends a packet: a payload to a host, or a packet with its IP header, which says where to.
   *
   * @param p What to send; copied at once. @param hostname The IP address, when the header is not included.
   * @returns The length of `p`.
   * @throws {TypeError} An address, or a header, is missing. @throws {Deno.errors.NetworkUnreachable} No route leads there.
   * @throws {Deno.errors.InvalidData} It is too large. @throws {Deno.errors.BadResource} The socket is closed.
   */
  // deno-lint-ignore require-await -- errors are to be rejections, as those of DatagramConn are
  async send(p: Uint8Array, hostname?: string): Promise<number> {
    const bytes = p as Bytes;
    try {
      if (this.#header) {
        this.#socket.sendWhole(bytes, 0, bytes.length);
        return p.length;
      }
      if (hostname === undefined) throw new TypeError("Cannot send a payload without an address: give one");
      const by = zoneOf(hostname, this.#stack.interfaces);
      this.#socket.send(bytes, 0, bytes.length, parseHost(hostname), by === null ? null : { interface: by });
    } catch (error) {
      throw toDenoError(error);
    }
    return p.length;
  }

  /** Takes no more; what waits fails. Idempotent. */
  close(): void {
    if (this.#socket.closed) return;
    this.#socket.close();
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#queue.length = 0;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#closedError());
    this.onclosed?.();
  }

  /** Yields packets until the socket is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<RawPacket> {
    while (!this.#socket.closed) {
      let packet: RawPacket;
      try {
        packet = await this.receive();
      } catch (error) {
        if (this.#socket.closed) return;
        throw error;
      }
      yield packet;
    }
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #abort = (): void => this.close();

  #receive(packet: Packet): void {
    const from = this.#header ? packet.network : packet.offset;
    const length = packet.end - from;
    const waiter = this.#waiters.shift();
    if (
      waiter === undefined &&
      (this.#queue.length >= this.#most || this.#queuedBytes + length > this.#mostBytes)
    ) {
      this.dropped++;
      return;
    }
    const source = sourceOf(packet);
    const info = new DatagramInfo(packet);
    const zone = source.version === 6 && source.isLinkLocal ? `%${info.interface.name}` : "";
    const item: RawPacket = [packet.bytes.slice(from, packet.end), `${source}${zone}`, info];
    if (waiter !== undefined) waiter.resolve(item);
    else {
      this.#queue.push(item);
      this.#queuedBytes += length;
    }
  }

  #closedError(): Error {
    return closedError(`Raw socket of protocol ${this.#socket.protocol}`);
  }
}
