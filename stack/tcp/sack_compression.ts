/**
 * Fewer ACKs for segments that come before their turn: while many arrive behind a gap one ACK tells of many, since each costs
 * the peer a look at all that it has in flight (as Linux's tcp_comp_sack_delay_ns and tcp_comp_sack_nr).
 *
 * @module
 */

import { sendAck } from "./acks.ts";
import type { TcpConnection } from "./connection.ts";

/** Segments behind one gap that are told of at once: by so many a peer finds the loss. */
const TOLD_AT_ONCE = 3;

/**
 * Whether the ACK of a segment that came before its turn may wait for more of them: three behind one gap are told of at
 * once, the others by one ACK of many, as with Linux's tcp_comp_sack_nr. Where such an ACK waits no longer than the turn,
 * the three are of one turn.
 */
export function mayWait(c: TcpConnection): boolean {
  const { compressedSacks: most, compressedSackDelay } = c.tcp.settings;
  const mark = compressedSackDelay > 0 ? c.rcvNxt : c.tcp.stack.now;
  if (c.gapAckAt !== mark) {
    c.gapAckAt = mark;
    c.gapAcks = 0;
  }
  if (most === 0 || !c.sackPermitted || c.dsackStart !== c.dsackEnd) return false;
  if (c.gapAcks >= TOLD_AT_ONCE + most) return false;
  return ++c.gapAcks > TOLD_AT_ONCE;
}

/** What an ACK settles: no segment waits to be told of. */
export function toldOfGaps(c: TcpConnection): void {
  if (c.gapAcks > TOLD_AT_ONCE) c.gapAcks = TOLD_AT_ONCE;
}

/**
 * Tells of the ranges that wait before [start, end) makes one more, or one that is not among the latest the first: an
 * ACK has room for three, and may be lost.
 * @returns Whether it did. What comes now is told of with what comes next (as Linux).
 */
export function tellBefore(c: TcpConnection, start: number, end: number): boolean {
  if (c.gapAcks <= TOLD_AT_ONCE || c.assembler!.isLatest(start, end)) return false;
  sendAck(c);
  return true;
}

/** Lets the ACK of a segment before its turn wait for more of them. */
export function waitForMore(c: TcpConnection): void {
  const { compressedSackDelay } = c.tcp.settings;
  if (compressedSackDelay === 0) {
    c.ackNow = true;
    c.tcp.markDirty(c);
    return;
  }
  const { srtt } = c;
  const round = srtt > 0 && (c.receiverRtt === 0 || srtt < c.receiverRtt) ? srtt : c.receiverRtt;
  const at = c.tcp.stack.now + Math.min(compressedSackDelay, round / 20);
  if (at >= c.ackTimerAt) return;
  c.ackTimerAt = at;
  c.schedule();
}
