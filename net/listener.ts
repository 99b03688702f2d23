/**
 * Passive opens in the shape of `Deno.TcpListener`.
 *
 * @module
 */

import {
  type Connection,
  type Listener,
  type ListenerHandler,
  type ListenOptions,
  State,
  type TcpApi,
} from "../stack/tcp/api.ts";
import type { SignatureKeys } from "../stack/tcp/signatures.ts";
import type { SourceLimits } from "../stack/tcp/source_counts.ts";
import { checkPort, formatHostPort, parseHost } from "./address.ts";
import { type TcpAddr, TcpConn } from "./conn.ts";
import { closedError, toDenoError } from "./errors.ts";
import { checkClass, checkHops } from "./packet_options.ts";

/** What `listen` takes. */
export interface TcpListenOptions {
  /** 1 to 65535; 0 picks a free one. */
  port: number;
  /** Listen on this IP address only. Default: on all of the stack. */
  hostname?: string;
  /** Connections that may wait to be accepted; further ones are refused until there is room. Default 512. */
  backlog?: number;
  /**
   * Connections that may be accepted with the data of their SYN before their handshake is over (RFC 7413). The same SYN
   * may come twice, and is then accepted twice: see {@link ListenOptions.fastOpen}. Default 0: none.
   */
  fastOpen?: number;
  /** What one source address (an IPv4 address, the /64 of an IPv6 one) may have at a time. Default: no limit. */
  perSource?: SourceLimits;
  /** Milliseconds for which a connection waits for the peer's first data before it is accepted. Default 0. */
  deferAccept?: number;
  /** TTL or hop limit of what its connections send, 1 to 255. Default: as the route says. */
  hopLimit?: number;
  /** DSCP of what its connections send, in the upper six of eight bits (TOS), 0 to 255. Default: as the route says. */
  trafficClass?: number;
  /** Keys of peers with whom every segment is signed (RFC 2385): see {@link ListenOptions.signatures}. */
  signatures?: SignatureKeys;
  /** Closes the listener when aborted. */
  signal?: AbortSignal;
}

/** The next connection that is still worth taking, or null. */
export function takeLive(listener: Listener): Connection | null {
  for (let connection = listener.take(); connection !== null; connection = listener.take()) {
    // Reset while it waited: its last callback has no one to go to.
    if (connection.state !== State.Closed || connection.readable > 0) return connection;
  }
  return null;
}

/** Opens a listener of the stack with an application's options. */
export function openListener(tcp: TcpApi, options: TcpListenOptions, handler: ListenerHandler): Listener {
  options.signal?.throwIfAborted();
  const target: ListenOptions = { port: checkPort(options.port, 0) };
  if (options.hostname !== undefined) {
    const address = parseHost(options.hostname);
    if (!address.isUnspecified) target.address = address;
  }
  if (options.backlog !== undefined) target.backlog = options.backlog;
  if (options.perSource !== undefined) target.perSource = options.perSource;
  if (options.deferAccept !== undefined) target.deferAccept = options.deferAccept * 1000;
  if (options.fastOpen !== undefined) target.fastOpen = options.fastOpen;
  if (options.hopLimit !== undefined) target.hopLimit = checkHops(options.hopLimit);
  if (options.trafficClass !== undefined) target.trafficClass = checkClass(options.trafficClass);
  if (options.signatures !== undefined) target.signatures = options.signatures;
  try {
    return tcp.listen(target, handler);
  } catch (error) {
    throw toDenoError(error);
  }
}

interface Waiter {
  resolve(conn: TcpConn): void;
  reject(error: Error): void;
}

/** Accepts connections: with {@link accept}, or by iterating. */
export class TcpListener implements AsyncIterable<TcpConn>, Disposable {
  /** Where it listens. */
  readonly addr: TcpAddr;
  /** @internal Called once, when it is closed. */
  onclosed: (() => void) | null = null;
  readonly #listener: Listener;
  readonly #signal: AbortSignal | undefined;
  readonly #waiters: Waiter[] = [];
  #closed = false;

  /**
   * Listens on a stack; `Network.listen` is this with the network's own.
   *
   * @param tcp The TCP layer. @param options Where.
   * @throws {Deno.errors.AddrInUse} The port is taken.
   * @throws {Deno.errors.AddrNotAvailable} The address is not one of the stack's.
   */
  constructor(tcp: TcpApi, options: TcpListenOptions) {
    this.#listener = openListener(tcp, options, { ready: () => this.#ready() });
    const { local, port } = this.#listener;
    this.addr = { transport: "tcp", hostname: local.toString(), port };
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /**
   * Waits for the next connection.
   * @throws {Deno.errors.BadResource} The listener is closed.
   */
  accept(): Promise<TcpConn> {
    if (this.#closed) return Promise.reject(this.#closedError());
    if (this.#waiters.length === 0) {
      const connection = takeLive(this.#listener);
      if (connection !== null) return Promise.resolve(new TcpConn(connection));
    }
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Stops listening. Connections that nobody accepted are reset, accepted ones live on. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#listener.close();
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#closedError());
    this.onclosed?.();
  }

  /** There for the shape of `Deno.Listener`: it is the network that keeps the process alive. */
  ref(): void {}

  /** There for the shape of `Deno.Listener`: it is the network that keeps the process alive. */
  unref(): void {}

  /** Yields connections until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<TcpConn> {
    while (!this.#closed) {
      let conn: TcpConn;
      try {
        conn = await this.accept();
      } catch (error) {
        if (this.#closed) return;
        throw error;
      }
      yield conn;
    }
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #abort = (): void => this.close();

  #ready(): void {
    while (this.#waiters.length > 0) {
      const connection = takeLive(this.#listener);
      if (connection === null) return;
      this.#waiters.shift()!.resolve(new TcpConn(connection));
    }
  }

  #closedError(): Error {
    return closedError(`Listener on ${formatHostPort(this.addr.hostname, this.addr.port)}`);
  }
}
