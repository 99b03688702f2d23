/**
 * What waits to be sent, in the pieces in which Linux would hold it. A peer can tell them apart: a segment ends where a
 * piece does, with PSH if the write ended there or half of the peer's window was written since the last.
 *
 * A piece is filled up to half of the peer's window (or to what fits into a packet), write by write. Linux sends while
 * it copies, we at the end of a turn, so that what could have been sent as it was written is kept in mind.
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";
import { State } from "./api.ts";
import { DEFAULT_MSS } from "./connection_state.ts";
import { superSegment } from "./pacing.ts";
import { updateMss } from "./segment_size.ts";
import { after, before, later } from "./sequence.ts";

/** Most bytes of a piece: what fits into a packet of 64 KiB, less Linux's room for headers. */
const LARGEST = 65_215;
/** Most pieces of a connection; beyond, the last one grows. */
const MOST = 4096;

/** The last segment of the piece says PSH. */
const PUSH = 1;
/** Nothing is added to the piece. */
const CLOSED = 2;

/** The pieces of all connections of a stack, chained by number. -1 stands for no piece. */
export class Pieces {
  /** One past the last sequence number. */
  end: Int32Array<ArrayBuffer> = new Int32Array(64);
  flags: Uint8Array<ArrayBuffer> = new Uint8Array(64);
  /** The following piece of the connection. */
  next: Int32Array<ArrayBuffer> = new Int32Array(64);
  #free = -1;
  #used = 0;

  /** @returns A new piece. */
  take(): number {
    let i = this.#free;
    if (i >= 0) this.#free = this.next[i]!;
    else {
      i = this.#used++;
      if (i === this.end.length) this.#grow();
    }
    this.next[i] = -1;
    this.flags[i] = 0;
    return i;
  }

  /** Gives a piece back. */
  give(i: number): void {
    this.next[i] = this.#free;
    this.#free = i;
  }

  #grow(): void {
    const size = 2 * this.end.length;
    const { end, flags, next } = this;
    this.end = new Int32Array(size);
    this.end.set(end);
    this.flags = new Uint8Array(size);
    this.flags.set(flags);
    this.next = new Int32Array(size);
    this.next.set(next);
  }
}

/** Takes what was just written into pieces: `length` bytes from sequence number `from` on. */
export function written(c: TcpConnection, from: number, length: number): void {
  const { pieces } = c.tcp;
  if (c.state >= State.Established) updateMss(c);
  const goal = fullPiece(c);
  const end = from + length | 0;
  if (before(c.sentIfPushed, c.sndNxt)) c.sentIfPushed = c.sndNxt;
  for (let at = from; at !== end;) {
    let tail = c.pieceTail;
    let room = 0;
    if (tail >= 0 && (pieces.flags[tail]! & CLOSED) === 0) {
      room = goal - (at - later(c.pieceStart, c.sentIfPushed) | 0);
    }
    if (room <= 0 && (tail < 0 || c.pieceCount < MOST)) {
      tail = add(c, at);
      room = goal;
    } else {
      if (room <= 0) room = end - at | 0;
      if (at === from) pieces.flags[tail]! &= ~PUSH;
    }
    const count = Math.min(room, end - at | 0);
    at = at + count | 0;
    pieces.end[tail] = at;
    if (at !== end) filled(c, tail, at);
  }
  c.pushedBefore = c.pushed;
  c.pushed = end;
  pieces.flags[c.pieceTail]! |= PUSH;
}

/** More was said to follow what was written last: it ends without PSH, unless that is overdue. */
export function holdPush(c: TcpConnection): void {
  if (c.pieceTail < 0 || isOverdue(c, c.pushedBefore, c.pushed)) return;
  c.pushed = c.pushedBefore;
  c.tcp.pieces.flags[c.pieceTail]! &= ~PUSH;
}

/** No segment holds bytes of what was written so far and of what follows. */
export function closePiece(c: TcpConnection): void {
  if (c.pieceTail >= 0) c.tcp.pieces.flags[c.pieceTail]! |= CLOSED;
}

/**
 * Bytes from SND.NXT to the end of the first piece, which is given what it lacks of `wanted` from the next one.
 * @param unsent What waits in all.
 */
export function firstPiece(c: TcpConnection, wanted: number, unsent: number): number {
  const { pieces } = c.tcp;
  const head = c.pieceHead;
  if (head < 0) return unsent;
  const length = pieces.end[head]! - c.sndNxt | 0;
  const next = pieces.next[head]!;
  if (length >= wanted || next < 0 || pieces.flags[head]! & CLOSED) return length;
  const whole = pieces.end[next]! - pieces.end[head]! | 0;
  const taken = Math.min(wanted - length, whole);
  pieces.end[head] = pieces.end[head]! + taken | 0;
  if (taken === whole) {
    pieces.flags[head]! |= pieces.flags[next]!;
    pieces.next[head] = pieces.next[next]!;
    pieces.give(next);
    c.pieceCount--;
    if (c.pieceTail === next) {
      c.pieceTail = head;
      c.pieceStart = c.sndNxt;
    }
  }
  return length + taken;
}

