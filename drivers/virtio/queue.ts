/**
 * A split virtqueue, the driver's side (virtio 1.2, section 2.7). A buffer has a descriptor for each of its parts.
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
  /** For each descriptor, the one that goes on with its buffer plus 1; 0 for the last one. What the device says is not asked. */
  readonly #following: Uint16Array;
  /** Numbers of free descriptors, those that came back first in front: so they are used in the order of the table. */
  readonly #freeIds: Uint16Array;
  /** Where in it the next one is taken, and where the next one goes. */
  #freeHead = 0;
  #freeTail = 0;
  /** The last descriptor of the buffer that was added last. */
  #last = 0;
  readonly #inOrder: boolean;
  /** Whether the device has named a buffer that {@link next} has not returned; its length. */
  #named = false;
  #namedLength = 0;
  /** Buffers in front of that one, which are done as well, and used to the last byte. */
  #inFront = 0;
  /** Next place in the available ring, 0 to 65535. */
  #next = 0;
  /** What of it the device has been shown. */
  #shown = 0;
  /** Next place of the used ring to look at, 0 to 65535. */
  #seen = 0;
  /** How far the device had come when its index was last read: what lies before it needs no look at memory that it writes. */
  #reached = 0;

  /**
   * @param buffer Memory of the queue, zeroed here. @param layout Where in it.
   * @param size Entries, a power of two from 1 to 32768. @param eventIndex Whether FEATURE_EVENT_IDX is agreed on.
   * @param inOrder Whether FEATURE_HIGH_IN_ORDER is: the device is done with buffers in the order in which it got them, and may
   *   name the last of several for all of them (section 2.7.9).
   */
  constructor(
    buffer: ArrayBuffer,
    layout: QueueLayout,
    size: number,
    eventIndex: boolean,
    inOrder: boolean = false,
  ) {
    if (size < 1 || size > 32768 || (size & (size - 1)) !== 0) {
      throw new RangeError(`Queue size must be a power of two from 1 to 32768, got ${size}`);
    }
    new Uint8Array(buffer, layout.descriptors, layout.end - layout.descriptors).fill(0);
    this.size = this.free = size;
    this.layout = layout;
    this.#eventIndex = eventIndex;
    this.#inOrder = inOrder;
    this.#mask = size - 1;
    this.#descriptors = new Int32Array(buffer, layout.descriptors, 4 * size);
    this.#available = new Uint16Array(buffer, layout.available, size + 3);
    this.#used = new Uint16Array(buffer, layout.used, 4 * size + 3);
    this.#usedEntries = new Uint32Array(buffer, layout.used + 4, 2 * size);
    this.#onLoan = new Uint8Array(size);
    this.#following = new Uint16Array(size);
    this.#freeIds = new Uint16Array(size);
    for (let i = 0; i < size; i++) this.#freeIds[i] = i;
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
    const id = this.#take();
    this.#describe(id, low, high, length, flags);
    this.#onLoan[id] = 1;
    this.#available[2 + (this.#next & this.#mask)] = id;
    this.#next = (this.#next + 1) & 0xffff;
    return id;
  }

  /**
   * Goes on with the buffer that was added last and that the device has not been shown: it has one more part, which may lie
   * anywhere. Parts that the device writes come behind those that it reads (section 2.7.4.2).
   * @returns False when the queue is full; the buffer stays as it was.
   */
  extend(low: number, high: number, length: number, flags: number): boolean {
    if (this.free === 0) return false;
    const last = this.#last;
    const part = this.#take();
    this.#describe(part, low, high, length, flags);
    this.#descriptors[(last << 2) + 3]! |= DESCRIPTOR_NEXT | part << 16;
    this.#following[last] = part + 1;
    return true;
  }

  #take(): number {
    const id = this.#freeIds[this.#freeHead]!;
    this.#freeHead = (this.#freeHead + 1) & this.#mask;
    this.free--;
    return id;
  }

  #describe(id: number, low: number, high: number, length: number, flags: number): void {
    const at = id << 2;
    this.#descriptors[at] = low;
    this.#descriptors[at + 1] = high;
    this.#descriptors[at + 2] = length;
    this.#descriptors[at + 3] = flags;
    this.#last = id;
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
      if (this.#named) return this.#nextInOrder();
      if (this.#reached === this.#seen) {
        const index = this.#reached = Atomics.load(this.#used, 1);
        if (index === this.#seen) return -1;
        if (((index - this.#seen) & 0xffff) > this.size) {
          this.broken = true;
          this.faults.badIndices++;
          return -1;
        }
      }
      const at = (this.#seen & this.#mask) << 1;
      const id = this.#usedEntries[at]!;
      if (id >= this.size || this.#onLoan[id] === 0) {
        this.faults.badIds++;
        // Whose turn it would have been is not known.
        if (this.#inOrder) this.broken = true;
        else this.#seen = (this.#seen + 1) & 0xffff;
        continue;
      }
      const length = this.#usedEntries[at + 1]!;
      if (!this.#inOrder) {
        this.usedLength = length;
        return this.#back(id);
      }
      this.#namedLength = length;
      if (!this.#findInOrder(id)) return -1;
    }
    return -1;
  }

  /** The buffer at the head of those that the device has is back. @returns Its number. */
  #back(id: number): number {
    this.#seen = (this.#seen + 1) & 0xffff;
    this.#onLoan[id] = 0;
    for (let part = id + 1; part !== 0;) {
      const at = part - 1;
      this.#freeIds[this.#freeTail] = at;
      this.#freeTail = (this.#freeTail + 1) & this.#mask;
      this.free++;
      part = this.#following[at]!;
      this.#following[at] = 0;
    }
    return id;
  }

  #nextInOrder(): number {
    const id = this.#available[2 + (this.#seen & this.#mask)]!;
    if (this.#inFront > 0) {
      this.#inFront--;
      this.usedLength = this.#descriptors[(id << 2) + 2]!;
    } else {
      this.#named = false;
      this.usedLength = this.#namedLength;
    }
    return this.#back(id);
  }

  /** Takes all up to the buffer `id` for used, whose length is known. @returns False when it is not among those. */
  #findInOrder(id: number): boolean {
    const most = (this.#reached - this.#seen) & 0xffff;
    for (let ahead = 0; ahead < most; ahead++) {
      if (this.#available[2 + (this.#seen + ahead & this.#mask)] !== id) continue;
      this.#inFront = ahead;
      this.#named = true;
      return true;
    }
    this.broken = true;
    this.faults.badIds++;
    return false;
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
