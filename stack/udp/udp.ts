/**
 * UDP (RFC 768; RFC 1122, section 4.1; RFC 6056 for ports).
 *
 * @module
 */

import { UdpCounters } from "../counters.ts";
import { StackError } from "../errors.ts";
import { IpAddress } from "../ip/address.ts";
import { IcmpError, type Transport } from "../ip/path.ts";
import type { Interface } from "../link/interface.ts";
import { transportChecksumOk } from "../link/offload.ts";
import { BROADCAST, GSO_UDP, type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import * as wire from "../wire/udp.ts";
import { type UdpHandler, UdpSocket } from "./socket.ts";

/** Dynamic ports (RFC 6335, section 6). */
const FIRST_EPHEMERAL = 49152, EPHEMERALS = 16384;

/** What {@link Udp.bind} takes. */
export interface BindOptions {
  /** One of our addresses, or a group that was joined. Default: all of both versions. */
  address?: IpAddress;
  /** 1 to 65535; 0, the default, takes a free one at random from 49152 on. */
  port?: number;
  /** Whether it may send to broadcast addresses. Default false. */
  broadcast?: boolean;
  /**
   * Whether others may bind the same address and port, if they say so too. What is sent to a group or to everyone goes
   * to all of them, what is for one host to the last that was bound. Default false.
   */
  reuse?: boolean;
  /** One IP version only. Default: both, or the address's. */
  version?: 4 | 6;
  /** Sends and receives by this interface only. Default: all. */
  interface?: Interface;
  /** Does without checksums over IPv6, both ways, as some tunnels do (RFC 6935). Default false. */
  zeroChecksum?: boolean;
}

/** The UDP layer of a stack, for both IP versions. */
export class Udp implements Transport {
  /** What happened. */
  readonly counters: UdpCounters = new UdpCounters();
  readonly #stack: Stack;
  /** By port: one more than the place in {@link #chains}, or 0. A lookup costs the same whatever is bound. */
  readonly #ports = new Uint16Array(65536);
  readonly #chains: (UdpSocket | null)[] = [];
  readonly #spare: number[] = [];
  #bound = 0;
  /** @internal While a datagram goes to several sockets: none of them may answer in its slot. */
  sharing = false;

  /**
   * Makes the layer.
   * @param stack The owner.
   */
  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /** Sockets that are bound. */
  get size(): number {
    return this.#bound;
  }

  /**
   * Takes datagrams to a port. A socket bound to an address is preferred to one bound to all.
   * @throws {StackError} `AddressInUse`, `AddressNotAvailable`, `TooMany`. @throws {RangeError} A port out of range.
   */
  bind(options: BindOptions, handler: UdpHandler): UdpSocket {
    const { address = null } = options;
    const local = address === null || address.isUnspecified ? null : address;
    let port = options.port ?? 0;
    if (!Number.isInteger(port) || port < 0 || port > 65535) {
      throw new RangeError(`Port must be a whole number from 0 to 65535, got ${port}`);
    }
    if (local !== null && !this.#stack.isLocal(local) && !local.isMulticast) {
      throw new StackError("AddressNotAvailable", `Cannot bind ${local}: no interface has this address`);
    }
    if (this.#bound >= this.#stack.limits.udpSockets) {
      throw new StackError("TooMany", `Cannot bind UDP port ${port}: ${this.#bound} sockets are open`);
    }
    if (port === 0) port = this.#freePort(local, options);
    else if (this.#taken(local, port, options)) {
      throw new StackError(
        "AddressInUse",
        `Cannot bind UDP port ${port}${local ? ` of ${local}` : ""}: it is in use`,
      );
    }
    const socket = new UdpSocket(this.#stack, this, local, port, options, handler);
    this.#insert(socket);
    return socket;
  }

  /** @internal */
  unbind(socket: UdpSocket): void {
    const place = this.#ports[socket.port]! - 1;
    if (place < 0) return;
    let link = this.#chains[place]!;
    if (link === socket) {
      this.#chains[place] = socket.next;
      if (socket.next === null) {
        this.#ports[socket.port] = 0;
        this.#spare.push(place);
      }
    } else {
      while (link !== null && link.next !== socket) link = link.next!;
      if (link === null) return;
      link.next = socket.next;
    }
    socket.next = null;
    this.#bound--;
  }

  receive(packet: Packet): void {
    const { counters } = this;
    const { dropped } = counters;
    const { view, offset: at } = packet;
    counters.received++;
    const available = packet.end - at;
    if (available < wire.HEADER_LENGTH) {
      dropped.truncated++;
      return;
    }
    const length = wire.length(view, at);
    if (packet.gsoType !== GSO_UDP) {
      if (length < wire.HEADER_LENGTH || length > available) {
        dropped.badLength++;
        return;
      }
      packet.end = at + length;
    }
    const port = wire.destinationPort(view, at);
    if (port === 0) {
      dropped.portZero++;
      return;
    }
    // A sender over IPv4 may leave the checksum out (RFC 768); over IPv6 only to ports that say so (RFC 8200, section 8.1).
    const unsummed = wire.checksum(view, at) === 0;
    if (unsummed ? packet.version === 6 && !this.#mayLack(port) : !transportChecksumOk(packet)) {
      dropped.badChecksum++;
      return;
    }
    if (packet.cast !== UNICAST) {
      this.#receiveGroup(packet, port);
      return;
    }
    const socket = this.#find(packet, port);
    if (socket === null) {
      dropped.noListener++;
      this.#stack.refusePort(packet);
      return;
    }
    counters.delivered++;
    packet.pull(wire.HEADER_LENGTH);
    this.#hand(packet, socket);
  }

  error(packet: Packet, kind: IcmpError, mtu: number): void {
    const { view, offset: at, network } = packet;
    const local = packet.version === 4 ? network + 12 : network + 8;
    const remoteAt = local + (packet.version === 4 ? 4 : 16);
    const socket = this.#match(
      packet,
      wire.sourcePort(view, at),
      local,
      remoteAt,
      wire.destinationPort(view, at),
    );
    if (socket === null) return;
    const version = packet.version as 4 | 6;
    const remote = IpAddress.read(version, view, remoteAt);
    if (kind === IcmpError.PacketTooBig) {
      this.#learn(IpAddress.read(version, view, local), remote, packet, mtu);
    }
    socket.counters.errors++;
    try {
      socket.handler.error?.(kind, remote, wire.destinationPort(view, at), mtu, socket, packet);
    } catch (error) {
      this.counters.handlerErrors++;
      this.#stack.report(error, `UDP handler of port ${socket.port}`);
    }
  }

  /** A datagram to a group, or to everyone: for all sockets of the port that want it. */
  #receiveGroup(packet: Packet, port: number): void {
    const { counters } = this;
    const place = this.#ports[port]!;
    const chain = place === 0 ? null : this.#chains[place - 1]!;
    let socket = this.#nextOf(packet, chain);
    if (socket === null) {
      counters.dropped.noListener++;
      // Which says nothing about groups, and counts that.
      this.#stack.refusePort(packet);
      return;
    }
    counters.delivered++;
    packet.pull(wire.HEADER_LENGTH);
    const { offset, end } = packet;
    while (socket !== null) {
      const next = this.#nextOf(packet, socket.next);
      this.sharing = next !== null;
      try {
        this.#hand(packet, socket);
      } finally {
        this.sharing = false;
      }
      packet.offset = offset;
      packet.end = end;
      socket = next !== null && next.closed ? this.#nextOf(packet, next.next) : next;
    }
  }

  /** The first socket from `socket` on that takes a packet to a group. */
  #nextOf(packet: Packet, socket: UdpSocket | null): UdpSocket | null {
    const at = packet.network + (packet.version === 4 ? 16 : 24);
    for (; socket !== null; socket = socket.next) {
      const own = socket.address;
      if (!socket.takes(packet)) continue;
      if (own !== null && !(own.version === packet.version && own.isAt(packet.view, at))) continue;
      const { remote } = socket;
      if (
        remote !== null &&
        !(remote.version === packet.version &&
          remote.isAt(packet.view, at - (packet.version === 4 ? 4 : 16)) &&
          wire.sourcePort(packet.view, packet.transport) === socket.remotePort)
      ) continue;
      if (packet.cast === BROADCAST || socket.groups.admits(packet)) return socket;
    }
    return null;
  }

  #hand(packet: Packet, socket: UdpSocket): void {
    if (packet.gsoType === GSO_UDP && packet.gsoSize > 0) this.#split(packet, socket);
    else this.#deliver(packet, socket);
  }

  /** Has the path to a peer know what gets through. */
  #learn(local: IpAddress, remote: IpAddress, packet: Packet, mtu: number): void {
    const { interface: by } = packet;
    const linkLocal = remote.version === 6 && remote.isLinkLocal;
    this.#stack.path(remote, local, linkLocal ? by : null)?.learnMtu(mtu);
  }

  #deliver(packet: Packet, socket: UdpSocket): void {
    socket.counters.received++;
    socket.counters.receivedBytes += packet.end - packet.offset;
    try {
      socket.handler.receive(packet, socket);
    } catch (error) {
      this.counters.handlerErrors++;
      this.#stack.report(error, `UDP handler of port ${socket.port}`);
    }
  }

  /** A super-datagram is handed on as the datagrams that it was made of. */
  #split(packet: Packet, socket: UdpSocket): void {
    const { end, gsoSize } = packet;
    for (let at = packet.offset; at < end && !socket.closed; at += gsoSize) {
      packet.offset = at;
      packet.end = Math.min(at + gsoSize, end);
      this.#deliver(packet, socket);
    }
  }

  #find(packet: Packet, port: number): UdpSocket | null {
    const { network, version } = packet;
    const source = wire.sourcePort(packet.view, packet.transport);
    return version === 4
      ? this.#match(packet, port, network + 16, network + 12, source)
      : this.#match(packet, port, network + 24, network + 8, source);
  }

  /** Whether a socket of the port takes datagrams over IPv6 without a checksum. */
  #mayLack(port: number): boolean {
    const place = this.#ports[port]!;
    let socket = place === 0 ? null : this.#chains[place - 1]!;
    while (socket !== null && !socket.zeroChecksum) socket = socket.next;
    return socket !== null;
  }

  /**
   * The socket of a port that fits best: connected to the peer before others, bound to our address before those bound
   * to all; among equals the one that was bound last.
   */
  #match(
    packet: Packet,
    port: number,
    localAt: number,
    remoteAt: number,
    remotePort: number,
  ): UdpSocket | null {
    const place = this.#ports[port]!;
    if (place === 0) return null;
    const { view, version } = packet;
    let best: UdpSocket | null = null;
    let most = -1;
    for (let socket: UdpSocket | null = this.#chains[place - 1]!; socket !== null; socket = socket.next) {
      const { address, remote } = socket;
      let score = 0;
      if (!socket.takes(packet)) continue;
      if (address !== null) {
        if (address.version !== version || !address.isAt(view, localAt)) continue;
        score = 1;
      }
      if (remote !== null) {
        if (remotePort !== socket.remotePort || remote.version !== version || !remote.isAt(view, remoteAt)) {
          continue;
        }
        score += 2;
      }
      if (score > most) {
        best = socket;
        most = score;
      }
    }
    return best;
  }

  #taken(address: IpAddress | null, port: number, options: BindOptions): boolean {
    const { interface: by = null } = options;
    const version = address?.version ?? options.version ?? 0;
    const place = this.#ports[port]!;
    if (place === 0) return false;
    for (let socket = this.#chains[place - 1]!; socket !== null; socket = socket.next!) {
      const own = socket.address;
      if (options.reuse && socket.reuse) continue;
      if (version !== 0 && socket.version !== 0 && version !== socket.version) continue;
      if (by !== null && socket.interface !== null && by !== socket.interface) continue;
      if (own === null ? address === null : address !== null && own.equals(address)) return true;
    }
    return false;
  }

  /** RFC 6056, section 3.3.1: from a random place on, the first that is free. */
  #freePort(address: IpAddress | null, options: BindOptions): number {
    const start = (this.#stack.random() >>> 0) % EPHEMERALS;
    for (let i = 0; i < EPHEMERALS; i++) {
      const port = FIRST_EPHEMERAL + (start + i) % EPHEMERALS;
      if (!this.#taken(address, port, { ...options, reuse: false })) return port;
    }
    throw new StackError("AddressInUse", "Cannot bind a free UDP port: all dynamic ports are in use");
  }

  #insert(socket: UdpSocket): void {
    let place = this.#ports[socket.port]! - 1;
    if (place < 0) {
      place = this.#spare.pop() ?? this.#chains.length;
      this.#ports[socket.port] = place + 1;
      this.#chains[place] = null;
    }
    socket.next = this.#chains[place]!;
    this.#chains[place] = socket;
    this.#bound++;
  }
}
