/**
 * The table that shares paths.
 *
 * @module
 */

/** What the table needs to know of a path. */
export interface CachedPath<P> {
  /** Hash of its addresses. */
  readonly hash: number;
  /** The next of the same bucket. */
  next: P | null;
  /** Looked up since the eviction hand last came by. Whoever finds it sets this. */
  used: boolean;
  /** Place in the list that the eviction hand goes through; -1 when not in the cache. */
  index: number;
}

/** The paths that are shared, at most as many as the limit says; second chance when full. */
export class PathCache<P extends CachedPath<P>> {
  readonly #limit: number;
  readonly #buckets: (P | null)[];
  readonly #entries: P[] = [];
  #hand = 0;

  /**
   * Makes an empty table.
   * @param limit Most paths.
   */
  constructor(limit: number) {
    this.#limit = limit;
    let size = 16;
    while (size < limit && size < 65536) size *= 2;
    this.#buckets = new Array(size).fill(null);
  }

  /** Paths held. */
  get size(): number {
    return this.#entries.length;
  }

  /** The first path whose hash falls where `hash` does, or null; its `next` is the second. */
  chain(hash: number): P | null {
    return this.#buckets[hash & (this.#buckets.length - 1)]!;
  }

  /** Shares a path that is not in the table. */
  insert(path: P): void {
    if (this.#entries.length >= this.#limit) this.#evict();
    const bucket = path.hash & (this.#buckets.length - 1);
    path.next = this.#buckets[bucket]!;
    this.#buckets[bucket] = path;
    path.index = this.#entries.length;
    this.#entries.push(path);
  }

  #evict(): void {
    for (;;) {
      if (this.#hand >= this.#entries.length) this.#hand = 0;
      const path = this.#entries[this.#hand]!;
      if (!path.used) {
        this.#remove(path);
        return;
      }
      path.used = false;
      this.#hand++;
    }
  }

  #remove(path: P): void {
    const bucket = path.hash & (this.#buckets.length - 1);
    let link: P | null = this.#buckets[bucket]!;
    if (link === path) this.#buckets[bucket] = path.next;
    else {
      while (link !== null && link.next !== path) link = link.next;
      if (link !== null) link.next = path.next;
    }
    path.next = null;
    const last = this.#entries.pop()!;
    if (last !== path) {
      this.#entries[path.index] = last;
      last.index = path.index;
    }
    path.index = -1;
  }
}
