/**
 * Forwarding of IPv4 (RFC 1812, section 5).
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { Neighbour } from "../link/neighbour.ts";
import { NeighbourState } from "../link/neighbour_state.ts";
import {
  CHECKSUM_PARTIAL,
  GSO_ECN,
  GSO_NONE,
  GSO_UDP,
  type Handler,
  type Packet,
  UNICAST,
} from "../packet.ts";
import type { Stack } from "../stack.ts";
import { update } from "../wire/checksum.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as icmp from "../wire/icmpv4.ts";
import * as wire from "../wire/ipv4.ts";
import { IpAddress } from "./address.ts";
import { type ForwardCounters, type Forwarding, Verdict } from "./forwarding.ts";
import { forwardDatagrams, forwardFragments } from "./fragment_v4.ts";
import { type Route, RouteKind } from "./routes.ts";
import { segmentSize, shrinkSegments } from "./segment_size.ts";

/** Takes IPv4 packets that are not for us (cursor at the IP header, validated), and sends them on. */
export class Ipv4Forwarder implements Handler {
  readonly #stack: Stack;
  readonly #settings: Forwarding;
  readonly #counters: ForwardCounters;
  readonly #reserve = () => this.#stack.reassembler.reserveLarge();

  /**
   * Makes it.
   * @param stack The owner. @param settings How it forwards, and what it counts.
   */
  constructor(stack: Stack, settings: Forwarding) {
    this.#stack = stack;
    this.#settings = settings;
    this.#counters = settings.ipv4;
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
    const source = wire.source(view, at), destination = wire.destination(view, at);
    if (
      packet.cast !== UNICAST || destination >>> 28 === 14 ||
      this.#stack.ipv4.isDirectedBroadcast(destination)
    ) {
      dropped.group++;
      return;
    }
    if (source >>> 24 === 0 || source >>> 24 === 127 || source >>> 16 === 0xa9fe) {
      dropped.badSource++;
      return;
    }
    if (destination >>> 28 === 15 || destination >>> 16 === 0xa9fe) {
      dropped.badDestination++;
      return;
    }
    if (this.#stack.ipv4.alert(packet)) {
      counters.taken++;
      return;
    }
    let route = this.#route(packet, source, destination);
    if (route === null) return;
    if (route.interface === by && !by.addressed && route.gateway === null) {
      // Nobody at the other end has it, or it would not have come: it would go to and fro (as RFC 4443, section 3.1, has it).
      dropped.backwards++;
      this.#stack.icmp.sendError(packet, icmp.UNREACHABLE, icmp.HOST, 0);
      return;
    }
    if (wire.timeToLive(view, at) <= 1) {
      dropped.hopsExceeded++;
      this.#stack.icmp.sendError(packet, icmp.TIME_EXCEEDED, icmp.IN_TRANSIT, 0);
      return;
    }
    // Told before a hook may change the packet: its sender knows it as it came.
    let cut = this.#fit(packet, route);
    if (cut < 0) return;
    const { hook } = this.#settings;
    if (hook !== null) {
      const verdict = this.#settings.ask(hook, packet, route.interface, 4);
      if (verdict !== Verdict.Accept) {
        if (verdict === Verdict.Reject) {
          this.#stack.icmp.sendError(packet, icmp.UNREACHABLE, icmp.PROHIBITED, 0);
        }
        return;
      }
      const now = wire.destination(view, at);
      if (now !== destination) {
        route = this.#route(packet, wire.source(view, at), now);
        if (route === null) return;
        cut = this.#fit(packet, route);
        if (cut < 0) return;
      }
    }
    const out = route.interface;
    if (out === by && this.#settings.redirects) this.#redirect(packet, route);
    if (packet.transport > at + wire.HEADER_LENGTH) {
      const hop = route.gateway?.d ?? wire.destination(view, at);
      this.#stack.ipv4.options.record(packet, out.sourceV4For(hop), by.sourceV4For(source));
    }
    const before = view.getUint16(at + 8);
    view.setUint16(at + 8, before - 0x100);
    view.setUint16(at + 10, update(wire.checksum(view, at), before, before - 0x100));
    if (this.#stack.ipv4.tapOutgoing(packet)) {
      counters.taken++;
      return;
    }
    packet.offset = at;
    packet.flags &= CHECKSUM_PARTIAL;
    const neighbour = out.addressed ? this.#neighbour(route, out, packet) : null;
    let sent: boolean;
    if (cut > 0 && packet.gsoType === GSO_NONE) {
      counters.fragmented++;
      sent = forwardFragments(packet, neighbour, out, cut);
    } else if (cut > 0 && (packet.gsoType & ~GSO_ECN) === GSO_UDP) {
      counters.fragmented++;
      sent = forwardDatagrams(packet, neighbour, out, cut, this.#reserve);
    } else sent = out.sendTo(packet, neighbour, ethernet.IPV4);
    if (sent) counters.forwarded++;
    else dropped.sendFailed++;
  }

  /** The route that leads on; or null, with the packet counted and its sender told why it goes no further. */
  #route(packet: Packet, source: number, destination: number): Route | null {
    const { dropped } = this.#counters;
    const route = this.#stack.routes.lookupV4(destination, source);
    if (route === null || (route.leads && route.interface.loopback)) {
      dropped.noRoute++;
      this.#stack.icmp.sendError(packet, icmp.UNREACHABLE, icmp.NETWORK, 0);
      return null;
    }
    switch (route.kind) {
      case RouteKind.Unicast:
        return route;
      case RouteKind.Unreachable:
        dropped.unreachable++;
        this.#stack.icmp.sendError(packet, icmp.UNREACHABLE, icmp.HOST, 0);
        return null;
      case RouteKind.Prohibit:
        dropped.prohibited++;
        this.#stack.icmp.sendError(packet, icmp.UNREACHABLE, icmp.PROHIBITED, 0);
        return null;
      default:
        dropped.blackhole++;
        return null;
    }
  }

  /**
   * Whether a packet fits the way: 0 when it does, the size of its fragments when it has to be cut, and -1 when it may
   * not be; it is counted then, and its sender told. A super-frame of TCP is made to fit.
   */
  #fit(packet: Packet, route: Route): number {
    const { mtu: link } = route.interface;
    const mtu = route.mtu === 0 ? link : Math.min(route.mtu, link);
    if (segmentSize(packet) <= mtu) return 0;
    if ((wire.fragment(packet.view, packet.network) & wire.DONT_FRAGMENT) === 0) {
      if (packet.gsoType === GSO_NONE || (packet.gsoType & ~GSO_ECN) === GSO_UDP) return mtu;
      if (shrinkSegments(packet, mtu)) return 0;
    }
    this.#counters.dropped.tooBig++;
    this.#stack.icmp.sendError(packet, icmp.UNREACHABLE, icmp.FRAGMENTATION_NEEDED, mtu);
    return -1;
  }

