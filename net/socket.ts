/**
 * What stands between one connection's callbacks and promises. `TcpConn` and its web streams are built on it.
 *
 * @module
 */

import type { StackError } from "../stack/errors.ts";
import type { Bytes } from "../stack/packet.ts";
import type { Connection, ConnectionHandler } from "../stack/tcp/api.ts";
import { closedError, toDenoError } from "./errors.ts";
import { formatHostPort } from "./address.ts";

/** Most bytes of one chunk of {@link Socket.readChunk}. */
const CHUNK = 128 * 1024;

/** Reads and writes of one connection as promises: at most one read and one write at a time. */
export class Socket implements ConnectionHandler {
  /** The connection. */
  readonly connection: Connection;
  /** Called once, when the connection is over; with the reason, or null after an orderly end. */
  onclosed: ((error: Error | null) => void) | null = null;

  /** The peer's FIN was read. */
  #finished = false;
  /** The stack has let go of the connection. */
  #over = false;
  /** {@link close} was called. */
  #closed = false;
  #error: Error | null = null;
  /** Data is thrown away: nobody reads any more. */
  #discarding = false;
  /** `receive` took less than it was given, or may have missed data, and is not called again by itself. */
  #paused = true;

  // The read that waits: into a buffer, or for a chunk when the buffer is null.
  #target: Bytes | null = null;
  /** Bytes of the target that are filled; the read is settled once the frames at hand have been delivered. */
  #filled = 0;
  readonly #settleBound = (): void => this.#settle();
  #chunk: Bytes | null = null;
  #readDone: ((value: number | null) => void) | null = null;
  #readFailed: ((error: Error) => void) | null = null;

  // The write that waits.
  #source: Bytes | null = null;
  #written = 0;
  #writeDone: ((value: number) => void) | null = null;
  #writeFailed: ((error: Error) => void) | null = null;
  #finAfterWrite = false;
  #writeClosed = false;

  /** Takes over the connection's callbacks. */
  constructor(connection: Connection) {
    this.connection = connection;
    connection.handler = this;
  }

  /** Whether {@link close} was called or the connection is over. */
  get ended(): boolean {
    return this.#closed || this.#over;
  }

