/**
 * Who has which link address: the neighbour cache of one interface, for ARP now and for neighbour discovery.
 * States follow RFC 4861, section 7.3.2; queueing and give-up RFC 1122, section 2.3.2.
 *
 * @module
 */

import type { NeighbourCounters } from "../counters.ts";
import type { IpAddress } from "../ip/address.ts";
import { type Packet, RECEIVED } from "../packet.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import type { Interface } from "./interface.ts";
import { NeighbourAdmission } from "./neighbour_admission.ts";
import { type NeighbourContext, NeighbourState, type Solicitor } from "./neighbour_state.ts";

/** Slots that waiting packets leave to others, to the question itself first of all; on both devices, where one forwards. */
const LEAST_FREE = 4;

/** One neighbour. Paths hold it and send through it. */
export class Neighbour implements TimerOwner {
  /** Its IP address. */
  readonly address: IpAddress;
  /** First 16 bits of its link address. */
  macHigh = 0;
  /** Last 32 bits of its link address, signed. */
  macLow = 0;
  /** What is known about it. */
  state: NeighbourState = NeighbourState.Incomplete;
  /** When it last proved to be there, in µs. */
  confirmedAt = 0;
  /** Used since the eviction hand last came by. */
  used = true;
  /** Requests sent since it last answered. */
  tries = 0;
  /** Packets that wait. */
  queued = 0;
  /** @internal The next of the same bucket. */
  next: Neighbour | null = null;
  /** @internal Place in the list that the eviction hand goes through. */
  index = -1;
  /** @internal */
  readonly timer: Timer = new Timer(this);
  readonly #cache: NeighbourCache;
  #head: Packet | null = null;
  #tail: Packet | null = null;
  /** Bytes of the packets that wait. */
  #bytes = 0;

  /**
   * Makes an entry; the cache does.
   * @param cache The owner.
   * @param address Its address.
   */
  constructor(cache: NeighbourCache, address: IpAddress) {
    this.#cache = cache;
    this.address = address;
  }

  /**
   * Sends a packet (cursor at the IP header) to it, or keeps it until it has answered. Takes ownership.
   * @returns False when the packet was dropped.
   */
  send(packet: Packet, ethertype: number): boolean {
    this.used = true;
    const cache = this.#cache;
    switch (this.state) {
      case NeighbourState.Reachable:
        if (cache.context.now - this.confirmedAt >= cache.reachable) cache.doubt(this);
        return cache.output.send(packet, this.macHigh, this.macLow, ethertype);
      case NeighbourState.Stale:
        cache.doubt(this);
        return cache.output.send(packet, this.macHigh, this.macLow, ethertype);
      case NeighbourState.Delay:
      case NeighbourState.Probe:
      case NeighbourState.Permanent:
        return cache.output.send(packet, this.macHigh, this.macLow, ethertype);
      case NeighbourState.Incomplete:
        return this.#enqueue(packet);
      default:
        cache.counters.unreachable++;
        packet.discard();
        return false;
    }
  }

  expire(): void {
    this.#cache.expired(this);
  }

  /** Takes note of a sign of life from further up: what was sent this way has arrived. */
  confirm(): void {
    switch (this.state) {
      case NeighbourState.Reachable:
        this.confirmedAt = this.#cache.context.now;
        return;
      case NeighbourState.Stale:
      case NeighbourState.Delay:
      case NeighbourState.Probe:
        this.#cache.confirm(this);
    }
  }

