/**
 * TCP connections in the shape of `Deno.TcpConn`.
 *
 * @module
 */

import { StackError } from "../stack/errors.ts";
import type { Interface } from "../stack/link/interface.ts";
import type { Bytes } from "../stack/packet.ts";
import type { Connection, ConnectionHandler, ConnectOptions, TcpApi } from "../stack/tcp/api.ts";
import type { SignatureKeys } from "../stack/tcp/signatures.ts";
import { checkPort, formatHostPort, parseHost } from "./address.ts";
import { Halves, readableOf, writableOf } from "./byte_streams.ts";
import { Alarm, type Clock } from "./clock.ts";
import { toDenoError } from "./errors.ts";
import { checkClass, checkHops } from "./packet_options.ts";
import { Socket } from "./socket.ts";

/** µs of silence before the first keep-alive probe: two hours (RFC 9293, section 3.8.4). */
export const KEEP_ALIVE_IDLE = 7_200_000_000;

/** Most bytes that a connection opens with: what every send buffer has room for. */
const MOST_FIRST = 65536;

/** Where one end of a connection is. */
export interface TcpAddr {
  /** Always `tcp`. */
  transport: "tcp";
  /** An IP address. */
  hostname: string;
  /** 1 to 65535. */
  port: number;
}

/**
 * A TCP connection. Use either `read` and `write` or the web streams, not both at a time.
 *
 * Data that is not read stays in the stack, which then offers the peer less and less window; a write resolves when
 * the connection has taken all of it, so a slow peer slows the writer down.
 */
export class TcpConn implements Disposable {
  readonly #socket: Socket;
  #localAddr: TcpAddr | null = null;
  #remoteAddr: TcpAddr | null = null;
  #readable: ReadableStream<Bytes> | null = null;
  #writable: WritableStream<Bytes> | null = null;
  #halves: Halves | null = null;

  /** Wraps a connection. @param connection An established one, whose callbacks are taken over. */
  constructor(connection: Connection) {
    this.#socket = new Socket(connection);
  }

  /** One level down: the stack's connection. Its handler belongs to this object. */
  get connection(): Connection {
    return this.#socket.connection;
  }

  /** Our end. */
  get localAddr(): TcpAddr {
    const { local, localPort } = this.connection;
    return this.#localAddr ??= { transport: "tcp", hostname: local.toString(), port: localPort };
  }

  /** The peer's end. */
  get remoteAddr(): TcpAddr {
    const { remote, remotePort } = this.connection;
    return this.#remoteAddr ??= { transport: "tcp", hostname: remote.toString(), port: remotePort };
  }

  /** What arrives, as a byte stream. Once both directions have ended the connection is closed. */
  get readable(): ReadableStream<Bytes> {
    return this.#readable ??= readableOf(this.#socket, this.#bothHalves());
  }

  /** What is to be sent. Closing it sends FIN; aborting it resets the connection. */
  get writable(): WritableStream<Bytes> {
    return this.#writable ??= writableOf(this.#socket, this.#bothHalves());
  }

  /**
   * Reads into `p`.
   *
   * @param p Where to; it must stay untouched until the promise is settled.
   * @returns How many bytes, or null at the end of the stream.
   * @throws {Deno.errors.ConnectionReset} The peer has reset the connection.
   * @throws {Deno.errors.TimedOut} The peer does not answer any more.
   * @throws {Deno.errors.BadResource} The connection was closed here.
   * @throws {Deno.errors.Busy} Another read is under way.
   */
  read(p: Uint8Array): Promise<number | null> {
    return this.#socket.read(p as Bytes);
  }

  /**
   * Writes all of `p`.
   *
   * @param p What to send; it must stay as it is until the promise is settled.
   * @returns Its length, once the connection has taken all of it.
   * @throws {Deno.errors.BrokenPipe} The connection is closed for sending.
   * @throws {Deno.errors.ConnectionReset} The peer has reset the connection.
   * @throws {Deno.errors.BadResource} The connection was closed here.
   * @throws {Deno.errors.Busy} Another write is under way.
   */
  write(p: Uint8Array): Promise<number> {
    return this.#socket.write(p as Bytes);
  }

  /**
   * Ends the sending direction after everything written. The peer can go on sending.
   * @throws {Deno.errors.BadResource} The connection was closed here.
   */
  // deno-lint-ignore require-await -- the shape of Deno.Conn
  async closeWrite(): Promise<void> {
    this.#socket.closeWrite();
  }

  /**
   * Closes the connection: what was written is still sent. Data that arrived and was not read resets it (RFC 2525,
   * section 2.17). Reads and writes which wait fail with `BadResource`. Idempotent.
   */
  close(): void {
    this.#socket.close();
  }

  /** Resets the connection at once. What waits fails with `reason`, or with `ConnectionAborted`. */
  abort(reason?: Error): void {
    this.#socket.abort(reason ?? new Deno.errors.ConnectionAborted("Connection was aborted"));
  }

  /** Sends small writes at once instead of waiting for ACKs (RFC 9293, section 3.7.4). */
  setNoDelay(noDelay = true): void {
    this.connection.noDelay = noDelay;
  }

  /** Probes the peer after two hours of silence. */
  setKeepAlive(keepAlive = true): void {
    this.connection.keepAlive = keepAlive ? KEEP_ALIVE_IDLE : 0;
  }

  /**
   * Bounds the time that {@link close} leaves to hand over what was written.
   *
   * @param milliseconds Then the connection is reset; 0 resets it at once. null, the default, waits for as long as the
   *   peer answers.
   */
  setLinger(milliseconds: number | null): void {
    this.connection.linger = milliseconds === null ? Infinity : Math.max(0, milliseconds) * 1000;
  }

