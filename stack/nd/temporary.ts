/**
 * Addresses of chance beside the stable ones, each for a while (RFC 8981).
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import { AddressOrigin, type OwnAddress } from "../ip/own_address.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import type { NeighbourDiscovery } from "./discovery.ts";

/** How long temporary addresses are used, and whether rather than others. */
export interface TemporaryOptions {
  /** Seconds for which new conversations take an address, at most; a random part of 40% goes off. Default: a day. */
  preferredLifetime?: number;
  /** Seconds for which an address is there, at most. Default: two days. */
  validLifetime?: number;
  /** Whether conversations that we begin take temporary addresses rather than stable ones. Default true. */
  prefer?: boolean;
}

/** Seconds (RFC 8981, section 3.8). */
const PREFERRED = 86_400, VALID = 172_800;
/** Part of the preferred lifetime that goes off at random, so that hosts which came together do not change together. */
const DESYNC = 0.4;
/** Probes that an address may take until one is found that nobody has, and seconds beside them. */
const RETRIES = 3, ADVANCE = 2;

/** Makes the temporary addresses of one interface, and the next before one is over. */
export class TemporaryAddresses implements TimerOwner {
  readonly #discovery: NeighbourDiscovery;
  readonly #stack: Stack;
  readonly #options: TemporaryOptions | null;
  readonly #timer: Timer = new Timer(this);
  #failed = false;

  /**
   * Makes them; the first address comes with the first prefix.
   * @param discovery The interface's. @param stack Its stack. @param options How, or whether at all.
   * @throws {RangeError} When a lifetime is not a positive number, or the preferred one longer than the valid one.
   */
  constructor(discovery: NeighbourDiscovery, stack: Stack, options: boolean | TemporaryOptions) {
    this.#discovery = discovery;
    this.#stack = stack;
    this.#options = options === false ? null : options === true ? {} : options;
    const { preferredLifetime = PREFERRED, validLifetime = VALID } = this.#options ?? {};
    if (!(preferredLifetime > 0 && preferredLifetime <= validLifetime)) {
      throw new RangeError(
        `Lifetimes of temporary addresses must be positive, the preferred not longer than the valid, got ${preferredLifetime} and ${validLifetime}`,
      );
    }
  }

  /** @internal Makes no more of them. */
  stop(): void {
    this.#stack.timers.cancel(this.#timer);
  }

  /** @internal It may be another link now, on which others answer. */
  restart(): void {
    this.#failed = false;
  }

  /** @internal Every address that was tried is somebody's: as whoever says so would say of the next, no more are made on this link (section 3.4). */
  fail(): void {
    this.#failed = true;
  }

  /** @internal An address of a prefix was made, or has got other lifetimes: its temporary ones follow (section 3.4). */
  follow(stable: OwnAddress): void {
    if (this.#options === null) return;
    for (const own of this.#of(stable)) {
      own.routers = stable.routers;
      if (own.live(this.#stack.now, stable.preferredUntil, stable.validUntil)) this.#stack.generation++;
    }
    this.#renew();
  }

  expire(): void {
    this.#renew();
  }

  /** Makes an address of each prefix that has none for much longer, and comes back before the first is over. */
  #renew(): void {
    const { now, timers } = this.#stack;
    const advance = this.#advance();
    let next = Infinity;
    for (const stable of this.#discovery.addresses) {
      if (stable.origin !== AddressOrigin.Router) continue;
      // A stable address that ends soon can't have a temporary one that ends later.
      if (stable.preferredUntil <= now + advance) continue;
      let last = this.#last(stable);
      if (last <= now + advance && !this.#failed) last = this.#make(stable) ?? last;
      if (last > now + advance) next = Math.min(next, last - advance);
    }
    if (next === Infinity) timers.cancel(this.#timer);
    else timers.arm(this.#timer, next);
  }

  /** When the last temporary address of a prefix stops to be preferred, in µs. */
  #last(stable: OwnAddress): number {
    return this.#of(stable).reduce((last, own) => Math.max(last, own.preferredUntil), 0);
  }

  /** @returns When it stops to be preferred, in µs; null when none was made. */
  #make(stable: OwnAddress): number | null {
    const { now, random } = this.#stack;
    const { preferredLifetime = PREFERRED, validLifetime = VALID, prefer = true } = this.#options!;
    const desync = DESYNC * ((random() >>> 0) / 2 ** 32);
    const preferredLimit = now + preferredLifetime * 1e6 * (1 - desync);
    // It would be over before the next one is sure (section 3.4, step 5).
    if (preferredLimit <= now + this.#advance()) return null;
    const { address } = stable;
    const prefix = IpAddress.v6(address.a, address.b, 0, 0);
    const own = this.#discovery.makeAddress(prefix, AddressOrigin.Temporary, 0);
    if (own === null) return null;
    own.routers = stable.routers;
    own.preferredLimit = preferredLimit;
    own.validLimit = now + validLifetime * 1e6;
    own.preference = prefer ? 1 : -1;
    own.live(now, stable.preferredUntil, stable.validUntil);
    this.#stack.generation++;
    return own.preferredUntil;
  }

  /** µs that a new address needs until it is sure (REGEN_ADVANCE, section 3.8). */
  #advance(): number {
    const { limits } = this.#stack;
    return ADVANCE * 1e6 + RETRIES * limits.duplicateProbes * this.#discovery.neighbours.retransmit;
  }

  #of({ address }: OwnAddress): OwnAddress[] {
    return this.#discovery.addresses.filter((own) =>
      own.origin === AddressOrigin.Temporary && own.address.a === address.a && own.address.b === address.b
    );
  }
}
