/**
 * One hierarchical timer wheel for the whole stack (Varghese and Lauck, 1987).
 *
 * Arming, re-arming and cancelling cost the same however many timers there are, and allocate nothing: a timer is
 * an object that its owner makes once and that is linked into the wheel in place.
 *
 * @module
 */

/** µs of one tick, as a power of two: 16 µs. */
const TICK_BITS = 4;
/** Slots of one level, as a power of two. */
const LEVEL_BITS = 6;
const SLOTS = 1 << LEVEL_BITS;
const LEVELS = 7;
const TICK = 1 << TICK_BITS;
/** Farthest deadline that is kept exactly, in ticks; farther ones are put there and looked at again. */
const HORIZON = 2 ** (LEVEL_BITS * LEVELS) - 1;

/** Whoever owns a timer. */
export interface TimerOwner {
  /** Called once when `timer` has expired; it may be armed again from here. */
  expire(timer: Timer, now: number): void;
}

/** One timer. Make it once, arm it as often as needed. */
export class Timer {
  /** When it expires, in µs; `Infinity` while it is not armed. */
  deadline: number = Infinity;
  /** @internal */
  next: Timer | null = null;
  /** @internal */
  previous: Timer | null = null;
  /** @internal Level × slots + slot, or -1 while not in the wheel. */
  place = -1;
  /** Who is told. */
  readonly owner: TimerOwner;

  /**
   * Makes a timer that is not set.
   * @param owner Is told when the timer expires.
   */
  constructor(owner: TimerOwner) {
    this.owner = owner;
  }

  /** Whether it is armed. */
  get armed(): boolean {
    return this.deadline !== Infinity;
  }
}

/** Holds the timers of a stack. Times are µs, and never go back. */
export class TimerWheel {
  readonly #heads: (Timer | null)[] = new Array(SLOTS * LEVELS).fill(null);
  /** Occupied slots: two 32-bit words a level. */
  readonly #occupied = new Int32Array(2 * LEVELS);
  /** The next tick to be looked at. */
  #tick = 0;
  /** Nothing is due before, in µs. It may be too early by timers that were cancelled. */
  #bound = Infinity;
  /** Timers in the wheel. */
  size = 0;

  /** Arms `timer` to expire at `deadline` µs (at the first {@link advance} at or after it). Replaces what was set. */
  arm(timer: Timer, deadline: number): void {
    if (timer.place >= 0) this.#unlink(timer);
    timer.deadline = deadline;
    this.#insert(timer);
  }

  /** Disarms `timer`; does nothing when it is not armed. */
  cancel(timer: Timer): void {
    if (timer.place >= 0) this.#unlink(timer);
    timer.deadline = Infinity;
  }

  /**
   * When {@link advance} is next needed, in µs: the end of the tick of the earliest deadline, or sooner when
   * far timers have to be moved first; `Infinity` with no timers.
   */
  next(): number {
    return this.size === 0 ? Infinity : this.#bound;
  }

