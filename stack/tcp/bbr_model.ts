/**
 * What BBR knows of the path beside its bandwidth: the round-trip time without queues, what the latest round trips told
 * of congestion, and how ACKs are bunched.
 *
 * @module
 */

import type { RateSample, RateState } from "./congestion.ts";

/** µs for which a least round-trip time holds, and after which it is looked for by sending less. */
const MIN_RTT_WINDOW = 10_000_000;
const PROBE_RTT_INTERVAL = 5_000_000;
/** Share of a flight that may be lost before the flight was too large. */
const LOSS_THRESHOLD = 0.02;
/** The same while there is no queue. */
const LOSS_TOLERANCE = 0.08;
/** A queue is what the least round trip of a round has above that of the path: a share of it, and µs at least. */
const QUEUE_SHARE = 1 / 16;
const QUEUE_TIME = 1000;
/** And this share of the difference between the longest and the least. */
const SPREAD_SHARE = 0.5;
/** Rounds for which the greatest aggregation of ACKs is kept. */
const AGGREGATION_ROUNDS = 10;
/** Growth of the bandwidth in a round trip, below which the pipe seems full, and rounds until it is held for full. */
const FULL_GROWTH = 1.25;
const FULL_ROUNDS = 3;

/** The path's round-trip time (BBRUpdateMinRTT), in µs. */
export class PathRtt {
  /** Without queues, as far as is known; `Infinity` before the first sample. */
  least = Infinity;
  /** When the present least one was seen, or looked for. */
  probedAt = 0;
  /** It is time to look for it again. */
  expired = false;
  #leastAt = 0;
  #probed = Infinity;

  /** Begins at `now`. */
  begin(now: number): void {
    this.probedAt = this.#leastAt = now;
  }

  /** Takes an ACK's sample. @param rtt -1 for none. */
  update(rtt: number, now: number): void {
    this.expired = now > this.probedAt + PROBE_RTT_INTERVAL;
    if (rtt >= 0 && (rtt < this.#probed || this.expired)) {
      this.#probed = Math.max(rtt, 1);
      this.probedAt = now;
    }
    if (this.#probed < this.least || now > this.#leastAt + MIN_RTT_WINDOW) {
      this.least = this.#probed;
      this.#leastAt = this.probedAt;
    }
  }
}

/** What the ACKs of a round trip tell of congestion; its rounds end with the delivery of what was sent at their start. */
export class RoundSignals {
  /** The latest ACK has ended a round. */
  ended = false;
  /** Something was lost or marked in this round. */
  loss = false;
  /** ACKs with losses or marks in this round. */
  events = 0;
  /** Greatest rate and volume delivered in this round and the one before, in segments. */
  bandwidth = 0;
  delivered = 0;
  readonly #path: PathRtt;
  #end = 0;
  #marked = false;
  /** Segments lost in this round, and delivered before it. */
  #lost = 0;
  #deliveredBefore = 0;
  /** Least and greatest round-trip time of this round and of the one before, in µs. */
  #least = Infinity;
  #most = 0;
  #lastLeast = Infinity;
  #lastMost = 0;

  /** @param path To compare round-trip times with. */
  constructor(path: PathRtt) {
    this.#path = path;
  }

