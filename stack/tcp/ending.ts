/**
 * How connections end: reset, dropped, or left to TIME-WAIT (RFC 9293, sections 3.6 and 3.10.7.4).
 *
 * @module
 */

import type { StackError } from "../errors.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { endPending, noteEnd } from "./fast_open.ts";
import { leaveHalfOpen, leaveSource } from "./passive_open.ts";
import { forgetSent } from "./pieces.ts";
import { sendReset } from "./reset.ts";
import { TIME_WAIT } from "./timers.ts";

/** RST to the peer, and the end. */
export function reset(c: TcpConnection, error: StackError | null): void {
  if (c.state === State.Closed) return;
  if (c.state >= State.SynReceived && c.state !== State.TimeWait) {
    c.tcp.counters.establishedResets++;
    sendReset(c);
  }
  drop(c, error);
}

/** Ends a connection without a word to the peer. */
export function drop(c: TcpConnection, error: StackError | null): void {
  if (c.state === State.Closed) return;
  if (c.passiveFastOpen) {
    endPending(c, error !== null && error.code === "ConnectionReset");
  } else if (c.state === State.SynReceived && c.listener !== null) {
    leaveHalfOpen(c);
    c.listener = null;
  }
  if (error !== null) c.error = error;
  forget(c);
  // What came before a reset can still be read, unless we have given the connection up ourselves.
  if (c.orphan || error?.code === "ConnectionAborted") {
    c.readable = 0;
    c.receiveRing = c.receiveRing.free();
  }
  if (c.readable === 0) c.receiveRing = c.receiveRing.free();
  c.closeDue = true;
  c.offerDue = true;
  c.tcp.markDirty(c);
}

/** Takes a connection out of the table and gives back what it holds for sending. */
export function forget(c: TcpConnection): void {
  if (c.state === State.TimeWait) c.tcp.timeWaits--;
  else if (c.fastOpen !== null) noteEnd(c, c.tcp.stack.now);
  leaveSource(c);
  leaveOrphans(c);
  c.state = State.Closed;
  c.tcp.table.remove(c);
  c.tcp.stack.timers.cancel(c.timer);
  freeSending(c);
  c.assembler = null;
  c.tracer?.ended();
}

function freeSending(c: TcpConnection): void {
  for (let r = c.head; r >= 0;) {
    const next = c.tcp.records.next[r]!;
    c.tcp.records.give(r);
    r = next;
  }
  forgetSent(c, true);
  c.head = c.tail = -1;
  c.recordCount =
    c.packetsOut =
    c.sackedOut =
    c.lostOut =
    c.retransOut =
      0;
  c.sendQueued = 0;
  c.sendRing = c.sendRing.free();
  c.sendTimerAt =
    c.ackTimerAt =
    c.keepAliveAt =
    c.paceTimerAt =
      Infinity;
}

/** Both FINs were exchanged, ours first: waits for what may still be under way (RFC 9293, section 3.6.1). */
export function enterTimeWait(c: TcpConnection): void {
  if (c.state !== State.TimeWait) {
    if (c.tcp.timeWaits >= c.tcp.limits.timeWait) {
      c.tcp.counters.timeWaitOverflow++;
      drop(c, null);
      return;
    }
    if (c.fastOpen !== null) noteEnd(c, c.tcp.stack.now);
    leaveSource(c);
    leaveOrphans(c);
    c.tcp.timeWaits++;
    c.state = State.TimeWait;
    freeSending(c);
    c.closeDue = true;
    c.tcp.markDirty(c);
  }
  c.lifeTimerAt = c.tcp.stack.now + TIME_WAIT;
  c.schedule();
}

/** Nobody waits for the peer's FIN any more, and it has our FIN: it gets a limited time. */
export function orphaned(c: TcpConnection): void {
  if (c.finTimeout < 0) {
    drop(c, null);
    return;
  }
  // Time for the peer's FIN to be lost and sent again (as Linux has it).
  c.lifeTimerAt = c.tcp.stack.now + Math.max(c.finTimeout, 3.5 * c.rto);
  c.schedule();
}

/**
 * The application has given a connection up, and something of it is still under way.
 * @returns False when there are too many of its kind: it is reset (as with Linux's tcp_max_orphans).
 */
export function enterOrphans(c: TcpConnection): boolean {
  const { tcp } = c;
  if (tcp.orphans >= tcp.settings.orphans) {
    tcp.counters.tooManyOrphans++;
    reset(c, null);
    return false;
  }
  c.orphanCounted = true;
  tcp.orphans++;
  return true;
}

function leaveOrphans(c: TcpConnection): void {
  if (!c.orphanCounted) return;
  c.orphanCounted = false;
  c.tcp.orphans--;
}
