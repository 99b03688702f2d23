/**
 * The urgent pointer of what is sent (RFC 9293, section 3.8.5). What is received is delivered in line, wherever a pointer
 * points (RFC 6093, section 6), so that no byte is ever taken out of the stream. New applications should not use it.
 *
 * @module
 */

import * as wire from "../wire/tcp.ts";
import type { TcpConnection } from "./connection.ts";
import { after, before } from "./sequence.ts";

/** Everything written so far is urgent; a later call moves the end, and never takes it back. */
export function markUrgent(c: TcpConnection): void {
  c.urgentEnd = c.sendBase + c.sendQueued | 0;
  c.urgent = true;
  c.tcp.markDirty(c);
}

/** Puts the pointer into a header that was written, while it points into what is not acknowledged. */
export function writeUrgent(c: TcpConnection, view: DataView, at: number, sequence: number): void {
  if (!after(c.urgentEnd, c.sndUna)) {
    c.urgent = false;
    return;
  }
  if (!before(sequence, c.urgentEnd)) return;
  // Farther than it can say, it says that there is more.
  wire.setUrgent(view, at, Math.min(c.urgentEnd - sequence | 0, 0xffff));
}
