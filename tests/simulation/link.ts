/**
 * A link that loses, delays, reorders, doubles and damages frames, in virtual time.
 *
 * @module
 */

import { type Bytes, CHECKSUM_PARTIAL, CHECKSUM_VALID, GSO_NONE, type Packet } from "../../stack/packet.ts";
import type { Event, EventQueue } from "./event_queue.ts";
import {
  clampMss,
  ipLength,
  isArp,
  isIpv6,
  markCongested,
  packetOfPiece,
  packetTooBig,
  payloadAt,
  stripOptions,
} from "./middlebox.ts";
import type { Nic } from "./nic.ts";
import type { Profile, Span } from "./profile.ts";
import type { Random } from "./random.ts";

/** Why a link dropped frames, and what else it did. */
export class LinkCounters {
  sent = 0;
  delivered = 0;
  lost = 0;
  queueFull = 0;
  blackedOut = 0;
  refused = 0;
  tooBig = 0;
  swallowed = 0;
  reordered = 0;
  duplicated = 0;
  corrupted = 0;
  truncated = 0;
  marked = 0;
  stripped = 0;

  /** Frames that did not arrive, or not whole. */
  get missing(): number {
    return this.lost + this.queueFull + this.blackedOut + this.refused + this.tooBig + this.swallowed +
      this.corrupted +
      this.truncated;
  }
}

/** A frame on its way. */
export class Frame implements Event {
  at = 0;
  order = 0;
  bytes: Bytes;
  length = 0;
  flags = 0;
  gsoType = 0;
  gsoSize = 0;
  /** From the beginning of the frame. */
  checksumStart = 0;
  checksumOffset = 0;
  /** Where it goes. */
  to: Nic | null = null;
  link: Link | null = null;

  /** @param size Bytes that it can hold. */
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  run(): void {
    this.link!.arrive(this);
  }
}

/** Sees each frame as a host sends it, and as it arrives. */
export interface Watcher {
  /** A host sends: before anything befalls the frame. */
  sent(from: number, frame: Frame): void;
  /** The frame that was sent last will not arrive, or not whole. */
  harmed(from: number, how: string): void;
  /** A frame reaches a host. */
  arrived(to: number, frame: Frame): void;
}

/** One direction: from a port to all others. */
class Pipe {
  profile: Profile;
  readonly random: Random;
  /** When the frame that was queued last has left. */
  busyUntil = 0;
  /** When the last frame that was not overtaken arrives. */
  lastArrival = 0;
  /** Frames that wait for the rate, or are being sent. */
  depth = 0;
  /** Identification of the packet of which a piece was damaged last; -1 when it was whole. */
  damaged = -1;

  constructor(profile: Profile, random: Random) {
    this.profile = profile;
    this.random = random;
  }
}

/** Frames of the small size, kept for the next world. */
const spare: Frame[] = [];
const SMALL = 2048;
/** The least MTU of a link of IPv6 (RFC 8200, section 5). */
const LEAST_MTU = 1280;

/** The medium between two or more hosts. With more than two it is a switch that knows who is where. */
export class Link {
  readonly counters = new LinkCounters();
  readonly nics: Nic[] = [];
  readonly #pipes: Pipe[];
  readonly #queue: EventQueue;
  readonly #clock: { readonly now: number };
  readonly #begin: number;
  readonly #watcher: Watcher;
  readonly #woken: (port: number) => void;

  /**
   * @param profiles What befalls frames from each port. @param begin The time from which the profiles' times count.
   * @param woken Called when there is something to do for a port: a frame came, or a slot.
   */
  constructor(
    profiles: readonly Profile[],
    randoms: readonly Random[],
    queue: EventQueue,
    clock: { readonly now: number },
    begin: number,
    watcher: Watcher,
    woken: (port: number) => void,
  ) {
    this.#pipes = profiles.map((profile, i) => new Pipe(profile, randoms[i]!));
    this.#queue = queue;
    this.#clock = clock;
    this.#begin = begin;
    this.#watcher = watcher;
    this.#woken = woken;
  }

