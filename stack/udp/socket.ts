/**
 * One UDP port, as an application uses it.
 *
 * @module
 */

import { UdpSocketCounters } from "../counters.ts";
import { StackError } from "../errors.ts";
import type { PacketHeaders } from "../ip/packet_headers.ts";
import type { IpAddress } from "../ip/address.ts";
import type { IcmpError, Path } from "../ip/path.ts";
import type { Interface } from "../link/interface.ts";
import { clearOffloads } from "../link/offload.ts";
import {
  type Bytes,
  CHECKSUM_PARTIAL,
  GSO_NONE,
  GSO_UDP,
  type Packet,
  RECEIVED,
  UNICAST,
} from "../packet.ts";
import type { Stack } from "../stack.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as wire from "../wire/udp.ts";
import type { SendOptions } from "./datagram.ts";
import { SocketGroups } from "./socket_groups.ts";
import type { BindOptions, Udp } from "./udp.ts";

export { destinationOf, sourceOf, sourcePortOf } from "./datagram.ts";

/** Datagrams of one super-datagram, as many as Linux takes, and payload bytes that fit in one packet of either version. */
const MOST_SEGMENTS = 64, MOST_SUPER = 65507;

/** Gets what comes to a socket. */
export interface UdpHandler {
  /**
   * A datagram; the packet's cursor spans its payload. It is lent until this returns: read it, copy it, or answer
   * in it with {@link UdpSocket.answer}. {@link sourceOf} and {@link sourcePortOf} tell where it came from.
   */
  receive(packet: Packet, socket: UdpSocket): void;
  /**
   * A datagram that this socket sent to `remote` did not get through (RFC 1122, section 4.1.3.3).
   * @param mtu Of the next hop, for `PacketTooBig`. @param packet `reporterOf(packet)` is who says so.
   */
  error?(
    kind: IcmpError,
    remote: IpAddress,
    port: number,
    mtu: number,
    socket: UdpSocket,
    packet: Packet,
  ): void;
}

/** A bound port. {@link Udp.bind} makes them. */
export class UdpSocket {
  /** Our address, or null for all of them. */
  readonly address: IpAddress | null;
  /** Our port. */
  readonly port: number;
  /** Gets the datagrams. */
  handler: UdpHandler;
  /** Whether it may send to broadcast addresses. */
  broadcast: boolean;
  /** Whether others may bind the same port: see {@link BindOptions.reuse}. */
  readonly reuse: boolean;
  /** The multicast groups that it has joined. */
  readonly groups: SocketGroups;
  /** Hop limit of what it sends to groups, 1 to 255. Default 1: no further than the link. */
  multicastHops = 1;
  /** Whether listeners on this host hear what it sends to groups. Default true. */
  multicastLoop = true;
  /** True after {@link close}. */
  closed = false;
  /** @internal The next socket of the same port. */
  next: UdpSocket | null = null;
  /** What happened. */
  readonly counters: UdpSocketCounters = new UdpSocketCounters();
  /** TTL or hop limit of what it sends to hosts, 1 to 255; 0, the default, leaves it to the route. */
  hopLimit = 0;
  /** DSCP and ECN (TOS) of what it sends, 0 to 255. Default 0. */
  trafficClass = 0;
  /** Options of IPv4 and extension headers of IPv6 of what it sends; null, the default, for none. What is larger than the path's MTU is refused then. */
  headers: PacketHeaders | null = null;
  /**
   * Whether what is larger than the path's MTU is refused (`MessageTooLong`) rather than sent in fragments. Default false.
   * What is sent whole never is fragmented on its way, and what ICMP tells about its size is learned.
   */
  dontFragment = false;
  /** The only interface that it sends and receives by, or null for all. */
  readonly interface: Interface | null;
  /** 4 or 6 for one IP version only, 0 for both. */
  readonly version: 0 | 4 | 6;
  /** Whether it does without checksums over IPv6: see {@link BindOptions.zeroChecksum}. */
  readonly zeroChecksum: boolean;
  #remote: IpAddress | null = null;
  #remotePort = 0;
  #remoteOptions: SendOptions | null = null;
  #lastInterface: Interface | null = null;
  #lastFree = true;
  readonly #stack: Stack;
  readonly #udp: Udp;
  /** Where the last datagram went: most sockets talk to one peer at a time. */
  #last: Path | null = null;
  #generation = -1;
  #multicastInterface: Interface | null = null;