  #enqueue(packet: Packet): boolean {
    const cache = this.#cache;
    const { limits } = cache.context;
    const { length } = packet;
    // One packet may always wait, whatever its size.
    while (
      this.queued > 0 &&
      (this.queued >= limits.neighbourQueue || this.#bytes + length > limits.neighbourQueueBytes)
    ) {
      this.dropOldest();
    }
    if (!cache.hasRoom(packet)) {
      // Newcomers are likelier to be answered than who has not answered yet.
      cache.admission.longestWaiting(this)?.dropOldest();
      if (!cache.hasRoom(packet)) {
        cache.counters.queueOverflow++;
        packet.discard();
        return false;
      }
    }
    const kept = cache.keep(packet);
    if (kept === null) return false;
    kept.next = null;
    if (this.#tail === null) this.#head = kept;
    else this.#tail.next = kept;
    this.#tail = kept;
    this.#bytes += length;
    if (this.queued++ === 0) cache.admission.waits(this, true);
    cache.queued++;
    return true;
  }

  /** Drops what has waited longest. */
  dropOldest(): void {
    this.#cache.counters.queueOverflow++;
    this.#take().discard();
  }

  #take(): Packet {
    const packet = this.#head!;
    this.#head = packet.next;
    if (this.#head === null) this.#tail = null;
    packet.next = null;
    this.#bytes -= packet.length;
    if (--this.queued === 0) this.#cache.admission.waits(this, false);
    this.#cache.queued--;
    return packet;
  }

  /** Sends what waits. */
  flush(): void {
    while (this.#head !== null) {
      const packet = this.#take();
      this.#cache.output.send(packet, this.macHigh, this.macLow, packet.version === 4 ? 0x0800 : 0x86dd);
    }
  }

  /** Drops what waits, and tells its senders when `tell` is set. */
  fail(tell: boolean): void {
    // Only what waits now: a sender that is told may send again.
    for (let count = this.queued; count > 0 && this.#head !== null; count--) {
      const packet = this.#take();
      this.#cache.counters.unreachable++;
      if (tell) this.#cache.context.hostUnreachable(packet);
      packet.discard();
    }
  }
}

/** The neighbours of one interface, at most {@link Limits.neighbours}. */
export class NeighbourCache {
  /** Clock, timers and limits. */
  readonly context: NeighbourContext;
  /** Where packets leave. */
  readonly output: Interface;
  /** What happened. */
  readonly counters: NeighbourCounters;
  /** Packets that wait for all of them. */
  queued = 0;
  /** µs for which a neighbour counts as reachable after it has answered. */
  reachable: number;
  /** µs between two requests for one neighbour. */
  retransmit: number;
  /** µs from the first packet to a neighbour that was not heard for a while to the first request. */
  readonly delay: number;
  /** @internal Who has not proved to be there, and whom packets wait for. */
  readonly admission: NeighbourAdmission;
  readonly #solicitor: Solicitor;
  readonly #buckets: (Neighbour | null)[];
  readonly #entries: Neighbour[] = [];
  #hand = 0;

  /**
   * Makes an empty cache.
   * @param output The interface.
   * @param counters Its counters.
   * @param solicitor Asks.
   * @param context The stack.
   * @param delay See {@link delay}. Default 0: it is asked at once.
   */
  constructor(
    output: Interface,
    counters: NeighbourCounters,
    solicitor: Solicitor,
    context: NeighbourContext,
    delay = 0,
  ) {
    this.output = output;
    this.counters = counters;
    this.context = context;
    this.reachable = context.limits.neighbourReachable;
    this.retransmit = context.limits.neighbourRetransmit;
    this.delay = delay;
    this.admission = new NeighbourAdmission(Math.max(1, context.limits.neighbours >> 1));
    this.#solicitor = solicitor;
    let size = 16;
    while (size < context.limits.neighbours && size < 65536) size *= 2;
    this.#buckets = new Array(size).fill(null);
  }

  /** Entries held. */
  get size(): number {
    return this.#entries.length;
  }

  /** All entries, in no order. For showing them. */
  entries(): readonly Neighbour[] {
    return this.#entries;
  }

  /** The entry of an IPv4 address, or null. Allocates nothing. */
  findV4(word: number): Neighbour | null {
    const mask = this.#buckets.length - 1;
    let entry = this.#buckets[this.context.hash.words1(word) & mask]!;
    while (entry !== null && !(entry.address.d === word && entry.address.version === 4)) entry = entry.next!;
    return entry;
  }

  /** The entry of the IPv6 address whose 16 bytes are at `at`, or null. Allocates nothing. */
  findV6(view: DataView, at: number): Neighbour | null {
    let entry = this.#buckets[this.context.hash.addressAt(view, at) & (this.#buckets.length - 1)]!;
    while (entry !== null && !(entry.address.version === 6 && entry.address.isAt(view, at))) {
      entry = entry.next!;
    }
    return entry;
  }

