/**
 * Chance that can be repeated.
 *
 * @module
 */

/** A stream of random numbers that depends on nothing but its seed (sfc32, by Chris Doty-Humphrey). */
export class Random {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;

  /** @param seed Any number; what counts is its value modulo 2^32. @param stream Tells streams of one seed apart. */
  constructor(seed: number, stream = 0) {
    this.#a = seed | 0;
    this.#b = stream | 0;
    this.#c = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 0;
    for (let i = 0; i < 12; i++) this.word();
  }

  /** 32 random bits, signed. */
  word(): number {
    const result = (this.#a + this.#b | 0) + this.#counter | 0;
    this.#counter = this.#counter + 1 | 0;
    this.#a = this.#b ^ this.#b >>> 9;
    this.#b = this.#c + (this.#c << 3) | 0;
    this.#c = (this.#c << 21 | this.#c >>> 11) + result | 0;
    return result;
  }

  /** From 0 to just under 1. */
  fraction(): number {
    return (this.word() >>> 0) / 4294967296;
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** A whole number from `least` to `most`, each as likely as the others. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  /** A whole number from `least` (over 0) to `most`, each order of magnitude as likely as the others. */
  scaled(least: number, most: number): number {
    return Math.min(most, Math.floor(least * (most / least) ** this.fraction()));
  }

  /** A number with this mean, as the time between independent events. */
  exponential(mean: number): number {
    return -Math.log(1 - this.fraction()) * mean;
  }

  /** One of `from`. */
  pick<T>(from: readonly T[]): T {
    return from[this.between(0, from.length - 1)]!;
  }
}
