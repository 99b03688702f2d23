/**
 * Telling multicast routers and snooping switches which groups an interface listens to (MLDv2, RFC 3810, as a
 * listener without source filters).
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import { ALL_NODES } from "../ip/ipv6.ts";
import { selectSource } from "../ip/source_selection.ts";
import type { Interface } from "../link/interface.ts";
import type { Membership } from "../multicast/groups.ts";
import type { Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as echo from "../wire/icmpv4.ts";
import * as icmp from "../wire/icmpv6.ts";
import * as ipv6 from "../wire/ipv6.ts";

/** Types of a record (section 5.2.12). */
const IS_EXCLUDE = 2, TO_INCLUDE = 3, TO_EXCLUDE = 4;
/** Bytes of a record without sources, of a report's header, and of the header with the router alert. */
const RECORD = 20, HEADER = 8, ALERT = 8;
/** Records of one report: as many as fit where nothing but the least MTU is sure. */
const MOST_RECORDS = Math.floor((ipv6.LEAST_MTU - ipv6.HEADER_LENGTH - ALERT - HEADER) / RECORD);
/** Reports of each change, and µs within which the next follows (sections 9.1 and 9.11). */
const ROBUSTNESS = 2, INTERVAL = 1_000_000;
/** Bytes of a query, version 1. */
const QUERY = 24;
/** All routers that speak MLDv2. */
const LISTENED = IpAddress.v6(0xff020000, 0, 0, 0x16);
const UNSPECIFIED = IpAddress.v6(0, 0, 0, 0);

/** A membership that has begun or ended, and is not told often enough yet. */
interface Change {
  readonly group: IpAddress;
  type: number;
  left: number;
}

/** The memberships of one interface, as it tells them. */
export class MulticastListener implements TimerOwner {
  /** Queries that were answered, or will be. */
  queries = 0;
  /** Reports sent. */
  reports = 0;
  readonly #interface: Interface;
  readonly #stack: Stack;
  readonly #changed: Timer = new Timer(this);
  readonly #answer: Timer = new Timer(this);
  #changes: Change[] = [];

  /** @internal `NeighbourDiscovery` makes it. */
  constructor(owner: Interface, stack: Stack) {
    this.#interface = owner;
    this.#stack = stack;
  }

  /** @internal The interface has entered or left a group. */
  changed({ address: group, filter }: Membership): void {
    if (!isTold(group)) return;
    const joined = !filter.isEmpty;
    this.#changes = this.#changes.filter((change) => !change.group.equals(group));
    this.#changes.push({ group, type: joined ? TO_EXCLUDE : TO_INCLUDE, left: ROBUSTNESS });
    this.#stack.timers.arm(this.#changed, this.#stack.now);
    this.#stack.wake();
  }

  /** @internal Takes a query (cursor at the ICMPv6 header, checksum verified). @returns Whether it was one. */
  query(packet: Packet): boolean {
    const { view, offset: at, end, network } = packet;
    if (
      end - at < QUERY || ipv6.hopLimit(view, network) !== 1 ||
      view.getInt32(network + ipv6.SOURCE) >>> 22 !== 0x3fa
    ) return false;
    this.queries++;
    // What is asked about one group is answered for all: as true, and rare. Code 32768 and up is a float (5.1.3).
    const delay = Math.min(view.getUint16(at + 4), 32767) * 1000;
    const due = this.#stack.now + this.#random() * delay;
    if (due < this.#answer.deadline) this.#stack.timers.arm(this.#answer, due);
    return true;
  }

  /** @internal Tells nothing more. */
  stop(): void {
    this.#changes = [];
    this.#stack.timers.cancel(this.#changed);
    this.#stack.timers.cancel(this.#answer);
  }

  expire(timer: Timer, now: number): void {
    if (timer === this.#answer) {
      const groups = this.#stack.groups.on(this.#interface).map((one) => one.address)
        .filter((group) => group.version === 6 && isTold(group));
      this.#report(groups.map((group) => ({ group, type: IS_EXCLUDE, left: 0 })));
      return;
    }
    this.#report(this.#changes);
    for (const change of this.#changes) change.left--;
    this.#changes = this.#changes.filter((change) => change.left > 0);
    if (this.#changes.length > 0) this.#stack.timers.arm(this.#changed, now + this.#random() * INTERVAL);
  }

  #report(records: readonly Change[]): void {
    for (let first = 0; first < records.length; first += MOST_RECORDS) {
      this.#send(records.slice(first, first + MOST_RECORDS));
    }
  }

  #send(records: readonly Change[]): void {
    const packet = this.#interface.reserve();
    if (packet === null) return;
    const { view, offset: at } = packet;
    view.setInt32(at, icmp.LISTENER_REPORT << 24);
    view.setInt32(at + 4, records.length);
    records.forEach(({ group, type }, i) => {
      view.setInt32(at + HEADER + RECORD * i, type << 24);
      group.write(view, at + HEADER + RECORD * i + 4);
    });
    const length = HEADER + RECORD * records.length;
    packet.end = at + length;
    packet.transport = at;
    const alert = packet.push(ALERT);
    view.setInt32(alert, ipv6.ICMP << 24 | 0x0502);
    view.setInt32(alert + 4, 0x0100);
    const header = packet.network = packet.push(ipv6.HEADER_LENGTH);
    // From :: while there is no link-local address that is sure to be ours (section 5.2.13).
    const own = selectSource(this.#interface.nd!.addresses, LISTENED);
    const source = own?.address.isLinkLocal ? own.address : UNSPECIFIED;
    ipv6.write(view, header, 0, 0, ALERT + length, ipv6.HOP_BY_HOP, 1, source, LISTENED);
    const pseudo = sum(packet.region, header + ipv6.SOURCE, 32) + ipv6.ICMP + length;
    echo.setChecksum(view, at, ~fold(pseudo + sum(packet.region, at, length)) & 0xffff);
    packet.version = 6;
    packet.protocol = ipv6.ICMP;
    const layer = this.#stack.ipv6;
    if (layer.tapOutgoing(packet)) return;
    this.reports++;
    layer.counters.sent++;
    this.#interface.send(packet, 0x3333, LISTENED.d, ethernet.IPV6);
  }

  #random(): number {
    return (this.#stack.random() >>> 0) / 2 ** 32;
  }
}

/** All nodes are known to listen, and what does not leave the host is nobody's business (section 6). */
function isTold(group: IpAddress): boolean {
  return (group.a >>> 16 & 15) >= 2 && !group.equals(ALL_NODES);
}
