/**
 * Frames that wait for their time.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import { FREE, Packet, Region } from "../stack/packet.ts";
import { RECEIVE_OFFSET } from "./frame.ts";
import { slotSizeFor } from "./slot_pool.ts";

/**
 * Copies of frames in a fixed number of slots, ordered by when they are due; those due at the same time keep the
 * order in which they came. A binary heap over typed arrays: adding a frame that is due last costs one comparison.
 */
export class FrameSchedule {
  readonly #packets: Packet[] = [];
  /** When the frame in each slot is due. */
  readonly #due: Float64Array;
  /** The order in which the frames came. */
  readonly #order: Float64Array;
  /** Slots: the first `#size` are a heap, the others are free. */
  readonly #slots: Int32Array;
  #size = 0;
  #count = 0;

  /** Makes all slots. @param device Owns the packets. @param slots How many. @param length Bytes of the longest frame. */
  constructor(device: Device, slots: number, length: number) {
    const size = slotSizeFor(length);
    const region = new Region(new ArrayBuffer(slots * size));
    for (let slot = 0; slot < slots; slot++) {
      this.#packets.push(new Packet(device, region, slot, slot * size, (slot + 1) * size));
    }
    this.#due = new Float64Array(slots);
    this.#order = new Float64Array(slots);
    this.#slots = Int32Array.from({ length: slots }, (_, slot) => slot);
  }

  /** Frames that wait. */
  get size(): number {
    return this.#size;
  }

  /** When the first frame is due, in µs; `Infinity` when none waits. */
  get next(): number {
    return this.#size === 0 ? Infinity : this.#due[this.#slots[0]!]!;
  }

  /** Copies a frame. @returns The copy, or null when all slots are taken or the frame is too long. */
  add(packet: Packet, due: number): Packet | null {
    if (this.#size === this.#packets.length) return null;
    const slot = this.#slots[this.#size]!;
    const copy = this.#packets[slot]!;
    const start = copy.base + RECEIVE_OFFSET;
    const length = packet.length;
    if (start + length > copy.limit) return null;
    packet.copyTo(copy.bytes, start);
    copy.reset(start, start + length);
    copy.interface = null;
    this.#due[slot] = due;
    this.#order[slot] = this.#count++;
    this.#rise(this.#size++);
    return copy;
  }

  /** Takes out the first frame if it is due; null otherwise. It is valid until the next {@link add}. */
  take(now: number): Packet | null {
    if (this.#size === 0) return null;
    const slot = this.#slots[0]!;
    if (this.#due[slot]! > now) return null;
    const last = --this.#size;
    this.#slots[0] = this.#slots[last]!;
    this.#slots[last] = slot;
    if (last > 1) this.#sink();
    return this.#packets[slot]!;
  }

  /** Forgets all frames. */
  clear(): void {
    this.#size = 0;
    for (const packet of this.#packets) packet.state = FREE;
  }

  #before(one: number, other: number): boolean {
    const difference = this.#due[one]! - this.#due[other]!;
    return difference < 0 || (difference === 0 && this.#order[one]! < this.#order[other]!);
  }

  #rise(at: number): void {
    const slots = this.#slots;
    const slot = slots[at]!;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(slot, slots[parent]!)) break;
      slots[at] = slots[parent]!;
      at = parent;
    }
    slots[at] = slot;
  }

  #sink(): void {
    const slots = this.#slots, size = this.#size;
    const slot = slots[0]!;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && this.#before(slots[child + 1]!, slots[child]!)) child++;
      if (!this.#before(slots[child]!, slot)) break;
      slots[at] = slots[child]!;
      at = child;
    }
    slots[at] = slot;
  }
}
