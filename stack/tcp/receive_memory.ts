/**
 * The seam at which a connection's windows can follow something else than bytes of payload.
 *
 * @module
 */

import type { TcpConnection } from "./connection.ts";

/**
 * Decides, in place of the byte counts of the connection, what is taken and which window is offered: for a host that counts
 * the memory behind what it received.
 */
export interface ReceiveMemory {
  /** Bytes up to which the window may grow now, as `tcp_info` tells. */
  readonly threshold: number;
  /** The window shift to offer, 0 to 14. */
  shift(c: TcpConnection): number;
  /** Bytes of the window that the SYN or SYN-ACK would offer if its field took more than 65,535. */
  first(c: TcpConnection): number;
  /** Bytes of the window that could be offered now, whatever was offered before. */
  window(c: TcpConnection): number;
  /** The window field of a segment that leaves now; moves `rcvAdv` to what it says. */
  offer(c: TcpConnection): number;
  /** Whether so much room came free that the peer should hear of it. */
  updateDue(c: TcpConnection): boolean;
  /**
   * Whether a segment with data, which begins within the window, may be taken.
   * @param end Distance of its end from RCV.NXT, in bytes, without a FIN.
   */
  fits(c: TcpConnection, end: number): boolean;
  /**
   * New data has come. @param sequence Its first byte that is new. @param length Bytes that are new.
   * @param payload Bytes of the segment's payload. @param flags The segment's.
   * @returns False when there is no room: it is dropped, and the next ACK says so.
   */
  arrived(c: TcpConnection, sequence: number, length: number, payload: number, flags: number): boolean;
  /** RCV.NXT went on over data that had been held. */
  joined(c: TcpConnection): void;
  /** The application has taken bytes. @param now In µs. */
  taken(c: TcpConnection, bytes: number, now: number): void;
}
