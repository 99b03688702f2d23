/**
 * Path MTU discovery by the segments themselves (RFC 4821; RFC 8899, section 5), for paths which drop what is too large
 * and never say so. A connection on which nothing gets through in spite of several retransmissions falls back to small
 * segments, and then searches upwards with single larger ones, whose loss says nothing of congestion.
 *
 * @module
 */

import * as wire from "../wire/tcp.ts";
import { usualOptions } from "./accurate_ecn.ts";
import type { TcpConnection } from "./connection.ts";
import { Recovery } from "./connection_state.ts";
import { link, stamp, transmit } from "./output.ts";
import { largestMss } from "./segment_size.ts";
import { LOST } from "./sent.ts";
import { after, before } from "./sequence.ts";
import { armSendTimer } from "./timers.ts";

/** Segments of the window from which on a probe is sent: its loss must be found by what follows it (as Linux has it). */
const LEAST_WINDOW = 11;
/** The same below the base size, where mere bad luck may have led: a lossy path must not stay there. */
const LEAST_SMALL_WINDOW = 4;
/** µs after which such a path is searched anew, instead of the usual interval. */
const SMALL_INTERVAL = 10_000_000;
/** Time-outs more than usual that it takes to doubt a size which has got through already: the path may only be lossy. */
const PROVEN_RETRIES = 2;
/** The shortest retransmission time-out that is counted when a connection is judged, in µs (as Linux has it). */
const SHORTEST_TIMEOUT = 200_000;

/** What a connection knows of the packets that get through; only those have it that search. Sizes are of IP packets. */
export class MtuProbing {
  /** Largest packet known to get through, in bytes: decides the segment size. */
  low: number;
  /** Largest packet that may get through, in bytes. */
  high: number;
  /** The packet under way that is a probe, in bytes; 0 for none. */
  size = 0;
  /** Sequence numbers of its data. */
  start = 0;
  end = 0;
  /** Something has got through since {@link low} was last reduced. */
  proven = false;
  /** When the search began, in µs. */
  since: number;

  /** @param low Bytes. @param high Bytes. @param since µs. */
  constructor(low: number, high: number, since: number) {
    this.low = low;
    this.high = high;
    this.since = since;
  }
}

/** Bytes of a packet around `mss` bytes of payload. */
function packetOf(c: TcpConnection, mss: number): number {
  return mss + overhead(c);
}

function overhead(c: TcpConnection): number {
  return c.path.headerLength + wire.HEADER_LENGTH + usualOptions(c);
}

/** The largest packet that path and peer take. */
function ceiling(c: TcpConnection): number {
  return packetOf(c, largestMss(c, c.path.mtu));
}

/** Begins the search at the base size. What the peer's SYN said is known. */
export function searchMtu(c: TcpConnection, now: number): void {
  const base = Math.min(packetOf(c, c.tcp.settings.baseMss), ceiling(c));
  c.mtuProbing = new MtuProbing(base, ceiling(c), now);
  if (c.active || c.timeouts > 0) c.mssMtu = 0;
}

/**
 * The retransmission timer has expired. When that goes on, the path may have a hole for packets of this size
 * (RFC 4821, section 7.7): the segments become smaller, and smaller again with each further time-out.
 */
export function suspectBlackHole(c: TcpConnection, now: number): void {
  const { settings } = c.tcp;
  const probing = c.mtuProbing;
  // Sent again, a probe proves nothing.
  if (probing !== null) probing.size = 0;
  if (settings.mtuProbing === 0 || c.firstRetransmission === Infinity) return;
  const retries = settings.softRetries + (probing?.proven === true ? PROVEN_RETRIES : 0);
  if (now - c.firstRetransmission < (2 ** (retries + 1) - 1) * SHORTEST_TIMEOUT) return;
  c.tcp.counters.mtuBlackHoles++;
  if (probing === null) {
    searchMtu(c, now);
    return;
  }
  const half = probing.low - overhead(c) >> 1;
  const mss = Math.max(Math.min(settings.baseMss, half), settings.mtuProbeFloor, settings.leastSendMss);
  probing.low = Math.min(packetOf(c, mss), ceiling(c));
  probing.proven = false;
  c.mssMtu = 0;
}

