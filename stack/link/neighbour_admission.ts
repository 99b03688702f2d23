/**
 * Which neighbours make room for others: who scans a network, or asks for us in the name of thousands, shall not push those
 * out that are there (RFC 6583).
 *
 * @module
 */

import type { Neighbour } from "./neighbour.ts";

/** Who has not proved to be there, and whom packets wait for; both in order, the oldest first. */
export class NeighbourAdmission {
  readonly #limit: number;
  readonly #unproved = new Set<Neighbour>();
  readonly #waiting = new Set<Neighbour>();

  /** Makes it. @param limit How many may be in the cache that have not proved to be there. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Who goes before one more comes: the oldest of those that have not proved to be there, when they are too many; or null. */
  oldest(): Neighbour | null {
    if (this.#unproved.size < this.#limit) return null;
    for (const entry of this.#unproved) return entry;
    return null;
  }

  /** Nobody knows any more, or yet, whether it is there. */
  doubted(entry: Neighbour): void {
    this.#unproved.add(entry);
  }

  /** It is there, or out of the cache. */
  proved(entry: Neighbour): void {
    this.#unproved.delete(entry);
  }

  /** Packets wait for it, or no longer. */
  waits(entry: Neighbour, waits: boolean): void {
    if (waits) this.#waiting.add(entry);
    else this.#waiting.delete(entry);
  }

  /** For whom packets have waited longest, `besides` left out; or null. */
  longestWaiting(besides: Neighbour): Neighbour | null {
    for (const entry of this.#waiting) if (entry !== besides) return entry;
    return null;
  }
}
