/**
 * Which link address is behind which port of a bridge.
 *
 * @module
 */

/** Places in which one address may lie. */
const WAYS = 4;
/** Port of a place that is empty. */
const NOBODY = -1;

/**
 * A table of fixed size that learns and forgets (IEEE 802.1D, section 7.9). An address has four places; when all of them are
 * taken by others, the oldest of the same port makes room, and else it is not learned: nobody drives out the addresses of
 * another port. Nothing here allocates after construction.
 */
export class ForwardingTable {
  /** µs for which an address is known after it was last heard. */
  readonly ageing: number;
  /** Addresses that moved from one port to another. */
  moved = 0;
  /** Addresses that were not learned, or made room for another of the same port, because their places were taken. */
  crowded = 0;
  readonly #mask: number;
  readonly #secret: number;
  readonly #high: Int32Array;
  readonly #low: Int32Array;
  readonly #port: Int32Array;
  readonly #heard: Float64Array;

  /**
   * Makes an empty table.
   * @param capacity Addresses that it holds at most, 4 at least; the next power of two.
   * @param ageing µs. @param secret 32 random bits, so that nobody can choose addresses that share their places.
   */
  constructor(capacity: number, ageing: number, secret: number) {
    this.ageing = ageing;
    let size = WAYS;
    while (size < capacity) size *= 2;
    this.#mask = size - 1;
    this.#secret = secret;
    this.#high = new Int32Array(size);
    this.#low = new Int32Array(size);
    this.#port = new Int32Array(size).fill(NOBODY);
    this.#heard = new Float64Array(size);
  }

  /** Addresses that it holds at most. */
  get capacity(): number {
    return this.#mask + 1;
  }

  /** The port of an address, or -1 when it is not known (any more). */
  find(high: number, low: number, now: number): number {
    const first = this.#first(high, low);
    for (let at = first; at < first + WAYS; at++) {
      if (this.#low[at] === low && this.#high[at] === high && this.#port[at] !== NOBODY) {
        return now - this.#heard[at]! < this.ageing ? this.#port[at]! : NOBODY;
      }
    }
    return NOBODY;
  }

  /** Takes note that an address was heard on `port`. */
  learn(high: number, low: number, port: number, now: number): void {
    const first = this.#first(high, low);
    let place = -1, age = -1;
    for (let at = first; at < first + WAYS; at++) {
      const owner = this.#port[at]!;
      if (owner !== NOBODY && this.#low[at] === low && this.#high[at] === high) {
        if (owner !== port) {
          if (now - this.#heard[at]! < this.ageing) this.moved++;
          this.#port[at] = port;
        }
        this.#heard[at] = now;
        return;
      }
      const own = owner === NOBODY || now - this.#heard[at]! >= this.ageing
        ? Infinity
        : owner === port
        ? now - this.#heard[at]!
        : -1;
      if (own > age) {
        age = own;
        place = at;
      }
    }
    if (age !== Infinity) this.crowded++;
    if (place < 0) return;
    this.#high[place] = high;
    this.#low[place] = low;
    this.#port[place] = port;
    this.#heard[place] = now;
  }

  /** Forgets all addresses of a port. */
  forget(port: number): void {
    for (let at = 0; at <= this.#mask; at++) if (this.#port[at] === port) this.#port[at] = NOBODY;
  }

  /** What is known now: address (16 and 32 bits), port and µs since it was heard. Allocates. */
  entries(now: number): { high: number; low: number; port: number; age: number }[] {
    const list = [];
    for (let at = 0; at <= this.#mask; at++) {
      const age = now - this.#heard[at]!;
      if (this.#port[at] === NOBODY || age >= this.ageing) continue;
      list.push({ high: this.#high[at]!, low: this.#low[at]!, port: this.#port[at]!, age });
    }
    return list;
  }

  #first(high: number, low: number): number {
    let hash = Math.imul(low ^ this.#secret, 0x9e3779b1) ^ Math.imul(high ^ this.#secret >>> 16, 0x85ebca6b);
    hash = Math.imul(hash ^ hash >>> 15, 0x2c1b3c6d);
    return (hash ^ hash >>> 13) & this.#mask & -WAYS;
  }
}