  /** There for the shape of `Deno.Conn`: it is the network that keeps the process alive. */
  ref(): void {}

  /** There for the shape of `Deno.Conn`: it is the network that keeps the process alive. */
  unref(): void {}

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #bothHalves(): Halves {
    return this.#halves ??= new Halves(() => this.close());
  }
}

/** What `connect` takes. */
export interface TcpConnectOptions {
  /** The peer's name or IP address. With several interfaces, a link-local one needs its zone: `fe80::1%tap0`. */
  hostname: string;
  /** The peer's port, 1 to 65535. */
  port: number;
  /** The only interface to leave by. Default: what the zone or the route says. */
  interface?: Interface;
  /** Our IP address. Default: that of the interface which the route says. */
  localHostname?: string;
  /** Our port, 1 to 65535. Default: a free one. */
  localPort?: number;
  /** TTL or hop limit of what it sends, 1 to 255. Default: as the route says. */
  hopLimit?: number;
  /** DSCP of what it sends, in the upper six of eight bits (TOS), 0 to 255. Default: as the route says. */
  trafficClass?: number;
  /** Keys of peers with whom every segment is signed (RFC 2385): see {@link ConnectOptions.signatures}. */
  signatures?: SignatureKeys;
  /** Gives up when it is aborted before the connection is established. */
  signal?: AbortSignal;
  /**
   * What to send first, at most 64 KiB: with the SYN where the server has given us a cookie before, and as ordinary data
   * where it has not (RFC 7413). It may reach the server twice: give nothing that does harm when it is done twice.
   */
  fastOpen?: Uint8Array;
  /** Milliseconds until it gives up with `TimedOut`. Default: the stack's own limit for unanswered SYNs. */
  timeout?: number;
}

/** Follows one active open until it is decided. */
class Opening implements ConnectionHandler {
  readonly #done: (connection: Connection) => void;
  readonly #failed: (error: unknown) => void;

  constructor(done: (connection: Connection) => void, failed: (error: unknown) => void) {
    this.#done = done;
    this.#failed = failed;
  }

  connected(connection: Connection): void {
    this.#done(connection);
  }

  receive(): number {
    return 0;
  }

  finished(): void {}

  writable(): void {}

  closed(_connection: Connection, error: StackError | null): void {
    this.#failed(
      error ?? new Deno.errors.ConnectionAborted("Connection was closed before it was established"),
    );
  }
}

/**
 * Opens a connection on a stack.
 *
 * @param wrap Takes the established connection over, within the callback that says so.
 * @internal
 */
export async function open<T>(
  tcp: TcpApi,
  clock: Clock,
  options: TcpConnectOptions,
  wrap: (connection: Connection) => T,
): Promise<T> {
  try {
    return await start(tcp, clock, options, wrap);
  } catch (error) {
    throw error instanceof StackError ? toDenoError(error) : error;
  }
}

function start<T>(
  tcp: TcpApi,
  clock: Clock,
  options: TcpConnectOptions,
  wrap: (connection: Connection) => T,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const { signal, timeout } = options;
    signal?.throwIfAborted();
    const target: ConnectOptions = { address: parseHost(options.hostname), port: checkPort(options.port, 1) };
    if (options.localHostname !== undefined) target.localAddress = parseHost(options.localHostname);
    if (options.localPort !== undefined) target.localPort = checkPort(options.localPort, 1);
    if (options.interface !== undefined) target.interface = options.interface;
    if (options.hopLimit !== undefined) target.hopLimit = checkHops(options.hopLimit);
    if (options.trafficClass !== undefined) target.trafficClass = checkClass(options.trafficClass);
    if (options.signatures !== undefined) target.signatures = options.signatures;
    const { fastOpen } = options;
    if (fastOpen !== undefined) {
      if (fastOpen.length > MOST_FIRST) {
        throw new RangeError(`Data to open with must be at most ${MOST_FIRST} bytes, got ${fastOpen.length}`);
      }
      target.fastOpen = true;
    }
    let alarm: Alarm | null = null;
    const settled = () => {
      alarm?.cancel();
      signal?.removeEventListener("abort", aborted);
    };
    const giveUp = (reason: unknown) => {
      settled();
      reject(reason);
      connection.abort();
    };
    const aborted = () => giveUp(signal!.reason);
    const connection = tcp.connect(
      target,
      new Opening((established) => {
        settled();
        resolve(wrap(established));
      }, (error) => {
        settled();
        reject(error);
      }),
    );
    // The SYN leaves when the turn ends: what is written until then goes with it.
    if (fastOpen !== undefined) connection.write(fastOpen as Bytes, 0, fastOpen.length);
    signal?.addEventListener("abort", aborted, { once: true });
    if (timeout !== undefined) {
      alarm = new Alarm(clock, () => {
        const peer = formatHostPort(options.hostname, options.port);
        giveUp(
          Object.assign(
            new Deno.errors.TimedOut(`Cannot connect to ${peer}: no answer within ${timeout} ms`),
            { code: "ETIMEDOUT" },
          ),
        );
      });
      alarm.set(timeout * 1000);
    }
  });
}

/**
 * Opens a connection on a stack; `Network.connect` is this with the network's own.
 *
 * @param tcp The TCP layer. @param clock The stack's time. @param options To whom.
 * @returns The established connection.
 */
export function connect(tcp: TcpApi, clock: Clock, options: TcpConnectOptions): Promise<TcpConn> {
  return open(tcp, clock, options, (connection) => new TcpConn(connection));
}
