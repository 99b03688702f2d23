/**
 * Passive opens.
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import { type Connection, type Listener, type ListenerHandler, State } from "./api.ts";
import { MAX_RTO } from "./rtt.ts";
import type { TcpConnection } from "./connection.ts";
import type { SignatureKeys } from "./signatures.ts";
import type { SourceCounts } from "./source_counts.ts";
import type { Tcp } from "./tcp.ts";

/** Most handshakes of one listener that are kept; further SYNs are answered with cookies. */
export const DEFAULT_HALF_OPEN = 1024;
/** µs after the last cookie for which ACKs are looked at for one. */
export const COOKIE_TIME = 130_000_000;
/** µs for which a Fast Open that was reset counts for its listener's limit. */
const RESET_TIME = 60_000_000;
/** Most established connections that wait to be taken. */
export const DEFAULT_BACKLOG = 512;

/** Time-outs of a SYN-ACK, the first after a second, within `duration` µs (Linux's TCP_DEFER_ACCEPT). */
export function deferRetries(duration: number): number {
  if (duration <= 0) return 0;
  let retries = 1;
  for (let timeout = 1e6, period = 1e6; duration > period && retries < 255; retries++) {
    timeout = Math.min(2 * timeout, MAX_RTO);
    period += timeout;
  }
  return retries;
}

/** One listener: handshakes under way, and a queue of those completed. */
export class TcpListener implements Listener {
  readonly #tcp: Tcp;
  readonly local: IpAddress;
  readonly port: number;
  readonly backlog: number;
  readonly handler: ListenerHandler;
  /** Sees a connection before its SYN is answered. */
  prepare: ((connection: TcpConnection) => void) | null = null;
  /** What each source has; null where there is no limit. */
  sources: SourceCounts | null = null;
  /** Time-outs of a SYN-ACK during which an ACK without data does not complete a handshake; 0: it does at once. */
  deferRetries = 0;
  /** Keys of peers whose segments are signed (RFC 2385); null where nobody's are. */
  signatures: SignatureKeys | null = null;
  /** Packets with a smaller hop limit are dropped (RFC 5082); 0 takes all. */
  leastHops = 0;
  /** Hop limit of its connections' packets; 0 for the usual one. */
  hopLimit = 0;
  /** Traffic class of its connections' packets. */
  trafficClass = 0;
  /** Until when an ACK may carry a cookie, in µs. */
  cookiesUntil: number = -Infinity;
  /** Most connections whose SYN's data was taken and whose handshake is not over (RFC 7413, section 5.1); 0 takes none. */
  fastOpenLimit = 0;
  /** Data of a SYN is taken without a cookie. */
  fastOpenNoCookie = false;
  /** Those that {@link fastOpenLimit} bounds. */
  fastOpenPending = 0;
  /** When those that were reset stop counting, in µs, the oldest first. */
  readonly #resets: number[] = [];
  /** Connections in SYN-RECEIVED. */
  halfOpen = 0;
  /** Connections that wait to be taken. */
  queued = 0;
  #first: TcpConnection | null = null;
  #last: TcpConnection | null = null;
  /** No longer in the layer's table. */
  closed = false;

  /** @param backlog Most connections that wait to be taken. */
  constructor(tcp: Tcp, local: IpAddress, port: number, backlog: number, handler: ListenerHandler) {
    this.#tcp = tcp;
    this.local = local;
    this.port = port;
    this.backlog = backlog;
    this.handler = handler;
  }

  /** Whether one more SYN's data may be taken. */
  fastOpenRoom(now: number): boolean {
    while (this.#resets.length > 0 && this.#resets[0]! <= now) this.#resets.shift();
    return this.fastOpenPending + this.#resets.length < this.fastOpenLimit;
  }

  /** One of those that were taken was reset: it counts for a while. */
  fastOpenReset(now: number): void {
    this.#resets.push(now + RESET_TIME);
  }

  /** Tells the owner that a connection waits. */
  announce(): void {
    try {
      this.handler.ready(this);
    } catch (error) {
      this.#tcp.counters.handlerErrors++;
      this.#tcp.stack.report(error, `TCP listener on port ${this.port}`);
    }
  }

  /** Queues a connection that is established. */
  push(c: TcpConnection): void {
    if (this.#last === null) this.#first = c;
    else this.#last.nextInQueue = c;
    this.#last = c;
    this.queued++;
  }

  take(): Connection | null {
    while (this.#first !== null) {
      const c = this.#first;
      this.#first = c.nextInQueue;
      if (this.#first === null) this.#last = null;
      c.nextInQueue = null;
      c.listener = null;
      this.queued--;
      // One that was reset while it waited is nobody's any more.
      if (c.state === State.Closed && c.readable === 0) {
        c.closedTold = true;
        continue;
      }
      c.resume();
      return c;
    }
    return null;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#tcp.unlisten(this);
    for (let c = this.take(); c !== null; c = this.take()) c.abort();
  }
}
