/**
 * Packets of one IP protocol, as an application sends and receives them without a transport.
 *
 * @module
 */

import { StackError } from "../errors.ts";
import type { Interface } from "../link/interface.ts";
import type { Bytes, Packet, Tap } from "../packet.ts";
import type { Stack } from "../stack.ts";
import type { SendOptions } from "../udp/datagram.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { IpAddress } from "./address.ts";
import type { PacketHeaders } from "./packet_headers.ts";
import type { IpPath } from "./ip_path.ts";

/** What {@link RawSockets.open} takes. */
export interface RawOptions {
  /** IP protocol number, 0 to 255. */
  protocol: number;
  /** One IP version only. Default: both. */
  version?: 4 | 6;
  /** Takes packets to this address of ours, or this group, only; sends from it. Default: all. */
  address?: IpAddress;
  /** Sends and receives by this interface only. Default: all. */
  interface?: Interface;
}

/** Gets what comes to a raw socket. */
export interface RawHandler {
  /** A packet: the cursor spans its payload, `network` is its IP header. Lent until this returns, and others may get it too. */
  receive(packet: Packet, socket: RawSocket): void;
}

/** A raw socket. What no transport is there for counts as taken by it, and nobody is told that the protocol is unknown. */
export class RawSocket {
  /** The IP protocol. */
  readonly protocol: number;
  /** Our address, or null for all. */
  readonly address: IpAddress | null;
  /** The only interface, or null for all. */
  readonly interface: Interface | null;
  /** Gets the packets. */
  handler: RawHandler;
  /** TTL or hop limit of what it sends, 1 to 255; 0, the default, leaves it to the route. */
  hopLimit = 0;
  /** DSCP and ECN (TOS) of what it sends, 0 to 255. Default 0. */
  trafficClass = 0;
  /** Options of IPv4 and extension headers of IPv6 of what {@link send} sends; null, the default, for none. What is larger than the path's MTU is refused then. */
  headers: PacketHeaders | null = null;
  /** True after {@link close}. */
  closed = false;
  readonly #stack: Stack;
  readonly #undo: () => void;

  /** @internal {@link RawSockets.open} makes them. */
  constructor(stack: Stack, options: RawOptions, handler: RawHandler, undo: () => void) {
    this.#stack = stack;
    this.protocol = options.protocol;
    this.address = options.address ?? null;
    this.interface = options.interface ?? null;
    this.handler = handler;
    this.#undo = undo;
  }

  /** @internal @returns Whether it is for this socket. */
  receive(packet: Packet): boolean {
    const { address } = this;
    const at = packet.network + (packet.version === 4 ? 16 : 24);
    if (address !== null && !address.isAt(packet.view, at)) return false;
    if (this.interface !== null && this.interface !== (packet.looped ?? packet.interface)) return false;
    const { offset, end } = packet;
    try {
      this.handler.receive(packet, this);
    } catch (error) {
      this.#stack.report(error, `raw handler of protocol ${this.protocol}`);
    }
    packet.offset = offset;
    packet.end = end;
    return true;
  }

  /**
   * Sends a packet with a copy of `bytes[offset, offset + length)` behind an IP header. The checksum of ICMPv6 is
   * filled in; all others are the sender's business.
   * @returns False when it was dropped at once. @throws {StackError} `NetworkUnreachable`, `MessageTooLong`, `Closed`.
   */
  send(
    bytes: Bytes,
    offset: number,
    length: number,
    destination: IpAddress,
    options: SendOptions | null = null,
  ): boolean {
    const path = this.#path(destination, options?.source ?? this.address, options);
    const headers = options?.headers === undefined ? this.headers : options.headers;
    const most = headers === null
      ? 65535 - (path.version === 4 ? path.headerLength : 0)
      : path.mtu - path.headerLength - headers.lengthOf(path.version);
    if (length > most) throw tooLong(length, destination, most);
    const packet = path.reserve(length);
    if (packet === null) return false;
    copy(packet, bytes, offset, length);
    if (this.protocol === ipv6.ICMP && path.version === 6 && length >= 4) {
      const at = packet.offset;
      packet.view.setUint16(at + 2, 0);
      const pseudo = path.addressSum + ipv6.ICMP + length;
      packet.view.setUint16(at + 2, ~fold(pseudo + sum(packet.region, at, length)));
    }
    packet.headers = headers;
    return path.send(
      packet,
      this.protocol,
      options?.trafficClass ?? this.trafficClass,
      options?.hopLimit ?? this.hopLimit,
    );
  }