  /** @internal */
  constructor(
    stack: Stack,
    udp: Udp,
    address: IpAddress | null,
    port: number,
    options: BindOptions,
    handler: UdpHandler,
  ) {
    this.#stack = stack;
    this.#udp = udp;
    this.address = address;
    this.port = port;
    this.broadcast = options.broadcast ?? false;
    this.reuse = options.reuse ?? false;
    this.interface = options.interface ?? null;
    this.version = address?.version ?? options.version ?? 0;
    this.zeroChecksum = options.zeroChecksum ?? false;
    this.groups = new SocketGroups(stack);
    this.handler = handler;
  }

  /** Which interface packets to groups leave by; null, the default, leaves it to the routes and our address. */
  get multicastInterface(): Interface | null {
    return this.#multicastInterface;
  }

  set multicastInterface(by: Interface | null) {
    this.#multicastInterface = by;
    this.#last = null;
  }

  /**
   * Talks to one peer from now on: only its datagrams come in, and what ICMP tells about it goes to this socket before
   * others of the port. {@link sendTo} is {@link send} to it. Another call chooses another peer.
   * @param by The only interface to it. A link-local address needs one when several interfaces speak IPv6.
   * @throws As {@link send}.
   */
  connect(remote: IpAddress, port: number, by: Interface | null = null): void {
    this.#path(remote, port, by === null ? null : { interface: by });
    this.#remote = remote;
    this.#remotePort = port;
    this.#remoteOptions = by === null ? null : { interface: by };
  }

  /** Its peer's address, once it is connected; or null. */
  get remote(): IpAddress | null {
    return this.#remote;
  }

  /** The only interface to its peer, if {@link connect} has named one; or null. */
  get remoteInterface(): Interface | null {
    return this.#remoteOptions?.interface ?? null;
  }

  /** Its peer's port; 0 while it is not connected. */
  get remotePort(): number {
    return this.#remotePort;
  }

  /**
   * Sends a datagram with a copy of `bytes[offset, offset + length)`. It leaves at the end of the turn.
   * @param options What differs from the socket's settings for this datagram.
   * @returns False when it was dropped at once because no slot is free or the next hop does not answer.
   * @throws {StackError} `NetworkUnreachable`, `MessageTooLong`, `AddressNotAvailable` (a broadcast address
   *   without permission), `Closed`. @throws {RangeError} A port out of range.
   */
  send(
    bytes: Bytes,
    offset: number,
    length: number,
    destination: IpAddress,
    port: number,
    options: SendOptions | null = null,
  ): boolean {
    const path = this.#path(destination, port, options);
    this.#check(path, length, options);
    return this.#copy(bytes, offset, length, path, port, options, 0);
  }

