/**
 * Payload and FIN of segments that arrive: in order to the handler, out of order into the ring
 * (RFC 9293, section 3.10.7.4, seventh and eighth step).
 *
 * @module
 */

import type { Bytes } from "../packet.ts";
import * as wire from "../wire/tcp.ts";
import { acknowledgeLater, quickAck, sendAck } from "./acks.ts";
import { State } from "./api.ts";
import { Assembler } from "./assembler.ts";
import { measureReceiverRtt, measureTaken, tuneReceiveBuffer } from "./buffer_tuning.ts";
import { callReceive } from "./callbacks.ts";
import type { TcpConnection } from "./connection.ts";
import { QUICK_ACKS } from "./connection_state.ts";
import { drop, enterTimeWait, reset } from "./ending.ts";
import type { Segment } from "./input.ts";
import { rejectSegment } from "./reset.ts";
import { mayWait, tellBefore, waitForMore } from "./sack_compression.ts";
import { before, later } from "./sequence.ts";

/** Segments with one of these may be short because the data ends there. */
const REMNANT = wire.SYN | wire.FIN | wire.URG | wire.PSH;
/** Bytes of a segment below which it tells nothing of what the peer can send (Linux's TCP_MIN_MSS). */
const LEAST_MEASURED = 88;

/** RFC 2883: the next ACK tells of a segment that came twice. */
export function reportDuplicate(c: TcpConnection, s: Segment): void {
  // A FIN takes a number as well.
  const length = s.length + (s.flags & wire.FIN ? 1 : 0);
  if (!c.sackPermitted || !c.tcp.settings.duplicateSack || length === 0) return;
  if (!before(s.sequence, c.rcvNxt)) return;
  c.dsackStart = s.sequence;
  c.dsackEnd = s.sequence + Math.min(length, c.rcvNxt - s.sequence | 0) | 0;
}

/** Takes payload and FIN of an acceptable segment (RFC 9293, section 3.10.7.4, seventh and eighth step). */
export function inputData(c: TcpConnection, s: Segment, now: number): void {
  if (
    c.finReceived || c.state === State.CloseWait || c.state === State.LastAck || c.state === State.Closing
  ) {
    // Its FIN again: the ACK of it was lost.
    if (before(s.sequence, c.rcvNxt)) {
      reportDuplicate(c, s);
      quickAck(c);
      c.ackNow = true;
      c.tcp.markDirty(c);
    }
    return;
  }
  let sequence = s.sequence;
  let offset = s.offset;
  let length = s.length;
  let fin = (s.flags & wire.FIN) !== 0;
  const old = c.rcvNxt - sequence | 0;
  if (old > 0) {
    if (length > 0 && c.sackPermitted && c.tcp.settings.duplicateSack) {
      c.dsackStart = sequence;
      c.dsackEnd = sequence + Math.min(old, length) | 0;
    }
    offset += old;
    length -= old;
    sequence = c.rcvNxt;
    if (length < 0 || (length === 0 && !fin)) {
      // Nothing new: the ACK of it was lost.
      quickAck(c);
      c.ackNow = true;
      c.tcp.markDirty(c);
      return;
    }
  }
  const beyond = (sequence + length | 0) - c.rcvAdv | 0;
  if (beyond > 0 && c.receiveMemory === null) {
    c.tcp.counters.outOfWindow++;
    length -= beyond;
    fin = false;
  }
  const halfClosed = c.receiveShut && (c.state === State.FinWait1 || c.state === State.FinWait2);
  if ((c.orphan || halfClosed) && length > 0) {
    // Nobody will ever read it (RFC 9293, section 3.10.4; RFC 2525, section 2.17).
    rejectSegment(c.tcp, c.path, c.localPort, c.remotePort, s, c.signatureKey);
    drop(
      c,
      c.orphan ? null : c.failure("ConnectionReset", "Data came after the connection was shut down"),
    );
    return;
  }
  const frame = s.frame > 0 ? s.frame : s.length;
  if (length > 0) measureSegment(c, frame, s.flags);
  const counts = length > 0 || (fin && sequence !== c.rcvNxt);
  if (counts && c.receiveMemory?.arrived(c, sequence, length, s.length, s.flags) === false) {
    c.tcp.counters.outOfMemory++;
    quickAck(c);
    c.ackNow = true;
    c.tcp.markDirty(c);
    return;
  }
  if (sequence !== c.rcvNxt) {
    holdOutOfOrder(c, s.bytes, sequence, offset, length, fin);
    return;
  }
  // Behind its FIN a peer has nothing, whatever it has sent.
  const hole = !fin && c.assembler !== null && c.assembler.count > 0;
  c.rcvNxt = sequence + length | 0;
  c.unacked += length;
  c.bytesReceived += length;
  if (length > 0) {
    // After so long a silence its window may be small: it should not have to wait (as Linux).
    const silence = now - c.lastData;
    if (silence > c.rto && silence < Infinity) {
      const offered = Math.floor((c.rcvAdv - c.rcvNxt | 0) / (2 * c.rcvMss)) || 2;
      c.quickAcks = Math.max(c.quickAcks, Math.min(offered, QUICK_ACKS));
    }
    c.lastData = now;
    deliver(c, s.bytes, offset, length);
    if (c.receiveLimit < c.receiveMost && c.receiveMemory === null) tuneReceiveBuffer(c, now);
    measureReceiverRtt(c, s.options, frame, now);
    measureTaken(c, now);
  }
  // The handler may have ended it.
  if ((c.state as State) === State.Closed) return;
  if (hole) {
    reportCovered(c);
    if (takeHeld(c)) fin = true;
    quickAck(c);
    c.ackNow = true;
  }
  if (fin) inputFin(c);
  if (!c.ackNow && (c.state as State) !== State.TimeWait) acknowledgeLater(c, now);
  c.tcp.markDirty(c);
}

