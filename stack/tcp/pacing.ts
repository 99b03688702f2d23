/**
 * Pacing without a timer a packet: data leaves in quanta of what the rate gives in a millisecond, and the connection's one
 * timer wakes it for the next quantum. What is late is made up for by one quantum, so that a slow clock costs no rate.
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";

/** µs of sending at the pacing rate that leave at once. */
const QUANTUM = 1000;
/** Percent of the window a round trip at which a window-based control is paced: in slow start, and after (as Linux). */
const SLOW_START_RATIO = 2;
const AVOIDANCE_RATIO = 1.2;

/** Bytes that may leave at once, whole segments; at least `tcp_min_tso_segs` of them. */
export function sendQuantum(c: TcpConnection): number {
  const segments = Math.floor(c.pacingRate * QUANTUM / 1e6 / c.mss);
  return Math.max(segments, c.tcp.settings.leastSuperSegments, 1) * c.mss;
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
  const cost = length * 1e6 / c.pacingRate;
  c.nextSendAt = Math.max(c.nextSendAt, now - Math.min(cost, QUANTUM)) + cost;
}

/** Follows the window of a control that knows none of pacing. */
export function updatePacingRate(c: TcpConnection): void {
  if (c.rtt.srtt === 0) return;
  const ratio = c.cwnd < c.ssthresh / 2 ? SLOW_START_RATIO : AVOIDANCE_RATIO;
  c.pacingRate = ratio * Math.max(c.cwnd, c.packetsOut) * c.mss * 1e6 / c.rtt.srtt;
}
