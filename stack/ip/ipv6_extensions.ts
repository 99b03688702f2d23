/**
 * IPv6 extension headers (RFC 8200, section 4; RFC 5095; RFC 6946; RFC 7112; RFC 8883 for too many of them).
 *
 * @module
 */

import type { Ipv6Counters } from "../counters.ts";
import { type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import * as icmp from "../wire/icmpv6.ts";
import { TCP, UDP } from "../wire/ipv4.ts";
import * as wire from "../wire/ipv6.ts";
import * as options from "../wire/ipv6_options.ts";

/** Extension headers of one packet; no honest sender uses more than one of each kind and two of destination options. */
const MOST_EXTENSIONS = 8;

/** Walks over what stands between the IPv6 header and the transport. */
export class Ipv6Extensions {
  /** Distance from the IPv6 header to the field that named what {@link walk} last found. */
  pointer: number = wire.NEXT_HEADER;
  readonly #stack: Stack;
  readonly #counters: Ipv6Counters;

  /**
   * Makes the walker of a stack.
   * @param stack The owner. @param counters What the layer counts.
   */
  constructor(stack: Stack, counters: Ipv6Counters) {
    this.#stack = stack;
    this.#counters = counters;
  }

  /**
   * Whether a hop-by-hop header, which follows the IPv6 header, lets the packet go on: every node on the way looks at
   * it. The sender is told when it asks for that; the caller counts.
   */
  hopByHopOk(packet: Packet): boolean {
    const { view, network, end } = packet;
    const at = network + wire.HEADER_LENGTH;
    if (at + 8 > end || at + wire.extensionLength(view, at) > end) return false;
    return this.#optionsOk(
      packet,
      at,
      at + wire.extensionLength(view, at),
      wire.payloadLength(view, network),
    );
  }

  /** Whether the packet has a hop-by-hop header, found in order, with a router alert. */
  alerts(packet: Packet): boolean {
    const { view, network } = packet;
    const at = network + wire.HEADER_LENGTH;
    return wire.nextHeader(view, network) === wire.HOP_BY_HOP &&
      options.hasRouterAlert(view, at, at + wire.extensionLength(view, at));
  }

  /**
   * Goes over the extension headers, and sets `protocol` and `transport` to what is behind them. Fragments go to the
   * reassembler.
   * @param whole The packet was put together from fragments: another fragment header in it is a lie.
   * @returns False when the packet goes no further.
   */
  walk(packet: Packet, whole: boolean): boolean {
    const { dropped } = this.#counters;
    const { view, network, end } = packet;
    let at = network + wire.HEADER_LENGTH;
    let pointer = wire.NEXT_HEADER;
    let kind = wire.nextHeader(view, network);
    for (let count = 0; isExtension(kind); count++) {
      if (kind === wire.HOP_BY_HOP && count > 0) {
        dropped.badExtension++;
        this.problem(packet, icmp.UNKNOWN_HEADER, pointer);
        return false;
      }
      if (count === MOST_EXTENSIONS) {
        dropped.tooManyExtensions++;
        this.problem(packet, icmp.TOO_MANY_HEADERS, at - network);
        return false;
      }
      const length = lengthOf(view, at, end, kind);
      if (at + length > end) {
        dropped.badExtension++;
        if (kind === wire.FRAGMENT) this.problem(packet, icmp.BAD_FIELD, at - network);
        return false;
      }
      switch (kind) {
        case wire.FRAGMENT:
          if (whole) {
            dropped.badExtension++;
            this.problem(packet, icmp.BAD_FIELD, at - network);
            return false;
          }
          // An atomic fragment is a whole packet (RFC 6946).
          if (wire.fragment(view, at) !== 0) {
            this.#fragment(packet, at);
            return false;
          }
          whole = true;
          break;
        case wire.ROUTING:
          // No multicast may have one (section 4.4).
          if (packet.cast !== UNICAST) {
            dropped.routing++;
            return false;
          }
          // We know no kind of them; type 0 is as unknown as the others (RFC 5095).
          if (wire.segmentsLeft(view, at) !== 0) {
            dropped.routing++;
            this.problem(packet, icmp.BAD_FIELD, at + 2 - network);
            return false;
          }
          break;
        default:
          // A hop-by-hop header has been looked at when the packet came in.
          if (kind === wire.DESTINATION_OPTIONS && !this.#optionsOk(packet, at, at + length, -1)) {
            dropped.badOption++;
            return false;
          }
      }
      kind = view.getUint8(at);
      pointer = at - network;
      at += length;
    }
    packet.transport = at;
    packet.protocol = kind;
    this.pointer = pointer;
    return true;
  }

  /** Tells the sender where its packet went wrong. A multicast gets an answer for unknown options only. */
  problem(packet: Packet, code: number, pointer: number): void {
    this.#stack.icmpv6.sendError(packet, icmp.PARAMETER_PROBLEM, code, pointer);
  }

  #optionsOk(packet: Packet, at: number, end: number, payloadLength: number): boolean {
    const { view, network } = packet;
    const result = options.checkOptions(view, at, end, packet.cast !== UNICAST, payloadLength);
    if (result > 0) {
      this.problem(packet, options.problemCode(result), at - network + options.problemDistance(result));
    }
    return result === options.OPTIONS_OK;
  }

  #fragment(packet: Packet, at: number): void {
    const { dropped } = this.#counters;
    const { view } = packet;
    packet.transport = at;
    packet.protocol = wire.FRAGMENT;
    if ((wire.fragment(view, at) & ~wire.MORE_FRAGMENTS) === 0 && !isHeaded(view, at, packet.end)) {
      dropped.badExtension++;
      this.problem(packet, icmp.INCOMPLETE_CHAIN, 0);
      return;
    }
    const { reassembler } = this.#stack.ipv6;
    if (reassembler === null) dropped.fragment++;
    else {
      this.#counters.delivered++;
      reassembler.receive(packet);
    }
  }
}

/** Whether a number of a next header is that of an extension header that is known here. */
export function isExtension(kind: number): boolean {
  return kind === wire.DESTINATION_OPTIONS || kind === wire.ROUTING || kind === wire.FRAGMENT ||
    kind === wire.HOP_BY_HOP;
}

/** Bytes of the extension header at `at`, or infinitely many when it is cut short. */
function lengthOf(view: DataView, at: number, end: number, kind: number): number {
  if (at + 8 > end) return Infinity;
  return kind === wire.FRAGMENT ? wire.FRAGMENT_LENGTH : wire.extensionLength(view, at);
}

/** Whether a first fragment carries all headers up to the transport's, as it has to (RFC 7112, section 5). */
function isHeaded(view: DataView, fragment: number, end: number): boolean {
  let kind = view.getUint8(fragment);
  let at = fragment + wire.FRAGMENT_LENGTH;
  for (let count = 0; isExtension(kind) && count <= MOST_EXTENSIONS; count++) {
    const length = lengthOf(view, at, end, kind);
    if (at + length > end) return false;
    kind = view.getUint8(at);
    at += length;
  }
  if (kind === wire.NO_NEXT_HEADER) return true;
  return at + (kind === TCP ? 20 : kind === UDP || kind === wire.ICMP ? 8 : 1) <= end;
}
