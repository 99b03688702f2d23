/**
 * Memory that system calls read and write: laid out anew for each of them.
 *
 * @module
 */

/** Bytes for one call's arguments: the largest buffer of a script, and what stands around it. */
const SIZE = 64 << 20;

/** Hands out pieces of memory at machine addresses. */
export class Arena {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(new ArrayBuffer(SIZE));
  readonly view: DataView<ArrayBuffer> = new DataView(this.bytes.buffer);
  readonly #base = Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.bytes)));
  #used = 0;

  /** Forgets all pieces. */
  clear(): void {
    this.#used = 0;
  }

  /** A piece of zeros (large ones hold whatever was there). @returns Its offset in {@link bytes}. */
  take(length: number): number {
    const at = this.#used;
    this.#used = (at + length + 63) & ~63;
    if (this.#used > SIZE) throw new RangeError(`A call with ${length} bytes more has no room`);
    if (length < 1 << 16) this.bytes.fill(0, at, at + length);
    return at;
  }

  /** The machine address of an offset. */
  address(offset: number): number {
    return this.#base + offset;
  }

  /** Writes the address of an offset, as a pointer. */
  point(at: number, offset: number): void {
    this.view.setBigUint64(at, BigInt(this.address(offset)), true);
  }
}
