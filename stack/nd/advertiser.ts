/**
 * A router that tells the hosts of a link about itself (RFC 4861, section 6.2).
 *
 * @module
 */

import { ALL_NODES } from "../ip/ipv6.ts";
import { AddressOrigin, AddressState, type OwnAddress } from "../ip/own_address.ts";
import { IpAddress } from "../ip/address.ts";
import type { Interface } from "../link/interface.ts";
import type { GroupListener } from "../multicast/groups.ts";
import type { Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as wire from "../wire/nd.ts";
import { type AdvertiseOptions, encodeAdvertisement } from "./advertisement.ts";
import type { NeighbourDiscovery } from "./discovery.ts";

/** The group of all routers of a link, ff02::2. */
export const ALL_ROUTERS: IpAddress = IpAddress.v6(0xff020000, 0, 0, 2);

/** The first advertisements, µs between them at most, and µs that an answer waits at most (RFC 4861, section 10). */
const INITIAL = 3, INITIAL_INTERVAL = 16_000_000, ANSWER_DELAY = 500_000;
/** µs between two advertisements at least, whoever asks. */
const LEAST_INTERVAL = 3_000_000;
/** µs until it is looked again whether the link-local address is sure. */
const LOOK = 250_000;
/** Distance from the message to the seconds for which it is a default router. */
const ROUTER_LIFETIME = 6;

/** Advertises on one interface, from {@link start} to {@link stop}. */
export class RouterAdvertiser implements TimerOwner {
  readonly #discovery: NeighbourDiscovery;
  readonly #interface: Interface;
  readonly #stack: Stack;
  readonly #timer: Timer = new Timer(this);
  #message: Uint8Array<ArrayBuffer> | null = null;
  #listener: GroupListener | null = null;
  /** µs between two advertisements at most. */
  #interval = 0;
  #sent = 0;
  #last = -Infinity;
  #due = Infinity;

  /** Makes it; it tells nothing yet. @param discovery The interface's. @param owner The interface. @param stack Its stack. */
  constructor(discovery: NeighbourDiscovery, owner: Interface, stack: Stack) {
    this.#discovery = discovery;
    this.#interface = owner;
    this.#stack = stack;
  }

  /** Whether it advertises. */
  get active(): boolean {
    return this.#message !== null;
  }

  /**
   * Begins to advertise, or tells something else from now on.
   * @throws {RangeError} A lifetime, MTU or name that can't be, or more than fits into one packet.
   */
  start(options: AdvertiseOptions = {}): void {
    const { timers, now, groups } = this.#stack;
    const prefixes = options.prefixes ?? this.#networks().map((prefix) => ({ prefix }));
    this.#message = encodeAdvertisement({ ...options, prefixes }, this.#interface.mtu);
    this.#interval = (options.interval ?? 600) * 1e6;
    this.#listener ??= groups.join(ALL_ROUTERS, this.#interface, undefined, false);
    this.#sent = 0;
    this.#due = Math.max(now, this.#last + LEAST_INTERVAL);
    timers.arm(this.#timer, this.#due);
  }

  /** Tells the hosts that it is no router any more, and nothing from then on. Idempotent. */
  stop(): void {
    if (this.#message === null) return;
    this.#stack.timers.cancel(this.#timer);
    const own = this.#source();
    if (this.#last !== -Infinity && own !== null) this.#send(own, true);
    this.#message = null;
    this.#listener?.leave();
    this.#listener = null;
  }

  /** @internal Takes a question whose form was checked (cursor at the ICMPv6 header). */
  solicited(packet: Packet): void {
    const { counters, neighbours } = this.#discovery;
    const { view, offset: at, end, network } = packet;
    const source = IpAddress.read(6, view, network + ipv6.SOURCE);
    const link = wire.findOption(view, at + wire.SOLICITATION_LENGTH, end, wire.SOURCE_LINK_ADDRESS);
    const high = link < 0 ? 0 : wire.linkHigh(view, link), low = link < 0 ? 0 : wire.linkLow(view, link);
    if ((source.isUnspecified && link >= 0) || ethernet.isGroup(high)) {
      counters.dropped.badAddress++;
      return;
    }
    if (this.#message === null) {
      counters.dropped.ignored++;
      return;
    }
    counters.delivered++;
    if (link >= 0 && this.#interface.addressed) {
      const entry = neighbours.find(source);
      if (entry === null) neighbours.add(source, high, low);
      else neighbours.learn(entry, high, low, false);
    }
    // All that ask within a while are answered at once (section 6.2.6).
    const { now, timers } = this.#stack;
    const due = Math.max(now + this.#chance() * ANSWER_DELAY, this.#last + LEAST_INTERVAL);
    if (due < this.#due) timers.arm(this.#timer, this.#due = due);
  }

  expire(_timer: Timer, now: number): void {
    const own = this.#source();
    let wait = LOOK;
    if (own !== null) {
      this.#send(own, false);
      this.#last = now;
      this.#sent++;
      const least = Math.max(LEAST_INTERVAL, this.#interval / 3);
      wait = least + this.#chance() * (this.#interval - least);
      if (this.#sent < INITIAL) wait = Math.min(wait, INITIAL_INTERVAL);
    }
    this.#stack.timers.arm(this.#timer, this.#due = now + wait);
  }

  /** The link-local address, as soon as it is sure. */
  #source(): OwnAddress | null {
    return this.#discovery.addresses.find(({ address, state }) =>
      address.isLinkLocal && state === AddressState.Preferred
    ) ?? null;
  }

  #networks() {
    return this.#discovery.addresses
      .filter(({ origin, cidr }) =>
        origin === AddressOrigin.Manual && cidr.prefix === 64 && !cidr.address.isLinkLocal
      )
      .map(({ cidr }) => cidr.network)
      .filter((one, i, all) => all.findIndex(({ address }) => address.equals(one.address)) === i);
  }

  #send(own: OwnAddress, last: boolean): void {
    const owner = this.#interface;
    const packet = owner.reserve();
    this.#discovery.counters.requested++;
    if (packet === null) return;
    const { bytes, view, offset: at } = packet;
    const message = this.#message!;
    bytes.set(message, at);
    if (last || !owner.forwarding) view.setUint16(at + ROUTER_LIFETIME, 0);
    packet.end = at + message.length;
    if (owner.addressed) {
      wire.writeLinkAddress(view, packet.end, wire.SOURCE_LINK_ADDRESS, owner.macHigh, owner.macLow);
      packet.end += wire.LINK_ADDRESS_LENGTH;
    }
    this.#discovery.send(packet, own.address, ALL_NODES, 0x3333, ALL_NODES.d);
  }

  /** A random number from 0 to 1. */
  #chance(): number {
    return (this.#stack.random() >>> 0) / 2 ** 32;
  }
}
