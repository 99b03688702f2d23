/**
 * Those who look at packets before anybody else does.
 *
 * @module
 */

import type { Packet, Tap } from "./packet.ts";

/** A list of taps at one place, asked in order of registration. What they throw is reported, and changes nothing. */
export class Taps {
  readonly #where: string;
  readonly #report: (error: unknown, where: string) => void;
  #list: readonly Tap[] = [];

  /**
   * Makes an empty list.
   * @param where What the place is called. @param report Gets what taps throw.
   */
  constructor(where: string, report: (error: unknown, where: string) => void) {
    this.#where = where;
    this.#report = report;
  }

  /** Whether there is one. */
  get any(): boolean {
    return this.#list.length > 0;
  }

  /** Adds one. @returns Takes it away again. */
  add(tap: Tap): () => void {
    this.#list = [...this.#list, tap];
    return () => {
      this.#list = this.#list.filter((other) => other !== tap);
    };
  }

  /** Shows a packet to all of them. @returns True when one has taken it. */
  show(packet: Packet): boolean {
    return this.#list.length > 0 && this.#ask(packet);
  }

  #ask(packet: Packet): boolean {
    const list = this.#list;
    for (let i = 0; i < list.length; i++) {
      try {
        if (list[i]!.receive(packet)) return true;
      } catch (error) {
        this.#report(error, this.#where);
      }
    }
    return false;
  }
}
