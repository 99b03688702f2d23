/**
 * BBR, version 3 (draft-ietf-ccwg-bbr): a model of the path, its bandwidth and its round-trip time, decides how fast
 * data is sent and how much may be in flight. Loss and marks bound the model; they do not drive it.
 *
 * Two things are not the draft's:
 * - Where round trips show no queue, losses up to 8% are held for the path's own, and not for congestion
 *   (`bbr_model.ts`). By the draft, every round trip with a loss takes a little of the rate, and 1% of random loss a
 *   quarter.
 * - A probe that meets the limit gives back part of what lies above 1.25 × bandwidth × round-trip time. By the draft all
 *   flows keep what they had, so that unequal flows behind a deep queue stay so for minutes.
 *
 * Bandwidth is in segments per second, times in µs, volumes in segments. Names in comments are the draft's.
 *
 * @module
 */

import type { Congestion, CongestionState, RateControl, RateSample, RateState } from "./congestion.ts";
import { INITIAL_WINDOW } from "./congestion.ts";
import { Aggregation, FullPipe, PathRtt, RoundSignals } from "./bbr_model.ts";
import { Acks, PACING_GAIN, Phase, WINDOW_GAIN } from "./bbr_phases.ts";

/** The rate stays this much below the estimate, so that queues drain in the long run. */
const PACING_MARGIN = 0.99;
/** Multiplicative decrease. */
const BETA = 0.7;
/** Share of the bound that is left to others while cruising. */
const HEADROOM = 0.15;
/** Share of bandwidth × round-trip time up to which a loss takes nothing of the bound. */
const PROBE_ROOM = 1.25;
const MIN_WINDOW = 4;
/** ACKs with losses in a round trip of startup that make it too lossy to go on. */
const STARTUP_LOSSES = 6;
/** Rounds after which draining has to be over: the estimate may have been wrong. */
const DRAIN_ROUNDS = 3;
/** µs for which little is sent to find the least round-trip time. */
const PROBE_RTT_DURATION = 200_000;
/** Time between probes for bandwidth: this, and up to as much as a second more. */
const PROBE_WAIT = 2_000_000;
const PROBE_WAIT_SPREAD = 1_000_000;
/** A loss-based flow of a large window needs more rounds than this; others are given this many. */
const MOST_RENO_ROUNDS = 63;

/** BBRv3 of one connection. */
export class Bbr implements Congestion, RateControl {
  readonly name = "bbr";
  readonly rateControl: RateControl = this;
  readonly #random: () => number;
  #phase: Phase = Phase.Startup;

  // Rounds, counted in deliveries.
  #roundEnd = 0;
  #rounds = 0;
  #roundStart = false;

  // Bandwidth: the maximum of this and the previous probing cycle (MaxBwFilter).
  #bandwidthNow = 0;
  #bandwidthBefore = 0;
  /** `BBR.bw_shortterm`, `BBR.inflight_shortterm`: what losses outside of probes leave for now. */
  #bandwidthLow = Infinity;
  #inflightLow = Infinity;
  /** `BBR.inflight_longterm`: what the last probe found to be too much. */
  #inflightHigh = Infinity;

  readonly #path = new PathRtt();
  readonly #signals = new RoundSignals(this.#path);
  readonly #aggregation = new Aggregation();
  #probeRttDoneAt = 0;
  #probeRttRoundDone = false;

  readonly #pipe = new FullPipe();
  #drainRound = 0;

  // Probing for bandwidth.
  #acks: Acks = Acks.Initial;
  #cycleAt = 0;
  #probeWait = 0;
  #roundsSinceProbe = 0;
  /** ACKs may still tell that the latest probe was too much (`BBR.bw_probe_samples`). */
  #probing = false;
  #upRounds = 0;
  #upEvery = Infinity;
  #upAcked = 0;

  #idleRestart = false;
  #priorWindow = 0;
  #wasRepairing = false;
  // What to go back to when losses turn out to be none.
  #undoBandwidthLow = Infinity;
  #undoInflightLow = Infinity;
  #undoInflightHigh = Infinity;

