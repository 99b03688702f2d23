/**
 * Memory of connections that a device reads by itself.
 *
 * @module
 */

import { Region } from "../../stack/packet.ts";
import type { DmaMemory } from "./dma.ts";

/** Blocks of a device's memory for what connections send. What is taken stays taken: its users keep it for the next one. */
export class RingMemory {
  static readonly #known = new WeakMap<DmaMemory, RingMemory>();
  readonly #memory: DmaMemory;
  /** First byte that nobody has. */
  #next = 0;
  /** Bits of an offset within a chunk. */
  readonly #bits: number;
  /** The device's address of each chunk, in two words. */
  readonly #low: Int32Array;
  readonly #high: Int32Array;

  private constructor(memory: DmaMemory) {
    const chunks = Math.floor(memory.buffer.byteLength / memory.chunk);
    this.#memory = memory;
    this.#bits = 31 - Math.clz32(memory.chunk);
    this.#low = new Int32Array(chunks);
    this.#high = new Int32Array(chunks);
    for (let chunk = 0; chunk < chunks; chunk++) {
      const physical = memory.physical(chunk * memory.chunk);
      this.#low[chunk] = physical | 0;
      this.#high[chunk] = Math.floor(physical / 2 ** 32);
    }
  }

  /** What stands for `memory`: devices that share it share its blocks as well. */
  static of(memory: DmaMemory): RingMemory {
    let known = RingMemory.#known.get(memory);
    if (known === undefined) RingMemory.#known.set(memory, known = new RingMemory(memory));
    return known;
  }

  /** @param bytes A power of two. @returns A block, or null when there is not so much left in one place. */
  block(bytes: number): Region | null {
    const { buffer, address } = this.#memory;
    const start = (this.#next + bytes - 1) & -bytes;
    if (start + bytes > buffer.byteLength) return null;
    this.#next = start + bytes;
    const region = new Region(buffer, start, bytes);
    region.lent = true;
    if (address !== 0) region.address = address + start;
    return region;
  }

  /** Whether a region is a block of this memory. */
  has(region: Region): boolean {
    return region.lent && region.bytes.buffer === this.#memory.buffer;
  }

  /** Bytes from an offset of the memory on that lie in one piece for the device, at most `length`. */
  contiguous(offset: number, length: number): number {
    const room = (1 << this.#bits) - (offset & (1 << this.#bits) - 1);
    return length < room ? length : room;
  }

  /** Bits 0 to 31 of the device's address of the byte at an offset. */
  low(offset: number): number {
    // A chunk never crosses 4 GiB.
    return this.#low[offset >>> this.#bits]! + (offset & (1 << this.#bits) - 1) | 0;
  }

  /** Bits 32 to 63. */
  high(offset: number): number {
    return this.#high[offset >>> this.#bits]!;
  }
}
