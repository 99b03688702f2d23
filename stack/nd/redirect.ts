/**
 * Redirects of IPv6 (RFC 4861, sections 4.5 and 8).
 *
 * @module
 */

import { TokenBucket } from "../icmp/token_bucket.ts";
import { IpAddress } from "../ip/address.ts";
import { Redirects } from "../ip/redirects.ts";
import type { Route } from "../ip/routes.ts";
import type { Interface } from "../link/interface.ts";
import { type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as icmp from "../wire/icmpv6.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as wire from "../wire/nd.ts";

/** Bytes in front of what a redirected header option quotes. */
const REDIRECTED_HEAD = 8;

/** Takes the redirects of one interface, and sends those of a router. */
export class RedirectProtocol {
  /** What was taken. */
  readonly taken: Redirects;
  readonly #stack: Stack;
  readonly #interface: Interface;
  readonly #bucket: TokenBucket;

  /**
   * Makes it.
   * @param stack The owner. @param owner The interface.
   */
  constructor(stack: Stack, owner: Interface) {
    this.#stack = stack;
    this.#interface = owner;
    this.taken = new Redirects(stack, owner);
    this.#bucket = new TokenBucket(stack.limits.icmpRate, stack.limits.icmpBurst);
  }

  /**
   * Takes a redirect (cursor at the ICMPv6 header; length, code, hop limit and options are in order). Its target's
   * link address is learned as well.
   * @returns False when it is not valid (section 8.1), or not believed.
   */
  receive(packet: Packet): boolean {
    const { view, offset: at, end, network } = packet;
    const source = IpAddress.read(6, view, network + ipv6.SOURCE);
    const target = IpAddress.read(6, view, at + wire.TARGET);
    const destination = IpAddress.read(6, view, at + wire.REDIRECT_DESTINATION);
    if (packet.cast !== UNICAST || !source.isLinkLocal || destination.isMulticast) return false;
    if (!target.isLinkLocal && !target.equals(destination)) return false;
    if (!this.taken.learn(destination, source, target)) return false;
    const link = wire.findOption(view, at + wire.REDIRECT_LENGTH, end, wire.TARGET_LINK_ADDRESS);
    if (link >= 0 && this.#interface.addressed && !ethernet.isGroup(wire.linkHigh(view, link))) {
      const { neighbours } = this.#interface.nd!;
      const high = wire.linkHigh(view, link), low = wire.linkLow(view, link);
      const entry = neighbours.find(target);
      if (entry === null) neighbours.add(target, high, low);
      else neighbours.learn(entry, high, low, false);
    }
    return true;
  }

  /**
   * Tells the sender of a packet that leaves by the interface it came in on about the better first hop (section 8.2).
   * @param packet Its `network` is the IP header. @param route Its way. @returns False when there is nothing to tell.
   */
  send(packet: Packet, route: Route): boolean {
    const { view, network } = packet;
    const nd = this.#interface.nd!;
    const source = network + ipv6.SOURCE, destination = network + ipv6.DESTINATION;
    const back = this.#stack.routes.lookupV6(view, source, destination);
    if (back === null || back.interface !== this.#interface || back.gateway !== null) return false;
    if (route.gateway !== null && !route.gateway.isLinkLocal) return false;
    const own = nd.addresses.find((one) => one.address.isLinkLocal && one.usable);
    const host = nd.neighbours.findV6(view, source);
    if (own === undefined || host === null || !this.#bucket.take(this.#stack.now)) return false;
    const message = this.#interface.reserve();
    if (message === null) return false;
    const at = message.offset;
    message.view.setInt32(at, icmp.REDIRECT << 24);
    message.view.setInt32(at + 4, 0);
    const to = IpAddress.read(6, view, destination);
    (route.gateway ?? to).write(message.view, at + wire.TARGET);
    to.write(message.view, at + wire.REDIRECT_DESTINATION);
    // The redirected header: as much as fits into the least MTU, in units of 8 bytes.
    const most = ipv6.LEAST_MTU - ipv6.HEADER_LENGTH - wire.REDIRECT_LENGTH - REDIRECTED_HEAD;
    const quoted = Math.min(packet.end - network, most) & ~7;
    const option = at + wire.REDIRECT_LENGTH;
    message.view.setInt32(option, wire.REDIRECTED_HEADER << 24 | (quoted + REDIRECTED_HEAD) >> 3 << 16);
    message.view.setInt32(option + 4, 0);
    for (let i = 0; i < quoted; i++) {
      message.bytes[option + REDIRECTED_HEAD + i] = packet.bytes[network + i]!;
    }
    message.end = option + REDIRECTED_HEAD + quoted;
    nd.send(message, own.address, IpAddress.read(6, view, source), host.macHigh, host.macLow);
    return true;
  }
}