  /** As {@link send}, to the peer that {@link connect} has chosen. @throws {StackError} `NotConnected`. */
  sendTo(bytes: Bytes, offset: number, length: number): boolean {
    const remote = this.#remote;
    if (remote === null) {
      throw new StackError(
        "NotConnected",
        `Cannot send from UDP port ${this.port}: connect the socket first`,
      );
    }
    return this.send(bytes, offset, length, remote, this.#remotePort, this.#remoteOptions);
  }

  /**
   * Sends many datagrams of the same size to one peer, in super-datagrams that the device or this stack cuts.
   * @param bytes Holds them one behind the other, from `offset` on. @param length Bytes of all of them.
   * @param size Bytes of each; the last may have less. At least 1.
   * @returns How many were handed on; the rest was dropped, as {@link send} does.
   * @throws As {@link send}.
   */
  sendSegments(
    bytes: Bytes,
    offset: number,
    length: number,
    size: number,
    destination: IpAddress,
    port: number,
    options: SendOptions | null = null,
  ): number {
    if (!Number.isInteger(size) || size < 1) {
      throw new RangeError(`Size of a datagram must be a whole number from 1 on, got ${size}`);
    }
    const path = this.#path(destination, port, options);
    this.#check(path, Math.min(size, length), options);
    const fits = this.#headers(options) === null && size + wire.HEADER_LENGTH + path.headerLength <= path.mtu;
    const most = fits ? size * Math.min(MOST_SEGMENTS, Math.floor(MOST_SUPER / size)) : size;
    let sent = 0;
    for (let at = 0; at < length; at += most) {
      const part = Math.min(most, length - at);
      if (!this.#copy(bytes, offset + at, part, path, port, options, part > size ? size : 0)) break;
      sent += Math.ceil(part / size);
    }
    return sent;
  }

  /** Payload bytes that get to `destination` in one piece, as far as is known. @throws As {@link send}. */
  mtu(destination: IpAddress, port: number, options: SendOptions | null = null): number {
    const path = this.#path(destination, port, options);
    return path.mtu - path.headerLength - (this.#headers(options)?.lengthOf(path.version) ?? 0) -
      wire.HEADER_LENGTH;
  }

  /**
   * Takes a slot for a datagram to `destination`: write the payload at the packet's cursor, set `end` behind it,
   * and pass the packet to {@link transmit} with the same port, or give it back with `discard()`.
   * @returns null when no slot is free. @throws As {@link send}, but for the length.
   */
  reserve(destination: IpAddress, port: number, options: SendOptions | null = null): Packet | null {
    const path = this.#path(destination, port, options);
    const packet = path.reserve();
    if (packet === null) return null;
    // Until it is sent, the place of the transport header is of no other use.
    packet.transport = port;
    return packet;
  }

  /** Sends a packet that {@link reserve} gave. Takes ownership. @returns False when it was dropped. */
  transmit(packet: Packet, options: SendOptions | null = null): boolean {
    const path = packet.path;
    if (path === null) throw new TypeError("Cannot transmit a packet that UdpSocket.reserve did not give");
    return this.#send(packet, path, packet.transport, options);
  }

  /**
   * Answers the datagram that `receive` was lent, in its own slot: the payload is what lies at the cursor. The
   * packet is gone afterwards.
   * @param length Bytes of the answer. They must fit in the slot.
   * @returns False when it was dropped.
   */
  answer(packet: Packet, length: number): boolean {
    const { view, transport, offset } = packet;
    if (
      packet.gsoType !== GSO_NONE || packet.state !== RECEIVED || packet.offset - 8 !== transport ||
      this.#udp.sharing
    ) {
      // One of several datagrams in the slot, or somebody else is to have it too.
      const path = this.#stack.pathBack(packet);
      const copy = path === null ? null : path.reserve();
      if (path === null || copy === null || copy.offset + length > copy.limit) {
        copy?.discard();
        this.#udp.counters.sendFailed++;
        return false;
      }
      copy.bytes.set(packet.bytes.subarray(offset, offset + length), copy.offset);
      copy.end = copy.offset + length;
      return this.#send(copy, path, wire.sourcePort(view, transport), null);
    }
    const total = length + wire.HEADER_LENGTH;
    const to = wire.sourcePort(view, transport);
    // IPv6 wants to know our address before the checksum: a group's datagram is answered from one of ours.
    const group = packet.version === 6 && packet.cast !== UNICAST ? this.#stack.ipv6.sourceOf(packet) : null;
    if (
      to === 0 || offset + length > packet.limit ||
      (packet.version === 6 && packet.cast !== UNICAST && group === null)
    ) {
      this.#udp.counters.sendFailed++;
      return false;
    }
    packet.offset = transport;
    packet.end = offset + length;
    clearOffloads(packet);
    const addresses = this.#addressSum(packet, group);
    wire.write(view, transport, this.port, to, total, fold(addresses + ipv4.UDP + total));
    packet.flags = CHECKSUM_PARTIAL;
    packet.checksumStart = transport;
    packet.checksumOffset = wire.CHECKSUM_OFFSET;
    const sent = packet.version === 4
      ? this.#stack.ipv4.answer(packet, ipv4.UDP)
      : this.#stack.ipv6.answer(packet, ipv4.UDP);
    if (sent) {
      this.#udp.counters.sent++;
      this.counters.sent++;
      this.counters.sentBytes += length;
      return true;
    }
    this.#udp.counters.sendFailed++;
    this.counters.sendFailed++;
    return false;
  }

  /** Takes note that whoever queues what this socket receives had no room for a datagram of `length` bytes. */
  dropped(length: number): void {
    this.#udp.counters.queueFull++;
    this.counters.queueFull++;
    this.counters.queueFullBytes += length;
  }

  /** @internal Whether a packet may be its, going by version and interface. */
  takes(packet: Packet): boolean {
    return (this.version === 0 || this.version === packet.version) &&
      (this.interface === null || this.interface === (packet.looped ?? packet.interface));
  }

  /** Gives the port back. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.groups.leaveAll();
    this.#udp.unbind(this);
  }

  /** Sum of the addresses of the answer to a packet. @param source Ours, when it is not the one that was asked. */
  #addressSum(packet: Packet, source: IpAddress | null): number {
    const { view, network } = packet;
    if (packet.version === 6) {
      source?.write(view, network + ipv6.DESTINATION);
      return sum(packet.region, network + ipv6.SOURCE, 32);
    }
    const asker = ipv4.source(view, network);
    const own = packet.cast === UNICAST
      ? ipv4.destination(view, network)
      : packet.interface!.sourceV4For(asker);
    return fold(fold(own) + fold(asker));
  }

  #path(destination: IpAddress, port: number, options: SendOptions | null): Path {
    if (this.closed) {
      throw new StackError("Closed", `Cannot send from UDP port ${this.port}: the socket is closed`);
    }
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RangeError(`Port must be a whole number from 1 to 65535, got ${port}`);
    }
    const last = this.#last;
    const group = destination.isMulticast;
    const by = options?.interface ?? this.interface ?? (group ? this.#multicastInterface : null);
    const chosen = options?.source ?? this.address;
    const source = chosen === null || chosen.isMulticast ? null : chosen;
    if (
      last !== null && this.#generation === this.#stack.generation && last.destination.equals(destination) &&
      by === this.#lastInterface && (source === null || source.equals(last.source)) &&
      (source === null) === this.#lastFree && (this.broadcast || !last.group || group)
    ) return last;
    const path = destination.version === this.version || this.version === 0
      ? this.#stack.path(destination, source, by)
      : null;
    if (path === null) {
      const from = source === null ? "" : ` from ${source}`;
      const out = by === null ? "" : ` by ${by.name}`;
      throw new StackError(
        "NetworkUnreachable",
        `Cannot send to ${destination}${from}${out}: no route leads there`,
      );
    }
    if (!this.broadcast && destination.version === 4 && !group && path.group) {
      throw new StackError(
        "AddressNotAvailable",
        `Cannot send to broadcast address ${destination}: bind the socket with { broadcast: true }`,
      );
    }
    this.#last = path;
    this.#lastInterface = by;
    this.#lastFree = source === null;
    this.#generation = this.#stack.generation;
    return path;
  }

  /** @throws {StackError} `MessageTooLong` when a datagram of `length` bytes can't go, or must not be cut and would be. */
  #check(path: Path, length: number, options: SendOptions | null): void {
    const more = this.#headers(options);
    const whole = this.dontFragment || more !== null;
    const headers = path.headerLength + (more?.lengthOf(path.version) ?? 0) + wire.HEADER_LENGTH;
    const most = whole
      ? path.mtu - headers
      : 65535 - (path.version === 4 ? path.headerLength : 0) - wire.HEADER_LENGTH;
    if (length <= most) return;
    const why = whole ? `of ${path.mtu} bytes that the path takes` : "packet";
    throw new StackError(
      "MessageTooLong",
      `Cannot send ${length} bytes to ${path.destination}: at most ${most} fit in one ${
        whole ? `packet ${why}` : why
      }`,
    );
  }

