/**
 * Acknowledgments: when they are sent, and with which SACK blocks (RFC 9293, section 3.8.6.3; RFC 2018; RFC 2883).
 *
 * @module
 */

import * as wire from "../wire/tcp.ts";
import type { TcpConnection } from "./connection.ts";
import { QUICK_ACKS } from "./connection_state.ts";
import { acked, timestamp, writeSegment } from "./output.ts";
import { signatureLength } from "./signatures.ts";

/** µs for which an ACK may wait for company (RFC 9293, section 3.8.6.3). */
export const DELAYED_ACK = 40_000;

/** Sends an ACK, with SACK blocks where something is missing. */
export function sendAck(c: TcpConnection): void {
  const packet = c.path.reserve();
  if (packet === null) {
    c.ackNow = true;
    c.tcp.retryLater(c);
    return;
  }
  const signature = signatureLength(c);
  const stamps = c.timestamps ? 12 : 0;
  const room = wire.MOST_OPTIONS - signature - stamps;
  const blocks = c.sackPermitted ? sackBlocks(c, Math.min(4, room - 4 >> 3)) : 0;
  const sack = blocks > 0 ? 4 + 8 * blocks : 0;
  const ecn = c.accurate === null ? 0 : c.accurate.ackOptionLength(c, room - sack);
  const options = signature + stamps + ecn + sack;
  const at = packet.push(wire.HEADER_LENGTH + options);
  const p = at + wire.HEADER_LENGTH + signature;
  if (stamps > 0) wire.writeTimestamps(packet.view, p, timestamp(c), c.tsRecent);
  if (ecn > 0) c.accurate!.writeOption(packet.view, p + stamps);
  if (blocks > 0) writeSack(c, packet.view, p + stamps + ecn, blocks);
  writeSegment(c, packet, at, c.sndNxt, wire.HEADER_LENGTH + options, wire.ACK);
  c.lastTransmit = c.tcp.stack.now;
  c.tcp.counters.sentSegments++;
  c.path.send(packet, wire.PROTOCOL, c.trafficClass, c.hopLimit);
  acked(c);
}

/** Bytes of the SACK option that a segment other than an ACK has (as Linux), given `others` bytes of other options. */
export function sackLength(c: TcpConnection, others: number): number {
  if (!c.sackPermitted || (c.assembler === null && c.dsackStart === c.dsackEnd)) return 0;
  const blocks = sackBlocks(c, Math.min(4, (wire.MOST_OPTIONS - others - 4) >> 3));
  return blocks > 0 ? 4 + 8 * blocks : 0;
}

/** Writes an option of the length that {@link sackLength} has said. */
export function writeSackOption(c: TcpConnection, view: DataView, at: number, length: number): void {
  writeSack(c, view, at, (length - 4) >> 3);
}

/** Counts the blocks that {@link writeSack} will write, at most `most`. */
function sackBlocks(c: TcpConnection, most: number): number {
  let blocks = c.dsackStart !== c.dsackEnd ? 1 : 0;
  const assembler = c.assembler;
  if (assembler === null) return blocks;
  for (let nth = 0; nth < 4 && blocks < most; nth++) if (assembler.recent(nth) >= 0) blocks++;
  return blocks;
}

/** The duplicate first (RFC 2883), then the ranges, the one touched last first (RFC 2018, section 4). */
function writeSack(c: TcpConnection, view: DataView, at: number, blocks: number): void {
  view.setInt32(at, 0x01010500 | 2 + 8 * blocks);
  at += 4;
  if (c.dsackStart !== c.dsackEnd) {
    view.setInt32(at, c.dsackStart);
    view.setInt32(at + 4, c.dsackEnd);
    c.dsackEnd = c.dsackStart;
    at += 8;
    blocks--;
  }
  const assembler = c.assembler;
  for (let nth = 0; blocks > 0; nth++) {
    const i = assembler!.recent(nth);
    if (i < 0) continue;
    view.setInt32(at, assembler!.start(i));
    view.setInt32(at + 4, assembler!.end(i));
    at += 8;
    blocks--;
  }
}

/** Says when the data received so far is to be acknowledged (RFC 9293, section 3.8.6.3; RFC 5681, section 4.2). */
export function acknowledgeLater(c: TcpConnection, now: number): void {
  // Of data that lies there, reading it tells, with the window that it opens (as Linux).
  const full = c.unacked > c.rcvMss && (c.readable === 0 || c.receiveWindow >= (c.rcvAdv - c.lastAck | 0));
  if (full || (c.quickAcks > 0 && !c.interactive) || c.promptAcks) {
    c.ackNow = true;
  } else if (c.ackTimerAt === Infinity) {
    c.ackTimerAt = now + DELAYED_ACK;
    c.schedule();
  }
}

/** Acknowledges at once for some `segments` again: something is missing, or the peer waits. */
export function quickAck(c: TcpConnection, segments: number = QUICK_ACKS): void {
  if (segments > c.quickAcks) c.quickAcks = segments;
  c.interactive = false;
}
