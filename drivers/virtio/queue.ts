/**
 * A split virtqueue, the driver's side (virtio 1.2, section 2.7). A buffer is one descriptor, a command two.
 *
 * Nothing that the device writes makes it throw or reach outside of its memory: numbers which can't be true are
 * counted, and an index which can't be true stops the queue.
 *
 * @module
 */

/** Descriptor flag: another one follows. */
export const DESCRIPTOR_NEXT = 1;
/** Descriptor flag: the device writes the buffer. */
export const DESCRIPTOR_WRITE = 2;

/** `flags` of the used ring, without event indices: the device needs no notification. */
const USED_NO_NOTIFY = 1;
/** `flags` of the available ring, without event indices: the driver needs no interrupt. */
const AVAILABLE_NO_INTERRUPT = 1;

/** Where the parts of a queue lie in its memory, and how much they take. */
export class QueueLayout {
  /** Offset of the descriptor table, aligned to 16. */
  readonly descriptors: number;
  /** Offset of the available ring, aligned to 2. */
  readonly available: number;
  /** Offset of the used ring, aligned to 4. */
  readonly used: number;
  /** One past the last byte, aligned to 64. */
  readonly end: number;

  /** @param start First byte, aligned to 64. @param size Entries. */
  constructor(start: number, size: number) {
    this.descriptors = start;
    this.available = start + 16 * size;
    // The device writes the used ring: it has cache lines of its own.
    this.used = (this.available + 6 + 2 * size + 63) & ~63;
    this.end = (this.used + 6 + 8 * size + 63) & ~63;
  }
}

/** What a device said that can't be true. */
export class QueueFaults {
  /** Used entries with a number that is not a buffer on loan. */
  badIds = 0;
  /** Used indices that are further on than there are entries. */
  badIndices = 0;
}

/** One queue. */
export class SplitQueue {
  /** Entries, a power of two. */
  readonly size: number;
  /** Where it lies. */
  readonly layout: QueueLayout;
  /** Descriptors that {@link add} can still take. */
  free: number;
  /** Bytes that the device says it wrote to the buffer {@link next} returned. Unsigned; not to be trusted. */
  usedLength = 0;
  /** Set when the device broke the ring; {@link next} then returns nothing. */
  broken = false;
  /** What the device said that can't be true. */
  readonly faults: QueueFaults = new QueueFaults();

  readonly #eventIndex: boolean;
  readonly #mask: number;
  /** Four words a descriptor: address low, address high, length, flags and next. */
  readonly #descriptors: Int32Array<ArrayBuffer>;
  /** flags, index, entries, used_event. */
  readonly #available: Uint16Array<ArrayBuffer>;
  /** flags, index; and avail_event at the end. */
  readonly #used: Uint16Array<ArrayBuffer>;
  /** From 4 bytes into the used ring: number and length of each entry. */
  readonly #usedEntries: Uint32Array<ArrayBuffer>;
  /** 1 for each descriptor on loan to the device. */
  readonly #onLoan: Uint8Array;
  /** For the first descriptor of a command, the second one plus 1; 0 for a buffer. */
  readonly #second: Uint16Array;
  /** Stack of the numbers of free descriptors. */
  readonly #freeIds: Uint16Array;
  /** Next place in the available ring, 0 to 65535. */
  #next = 0;
  /** What of it the device has been shown. */
  #shown = 0;
  /** Next place of the used ring to look at, 0 to 65535. */
  #seen = 0;

  /**
   * @param buffer Memory of the queue, zeroed here. @param layout Where in it.
   * @param size Entries, a power of two from 1 to 32768. @param eventIndex Whether FEATURE_EVENT_IDX is agreed on.
   */
  constructor(buffer: ArrayBuffer, layout: QueueLayout, size: number, eventIndex: boolean) {
    if (size < 1 || size > 32768 || (size & (size - 1)) !== 0) {
      throw new RangeError(`Queue size must be a power of two from 1 to 32768, got ${size}`);
    }
    new Uint8Array(buffer, layout.descriptors, layout.end - layout.descriptors).fill(0);
    this.size = this.free = size;
    this.layout = layout;
    this.#eventIndex = eventIndex;
    this.#mask = size - 1;
    this.#descriptors = new Int32Array(buffer, layout.descriptors, 4 * size);
    this.#available = new Uint16Array(buffer, layout.available, size + 3);
    this.#used = new Uint16Array(buffer, layout.used, 4 * size + 3);
    this.#usedEntries = new Uint32Array(buffer, layout.used + 4, 2 * size);
    this.#onLoan = new Uint8Array(size);
    this.#second = new Uint16Array(size);
    this.#freeIds = new Uint16Array(size);
    for (let i = 0; i < size; i++) this.#freeIds[i] = size - 1 - i;
    this.disableInterrupts();
  }

