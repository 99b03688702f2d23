/**
 * One UDP port, as an application uses it.
 *
 * @module
 */

import { StackError } from "../errors.ts";
import { IpAddress } from "../ip/address.ts";
import type { IcmpError, Path } from "../ip/path.ts";
import type { Interface } from "../link/interface.ts";
import { clearOffloads } from "../link/offload.ts";
import { type Bytes, CHECKSUM_PARTIAL, GSO_NONE, type Packet, RECEIVED, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as wire from "../wire/udp.ts";
import { SocketGroups } from "./socket_groups.ts";
import type { BindOptions, Udp } from "./udp.ts";

/** Gets what comes to a socket. */
export interface UdpHandler {
  /**
   * A datagram; the packet's cursor spans its payload. It is lent until this returns: read it, copy it, or answer
   * in it with {@link UdpSocket.answer}. {@link sourceOf} and {@link sourcePortOf} tell where it came from.
   */
  receive(packet: Packet, socket: UdpSocket): void;
  /** A datagram that this socket sent to `remote` did not get through (RFC 1122, section 4.1.3.3). @param mtu Of the next hop, for `PacketTooBig`. */
  error?(kind: IcmpError, remote: IpAddress, port: number, mtu: number, socket: UdpSocket): void;
}

/** The address that a received packet came from. Allocates; `packet.network` is its IP header for those who must not. */
export function sourceOf(packet: Packet): IpAddress {
  return packet.version === 4
    ? IpAddress.read(4, packet.view, packet.network + 12)
    : IpAddress.read(6, packet.view, packet.network + 8);
}

/** The address that a received packet was sent to. */
export function destinationOf(packet: Packet): IpAddress {
  return packet.version === 4
    ? IpAddress.read(4, packet.view, packet.network + 16)
    : IpAddress.read(6, packet.view, packet.network + 24);
}

/** The port that a received datagram or segment came from. */
export function sourcePortOf(packet: Packet): number {
  return packet.view.getUint16(packet.transport);
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
   * Sends a datagram with a copy of `bytes[offset, offset + length)`. It leaves at the end of the turn.
   * @param hopLimit 1 to 255; 0, the default, takes the usual one.
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
    hopLimit = 0,
  ): boolean {
    const path = this.#path(destination, port);
    // What is larger than the path's MTU goes in fragments.
    const most = 65535 - (path.version === 4 ? path.headerLength : 0) - wire.HEADER_LENGTH;
    if (length > most) {
      throw new StackError(
        "MessageTooLong",
        `Cannot send ${length} bytes to ${destination}: at most ${most} fit in one packet`,
      );
    }
    const packet = path.reserve(length);
    if (packet === null) {
      this.#udp.counters.sendFailed++;
      return false;
    }
    const at = packet.offset;
    if (length < 64) { for (let i = 0; i < length; i++) packet.bytes[at + i] = bytes[offset + i]!; }
    else {packet.bytes.set(
        offset === 0 && length === bytes.length ? bytes : bytes.subarray(offset, offset + length),
        at,
      );}
    packet.end = at + length;
    return this.#send(packet, path, port, hopLimit);
  }

  /**
   * Takes a slot for a datagram to `destination`: write the payload at the packet's cursor, set `end` behind it,
   * and pass the packet to {@link transmit} with the same port, or give it back with `discard()`.
   * @returns null when no slot is free. @throws As {@link send}, but for the length.
   */
  reserve(destination: IpAddress, port: number): Packet | null {
    const path = this.#path(destination, port);
    const packet = path.reserve();
    if (packet === null) return null;
    // Until it is sent, the place of the transport header is of no other use.
    packet.transport = port;
    return packet;
  }

  /** Sends a packet that {@link reserve} gave. Takes ownership. @returns False when it was dropped. */
  transmit(packet: Packet, hopLimit = 0): boolean {
    const path = packet.path;
    if (path === null) throw new TypeError("Cannot transmit a packet that UdpSocket.reserve did not give");
    return this.#send(packet, path, packet.transport, hopLimit);
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
      return this.#send(copy, path, wire.sourcePort(view, transport), 0);
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
      return true;
    }
    this.#udp.counters.sendFailed++;
    return false;
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

  #path(destination: IpAddress, port: number): Path {
    if (this.closed) {
      throw new StackError("Closed", `Cannot send from UDP port ${this.port}: the socket is closed`);
    }
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RangeError(`Port must be a whole number from 1 to 65535, got ${port}`);
    }
    const last = this.#last;
    if (
      last !== null && this.#generation === this.#stack.generation && last.destination.equals(destination) &&
      (this.broadcast || !last.group || destination.isMulticast)
    ) return last;
    const source = this.address === null || this.address.isMulticast ? undefined : this.address;
    const by = destination.isMulticast ? this.#multicastInterface : null;
    const path = this.#stack.path(destination, source, by);
    if (path === null) {
      throw new StackError("NetworkUnreachable", `Cannot send to ${destination}: no route leads there`);
    }
    if (!this.broadcast && destination.version === 4 && !destination.isMulticast && path.group) {
      throw new StackError(
        "AddressNotAvailable",
        `Cannot send to broadcast address ${destination}: bind the socket with { broadcast: true }`,
      );
    }
    this.#last = path;
    this.#generation = this.#stack.generation;
    return path;
  }

  #send(packet: Packet, path: Path, port: number, hopLimit: number): boolean {
    const at = packet.push(wire.HEADER_LENGTH);
    const length = packet.length;
    wire.write(packet.view, at, this.port, port, length, fold(path.addressSum + ipv4.UDP + length));
    packet.flags = CHECKSUM_PARTIAL;
    packet.checksumStart = at;
    packet.checksumOffset = wire.CHECKSUM_OFFSET;
    if (path.group && path.destination.isMulticast) {
      if (hopLimit === 0) hopLimit = this.multicastHops;
      if (this.multicastLoop) packet.looped = path.interface;
    }
    if (path.send(packet, ipv4.UDP, 0, hopLimit)) {
      this.#udp.counters.sent++;
      return true;
    }
    this.#udp.counters.sendFailed++;
    return false;
  }
}
