/**
 * Records of what is in flight, cut and joined as SACK tells of them, with the counts that follow them.
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";
import { FIN_RECORD, LOST, RETRANSMITTED, SACKED, SYN_RECORD } from "./sent.ts";
import { after, before } from "./sequence.ts";

/**
 * Most records of a connection that SACK may make. Beyond, a block that would split one more is not believed, so
 * that a peer with a tiny MSS can't make every ACK cost more: SACK is advice (RFC 2018, section 8).
 */
const MOST_RECORDS = 4096;

/** Takes a record out of the counts of lost and retransmitted segments. */
export function unmark(c: TcpConnection, r: number): void {
  const records = c.tcp.records;
  const flags = records.flags[r]!;
  const segments = records.segments[r]!;
  if (flags & LOST) c.lostOut -= segments;
  if (flags & RETRANSMITTED) c.retransOut -= segments;
  records.flags[r] = flags & ~(LOST | RETRANSMITTED);
}

/** Whether a record and the one after it are both sacked. */
export function joinable(c: TcpConnection, r: number): boolean {
  const records = c.tcp.records;
  const next = records.next[r]!;
  const both = SACKED | SYN_RECORD;
  return next >= 0 && (records.flags[r]! & both) === SACKED && (records.flags[next]! & both) === SACKED;
}

/** Makes one of a record and the one after it. */
export function join(c: TcpConnection, r: number): void {
  if (c.tcp.records.join(r) === c.tail) c.tail = r;
  c.recordCount--;
}

/**
 * Splits a record at `sequence` if that is where a segment ends; rounds down to a segment's end otherwise.
 * @returns The record that starts at the cut, or -1 when nothing whole lies on one side.
 */
export function splitAt(c: TcpConnection, r: number, sequence: number): number {
  const records = c.tcp.records;
  const segments = records.segments[r]!;
  if (segments <= 1 || (c.recordCount >= MOST_RECORDS && r !== c.head)) return -1;
  const size = records.segmentBytes[r]!;
  const first = Math.min(Math.floor((sequence - records.start[r]! | 0) / size), segments - 1);
  if (first < 1) return -1;
  const cut = records.start[r]! + first * size | 0;
  if (!before(cut, records.end[r]!)) return -1;
  const j = records.split(r, cut, first);
  if (j < 0) return -1;
  c.recordCount++;
  if (c.tail === r) c.tail = j;
  const flags = records.flags[r]!;
  const change = records.segments[r]! + records.segments[j]! - segments;
  if (change !== 0) {
    c.packetsOut += change;
    if (flags & SACKED) c.sackedOut += change;
    if (flags & LOST) c.lostOut += change;
    if (flags & RETRANSMITTED) c.retransOut += change;
  }
  return j;
}

/** Whether the record after `r`, which has `length` bytes, fits into the same segment and needs to be sent again as well. */
export function joinsRetransmission(c: TcpConnection, r: number, length: number): boolean {
  const records = c.tcp.records;
  const next = records.next[r]!;
  if (next < 0 || records.flags[r]! & (FIN_RECORD | SYN_RECORD) || records.segments[r] !== 1) return false;
  if (records.segments[next] !== 1 || records.flags[next]! & SACKED) return false;
  const fin = records.flags[next]! & FIN_RECORD ? 1 : 0;
  const more = (records.end[next]! - records.start[next]! | 0) - fin;
  return length + more <= c.segmentSize && !after(records.end[next]!, c.sndUna + c.sndWnd | 0);
}

/** Changes how many segments a record counts for. */
export function recount(c: TcpConnection, r: number, segments: number): void {
  const records = c.tcp.records;
  const change = segments - records.segments[r]!;
  const flags = records.flags[r]!;
  records.segments[r] = segments;
  c.packetsOut += change;
  if (flags & SACKED) c.sackedOut += change;
  if (flags & LOST) c.lostOut += change;
  if (flags & RETRANSMITTED) c.retransOut += change;
}
