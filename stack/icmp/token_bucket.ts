/**
 * A limit of so many a second, with some at once.
 *
 * @module
 */

/** Counts in µs, so that no fraction is lost. */
export class TokenBucket {
  readonly #interval: number;
  readonly #depth: number;
  #credit: number;
  #at = 0;

  /** @param rate How many a second, more than 0. @param burst How many at once, at least 1. */
  constructor(rate: number, burst: number) {
    this.#interval = 1_000_000 / rate;
    this.#depth = burst * this.#interval;
    this.#credit = this.#depth;
  }

  /** Takes one, if there is one at `now` µs. */
  take(now: number): boolean {
    this.#credit = Math.min(this.#depth, this.#credit + now - this.#at);
    this.#at = now;
    if (this.#credit < this.#interval) return false;
    this.#credit -= this.#interval;
    return true;
  }
}
