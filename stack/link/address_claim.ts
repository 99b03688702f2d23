/**
 * IPv4 addresses that nobody else may have: asking first, announcing, and defending (RFC 5227).
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import { Timer, type TimerOwner, type TimerWheel } from "../timer_wheel.ts";

/** Announcements, and µs between them (RFC 5227, section 1.1). */
const ANNOUNCEMENTS = 2, ANNOUNCE_INTERVAL = 2_000_000;
/** µs in which a second conflict means that the other host does not give way (RFC 5227, section 1.1). */
const DEFEND_INTERVAL = 10_000_000;

/** How an address is asked for. Times in µs. */
export interface ProbeTiming {
  /** Most of the random time before the first probe. */
  readonly wait: number;
  /** Probes. */
  readonly count: number;
  /** Least time between two of them. */
  readonly least: number;
  /** Most time between two of them. */
  readonly most: number;
  /** Time after the last one. */
  readonly settle: number;
}

/** The timing of RFC 5227, section 1.1: 4 to 7 seconds. */
export const PROBE_TIMING: ProbeTiming = {
  wait: 1_000_000,
  count: 3,
  least: 1_000_000,
  most: 2_000_000,
  settle: 2_000_000,
};

/** For an address that a server gives, and has asked for itself (RFC 2131, section 3.1): half a second. */
export const QUICK_PROBE_TIMING: ProbeTiming = {
  wait: 50_000,
  count: 2,
  least: 200_000,
  most: 200_000,
  settle: 250_000,
};

/** How far the claim to an address has come. */
export enum ClaimState {
  /** The others are being asked. */
  Probing,
  /** Nobody has objected: the address may be given to the interface. */
  Free,
  /** The interface has it, and it is defended. */
  Held,
  /** It is somebody else's, or was let go. */
  Over,
}

/** Whoever wants an address. */
export interface ClaimHandler {
  /** Nobody has objected. */
  claimed(claim: AddressClaim): void;
  /**
   * Somebody else has it: found while asking, or because he insists on it, twice in 10 seconds. The claim is over;
   * an address that the interface has is to be taken from it.
   */
  conflict(claim: AddressClaim): void;
}

/** Sends what a claim has to say. */
export interface ClaimOutput {
  /** The time, in µs. */
  readonly now: number;
  /** The stack's timers. */
  readonly timers: TimerWheel;
  /** Gives 32 random bits. */
  random(): number;
  /** Asks who has the address, without saying that it is ours. */
  probe(address: IpAddress): void;
  /** Says that it is ours. */
  announce(address: IpAddress): void;
  /** The claim is over. */
  ended(claim: AddressClaim): void;
}

/** The claim of one interface to one address. `Arp.claim` makes them. */
export class AddressClaim implements TimerOwner {
  /** The address. */
  readonly address: IpAddress;
  /** How far it has come. */
  state: ClaimState = ClaimState.Probing;
  /** Who wants it; null for an address that its owner has chosen: it is defended for ever, and never given up. */
  readonly handler: ClaimHandler | null;
  readonly #output: ClaimOutput;
  readonly #timing: ProbeTiming;
  readonly #timer: Timer = new Timer(this);
  #probes = 0;
  #announcements = 0;
  #defendedAt = -Infinity;

  /** @internal */
  constructor(output: ClaimOutput, address: IpAddress, handler: ClaimHandler | null, timing: ProbeTiming) {
    this.#output = output;
    this.address = address;
    this.handler = handler;
    this.#timing = timing;
  }

  /** @internal Asks the others. */
  start(): void {
    this.#arm(this.#between(0, this.#timing.wait));
  }

  /** @internal The interface has the address now. @param announce Whether to tell. */
  hold(announce: boolean): void {
    this.state = ClaimState.Held;
    this.#output.timers.cancel(this.#timer);
    if (!announce) return;
    this.#output.announce(this.address);
    // What is given by hand has been told to people; what was found has to reach everyone's cache.
    this.#announcements = 1;
    if (this.handler !== null) this.#arm(ANNOUNCE_INTERVAL);
  }

  /** Lets the address go: nobody is asked or told any more. */
  end(): void {
    if (this.state === ClaimState.Over) return;
    this.state = ClaimState.Over;
    this.#output.timers.cancel(this.#timer);
    this.#output.ended(this);
  }

  /** @internal Somebody else uses the address, or (`probe`) is about to. */
  contested(probe: boolean): void {
    if (this.state === ClaimState.Held) {
      // A probe is answered as every question is.
      if (probe) return;
      const { now } = this.#output;
      if (now - this.#defendedAt >= DEFEND_INTERVAL) {
        this.#defendedAt = now;
        this.#output.announce(this.address);
        return;
      }
      if (this.handler === null) return;
    }
    this.end();
    this.handler?.conflict(this);
  }

  expire(): void {
    if (this.state === ClaimState.Held) {
      this.#output.announce(this.address);
      if (++this.#announcements < ANNOUNCEMENTS) this.#arm(ANNOUNCE_INTERVAL);
      return;
    }
    const { count, least, most, settle } = this.#timing;
    if (this.#probes < count) {
      this.#output.probe(this.address);
      this.#arm(++this.#probes < count ? this.#between(least, most) : settle);
      return;
    }
    this.state = ClaimState.Free;
    this.handler?.claimed(this);
  }

  #arm(delay: number): void {
    this.#output.timers.arm(this.#timer, this.#output.now + delay);
  }

  #between(least: number, most: number): number {
    return least + (this.#output.random() >>> 0) / 2 ** 32 * (most - least);
  }
}
