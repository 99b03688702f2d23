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

/** What is known of a connection's round trips, as numbers of that connection. Times are µs. */
export const RTT_NUMBERS = {
  /** Smoothed round-trip time; 0 before the first sample. */
  srtt: 0,
  /** Mean deviation. */
  mdev: INITIAL_RTO,
  /** Largest mean deviation of this round trip. */
  mdevMax: 0,
  /** The deviation the time-out is made of. */
  rttvar: INITIAL_RTO,
  /** Least sample ever; `Infinity` before the first. */
  minRtt: Infinity,
  /** The sample seen last; 0 before the first. */
  latestRtt: 0,
  /** Time-out, not backed off. */
  rto: INITIAL_RTO,
  /** SND.NXT when this round trip began. */
  rttRoundEnd: 0,
};

/** Bounds of the time-out, in µs. */
export const RTO_BOUNDS = {
  /** Least time-out beside the round trip itself, and the greatest. */
  leastRto: MIN_RTO,
  mostRto: MAX_RTO,
};

/** A connection, to the estimator. */
export type RttState = typeof RTT_NUMBERS & Readonly<typeof RTO_BOUNDS>;

/**
 * Takes a sample of `rtt` µs, at least 1.
 * @param una SND.UNA after the ACK. @param nxt SND.NXT. @param shortest The same of the segment sent last, in µs.
 */
export function sampleRtt(
  state: RttState,
  rtt: number,
  una: number,
  nxt: number,
  shortest: number = rtt,
): void {
  if (rtt < 1) rtt = 1;
  if (shortest < 1) shortest = 1;
  state.latestRtt = shortest;
  if (shortest < state.minRtt) state.minRtt = shortest;
  if (state.srtt === 0) {
    state.srtt = rtt;
    state.mdev = rtt / 2;
    state.rttvar = state.mdevMax = Math.max(state.mdev, state.leastRto / 4);
    state.rttRoundEnd = nxt;
  } else {
    let { mdev } = state;
    let error = rtt - state.srtt;
    state.srtt += error / 8;
    if (error < 0) {
      error = -error - mdev;
      // A round trip that got much shorter must not make the time-out longer.
      mdev += error > 0 ? error / 32 : error / 4;
    } else {
      mdev += (error - mdev) / 4;
    }
    state.mdev = mdev;
    if (mdev > state.mdevMax) {
      state.mdevMax = mdev;
      if (mdev > state.rttvar) state.rttvar = mdev;
    }
    if (after(una, state.rttRoundEnd)) {
      if (state.mdevMax < state.rttvar) state.rttvar -= (state.rttvar - state.mdevMax) / 4;
      state.rttRoundEnd = nxt;
      state.mdevMax = state.leastRto / 4;
    }
  }
  state.rto = Math.min(state.srtt + 4 * state.rttvar, state.mostRto);
}

/** Forgets everything but the minimum, after a path has changed (or a SYN timed out, RFC 6298, section 5.7). */
export function resetRtt(state: RttState, rto: number): void {
  state.srtt = 0;
  state.mdev = state.rttvar = rto;
  state.rto = rto;
}