  /** What {@link next} should say, from the slots. */
  #earliest(): number {
    if (this.size === 0) return Infinity;
    for (let level = 0; level < LEVELS; level++) {
      const shift = level * LEVEL_BITS;
      const position = Math.floor(this.#tick / 2 ** shift) % SLOTS;
      const distance = this.#distance(level, position);
      if (distance < 0) continue;
      // The timers of the slot that is due next; level 0 slots hold one tick each.
      const slot = (position + distance) % SLOTS;
      let earliest = Infinity;
      for (let t = this.#heads[level * SLOTS + slot]!; t !== null; t = t.next!) {
        if (t.deadline < earliest) earliest = t.deadline;
      }
      // A higher level may hold an earlier one only in its current slot, which cascades first.
      const bound = this.#cascadeTime(level);
      if (earliest >= bound) return bound;
      // What was armed for a tick that has been looked at already waits for the next one.
      return Math.max(Math.ceil(earliest / TICK), this.#tick) * TICK;
    }
    return Infinity;
  }

  /** Expires everything due at `now`, in order of ticks. */
  advance(now: number): void {
    // Most calls come before anything is due: the wheel then stays where it is.
    if (now < this.#bound) return;
    this.#turn(Math.floor(now / TICK), now);
    this.#bound = this.#earliest();
  }

  #turn(target: number, now: number): void {
    while (this.#tick <= target) {
      if (this.size === 0) {
        this.#tick = target + 1;
        return;
      }
      const position = this.#tick % SLOTS;
      if (position === 0) this.#cascade();
      const distance = this.#distanceWithin(0, position);
      if (distance < 0) {
        // Nothing left in this turn of level 0: go to its next one if that has some already, or to where a higher
        // level moves timers down.
        let stop = this.#cascadeTime(0) / TICK;
        if ((this.#occupied[0]! | this.#occupied[1]!) !== 0) {
          stop = Math.min(stop, this.#tick - position + SLOTS);
        }
        if (stop > target) {
          this.#tick = target + 1;
          return;
        }
        this.#tick = stop;
        continue;
      }
      if (this.#tick + distance > target) {
        this.#tick = target + 1;
        return;
      }
      this.#tick += distance;
      this.#expire(this.#tick % SLOTS, now);
      this.#tick++;
    }
  }

  #expire(slot: number, now: number): void {
    // Taken out one by one: an owner may cancel or arm any other timer meanwhile.
    for (let timer = this.#heads[slot]!; timer !== null; timer = this.#heads[slot]!) {
      this.#unlink(timer);
      timer.deadline = Infinity;
      timer.owner.expire(timer, now);
    }
  }

  /** Moves the timers of every level whose slot begins at the current tick one level down. */
  #cascade(): void {
    let tick = this.#tick;
    for (let level = 1; level < LEVELS; level++) {
      tick = Math.floor(tick / SLOTS);
      const slot = tick % SLOTS;
      const place = level * SLOTS + slot;
      let timer = this.#heads[place]!;
      while (timer !== null) {
        const next = timer.next;
        this.#unlink(timer);
        this.#insert(timer);
        timer = next!;
      }
      if (slot !== 0) break;
    }
  }

  #insert(timer: Timer): void {
    // Rounded up: a timer never expires early. What is past expires with the next advance.
    let tick = Math.ceil(timer.deadline / TICK);
    if (!(tick > this.#tick)) tick = this.#tick;
    let delta = tick - this.#tick;
    if (delta > HORIZON) {
      delta = HORIZON;
      tick = this.#tick + HORIZON;
    }
    let level = 0;
    let span = SLOTS;
    let unit = 1;
    // The level is the lowest whose turn covers the deadline without meeting its own current slot again.
    while (level < LEVELS - 1 && Math.floor(tick / unit) - Math.floor(this.#tick / unit) >= SLOTS) {
      unit = span;
      span *= SLOTS;
      level++;
    }
    const place = level * SLOTS + Math.floor(tick / unit) % SLOTS;
    const head = this.#heads[place]!;
    timer.place = place;
    timer.previous = null;
    timer.next = head;
    if (head !== null) head.previous = timer;
    this.#heads[place] = timer;
    const slot = place % SLOTS;
    this.#occupied[2 * level + (slot >> 5)]! |= 1 << (slot & 31);
    this.size++;
    if (tick * TICK < this.#bound) this.#bound = tick * TICK;
  }

  #unlink(timer: Timer): void {
    const place = timer.place;
    if (timer.previous !== null) timer.previous.next = timer.next;
    else this.#heads[place] = timer.next;
    if (timer.next !== null) timer.next.previous = timer.previous;
    timer.next = timer.previous = null;
    timer.place = -1;
    this.size--;
    if (this.#heads[place] === null) {
      const slot = place % SLOTS;
      this.#occupied[2 * Math.floor(place / SLOTS) + (slot >> 5)]! &= ~(1 << (slot & 31));
    }
  }

  /** @returns Slots from `position` to the next occupied one of the same turn, or -1. */
  #distanceWithin(level: number, position: number): number {
    const low = this.#occupied[2 * level]!;
    const high = this.#occupied[2 * level + 1]!;
    if (position < 32) {
      const word = low & (-1 << position);
      if (word !== 0) return 31 - Math.clz32(word & -word) - position;
      return high === 0 ? -1 : 63 - Math.clz32(high & -high) - position;
    }
    const word = high & (-1 << (position & 31));
    return word === 0 ? -1 : 63 - Math.clz32(word & -word) - position;
  }

  /** As {@link #distanceWithin}, but going around once. */
  #distance(level: number, position: number): number {
    const within = this.#distanceWithin(level, position);
    if (within >= 0) return within;
    const around = this.#distanceWithin(level, 0);
    return around < 0 ? -1 : around + SLOTS - position;
  }

  /**
   * When a level above `level` next moves timers down, in µs; `Infinity` when those are empty. A lower level that has
   * timers may have come around, so that a higher one is first.
   */
  #cascadeTime(level: number): number {
    let next = Infinity;
    for (let above = level + 1; above < LEVELS; above++) {
      if ((this.#occupied[2 * above]! | this.#occupied[2 * above + 1]!) === 0) continue;
      const unit = 2 ** (above * LEVEL_BITS);
      const current = Math.floor(this.#tick / unit);
      // The current slot was emptied at its beginning, unless that is this very tick.
      const first = this.#tick % unit === 0 ? current : current + 1;
      const time = (first + this.#distance(above, first % SLOTS)) * unit;
      if (time < next) next = time;
    }
    return next * TICK;
  }
}
