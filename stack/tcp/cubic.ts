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

/** Multiplicative decrease, 0.7 in 1024ths (RFC 9438, section 4.6). */
const BETA = 717;
const SCALE = 1024;
/** Aggressiveness, 0.4 in 1024ths of a segment per second cubed (section 4.1). */
const C = 410;
/** Segments acknowledged for each one that Reno's window would grow by, in eighths of the window (section 4.3). */
const FRIENDLY = 15;
/** Segments acknowledged for one of growth, at most, while the path's room is not known: 5% a round trip (as Linux). */
const UNKNOWN_ROOM = 20;
/** The curve is looked at once in so many µs, or for as long as the window stays the same (as Linux). */
const TICK = 4_000;
const SAME_WINDOW = 31_250;

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
  /** Time from the epoch to the plateau, in 1024ths of a second. */
  #k = 0;
  /** The plateau, in segments. */
  #plateau = 0;
  /** The window that Reno would have, in segments, and what was acknowledged towards its growth. */
  #wEst = 0;
  #acked = 0;
  /** Segments acknowledged for one of growth, and for which window and when that was worked out. */
  #every = 0;
  #forWindow = 0;
  #lookedAt = -Infinity;

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
    this.#wMax = state.cwnd < this.#wMax ? Math.floor(state.cwnd * (SCALE + BETA) / (2 * SCALE)) : state.cwnd;
    return Math.max(Math.floor(state.cwnd * BETA / SCALE), 2);
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

  /** Congestion avoidance (RFC 9438, section 4), in whole segments as Linux counts them. */
  #avoid(state: CongestionState, acked: number, now: number): void {
    this.#acked += acked;
    if (state.cwnd !== this.#forWindow || now - this.#lookedAt > SAME_WINDOW) this.#look(state, acked, now);
    additiveIncrease(state, this.#every, acked);
  }

  #look(state: CongestionState, acked: number, now: number): void {
    const { cwnd } = state;
    if (this.#epoch === Infinity || now - this.#lookedAt >= TICK) {
      this.#forWindow = cwnd;
      this.#lookedAt = now;
      if (this.#epoch === Infinity) this.#begin(cwnd, acked, now);
      const t = Math.floor((now - this.#epoch + state.minRtt) * SCALE / 1e6);
      const off = Math.abs(t - this.#k) / SCALE;
      const delta = Math.floor(C / SCALE * off * off * off);
      const target = t < this.#k ? this.#plateau - delta : this.#plateau + delta;
      this.#every = target > cwnd ? Math.floor(cwnd / (target - cwnd)) : 100 * cwnd;
      if (this.#wMax === 0) this.#every = Math.min(this.#every, UNKNOWN_ROOM);
    }
    const step = Math.max(Math.floor(cwnd * FRIENDLY / 8), 1);
    if (this.#acked > step) {
      const steps = Math.ceil(this.#acked / step) - 1;
      this.#acked -= steps * step;
      this.#wEst += steps;
    }
    if (this.#wEst > cwnd) this.#every = Math.min(this.#every, Math.floor(cwnd / (this.#wEst - cwnd)));
    // Never by more than half of the window a round trip.
    this.#every = Math.max(this.#every, 2);
  }

  #begin(cwnd: number, acked: number, now: number): void {
    this.#epoch = now;
    this.#acked = acked;
    this.#wEst = cwnd;
    this.#plateau = Math.max(this.#wMax, cwnd);
    this.#k = this.#wMax > cwnd ? Math.floor(Math.cbrt((this.#wMax - cwnd) * SCALE / C) * SCALE) : 0;
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
