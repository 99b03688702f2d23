/**
 * What routers say of an established connection: it ends nothing, but is remembered (RFC 1122, section 4.2.3.9), and takes
 * back time-outs that it explains (RFC 6069).
 *
 * @module
 */

import type { StackErrorCode } from "../errors.ts";
import { IcmpError } from "../ip/path.ts";
import type { TcpConnection } from "./connection.ts";
import { SendTimer } from "./connection_state.ts";
import { armSendTimer, expireTimers } from "./timers.ts";

const CODES: Partial<Record<IcmpError, StackErrorCode>> = {
  [IcmpError.PortUnreachable]: "ConnectionRefused",
  [IcmpError.ProtocolUnreachable]: "ConnectionRefused",
  [IcmpError.HostUnreachable]: "HostUnreachable",
  [IcmpError.Prohibited]: "HostUnreachable",
  [IcmpError.NetworkUnreachable]: "NetworkUnreachable",
};

/** Takes an ICMP error that quotes something in flight. @param sequence The quoted number. */
export function softError(c: TcpConnection, kind: IcmpError, sequence: number, now: number): void {
  const code = CODES[kind];
  if (code === undefined) return;
  c.softError = code;
  const unreachable = kind === IcmpError.HostUnreachable || kind === IcmpError.NetworkUnreachable;
  if (!unreachable || sequence !== c.sndUna || c.timeouts === 0 || c.doublings === 0) return;
  if (c.head < 0 || c.sendTimer !== SendTimer.Retransmit) return;
  // It was no congestion: the next attempt comes when it would have without the latest doubling.
  c.doublings--;
  c.backoff = Math.max(0, c.backoff - 1);
  armSendTimer(c, now);
  c.sendTimerAt -= now - c.tcp.records.sentAt[c.head]!;
  if (c.sendTimerAt <= now) expireTimers(c, now);
  else c.schedule();
}
