/**
 * Random numbers that are the same in every run with the same seed. Not for secrets.
 *
 * @module
 */

/** xoshiro128** (Blackman and Vigna, 2018), its state filled by splitmix32. */
export class SeededRandom {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  /** Starts the sequence of a seed. @param seed Any 32 bits. */
  constructor(seed: number) {
    let state = seed | 0;
    const split = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state;
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#a = split();
    this.#b = split();
    this.#c = split();
    this.#d = split();
    // The one state that it never leaves.
    if ((this.#a | this.#b | this.#c | this.#d) === 0) this.#a = 1;
  }

  /** 32 random bits, signed. */
  next(): number {
    const b = this.#b;
    const times5 = Math.imul(b, 5);
    const result = Math.imul((times5 << 7) | (times5 >>> 25), 9);
    this.#c ^= this.#a;
    this.#d ^= b;
    this.#b = b ^ this.#c;
    this.#a ^= this.#d;
    this.#c ^= b << 9;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** A number from 0 to just under 1, with 32 random bits. */
  fraction(): number {
    return (this.next() >>> 0) / 0x1_0000_0000;
  }

  /** A whole number from 0 to `bound` - 1. @param bound 1 to 2³². */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  /** True with a probability from 0 to 1. Takes no number out of the sequence for 0. */
  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability;
  }
}