  /**
   * Reads into `target`.
   * @returns How many bytes, at least 1 unless `target` is empty; null at the end of the stream.
   */
  read(target: Bytes): Promise<number | null> {
    if (this.#closed) return Promise.reject(this.#closedError());
    if (this.#readDone !== null) return Promise.reject(this.#busy("read"));
    if (target.length === 0) return Promise.resolve(0);
    const count = this.connection.read(target, 0, target.length);
    if (count > 0) return Promise.resolve(count);
    if (this.#finished) return Promise.resolve(null);
    if (this.#over) return this.#error === null ? Promise.resolve(null) : Promise.reject(this.#error);
    this.#target = target;
    return this.#waitForRead();
  }

  /** Reads what is there, in memory of its own; null at the end of the stream. */
  async readChunk(): Promise<Bytes | null> {
    if (this.#closed) throw this.#closedError();
    if (this.#readDone !== null) throw this.#busy("read");
    const { connection } = this;
    if (connection.readable > 0) {
      const chunk = new Uint8Array(Math.min(connection.readable, CHUNK));
      connection.read(chunk, 0, chunk.length);
      return chunk;
    }
    if (this.#finished) return null;
    if (this.#over) {
      if (this.#error !== null) throw this.#error;
      return null;
    }
    this.#chunk = null;
    const count = await this.#waitForRead();
    const chunk = this.#chunk;
    this.#chunk = null;
    return count === null ? null : chunk;
  }

  /**
   * Writes all of `source`, which must stay as it is until then.
   * @returns Its length, once the connection has taken everything.
   */
  write(source: Bytes): Promise<number> {
    if (this.#closed) return Promise.reject(this.#closedError());
    if (this.#writeDone !== null) return Promise.reject(this.#busy("write"));
    const { connection } = this;
    if (this.#over) return Promise.reject(this.#error ?? this.#brokenPipe());
    const count = connection.write(source, 0, source.length);
    if (count === source.length) return Promise.resolve(count);
    if (this.#writeClosed) return Promise.reject(this.#brokenPipe());
    this.#source = source;
    this.#written = count;
    return new Promise((resolve, reject) => {
      this.#writeDone = resolve;
      this.#writeFailed = reject;
    });
  }

  /** Sends FIN after everything written, a write that waits included. */
  closeWrite(): void {
    if (this.#closed) throw this.#closedError();
    this.#writeClosed = true;
    if (this.#writeDone !== null) this.#finAfterWrite = true;
    else this.connection.closeWrite();
  }

  /** Throws away what is waiting and what still comes. */
  discard(): void {
    this.#discarding = true;
    this.connection.resume();
  }

  /** Gives the connection up; what waits fails. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#settle();
    // An error costs more than the rest of closing: it is made for those who wait.
    if (this.#waits) this.#failWaiting(this.#closedError());
    if (!this.#over) this.connection.close();
  }

  /** Resets the connection; what waits fails with `error`. */
  abort(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#failWaiting(error);
    if (!this.#over) this.connection.abort();
  }

  /** @internal */
  connected(): void {}

  /** @internal */
  receive(_connection: Connection, bytes: Bytes, offset: number, length: number): number {
    if (this.#discarding) return length;
    const done = this.#readDone;
    if (done === null) {
      this.#paused = true;
      return 0;
    }
    const target = this.#target;
    if (target === null) {
      const count = Math.min(length, CHUNK);
      this.#chunk = bytes.slice(offset, offset + count);
      this.#paused = count < length;
      this.#readDone = this.#readFailed = null;
      done(count);
      return count;
    }
    // More of the same batch goes where the rest of the buffer is, instead of through the ring.
    const filled = this.#filled;
    const count = Math.min(length, target.length - filled);
    if (count > 0) target.set(bytes.subarray(offset, offset + count), filled);
    if (filled === 0) queueMicrotask(this.#settleBound);
    this.#filled = filled + count;
    this.#paused = count < length;
    return count;
  }

  /** @internal */
  finished(): void {
    this.#finished = true;
    this.#settle();
    const done = this.#readDone;
    if (done === null) return;
    this.#target = null;
    this.#readDone = this.#readFailed = null;
    done(null);
  }

  /** @internal */
  writable(connection: Connection): void {
    const source = this.#source;
    if (source === null) return;
    this.#written += connection.write(source, this.#written, source.length - this.#written);
    if (this.#written < source.length) return;
    const done = this.#writeDone!;
    this.#source = null;
    this.#writeDone = this.#writeFailed = null;
    if (this.#finAfterWrite) connection.closeWrite();
    done(source.length);
  }

  /** @internal */
  closed(_connection: Connection, error: StackError | null): void {
    this.#over = true;
    this.#error = error === null ? null : toDenoError(error);
    this.#settle();
    const done = this.#readDone;
    if (this.#error === null && done !== null) {
      this.#target = null;
      this.#readDone = this.#readFailed = null;
      done(null);
    }
    if (this.#waits) this.#failWaiting(this.#error ?? this.#brokenPipe());
    this.onclosed?.(this.#error);
  }

  #waitForRead(): Promise<number | null> {
    const result = new Promise<number | null>((resolve, reject) => {
      this.#readDone = resolve;
      this.#readFailed = reject;
    });
    if (this.#paused) {
      this.#paused = false;
      this.connection.resume();
    }
    return result;
  }

  /** Tells the read that waits what has come into its buffer. */
  #settle(): void {
    const count = this.#filled;
    if (count === 0) return;
    const done = this.#readDone!;
    this.#filled = 0;
    this.#target = null;
    this.#readDone = this.#readFailed = null;
    done(count);
  }

  /** Whether a read or a write waits. */
  get #waits(): boolean {
    return this.#readDone !== null || this.#writeDone !== null;
  }

  #failWaiting(error: Error): void {
    this.#settle();
    const readFailed = this.#readFailed, writeFailed = this.#writeFailed;
    this.#target = this.#source = null;
    this.#readDone =
      this.#readFailed =
      this.#writeDone =
      this.#writeFailed =
        null;
    readFailed?.(error);
    writeFailed?.(error);
  }

  #peer(): string {
    const { remote, remotePort } = this.connection;
    return formatHostPort(remote.toString(), remotePort);
  }

  #closedError(): Error {
    return closedError(`Connection with ${this.#peer()}`);
  }

  #busy(what: string): Error {
    return new Deno.errors.Busy(`Another ${what} on the connection with ${this.#peer()} has not ended yet`);
  }

  #brokenPipe(): Error {
    return Object.assign(
      new Deno.errors.BrokenPipe(`Cannot write: the connection with ${this.#peer()} is closed for sending`),
      { code: "EPIPE" },
    );
  }
}
