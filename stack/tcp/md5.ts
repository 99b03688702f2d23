/**
 * The MD5 digest (RFC 1321), in pieces and without allocation. It is here for RFC 2385 alone: nothing new should rely on it.
 *
 * @module
 */

/** Bytes of one block. */
const BLOCK = 64;
/** Bytes of a digest. */
export const DIGEST_LENGTH = 16;

/** Rotations of the four rounds, in the order in which they repeat. */
const ROTATIONS = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
/** What each of the 64 steps adds: the integer part of 2³² × |sin(i + 1)| (RFC 1321, section 3.4). */
const SINES = Int32Array.from({ length: BLOCK }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));
/** How far each step rotates, and which word it takes. */
const SHIFTS = Uint8Array.from({ length: BLOCK }, (_, i) => ROTATIONS[i >> 4]![i & 3]!);
const WORDS = Uint8Array.from(
  { length: BLOCK },
  (_, i) => (i < 16 ? i : i < 32 ? 5 * i + 1 : i < 48 ? 3 * i + 5 : 7 * i) & 15,
);

/** One digest at a time. */
export class Md5 {
  readonly #block = new Uint8Array(BLOCK);
  readonly #words = new DataView(this.#block.buffer);
  readonly #w = new Int32Array(16);
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;
  /** Bytes taken so far. */
  #length = 0;

  /** Starts anew. */
  begin(): void {
    this.#a = 0x67452301;
    this.#b = 0xefcdab89 | 0;
    this.#c = 0x98badcfe | 0;
    this.#d = 0x10325476;
    this.#length = 0;
  }

  /** Takes `length` bytes at `from`. */
  update(bytes: Uint8Array, from: number, length: number): void {
    let held = this.#length & BLOCK - 1;
    this.#length += length;
    for (let i = 0; i < length; i++) {
      this.#block[held++] = bytes[from + i]!;
      if (held === BLOCK) {
        this.#mix();
        held = 0;
      }
    }
  }

  /** Ends it, and writes the 16 bytes of the digest at `at`. */
  digest(target: Uint8Array, at: number): void {
    let held = this.#length & BLOCK - 1;
    const bits = this.#length * 8;
    this.#block[held++] = 0x80;
    if (held > BLOCK - 8) {
      this.#block.fill(0, held);
      this.#mix();
      held = 0;
    }
    this.#block.fill(0, held);
    this.#words.setUint32(BLOCK - 8, bits >>> 0, true);
    this.#words.setUint32(BLOCK - 4, Math.floor(bits / 2 ** 32), true);
    this.#mix();
    let word = this.#a;
    for (let i = 0; i < DIGEST_LENGTH; i++) {
      if ((i & 3) === 0) word = i === 0 ? this.#a : i === 4 ? this.#b : i === 8 ? this.#c : this.#d;
      target[at + i] = word >>> 8 * (i & 3);
    }
  }

  #mix(): void {
    const w = this.#w;
    for (let i = 0; i < 16; i++) w[i] = this.#words.getInt32(4 * i, true);
    let a = this.#a, b = this.#b, c = this.#c, d = this.#d;
    for (let i = 0; i < BLOCK; i++) {
      const f = i < 16 ? b & c | ~b & d : i < 32 ? d & b | ~d & c : i < 48 ? b ^ c ^ d : c ^ (b | ~d);
      const sum = a + f + SINES[i]! + w[WORDS[i]!]! | 0;
      const shift = SHIFTS[i]!;
      a = d;
      d = c;
      c = b;
      b = b + (sum << shift | sum >>> 32 - shift) | 0;
    }
    this.#a = this.#a + a | 0;
    this.#b = this.#b + b | 0;
    this.#c = this.#c + c | 0;
    this.#d = this.#d + d | 0;
  }
}
