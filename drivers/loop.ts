/**
 * The event loop that drives a stack and its devices inside Deno's own.
 *
 * A turn takes the time once, has each device deliver up to a budget of frames, and ends with the stack's poll, which
 * expires timers, sends and flushes. Between two turns promises, timers and other sockets of the process get their
 * chance. While there is something to do the turns follow one another by `setImmediate`, and for a short time after
 * that, since the next frame often comes at once. Then the loop sleeps: every device is armed, and a timer set to the
 * next deadline.
 *
 * Deno's timers take 2 ms at least. A deadline that is nearer is waited for awake; a farther one of the stack may be
 * kept one or two milliseconds late. A device's deadline (that of a link with a delay) is kept exactly: the loop wakes
 * before it and waits awake for the rest. A loop with nothing to do costs no CPU time.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import type { Handler } from "../stack/packet.ts";

/** What the loop drives; the stack is one. */
export interface Pollable {
  /** Called when there is work for {@link poll} which no frame brought. The loop sets it. */
  onWork: (() => void) | null;
  /**
   * Times that an application could not take all that a frame brought. A turn in which it grows ends early, so that the
   * application reads before more is kept for it.
   */
  readonly pauses?: number;
  /** Sets the time, in µs, before frames are delivered. */
  advance(now: number): void;
  /** Does what is due. @returns When to be called again, in µs; `Infinity` for never. */
  poll(now: number): number;
}

/** Options of a {@link Loop}. */
export interface LoopOptions {
  /** Frames that one device may deliver in a turn, 1 to 65536; 64 by default. */
  budget?: number;
  /** µs to stay awake after the last activity, 0 to 1,000,000; 100 by default. Costs CPU time, saves wake-ups. */
  spin?: number;
  /** The time, in µs; the time since the process started by default. */
  clock?: () => number;
  /**
   * Gets what a device or the stack throws, and why a device is gone; `where` says which. The loop goes on. By
   * default it is an uncaught error of the process.
   */
  onError?: (error: unknown, where: string) => void;
}

/** What a loop has done. */
export class LoopCounters {
  /** Turns. */
  turns = 0;
  /** Frames that were delivered. */
  frames = 0;
  /** Times it went to sleep. */
  sleeps = 0;
}

/** A device and who gets its frames. */
interface Port {
  readonly device: Device;
  readonly receiver: Handler;
}

/** Frames between two looks at {@link Pollable.pauses}. */
const SLICE = 8;
/** Turns, after one that ended because of {@link Pollable.pauses}, which look after each frame: the next pause is near. */
const CAREFUL_TURNS = 16;
/** Deno keeps no timer shorter than this, in µs; nearer deadlines are waited for awake. */
const SHORTEST_SLEEP = 2500;
/** How long before a device's deadline to wake, in µs. */
const LEAD = 2000;
/** How long after an exception of the stack it is polled again, in µs: what it had not come to yet is still due. */
const RETRY = 10_000;
/** The longest sleep, in ms, that `setTimeout` takes. */
const LONGEST_SLEEP = 0x7fff_ffff;

/**
 * Drives one stack. It holds the process open until it is closed.
 * @example
 * ```ts
 * import { Loop } from "./loop.ts";
 * import { MemoryDevice } from "./memory.ts";
 *
 * const [device, peer] = MemoryDevice.pair();
 * const stack = { onWork: null, advance() {}, poll: () => Infinity };
 * using loop = new Loop(stack);
 * loop.add(device, { receive: (packet) => console.log(packet.length) });
 * peer.close();
 * ```
 */
