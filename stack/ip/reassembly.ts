/**
 * Putting fragments together again, for both IP versions (RFC 791, section 3.2; RFC 8200, section 4.5; overlaps are
 * refused for both as RFC 5722 says for IPv6).
 *
 * Memory is bounded by {@link Limits.reassemblies} slots of 65 KiB, made when first needed. When all are taken, the
 * packet that waits longest is given up. Fragments that come in pieces of more than {@link MOST_RANGES} ranges at a
 * time, contradict each other or overlap, take their packet with them.
 *
 * @module
 */

import { ReassemblyCounters } from "../counters.ts";
import { LoopbackDevice } from "../link/loopback.ts";
import { type Handler, HEADROOM, type Packet, RECEIVED } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as icmpv4 from "../wire/icmpv4.ts";
import * as icmpv6 from "../wire/icmpv6.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";

/** Separate stretches of one packet that may be there while others are missing. */
const MOST_RANGES = 32;
/** µs for which fragments wait for the others: RFC 1122, section 3.3.2, and RFC 8200, section 4.5. */
const TIMEOUT_V4 = 30_000_000, TIMEOUT_V6 = 60_000_000;

/** One packet that is being put together. */
class Pending implements TimerOwner {
  readonly timer: Timer = new Timer(this);
  readonly #expired: (entry: Pending) => void;
  /** The slot: the payload from `base + HEADROOM` on, the IP header of the first fragment right in front. */
  packet: Packet | null = null;
  version = 0;
  identification = 0;
  protocol = 0;
  /** Bytes of the payload, or -1 while the last fragment is missing. */
  length = -1;
  /** Fragments contradict each other: whatever else comes is dropped, until the time is over. */
  poisoned = false;
  /** The first fragment is there. */
  headed = false;
  /** Ranges that are there, in order: first bytes and ends. */
  readonly starts: Int32Array = new Int32Array(MOST_RANGES);
  readonly ends: Int32Array = new Int32Array(MOST_RANGES);
  ranges = 0;

  constructor(expired: (entry: Pending) => void) {
    this.#expired = expired;
  }

  expire(): void {
    this.#expired(this);
  }
}

/** What {@link Pending} could not take. */
const OK = 0, DUPLICATE = 1, CONTRADICTION = 2;

/** Takes the fragments of both versions. */
export class Reassembler implements Handler {
  /** What happened. */
  readonly counters: ReassemblyCounters = new ReassemblyCounters();
  readonly #stack: Stack;
  readonly #pool: LoopbackDevice;
  /** Those under way, oldest first. */
  readonly #pending: Pending[] = [];
  readonly #spare: Pending[] = [];

  /**
   * Makes it.
   * @param stack The owner.
   */
  constructor(stack: Stack) {
    this.#stack = stack;
    this.#pool = new LoopbackDevice(stack.limits.reassemblies);
  }

  /** Packets under way. */
  get size(): number {
    return this.#pending.length;
  }

  receive(packet: Packet): void {
    const { counters } = this;
    const { dropped } = counters;
    const { view, network, transport, version } = packet;
    counters.received++;
    const at = version === 4 ? transport : transport + ipv6.FRAGMENT_LENGTH;
    const field = version === 4 ? ipv4.fragment(view, network) : ipv6.fragment(view, transport);
    const offset = version === 4 ? (field & 0x1fff) << 3 : field & ~ipv6.MORE_FRAGMENTS;
    const more = version === 4 ? (field & ipv4.MORE_FRAGMENTS) !== 0 : (field & ipv6.MORE_FRAGMENTS) !== 0;
    const length = packet.end - at;
    const header = version === 4 ? transport - network : 0;
    if (length === 0 || (more && (length & 7) !== 0)) {
      dropped.badLength++;
      if (version === 6 && length !== 0) this.#problem(packet, 4);
      return;
    }
    if (offset + length + header > 65535) {
      dropped.tooLong++;
      if (version === 6) this.#problem(packet, transport + 2 - network);
      return;
    }
    const entry = this.#find(packet) ?? this.#begin(packet);
    if (entry === null) {
      dropped.exhausted++;
      return;
    }
    if (entry.poisoned) {
      dropped.contradiction++;
      return;
    }
    const verdict = insert(entry, offset, offset + length, more);
    if (verdict === DUPLICATE) {
      dropped.duplicate++;
      return;
    }
    if (verdict === CONTRADICTION) {
      dropped.contradiction++;
      entry.poisoned = true;
      return;
    }
    counters.delivered++;
    const whole = entry.packet!;
    whole.bytes.set(packet.bytes.subarray(at, packet.end), whole.base + HEADROOM + offset);
    if (offset === 0 && !entry.headed) copyHeader(entry, packet);
    if (entry.ranges === 1 && entry.starts[0] === 0 && entry.ends[0] === entry.length) {
      this.#finish(entry, packet);
    }
  }

