/**
 * Things that belong to IPv6 addresses, found by the bytes of a header.
 *
 * @module
 */

import type { IpAddress } from "./address.ts";

const NONE: readonly never[] = [];

/**
 * A small table of things with an address. Which addresses are in it is decided by us and not by what comes in, so
 * its hash needs no secret. Looking up allocates nothing.
 */
export class AddressTable<T extends { readonly address: IpAddress }> {
  readonly #byLast = new Map<number, readonly T[]>();

  /** The first thing whose address is the 16 bytes at `at`, or null. */
  find(view: DataView, at: number): T | null {
    const list = this.chain(view.getInt32(at + 12));
    for (let i = 0; i < list.length; i++) if (list[i]!.address.isAt(view, at)) return list[i]!;
    return null;
  }

  /** The first thing with this address, or null. */
  get(address: IpAddress): T | null {
    const list = this.chain(address.d);
    for (let i = 0; i < list.length; i++) if (list[i]!.address.equals(address)) return list[i]!;
    return null;
  }

  /** All things whose address ends with this word, several of the same address among them. */
  chain(last: number): readonly T[] {
    return this.#byLast.get(last) ?? NONE;
  }

  /** All things. Allocates. */
  all(): T[] {
    return [...this.#byLast.values()].flat();
  }

  /** Enters a thing. */
  add(thing: T): void {
    this.#byLast.set(thing.address.d, [...this.chain(thing.address.d), thing]);
  }

  /** Takes a thing out. Does nothing when it is not there. */
  remove(thing: T): void {
    const rest = this.chain(thing.address.d).filter((other) => other !== thing);
    if (rest.length === 0) this.#byLast.delete(thing.address.d);
    else this.#byLast.set(thing.address.d, rest);
  }
}
