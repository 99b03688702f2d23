/**
 * ARP on one interface (RFC 826; RFC 1122, section 2.3.2; announcements as in RFC 5227, section 2.3).
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import type { Handler, Packet } from "../packet.ts";
import * as arp from "../wire/arp.ts";
import * as ethernet from "../wire/ethernet.ts";
import type { Interface } from "./interface.ts";
import { type Neighbour, NeighbourCache, type NeighbourContext, type Solicitor } from "./neighbour.ts";
import { ArpCounters } from "../counters.ts";

/** Answers for the interface's addresses, and asks for its neighbours'. */
export class Arp implements Handler, Solicitor {
  /** What happened. */
  readonly counters: ArpCounters = new ArpCounters();
  /** Who was found. */
  readonly neighbours: NeighbourCache;
  readonly #interface: Interface;

  /**
   * Makes the resolver of one interface.
   * @param owner The interface.
   * @param context The stack.
   */
  constructor(owner: Interface, context: NeighbourContext) {
    this.#interface = owner;
    this.neighbours = new NeighbourCache(owner, this.counters, this, context);
  }

  receive(packet: Packet): void {
    const { view, offset: at } = packet;
    const { counters, neighbours } = this;
    const own = this.#interface;
    counters.received++;
    if (packet.end - at < arp.LENGTH) {
      counters.dropped.truncated++;
      return;
    }
    if (!arp.isIpv4OverEthernet(view, at)) {
      counters.dropped.unsupported++;
      return;
    }
    const high = arp.senderHigh(view, at), low = arp.senderLow(view, at);
    const sender = arp.senderAddress(view, at), target = arp.targetAddress(view, at);
    if (ethernet.isGroup(high) || (high | low) === 0 || sender >>> 28 >= 14 || sender >>> 24 === 127) {
      counters.dropped.badSender++;
      return;
    }
    if (sender !== 0 && own.hasV4(sender)) {
      // Somebody else uses our address, or our own frame came back: neither may change what we know.
      counters.dropped.conflict++;
      return;
    }
    const forUs = own.hasV4(target);
    const operation = arp.operation(view, at);
    const entry = sender === 0 ? null : neighbours.findV4(sender);
    if (entry !== null) {
      neighbours.learn(entry, high, low, operation === arp.REPLY && forUs);
    }
    if (operation !== arp.REQUEST || !forUs) {
      if (entry !== null) counters.delivered++;
      else counters.dropped.unsolicited++;
      return;
    }
    counters.delivered++;
    // It is about to talk to us, so the answer's answer will need the entry (RFC 826, "Packet Reception").
    if (entry === null && sender !== 0) neighbours.add(IpAddress.v4(sender), high, low);
    counters.answered++;
    arp.write(view, at, arp.REPLY, own.macHigh, own.macLow, target, high, low, sender);
    packet.end = at + arp.LENGTH;
    own.send(packet, high, low, ethernet.ARP);
  }

  unreachable(neighbour: Neighbour): void {
    this.#interface.redirects.unreachable(neighbour.address);
  }

  solicit(neighbour: Neighbour, unicast: boolean): void {
    const target = neighbour.address.d;
    const source = this.#interface.sourceV4For(target);
    if (unicast) this.#request(source, target, neighbour.macHigh, neighbour.macLow);
    else this.#request(source, target, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW);
  }

  /** Tells everyone the link address of `address`, which is ours. */
  announce(address: IpAddress): void {
    this.counters.requested++;
    this.#request(address.d, address.d, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW);
  }

  #request(source: number, target: number, high: number, low: number): void {
    const own = this.#interface;
    const packet = own.reserve();
    if (packet === null) return;
    const at = packet.offset;
    arp.write(packet.view, at, arp.REQUEST, own.macHigh, own.macLow, source, 0, 0, target);
    packet.end = at + arp.LENGTH;
    own.send(packet, high, low, ethernet.ARP);
  }
}
