/**
 * Datagrams that wait to be received, and receivers that wait for datagrams.
 *
 * @module
 */

import type { IpAddress } from "../stack/ip/address.ts";
import type { Interface } from "../stack/link/interface.ts";
import type { Bytes, Packet } from "../stack/packet.ts";
import {
  destinationOf,
  hopLimitOf,
  interfaceOf,
  sourceOf,
  sourcePortOf,
  trafficClassOf,
} from "../stack/udp/datagram.ts";
import type { UdpSocket } from "../stack/udp/socket.ts";

/** Where one end of a datagram's way is. */
export interface UdpAddr {
  /** Always `udp`. */
  transport: "udp";
  /** An IP address; a link-local one of IPv6 with its zone, as in `fe80::1%tap0`. */
  hostname: string;
  /** 1 to 65535. */
  port: number;
}

/** What a datagram that came in tells about its way. */
export class DatagramInfo {
  /** The interface that it came in by. */
  readonly interface: Interface;
  /** TTL or hop limit with which it arrived. */
  readonly hopLimit: number;
  /** DSCP and ECN (TOS) with which it arrived. */
  readonly trafficClass: number;
  readonly #local: IpAddress;

  /** @internal */
  constructor(packet: Packet) {
    this.interface = interfaceOf(packet);
    this.hopLimit = hopLimitOf(packet);
    this.trafficClass = trafficClassOf(packet);
    this.#local = destinationOf(packet);
  }

  /** The address that it was sent to: one of ours, a group or a broadcast address. */
  get localAddress(): string {
    return this.#local.toString();
  }
}

/** What came, from whom, and how. */
export type Datagram = [Bytes, UdpAddr, DatagramInfo];

interface Waiter {
  readonly buffer: Bytes | null;
  resolve(datagram: Datagram): void;
  reject(error: Error): void;
}

/** @internal The queue of one socket, bounded in datagrams and bytes. */
export class DatagramQueue {
  readonly #most: number;
  readonly #mostBytes: number;
  readonly #items: Datagram[] = [];
  #bytes = 0;
  readonly #waiters: Waiter[] = [];
  #error: Error | null = null;

  constructor(most: number, mostBytes: number) {
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  /** Takes the next datagram, or the error that comes before it, or waits for either. */
  take(buffer: Bytes | null): Promise<Datagram> {
    const error = this.takeError();
    if (error !== null) return Promise.reject(error);
    const first = this.#items.shift();
    if (first === undefined) {
      return new Promise((resolve, reject) => this.#waiters.push({ buffer, resolve, reject }));
    }
    this.#bytes -= first[0].length;
    if (buffer !== null) {
      const length = Math.min(first[0].length, buffer.length);
      buffer.set(first[0].subarray(0, length));
      first[0] = buffer.subarray(0, length);
    }
    return Promise.resolve(first);
  }

  /** The error that nobody was told yet. */
  takeError(): Error | null {
    const error = this.#error;
    this.#error = null;
    return error;
  }

  /** Takes a copy of a datagram. The socket counts those that find no room. */
  put(packet: Packet, socket: UdpSocket): void {
    const { bytes, offset, end } = packet;
    const length = end - offset;
    const waiter = this.#waiters.shift();
    if (
      waiter === undefined && (this.#items.length >= this.#most || this.#bytes + length > this.#mostBytes)
    ) {
      socket.dropped(length);
      return;
    }
    const source = sourceOf(packet);
    const info = new DatagramInfo(packet);
    const zone = source.version === 6 && source.isLinkLocal ? `%${info.interface.name}` : "";
    const addr: UdpAddr = { transport: "udp", hostname: `${source}${zone}`, port: sourcePortOf(packet) };
    const buffer = waiter?.buffer ?? null;
    if (waiter !== undefined && buffer !== null) {
      const count = Math.min(length, buffer.length);
      buffer.set(bytes.subarray(offset, offset + count));
      waiter.resolve([buffer.subarray(0, count), addr, info]);
      return;
    }
    const datagram: Datagram = [bytes.slice(offset, end), addr, info];
    if (waiter !== undefined) waiter.resolve(datagram);
    else {
      this.#items.push(datagram);
      this.#bytes += length;
    }
  }

  /** Tells the first who waits of an error, or else who asks next. */
  fail(error: Error): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#error = error;
    else waiter.reject(error);
  }

  /** Forgets what waits, and fails those who wait. */
  close(error: () => Error): void {
    this.#items.length = 0;
    this.#error = null;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error());
  }
}