  /** The others have not come in time. */
  #expired(entry: Pending): void {
    this.counters.timedOut++;
    const whole = entry.packet!;
    if (entry.headed && !entry.poisoned) {
      whole.end = whole.base + HEADROOM + entry.ends[0]!;
      whole.state = RECEIVED;
      // The sender is told only when it can find out about which packet (RFC 792; RFC 4443, section 3.3).
      if (entry.version === 4) {
        this.#stack.icmp.sendError(whole, icmpv4.TIME_EXCEEDED, icmpv4.REASSEMBLY, 0);
      } else this.#stack.icmpv6.sendError(whole, icmpv6.TIME_EXCEEDED, icmpv6.REASSEMBLY, 0);
    }
    this.#end(entry);
  }

  /** A slot for a packet that is larger than the slots of its device, or null. It goes back with `discard()`. */
  reserveLarge(): Packet | null {
    return this.#pool.reserve();
  }

  #finish(entry: Pending, last: Packet): void {
    const whole = entry.packet!;
    whole.interface = last.interface;
    whole.flags = 0;
    whole.end = whole.base + HEADROOM + entry.length;
    whole.offset = whole.network;
    const { view, network } = whole;
    if (entry.version === 4) {
      view.setUint16(network + 2, whole.end - network);
      view.setUint16(network + 6, 0);
      ipv4.writeChecksum(view, network, whole.transport - network);
    } else view.setUint16(network + 4, entry.length);
    const layer = entry.version === 4 ? this.#stack.ipv4 : this.#stack.ipv6;
    layer.counters.received++;
    this.counters.whole++;
    // The entry goes first: what is in the packet may be fragments again.
    entry.packet = null;
    this.#end(entry);
    whole.state = RECEIVED;
    layer.resume(whole);
    if (whole.state === RECEIVED) this.#pool.release(whole);
  }

  #find(packet: Packet): Pending | null {
    const { version } = packet;
    const identification = identificationOf(packet);
    const addresses = packet.network + (version === 4 ? 12 : ipv6.SOURCE);
    for (let i = 0; i < this.#pending.length; i++) {
      const entry = this.#pending[i]!;
      if (entry.identification !== identification || entry.version !== version) continue;
      if (version === 4 && entry.protocol !== packet.protocol) continue;
      const whole = entry.packet!;
      const own = whole.network + (version === 4 ? 12 : ipv6.SOURCE);
      if (sameBytes(packet.view, addresses, whole.view, own, version === 4 ? 8 : 32)) return entry;
    }
    return null;
  }

  #begin(packet: Packet): Pending | null {
    let slot = this.#pool.reserve();
    if (slot === null && this.#pending.length > 0) {
      this.counters.evicted++;
      this.#end(this.#pending[0]!);
      slot = this.#pool.reserve();
    }
    if (slot === null) return null;
    const entry = this.#spare.pop() ?? new Pending((expired) => this.#expired(expired));
    const { version } = packet;
    entry.packet = slot;
    entry.version = version;
    entry.identification = identificationOf(packet);
    entry.protocol = version === 4 ? packet.protocol : 0;
    entry.length = -1;
    entry.poisoned = entry.headed = false;
    entry.ranges = 0;
    copyHeader(entry, packet);
    entry.headed = false;
    this.#pending.push(entry);
    const timeout = version === 4 ? TIMEOUT_V4 : TIMEOUT_V6;
    this.#stack.timers.arm(entry.timer, this.#stack.now + timeout);
    return entry;
  }

  #end(entry: Pending): void {
    this.#stack.timers.cancel(entry.timer);
    this.#pending.splice(this.#pending.indexOf(entry), 1);
    if (entry.packet !== null) this.#pool.release(entry.packet);
    entry.packet = null;
    this.#spare.push(entry);
  }

  #problem(packet: Packet, pointer: number): void {
    this.#stack.icmpv6.sendError(packet, icmpv6.PARAMETER_PROBLEM, icmpv6.BAD_FIELD, pointer);
  }
}