  /**
   * Begins with nothing known.
   * @param random Gives 32-bit words.
   */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The estimate of the path's bandwidth, in segments per second; 0 before the first sample. */
  get bandwidth(): number {
    return Math.min(this.#maxBandwidth, this.#bandwidthLow);
  }

  /** The estimate of the path's round-trip time without queues, in µs; `Infinity` before the first sample. */
  get pathRtt(): number {
    return this.#path.least;
  }

  acked(): void {}

  reduce(state: CongestionState): number {
    this.#saveWindow(state);
    return state.ssthresh;
  }

  timedOut(): void {
    // The sender goes down to one segment; the model bounds what follows as after any loss.
    this.#signals.loss = true;
    // That the rate does not grow after it says nothing of the path.
    this.#pipe.forget();
  }

  undone(state: CongestionState): void {
    this.#pipe.reset();
    this.#signals.loss = false;
    this.#bandwidthLow = Math.max(this.#bandwidthLow, this.#undoBandwidthLow);
    this.#inflightLow = Math.max(this.#inflightLow, this.#undoInflightLow);
    this.#inflightHigh = Math.max(this.#inflightHigh, this.#undoInflightHigh);
    this.#restoreWindow(state);
  }

  restarted(state: RateState, now: number): void {
    if (state.appLimitedUntil === 0) return;
    this.#idleRestart = true;
    this.#aggregation.begin(now);
    if (this.#phase >= Phase.Down) this.#setPacingRate(state, 1);
    else if (this.#phase === Phase.ProbeRtt) this.#endProbeRtt(state, now);
  }

  lost(
    state: RateState,
    segments: number,
    sentInFlight: number,
    lostSince: number,
    appLimited: boolean,
    now: number,
  ): void {
    if (!this.#signals.loss) {
      this.#undoBandwidthLow = this.#bandwidthLow;
      this.#undoInflightLow = this.#inflightLow;
      this.#undoInflightHigh = this.#inflightHigh;
      this.#signals.loss = true;
    }
    const threshold = this.#signals.lossThreshold;
    if (!this.#probing || lostSince <= sentInFlight * threshold) return;
    // How much was in flight when the loss went over the threshold (BBRInflightAtLoss).
    const before = Math.max(0, sentInFlight - segments);
    const lostBefore = Math.max(0, lostSince - segments);
    const prefix = (threshold * before - lostBefore) / (1 - threshold);
    this.#tooHigh(state, before + Math.max(0, Math.min(prefix, segments)), appLimited, now);
  }

  sampled(state: RateState, rate: RateSample, now: number): void {
    const signals = this.#signals;
    if (state.pacingRate === 0) this.#begin(state, now);
    this.#followRepair(state);
    this.#updateRound(state, rate);
    this.#updateSignals(state, rate);
    this.#aggregation.update(state, rate.acked, this.bandwidth, this.#roundStart ? this.#rounds : -1, now);
    this.#pipe.update(rate, this.#roundStart);
    this.#checkStartup(state, rate);
    this.#checkDrain(state, now);
    this.#updateCycle(state, rate, now);
    this.#path.update(rate.rtt, now);
    this.#checkProbeRtt(state, rate, now);
    signals.advanceLatest(rate);
    this.#setPacingRate(state, PACING_GAIN[this.#phase]);
    this.#setWindow(state, rate);
  }

  get #maxBandwidth(): number {
    return Math.max(this.#bandwidthNow, this.#bandwidthBefore);
  }

  get #probesBandwidth(): boolean {
    return this.#phase === Phase.Startup || this.#phase === Phase.Refill || this.#phase === Phase.Up;
  }

  /** The handshake is over: its round trip and the initial window give the first rate. */
  #begin(state: RateState, now: number): void {
    const rtt = state.srtt > 0 ? state.srtt : 1000;
    state.pacingRate = PACING_GAIN[Phase.Startup] * Math.max(state.cwnd, INITIAL_WINDOW) * state.mss * 1e6 /
      rtt;
    this.#cycleAt = now;
    this.#aggregation.begin(now);
    this.#path.begin(now);
  }

  // The model.

  #startRound(state: RateState): void {
    this.#roundEnd = state.delivered;
  }

  #updateRound(state: RateState, rate: RateSample): void {
    this.#roundStart = rate.priorDelivered >= this.#roundEnd;
    if (this.#roundStart) {
      this.#startRound(state);
      this.#rounds++;
      this.#roundsSinceProbe++;
    }
  }