  /** Buffers that the device has. */
  get onLoan(): number {
    return this.size - this.free;
  }

  /**
   * Queues a buffer. The device sees it with the next {@link publish}.
   * @param low Bits 0 to 31 of its address. @param high Bits 32 to 63. @param length Bytes, at least 1.
   * @param flags {@link DESCRIPTOR_WRITE} or 0.
   * @returns The number under which {@link next} gives it back, or -1 when the queue is full.
   */
  add(low: number, high: number, length: number, flags: number): number {
    if (this.free === 0) return -1;
    const id = this.#freeIds[--this.free]!;
    const at = id << 2;
    this.#descriptors[at] = low;
    this.#descriptors[at + 1] = high;
    this.#descriptors[at + 2] = length;
    this.#descriptors[at + 3] = flags;
    this.#onLoan[id] = 1;
    this.#available[2 + (this.#next & this.#mask)] = id;
    this.#next = (this.#next + 1) & 0xffff;
    return id;
  }

  /**
   * Queues a command: a part that the device reads, and one that it writes.
   * @returns As {@link add}: the number of both.
   */
  addPair(
    low: number,
    high: number,
    length: number,
    answerLow: number,
    answerHigh: number,
    answerLength: number,
  ): number {
    if (this.free < 2) return -1;
    const second = this.#freeIds[--this.free]!;
    const at = second << 2;
    this.#descriptors[at] = answerLow;
    this.#descriptors[at + 1] = answerHigh;
    this.#descriptors[at + 2] = answerLength;
    this.#descriptors[at + 3] = DESCRIPTOR_WRITE;
    const id = this.add(low, high, length, DESCRIPTOR_NEXT | second << 16);
    this.#second[id] = second + 1;
    return id;
  }

  /** Shows the device what was added. @returns Whether it wants to be notified. */
  publish(): boolean {
    const next = this.#next;
    const before = this.#shown;
    if (next === before) return false;
    this.#shown = next;
    // Sequentially consistent: after the entries, and before the look at what the device wants.
    Atomics.store(this.#available, 1, next);
    if (!this.#eventIndex) return (Atomics.load(this.#used, 0) & USED_NO_NOTIFY) === 0;
    const event = Atomics.load(this.#used, 2 + 4 * this.size);
    return ((next - event - 1) & 0xffff) < ((next - before) & 0xffff);
  }

  /**
   * Takes back the next buffer that the device is done with.
   * @returns Its number ({@link usedLength} is set), or -1 when there is none.
   */
  next(): number {
    while (!this.broken) {
      const index = Atomics.load(this.#used, 1);
      if (index === this.#seen) return -1;
      if (((index - this.#seen) & 0xffff) > this.size) {
        this.broken = true;
        this.faults.badIndices++;
        return -1;
      }
      const at = (this.#seen & this.#mask) << 1;
      this.#seen = (this.#seen + 1) & 0xffff;
      const id = this.#usedEntries[at]!;
      if (id >= this.size || this.#onLoan[id] === 0) {
        this.faults.badIds++;
        continue;
      }
      this.usedLength = this.#usedEntries[at + 1]!;
      this.#onLoan[id] = 0;
      this.#freeIds[this.free++] = id;
      const second = this.#second[id]!;
      if (second !== 0) {
        this.#second[id] = 0;
        this.#freeIds[this.free++] = second - 1;
      }
      return id;
    }
    return -1;
  }

  /**
   * Asks for an interrupt when `count` more buffers have come back.
   * @param count 1 to {@link size}; without event indices it is always 1.
   * @returns False when they are there already, so that no interrupt may come.
   */
  enableInterrupts(count: number): boolean {
    if (this.#eventIndex) {
      Atomics.store(this.#available, 2 + this.size, (this.#seen + count - 1) & 0xffff);
    } else {
      Atomics.store(this.#available, 0, 0);
      count = 1;
    }
    return ((Atomics.load(this.#used, 1) - this.#seen) & 0xffff) < count;
  }

  /** Asks for no interrupts. One may come nevertheless. */
  disableInterrupts(): void {
    if (this.#eventIndex) this.#available[2 + this.size] = (this.#seen - 1) & 0xffff;
    else this.#available[0] = AVAILABLE_NO_INTERRUPT;
  }
}
