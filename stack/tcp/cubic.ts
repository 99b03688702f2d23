/**
 * CUBIC (RFC 9438) with HyStart++ (RFC 9406).
 *
 * @module
 */

import {
  additiveIncrease,
  type Congestion,
  type CongestionState,
  type RateControl,
  slowStart,
} from "./congestion.ts";

/** Multiplicative decrease (RFC 9438, section 4.6). */
const BETA = 0.7;
/** Aggressiveness, in segments per second cubed (section 4.1). */
const C = 0.4;
/** Additive increase of the Reno-friendly region (section 4.3). */
const ALPHA = 3 * (1 - BETA) / (1 + BETA);

/** HyStart++ (RFC 9406, section 4.3). Times in µs. */
const MIN_RTT_THRESH = 4_000;
const MAX_RTT_THRESH = 16_000;
const RTT_SAMPLES = 8;
const CSS_ROUNDS = 5;
const CSS_DIVISOR = 4;

/** CUBIC of one connection. */
export class Cubic implements Congestion {
  readonly name = "cubic";
  readonly rateControl: RateControl | null = null;
  /** W_max: the window before the last reduction, in segments. */
  #wMax = 0;
  /** {@link #wMax} before the latest reduction. */
  #wMaxBefore = 0;
  /** When this congestion avoidance epoch began, in µs; `Infinity` when none is under way. */
  #epoch = Infinity;
  /** Time from the epoch to the plateau, in seconds. */
  #k = 0;
  /** The window that Reno would have, in segments. */
  #wEst = 0;

  /** Segments acknowledged in this round of HyStart++; a round lasts a window. */
  #roundLeft = 0;
  #roundRtt = Infinity;
  #lastRoundRtt = Infinity;
  #samples = 0;
  /** Rounds of conservative slow start that are left; 0 outside of it. */
  #cssRounds = 0;
  #cssBaseline = Infinity;
  #cssCount = 0;

  acked(state: CongestionState, acked: number, now: number): void {
    if (state.cwnd < state.ssthresh) {
      this.#hystart(state, acked);
      if (state.cwnd < state.ssthresh) {
        if (this.#cssRounds > 0) {
          this.#cssCount += acked;
          acked = Math.floor(this.#cssCount / CSS_DIVISOR);
          this.#cssCount %= CSS_DIVISOR;
        }
        acked = slowStart(state, acked);
        if (acked === 0) return;
      }
    }
    this.#avoid(state, acked, now);
  }

  reduce(state: CongestionState): number {
    this.#wMaxBefore = this.#wMax;
    this.#epoch = Infinity;
    // Fast convergence (section 4.7): a flow that lost before it regained its window makes room.
    this.#wMax = state.cwnd < this.#wMax ? state.cwnd * (1 + BETA) / 2 : state.cwnd;
    return Math.max(Math.floor(state.cwnd * BETA), 2);
  }

  timedOut(): void {
    this.#epoch = Infinity;
    this.#wMax = 0;
    this.#lastRoundRtt = this.#roundRtt = Infinity;
    this.#cssRounds = this.#roundLeft = 0;
  }

  undone(): void {
    this.#wMax = this.#wMaxBefore;
    this.#epoch = Infinity;
  }

  #avoid(state: CongestionState, acked: number, now: number): void {
    const cwnd = state.cwnd;
    if (this.#epoch === Infinity) {
      this.#epoch = now;
      state.cwndCount = 0;
      this.#wEst = cwnd;
      if (this.#wMax <= cwnd) {
        this.#wMax = cwnd;
        this.#k = 0;
      } else {
        this.#k = Math.cbrt((this.#wMax - cwnd) / C);
      }
    }
    const t = (now - this.#epoch + state.minRtt) / 1e6 - this.#k;
    // Whole segments towards the plateau, as Linux counts them.
    let target = this.#wMax + Math.trunc(C * t * t * t);
    this.#wEst += (this.#wEst < this.#wMax ? ALPHA : 1) * acked / cwnd;
    const friendly = Math.floor(this.#wEst);
    if (target < friendly) target = friendly;
    if (target > 1.5 * cwnd) target = 1.5 * cwnd;
    // Section 4.4: (target − cwnd) / cwnd for each segment acknowledged.
    const every = target > cwnd ? Math.max(2, Math.floor(cwnd / (target - cwnd))) : 100 * cwnd;
    additiveIncrease(state, every, acked);
  }

  #hystart(state: CongestionState, acked: number): void {
    if (this.#roundLeft <= 0) {
      this.#lastRoundRtt = this.#roundRtt;
      this.#roundRtt = Infinity;
      this.#samples = 0;
      this.#roundLeft = state.cwnd;
      if (this.#cssRounds > 0 && --this.#cssRounds === 0) {
        state.ssthresh = state.cwnd;
        return;
      }
    }
    this.#roundLeft -= acked;
    if (state.latestRtt === 0) return;
    this.#samples++;
    if (state.latestRtt < this.#roundRtt) this.#roundRtt = state.latestRtt;
    if (this.#samples < RTT_SAMPLES || this.#lastRoundRtt === Infinity) return;
    if (this.#cssRounds > 0) {
      // The delay went away again: it was a burst, not the bottleneck.
      if (this.#roundRtt < this.#cssBaseline) this.#cssRounds = 0;
      return;
    }
    const eighth = this.#lastRoundRtt / 8;
    const threshold = eighth < MIN_RTT_THRESH
      ? MIN_RTT_THRESH
      : eighth > MAX_RTT_THRESH
      ? MAX_RTT_THRESH
      : eighth;
    if (this.#roundRtt >= this.#lastRoundRtt + threshold) {
      this.#cssBaseline = this.#roundRtt;
      this.#cssRounds = CSS_ROUNDS;
    }
  }
}
