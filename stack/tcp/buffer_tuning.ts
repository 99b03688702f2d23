/**
 * Buffers that grow with what a connection makes of them, so that idle and slow ones are bounded by little, and fast
 * ones by much. Neither ever shrinks: a window that was offered is not taken back (RFC 9293, section 3.8.6).
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";

/** µs under which a round trip is not told from the turns of an event loop. */
const LEAST_ROUND = 1000;
/** Round trips in which half of the buffer has to be taken: while a loss is repaired, nothing can be taken for some. */
const ROUNDS = 4;
/** µs that a round trip is thought to take while none was measured. */
const UNKNOWN_ROUND = 100_000;

/**
 * Doubles the receive buffer when the application takes half of it within a few round trips: the window stays at least
 * twice ahead of what a sender in slow start can use (dynamic right-sizing, as Linux's tcp_rcv_space_adjust). Called
 * when data was taken, while the buffer may grow.
 */
export function tuneReceiveBuffer(c: TcpConnection, now: number): void {
  const taken = c.bytesReceived - c.readable;
  const { srtt } = c.rtt;
  const round = srtt === 0 ? UNKNOWN_ROUND : srtt > LEAST_ROUND ? srtt : LEAST_ROUND;
  if (now - c.tuneAt > ROUNDS * round) {
    c.tuneAt = now;
    c.tuneTaken = taken;
  } else if (taken - c.tuneTaken >= c.receiveLimit >> 1) {
    c.receiveLimit = Math.min(2 * c.receiveLimit, c.receiveMost);
    c.tuneAt = now;
    c.tuneTaken = taken;
  }
}

/** Lets the send buffer hold two windows: one in flight, one to follow as it is acknowledged. */
export function tuneSendBuffer(c: TcpConnection): void {
  const wanted = 2 * c.cwnd * c.mss;
  if (wanted > c.sendLimit) c.sendLimit = Math.min(Math.max(wanted, c.sendLimit), c.sendMost);
}