  /** Takes an ACK. */
  update(state: RateState, rate: RateSample): void {
    this.ended = rate.priorDelivered >= this.#end;
    if (this.ended) this.#end = state.delivered;
    if (rate.rate > this.bandwidth) this.bandwidth = rate.rate;
    if (rate.delivered > this.delivered) this.delivered = rate.delivered;
    if (rate.losses > 0 || rate.marked) {
      this.loss = true;
      this.events++;
      this.#lost += rate.losses;
    }
    if (rate.marked) this.#marked = true;
    if (rate.rtt >= 0) {
      if (rate.rtt < this.#least) this.#least = rate.rtt;
      if (rate.rtt > this.#most) this.#most = rate.rtt;
    }
  }

  /** Begins the next round when the latest ACK has ended one. */
  advance(state: RateState): void {
    if (!this.ended) return;
    this.events = this.#lost = 0;
    this.loss = this.#marked = false;
    this.#deliveredBefore = state.delivered;
    this.#lastLeast = this.#least;
    this.#lastMost = this.#most;
    this.#least = Infinity;
    this.#most = 0;
  }

  /** Lets the rate and the volume of the next round begin with the latest sample. */
  advanceLatest(rate: RateSample): void {
    if (!this.ended) return;
    this.bandwidth = rate.rate;
    this.delivered = rate.delivered;
  }

  /** Share of a flight that may be lost before it was too large. */
  get lossThreshold(): number {
    return this.#queueSeen ? LOSS_THRESHOLD : LOSS_TOLERANCE;
  }

  /**
   * Whether the losses of this round are for others to see as well, and not just the path's.
   * @param ownQueue A queue is that of our own probe.
   */
  congested(state: RateState, ownQueue: boolean): boolean {
    if (this.#marked || (this.#queueSeen && !ownQueue)) return true;
    return this.#lost > LOSS_TOLERANCE * (state.delivered - this.#deliveredBefore + this.#lost);
  }

  get #queueSeen(): boolean {
    const least = Math.min(this.#least, this.#lastLeast);
    if (least === Infinity) return false;
    // Times that differ as much among themselves tell of late turns, here or there, rather than of a queue.
    const spread = Math.max(this.#most, this.#lastMost) - least;
    const path = this.#path.least;
    return least > path + Math.max(path * QUEUE_SHARE, QUEUE_TIME, spread * SPREAD_SHARE);
  }
}

/** Whether the rate has stopped growing (BBRCheckFullBWReached). */
export class FullPipe {
  /** It has, once. */
  full = false;
  /** It has since the latest {@link reset}. */
  fullNow = false;
  #bandwidth = 0;
  #rounds = 0;

  /** Begins anew. @param bandwidth Growth is measured from here, in segments a second. */
  reset(bandwidth = 0): void {
    this.fullNow = false;
    this.#bandwidth = bandwidth;
    this.#rounds = 0;
  }

  /** Forgets the growth that was seen: it told nothing of the path. */
  forget(): void {
    this.#bandwidth = this.#rounds = 0;
  }

  /** Takes an ACK. @param roundStart Whether it begins a round. */
  update(rate: RateSample, roundStart: boolean): void {
    if (this.fullNow || !roundStart || rate.appLimited || rate.rate === 0) return;
    if (rate.rate >= this.#bandwidth * FULL_GROWTH) this.reset(rate.rate);
    else if (++this.#rounds >= FULL_ROUNDS) this.fullNow = this.full = true;
  }
}

/** How far deliveries ran ahead of the bandwidth, since ACKs come bunched (BBRUpdateACKAggregation). */
export class Aggregation {
  #at = 0;
  #acked = 0;
  #now = 0;
  #before = 0;
  #round = 0;

  /** The greatest lead of the latest rounds, in segments. */
  get extra(): number {
    return Math.max(this.#now, this.#before);
  }

  /** Begins at `now`, or again after idleness. */
  begin(now: number): void {
    this.#at = now;
    this.#acked = 0;
  }

  /** Takes an ACK. @param bandwidth Segments a second. @param round Number of the round, if it has just begun; or -1. */
  update(state: RateState, acked: number, bandwidth: number, round: number, now: number): void {
    if (round >= 0 && round - this.#round >= AGGREGATION_ROUNDS / 2) {
      this.#round = round;
      this.#before = this.#now;
      this.#now = 0;
    }
    let expected = bandwidth * (now - this.#at) / 1e6;
    if (this.#acked <= expected) {
      this.begin(now);
      expected = 0;
    }
    this.#acked += acked;
    this.#now = Math.max(this.#now, Math.min(this.#acked - expected, state.cwnd));
  }
}