  /** The entry of an address, or null. */
  find(address: IpAddress): Neighbour | null {
    let entry = this.#buckets[this.context.hash.address(address) & (this.#buckets.length - 1)]!;
    while (entry !== null && !entry.address.equals(address)) entry = entry.next!;
    return entry;
  }

  /** The entry of an address; a new one is asked for at once. */
  resolve(address: IpAddress): Neighbour {
    const found = this.find(address);
    if (found !== null) return found;
    const entry = this.#insert(address);
    this.#begin(entry);
    return entry;
  }

  /** Enters a link address by hand. It stays until {@link remove}. */
  setPermanent(address: IpAddress, macHigh: number, macLow: number): Neighbour {
    const entry = this.find(address) ?? this.#insert(address);
    this.context.timers.cancel(entry.timer);
    entry.macHigh = macHigh;
    entry.macLow = macLow | 0;
    entry.state = NeighbourState.Permanent;
    this.admission.proved(entry);
    entry.flush();
    return entry;
  }

  /**
   * Takes note of a link address that somebody has told.
   * @param solicited It is the answer to a question of ours, so that the neighbour is there for sure.
   * @param entry What {@link find} gave.
   */
  learn(entry: Neighbour, macHigh: number, macLow: number, solicited: boolean): void {
    if (entry.state === NeighbourState.Permanent) return;
    const asked = entry.state === NeighbourState.Incomplete || entry.state === NeighbourState.Probe;
    const changed = entry.macHigh !== macHigh || entry.macLow !== macLow;
    const waiting = entry.state === NeighbourState.Incomplete;
    entry.macHigh = macHigh;
    entry.macLow = macLow;
    if (solicited && asked) this.confirm(entry);
    else if (changed || waiting || entry.state === NeighbourState.Failed) {
      this.context.timers.cancel(entry.timer);
      entry.state = NeighbourState.Stale;
      entry.tries = 0;
    }
    if (entry.queued > 0) entry.flush();
  }

  /**
   * Takes note of a neighbour advertisement (RFC 4861, section 7.2.5).
   * @param entry What {@link findV6} gave. @param told Whether it says a link address; else the next two mean nothing.
   * @param solicited It answers a question of ours. @param override It is to replace what is known.
   */
  advertised(
    entry: Neighbour,
    told: boolean,
    macHigh: number,
    macLow: number,
    solicited: boolean,
    override: boolean,
  ): void {
    if (entry.state === NeighbourState.Incomplete || entry.state === NeighbourState.Failed) {
      if (told) this.learn(entry, macHigh, macLow, solicited);
      return;
    }
    if (entry.state === NeighbourState.Permanent) return;
    const changed = told && (entry.macHigh !== macHigh || entry.macLow !== macLow);
    if (changed && !override) {
      if (entry.state === NeighbourState.Reachable) entry.state = NeighbourState.Stale;
      return;
    }
    if (changed) this.learn(entry, macHigh, macLow, false);
    if (solicited) this.confirm(entry);
  }

  /** Enters somebody who has asked for us and will be answered. */
  add(address: IpAddress, macHigh: number, macLow: number): void {
    const entry = this.#insert(address);
    entry.macHigh = macHigh;
    entry.macLow = macLow;
    entry.state = NeighbourState.Stale;
    entry.used = false;
  }

  /** Forgets an entry; what waits for it is dropped. */
  remove(entry: Neighbour): void {
    const mask = this.#buckets.length - 1;
    const bucket = this.context.hash.address(entry.address) & mask;
    let link = this.#buckets[bucket]!;
    if (link === entry) this.#buckets[bucket] = entry.next;
    else {
      while (link !== null && link.next !== entry) link = link.next!;
      if (link !== null) link.next = entry.next;
    }
    entry.next = null;
    const last = this.#entries.pop()!;
    if (last !== entry) {
      this.#entries[entry.index] = last;
      last.index = entry.index;
    }
    entry.index = -1;
    entry.state = NeighbourState.Gone;
    this.admission.proved(entry);
    this.context.timers.cancel(entry.timer);
    entry.fail(false);
  }