  #updateSignals(state: RateState, rate: RateSample): void {
    const signals = this.#signals;
    signals.update(state, rate);
    const sampled = rate.rate;
    if (sampled > this.#bandwidthNow && (!rate.appLimited || sampled >= this.#maxBandwidth)) {
      this.#bandwidthNow = sampled;
    }
    if (!signals.ended || !signals.loss || this.#probesBandwidth) return;
    // While it goes down, the queue is that of its own probe.
    if (!signals.congested(state, this.#phase === Phase.Down)) return;
    // BBRAdaptLowerBoundsFromCongestion.
    if (this.#bandwidthLow === Infinity) this.#bandwidthLow = this.#maxBandwidth;
    if (this.#inflightLow === Infinity) this.#inflightLow = state.cwnd;
    this.#bandwidthLow = Math.max(signals.bandwidth, BETA * this.#bandwidthLow);
    this.#inflightLow = Math.max(signals.delivered, BETA * this.#inflightLow);
  }

  #resetLowerBounds(): void {
    this.#bandwidthLow = this.#inflightLow = Infinity;
  }

  // Startup and drain.

  #checkStartup(state: RateState, rate: RateSample): void {
    const signals = this.#signals;
    if (
      !this.#pipe.full && signals.ended && state.repairing && signals.events >= STARTUP_LOSSES &&
      this.#lossTooHigh(rate)
    ) {
      this.#pipe.full = true;
      this.#inflightHigh = Math.floor(Math.max(this.#inflight(this.#maxBandwidth, 1), signals.delivered));
    }
    signals.advance(state);
    if (this.#phase === Phase.Startup && this.#pipe.full) {
      this.#phase = Phase.Drain;
      this.#drainRound = this.#rounds;
    }
  }

  #checkDrain(state: RateState, now: number): void {
    if (this.#phase !== Phase.Drain) return;
    if (
      state.inFlight <= this.#inflight(this.bandwidth, 1) || this.#rounds > this.#drainRound + DRAIN_ROUNDS
    ) {
      this.#goDown(state, now);
    }
  }

  // Probing for bandwidth.

  #goDown(state: RateState, now: number): void {
    this.#signals.loss = false;
    this.#signals.bandwidth = this.#signals.delivered = 0;
    this.#upEvery = Infinity;
    // Flows that share a bottleneck must not probe at the same time.
    this.#roundsSinceProbe = this.#random() & 1;
    this.#probeWait = PROBE_WAIT + (this.#random() >>> 0) / 2 ** 32 * PROBE_WAIT_SPREAD;
    this.#cycleAt = now;
    this.#acks = Acks.ProbeStopping;
    this.#startRound(state);
    this.#phase = Phase.Down;
  }

  #refill(state: RateState): void {
    this.#resetLowerBounds();
    this.#upRounds = this.#upAcked = 0;
    this.#acks = Acks.Refilling;
    this.#startRound(state);
    this.#phase = Phase.Refill;
  }

