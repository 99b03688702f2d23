/**
 * Asking whether somebody has an address already (RFC 4862, section 5.4; RFC 7527 for probes that come back).
 *
 * @module
 */

import type { OwnAddress } from "../ip/own_address.ts";
import { Timer, type TimerOwner, type TimerWheel } from "../timer_wheel.ts";

/** Who sends the probes, and hears what has come of them. */
export interface ProbeOwner {
  /** Sends one probe. */
  sendProbe(probe: DuplicateProbe): void;
  /** Nobody has answered. */
  verified(probe: DuplicateProbe): void;
}

/** The probes for one address. */
export class DuplicateProbe implements TimerOwner {
  /** The address. */
  readonly own: OwnAddress;
  /** Upper 16 bits of what tells our probes from those of others. */
  readonly nonceHigh: number;
  /** Lower 32 bits of the same. */
  readonly nonceLow: number;
  readonly #owner: ProbeOwner;
  readonly #timers: TimerWheel;
  readonly #interval: number;
  readonly #timer: Timer = new Timer(this);
  #left: number;

  /** Makes it; nothing is sent yet. @param transmits How many probes. @param interval µs to wait after each. @param random Gives the nonce. */
  constructor(
    own: OwnAddress,
    owner: ProbeOwner,
    timers: TimerWheel,
    transmits: number,
    interval: number,
    random: () => number,
  ) {
    this.own = own;
    this.#owner = owner;
    this.#timers = timers;
    this.#left = transmits;
    this.#interval = interval;
    this.nonceHigh = random() & 0xffff;
    this.nonceLow = random() | 0;
  }

  /** Sends the first probe at `at` µs. */
  start(at: number): void {
    this.#timers.arm(this.#timer, at);
  }

  /** Sends no more probes. */
  stop(): void {
    this.#timers.cancel(this.#timer);
  }

  expire(_timer: Timer, now: number): void {
    if (this.#left === 0) {
      this.#owner.verified(this);
      return;
    }
    this.#left--;
    this.#timers.arm(this.#timer, now + this.#interval);
    this.#owner.sendProbe(this);
  }
}