/**
 * Sends a probe if there is one to send: new data in a segment larger than the others, followed by enough of them to
 * tell of its loss.
 * @param unsent Bytes that wait. @returns Bytes sent; 0 for none; -1 when one should go before anything else does, and
 *   has to wait for the window.
 */
export function sendMtuProbe(
  c: TcpConnection,
  probing: MtuProbing,
  unsent: number,
  now: number,
): number {
  const { settings } = c.tcp;
  if (probing.size !== 0 || c.recovery !== Recovery.Open || c.sackedOut > 0) return 0;
  if (c.cwnd < (c.mss < settings.baseMss ? LEAST_SMALL_WINDOW : LEAST_WINDOW)) return 0;
  probing.high = Math.min(probing.high, ceiling(c));
  const size = probing.high + probing.low >> 1;
  if (size > probing.high || probing.high - probing.low < settings.mtuProbeThreshold) {
    searchAgain(c, probing, now);
    return 0;
  }
  const length = size - overhead(c);
  const needed = length + (settings.reordering + 1) * c.mss;
  if (length <= c.mss || unsent < needed || c.sndWnd < needed) return 0;
  if (after(c.sndNxt + needed | 0, c.sndUna + c.sndWnd | 0)) return -1;
  if (c.inFlight + 2 > c.cwnd) return c.packetsOut === 0 ? 0 : -1;
  const records = c.tcp.records;
  const record = records.take();
  if (record < 0) return 0;
  const end = c.sndNxt + length | 0;
  records.start[record] = c.sndNxt;
  records.end[record] = end;
  records.segments[record] = 1;
  if (!transmit(c, c.sndNxt, length, wire.ACK, true, true)) {
    records.give(record);
    c.tcp.retryLater(c);
    return -1;
  }
  stamp(c, record, true, now);
  link(c, record);
  records.segmentBytes[record] = length;
  // Its loss must not shrink the window, so it does not widen it either.
  c.cwnd--;
  probing.size = size;
  probing.start = c.sndNxt;
  probing.end = end;
  c.sndNxt = end;
  c.bytesSent += length;
  c.lastSent = now;
  c.tcp.counters.mtuProbes++;
  armSendTimer(c, now);
  return length;
}

/** After a while the path may have become another one (RFC 4821, section 7.6). */
function searchAgain(c: TcpConnection, probing: MtuProbing, now: number): void {
  const { mtuProbeInterval, baseMss } = c.tcp.settings;
  const interval = c.mss < baseMss ? Math.min(SMALL_INTERVAL, mtuProbeInterval) : mtuProbeInterval;
  if (now - probing.since < interval) return;
  probing.since = now;
  probing.high = ceiling(c);
  probing.low = packetOf(c, c.mss);
}

/** SND.UNA has moved: if it is past the probe, packets of its size get through. */
export function mtuProbeAcknowledged(c: TcpConnection, probing: MtuProbing): void {
  probing.proven = true;
  if (probing.size === 0 || before(c.sndUna, probing.end)) return;
  const { size } = probing;
  // As many bytes as before may be in flight.
  c.cwnd = Math.max(1, Math.floor(c.cwnd * packetOf(c, c.mss) / size));
  c.cwndCount = 0;
  probing.low = size;
  probing.size = 0;
  c.mssMtu = 0;
  c.tcp.counters.mtuProbesDelivered++;
}

/**
 * Something is lost, and no recovery has begun.
 * @returns Whether that was the probe: it is sent again in segments of the usual size, and the window stays.
 */
export function mtuProbeLost(c: TcpConnection, probing: MtuProbing): boolean {
  const lost = c.head >= 0 && (c.tcp.records.flags[c.head]! & LOST) !== 0;
  if (probing.size === 0 || c.sndUna !== probing.start || !lost || c.recovery !== Recovery.Open) return false;
  probing.high = probing.size - 1;
  probing.size = 0;
  c.cwnd++;
  c.recovery = Recovery.Loss;
  c.recoveryPoint = c.sndNxt;
  c.undoValid = c.frto = false;
  c.tcp.counters.mtuProbesLost++;
  return true;
}
