/**
 * Forwarding of IPv6 (RFC 8200; RFC 4443 for what senders are told; RFC 4291, section 2.5 for what never leaves its link).
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { Neighbour } from "../link/neighbour.ts";
import { NeighbourState } from "../link/neighbour_state.ts";
import { CHECKSUM_PARTIAL, GSO_NONE, type Handler, type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as icmp from "../wire/icmpv6.ts";
import * as wire from "../wire/ipv6.ts";
import { IpAddress } from "./address.ts";
import { type ForwardCounters, type Forwarding, Verdict } from "./forwarding.ts";
import { type Route, RouteKind } from "./routes.ts";
import { segmentSize } from "./segment_size.ts";

/** Takes IPv6 packets that are not for us (cursor at the IP header, validated), and sends them on. */
export class Ipv6Forwarder implements Handler {
  readonly #stack: Stack;
  readonly #settings: Forwarding;
  readonly #counters: ForwardCounters;

  /**
   * Makes it.
   * @param stack The owner. @param settings How it forwards, and what it counts.
   */
  constructor(stack: Stack, settings: Forwarding) {
    this.#stack = stack;
    this.#settings = settings;
    this.#counters = settings.ipv6;
  }

  receive(packet: Packet): void {
    const counters = this.#counters;
    const { dropped } = counters;
    const { view, network: at } = packet;
    const by = packet.interface!;
    counters.received++;
    if (!by.forwarding) {
      dropped.notForwarding++;
      return;
    }
    const source = view.getInt32(at + wire.SOURCE), destination = view.getInt32(at + wire.DESTINATION);
    if (packet.cast !== UNICAST || destination >>> 24 === 0xff) {
      dropped.group++;
      return;
    }
    if (isUnspecified(view, at + wire.SOURCE)) {
      dropped.badSource++;
      return;
    }
    if (destination >>> 22 === 0x3fa || isUnspecified(view, at + wire.DESTINATION)) {
      dropped.badDestination++;
      return;
    }
    if (packet.protocol === wire.HOP_BY_HOP && this.#stack.ipv6.alert(packet)) {
      counters.taken++;
      return;
    }
    let route = this.#route(packet);
    if (route === null) return;
    if (route.interface === by && !by.addressed && route.gateway === null) {
      // Nobody at the other end has it, or it would not have come (RFC 4443, section 3.1).
      dropped.backwards++;
      this.#tell(packet, icmp.UNREACHABLE, icmp.ADDRESS, 0);
      return;
    }
    if (wire.hopLimit(view, at) <= 1) {
      dropped.hopsExceeded++;
      this.#tell(packet, icmp.TIME_EXCEEDED, icmp.IN_TRANSIT, 0);
      return;
    }
    if (source >>> 22 === 0x3fa && route.interface !== by) {
      dropped.badSource++;
      this.#tell(packet, icmp.UNREACHABLE, icmp.BEYOND_SCOPE, 0);
      return;
    }
    // Told before a hook may change the packet: its sender knows it as it came.
    if (!this.#fits(packet, route)) return;
    const { hook } = this.#settings;
    if (hook !== null) {
      const b = view.getInt32(at + 28), c = view.getInt32(at + 32), d = view.getInt32(at + 36);
      const verdict = this.#settings.ask(hook, packet, route.interface, 6);
      if (verdict !== Verdict.Accept) {
        if (verdict === Verdict.Reject) this.#tell(packet, icmp.UNREACHABLE, icmp.PROHIBITED, 0);
        return;
      }
      if (
        view.getInt32(at + 24) !== destination || view.getInt32(at + 28) !== b ||
        view.getInt32(at + 32) !== c || view.getInt32(at + 36) !== d
      ) {
        route = this.#route(packet);
        if (route === null || !this.#fits(packet, route)) return;
      }
    }
    const out = route.interface;
    if (out === by && this.#settings.redirects && out.nd!.redirects.send(packet, route)) counters.redirects++;
    view.setUint8(at + 7, wire.hopLimit(view, at) - 1);
    if (this.#stack.ipv6.tapOutgoing(packet)) {
      counters.taken++;
      return;
    }
    packet.offset = at;
    packet.flags &= CHECKSUM_PARTIAL;
    // Where a super-frame is cut is where its transport is, behind extension headers that nobody has looked at.
    if (packet.gsoType !== GSO_NONE && packet.flags !== 0) packet.transport = packet.checksumStart;
    const neighbour = out.addressed ? this.#neighbour(route, out, packet) : null;
    if (out.sendTo(packet, neighbour, ethernet.IPV6)) counters.forwarded++;
    else dropped.sendFailed++;
  }

  /** The route that leads on; or null, with the packet counted and its sender told why it goes no further. */
  #route(packet: Packet): Route | null {
    const { dropped } = this.#counters;
    const { view, network } = packet;
    const route = this.#stack.routes.lookupV6(view, network + wire.DESTINATION, network + wire.SOURCE);
    if (route === null || (route.leads && route.interface.nd === null)) {
      dropped.noRoute++;
      this.#tell(packet, icmp.UNREACHABLE, icmp.NO_ROUTE, 0);
      return null;
    }
    switch (route.kind) {
      case RouteKind.Unicast:
        return route;
      case RouteKind.Unreachable:
        dropped.unreachable++;
        this.#tell(packet, icmp.UNREACHABLE, icmp.NO_ROUTE, 0);
        return null;
      case RouteKind.Prohibit:
        dropped.prohibited++;
        this.#tell(packet, icmp.UNREACHABLE, icmp.PROHIBITED, 0);
        return null;
      default:
        dropped.blackhole++;
        return null;
    }
  }

  /** Whether a packet fits the way; it is counted, and its sender told, if not. */
  #fits(packet: Packet, route: Route): boolean {
    const link = route.interface.nd!.mtu;
    const mtu = route.mtu === 0 ? link : Math.min(route.mtu, link);
    if (segmentSize(packet) <= mtu) return true;
    this.#counters.dropped.tooBig++;
    this.#tell(packet, icmp.PACKET_TOO_BIG, 0, mtu);
    return false;
  }

  #neighbour(route: Route, out: Interface, packet: Packet): Neighbour {
    const { neighbours } = out.nd!;
    if (route.gateway !== null) {
      const known = route.neighbour;
      if (known !== null && known.state !== NeighbourState.Gone) return known;
      return route.neighbour = neighbours.resolve(route.gateway);
    }
    const at = packet.network + wire.DESTINATION;
    return neighbours.findV6(packet.view, at) ?? neighbours.resolve(IpAddress.read(6, packet.view, at));
  }

  #tell(packet: Packet, type: number, code: number, rest: number): void {
    this.#stack.icmpv6.sendError(packet, type, code, rest);
  }
}

function isUnspecified(view: DataView, at: number): boolean {
  return (view.getInt32(at) | view.getInt32(at + 4) | view.getInt32(at + 8) | view.getInt32(at + 12)) === 0;
}
