/**
 * ICMP for IPv4 (RFC 792; RFC 1122, section 3.2.2).
 *
 * @module
 */

import { IcmpCounters } from "../counters.ts";
import { IpAddress } from "../ip/address.ts";
import { IcmpError, type Transport } from "../ip/path.ts";
import { CHECKSUM_VALID, type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { sum, update } from "../wire/checksum.ts";
import * as wire from "../wire/icmpv4.ts";
import * as ipv4 from "../wire/ipv4.ts";
import { clearOffloads } from "../link/offload.ts";
import type { EchoHandler, EchoOptions, EchoSession } from "./echo.ts";
import { TokenBucket } from "./token_bucket.ts";

/** An error with what it quotes is at most this long (RFC 1812, section 4.3.2.3). */
const LONGEST_ERROR = 576;
/** Least bytes of the quoted packet behind its IP header (RFC 792). */
const LEAST_QUOTE = 8;

/** The ICMP layer of a stack. */
export class Icmpv4 implements Transport {
  /** What happened. */
  readonly counters: IcmpCounters = new IcmpCounters();
  readonly #stack: Stack;
  readonly #bucket: TokenBucket;
  /**
   * Makes the layer.
   * @param stack The owner.
   */
  constructor(stack: Stack) {
    this.#stack = stack;
    this.#bucket = new TokenBucket(stack.limits.icmpRate, stack.limits.icmpBurst);
  }

  /**
   * Opens a session of echo requests, to an address of either version.
   * @throws {StackError} `NetworkUnreachable`, `AddressInUse` for an identifier in use, `TooMany`.
   */
  echo(options: EchoOptions, handler: EchoHandler): EchoSession {
    return this.#stack.echoes.open(options, handler);
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
    else if (type === wire.ECHO_REPLY) this.#stack.echoes.reply(packet, counters);
    else if (type === wire.UNREACHABLE || type === wire.TIME_EXCEEDED || type === wire.PARAMETER_PROBLEM) {
      this.#error(packet, type, wire.code(view, at));
    } else if (type === wire.REDIRECT) this.#redirect(packet);
    else counters.dropped.unknownType++;
  }

  error(packet: Packet, kind: IcmpError): void {
    if (wire.type(packet.view, packet.offset) === wire.ECHO_REQUEST) this.#stack.echoes.error(packet, kind);
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
        (packet.end <= network + headerLength || !wire.isQuery(view.getUint8(network + headerLength))))
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

  /** A router knows a better one (RFC 1122, section 3.2.2.2). */
  #redirect(packet: Packet): void {
    const { counters } = this;
    const { view, network, offset: at, end } = packet;
    const by = packet.interface!;
    if (!by.acceptRedirects || by.forwarding) {
      counters.dropped.unknownType++;
      return;
    }
    const quote = at + wire.HEADER_LENGTH;
    if (end - quote < ipv4.HEADER_LENGTH + LEAST_QUOTE) {
      counters.dropped.truncated++;
      return;
    }
    const hop = view.getInt32(at + 4);
    // The quoted packet has to be one of ours, and the other router a neighbour.
    if (
      packet.cast !== UNICAST || wire.code(view, at) > 3 || !by.hasV4(ipv4.source(view, quote)) ||
      !by.reachesV4(hop) || this.#stack.ipv4.isGroup(hop) ||
      !by.redirects.learn(
        IpAddress.v4(ipv4.destination(view, quote)),
        IpAddress.v4(ipv4.source(view, network)),
        IpAddress.v4(hop),
      )
    ) counters.dropped.badQuote++;
    else counters.delivered++;
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
    packet.outer = packet.network;
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