/** Learns how long the peer's segments are: from the longest, or from two of one length that end nothing. */
function measureSegment(c: TcpConnection, frame: number, flags: number): void {
  if (frame >= c.rcvMss) {
    // No more than we have asked for, whatever was put together on the way.
    if (frame > c.rcvMss) {
      c.rcvMss = Math.min(frame, c.path.interface.mtu - c.path.headerLength - wire.HEADER_LENGTH);
    }
    return;
  }
  if (frame >= LEAST_MEASURED && (flags & REMNANT) === 0) {
    if (frame === c.lastFrame) {
      c.rcvMss = frame;
      return;
    }
    c.lastFrame = frame;
  }
  c.smallSegments++;
}

/** Bytes of a segment behind which others like it are to be expected at once. */
const LONG_SEGMENT = 16_384;

/** Hands in-order data to the handler, and keeps in the ring what it does not take. */
function deliver(c: TcpConnection, bytes: Bytes, offset: number, length: number): void {
  let taken = 0;
  if (c.readable === 0 && !c.paused && c.handler !== null) {
    taken = callReceive(c, bytes, offset, length);
    if (c.state === State.Closed) return;
    if (taken > 0) c.receiveRing.advance(taken);
    if (taken === length) return;
    pause(c);
    if (c.orphan) {
      // Closed by its handler, which has left something (RFC 2525, section 2.17).
      reset(c, null);
      return;
    }
  }
  const rest = length - taken;
  const needed = c.readable + rest + heldBeyond(c);
  let ring = c.receiveRing;
  if (needed > ring.capacity) {
    // What comes in long segments comes in several: to grow with each of them would be to copy all that lies here.
    const ahead = length < LONG_SEGMENT
      ? needed
      : Math.min(c.readable + (c.rcvAdv - c.rcvNxt | 0), 8 * needed);
    c.receiveRing = ring = ring.grow(Math.max(needed, ahead), needed);
  }
  ring.put(c.readable, bytes, offset + taken, rest);
  c.readable += rest;
}

/** Bytes from RCV.NXT to the end of the last out-of-order data: a FIN has a number, but takes no room. */
export function heldBeyond(c: TcpConnection): number {
  const a = c.assembler;
  let i = a === null ? -1 : a.count - 1;
  if (i < 0) return 0;
  let end = a!.end(i);
  if (c.heldFin && end === (c.heldFinAt + 1 | 0)) {
    end = c.heldFinAt;
    if (a!.start(i) === end) {
      if (--i < 0) return 0;
      end = a!.end(i);
    }
  }
  return Math.max(0, end - c.rcvNxt | 0);
}