  /** Whether the device at a port knows its link to be up. */
  up(port: number): boolean {
    return !within(this.#pipes[port]!.profile.flaps, this.#clock.now - this.#begin);
  }

  /** Whether slots of a port are held until their frames have left. */
  holds(port: number): boolean {
    return this.#pipes[port]!.profile.holdsSlots;
  }

  /** Frames on their way. */
  flying = 0;

  /** Takes a frame from a host. @returns False when it is refused. */
  carry(nic: Nic, packet: Packet): boolean {
    const pipe = this.#pipes[nic.port]!;
    const { profile, random } = pipe;
    const now = this.#clock.now, time = now - this.#begin;
    this.counters.sent++;
    const frame = this.#copy(packet);
    const gso = packet.gsoType !== GSO_NONE;
    this.#watcher.sent(nic.port, frame);
    if (within(profile.flaps, time)) {
      this.counters.refused++;
      this.#watcher.harmed(nic.port, "refused, link down");
      this.recycle(frame);
      return false;
    }
    const left = this.#transmission(pipe, frame, packet, now);
    if (left < 0) {
      this.recycle(frame);
      return true;
    }
    const arp = isArp(frame.bytes);
    const six = isIpv6(frame.bytes);
    const largest = gso ? packet.gsoSize + (six ? 60 : 40) : ipLength(frame.bytes);
    // IPv6 goes nowhere where less fits.
    const mtu = six ? Math.max(profile.mtu, LEAST_MTU) : profile.mtu;
    if (!arp && largest > mtu) {
      this.counters.tooBig++;
      this.#watcher.harmed(nic.port, "refused, larger than the MTU");
      this.#refuse(nic, frame, mtu, left + profile.delay);
      this.recycle(frame);
      return true;
    }
    const packetLength = gso ? packet.gsoSize + 60 : frame.length - 14;
    if (!arp && packetLength > profile.hole && time >= profile.holeFrom) {
      this.counters.swallowed++;
      this.#watcher.harmed(nic.port, "lost, black hole");
      this.recycle(frame);
      return true;
    }
    if (
      time >= profile.deadFrom || within(profile.blackouts, time)
    ) {
      this.counters.blackedOut++;
      this.#watcher.harmed(nic.port, "lost, black-out");
      this.recycle(frame);
      return true;
    }
    if (random.chance(within(profile.bursts, time) ? profile.burstLoss : profile.loss)) {
      this.counters.lost++;
      this.#watcher.harmed(nic.port, "lost");
      this.recycle(frame);
      return true;
    }
    if (!arp) {
      if (profile.stripped.length > 0 && stripOptions(frame, profile.stripped)) this.counters.stripped++;
      if (profile.mssClamp < 65535) clampMss(frame, profile.mssClamp);
      // ARP has no checksum: the link's own, which is not simulated, protects it.
      if (random.chance(profile.corrupt)) this.#corrupt(nic.port, pipe, frame);
      if (random.chance(profile.truncate)) {
        this.counters.truncated++;
        this.#watcher.harmed(nic.port, "cut short");
        frame.length = random.between(14, frame.length - 1);
      }
    }
    this.#launch(nic, pipe, frame, left, time);
    return true;
  }

  /** A frame is where it goes to. */
  arrive(frame: Frame): void {
    this.counters.delivered++;
    this.flying--;
    const nic = frame.to!;
    this.#watcher.arrived(nic.port, frame);
    nic.arrive(frame);
    this.#woken(nic.port);
  }

  /** Takes a frame back for reuse. */
  recycle(frame: Frame): void {
    frame.to = null;
    frame.link = null;
    if (frame.bytes.length === SMALL && spare.length < 4096) spare.push(frame);
  }

  #frame(length: number): Frame {
    const frame = length <= SMALL ? spare.pop() ?? new Frame(SMALL) : new Frame(length);
    frame.length = length;
    frame.flags = 0;
    frame.gsoType = GSO_NONE;
    frame.gsoSize = 0;
    frame.checksumStart = frame.checksumOffset = 0;
    return frame;
  }

