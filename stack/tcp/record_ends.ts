/**
 * Where an application wants segments to end: no segment holds bytes from both sides of such a place (as Linux's MSG_EOR).
 *
 * @module
 */

/** Most places that are kept; more are as if they had not been asked for. */
const MOST = 1024;

/** The places of one connection, in the order of the stream. */
export class RecordEnds {
  /** Sequence numbers. */
  readonly #ends = new Int32Array(MOST);
  #first = 0;
  #count = 0;

  /** Adds the place behind everything that was written: `end` is the sequence number of the byte that comes next. */
  add(end: number): void {
    if (this.#count > 0 && this.#ends[(this.#first + this.#count - 1) % MOST] === end) return;
    if (this.#count === MOST) return;
    this.#ends[(this.#first + this.#count++) % MOST] = end;
  }

  /** Bytes from `sequence` to the next place behind it; `Infinity` when there is none. Forgets those in front. */
  after(sequence: number): number {
    while (this.#count > 0) {
      const distance = this.#ends[this.#first]! - sequence | 0;
      if (distance > 0) return distance;
      this.#first = (this.#first + 1) % MOST;
      this.#count--;
    }
    return Infinity;
  }
}