  #goUp(state: RateState, rate: RateSample, now: number): void {
    this.#acks = Acks.ProbeStarting;
    this.#startRound(state);
    this.#pipe.reset(rate.rate);
    this.#cycleAt = now;
    this.#phase = Phase.Up;
    this.#raiseSlope(state);
  }

  #updateCycle(state: RateState, rate: RateSample, now: number): void {
    if (!this.#pipe.full) return;
    this.#adaptHigh(state, rate, now);
    switch (this.#phase) {
      case Phase.Down:
        if (this.#probesNow(state, now)) this.#refill(state);
        else if (
          state.inFlight <= this.#inflightWithHeadroom() &&
          state.inFlight <= this.#inflight(this.#maxBandwidth, 1)
        ) this.#phase = Phase.Cruise;
        return;
      case Phase.Cruise:
        if (this.#probesNow(state, now)) this.#refill(state);
        return;
      case Phase.Refill:
        if (this.#roundStart) {
          this.#probing = true;
          this.#goUp(state, rate, now);
        }
        return;
      case Phase.Up:
        if (state.cwndLimited && state.cwnd >= this.#inflightHigh) {
          // The bound is what holds the rate down: that it does not grow proves nothing.
          this.#pipe.reset(rate.rate);
        } else if (this.#pipe.fullNow) {
          this.#goDown(state, now);
        }
        return;
    }
  }

  /** By the clock, or when a loss-based flow of this size would have regained its window (section 5.3.3.5). */
  #probesNow(state: RateState, now: number): boolean {
    if (now > this.#cycleAt + this.#probeWait) return true;
    return this.#roundsSinceProbe >= Math.min(this.#target(state), MOST_RENO_ROUNDS);
  }

  /** Segments that should be in flight now (BBRTargetInflight). */
  #target(state: RateState): number {
    return Math.min(this.#product(this.bandwidth, 1), state.cwnd);
  }

  #raiseSlope(state: RateState): void {
    const growth = 2 ** this.#upRounds;
    this.#upRounds = Math.min(this.#upRounds + 1, 30);
    this.#upEvery = Math.max(state.cwnd / growth, 1);
  }

  #adaptHigh(state: RateState, rate: RateSample, now: number): void {
    if (this.#acks === Acks.ProbeStarting && this.#roundStart) this.#acks = Acks.ProbeFeedback;
    if (this.#acks === Acks.ProbeStopping && this.#roundStart) {
      this.#probing = false;
      this.#acks = Acks.Initial;
      if (this.#phase >= Phase.Down && !rate.appLimited) {
        // The end of a cycle: what was the greatest bandwidth two cycles ago is forgotten.
        this.#bandwidthBefore = this.#bandwidthNow;
        this.#bandwidthNow = 0;
      }
    }
    if (this.#lossTooHigh(rate)) {
      if (this.#probing) this.#tooHigh(state, rate.sentInFlight, rate.appLimited, now);
      return;
    }
    if (this.#inflightHigh === Infinity) return;
    if (rate.sentInFlight > this.#inflightHigh) this.#inflightHigh = rate.sentInFlight;
    if (this.#phase !== Phase.Up || !state.cwndLimited || state.cwnd < this.#inflightHigh) return;
    this.#upAcked += rate.acked;
    if (this.#upAcked >= this.#upEvery) {
      const steps = Math.floor(this.#upAcked / this.#upEvery);
      this.#upAcked -= steps * this.#upEvery;
      this.#inflightHigh += steps;
    }
    if (this.#roundStart) this.#raiseSlope(state);
  }

  #lossTooHigh(rate: RateSample): boolean {
    return rate.sentInFlight > 0 &&
      (rate.marked || rate.lostSince > rate.sentInFlight * this.#signals.lossThreshold);
  }

  /** A probe has met the limit (BBRHandleInflightTooHigh). */
  #tooHigh(state: RateState, inFlight: number, appLimited: boolean, now: number): void {
    this.#probing = false;
    if (!appLimited) {
      const kept = Math.max(BETA * inFlight, Math.min(inFlight, PROBE_ROOM * this.#target(state)));
      this.#inflightHigh = Math.floor(Math.max(kept, BETA * this.#target(state)));
    }
    if (this.#phase === Phase.Up) this.#goDown(state, now);
  }

  // Probing for the round-trip time.

  #checkProbeRtt(state: RateState, rate: RateSample, now: number): void {
    if (this.#phase !== Phase.ProbeRtt && this.#path.expired && !this.#idleRestart) {
      this.#saveWindow(state);
      this.#phase = Phase.ProbeRtt;
      this.#probeRttDoneAt = 0;
      this.#acks = Acks.ProbeStopping;
      this.#startRound(state);
    }
    if (this.#phase === Phase.ProbeRtt) {
      // The low rate is our own doing.
      state.appLimitedUntil = Math.max(state.delivered + state.inFlight, 1);
      if (this.#probeRttDoneAt === 0) {
        if (state.inFlight <= this.#probeRttWindow()) {
          this.#probeRttDoneAt = now + PROBE_RTT_DURATION;
          this.#probeRttRoundDone = false;
          this.#startRound(state);
        }
      } else {
        if (this.#roundStart) this.#probeRttRoundDone = true;
        if (this.#probeRttRoundDone) this.#endProbeRtt(state, now);
      }
    }
    if (rate.acked > 0) this.#idleRestart = false;
  }

  #endProbeRtt(state: RateState, now: number): void {
    if (this.#probeRttDoneAt === 0 || now <= this.#probeRttDoneAt) return;
    this.#path.probedAt = now;
    this.#restoreWindow(state);
    this.#resetLowerBounds();
    if (this.#pipe.full) {
      this.#goDown(state, now);
      this.#phase = Phase.Cruise;
    } else {
      this.#phase = Phase.Startup;
    }
  }

  // What follows from the model.

  #product(bandwidth: number, gain: number): number {
    return this.#path.least === Infinity ? INITIAL_WINDOW : gain * bandwidth * this.#path.least / 1e6;
  }

  /** Segments in flight that give `bandwidth`, and let a sender that sends in quanta do so (BBRInflight). */
  #inflight(bandwidth: number, gain: number): number {
    return Math.max(this.#product(bandwidth, gain), MIN_WINDOW);
  }

  #inflightWithHeadroom(): number {
    if (this.#inflightHigh === Infinity) return Infinity;
    return Math.max(this.#inflightHigh - Math.max(1, HEADROOM * this.#inflightHigh), MIN_WINDOW);
  }

  #probeRttWindow(): number {
    return Math.max(this.#product(this.bandwidth, WINDOW_GAIN[Phase.ProbeRtt]), MIN_WINDOW);
  }

  #setPacingRate(state: RateState, gain: number): void {
    const rate = gain * this.bandwidth * PACING_MARGIN * state.mss;
    if (rate > 0 && (this.#pipe.full || rate > state.pacingRate)) state.pacingRate = rate;
  }

  #setWindow(state: RateState, rate: RateSample): void {
    const gain = WINDOW_GAIN[this.#phase];
    const budget = 3 * state.sendQuantum / state.mss;
    let most = this.#product(this.bandwidth, Math.max(gain, 1));
    most += this.#aggregation.extra;
    most = Math.max(most, budget, MIN_WINDOW);
    if (this.#phase === Phase.Up) most += 2;
    most = Math.ceil(most);
    let cwnd = state.cwnd;
    if (this.#pipe.full) cwnd = Math.min(cwnd + rate.acked, most);
    else if (cwnd < most || state.delivered < 2 * INITIAL_WINDOW) cwnd += rate.acked;
    cwnd = Math.max(cwnd, MIN_WINDOW);
    if (this.#phase === Phase.ProbeRtt) cwnd = Math.min(cwnd, Math.ceil(this.#probeRttWindow()));
    // BBRBoundCwndForModel.
    let bound = this.#inflightLow;
    if (this.#phase === Phase.ProbeRtt || this.#phase === Phase.Cruise) {
      bound = Math.min(bound, this.#inflightWithHeadroom());
    } else if (this.#phase >= Phase.Down) {
      bound = Math.min(bound, this.#inflightHigh);
    }
    if (bound !== Infinity) cwnd = Math.min(cwnd, Math.max(Math.floor(bound), MIN_WINDOW));
    state.cwnd = cwnd;
  }

  #saveWindow(state: CongestionState): void {
    this.#priorWindow = this.#wasRepairing || this.#phase === Phase.ProbeRtt
      ? Math.max(this.#priorWindow, state.cwnd)
      : state.cwnd;
  }

  #restoreWindow(state: CongestionState): void {
    state.cwnd = Math.max(state.cwnd, this.#priorWindow);
  }

  /** After a repair the window is what it was before; the model's bounds come on top. */
  #followRepair(state: RateState): void {
    if (this.#wasRepairing && !state.repairing) this.#restoreWindow(state);
    this.#wasRepairing = state.repairing;
  }
}