/** Keeps a segment that came before its turn, and tells the peer at once. */
function holdOutOfOrder(
  c: TcpConnection,
  bytes: Bytes,
  sequence: number,
  offset: number,
  length: number,
  fin: boolean,
): void {
  c.tcp.counters.outOfOrder++;
  c.outOfOrder++;
  // There is room for data only up to the window's edge.
  if (fin && !before(sequence + length | 0, c.rcvAdv)) fin = false;
  // The stream has one end: whoever names another one later is not believed.
  if (c.heldFin && c.heldFinAt !== (sequence + length | 0)) fin = false;
  let told = false;
  if (length > 0 || fin) {
    const assembler = c.assembler ??= new Assembler();
    // A FIN takes a number as well, and is told of like data.
    const end = sequence + length + (fin ? 1 : 0) | 0;
    const twice = c.sackPermitted && c.tcp.settings.duplicateSack ? assembler.overlapped(sequence, end) : -1;
    if (twice >= 0) {
      // What of it had come before (RFC 2883, section 4.2).
      c.dsackStart = later(sequence, assembler.start(twice));
      c.dsackEnd = before(end, assembler.end(twice)) ? end : assembler.end(twice);
    }
    told = tellBefore(c, sequence, end);
    const kept = c.readable + heldBeyond(c);
    if (assembler.add(sequence, end)) {
      if (length > 0) {
        const at = c.readable + (sequence - c.rcvNxt | 0);
        c.receiveRing = c.receiveRing.grow(Math.max(at + length, kept), kept);
        c.receiveRing.put(at, bytes, offset, length);
      }
      if (fin) {
        c.heldFin = true;
        c.heldFinAt = sequence + length | 0;
      }
    } else {
      c.tcp.counters.reassemblyFull++;
    }
  }
  quickAck(c);
  if (told) return;
  if (mayWait(c)) waitForMore(c);
  else sendAck(c);
}

/** RFC 2883, section 4.2: what fills the hole may cover what came before its turn, of which that is told. */
function reportCovered(c: TcpConnection): void {
  if (!c.sackPermitted || !c.tcp.settings.duplicateSack) return;
  const start = c.assembler!.start(0), end = c.assembler!.end(0);
  if (!before(start, c.rcvNxt)) return;
  const stop = before(end, c.rcvNxt) ? end : c.rcvNxt;
  if (c.dsackStart === c.dsackEnd) c.dsackStart = start;
  else if (before(c.dsackEnd, start)) return;
  c.dsackEnd = stop;
}

/** Takes what the hole kept back. @returns Whether a FIN follows it at once. */
function takeHeld(c: TcpConnection): boolean {
  let next = c.assembler!.take(c.rcvNxt);
  const fin = c.heldFin && !before(next, c.heldFinAt);
  if (fin) next = c.heldFinAt;
  const length = next - c.rcvNxt | 0;
  if (length > 0) {
    c.rcvNxt = next;
    c.receiveMemory?.joined(c);
    c.readable += length;
    c.bytesReceived += length;
    if (!c.paused) offer(c);
  }
  if ((c.state as State) === State.Closed) return false;
  if (c.assembler !== null && c.assembler.count === 0) {
    c.assembler = null;
    if (c.readable === 0) c.receiveRing = c.receiveRing.free();
  }
  return fin;
}

/** Offers what waits in the ring to the handler, until it takes less than it is given. */
export function offer(c: TcpConnection): void {
  while (c.readable > 0 && !c.paused && c.handler !== null) {
    const ring = c.receiveRing;
    const at = ring.position(0);
    const length = Math.min(c.readable, ring.capacity - at);
    c.lent = length;
    const taken = callReceive(c, ring.region!.bytes, at, length);
    c.lent = 0;
    // The handler may have ended it; what lies here outlives only the orderly end by the peer.
    if (c.readable === 0) return;
    if (taken < length) pause(c);
    if (taken > 0) c.consumed(taken);
    if (c.orphan && c.readable > 0) {
      reset(c, null);
      return;
    }
  }
}

/** The peer has sent everything. Who may still have something to say acknowledges it when that is said (as Linux). */
function inputFin(c: TcpConnection): void {
  c.finReceived = true;
  c.rcvNxt = c.rcvNxt + 1 | 0;
  if (before(c.rcvAdv, c.rcvNxt)) c.rcvAdv = c.rcvNxt;
  c.unacked++;
  c.assembler = null;
  switch (c.state) {
    case State.SynReceived:
    case State.Established:
      c.state = State.CloseWait;
      c.interactive = true;
      if (c.bytesReceived === 0) c.ackNow = true;
      break;
    case State.FinWait1:
      c.state = State.Closing;
      c.ackNow = true;
      break;
    case State.FinWait2:
      c.ackNow = true;
      enterTimeWait(c);
      break;
  }
  c.offerDue = true;
}

/** The handler takes nothing until it calls `resume`. */
function pause(c: TcpConnection): void {
  c.paused = true;
  c.tcp.stack.pauses++;
}
