/**
 * Machine addresses of memory that the kernel or the hardware is handed. Deno makes pointers slowly (300 ns), so
 * whoever needs them on the packet path makes them once, or writes addresses into memory that a call reads.
 *
 * @module
 */

import type { Bytes, Region } from "../../stack/packet.ts";

/**
 * The address of `region`'s first byte; kept in {@link Region.address}, so that later calls cost nothing. A region
 * lies in an explicit ArrayBuffer, which the garbage collector never moves.
 */
export function addressOf(region: Region): number {
  if (region.address === 0) {
    // User-space addresses have 47 bits (57 at the very most, and only on request): exact as a double.
    region.address = Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(region.bytes)));
  }
  return region.address;
}

/** A pointer to a byte of `bytes`. Valid as long as `bytes` is held. */
export function pointerTo(bytes: Bytes, offset = 0): Deno.PointerObject {
  return Deno.UnsafePointer.of(bytes.subarray(offset))!;
}

/** Bytes of `struct mmsghdr`, and where it points to its parts and says how many there are. */
const MESSAGE = 64, PARTS = 16, PART_COUNT = 24;

/** A reused array of `struct mmsghdr`, each of up to {@link MessageVectors.PARTS} parts, for `sendmmsg`. */
export class MessageVectors {
  /** Most parts of a message. */
  static readonly PARTS = 3;
  /** What the call gets, by the first message that it is to send. */
  readonly pointers: readonly Deno.PointerObject[];
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #parts: IoVectors;

  /** @param capacity Most messages. */
  constructor(capacity: number) {
    const view = new DataView(new ArrayBuffer(capacity * MESSAGE));
    this.#words = new Uint32Array(view.buffer);
    this.#parts = new IoVectors(capacity * MessageVectors.PARTS);
    const parts = Deno.UnsafePointer.value(this.#parts.pointer);
    for (let i = 0; i < capacity; i++) {
      const at = parts + BigInt(i * MessageVectors.PARTS * WORDS * 4);
      view.setBigUint64(i * MESSAGE + PARTS, at, true);
    }
    const bytes = new Uint8Array(view.buffer);
    this.pointers = Array.from({ length: capacity }, (_, i) => pointerTo(bytes, i * MESSAGE));
  }

  /** Starts message `index` anew. */
  begin(index: number): void {
    this.#parts.count = index * MessageVectors.PARTS;
  }

  /** Adds `length` bytes of `region` from `offset` to the message that was begun. */
  add(region: Region, offset: number, length: number): void {
    this.#parts.add(region, offset, length);
  }

  /** Ends the message that was begun. */
  end(index: number): void {
    this.#words[(index * MESSAGE + PART_COUNT) >> 2] = this.#parts.count - index * MessageVectors.PARTS;
  }
}

/** Words of one `struct iovec`: the address in two, the length in two. */
const WORDS = 4;

/** A reused array of `struct iovec`, for `readv` and `writev`. */
export class IoVectors {
  /** What the call gets. */
  readonly pointer: Deno.PointerObject;
  /** Entries in use. */
  count = 0;
  readonly #words: Uint32Array<ArrayBuffer>;

  /** @param capacity Most entries. */
  constructor(capacity: number) {
    this.#words = new Uint32Array(new ArrayBuffer(capacity * WORDS * 4));
    this.pointer = Deno.UnsafePointer.of(this.#words)!;
  }

  /** Starts anew. */
  clear(): void {
    this.count = 0;
  }

  /** Adds `length` bytes of `region` from `offset`. The caller keeps to the capacity. */
  add(region: Region, offset: number, length: number): void {
    const words = this.#words;
    if (region.address === 0) addressOf(region);
    const address = region.address + offset;
    const at = this.count++ * WORDS;
    words[at] = address >>> 0;
    words[at + 1] = address / 0x1_0000_0000;
    words[at + 2] = length;
    // The upper half of the length is 0 for ever.
  }
}