  #headers(options: SendOptions | null): PacketHeaders | null {
    return options?.headers === undefined ? this.headers : options.headers;
  }

  #copy(
    bytes: Bytes,
    offset: number,
    length: number,
    path: Path,
    port: number,
    options: SendOptions | null,
    segment: number,
  ): boolean {
    const packet = path.reserve(length);
    if (packet === null) {
      this.#udp.counters.sendFailed++;
      this.counters.sendFailed++;
      return false;
    }
    const at = packet.offset;
    if (length < 64) { for (let i = 0; i < length; i++) packet.bytes[at + i] = bytes[offset + i]!; }
    else {
      packet.bytes.set(
        offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length),
        at,
      );
    }
    packet.end = at + length;
    if (segment !== 0) {
      packet.gsoType = GSO_UDP;
      packet.gsoSize = segment;
    }
    return this.#send(packet, path, port, options);
  }

  #send(packet: Packet, path: Path, port: number, options: SendOptions | null): boolean {
    const payload = packet.length;
    const at = packet.push(wire.HEADER_LENGTH);
    const length = payload + wire.HEADER_LENGTH;
    const { counters } = this;
    if (this.zeroChecksum && path.version === 6 && packet.gsoType === GSO_NONE) {
      wire.write(packet.view, at, this.port, port, length, 0);
    } else {
      wire.write(packet.view, at, this.port, port, length, fold(path.addressSum + ipv4.UDP + length));
      packet.flags = CHECKSUM_PARTIAL;
      packet.checksumStart = at;
      packet.checksumOffset = wire.CHECKSUM_OFFSET;
    }
    packet.headers = this.#headers(options);
    let hopLimit = options?.hopLimit ?? this.hopLimit;
    if (path.group && path.destination.isMulticast) {
      if (options?.hopLimit === undefined) hopLimit = this.multicastHops;
      if (this.multicastLoop) packet.looped = path.interface;
    }
    if (path.send(packet, ipv4.UDP, options?.trafficClass ?? this.trafficClass, hopLimit)) {
      this.#udp.counters.sent++;
      counters.sent++;
      counters.sentBytes += payload;
      return true;
    }
    this.#udp.counters.sendFailed++;
    counters.sendFailed++;
    return false;
  }
}
