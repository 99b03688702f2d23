/**
 * The stack's own time for what `net/` has to wait for, so that a simulation governs it too.
 *
 * @module
 */

import { Timer, type TimerOwner, type TimerWheel } from "../stack/timer_wheel.ts";

/** Time as `net/` needs it. */
export interface Clock {
  /** The stack's timers. */
  readonly timers: TimerWheel;
  /** The time now, in µs; unlike `Stack.now` never that of a turn long ago. */
  time(): number;
  /** The time of the turn under way, in µs: costs nothing, and is true within a callback of the stack only. */
  turn(): number;
  /** Has the event loop look at the deadlines again. */
  wake(): void;
}

/** Calls a function at a time. */
export class Alarm implements TimerOwner {
  readonly #clock: Clock;
  readonly #ring: () => void;
  readonly #timer: Timer = new Timer(this);

  /** @param clock Whose time. @param ring What to call; must not throw. */
  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** When it rings, in µs; `Infinity` while it is not set. */
  get deadline(): number {
    return this.#timer.deadline;
  }

  /** Whether it is set. */
  get armed(): boolean {
    return this.#timer.armed;
  }

  /** Rings in `delay` µs; replaces what was set. */
  set(delay: number): void {
    this.#clock.timers.arm(this.#timer, this.#clock.time() + delay);
    this.#clock.wake();
  }

  /** Does not ring any more. */
  cancel(): void {
    this.#clock.timers.cancel(this.#timer);
  }

  /** @internal */
  expire(): void {
    this.#ring();
  }
}
