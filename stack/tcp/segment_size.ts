/**
 * How long segments are: what the path, the peer and its window take (RFC 9293, section 3.7.1; RFC 6691).
 *
 * @module
 */

import * as wire from "../wire/tcp.ts";
import { usualOptions } from "./accurate_ecn.ts";
import { sackLength } from "./acks.ts";
import type { TcpConnection } from "./connection.ts";
import { DEFAULT_MSS } from "./connection_state.ts";

/** Follows the path's MTU, and what has to be told of what came out of order. */
export function updateMss(c: TcpConnection): void {
  const { mtu } = c.path;
  if (mtu !== c.mssMtu) {
    c.mssMtu = mtu;
    const probing = c.mtuProbing;
    c.mss = largestMss(c, probing === null || probing.low > mtu ? mtu : probing.low);
  }
  const sack = c.assembler === null && c.dsackStart === c.dsackEnd ? 0 : sackLength(c, usualOptions(c));
  // Tiny segments go without.
  c.segmentSize = sack <= c.mss >> 1 ? c.mss - sack : c.mss;
}

/** @returns Bytes of payload of the largest segment that the peer takes and that a packet of `mtu` bytes holds. */
export function largestMss(c: TcpConnection, mtu: number): number {
  const fits = mtu - c.path.headerLength - wire.HEADER_LENGTH;
  return Math.max(Math.min(c.peerMss, fits, halfWindow(c)) - usualOptions(c), c.tcp.settings.leastSendMss);
}

/**
 * Half of the greatest window that the peer has offered, or all of a tiny one, with the options that go along: of larger
 * segments only one would fit, and its ACK would be late (as Linux's tcp_bound_to_half_wnd).
 */
function halfWindow(c: TcpConnection): number {
  const { maxSndWnd } = c;
  if (maxSndWnd === 0) return Infinity;
  return (maxSndWnd > DEFAULT_MSS ? maxSndWnd >> 1 : maxSndWnd) + usualOptions(c);
}

/** Notes the greatest window that the peer has offered. */
export function widen(c: TcpConnection, window: number): void {
  // Segments are bounded by half of it.
  if (Math.min(c.maxSndWnd, window) < 2 * c.peerMss || c.mtuProbing !== null) c.mssMtu = 0;
  c.maxSndWnd = window;
}
