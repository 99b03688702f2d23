/**
 * IPv4 addresses of one link, for hosts that nobody gives one (RFC 3927).
 *
 * @module
 */

import { Cidr, IpAddress } from "../ip/address.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import type { AddressClaim, ClaimHandler } from "./address_claim.ts";
import type { Interface } from "./interface.ts";

/** 169.254.1.0, and how many addresses follow that may be used (RFC 3927, section 2.1). */
const FIRST = 0xa9fe0100, COUNT = 254 * 256;
const PREFIX = 16;
/** Conflicts after which a new address is tried only every minute (RFC 3927, section 9). */
const MOST_CONFLICTS = 10, RATE_LIMIT = 60_000_000;

/** Finds and keeps a link-local address for one interface: asks for it, announces and defends it. */
export class LinkLocalAddress implements ClaimHandler, TimerOwner {
  /** The address, while the interface has it; or null. */
  address: IpAddress | null = null;
  /** Candidates that turned out to be somebody else's. */
  conflicts = 0;
  readonly #interface: Interface;
  readonly #changed: () => void;
  readonly #timer: Timer = new Timer(this);
  #candidate: IpAddress | null = null;
  #claim: AddressClaim | null = null;
  #running = false;

  /**
   * Makes it; nothing is done yet.
   * @param owner The interface. @param changed Called when it has got or lost the address.
   */
  constructor(owner: Interface, changed: () => void) {
    this.#interface = owner;
    this.#changed = changed;
  }

  /** Whether it has or looks for an address. */
  get running(): boolean {
    return this.#running;
  }

  /** Begins to look for an address; that takes 4 to 7 seconds. Does nothing when it has begun. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#candidate ??= this.#first();
    this.#try();
  }

  /** Gives the address up. The next {@link start} tries the same again. */
  stop(): void {
    if (!this.#running) return;
    this.#running = false;
    this.#interface.stack.timers.cancel(this.#timer);
    this.#claim?.end();
    this.#claim = null;
    this.#remove();
  }

  claimed(): void {
    const address = this.#candidate!;
    this.conflicts = 0;
    this.address = address;
    this.#interface.addAddress(new Cidr(address, PREFIX));
    this.#changed();
  }

  conflict(): void {
    this.#claim = null;
    this.conflicts++;
    this.#candidate = this.#random();
    this.#remove();
    if (!this.#running) return;
    const { stack } = this.#interface;
    if (this.conflicts < MOST_CONFLICTS) this.#try();
    else stack.timers.arm(this.#timer, stack.now + RATE_LIMIT);
  }

  expire(): void {
    this.#try();
  }

  #try(): void {
    const { arp, stack } = this.#interface;
    // Another of our interfaces may have it.
    while (stack.isLocal(this.#candidate!)) this.#candidate = this.#random();
    this.#claim = arp.claim(this.#candidate!, this);
    stack.wake();
  }

  #remove(): void {
    const { address } = this;
    if (address === null) return;
    this.address = null;
    this.#interface.removeAddress(address);
    this.#changed();
  }

  /** Made of the link address, so that a host mostly keeps its address (RFC 3927, section 2.1). */
  #first(): IpAddress {
    const { macHigh, macLow } = this.#interface;
    let word = macHigh ^ macLow;
    word = Math.imul(word ^ word >>> 16, 0x45d9f3b);
    word = Math.imul(word ^ word >>> 16, 0x45d9f3b);
    return candidate(word ^ word >>> 16);
  }

  #random(): IpAddress {
    return candidate(this.#interface.stack.random());
  }
}

function candidate(word: number): IpAddress {
  return IpAddress.v4(FIRST + (word >>> 0) % COUNT);
}
