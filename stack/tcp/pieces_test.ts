import assert from "node:assert/strict";
import { Recording, TcpPair } from "../testing/tcp_pair.ts";
import type { TcpConnection } from "./connection.ts";
import { closePiece, firstPiece, forgetSent, holdPush, pushes, written } from "./pieces.ts";

/** A connection that sends nothing by itself: its window is shut, and its peer takes segments of 1000 bytes. */
function waiting(window: number): TcpConnection {
  const pair = new TcpPair({});
  const c = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, new Recording());
  const connection = c as TcpConnection;
  connection.mss = connection.segmentSize = 1000;
  connection.maxSndWnd = window;
  connection.sndNxt = connection.sendBase;
  return connection;
}

/** Bytes and PSH of each piece. */
function pieces(c: TcpConnection): [number, boolean][] {
  const { end, flags, next } = c.tcp.pieces;
  const list: [number, boolean][] = [];
  let start = c.sndNxt;
  for (let i = c.pieceHead; i >= 0; i = next[i]!) {
    list.push([end[i]! - start | 0, (flags[i]! & 1) !== 0]);
    start = end[i]!;
  }
  return list;
}

function write(c: TcpConnection, length: number): void {
  const last = pieces(c).reduce((sum, [bytes]) => sum + bytes, c.sndNxt);
  written(c, last | 0, length);
}

Deno.test("written() fills pieces up to half of the window, and has PSH where half a window was written", () => {
  const c = waiting(10_240);
  write(c, 3000);
  assert.deepEqual(pieces(c), [[3000, true]]);
  // What is added to takes its PSH along to the end of the write.
  write(c, 12_500);
  assert.deepEqual(pieces(c), [[5000, false], [5000, true], [5000, false], [500, true]]);
  forgetSent(c, true);
  assert.deepEqual([c.pieceHead, c.pieceTail, c.pieceCount], [-1, -1, 0]);
});

Deno.test("firstPiece() takes what is wanted from the next piece, unless a record ends between them", () => {
  const c = waiting(2000);
  write(c, 2500);
  assert.deepEqual(pieces(c), [[1000, false], [1000, true], [500, true]]);
  assert.equal(firstPiece(c, 1500, 2500), 1500);
  assert.deepEqual(pieces(c), [[1500, false], [500, true], [500, true]]);
  assert.equal(firstPiece(c, 2000, 2500), 2000);
  assert.deepEqual(pieces(c), [[2000, true], [500, true]]);
  assert(pushes(c, c.sndNxt + 2000 | 0) && !pushes(c, c.sndNxt + 1000 | 0));
  closePiece(c);
  write(c, 10);
  c.sndNxt = c.sndNxt + 2000 | 0;
  forgetSent(c);
  assert.equal(firstPiece(c, 1000, 510), 500);
  assert.deepEqual(pieces(c), [[500, true], [10, true]]);
});

Deno.test("holdPush() takes PSH back when more is said to follow, but not when it is overdue", () => {
  const c = waiting(10_240);
  write(c, 100);
  holdPush(c);
  assert.deepEqual(pieces(c), [[100, false]]);
  write(c, 5100);
  holdPush(c);
  assert.deepEqual(pieces(c), [[5000, false], [200, true]]);
});

Deno.test("written() lets the last piece grow when there are too many", () => {
  const c = waiting(2000);
  for (let i = 0; i < 5; i++) write(c, 1000 * 1000);
  const list = pieces(c);
  assert.equal(list.length, 4096);
  assert.equal(list.reduce((sum, [bytes]) => sum + bytes, 0), 5_000_000);
});
