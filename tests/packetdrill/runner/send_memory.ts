/**
 * The send buffer as Linux has it: what is written goes into buffers of whole segments, each of which is begun only while the memory
 * behind all of them is less than SO_SNDBUF, and filled whatever that says.
 *
 * @module
 */

import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { superSegment } from "../../../stack/tcp/pacing.ts";
import { fullPiece, lastPieceRoom } from "../../../stack/tcp/pieces.ts";

/** Bytes that Linux needs for a buffer beside its payload. */
const OVERHEAD = 832;
/** More than will ever be written at once. */
const UNBOUNDED = 1 << 26;

/** Bytes that were written and never sent. */
export function unsent(c: TcpConnection): number {
  return c.sendQueued - (c.sndNxt - c.sendBase | 0);
}

function memoryOf(c: TcpConnection): number {
  return c.sendQueued + OVERHEAD * (c.recordCount + c.pieceCount);
}

/**
 * Bytes that one call may write: the last buffer is filled, then one after the other is begun and filled; what can be sent of the first
 * one leaves room in it.
 * @param limit SO_SNDBUF. @param lowWater TCP_NOTSENT_LOWAT.
 */
export function writeRoom(c: TcpConnection, limit: number, lowWater: number, most: number): number {
  const full = fullPiece(c);
  let memory = memoryOf(c), waiting = unsent(c);
  let free = Math.min((c.cwnd - c.inFlight) * c.mss, c.sndUna + c.sndWnd - c.sndNxt | 0) - waiting;
  let room = lastPieceRoom(c);
  memory += room;
  waiting += room;
  while (room < most && memory < limit && waiting < lowWater) {
    room += full;
    waiting += full;
    memory += full + OVERHEAD;
    if (free <= 0) continue;
    const sent = Math.min(free, waiting);
    free -= sent;
    waiting -= sent;
    memory += OVERHEAD * (Math.ceil(sent / Math.min(superSegment(c), full)) - (waiting === 0 ? 1 : 0));
    if (waiting > 0 && waiting < full) {
      room += full - waiting;
      memory += full - waiting;
      waiting = full;
    }
  }
  return Math.min(room, most);
}

/** Whether poll says so: a third of the memory is free, and little enough was not sent yet. */
export function hasWriteRoom(c: TcpConnection, limit: number, lowWater: number): boolean {
  if (2 * unsent(c) >= lowWater) return false;
  const memory = memoryOf(c);
  return limit - memory >= memory >> 1;
}

/** Writes within {@link writeRoom}, whatever the connection's own limit says. @returns Bytes taken. */
export function writeWithin(c: TcpConnection, bytes: Uint8Array<ArrayBuffer>, length: number): number {
  const { sendLimit } = c;
  c.sendLimit = UNBOUNDED;
  const taken = c.write(bytes, 0, length);
  c.sendLimit = sendLimit;
  return taken;
}
