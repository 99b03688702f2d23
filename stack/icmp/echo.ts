/**
 * Echo requests over both IP versions (RFC 792; RFC 4443, section 4).
 *
 * @module
 */

import type { IcmpCounters } from "../counters.ts";
import { StackError } from "../errors.ts";
import type { IpAddress } from "../ip/address.ts";
import type { IcmpError, Path } from "../ip/path.ts";
import type { Interface } from "../link/interface.ts";
import type { Bytes, Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as wire from "../wire/icmpv4.ts";
import * as icmpv6 from "../wire/icmpv6.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";

/** What a {@link EchoSession} tells. */
export interface EchoHandler {
  /** An answer has come; the packet's cursor spans its data, `network` is its IP header. Lent. */
  reply(session: EchoSession, sequence: number, packet: Packet): void;
  /** A router, or the host itself, says that a request did not get through; `reporterOf(packet)` is who. */
  error?(session: EchoSession, sequence: number, kind: IcmpError, packet: Packet): void;
}

/** What {@link EchoSessions.open} takes. */
export interface EchoOptions {
  /** Who is asked. */
  destination: IpAddress;
  /** Our address. Default: what the route says. */
  source?: IpAddress;
  /** The only interface to leave by: needed for link-local destinations when there are several. */
  interface?: Interface;
  /** Tells sessions apart, 0 to 65535. Default: a free one at random. */
  identifier?: number;
}

/** Echo requests to one destination. */
export class EchoSession {
  /** What tells it from other sessions. */
  readonly identifier: number;
  /** The way. */
  readonly path: Path;
  /** Gets the answers. */
  readonly handler: EchoHandler;
  readonly #sessions: EchoSessions;

  /** @internal {@link EchoSessions.open} makes them. */
  constructor(sessions: EchoSessions, path: Path, identifier: number, handler: EchoHandler) {
    this.#sessions = sessions;
    this.path = path;
    this.identifier = identifier;
    this.handler = handler;
  }

  /**
   * Sends a request with a copy of the data.
   * @param sequence 0 to 65535. @param hopLimit 1 to 255; 0 takes the default.
   * @returns False when it was dropped at once: no slot, no route, or longer than a packet can be.
   */
  send(
    sequence: number,
    bytes: Bytes,
    offset = 0,
    length: number = bytes.length,
    hopLimit = 0,
    trafficClass = 0,
  ): boolean {
    const { path } = this;
    const packet = path.reserve(length);
    if (packet === null) return false;
    packet.bytes.set(
      length === bytes.length ? bytes : bytes.subarray(offset, offset + length),
      packet.offset,
    );
    packet.end = packet.offset + length;
    const at = packet.push(wire.HEADER_LENGTH);
    const protocol = path.version === 4 ? ipv4.ICMP : ipv6.ICMP;
    const type = path.version === 4 ? wire.ECHO_REQUEST : icmpv6.ECHO_REQUEST;
    wire.write(packet.view, at, type, 0, this.identifier << 16 | sequence);
    const total = packet.end - at;
    const pseudo = path.version === 4 ? 0 : path.addressSum + ipv6.ICMP + total;
    wire.setChecksum(packet.view, at, ~fold(pseudo + sum(packet.region, at, total)) & 0xffff);
    return path.send(packet, protocol, trafficClass, hopLimit);
  }

  /** Takes no more answers. Idempotent. */
  close(): void {
    this.#sessions.close(this);
  }
}

/** The echo sessions of a stack, of both versions. */
export class EchoSessions {
  readonly #stack: Stack;
  readonly #sessions = new Map<number, EchoSession>();

  /**
   * Makes an empty table.
   * @param stack The owner.
   */
  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /**
   * Opens a session of echo requests.
   * @throws {StackError} `NetworkUnreachable`, `AddressInUse` for an identifier in use, `TooMany`.
   */
  open(options: EchoOptions, handler: EchoHandler): EchoSession {
    const { destination } = options;
    if (this.#sessions.size >= this.#stack.limits.echoSessions) {
      throw new StackError("TooMany", `Cannot ping ${destination}: ${this.#sessions.size} sessions are open`);
    }
    const path = this.#stack.path(destination, options.source, options.interface);
    if (path === null) {
      throw new StackError("NetworkUnreachable", `Cannot ping ${destination}: no route leads there`);
    }
    let identifier = options.identifier ?? this.#stack.random() & 0xffff;
    if (options.identifier === undefined) {
      while (this.#sessions.has(identifier)) identifier = (identifier + 1) & 0xffff;
    } else if (this.#sessions.has(identifier)) {
      throw new StackError("AddressInUse", `Cannot ping with identifier ${identifier}: it is in use`);
    }
    const session = new EchoSession(this, path, identifier, handler);
    this.#sessions.set(identifier, session);
    return session;
  }

  /** @internal */
  close(session: EchoSession): void {
    if (this.#sessions.get(session.identifier) === session) this.#sessions.delete(session.identifier);
  }

  /** @internal Hands an echo reply (cursor at its header, checksum verified) to its session. */
  reply(packet: Packet, counters: IcmpCounters): void {
    const { view, offset: at, network } = packet;
    const session = this.#find(packet);
    // Whoever is in a group may answer a request to it.
    if (
      session === undefined ||
      !(session.path.group || session.path.destination.isAt(view, network + (packet.version === 4 ? 12 : 8)))
    ) {
      counters.dropped.unexpectedReply++;
      return;
    }
    counters.delivered++;
    packet.pull(wire.HEADER_LENGTH);
    try {
      session.handler.reply(session, wire.sequence(view, at), packet);
    } catch (error) {
      this.#stack.report(error, `echo handler of ${session.path.destination}`);
    }
  }

  /** @internal Tells a session about a request that did not get through: `network` and cursor at the quoted headers. */
  error(packet: Packet, kind: IcmpError): void {
    const { view, offset: at, network } = packet;
    const session = this.#find(packet);
    if (
      session === undefined ||
      !session.path.destination.isAt(view, network + (packet.version === 4 ? 16 : 24))
    ) return;
    try {
      session.handler.error?.(session, wire.sequence(view, at), kind, packet);
    } catch (error) {
      this.#stack.report(error, `echo handler of ${session.path.destination}`);
    }
  }

  #find(packet: Packet): EchoSession | undefined {
    const session = this.#sessions.get(wire.identifier(packet.view, packet.offset));
    return session?.path.version === packet.version ? session : undefined;
  }
}
