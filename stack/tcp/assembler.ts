/**
 * Which bytes beyond RCV.NXT have come: disjoint ranges in order of sequence, and which of them were touched
 * last (RFC 2018, section 4 reports those first).
 *
 * @module
 */

import { after, before } from "./sequence.ts";

/**
 * Most ranges kept: as many as there are holes when every other segment of a window of 4 MiB was lost. A segment
 * that would make one more is refused, and sent again by the peer.
 */
export const MAX_RANGES = 2048;

/** Ranges for which there is room at first. */
const FIRST_RANGES = 16;
/** Ranges that SACK can report at most. */
const RECENT = 4;

/** The out-of-order ranges of one connection. Made when the first hole appears. */
export class Assembler {
  #start = new Int32Array(FIRST_RANGES);
  #end = new Int32Array(FIRST_RANGES);
  /** A sequence number of each range touched last, the latest first. Ranges may have joined, or be gone. */
  readonly #recent = new Int32Array(RECENT);
  #recents = 0;
  /** Number of ranges. */
  count = 0;

  /** Left edge of range `i`, signed. */
  start(i: number): number {
    return this.#start[i]!;
  }

  /** Right edge of range `i`, signed. */
  end(i: number): number {
    return this.#end[i]!;
  }

  /** Adds [start, end). @returns False when there is no room for one more range. */
  add(start: number, end: number): boolean {
    const i = this.#firstEndingAt(start);
    if (i === this.count || before(end, this.#start[i]!)) {
      if (!this.#insert(i)) return false;
      this.#start[i] = start;
      this.#end[i] = end;
    } else {
      const starts = this.#start, ends = this.#end;
      if (before(start, starts[i]!)) starts[i] = start;
      if (after(end, ends[i]!)) {
        ends[i] = end;
        let next = i + 1;
        while (next < this.count && !after(starts[next]!, end)) {
          if (after(ends[next]!, ends[i]!)) ends[i] = ends[next]!;
          next++;
        }
        this.#remove(i + 1, next);
      }
    }
    this.#touch(i);
    return true;
  }

  /** Drops what is at or before `next`. @returns The new RCV.NXT: `next`, or the end of the range it reaches. */
  take(next: number): number {
    let n = 0;
    while (n < this.count && !after(this.#start[n]!, next)) {
      if (after(this.#end[n]!, next)) next = this.#end[n]!;
      n++;
    }
    this.#remove(0, n);
    return next;
  }

  /**
   * The first range that has some of `start` to `end`.
   * @returns It, or -1 when all of that is new.
   */
  overlapped(start: number, end: number): number {
    const i = this.#firstEndingAt(start + 1 | 0);
    return i < this.count && before(this.#start[i]!, end) ? i : -1;
  }

  /** @returns The range that was touched `nth` last (0 to 3), or -1 when it is gone or was never there. */
  recent(nth: number): number {
    if (nth >= this.#recents) return -1;
    const sequence = this.#recent[nth]!;
    const i = this.#firstEndingAt(sequence + 1 | 0);
    return i < this.count && !after(this.#start[i]!, sequence) ? i : -1;
  }

  /**
   * Whether what is added as `start` to `end` will be among the latest two without pushing one of them back: it belongs to one
   * of them, or there are not two yet.
   */
  isLatest(start: number, end: number): boolean {
    let latest = 0;
    for (let nth = 0; nth < this.#recents; nth++) {
      const i = this.recent(nth);
      if (i < 0) continue;
      if (!before(end, this.#start[i]!) && !after(start, this.#end[i]!)) return true;
      if (++latest === 2) return false;
    }
    return true;
  }

  /** @returns The first range that ends at or after `sequence`; {@link count} when none does. */
  #firstEndingAt(sequence: number): number {
    const ends = this.#end;
    let low = 0, high = this.count;
    // Most segments belong behind all that is held.
    if (high > 0 && before(ends[high - 1]!, sequence)) return high;
    while (low < high) {
      const middle = low + high >> 1;
      if (before(ends[middle]!, sequence)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Notes that range `i` was touched last; those that it has swallowed are forgotten. */
  #touch(i: number): void {
    const start = this.#start[i]!, end = this.#end[i]!;
    let kept = 0;
    for (let k = 0; k < this.#recents; k++) {
      const sequence = this.#recent[k]!;
      if (before(sequence, start) || !before(sequence, end)) this.#recent[kept++] = sequence;
    }
    if (kept === RECENT) kept--;
    this.#recent.copyWithin(1, 0, kept);
    this.#recent[0] = start;
    this.#recents = kept + 1;
  }

  #insert(i: number): boolean {
    if (this.count === this.#start.length) {
      if (this.count === MAX_RANGES) return false;
      const starts = new Int32Array(2 * this.count), ends = new Int32Array(2 * this.count);
      starts.set(this.#start);
      ends.set(this.#end);
      this.#start = starts;
      this.#end = ends;
    }
    if (i < this.count) {
      this.#start.copyWithin(i + 1, i, this.count);
      this.#end.copyWithin(i + 1, i, this.count);
    }
    this.count++;
    return true;
  }

  #remove(from: number, to: number): void {
    if (from === to) return;
    this.#start.copyWithin(from, to, this.count);
    this.#end.copyWithin(from, to, this.count);
    this.count -= to - from;
  }
}
