/**
 * The phases of BBR, and how fast and how much it sends in each.
 *
 * @module
 */

/** The phases. Those from {@link Down} on make up ProbeBW. */
export enum Phase {
  Startup,
  Drain,
  ProbeRtt,
  Down,
  Cruise,
  Refill,
  Up,
}

/** What the ACKs of the moment tell of the latest probe for bandwidth. */
export enum Acks {
  Initial,
  Refilling,
  ProbeStarting,
  ProbeFeedback,
  ProbeStopping,
}

/** Share of the bandwidth estimate at which data leaves, by phase. */
export const PACING_GAIN: Record<Phase, number> = [2.77, 0.5, 1, 0.9, 1, 1, 1.25];
/** Share of bandwidth × round-trip time that may be in flight, by phase. */
export const WINDOW_GAIN: Record<Phase, number> = [2, 2, 0.5, 2, 2, 2, 2.25];