  /**
   * Sends a packet that begins with an IP header of the caller's. Of IPv4, the total length and the checksum are filled in,
   * and the source when it is 0.0.0.0; of IPv6, the payload length. All else goes as it is.
   * @returns False when it was dropped at once.
   * @throws {TypeError} No such header. @throws {StackError} `NetworkUnreachable`; `MessageTooLong` when it is larger than
   *   the path's MTU; `Closed`.
   */
  sendWhole(bytes: Bytes, offset: number, length: number, options: SendOptions | null = null): boolean {
    const version = length > 0 ? bytes[offset]! >>> 4 : 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
    const header = version === 4 && length >= ipv4.HEADER_LENGTH
      ? ipv4.headerLength(view, 0)
      : version === 6
      ? ipv6.HEADER_LENGTH
      : Infinity;
    if (length < header || header < ipv4.HEADER_LENGTH) {
      throw new TypeError(`Cannot send ${length} bytes as they are: they do not begin with an IP header`);
    }
    const destination = IpAddress.read(version as 4 | 6, view, version === 4 ? 16 : 24);
    const path = this.#path(destination, options?.source ?? null, options);
    if (length > path.mtu) throw tooLong(length, destination, path.mtu);
    const packet = path.reserve(length);
    if (packet === null) return false;
    copy(packet, bytes, offset, length);
    const at = packet.offset;
    if (version === 4) {
      packet.view.setUint16(at + 2, length);
      if (ipv4.source(packet.view, at) === 0) path.source.write(packet.view, at + 12);
      ipv4.writeChecksum(packet.view, at, header);
    } else packet.view.setUint16(at + 4, length - ipv6.HEADER_LENGTH);
    packet.network = at;
    packet.transport = at + header;
    packet.version = version;
    packet.protocol = version === 4 ? ipv4.protocol(packet.view, at) : ipv6.nextHeader(packet.view, at);
    return path.sendWhole(packet);
  }

  /** Takes and sends no more. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#undo();
  }

  #path(destination: IpAddress, source: IpAddress | null, options: SendOptions | null): IpPath {
    if (this.closed) {
      throw new StackError(
        "Closed",
        `Cannot send packets of protocol ${this.protocol}: the socket is closed`,
      );
    }
    const by = options?.interface ?? this.interface;
    const from = source === null || source.isMulticast ? null : source;
    const path = this.#stack.path(destination, from, by);
    if (path === null) {
      throw new StackError("NetworkUnreachable", `Cannot send to ${destination}: no route leads there`);
    }
    return path as IpPath;
  }
}

/** The raw sockets of one protocol and version: each gets every packet that it wants. */
class RawList implements Tap {
  readonly sockets: RawSocket[] = [];
  readonly #stack: Stack;

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  receive(packet: Packet): boolean {
    let taken = false;
    for (let i = 0; i < this.sockets.length; i++) if (this.sockets[i]!.receive(packet)) taken = true;
    // A transport goes on with what it knows; what nobody else takes was for us.
    return taken && this.#stack.transports[packet.protocol] === null;
  }
}

/** The raw sockets of a stack. */
export class RawSockets {
  readonly #stack: Stack;
  readonly #lists = new Map<number, RawList>();

  /** @internal The stack makes it. */
  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /**
   * Opens a raw socket. All of one protocol get what comes; so does a transport of the stack, if there is one.
   * @throws {RangeError} A protocol out of range. @throws {StackError} `AddressNotAvailable`, `TooMany`.
   */
  open(options: RawOptions, handler: RawHandler): RawSocket {
    const { protocol, address } = options;
    if (!Number.isInteger(protocol) || protocol < 0 || protocol > 255) {
      throw new RangeError(`Protocol must be a whole number from 0 to 255, got ${protocol}`);
    }
    const stack = this.#stack;
    if (address !== undefined && !stack.isLocal(address) && !address.isMulticast) {
      throw new StackError("AddressNotAvailable", `Cannot bind ${address}: no interface has this address`);
    }
    const version = address?.version ?? options.version;
    const lists = ([4, 6] as const).filter((one) => version === undefined || one === version)
      .map((one) => this.#list(one, protocol));
    if (lists.some((list) => list.sockets.length >= stack.limits.rawSockets)) {
      throw new StackError(
        "TooMany",
        `Cannot open a raw socket of protocol ${protocol}: there are as many as allowed`,
      );
    }
    const socket = new RawSocket(stack, options, handler, () => {
      for (const { sockets } of lists) sockets.splice(sockets.indexOf(socket), 1);
    });
    for (const { sockets } of lists) sockets.push(socket);
    return socket;
  }

  #list(version: 4 | 6, protocol: number): RawList {
    const key = version << 8 | protocol;
    let list = this.#lists.get(key);
    if (list === undefined) {
      list = new RawList(this.#stack);
      this.#lists.set(key, list);
      (version === 4 ? this.#stack.ipv4 : this.#stack.ipv6).raw(protocol, list);
    }
    return list;
  }
}

function copy(packet: Packet, bytes: Bytes, offset: number, length: number): void {
  packet.bytes.set(bytes.subarray(offset, offset + length), packet.offset);
  packet.end = packet.offset + length;
}

function tooLong(length: number, destination: IpAddress, most: number): StackError {
  return new StackError(
    "MessageTooLong",
    `Cannot send ${length} bytes to ${destination}: at most ${most} fit in one packet`,
  );
}