  /** Forgets everything. */
  clear(): void {
    while (this.#entries.length > 0) this.remove(this.#entries[this.#entries.length - 1]!);
  }

  /** @internal The neighbour is there. */
  confirm(entry: Neighbour): void {
    this.context.timers.cancel(entry.timer);
    entry.state = NeighbourState.Reachable;
    this.admission.proved(entry);
    entry.confirmedAt = this.context.now;
    entry.tries = 0;
  }

  /** @internal A packet goes to a neighbour that was not heard for a while. */
  doubt(entry: Neighbour): void {
    if (this.delay === 0) {
      this.#probe(entry);
      return;
    }
    entry.state = NeighbourState.Delay;
    entry.tries = 0;
    this.context.timers.arm(entry.timer, this.context.now + this.delay);
  }

  #probe(entry: Neighbour): void {
    entry.state = NeighbourState.Probe;
    entry.tries = 0;
    this.#ask(entry);
  }

  /** @internal The timer of an entry has expired. */
  expired(entry: Neighbour): void {
    if (entry.state === NeighbourState.Failed) {
      this.remove(entry);
    } else if (entry.state === NeighbourState.Delay) {
      this.#probe(entry);
    } else if (entry.tries < this.context.limits.neighbourTries) {
      this.#ask(entry);
    } else if (entry.state === NeighbourState.Probe) {
      // It may have come back with another link address: ask everyone before giving up (RFC 1122, 2.3.2.1).
      this.#begin(entry);
    } else {
      this.counters.failed++;
      entry.state = NeighbourState.Failed;
      this.context.timers.arm(entry.timer, this.context.now + this.context.limits.neighbourNegative);
      this.#solicitor.unreachable?.(entry);
      entry.fail(true);
    }
  }

  /** @internal Whether one more packet may wait: few do, and devices keep slots for others. */
  hasRoom(packet: Packet): boolean {
    return this.queued < this.context.limits.neighbourQueueTotal &&
      Math.min(this.output.device.free, packet.device.free) >= LEAST_FREE;
  }

  /** @internal Makes a packet last beyond this turn. @returns The packet to keep, or null when it was dropped. */
  keep(packet: Packet): Packet | null {
    const device = packet.device;
    if (packet.state !== RECEIVED) {
      if (packet.gather()) return packet;
      this.counters.queueOverflow++;
      packet.discard();
      return null;
    }
    // A lent slot goes back to its device at the end of the turn, so what is in it moves.
    const copy = device.reserve();
    const length = packet.end - packet.offset;
    if (copy === null || copy.offset + length > copy.limit) {
      this.counters.queueOverflow++;
      if (copy !== null) device.release(copy);
      return null;
    }
    copy.end = copy.offset + packet.copyTo(copy.bytes, copy.offset);
    copy.describeAs(packet, copy.offset - packet.offset);
    return copy;
  }

  #begin(entry: Neighbour): void {
    entry.state = NeighbourState.Incomplete;
    this.admission.doubted(entry);
    entry.tries = 0;
    this.#ask(entry);
  }

  #ask(entry: Neighbour): void {
    entry.tries++;
    this.context.timers.arm(entry.timer, this.context.now + this.retransmit);
    this.counters.requested++;
    this.#solicitor.solicit(entry, entry.state === NeighbourState.Probe);
  }

  #insert(address: IpAddress): Neighbour {
    const crowd = this.admission.oldest();
    if (crowd !== null) {
      this.counters.evicted++;
      this.remove(crowd);
    } else if (this.#entries.length >= this.context.limits.neighbours) this.#evict();
    const entry = new Neighbour(this, address);
    this.admission.doubted(entry);
    const bucket = this.context.hash.address(address) & (this.#buckets.length - 1);
    entry.next = this.#buckets[bucket]!;
    this.#buckets[bucket] = entry;
    entry.index = this.#entries.length;
    this.#entries.push(entry);
    return entry;
  }

  /** Second chance: the first entry that was not used since the hand last came by goes. */
  #evict(): void {
    const count = this.#entries.length;
    for (let step = 0; step < 2 * count; step++) {
      if (this.#hand >= this.#entries.length) this.#hand = 0;
      const entry = this.#entries[this.#hand]!;
      if (entry.state !== NeighbourState.Permanent && (!entry.used || step >= count)) {
        this.counters.evicted++;
        this.remove(entry);
        return;
      }
      entry.used = false;
      this.#hand++;
    }
    // All are permanent, set by hand one by one: that list is as long as its maker wants.
  }
}
