/**
 * What happens when, in virtual time.
 *
 * @module
 */

/** Something that happens at a time. */
export interface Event {
  /** When, in µs. */
  at: number;
  /** Tells events of one time apart: first come, first served. Set by the queue. */
  order: number;
  /** Makes it happen. */
  run(): void;
}

/** Events by time: a binary heap. */
export class EventQueue {
  readonly #heap: Event[] = [];
  #order = 0;

  /** When the next event is due, in µs; `Infinity` for none. */
  get next(): number {
    return this.#heap.length === 0 ? Infinity : this.#heap[0]!.at;
  }

  /** Events that wait. */
  get size(): number {
    return this.#heap.length;
  }

  /** Adds an event. */
  add(event: Event): void {
    event.order = this.#order++;
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = i - 1 >> 1;
      if (!earlier(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  /** Adds a call. */
  at(time: number, run: () => void): void {
    this.add({ at: time, order: 0, run });
  }

  /** Takes the earliest event. */
  take(): Event {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && earlier(heap[child + 1]!, heap[child]!)) child++;
      if (!earlier(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

function earlier(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
