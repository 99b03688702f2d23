/**
 * ICMP for IPv4 (RFC 792; RFC 1122, section 3.2.2).
 *
 * @module
 */

import { IcmpCounters } from "../counters.ts";
import { StackError } from "../errors.ts";
import type { IpAddress } from "../ip/address.ts";
import { IcmpError, type Path, type Transport } from "../ip/path.ts";
import { type Bytes, CHECKSUM_VALID, type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { sum, update } from "../wire/checksum.ts";
import * as wire from "../wire/icmpv4.ts";
import * as ipv4 from "../wire/ipv4.ts";
import { clearOffloads } from "../link/offload.ts";
import { TokenBucket } from "./token_bucket.ts";

/** An error with what it quotes is at most this long (RFC 1812, section 4.3.2.3). */
const LONGEST_ERROR = 576;
/** Least bytes of the quoted packet behind its IP header (RFC 792). */
const LEAST_QUOTE = 8;

/** What a {@link EchoSession} tells. */
export interface EchoHandler {
  /** An answer has come; the packet's cursor spans its data, `network` is its IP header. Lent. */
  reply(session: EchoSession, sequence: number, packet: Packet): void;
  /** A router, or the host itself, says that a request did not get through; `packet.network` is not the sender's. */
  error?(session: EchoSession, sequence: number, kind: IcmpError): void;
}

/** What {@link Icmpv4.echo} takes. */
export interface EchoOptions {
  /** Who is asked. */
  destination: IpAddress;
  /** Our address. Default: what the route says. */
  source?: IpAddress;
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
  readonly #icmp: Icmpv4;

  /** @internal {@link Icmpv4.echo} makes them. */
  constructor(icmp: Icmpv4, path: Path, identifier: number, handler: EchoHandler) {
    this.#icmp = icmp;
    this.path = path;
    this.identifier = identifier;
    this.handler = handler;
  }

  /**
   * Sends a request with a copy of the data.
   * @param sequence 0 to 65535. @param hopLimit 1 to 255; 0 takes the default.
   * @returns False when it was dropped at once: no slot, no route, or longer than the MTU.
   */
  send(sequence: number, bytes: Bytes, offset = 0, length: number = bytes.length, hopLimit = 0): boolean {
    const packet = this.path.reserve();
    if (packet === null) return false;
    if (packet.offset + length > packet.limit) {
      packet.discard();
      return false;
    }
    packet.bytes.set(
      length === bytes.length ? bytes : bytes.subarray(offset, offset + length),
      packet.offset,
    );
    packet.end = packet.offset + length;
    const at = packet.push(wire.HEADER_LENGTH);
    wire.write(packet.view, at, wire.ECHO_REQUEST, 0, this.identifier << 16 | sequence);
    wire.setChecksum(packet.view, at, ~sum(packet.region, at, packet.end - at) & 0xffff);
    return this.path.send(packet, ipv4.ICMP, 0, hopLimit);
  }

  /** Takes no more answers. Idempotent. */
  close(): void {
    this.#icmp.endEcho(this);
  }
}

/** The ICMP layer of a stack. */
export class Icmpv4 implements Transport {
  /** What happened. */
  readonly counters: IcmpCounters = new IcmpCounters();
  readonly #stack: Stack;
  readonly #bucket: TokenBucket;
  readonly #sessions = new Map<number, EchoSession>();

  /**
   * Makes the layer.
   * @param stack The owner.
   */
  constructor(stack: Stack) {
    this.#stack = stack;
    this.#bucket = new TokenBucket(stack.limits.icmpRate, stack.limits.icmpBurst);
  }

  /**
   * Opens a session of echo requests.
   * @throws {StackError} `NetworkUnreachable`, `AddressInUse` for an identifier in use, `TooMany`.
   */
  echo(options: EchoOptions, handler: EchoHandler): EchoSession {
    const { destination } = options;
    if (this.#sessions.size >= this.#stack.limits.echoSessions) {
      throw new StackError("TooMany", `Cannot ping ${destination}: ${this.#sessions.size} sessions are open`);
    }
    const path = this.#stack.path(destination, options.source);
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
  endEcho(session: EchoSession): void {
    if (this.#sessions.get(session.identifier) === session) this.#sessions.delete(session.identifier);
  }

  receive(packet: Packet): void {
    const { counters } = this;
    const { view, offset: at } = packet;
    counters.received++;
    if (packet.end - at < wire.HEADER_LENGTH) {
      counters.dropped.truncated++;
      return;
    }
    if ((packet.flags & CHECKSUM_VALID) === 0 && sum(packet.region, at, packet.end - at) !== 0xffff) {
      counters.dropped.badChecksum++;
      return;
    }
    const type = wire.type(view, at);
    if (type === wire.ECHO_REQUEST) this.#answer(packet);
    else if (type === wire.ECHO_REPLY) this.#reply(packet);
    else if (type === wire.UNREACHABLE || type === wire.TIME_EXCEEDED || type === wire.PARAMETER_PROBLEM) {
      this.#error(packet, type, wire.code(view, at));
    } else counters.dropped.unknownType++;
  }

  error(packet: Packet, kind: IcmpError): void {
    const { view, offset: at } = packet;
    if (wire.type(view, at) !== wire.ECHO_REQUEST) return;
    const session = this.#sessions.get(wire.identifier(view, at));
    if (session === undefined || session.path.destination.d !== ipv4.destination(view, packet.network)) {
      return;
    }
    try {
      session.handler.error?.(session, wire.sequence(view, at), kind);
    } catch (error) {
      this.#stack.report(error, `echo handler of ${session.path.destination}`);
    }
  }

  /**
   * Sends an error about a packet that came in, unless one of the rules forbids it or there were too many lately.
   * @param packet Its `network` is the IP header, its `end` the end of the IP packet. It stays as it is.
   * @param type One of the error types of `wire/icmpv4.ts`. @param code Its code. @param rest The header's second word.
   */
  sendError(packet: Packet, type: number, code: number, rest: number): void {
    const { counters } = this;
    const { view, network } = packet;
    const headerLength = ipv4.headerLength(view, network);
    if (
      packet.cast !== UNICAST || packet.version !== 4 || (ipv4.fragment(view, network) & 0x1fff) !== 0 ||
      this.#stack.ipv4.isGroup(ipv4.destination(view, network)) ||
      this.#stack.ipv4.isGroup(ipv4.source(view, network)) || ipv4.source(view, network) >>> 24 === 0 ||
      (ipv4.protocol(view, network) === ipv4.ICMP &&
        (packet.end <= network + headerLength || wire.isError(view.getUint8(network + headerLength))))
    ) {
      counters.errorsForbidden++;
      return;
    }
    if (!this.#bucket.take(this.#stack.now)) {
      counters.errorsLimited++;
      return;
    }
    const path = this.#stack.ipv4.pathBack(packet);
    const answer = path === null ? null : path.reserve();
    if (path === null || answer === null) {
      counters.errorsFailed++;
      return;
    }
    const quoted = Math.min(
      packet.end - network,
      LONGEST_ERROR - ipv4.HEADER_LENGTH - wire.HEADER_LENGTH,
    );
    if (answer.offset + quoted > answer.limit) {
      answer.discard();
      counters.errorsFailed++;
      return;
    }
    for (let i = 0; i < quoted; i++) answer.bytes[answer.offset + i] = packet.bytes[network + i]!;
    answer.end = answer.offset + quoted;
    const at = answer.push(wire.HEADER_LENGTH);
    wire.write(answer.view, at, type, code, rest);
    wire.setChecksum(answer.view, at, ~sum(answer.region, at, answer.end - at) & 0xffff);
    // Internetwork control (RFC 1812, section 4.3.2.5).
    if (path.send(answer, ipv4.ICMP, 0xc0, 0)) counters.errorsSent++;
    else counters.errorsFailed++;
  }

  #answer(packet: Packet): void {
    const { view, offset: at } = packet;
    if (packet.cast !== UNICAST) {
      this.counters.dropped.broadcastEcho++;
      return;
    }
    // Only the type changes, so the rest need not be summed again.
    const before = view.getUint16(at);
    view.setUint8(at, wire.ECHO_REPLY);
    // All zeros but for the type: the update then says 0, which is wrong of nothing but zeros. 0xffff is always right.
    wire.setChecksum(view, at, update(wire.checksum(view, at), before, view.getUint16(at)) || 0xffff);
    clearOffloads(packet);
    if (this.#stack.ipv4.answer(packet, ipv4.ICMP)) {
      this.counters.delivered++;
      this.counters.echoed++;
    } else this.counters.dropped.answerFailed++;
  }

  #reply(packet: Packet): void {
    const { view, offset: at } = packet;
    const session = this.#sessions.get(wire.identifier(view, at));
    if (session === undefined || !this.#isFrom(session, ipv4.source(view, packet.network))) {
      this.counters.dropped.unexpectedReply++;
      return;
    }
    this.counters.delivered++;
    packet.pull(wire.HEADER_LENGTH);
    try {
      session.handler.reply(session, wire.sequence(view, at), packet);
    } catch (error) {
      this.#stack.report(error, `echo handler of ${session.path.destination}`);
    }
  }

  /** Whoever is in a group may answer a request to it. */
  #isFrom(session: EchoSession, source: number): boolean {
    const asked = session.path.destination.d;
    return asked === source || this.#stack.ipv4.isGroup(asked);
  }

  #error(packet: Packet, type: number, code: number): void {
    const { dropped } = this.counters;
    const { view } = packet;
    const quote = packet.offset + wire.HEADER_LENGTH;
    const available = packet.end - quote;
    if (available < ipv4.HEADER_LENGTH) {
      dropped.truncated++;
      return;
    }
    const headerLength = ipv4.headerLength(view, quote);
    if (ipv4.version(view, quote) !== 4 || headerLength < ipv4.HEADER_LENGTH) {
      dropped.badQuote++;
      return;
    }
    if (available < headerLength + LEAST_QUOTE) {
      dropped.truncated++;
      return;
    }
    const transport = this.#stack.transports[ipv4.protocol(view, quote)]!;
    if (
      transport === null || !this.#stack.ipv4.isLocal(ipv4.source(view, quote)) ||
      (ipv4.fragment(view, quote) & 0x1fff) !== 0
    ) {
      dropped.badQuote++;
      return;
    }
    this.counters.delivered++;
    let mtu = 0;
    const kind = errorKind(type, code);
    if (kind === IcmpError.PacketTooBig) {
      mtu = wire.nextMtu(view, packet.offset);
      // Routers older than RFC 1191 say nothing: three quarters of what was too big get through sooner or later.
      if (mtu === 0) mtu = (ipv4.totalLength(view, quote) * 3) >> 2;
    }
    packet.network = quote;
    packet.transport = packet.offset = quote + headerLength;
    packet.protocol = ipv4.protocol(view, quote);
    transport.error(packet, kind, mtu);
  }
}

/** What a message means to a transport (RFC 1122, sections 3.2.2.1 and 4.2.3.9; RFC 1812, section 5.2.7.1). */
function errorKind(type: number, code: number): IcmpError {
  if (type === wire.TIME_EXCEEDED) return IcmpError.TimeExceeded;
  if (type === wire.PARAMETER_PROBLEM) return IcmpError.ParameterProblem;
  switch (code) {
    case wire.PROTOCOL:
      return IcmpError.ProtocolUnreachable;
    case wire.PORT:
      return IcmpError.PortUnreachable;
    case wire.FRAGMENTATION_NEEDED:
      return IcmpError.PacketTooBig;
    case wire.NETWORK:
    case 6:
    case 11:
      return IcmpError.NetworkUnreachable;
    case 9:
    case 10:
    case 13:
      return IcmpError.Prohibited;
    default:
      return IcmpError.HostUnreachable;
  }
}
