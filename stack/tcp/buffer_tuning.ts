/**
 * Buffers that grow with what a connection makes of them, so that idle and slow ones are bounded by little, and fast
 * ones by much. Neither ever shrinks: a window that was offered is not taken back (RFC 9293, section 3.8.6).
 *
 * @module
 */

import type { TcpOptions } from "../wire/tcp.ts";
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
  const { srtt } = c;
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

/**
 * Learns the round trip from data that arrives in order: from the timestamps it echoes, or else from how long a whole
 * window takes, which is never less (dynamic right-sizing, as Linux's rcv_rtt_est). In µs, smoothed with 1/8.
 * @param frame Bytes of payload of the segment.
 */
export function measureReceiverRtt(c: TcpConnection, options: TcpOptions, frame: number, now: number): void {
  if (c.timestamps && options.timestamps) {
    const echo = options.timestampEcho;
    if (echo === c.receiverRttEcho || frame < c.rcvMss) return;
    c.receiverRttEcho = echo;
    const ticks = Math.floor(now / 1000) + c.tsOffset - echo | 0;
    if (ticks < 0) return;
    const sample = Math.max(ticks, 1) * 1000;
    c.receiverRtt = c.receiverRtt === 0 ? sample : c.receiverRtt + (sample - c.receiverRtt) / 8;
    return;
  }
  if (c.receiverRttAt !== 0) {
    if ((c.rcvNxt - c.receiverRttEnd | 0) < 0) return;
    const sample = Math.max(now - c.receiverRttAt, 1);
    if (c.receiverRtt === 0 || sample < c.receiverRtt) c.receiverRtt = sample;
  }
  c.receiverRttAt = now;
  c.receiverRttEnd = c.rcvAdv;
}

/** Learns what the application takes in a round trip (as Linux's rcvq_space). */
export function measureTaken(c: TcpConnection, now: number): void {
  if (c.receiverRtt === 0 || now - c.receiveSpaceAt < c.receiverRtt) return;
  const taken = c.bytesReceived - c.readable;
  if (taken - c.receiveSpaceTaken > c.receiveSpace) c.receiveSpace = taken - c.receiveSpaceTaken;
  c.receiveSpaceTaken = taken;
  c.receiveSpaceAt = now;
}

/** Lets the send buffer hold two windows: one in flight, one to follow as it is acknowledged. */
export function tuneSendBuffer(c: TcpConnection): void {
  const wanted = 2 * c.cwnd * c.mss;
  if (wanted > c.sendLimit) c.sendLimit = Math.min(Math.max(wanted, c.sendLimit), c.sendMost);
}