  #neighbour(route: Route, out: Interface, packet: Packet): Neighbour {
    const { neighbours } = out.arp;
    if (route.gateway !== null) {
      const known = route.neighbour;
      if (known !== null && known.state !== NeighbourState.Gone) return known;
      return route.neighbour = neighbours.resolve(route.gateway);
    }
    const destination = wire.destination(packet.view, packet.network);
    return neighbours.findV4(destination) ?? neighbours.resolve(IpAddress.v4(destination));
  }

  /** Tells a host on the link about the better first hop (RFC 1812, section 5.2.7.2). */
  #redirect(packet: Packet, route: Route): void {
    const { view, network } = packet;
    const by = packet.interface!;
    const hop = route.gateway?.d ?? wire.destination(view, network);
    const own = by.sourceV4For(hop);
    const source = wire.source(view, network);
    // Both are neighbours of each other only when they are of the same network of ours.
    for (const cidr of by.addresses) {
      const mask = cidr.maskWord(3);
      if (cidr.address.version !== 4 || cidr.address.d !== own) continue;
      if (((own ^ hop) & mask) !== 0 || ((own ^ source) & mask) !== 0) return;
      this.#counters.redirects++;
      this.#stack.icmp.sendError(packet, icmp.REDIRECT, icmp.REDIRECT_HOST, hop);
      return;
    }
  }
}
