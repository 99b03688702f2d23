/**
 * Which bytes beyond RCV.NXT have come: disjoint ranges in order of sequence, and which of them were touched
 * last (RFC 2018, section 4 reports those first).
 *
 * @module
 */

import { after, before } from "./sequence.ts";

/** Most ranges kept; a segment that would make one more is refused (and sent again by the peer). */
export const MAX_RANGES = 64;

/** The out-of-order ranges of one connection. Made when the first hole appears. */
export class Assembler {
  readonly #start = new Int32Array(MAX_RANGES);
  readonly #end = new Int32Array(MAX_RANGES);
  /** When each range was last touched, by {@link #clock}. */
  readonly #touched = new Int32Array(MAX_RANGES);
  #clock = 0;
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
    const starts = this.#start, ends = this.#end;
    let i = 0;
    while (i < this.count && before(ends[i]!, start)) i++;
    if (i === this.count || before(end, starts[i]!)) {
      if (this.count === MAX_RANGES) return false;
      starts.copyWithin(i + 1, i, this.count);
      ends.copyWithin(i + 1, i, this.count);
      this.#touched.copyWithin(i + 1, i, this.count);
      starts[i] = start;
      ends[i] = end;
      this.#touched[i] = ++this.#clock;
      this.count++;
      return true;
    }
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
    this.#touched[i] = ++this.#clock;
    return true;
  }

  /** Drops what is at or before `next`. @returns The new RCV.NXT: `next`, or the end of the range it reaches. */
  take(next: number): number {
    let n = 0;
    while (n < this.count && !after(this.#start[n]!, next)) {
      if (after(this.#end[n]!, next)) next = this.#end[n]!;
      n++;
    }
    if (n > 0) this.#remove(0, n);
    return next;
  }

  /** Whether [start, end) lies wholly in one range. */
  covers(start: number, end: number): boolean {
    for (let i = 0; i < this.count; i++) {
      if (!after(this.#start[i]!, start) && !before(this.#end[i]!, end)) return true;
    }
    return false;
  }

  /** @returns The range touched last among those touched before `limit`, or -1. For SACK: call with what {@link touchedAt} gave. */
  latest(limit: number): number {
    let best = -1;
    for (let i = 0; i < this.count; i++) {
      const touched = this.#touched[i]!;
      if (touched < limit && (best < 0 || touched > this.#touched[best]!)) best = i;
    }
    return best;
  }

  /** When range `i` was touched, for {@link latest}. */
  touchedAt(i: number): number {
    return this.#touched[i]!;
  }

  #remove(from: number, to: number): void {
    if (from === to) return;
    this.#start.copyWithin(from, to, this.count);
    this.#end.copyWithin(from, to, this.count);
    this.#touched.copyWithin(from, to, this.count);
    this.count -= to - from;
  }
}
