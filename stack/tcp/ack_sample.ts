/**
 * What one ACK tells, as far as more than one part of recovery asks for it.
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";

/** The newest segment that this ACK delivered. One object serves every ACK. */
export class Sample {
  /** When the first and the last of what was acknowledged in order, and sent only once, were sent; `Infinity` for none. */
  firstSentAt = Infinity;
  lastSentAt = Infinity;
  /** The same for what was sacked. */
  firstSackedAt = Infinity;
  lastSackedAt = Infinity;
  /** Something acknowledged in order was sent again: it is not known which copy arrived (Karn). */
  retransmitted = false;
  /** The SYN was acknowledged. */
  handshake = false;
  /** Something of before the latest repair was delivered that was never sent again. */
  original = false;
  /** It reports a duplicate; of the tail loss probe. */
  duplicate = false;
  probeDuplicate = false;
  /** It echoes a timestamp. */
  echoed = false;
  echo = 0;
  /** Highest number that was sacked before this ACK; SND.UNA for none. */
  highest = 0;

  reset(): void {
    this.firstSentAt =
      this.lastSentAt =
      this.firstSackedAt =
      this.lastSackedAt =
        Infinity;
    this.retransmitted = false;
    this.original =
      this.handshake =
      this.duplicate =
      this.probeDuplicate =
        false;
  }
}
/** That of the ACK that is being worked on. */
export const sample: Sample = new Sample();

/** Whether one of our timestamps is from before a moment, in µs. */
export function isBefore(c: TcpConnection, stamp: number, moment: number): boolean {
  return (stamp - (Math.floor(moment / 1000) + c.tsOffset | 0) | 0) < 0;
}