  #copy(packet: Packet): Frame {
    const frame = this.#frame(packet.length);
    packet.copyTo(frame.bytes, 0);
    if ((packet.flags & CHECKSUM_PARTIAL) !== 0) {
      frame.flags = CHECKSUM_PARTIAL | CHECKSUM_VALID;
      frame.checksumStart = packet.checksumStart - packet.offset;
      frame.checksumOffset = packet.checksumOffset;
    }
    frame.gsoType = packet.gsoType;
    frame.gsoSize = packet.gsoSize;
    return frame;
  }

  /** Waits for the rate. @returns When the frame has left, or -1 when the queue is full. */
  #transmission(pipe: Pipe, frame: Frame, packet: Packet, now: number): number {
    const { profile } = pipe;
    if (profile.rate === Infinity) {
      if (profile.holdsSlots && packet.state !== 1) this.#complete(packet, now);
      return now;
    }
    if (!profile.holdsSlots && pipe.depth >= profile.queue) {
      this.counters.queueFull++;
      this.#watcher.harmed((packet.device as Nic).port, "dropped, queue full");
      return -1;
    }
    if (pipe.depth >= profile.markAt && markCongested(frame)) this.counters.marked++;
    const left = Math.max(now, pipe.busyUntil) + frame.length * 8e6 / profile.rate;
    pipe.busyUntil = left;
    pipe.depth++;
    this.#queue.at(left, () => pipe.depth--);
    if (profile.holdsSlots) this.#complete(packet, left);
    return left;
  }

  #complete(packet: Packet, at: number): void {
    const nic = packet.device as Nic;
    if (packet.slot === nic.slots) return;
    this.#queue.at(at, () => {
      nic.complete(packet);
      this.#woken(nic.port);
    });
  }

  /** A router says that a packet does not fit. */
  #refuse(nic: Nic, frame: Frame, mtu: number, at: number): void {
    const reply = this.#frame(0);
    packetTooBig(frame, mtu, reply);
    this.#schedule(reply, nic, at);
  }

  #corrupt(port: number, pipe: Pipe, frame: Frame): void {
    const { random } = pipe;
    // Two changes in one packet may cancel each other out in its checksum.
    const packet = packetOfPiece(frame.bytes);
    if (packet >= 0 && packet === pipe.damaged) return;
    pipe.damaged = packet;
    const first = isIpv6(frame.bytes) ? payloadAt(frame.bytes) : 14;
    this.counters.corrupted++;
    this.#watcher.harmed(port, "damaged");
    // Behind what has no checksum, one bit or one word: what the Internet checksum promises to find.
    if (random.chance(0.5)) {
      const at = random.between(first, frame.length - 1);
      frame.bytes[at]! ^= 1 << random.between(0, 7);
    } else {
      const at = random.between(first >> 1, (frame.length - 2) >> 1) * 2;
      frame.bytes[at]! ^= random.between(1, 255);
    }
  }

  #launch(nic: Nic, pipe: Pipe, frame: Frame, left: number, time: number): void {
    const { profile, random } = pipe;
    let { delay } = profile;
    for (const change of profile.delays) {
      if (change.at > time) break;
      delay = change.delay;
    }
    let at = left + delay;
    if (profile.jitter > 0) at += random.between(0, profile.jitter);
    if (random.chance(profile.reorder)) {
      this.counters.reordered++;
      at += random.between(1, profile.reorderBy);
    } else {
      // Without an overtaking, frames keep their order.
      at = pipe.lastArrival = Math.max(at, pipe.lastArrival);
    }
    const group = (frame.bytes[0]! & 1) !== 0;
    for (const target of this.nics) {
      if (target === nic || (!group && !addressed(frame, target))) continue;
      if (random.chance(profile.duplicate)) {
        this.counters.duplicated++;
        this.#schedule(this.#twin(frame), target, at + random.between(0, 2 * delay));
      }
      this.#schedule(this.#twin(frame), target, at);
    }
    this.recycle(frame);
  }

  #twin(frame: Frame): Frame {
    const twin = this.#frame(frame.length);
    twin.bytes.set(frame.bytes.subarray(0, frame.length));
    twin.flags = frame.flags;
    twin.gsoType = frame.gsoType;
    twin.gsoSize = frame.gsoSize;
    twin.checksumStart = frame.checksumStart;
    twin.checksumOffset = frame.checksumOffset;
    return twin;
  }

  #schedule(frame: Frame, to: Nic, at: number): void {
    frame.at = at;
    frame.to = to;
    frame.link = this;
    this.flying++;
    this.#queue.add(frame);
  }
}

function addressed(frame: Frame, nic: Nic): boolean {
  for (let i = 0; i < 6; i++) if (frame.bytes[i] !== nic.mac[i]) return false;
  return true;
}

function within(spans: readonly Span[], time: number): boolean {
  for (const span of spans) {
    if (time < span.from) return false;
    if (time < span.to) return true;
  }
  return false;
}
