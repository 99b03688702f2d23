/**
 * Pacing without a timer a packet: data leaves in quanta of what the rate gives in a millisecond, and the connection's one
 * timer wakes it for the next quantum. What a late turn of the event loop kept from leaving leaves with it, within bounds:
 * otherwise every late turn would cost rate, and a control that measures what it delivers would never regain it.
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";

/** µs of sending at the pacing rate that leave at once. */
const QUANTUM = 1000;
/** Most µs of sending that a turn which comes late makes up for, and the share of a round trip that they may be. */
const MOST_LATE = 20_000;
const LATE_SHARE = 0.5;
/** Percent of the window a round trip at which a window-based control is paced: in slow start, and after (as Linux). */
const SLOW_START_RATIO = 2;
const AVOIDANCE_RATIO = 1.2;

/** The rate within what the connection's owner allows, in bytes a second. */
function rateOf(c: TcpConnection): number {
  return Math.min(c.pacingRate, c.maxPacingRate);
}

/** Bytes that may leave at once, whole segments; at least `tcp_min_tso_segs` of them. */
export function sendQuantum(c: TcpConnection): number {
  const segments = Math.floor(rateOf(c) * QUANTUM / 1e6 / c.mss);
  return Math.max(segments, c.tcp.settings.leastSuperSegments, 1) * c.mss;
}

/** Round trips this short, in µs, halve the bonus of {@link superSegment} once each. */
const NEARNESS = 512;
/** Most that nearness adds, in bytes. */
const NEAR_BONUS = 65_216;

/**
 * Most bytes of one transmission where nothing is paced, in whole segments: what the window gives in a millisecond, and
 * more to a peer that is near (as Linux's tcp_tso_autosize). Larger ones would leave a slow link to nobody else.
 */
export function superSegment(c: TcpConnection): number {
  const { srtt, minRtt } = c;
  if (c.signatureKey !== null) return c.mss;
  if (srtt === 0) return Infinity;
  const ratio = c.cwnd < c.ssthresh / 2 ? SLOW_START_RATIO : AVOIDANCE_RATIO;
  let bytes = ratio * Math.max(c.cwnd, c.packetsOut) * c.mss * 1e6 / srtt / 1024;
  const distance = Math.floor(minRtt / NEARNESS);
  if (distance < 32) bytes += NEAR_BONUS / (1 << distance >>> 0);
  return Math.max(Math.floor(bytes / c.mss), c.tcp.settings.leastSuperSegments, 1) * c.mss;
}

/** Whether it is too early to send; the timer is set then. Only asked while there is a pacing rate. */
export function tooEarly(c: TcpConnection, now: number): boolean {
  if (now >= c.nextSendAt) return false;
  c.paceTimerAt = c.nextSendAt;
  c.schedule();
  return true;
}

/** Accounts for `length` bytes that leave now. */
export function spend(c: TcpConnection, length: number, now: number): void {
  const cost = length * 1e6 / rateOf(c);
  // Only what pacing itself held back is late; what waited for data or for the window was not meant to leave before.
  const late = c.paceHeld
    ? Math.min(Math.max(c.srtt * LATE_SHARE, QUANTUM), MOST_LATE)
    : Math.min(cost, QUANTUM);
  c.nextSendAt = Math.max(c.nextSendAt, now - late) + cost;
}

/** Follows the window of a control that knows none of pacing. */
export function updatePacingRate(c: TcpConnection): void {
  if (c.srtt === 0) return;
  const ratio = c.cwnd < c.ssthresh / 2 ? SLOW_START_RATIO : AVOIDANCE_RATIO;
  c.pacingRate = ratio * Math.max(c.cwnd, c.packetsOut) * c.mss * 1e6 / c.srtt;
}
