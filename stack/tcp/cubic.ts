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

/** What congestion avoidance remembers (RFC 9438, section 4.1.2): nothing before slow start has ended for the first time. */
class Curve {
  /** W_max: the window before the last reduction, in segments. */
  wMax = 0;
  /** {@link wMax} before the latest reduction. */
  wMaxBefore = 0;
  /** When this congestion avoidance epoch began, in µs; `Infinity` when none is under way. */
  epoch = Infinity;
  /** Time from the epoch to the plateau, in 1024ths of a second. */
  k = 0;
  /** The plateau, in segments. */
  plateau = 0;
  /** The window that Reno would have, in segments, and what was acknowledged towards its growth. */
  wEst = 0;
  acked = 0;
  /** Segments acknowledged for one of growth, and for which window and when that was worked out. */
  every = 0;
  forWindow = 0;
  lookedAt = -Infinity;
}

/** Conservative slow start (RFC 9406, section 4.2). */
class ConservativeStart {
  /** Rounds that are left; 0 outside of it. */
  rounds = 0;
  baseline = Infinity;
  count = 0;
}

/** CUBIC of one connection. */
export class Cubic implements Congestion {
  #curve: Curve | null = null;
  #css: ConservativeStart | null = null;

  /** Segments acknowledged in this round of HyStart++; a round lasts a window. */
  #roundLeft = 0;
  #roundRtt = Infinity;
  #lastRoundRtt = Infinity;
  #samples = 0;

  get name(): string {
    return "cubic";
  }

  get rateControl(): RateControl | null {
    return null;
  }

  acked(state: CongestionState, acked: number, now: number): void {
    if (state.cwnd < state.ssthresh) {
      this.#hystart(state, acked);
      if (state.cwnd < state.ssthresh) {
        const css = this.#css;
        if (css !== null && css.rounds > 0) {
          css.count += acked;
          acked = Math.floor(css.count / CSS_DIVISOR);
          css.count %= CSS_DIVISOR;
        }
        acked = slowStart(state, acked);
        if (acked === 0) return;
      }
    }
    avoid(this.#curve ??= new Curve(), state, acked, now);
  }

  reduce(state: CongestionState): number {
    const curve = this.#curve ??= new Curve();
    const { wMax } = curve;
    curve.wMaxBefore = wMax;
    curve.epoch = Infinity;
    // Fast convergence (section 4.7): a flow that lost before it regained its window makes room.
    curve.wMax = state.cwnd < wMax ? Math.floor(state.cwnd * (SCALE + BETA) / (2 * SCALE)) : state.cwnd;
    return Math.max(Math.floor(state.cwnd * BETA / SCALE), 2);
  }

  timedOut(): void {
    const curve = this.#curve;
    if (curve !== null) {
      curve.epoch = Infinity;
      curve.wMax = 0;
    }
    this.#lastRoundRtt = this.#roundRtt = Infinity;
    this.#roundLeft = 0;
    if (this.#css !== null) this.#css.rounds = 0;
  }

  undone(): void {
    const curve = this.#curve;
    if (curve === null) return;
    curve.wMax = curve.wMaxBefore;
    curve.epoch = Infinity;
  }

  #hystart(state: CongestionState, acked: number): void {
    if (this.#roundLeft <= 0) {
      this.#lastRoundRtt = this.#roundRtt;
      this.#roundRtt = Infinity;
      this.#samples = 0;
      this.#roundLeft = state.cwnd;
      const css = this.#css;
      if (css !== null && css.rounds > 0 && --css.rounds === 0) {
        state.ssthresh = state.cwnd;
        return;
      }
    }
    this.#roundLeft -= acked;
    if (state.latestRtt === 0) return;
    this.#samples++;
    if (state.latestRtt < this.#roundRtt) this.#roundRtt = state.latestRtt;
    if (this.#samples < RTT_SAMPLES || this.#lastRoundRtt === Infinity) return;
    const css = this.#css;
    if (css !== null && css.rounds > 0) {
      // The delay went away again: it was a burst, not the bottleneck.
      if (this.#roundRtt < css.baseline) css.rounds = 0;
      return;
    }
    const eighth = this.#lastRoundRtt / 8;
    const threshold = eighth < MIN_RTT_THRESH
      ? MIN_RTT_THRESH
      : eighth > MAX_RTT_THRESH
      ? MAX_RTT_THRESH
      : eighth;
    if (this.#roundRtt >= this.#lastRoundRtt + threshold) {
      const css = this.#css ??= new ConservativeStart();
      css.baseline = this.#roundRtt;
      css.rounds = CSS_ROUNDS;
    }
  }
}

/** Congestion avoidance (RFC 9438, section 4), in whole segments as Linux counts them. */
function avoid(curve: Curve, state: CongestionState, acked: number, now: number): void {
  curve.acked += acked;
  if (state.cwnd !== curve.forWindow || now - curve.lookedAt > SAME_WINDOW) look(curve, state, acked, now);
  additiveIncrease(state, curve.every, acked);
}

function look(curve: Curve, state: CongestionState, acked: number, now: number): void {
  const { cwnd } = state;
  if (curve.epoch === Infinity || now - curve.lookedAt >= TICK) {
    curve.forWindow = cwnd;
    curve.lookedAt = now;
    if (curve.epoch === Infinity) begin(curve, cwnd, acked, now);
    const t = Math.floor((now - curve.epoch + state.minRtt) * SCALE / 1e6);
    const off = Math.abs(t - curve.k) / SCALE;
    const delta = Math.floor(C / SCALE * off * off * off);
    const target = t < curve.k ? curve.plateau - delta : curve.plateau + delta;
    curve.every = target > cwnd ? Math.floor(cwnd / (target - cwnd)) : 100 * cwnd;
    if (curve.wMax === 0) curve.every = Math.min(curve.every, UNKNOWN_ROOM);
  }
  const step = Math.max(Math.floor(cwnd * FRIENDLY / 8), 1);
  if (curve.acked > step) {
    const steps = Math.ceil(curve.acked / step) - 1;
    curve.acked -= steps * step;
    curve.wEst += steps;
  }
  if (curve.wEst > cwnd) curve.every = Math.min(curve.every, Math.floor(cwnd / (curve.wEst - cwnd)));
  // Never by more than half of the window a round trip.
  curve.every = Math.max(curve.every, 2);
}

function begin(curve: Curve, cwnd: number, acked: number, now: number): void {
  curve.epoch = now;
  curve.acked = acked;
  curve.wEst = cwnd;
  curve.plateau = Math.max(curve.wMax, cwnd);
  curve.k = curve.wMax > cwnd ? Math.floor(Math.cbrt((curve.wMax - cwnd) * SCALE / C) * SCALE) : 0;
}
