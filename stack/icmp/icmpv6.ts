/**
 * ICMPv6 (RFC 4443).
 *
 * @module
 */

import { IcmpCounters } from "../counters.ts";
import { IcmpError, type Transport } from "../ip/path.ts";
import { clearOffloads, transportChecksumOk } from "../link/offload.ts";
import { type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { fold, sum, update } from "../wire/checksum.ts";
import * as echo from "../wire/icmpv4.ts";
import * as wire from "../wire/icmpv6.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Extension headers that are looked behind in a quoted packet. */
const MOST_EXTENSIONS = 8;
/** Least bytes of the quoted transport header that make sense to a transport. */
const LEAST_QUOTE = 8;

/** The ICMPv6 layer of a stack. */
export class Icmpv6 implements Transport {
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

  receive(packet: Packet): void {
    const { counters } = this;
    const { view, offset: at } = packet;
    counters.received++;
    if (packet.end - at < wire.HEADER_LENGTH) {
      counters.dropped.truncated++;
      return;
    }
    if (!transportChecksumOk(packet)) {
      counters.dropped.badChecksum++;
      return;
    }
    const type = echo.type(view, at);
    switch (type) {
      case wire.ECHO_REQUEST:
        this.#answer(packet);
        return;
      case wire.ECHO_REPLY:
        this.#stack.echoes.reply(packet, counters);
        return;
      case wire.UNREACHABLE:
      case wire.PACKET_TOO_BIG:
      case wire.TIME_EXCEEDED:
      case wire.PARAMETER_PROBLEM:
        this.#error(packet, type, echo.code(view, at));
        return;
      case wire.ROUTER_SOLICITATION:
      case wire.ROUTER_ADVERTISEMENT:
      case wire.NEIGHBOUR_SOLICITATION:
      case wire.NEIGHBOUR_ADVERTISEMENT:
      case wire.REDIRECT: {
        const discovery = packet.interface!.nd;
        if (discovery === null) counters.dropped.unknownType++;
        else {
          counters.delivered++;
          discovery.receive(packet, type);
        }
        return;
      }
      case wire.LISTENER_QUERY:
      case wire.LISTENER_REPORT_V1: {
        const listener = packet.interface!.nd?.listener;
        const taken = type === wire.LISTENER_QUERY ? listener?.query(packet) : listener?.report(packet);
        if (taken) counters.delivered++;
        else counters.dropped.unknownType++;
        return;
      }
      default:
        counters.dropped.unknownType++;
    }
  }

  error(packet: Packet, kind: IcmpError): void {
    if (echo.type(packet.view, packet.offset) === wire.ECHO_REQUEST) this.#stack.echoes.error(packet, kind);
  }

  /**
   * Sends an error about a packet that came in, otherwise one of the rules forbids it (section 2.4) or there were too
   * many lately.
   * @param packet Its `network` is the IP header, its `end` the end of the IP packet. It stays as it is.
   * @param type One of the error types of `wire/icmpv6.ts`. @param code Its code. @param rest The header's second word.
   */
  sendError(packet: Packet, type: number, code: number, rest: number): void {
    const { counters } = this;
    const { view, network } = packet;
    const source = network + ipv6.SOURCE;
    const first = view.getInt32(source);
    const toGroup = type === wire.PACKET_TOO_BIG ||
      (type === wire.PARAMETER_PROBLEM && code === wire.UNKNOWN_OPTION);
    if (
      (packet.cast !== UNICAST && !toGroup) || first >>> 24 === 0xff ||
      (first | view.getInt32(source + 4) | view.getInt32(source + 8) | view.getInt32(source + 12)) === 0 ||
      isAboutIcmpError(view, network, packet.end)
    ) {
      counters.errorsForbidden++;
      return;
    }
    if (!this.#bucket.take(this.#stack.now)) {
      counters.errorsLimited++;
      return;
    }
    const path = this.#stack.ipv6.pathBack(packet);
    const answer = path === null ? null : path.reserve();
    if (path === null || answer === null) {
      counters.errorsFailed++;
      return;
    }
    // As much as fits without exceeding what every link carries (section 2.4, rule c).
    const quoted = Math.min(
      packet.end - network,
      ipv6.LEAST_MTU - ipv6.HEADER_LENGTH - wire.HEADER_LENGTH,
      answer.limit - answer.offset,
    );
    for (let i = 0; i < quoted; i++) answer.bytes[answer.offset + i] = packet.bytes[network + i]!;
    answer.end = answer.offset + quoted;
    const at = answer.push(wire.HEADER_LENGTH);
    const length = answer.end - at;
    echo.write(answer.view, at, type, code, rest);
    echo.setChecksum(
      answer.view,
      at,
      ~fold(path.addressSum + ipv6.ICMP + length + sum(answer.region, at, length)) & 0xffff,
    );
    if (path.send(answer, ipv6.ICMP, 0, 0)) counters.errorsSent++;
    else counters.errorsFailed++;
  }

  #answer(packet: Packet): void {
    const { view, offset: at, end } = packet;
    const { counters } = this;
    // A request to a group is answered too, from an address of ours (section 4.2).
    const source = packet.cast === UNICAST ? null : this.#stack.ipv6.sourceOf(packet);
    if (packet.cast !== UNICAST && source === null) {
      counters.dropped.answerFailed++;
      return;
    }
    const before = view.getUint16(at);
    view.setUint8(at, wire.ECHO_REPLY);
    // Only the type changes, and addresses that change places count the same; an address that is new counts anew.
    if (source === null) {
      echo.setChecksum(view, at, update(echo.checksum(view, at), before, view.getUint16(at)));
    } else {
      echo.setChecksum(view, at, 0);
      source.write(view, packet.network + ipv6.DESTINATION);
      const addresses = sum(packet.region, packet.network + ipv6.SOURCE, 32);
      const total = fold(addresses + ipv6.ICMP + (end - at) + sum(packet.region, at, end - at));
      echo.setChecksum(view, at, ~total & 0xffff);
    }
    clearOffloads(packet);
    if (this.#stack.ipv6.answer(packet, ipv6.ICMP)) {
      counters.delivered++;
      counters.echoed++;
    } else counters.dropped.answerFailed++;
  }

  #error(packet: Packet, type: number, code: number): void {
    const { dropped } = this.counters;
    const { view, offset: at, end } = packet;
    const quote = at + wire.HEADER_LENGTH;
    if (end - quote < ipv6.HEADER_LENGTH) {
      dropped.truncated++;
      return;
    }
    const own = this.#stack.ipv6.ownAt(view, quote + ipv6.SOURCE, packet.interface);
    const inner = transportOf(view, quote, end);
    if (ipv6.version(view, quote) !== 6 || own === null || !own.usable || inner < 0) {
      dropped.badQuote++;
      return;
    }
    if (end - inner < LEAST_QUOTE) {
      dropped.truncated++;
      return;
    }
    const protocol = protocolOf(view, quote, inner);
    const transport = this.#stack.transports[protocol]!;
    if (transport === null) {
      dropped.badQuote++;
      return;
    }
    this.counters.delivered++;
    const kind = errorKind(type, code);
    const mtu = kind === IcmpError.PacketTooBig ? wire.nextMtu(view, at) : 0;
    packet.outer = packet.network;
    packet.network = quote;
    packet.transport = packet.offset = inner;
    packet.protocol = protocol;
    transport.error(packet, kind, mtu);
  }
}

