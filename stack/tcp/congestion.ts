/**
 * Congestion control as the sender sees it. An algorithm decides two numbers, the window and the slow-start
 * threshold; loss detection and recovery are the sender's. Units are segments, as in Linux.
 *
 * @module
 */

/** Slow-start threshold before the first loss. */
export const INFINITE_SSTHRESH = 0x7fffffff;
/** Initial window in segments (RFC 6928). */
export const INITIAL_WINDOW = 10;

/** What an algorithm may see and set of a connection. */
export interface CongestionState {
  /** Congestion window, in segments. */
  cwnd: number;
  /** Slow-start threshold, in segments. */
  ssthresh: number;
  /** Segments acknowledged towards the next increase in congestion avoidance. */
  cwndCount: number;
  /** Segment size, in bytes. */
  readonly mss: number;
  /** Smoothed round-trip time, in µs; 0 before the first sample. */
  readonly srtt: number;
  /** Least round-trip time seen, in µs. */
  readonly minRtt: number;
  /** Round-trip time of the latest sample, in µs. */
  readonly latestRtt: number;
  /** Segments in flight. */
  readonly inFlight: number;
}

/** What one ACK says of the rate. One object serves every ACK: it is valid only while that ACK is worked on. */
export interface RateSample {
  /** Segments delivered from the send of {@link priorDelivered} on; 0 or less when there is no sample. */
  readonly delivered: number;
  /** µs in which they were delivered; 0 when there is no valid sample. */
  readonly interval: number;
  /** Segments delivered in all when the newest delivered segment was sent; -1 when the ACK delivers none. */
  readonly priorDelivered: number;
  /** When {@link priorDelivered} was reached, in µs. */
  readonly priorDeliveredAt: number;
  /** Whether the application had left room unused when the newest delivered segment was sent. */
  readonly appLimited: boolean;
  /** Segments in flight right after it was sent, itself included. */
  readonly sentInFlight: number;
  /** Segments lost since it was sent. */
  readonly lostSince: number;
  /** Segments that this ACK acknowledges, selectively or not. */
  readonly acked: number;
  /** Segments that this ACK shows to be lost. */
  readonly losses: number;
  /** Round-trip time of the newest segment that was sent only once, in µs; -1 when there is none. */
  readonly rtt: number;
  /** Segments in flight before the ACK came. */
  readonly priorInFlight: number;
  /** The ACK echoes a congestion mark (RFC 3168). */
  readonly marked: boolean;
  /** Delivery rate, in segments per second; 0 when there is no valid sample. */
  readonly rate: number;
}

/** What a control that models the network may see and set besides. */
export interface RateState extends CongestionState {
  /** Bytes a second at which data leaves; 0 before the control has set it. */
  pacingRate: number;
  /** {@link delivered} up to which samples tell of the application; a control that idles on purpose moves it. */
  appLimitedUntil: number;
  /** Segments delivered in all. */
  readonly delivered: number;
  /** Whether the window was used up in this round trip. */
  readonly cwndLimited: boolean;
  /** Whether losses are being repaired. */
  readonly repairing: boolean;
  /** Bytes that may leave at once at the pacing rate. */
  readonly sendQuantum: number;
}

/**
 * A control that decides window and pacing rate from rate samples, in recovery as well: the sender reduces nothing
 * by itself then, but for the single segment after a time-out.
 */
export interface RateControl {
  /** Every ACK ends here. @param rate Valid until this returns. @param now In µs. */
  sampled(state: RateState, rate: RateSample, now: number): void;
  /**
   * Segments were found lost, before the ACK that told of it is sampled.
   * @param segments How many. @param sentInFlight How many were in flight when they were sent, themselves included.
   * @param lostSince How many were lost since they were sent, themselves included. @param appLimited As of then.
   */
  lost(
    state: RateState,
    segments: number,
    sentInFlight: number,
    lostSince: number,
    appLimited: boolean,
    now: number,
  ): void;
  /** Data is about to leave, with nothing in flight. */
  restarted(state: RateState, now: number): void;
}

/** One congestion control of one connection. */
export interface Congestion {
  /** Its name, as in Linux's `tcp_congestion_control`. */
  readonly name: string;
  /** Itself, if it decides by rate samples; {@link acked} is not called then. */
  readonly rateControl: RateControl | null;
  /** An ACK moved SND.UNA while the window was in use, outside of recovery. @param acked Segments. @param now In µs. */
  acked(state: CongestionState, acked: number, now: number): void;
  /** A loss or an ECN mark was found. @returns The new slow-start threshold, in segments, at least 2. */
  reduce(state: CongestionState, now: number): number;
  /** The retransmission timer expired: what was learnt of the path is void. */
  timedOut(state: CongestionState): void;
  /** The latest reduction was needless; window and threshold are as before it. */
  undone(state: CongestionState): void;
}

/** RFC 5681 and RFC 6582. */
export class NewReno implements Congestion {
  readonly name = "reno";
  readonly rateControl: RateControl | null = null;

  acked(state: CongestionState, acked: number): void {
    if (state.cwnd < state.ssthresh) acked = slowStart(state, acked);
    if (acked > 0) additiveIncrease(state, state.cwnd, acked);
  }

  reduce(state: CongestionState): number {
    return Math.max(state.cwnd >> 1, 2);
  }

  timedOut(): void {}

  undone(): void {}
}

/** Grows the window by what was acknowledged, up to the threshold. @returns Segments left over. */
export function slowStart(state: CongestionState, acked: number): number {
  const cwnd = Math.min(state.cwnd + acked, state.ssthresh);
  acked -= cwnd - state.cwnd;
  state.cwnd = cwnd;
  return acked;
}

/** Grows the window by one segment for every `every` segments acknowledged. */
export function additiveIncrease(state: CongestionState, every: number, acked: number): void {
  if (every < 1) every = 1;
  // What was gathered while more was asked for is worth one.
  if (state.cwndCount >= every) {
    state.cwndCount = 0;
    state.cwnd++;
  }
  state.cwndCount += acked;
  if (state.cwndCount >= every) {
    const steps = Math.floor(state.cwndCount / every);
    state.cwndCount -= steps * every;
    state.cwnd += steps;
  }
}