function identificationOf(packet: Packet): number {
  return packet.version === 4
    ? ipv4.identification(packet.view, packet.network)
    : ipv6.identification(packet.view, packet.transport);
}

function sameBytes(one: DataView, at: number, other: DataView, otherAt: number, length: number): boolean {
  for (let i = 0; i < length; i += 4) if (one.getInt32(at + i) !== other.getInt32(otherAt + i)) return false;
  return true;
}

/** Takes the headers of a fragment: of the first one there is, and then of the one at offset 0, which counts. */
function copyHeader(entry: Pending, packet: Packet): void {
  const whole = entry.packet!;
  const length = packet.version === 4 ? packet.transport - packet.network : ipv6.HEADER_LENGTH;
  const payload = whole.base + HEADROOM;
  whole.transport = payload;
  whole.network = payload - length;
  whole.link = whole.network - ethernet.HEADER_LENGTH;
  for (let i = 0; i < ethernet.HEADER_LENGTH; i++) {
    whole.bytes[whole.link + i] = packet.bytes[packet.link + i]!;
  }
  for (let i = 0; i < length; i++) whole.bytes[whole.network + i] = packet.bytes[packet.network + i]!;
  whole.version = packet.version;
  whole.cast = packet.cast;
  whole.interface = packet.interface;
  whole.protocol = packet.version === 4 ? packet.protocol : packet.view.getUint8(packet.transport);
  // Extension headers in front of the fragments have done their work.
  if (packet.version === 6) whole.bytes[whole.network + ipv6.NEXT_HEADER] = whole.protocol;
  entry.headed = true;
}

/** Enters a range. @returns {@link OK}, {@link DUPLICATE} when exactly this was there, or {@link CONTRADICTION}. */
function insert(entry: Pending, start: number, end: number, more: boolean): number {
  const { starts, ends } = entry;
  const known = entry.length;
  if (known >= 0 && (end > known || (!more && end !== known))) return CONTRADICTION;
  let place = 0;
  while (place < entry.ranges && ends[place]! <= start) place++;
  // Ranges before `place` end at or before the new one.
  if (place < entry.ranges && starts[place]! < end) {
    return starts[place]! <= start && ends[place]! >= end && (more || known === end)
      ? DUPLICATE
      : CONTRADICTION;
  }
  if (!more) {
    if (entry.ranges > place) return CONTRADICTION;
    entry.length = end;
  }
  const joinsLeft = place > 0 && ends[place - 1] === start;
  const joinsRight = place < entry.ranges && starts[place] === end;
  if (joinsLeft && joinsRight) {
    ends[place - 1] = ends[place]!;
    starts.copyWithin(place, place + 1, entry.ranges);
    ends.copyWithin(place, place + 1, entry.ranges);
    entry.ranges--;
  } else if (joinsLeft) ends[place - 1] = end;
  else if (joinsRight) starts[place] = start;
  else {
    if (entry.ranges === MOST_RANGES) return CONTRADICTION;
    starts.copyWithin(place + 1, place, entry.ranges);
    ends.copyWithin(place + 1, place, entry.ranges);
    starts[place] = start;
    ends[place] = end;
    entry.ranges++;
  }
  return OK;
}
