/**
 * The memory of a connection's streams: byte rings, whose blocks come from one pool and are taken only while
 * there is something to hold.
 *
 * @module
 */

import { copyBytes } from "../copy.ts";
import type { Device } from "../device.ts";
import { type Bytes, type Packet, Region } from "../packet.ts";

/** Smallest block, as a power of two. */
const MIN_BITS = 12;
/** Largest block, as a power of two. */
const MAX_BITS = 26;

/** Smallest block that is taken from a device: short payload is copied in less time than it takes to name its place. */
const LEAST_LENT = 65_536;

/** Largest capacity of a ring, in bytes. */
export const MAX_CAPACITY = 1 << MAX_BITS;

/** Most rings that are kept for reuse. */
const SPARE_RINGS = 1024;

/** Blocks of memory by size class (powers of two), for reuse. */
export class RingPool {
  readonly #free: Region[][] = [];
  /** The same, of blocks that devices have given. */
  readonly #lent: Region[][] = [];
  /** Whose memory is the best for what is sent; null where any is as good. */
  source: Pick<Device, "block" | "closed"> | null = null;
  /** Bytes that lie free in the pool. */
  retained = 0;
  /** Bytes that rings hold. */
  used = 0;
  /** Most bytes kept for reuse; what comes back beyond is left to the garbage collector. */
  readonly limit: number;

  /** What all who send nothing, and all who hold nothing that came, have in common. */
  readonly emptySend: Ring = new Ring(this, true);
  readonly emptyReceive: Ring = new Ring(this);
  readonly #rings: Ring[] = [];

  /** @param limit Most bytes to keep for reuse. */
  constructor(limit: number = 64 << 20) {
    this.limit = limit;
    for (let bits = MIN_BITS; bits <= MAX_BITS; bits++) {
      this.#free.push([]);
      this.#lent.push([]);
    }
  }

  /**
   * @param sending Whether it is for what is sent: then it is of {@link source}, if that has any.
   * @returns A block of at least `bytes` bytes (at most {@link MAX_CAPACITY}); its size is a power of two. Its content is arbitrary.
   */
  take(bytes: number, sending: boolean = false): Region {
    const bits = bytes <= 1 << MIN_BITS ? MIN_BITS : 32 - Math.clz32(bytes - 1);
    if (sending && this.source !== null && bytes >= LEAST_LENT) {
      const lent = this.#takeLent(bits);
      if (lent !== null) {
        this.used += 1 << bits;
        return lent;
      }
    }
    const region = this.#free[bits - MIN_BITS]!.pop();
    this.used += 1 << bits;
    if (region === undefined) return new Region(new ArrayBuffer(1 << bits));
    this.retained -= 1 << bits;
    return region;
  }

  /** Takes a block back. */
  give(region: Region): void {
    const size = region.bytes.length;
    this.used -= size;
    if (region.lent) {
      this.#lent[31 - Math.clz32(size) - MIN_BITS]!.push(region);
      return;
    }
    if (this.retained + size > this.limit) return;
    this.retained += size;
    this.#free[31 - Math.clz32(size) - MIN_BITS]!.push(region);
  }

  /** @returns A ring without memory. */
  takeRing(sending: boolean): Ring {
    const ring = this.#rings.pop();
    if (ring === undefined) return new Ring(this, sending);
    ring.sending = sending;
    return ring;
  }

  /** Takes back a ring that has given up its memory, and returns the one that stands for all such. */
  giveRing(ring: Ring): Ring {
    if (this.#rings.length < SPARE_RINGS) this.#rings.push(ring);
    return ring.sending ? this.emptySend : this.emptyReceive;
  }

  /** A block of the device's, out of which no frame is under way any more; null when there is none. */
  #takeLent(bits: number): Region | null {
    const free = this.#lent[bits - MIN_BITS]!;
    for (let at = free.length - 1; at >= 0; at--) {
      const region = free[at]!;
      if (region.loans > 0) continue;
      free[at] = free[free.length - 1]!;
      free.pop();
      return region;
    }
    return this.source!.block!(1 << bits);
  }
}

/**
 * A byte ring addressed by distance from its head. It does not know which bytes are valid: its owner does (a
 * receive ring holds islands of out-of-order data).
 */
export class Ring {
  readonly #pool: RingPool;
  /** The block, or null while nothing is held. */
  region: Region | null = null;
  /** Position of the head in the block. */
  #head = 0;
  #mask = 0;
  /** Whether what is in it is sent. */
  sending: boolean;

  /** @param pool Where blocks come from. @param sending Whether what is in it is sent. */
  constructor(pool: RingPool, sending: boolean = false) {
    this.#pool = pool;
    this.sending = sending;
  }

  /** Bytes the ring can hold without growing. */
  get capacity(): number {
    return this.region === null ? 0 : this.#mask + 1;
  }

  /**
   * Makes room for `bytes` bytes from the head, keeping the first `keep`.
   * @returns The ring to use from now on: another one where this one is the empty one of the pool.
   */
  grow(bytes: number, keep: number): Ring {
    if (bytes <= this.capacity) return this;
    const pool = this.#pool;
    if (this === pool.emptySend || this === pool.emptyReceive) {
      return pool.takeRing(this.sending).grow(bytes, 0);
    }
    if (keep > this.capacity) keep = this.capacity;
    const old = this.region;
    const region = this.#pool.take(bytes, this.sending);
    if (old !== null) {
      if (keep > 0) this.copyTo(0, region.bytes, 0, keep);
      this.#pool.give(old);
    }
    this.region = region;
    this.#head = 0;
    this.#mask = region.bytes.length - 1;
    return this;
  }

  /** Copies bytes in at distance `at` from the head. There must be room. */
  put(at: number, source: Bytes, offset: number, length: number): void {
    const bytes = this.region!.bytes;
    const start = this.#head + at & this.#mask;
    const first = Math.min(length, this.#mask + 1 - start);
    copyBytes(source, offset, first, bytes, start);
    if (first < length) copyBytes(source, offset + first, length - first, bytes, 0);
  }

  /** Copies bytes out from distance `at` from the head. */
  copyTo(at: number, target: Bytes, offset: number, length: number): void {
    const bytes = this.region!.bytes;
    const start = this.#head + at & this.#mask;
    const first = Math.min(length, this.#mask + 1 - start);
    copyBytes(bytes, start, first, target, offset);
    if (first < length) copyBytes(bytes, 0, length - first, target, offset + first);
  }

  /** Hangs bytes behind a packet without copying them. */
  attach(packet: Packet, at: number, length: number): void {
    const start = this.#head + at & this.#mask;
    const first = Math.min(length, this.#mask + 1 - start);
    packet.append(this.region!, start, first);
    if (first < length) packet.append(this.region!, 0, length - first);
  }

  /** @returns Where in {@link region} the byte at distance `at` from the head lies. */
  position(at: number): number {
    return this.#head + at & this.#mask;
  }

  /** Moves the head past `bytes` bytes. */
  advance(bytes: number): void {
    this.#head = this.#head + bytes & this.#mask;
  }

  /** Gives the memory back, and itself. @returns The ring to use from now on, the pool's empty one. */
  free(): Ring {
    if (this.region === null) return this;
    this.#pool.give(this.region);
    this.region = null;
    this.#head = this.#mask = 0;
    return this.#pool.giveRing(this);
  }
}
