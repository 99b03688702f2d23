/**
 * Which groups of its link an interface listens to: what is for others is dropped early, by the device if it can.
 *
 * @module
 */

import type { Device } from "../device.ts";
import type { IpAddress } from "../ip/address.ts";
import type { Stack } from "../stack.ts";

/** First 16 bits of the link addresses of IPv4 groups, and the 8 after them (RFC 1112, section 6.4). */
const HIGH_V4 = 0x0100, LOW_V4 = 0x5e000000;
/** First 16 bits of the link addresses of IPv6 groups (RFC 2464, section 7). */
const HIGH_V6 = 0x3333;
/** 224.0.0.1 and ff02::1, which everyone listens to and nobody joins. */
const ALL_HOSTS = LOW_V4 | 1, ALL_NODES = 1;
/** Groups with which a device is still troubled; with more it passes everything. */
const MOST_IN_DEVICE = 256;

/** The link groups of one interface. Looking up allocates nothing. */
export class LinkGroups {
  readonly #device: Device;
  readonly #stack: Stack;
  /** How many memberships each group stands for: 32 IPv4 groups share a link address. */
  readonly #members = new Map<string, { high: number; low: number; count: number }>();
  /** The groups, found by their addresses: first 16 bits (0 for an empty place) and last 32, with open addressing. */
  #high = new Int32Array(0);
  #low = new Int32Array(0);
  #watchers = 0;
  #all = 0;
  #closed = false;

  /** @internal An interface makes them. @param ipv6 Whether it listens to ff02::1. */
  constructor(device: Device, stack: Stack, ipv6: boolean) {
    this.#device = device;
    this.#stack = stack;
    this.#enter(HIGH_V4, ALL_HOSTS, 1);
    if (ipv6) this.#enter(HIGH_V6, ALL_NODES, 1);
    this.#changed();
  }

  /** Whether frames to a group of the link are taken. */
  has(high: number, low: number): boolean {
    const mask = this.#high.length - 1;
    for (let at = placeOf(high, low, mask); this.#high[at] !== 0; at = at + 1 & mask) {
      if (this.#low[at] === low && this.#high[at] === high) return true;
    }
    return this.#all > 0 || this.#stack.observers > 0;
  }

  /** Takes frames to all groups, for whoever wants to see those that nobody has joined. @returns Ends it. */
  takeAll(): () => void {
    return this.#count((by) => this.#all += by);
  }

  /** @internal Has the device pass all frames, for whoever looks at them before anybody else does. @returns Ends it. */
  watch(): () => void {
    return this.#count((by) => this.#watchers += by);
  }

  /** @internal A group of the interface was joined. */
  join(group: IpAddress): void {
    this.#enter(group.version === 4 ? HIGH_V4 : HIGH_V6, lowOf(group), 1);
    this.#changed();
  }

  /** @internal A group of the interface was left. */
  leave(group: IpAddress): void {
    this.#enter(group.version === 4 ? HIGH_V4 : HIGH_V6, lowOf(group), -1);
    this.#changed();
  }

  /** @internal Takes over the groups of an interface on top of this one: pairs of 16 and 32 bits. @param by 1, or -1 to give them back. */
  take(groups: readonly number[], by: number): void {
    for (let i = 0; i < groups.length; i += 2) this.#enter(groups[i]!, groups[i + 1]!, by);
    this.#changed();
  }

  /** @internal Tells the device what is wanted of it. */
  tell(): void {
    if (this.#closed || this.#device.filterGroups === undefined) return;
    const members = [...this.#members.values()];
    const all = this.#watchers + this.#all + this.#stack.observers > 0 || members.length > MOST_IN_DEVICE;
    this.#device.filterGroups(all ? null : members.flatMap(({ high, low }) => [high, low]));
  }

  /** @internal The interface is gone: its device is as it was. */
  close(): void {
    this.#closed = true;
    this.#device.filterGroups?.(null);
  }

  #count(add: (by: number) => void): () => void {
    let active = true;
    add(1);
    this.tell();
    return () => {
      if (!active) return;
      active = false;
      add(-1);
      this.tell();
    };
  }

  #enter(high: number, low: number, by: number): void {
    const key = `${high} ${low}`;
    const member = this.#members.get(key) ?? { high, low, count: 0 };
    member.count += by;
    if (member.count > 0) this.#members.set(key, member);
    else this.#members.delete(key);
  }

  /** Groups change rarely, and frames come often: the table is made anew. */
  #changed(): void {
    let size = 8;
    while (size < 2 * this.#members.size) size *= 2;
    this.#high = new Int32Array(size);
    this.#low = new Int32Array(size);
    for (const { high, low } of this.#members.values()) {
      let at = placeOf(high, low, size - 1);
      while (this.#high[at] !== 0) at = at + 1 & size - 1;
      this.#high[at] = high;
      this.#low[at] = low;
    }
    this.tell();
  }
}

/** Last 32 bits of the link address of an IP group. */
function lowOf(group: IpAddress): number {
  return group.version === 4 ? LOW_V4 | group.d & 0x7fffff : group.d;
}

function placeOf(high: number, low: number, mask: number): number {
  return Math.imul(high ^ low, 0x9e3779b1) >>> 16 & mask;
}
