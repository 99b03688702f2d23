/**
 * Round-trip time and retransmission time-out (RFC 6298), with the variance kept as Linux keeps it: the largest
 * deviation of a round trip, let go slowly, so that the time-out does not shrink with many samples a window.
 *
 * @module
 */

import { after } from "./sequence.ts";

/** First time-out, before any sample (RFC 6298, section 2.1), in µs. */
export const INITIAL_RTO = 1_000_000;
/** Least time-out, in µs. RFC 6298 says 1 s and allows less with a fine clock; this is what hosts use. */
export const MIN_RTO = 200_000;
/** Greatest time-out, backed off, in µs. */
export const MAX_RTO = 120_000_000;

/** The estimator of one connection. Times are µs. */
export class RttEstimator {
  /** Least time-out beside the round trip itself, and the greatest. */
  least: number = MIN_RTO;
  most: number = MAX_RTO;
  /** Smoothed round-trip time; 0 before the first sample. */
  srtt = 0;
  /** Mean deviation. */
  mdev: number = INITIAL_RTO;
  /** Largest mean deviation of this round trip. */
  #mdevMax = 0;
  /** The deviation the time-out is made of. */
  rttvar: number = INITIAL_RTO;
  /** Least sample ever; `Infinity` before the first. */
  min: number = Infinity;
  /** The sample seen last; 0 before the first. */
  latest = 0;
  /** Time-out, not backed off. */
  rto: number = INITIAL_RTO;
  /** SND.NXT when this round trip began. */
  #roundEnd = 0;

  /**
   * Takes a sample of `rtt` µs, at least 1.
   * @param una SND.UNA after the ACK. @param nxt SND.NXT. @param shortest The same of the segment sent last, in µs.
   */
  sample(rtt: number, una: number, nxt: number, shortest: number = rtt): void {
    if (rtt < 1) rtt = 1;
    if (shortest < 1) shortest = 1;
    this.latest = shortest;
    if (shortest < this.min) this.min = shortest;
    if (this.srtt === 0) {
      this.srtt = rtt;
      this.mdev = rtt / 2;
      this.rttvar = this.#mdevMax = Math.max(this.mdev, this.least / 4);
      this.#roundEnd = nxt;
    } else {
      let error = rtt - this.srtt;
      this.srtt += error / 8;
      if (error < 0) {
        error = -error - this.mdev;
        // A round trip that got much shorter must not make the time-out longer.
        this.mdev += error > 0 ? error / 32 : error / 4;
      } else {
        this.mdev += (error - this.mdev) / 4;
      }
      if (this.mdev > this.#mdevMax) {
        this.#mdevMax = this.mdev;
        if (this.#mdevMax > this.rttvar) this.rttvar = this.#mdevMax;
      }
      if (after(una, this.#roundEnd)) {
        if (this.#mdevMax < this.rttvar) this.rttvar -= (this.rttvar - this.#mdevMax) / 4;
        this.#roundEnd = nxt;
        this.#mdevMax = this.least / 4;
      }
    }
    this.rto = Math.min(this.srtt + 4 * this.rttvar, this.most);
  }

  /** Forgets everything but the minimum, after a path has changed (or a SYN timed out, RFC 6298, section 5.7). */
  reset(rto: number): void {
    this.srtt = 0;
    this.mdev = this.rttvar = rto;
    this.rto = rto;
  }
}
