/**
 * What is done with the options of IPv4 packets (RFC 1122, section 3.2.1.8; RFC 1812, section 5.3.13; RFC 7126).
 *
 * Source routes are refused. Record route and timestamps are filled in by whoever a packet is for, and by forwarding;
 * an echo reply takes them along. Everything else is left as it is, and no packet of ours has options.
 *
 * @module
 */

import type { Ipv4Drops } from "../counters.ts";
import type { Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import * as icmp from "../wire/icmpv4.ts";
import * as wire from "../wire/ipv4.ts";
import * as options from "../wire/ipv4_options.ts";

/** The options of a stack's packets. */
export class Ipv4Options {
  readonly #stack: Stack;
  readonly #dropped: Ipv4Drops;
  /** Options of an answer, until they have their place. */
  readonly #answer = new DataView(new ArrayBuffer(40));

  /**
   * Makes it.
   * @param stack The owner. @param dropped What the layer counts.
   */
  constructor(stack: Stack, dropped: Ipv4Drops) {
    this.#stack = stack;
    this.#dropped = dropped;
  }

  /** Whether a packet that comes in may go on; drops and counts it if not, and tells the sender what is malformed. */
  admit(packet: Packet): boolean {
    const { view, network, transport } = packet;
    const wrong = options.check(view, network, transport);
    if (wrong !== options.OPTIONS_OK) {
      this.#dropped.badOption++;
      this.#stack.icmp.sendError(packet, icmp.PARAMETER_PROBLEM, 0, wrong << 24);
      return false;
    }
    if (
      options.find(view, network, transport, options.LOOSE_SOURCE_ROUTE) >= 0 ||
      options.find(view, network, transport, options.STRICT_SOURCE_ROUTE) >= 0
    ) {
      this.#dropped.sourceRoute++;
      return false;
    }
    return true;
  }

  /** Whether a packet has a router alert for everyone (RFC 2113). */
  alerts(packet: Packet): boolean {
    const { view, network, transport } = packet;
    const option = options.find(view, network, transport, options.ROUTER_ALERT);
    return option >= 0 && view.getUint16(option + 2) === 0;
  }

  /**
   * Fills record route and timestamps in. The header checksum is then right again.
   * @param address Of ours, for the route: where the packet leaves, or is for. @param stamped Of ours, for the times.
   */
  record(packet: Packet, address: number, stamped: number): void {
    const { view, network, transport } = packet;
    this.#fill(view, network, transport, address, stamped, true);
    wire.writeChecksum(view, network, transport - network);
  }

  /**
   * Takes the options that go back with an answer to a packet, filled in once more, since we pass it on as well.
   * @returns Bytes of them, a multiple of 4: 0 to 40. {@link place} puts them into the answer.
   */
  take(packet: Packet, address: number): number {
    const { view, network, transport } = packet;
    let length = 0;
    for (const type of [options.RECORD_ROUTE, options.TIMESTAMP]) {
      const option = options.find(view, network, transport, type);
      if (option < 0) continue;
      const size = view.getUint8(option + 1);
      for (let i = 0; i < size; i++) this.#answer.setUint8(length++, view.getUint8(option + i));
    }
    while ((length & 3) !== 0) this.#answer.setUint8(length++, options.END);
    // As if a header were in front.
    this.#fill(this.#answer, -wire.HEADER_LENGTH, length, address, address, false);
    return length;
  }

  /** Puts the `length` bytes that {@link take} has taken behind the fixed header at `at`, and makes it whole. */
  place(packet: Packet, at: number, length: number): void {
    const { view } = packet;
    for (let i = 0; i < length; i++) {
      view.setUint8(at + wire.HEADER_LENGTH + i, this.#answer.getUint8(i));
    }
    view.setUint8(at, 0x45 + (length >> 2));
    wire.writeChecksum(view, at, wire.HEADER_LENGTH + length);
  }

  #fill(view: DataView, at: number, end: number, address: number, stamped: number, counts: boolean): void {
    const route = options.find(view, at, end, options.RECORD_ROUTE);
    if (route >= 0) options.recordRoute(view, route, address);
    const stamp = options.find(view, at, end, options.TIMESTAMP);
    if (stamp < 0) return;
    const next = options.nextStamped(view, stamp);
    if (next !== 0 && !this.#stack.ipv4.isLocal(next)) return;
    // Nobody has told the stack the time of day, which the highest bit says (RFC 791, section 3.1).
    options.recordTime(view, stamp, stamped, 0x80000000 | (this.#stack.now / 1000), counts);
  }
}