export class Loop {
  /** Running totals. */
  readonly counters: LoopCounters = new LoopCounters();
  readonly #stack: Pollable;
  readonly #budget: number;
  readonly #spin: number;
  readonly #clock: () => number;
  readonly #onError: (error: unknown, where: string) => void;
  readonly #ports: Port[] = [];
  /** A timer that only holds the process open: memory devices and idle stacks do not. */
  readonly #hold: ReturnType<typeof setInterval>;
  readonly #turnBound = (): void => {
    this.#scheduled = false;
    this.#turn();
  };
  readonly #kickBound = (): void => this.kick();
  readonly #wakeBound = (): void => this.#turn();
  readonly #timerBound = (): void => {
    this.#timerDue = Infinity;
    this.#turn();
  };
  /** The loop stays awake until then. */
  #awakeUntil = 0;
  #running = false;
  /** When the turn began. */
  #began = 0;
  /** How many more turns look after each frame whether the application keeps up. */
  #careful = 0;
  #kicked = false;
  #scheduled = false;
  #armed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerDue = Infinity;
  #closed = false;

  /**
   * Takes the stack over, and does its first turn soon.
   * @param stack What to drive; one loop each. @param options How. @throws {RangeError} If an option is out of range.
   */
  constructor(stack: Pollable, options: LoopOptions = {}) {
    const { budget = 64, spin = 100, clock = microseconds, onError = uncaught } = options;
    if (!Number.isInteger(budget) || budget < 1 || budget > 65536) {
      throw new RangeError(`Option budget is "${budget}"; give a whole number from 1 to 65536`);
    }
    if (!(spin >= 0 && spin <= 1_000_000)) {
      throw new RangeError(`Option spin is "${spin}"; give µs from 0 to 1000000`);
    }
    this.#stack = stack;
    this.#budget = budget;
    this.#spin = spin;
    this.#clock = clock;
    this.#onError = onError;
    this.#hold = setInterval(() => {}, LONGEST_SLEEP);
    stack.onWork = this.#kickBound;
    this.kick();
  }

  /** The time, in µs, by the loop's clock; within a turn that at which the turn began, for reading a clock is dear. */
  get now(): number {
    return this.#running ? this.#began : this.#clock();
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The devices, in the order in which they were added. Those that are gone are not among them. */
  get devices(): Device[] {
    return this.#ports.map((port) => port.device);
  }

  /** Has `receiver` (an interface of the stack) get the frames of `device`. The loop closes the device in the end. */
  add(device: Device, receiver: Handler): void {
    this.#ports.push({ device, receiver });
    this.kick();
  }

  /** Leaves a device to the caller again. Idempotent. */
  remove(device: Device): void {
    const at = this.#ports.findIndex((port) => port.device === device);
    if (at < 0) return;
    device.disarm();
    this.#ports.splice(at, 1);
  }

  /** Asks for a turn soon; many calls before it make one turn. For work that the loop did not see coming. */
  kick(): void {
    this.#kicked = true;
    // A turn that runs now looks at the flag when it ends.
    if (!this.#running) this.#schedule();
  }

  /** Ends the loop and closes its devices. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#stack.onWork === this.#kickBound) this.#stack.onWork = null;
    clearTimeout(this.#timer);
    clearInterval(this.#hold);
    for (const { device } of this.#ports.splice(0)) device.close();
  }

  /** Same as {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(this.#turnBound);
  }

  #turn(): void {
    if (this.#closed || this.#running) return;
    if (this.#armed) this.#disarm();
    const now = this.#began = this.#clock();
    let busy = this.#kicked;
    this.#kicked = false;
    this.#running = true;
    this.counters.turns++;
    const more = this.#receive(now);
    if (this.#delivered > 0) {
      busy = true;
      this.counters.frames += this.#delivered;
    }
    let next = Infinity;
    try {
      next = this.#stack.poll(now);
    } catch (error) {
      next = now + RETRY;
      this.#onError(error, "stack");
    }
    const exact = this.#flush();
    const nearest = Math.min(next, exact);
    this.#running = false;
    if (this.#closed) return;
    if (busy) this.#awakeUntil = now + this.#spin;
    if (more || this.#kicked || now < this.#awakeUntil || nearest - now < SHORTEST_SLEEP) {
      this.#schedule();
    } else {
      this.#sleep(now, Math.min(next, exact - LEAD));
    }
  }

  /** Frames of this turn. */
  #delivered = 0;

  /** @returns Whether a device may have more. */
  #receive(now: number): boolean {
    const ports = this.#ports;
    let more = false;
    this.#delivered = 0;
    if (this.#careful > 0) this.#careful--;
    try {
      this.#stack.advance(now);
    } catch (error) {
      this.#onError(error, "stack");
    }
    for (let index = 0; index < ports.length; index++) {
      const { device, receiver } = ports[index]!;
      try {
        if (this.#drain(device, receiver, now)) more = true;
      } catch (error) {
        // The rest of its frames waits for the next turn.
        more = true;
        this.#onError(error, device.name);
      }
    }
    return more;
  }

  /** Delivers frames of one device. @returns Whether it may have more. */
  #drain(device: Device, receiver: Handler, now: number): boolean {
    const stack = this.#stack;
    const pauses = stack.pauses;
    const most = this.#careful > 0 ? 1 : SLICE;
    for (let left = this.#budget; left > 0;) {
      const slice = left < most ? left : most;
      const count = device.poll(receiver, slice, now);
      this.#delivered += count;
      left -= count;
      if (count < slice) return false;
      if (stack.pauses !== pauses) {
        this.#careful = CAREFUL_TURNS;
        break;
      }
    }
    return true;
  }

  /** @returns The earliest deadline of the devices. */
  #flush(): number {
    const ports = this.#ports;
    let next = Infinity;
    for (let index = 0; index < ports.length; index++) {
      const { device } = ports[index]!;
      try {
        device.flush();
      } catch (error) {
        this.#onError(error, device.name);
      }
      if (device.closed) {
        ports.splice(index--, 1);
        // A wrapper may hold more than the device which is gone (a file).
        device.close();
        if (device.failure !== null) this.#onError(device.failure, device.name);
      } else if (device.deadline < next) {
        next = device.deadline;
      }
    }
    return next;
  }

  #sleep(now: number, next: number): void {
    const ports = this.#ports;
    this.#armed = true;
    for (let index = 0; index < ports.length; index++) {
      if (!ports[index]!.device.arm(this.#wakeBound)) {
        this.#disarm();
        return this.#schedule();
      }
    }
    this.counters.sleeps++;
    // A timer that goes off too early costs less than setting a new one in each sleep.
    if (this.#timerDue > now && this.#timerDue <= next) return;
    clearTimeout(this.#timer);
    this.#timerDue = next;
    if (next === Infinity) return;
    const delay = Math.ceil((next - now) / 1000);
    this.#timer = setTimeout(this.#timerBound, Math.min(delay, LONGEST_SLEEP));
  }

  #disarm(): void {
    this.#armed = false;
    for (let index = 0; index < this.#ports.length; index++) this.#ports[index]!.device.disarm();
  }
}

function microseconds(): number {
  return performance.now() * 1000;
}

function uncaught(error: unknown): void {
  reportError(error);
}
