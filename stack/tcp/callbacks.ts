/**
 * Calls of a connection's handler. What it throws ends that connection alone.
 *
 * @module
 */

import type { Bytes } from "../packet.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { reset } from "./ending.ts";
import { offer } from "./receive.ts";

/** An active open is complete. */
export function tellConnected(c: TcpConnection): void {
  if (c.handler === null) return;
  try {
    c.handler.connected(c);
  } catch (error) {
    failed(c, error);
  }
}

/** Hands data to the handler. @returns What it took, within bounds. */
export function callReceive(c: TcpConnection, bytes: Bytes, offset: number, length: number): number {
  try {
    const taken = c.handler!.receive(c, bytes, offset, length);
    return taken >= length ? length : taken > 0 ? Math.floor(taken) : 0;
  } catch (error) {
    failed(c, error);
    return 0;
  }
}

/** There is room to write again. */
export function tellWritable(c: TcpConnection): void {
  if (c.handler === null) return;
  try {
    c.handler.writable(c);
  } catch (error) {
    failed(c, error);
  }
}

/** Offers what waits, and tells of the end once all of it was taken. */
export function offerWaiting(c: TcpConnection): void {
  c.offerDue = false;
  // What came before an error is gone: nobody may take it for a whole.
  if (c.error !== null) return;
  if (c.readable > 0 && !c.paused) offer(c);
  if (c.readable > 0 || !c.finReceived || c.finishedTold || c.handler === null || c.orphan) return;
  c.finishedTold = true;
  try {
    c.handler.finished(c);
  } catch (error) {
    failed(c, error);
  }
}

/** An exception in a handler ends that connection alone. */
function failed(c: TcpConnection, error: unknown): void {
  c.tcp.counters.handlerErrors++;
  c.tcp.stack.report(error, `TCP connection with ${c.remote} port ${c.remotePort}`);
  reset(c, c.failure("ConnectionAborted", "Connection was aborted by an error in its handler"));
}

/** The last call for a connection, once nothing of it waits to be read. */
export function tellClosed(c: TcpConnection): void {
  // What has arrived can still be read after an orderly end.
  if (c.error === null && !c.orphan && c.readable > 0) return;
  if (c.error === null && !c.orphan && c.finReceived && !c.finishedTold) offerWaiting(c);
  if (c.state === State.Closed && c.readable === 0) c.receiveRing = c.receiveRing.free();
  // Who sets a handler later is told by `resume`.
  if (c.handler === null) return;
  c.closeDue = false;
  if (c.closedTold) return;
  c.closedTold = true;
  try {
    c.handler.closed(c, c.error);
  } catch (error) {
    c.tcp.counters.handlerErrors++;
    c.tcp.stack.report(error, `TCP connection with ${c.remote} port ${c.remotePort}`);
  }
  if (c.state === State.Closed && !c.keepUnread) {
    c.readable = 0;
    c.receiveRing = c.receiveRing.free();
  }
}
