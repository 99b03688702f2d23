/**
 * Notices when a world stands still though its ends could go on. Silence is only good while timers wait for what got lost:
 * each frame that was lost accounts for one time-out, which doubles. Who did not find a neighbour does not ask for a while, in
 * which time-outs double, too.
 *
 * @module
 */

import { DEFAULT_LIMITS } from "../../stack/limits.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import { SendTimer } from "../../stack/tcp/connection_state.ts";

/** The longest time-out, in µs. */
const LONGEST = 120_000_000;
/** What a time-out is at least, and before a round trip was measured, in µs. */
const LEAST = 200_000, FIRST = 1_000_000;
/** What applications may wait for beside, and delayed ACKs, in µs. */
const SLACK = 400_000;

/** Counts silence since something last went on. */
export class StallDetector {
  /** µs since then in which nothing was on its way. */
  #silent = 0;
  /** Frames lost or damaged since then. */
  #harmed = 0;
  /** Among them was one that asked for a neighbour, or answered. */
  #unknown = false;
  /** How often time-outs had doubled then: they stay so until a round trip is measured again (RFC 6298, section 5.7). */
  #doubled = 0;
  /** Sum of how far connections had come when they were judged last. */
  #far = 0;

  /**
   * Something went on. @param connections Those that may have waited for it. @param unseen Whether there are others, in a
   * listener's queue, of whose time-outs nothing is known.
   */
  progress(connections: Iterable<TcpConnection>, unseen: boolean): void {
    if (this.#silent > LEAST || this.#harmed > 0) {
      let doubled = unseen ? this.#doubled + this.#harmed : 0, probes = 0;
      for (const c of connections) {
        doubled = Math.max(doubled, c.doublings);
        // What a time-out has doubled doubles the time of probes, each of which doubles it again.
        if (c.sendTimer === SendTimer.Window) probes = Math.max(probes, c.doublings + c.backoff);
      }
      // No more often than frames were lost; a window stays shut without any loss.
      this.#doubled = Math.max(Math.min(doubled, this.#doubled + this.#harmed), probes);
    }
    this.#silent = 0;
    this.#harmed = 0;
    this.#unknown = false;
  }

  /** A frame did not arrive, or not whole. @param neighbour It asked for a neighbour, or answered. */
  harmed(neighbour = false): void {
    this.#harmed++;
    if (neighbour) this.#unknown = true;
  }

  /** Nothing is on its way for so many µs. */
  wait(duration: number): void {
    this.#silent += duration;
  }

  /** Whether there was silence for so long that it is worth to {@link judge} it. */
  get suspicious(): boolean {
    return this.#silent > SLACK + LEAST;
  }

  /** @param connections Those that wait. @param unseen As with {@link progress}. @returns What is wrong, or null. */
  judge(connections: Iterable<TcpConnection>, unseen: boolean): string | null {
    let first = unseen ? FIRST : LEAST, far = 0;
    for (const c of connections) {
      first = Math.max(first, c.rto);
      far += (c.sndUna - c.iss | 0) + (c.rcvNxt - c.irs | 0);
    }
    if (far !== this.#far) {
      // What an application has not been told of yet is progress as well, if nobody knows when.
      this.#far = far;
      this.#silent = 0;
      return null;
    }
    // A probe of the tail may come first, no later than a time-out would, which counts from there.
    let excused = SLACK + Math.min(LONGEST, first);
    if (this.#unknown) excused += 2 * DEFAULT_LIMITS.neighbourNegative;
    for (let lost = 0; lost <= this.#harmed; lost++) {
      const timeout = Math.min(LONGEST, first * 2 ** (this.#doubled + lost));
      excused += timeout;
      if (timeout === LONGEST) {
        excused += (this.#harmed - lost) * LONGEST;
        break;
      }
    }
    if (this.#silent <= excused) return null;
    return `Nothing went on in ${this.#silent} µs of silence, for which ${this.#harmed} lost frames excuse ${excused}`;
  }
}
