/**
 * Streams whose every byte is known from its place, so that a byte which is lost, doubled, swapped or changed shows.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import { Random } from "./random.ts";

/** A prime, so that no power of two is a period of what a stream holds. */
const SIZE = 1_048_573;

const table: Bytes = new Uint8Array(SIZE);
{
  const random = new Random(0x5eed);
  for (let i = 0; i < SIZE; i++) table[i] = random.word();
}

/** One direction's bytes. */
export class Payload {
  readonly #start: number;

  /** @param start Where in the table it begins: any whole number from 0. */
  constructor(start: number) {
    this.#start = start % SIZE;
  }

  /** The memory in which a stream's bytes lie one after the other. */
  get bytes(): Bytes {
    return table;
  }

  /** Where in {@link bytes} the byte at `offset` of the stream lies. */
  position(offset: number): number {
    return (this.#start + offset) % SIZE;
  }

  /** Bytes from `offset` on that lie in one piece. */
  contiguous(offset: number): number {
    return SIZE - this.position(offset);
  }

  /** @returns How many of `length` bytes at `at` are the stream's from `offset` on: `length` when all are right. */
  matches(offset: number, bytes: Bytes, at: number, length: number): number {
    let position = this.position(offset);
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] !== table[position]) return i;
      if (++position === SIZE) position = 0;
    }
    return length;
  }
}