/** One past the last sequence number of the first piece; that of a FIN counts if it follows at once. */
export function endOfFirstPiece(c: TcpConnection): number {
  const unsent = c.sendQueued - (c.sndNxt - c.sendBase | 0);
  const length = unsent > 0 ? firstPiece(c, 0, unsent) : 0;
  return c.sndNxt + length + (c.finQueued && length === unsent ? 1 : 0) | 0;
}

/** Whether a segment that ends at `end` ends a piece which is to say PSH. */
export function pushes(c: TcpConnection, end: number): boolean {
  const { pieces } = c.tcp;
  const head = c.pieceHead;
  return head >= 0 && pieces.end[head] === end && (pieces.flags[head]! & PUSH) !== 0;
}

/** Whether the first piece ends where nothing may be joined, given that it ends at `end`. */
export function closes(c: TcpConnection, end: number): boolean {
  const { pieces } = c.tcp;
  const head = c.pieceHead;
  return head >= 0 && pieces.end[head] === end && (pieces.flags[head]! & CLOSED) !== 0;
}

/** SND.NXT has moved on: gives back what is sent, all of it if the connection is `over`. */
export function forgetSent(c: TcpConnection, over = false): void {
  const { pieces } = c.tcp;
  while (c.pieceHead >= 0 && (over || !after(pieces.end[c.pieceHead]!, c.sndNxt))) {
    const head = c.pieceHead;
    c.pieceHead = pieces.next[head]!;
    pieces.give(head);
    c.pieceCount--;
  }
  if (c.pieceHead < 0) c.pieceTail = -1;
}

/** Bytes that the last piece lacks of a full one, not counting what of it was sent; 0 where nothing may be added. */
export function lastPieceRoom(c: TcpConnection): number {
  if (c.pieceTail < 0 || c.tcp.pieces.flags[c.pieceTail]! & CLOSED) return 0;
  const end = c.sendBase + c.sendQueued | 0;
  return Math.max(0, fullPiece(c) - (end - later(c.pieceStart, c.sndNxt) | 0));
}

function add(c: TcpConnection, at: number): number {
  const { pieces } = c.tcp;
  const piece = pieces.take();
  if (c.pieceTail < 0) c.pieceHead = piece;
  else pieces.next[c.pieceTail] = piece;
  c.pieceTail = piece;
  c.pieceStart = at;
  c.pieceCount++;
  return piece;
}

/** Bytes of a full piece, in whole segments. */
export function fullPiece(c: TcpConnection): number {
  const { maxSndWnd, segmentSize } = c;
  const half = maxSndWnd === 0 ? LARGEST : maxSndWnd > DEFAULT_MSS ? maxSndWnd >> 1 : maxSndWnd;
  return Math.max(Math.floor(Math.min(LARGEST, half) / segmentSize), 1) * segmentSize;
}

/** Whether so much was written since PSH that the peer is to be told again. */
function isOverdue(c: TcpConnection, pushed: number, end: number): boolean {
  return (end - pushed | 0) > c.maxSndWnd >> 1;
}

/** The last piece is full, and more follows: Linux sends it now, or what it may of it. */
function filled(c: TcpConnection, tail: number, end: number): void {
  const { pieces } = c.tcp;
  const overdue = isOverdue(c, c.pushed, end);
  if (overdue) {
    pieces.flags[tail]! |= PUSH;
    c.pushed = end;
  }
  const first = c.pieceHead === tail || !before(c.sentIfPushed, c.pieceStart);
  if (!overdue && !first) return;
  if (c.state < State.Established || c.pacingRate > 0) return;
  const from = c.sentIfPushed;
  let quota = c.cwnd - c.inFlight - Math.ceil((from - c.sndNxt | 0) / c.mss);
  if (!overdue) quota = Math.min(quota, c.cwnd >> 1);
  let count = Math.min(quota * c.segmentSize, end - from | 0);
  if (!overdue) count = Math.min(count, superSegment(c));
  const room = (c.sndUna + c.sndWnd | 0) - from | 0;
  // What the window cuts short goes as well, with at least one whole segment.
  if (room < count) count = room < c.segmentSize ? 0 : room;
  else if (count < (end - from | 0)) count -= count % c.segmentSize;
  if (count <= 0) return;
  c.sentIfPushed = from + count | 0;
  if (c.sentIfPushed === end) pieces.flags[tail]! |= CLOSED;
}