/**
 * Where the transport header of a quoted packet is, or -1 when it is not quoted or not in the first fragment.
 * @param most Extension headers that are looked behind.
 */
function transportOf(view: DataView, network: number, end: number, most: number = MOST_EXTENSIONS): number {
  let kind = ipv6.nextHeader(view, network);
  let at = network + ipv6.HEADER_LENGTH;
  for (let count = 0; count <= most; count++) {
    let length: number;
    if (kind === ipv6.FRAGMENT) {
      if (at + ipv6.FRAGMENT_LENGTH > end || (ipv6.fragment(view, at) & ~ipv6.MORE_FRAGMENTS) !== 0) {
        return -1;
      }
      length = ipv6.FRAGMENT_LENGTH;
    } else if (kind === ipv6.HOP_BY_HOP || kind === ipv6.DESTINATION_OPTIONS || kind === ipv6.ROUTING) {
      if (at + 2 > end) return -1;
      length = ipv6.extensionLength(view, at);
    } else return at;
    if (at + length > end) return -1;
    kind = view.getUint8(at);
    at += length;
  }
  return -1;
}

/** The protocol of the transport header at `transport`, which {@link transportOf} has found. */
function protocolOf(view: DataView, network: number, transport: number): number {
  let kind = ipv6.nextHeader(view, network);
  for (let at = network + ipv6.HEADER_LENGTH; at < transport;) {
    const length = kind === ipv6.FRAGMENT ? ipv6.FRAGMENT_LENGTH : ipv6.extensionLength(view, at);
    kind = view.getUint8(at);
    at += length;
  }
  return kind;
}

/** Whether one of the extension headers up to `transport` is a fragment header. */
function hasFragmentHeader(view: DataView, network: number, transport: number): boolean {
  let kind = ipv6.nextHeader(view, network);
  for (let at = network + ipv6.HEADER_LENGTH; at < transport;) {
    if (kind === ipv6.FRAGMENT) return true;
    kind = view.getUint8(at);
    at += ipv6.extensionLength(view, at);
  }
  return false;
}

/** Whether a packet is, or may be, an ICMPv6 error or redirect, about which nothing is said (section 2.4, rule e). */
function isAboutIcmpError(view: DataView, network: number, end: number): boolean {
  // Behind more headers than anybody needs as well: the length of the packet is the limit.
  const transport = transportOf(view, network, end, Infinity);
  if (transport < 0 || protocolOf(view, network, transport) !== ipv6.ICMP) return false;
  // A fragment that does not carry its type may be complained about (RFC 7112).
  if (transport >= end) return !hasFragmentHeader(view, network, transport);
  const type = view.getUint8(transport);
  return wire.isError(type) || type === wire.REDIRECT;
}

/** What a message means to a transport (RFC 4443, section 3; RFC 1122, section 4.2.3.9 in its sense). */
function errorKind(type: number, code: number): IcmpError {
  switch (type) {
    case wire.PACKET_TOO_BIG:
      return IcmpError.PacketTooBig;
    case wire.TIME_EXCEEDED:
      return IcmpError.TimeExceeded;
    case wire.PARAMETER_PROBLEM:
      return code === wire.UNKNOWN_HEADER ? IcmpError.ProtocolUnreachable : IcmpError.ParameterProblem;
  }
  switch (code) {
    case wire.PORT:
      return IcmpError.PortUnreachable;
    case wire.NO_ROUTE:
    case 6:
      return IcmpError.NetworkUnreachable;
    case wire.PROHIBITED:
    case 5:
      return IcmpError.Prohibited;
    default:
      return IcmpError.HostUnreachable;
  }
}
