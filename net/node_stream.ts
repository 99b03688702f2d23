/**
 * A connection as a stream of Node's, with what `node:http`, `node:tls`, `node:http2`, `ws` and undici look for in a
 * `net.Socket`.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { StackError } from "../stack/errors.ts";
import type { Bytes } from "../stack/packet.ts";
import { type Connection, type ConnectionHandler, State } from "../stack/tcp/api.ts";
import { Alarm, type Clock } from "./clock.ts";
import { KEEP_ALIVE_IDLE } from "./conn.ts";
import { toDenoError } from "./errors.ts";

/** Bytes of the memory that small chunks are cut from. */
const SLAB = 64 * 1024;
/** Most bytes of one chunk: larger blocks come from the system page by page, which costs more than the copy. */
const CHUNK = 128 * 1024;

/** Where short strings become bytes, on their way into the connection's ring. */
const scratch: Uint8Array & Pick<Buffer, "write"> = Buffer.allocUnsafeSlow(SLAB);

/** Told when a chunk was handed over, or could not be. */
export type StreamCallback = (error?: Error | null) => void;

/** The connection's callbacks; not on the stream itself, where `closed` is taken. */
class Events implements ConnectionHandler {
  readonly #stream: TcpDuplex;

  constructor(stream: TcpDuplex) {
    this.#stream = stream;
  }

  connected(): void {}

  receive(_connection: Connection, bytes: Bytes, offset: number, length: number): number {
    return this.#stream.deliver(bytes, offset, length);
  }

  finished(): void {
    this.#stream.peerEnded();
  }

  writable(): void {
    this.#stream.writeOn();
  }

  closed(_connection: Connection, error: StackError | null): void {
    this.#stream.ended(error);
  }
}

/** What a {@link TcpDuplex} can be told. */
export interface TcpDuplexOptions {
  /** False ends the sending direction when the peer ends its own, as clients in Node do. Default true. */
  allowHalfOpen?: boolean;
}

/**
 * A TCP connection as a `Duplex`. Chunks are copied once each way, between the stack's memory and the stream's; when the
 * reader or the peer is slow, the other side is held up.
 */
export class TcpDuplex extends Duplex {
  /** The stack's connection. Its handler belongs to this stream. */
  readonly connection: Connection;
  /** Bytes taken from the peer. */
  bytesRead = 0;
  /** Bytes handed to the connection. */
  bytesWritten = 0;
  /** False: the connection is there. */
  readonly connecting: boolean = false;
  /** False: the connection is there. */
  readonly pending: boolean = false;
  /** Milliseconds of idleness before `timeout` is emitted; 0 for never. */
  timeout = 0;

  readonly #clock: Clock;
  readonly #remoteAddress: string;
  readonly #remotePort: number;
  readonly #localAddress: string;
  readonly #localPort: number;
  #slab: Buffer | null = null;
  #slabUsed = 0;
  /** The reader wants more. */
  #wanted = false;
  /** The connection was not allowed to hand over everything. */
  #paused = true;
  /** The stack has let go of the connection. */
  #over = false;
  /** What is being written, while the connection has no room. */
  #chunks: readonly Uint8Array[] = [];
  #chunk = 0;
  #chunkOffset = 0;
  #written: StreamCallback | null = null;
  /** Destroyed while a write was under way: the rest still goes out. */
  #closing = false;
  /** The peer's FIN has come. */
  #peerEnded = false;
  #alarm: Alarm | null = null;
  /** When `timeout` is due, in µs. */
  #due = 0;
  /** Destroyed, and waits for the peer's FIN. */
  #lingering: Alarm | null = null;

  /** Wraps a connection. @param connection An established one, whose callbacks are taken over. @param clock The stack's time. */
  constructor(connection: Connection, clock: Clock, options: TcpDuplexOptions = {}) {
    super({ allowHalfOpen: options.allowHalfOpen ?? true, emitClose: true, decodeStrings: false });
    this.connection = connection;
    this.#clock = clock;
    this.#remoteAddress = connection.remote.toString();
    this.#remotePort = connection.remotePort;
    this.#localAddress = connection.local.toString();
    this.#localPort = connection.localPort;
    connection.handler = new Events(this);
  }

  /** The peer's IP address. */
  get remoteAddress(): string {
    return this.#remoteAddress;
  }

  /** The peer's port. */
  get remotePort(): number {
    return this.#remotePort;
  }

  /** `IPv4` or `IPv6`. */
  get remoteFamily(): string {
    return `IPv${this.connection.remote.version}`;
  }

  /** Our IP address. */
  get localAddress(): string {
    return this.#localAddress;
  }

  /** Our port. */
  get localPort(): number {
    return this.#localPort;
  }

  /** `IPv4` or `IPv6`. */
  get localFamily(): string {
    return this.remoteFamily;
  }

  /** Our end, as `net.Socket.address()` tells it. */
  address(): { address: string; family: string; port: number } {
    return { address: this.#localAddress, family: this.localFamily, port: this.#localPort };
  }

  /** `open`, `readOnly`, `writeOnly` or `closed`. */
  get readyState(): "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.readable) return this.writable ? "open" : "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Whether a write waits for the peer to take what was sent before. */
  get blocked(): boolean {
    return this.#written !== null;
  }

  /** Whether the reader would take more. */
  get hungry(): boolean {
    return this.#wanted;
  }

  /**
   * µs for which the peer may go on sending after the stream was destroyed without an error; what comes is thrown away.
   * 0, the default, closes at once, which resets a connection with data that was not read (RFC 2525, section 2.17): the
   * peer may lose what it has not read either.
   */
  protected get linger(): number {
    return 0;
  }

  /** Sends small writes at once instead of waiting for ACKs. */
  setNoDelay(noDelay = true): this {
    this.connection.noDelay = noDelay;
    return this;
  }

  /** Probes an idle peer after `initialDelay` milliseconds; 0 stands for two hours. */
  setKeepAlive(enable = false, initialDelay = 0): this {
    this.connection.keepAlive = !enable ? 0 : initialDelay > 0 ? initialDelay * 1000 : KEEP_ALIVE_IDLE;
    return this;
  }

  /** Emits `timeout` when nothing was received or written for so many milliseconds; 0 ends that. */
  setTimeout(milliseconds: number, callback?: () => void): this {
    this.timeout = milliseconds;
    if (milliseconds > 0) {
      // The alarm is left as it is when it rings early: cheaper than to set it with each request.
      this.#due = this.#clock.time() + milliseconds * 1000;
      this.#alarm ??= new Alarm(this.#clock, () => this.#idle());
      if (!this.#alarm.armed || this.#alarm.deadline > this.#due) this.#alarm.set(milliseconds * 1000);
      if (callback) this.once("timeout", callback);
    } else if (callback) {
      this.removeListener("timeout", callback);
    }
    return this;
  }

  /** It is the network that keeps the process alive. */
  ref(): this {
    return this;
  }

  /** It is the network that keeps the process alive. */
  unref(): this {
    return this;
  }

  /** Destroys the stream once everything written has been handed over. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** Resets the connection. */
  resetAndDestroy(): this {
    if (!this.#over) this.connection.abort();
    return this.destroy();
  }

  /** For `node:stream`. */
  override _read(): void {
    this.#wanted = true;
    if (this.#paused && !this.#over) {
      this.#paused = false;
      this.connection.resume();
    }
  }

  /** For `node:stream`. */
  override _write(chunk: Uint8Array | string, encoding: BufferEncoding, callback: StreamCallback): void {
    this.#active();
    const rest = this.#put(chunk, encoding);
    if (rest === null) callback();
    else this.#wait([rest], callback);
  }

  /** For `node:stream`. */
  override _writev(
    chunks: { chunk: Uint8Array | string; encoding: BufferEncoding }[],
    callback: StreamCallback,
  ): void {
    this.#active();
    for (let i = 0; i < chunks.length; i++) {
      const rest = this.#put(chunks[i]!.chunk, chunks[i]!.encoding);
      if (rest === null) continue;
      const left = chunks.slice(i + 1).map(({ chunk, encoding }) =>
        typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk
      );
      this.#wait([rest, ...left], callback);
      return;
    }
    callback();
  }

  /** For `node:stream`. */
  override _final(callback: StreamCallback): void {
    if (!this.#over) this.connection.closeWrite();
    callback();
  }

  /** For `node:stream`. */
  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#alarm?.cancel();
    if (!this.#over) {
      // As in Node, an error does not reset the connection; what was not handed over is lost with it.
      if (error !== null) this.connection.close();
      else if (this.#written !== null) this.#closing = true;
      else this.#close();
    }
    callback(error);
  }

  /** Ends the connection in order, once everything was handed to it. */
  #close(): void {
    const { connection, linger } = this;
    if (linger === 0 || this.#peerEnded) return connection.close();
    connection.closeWrite();
    this.#lingering = new Alarm(this.#clock, () => connection.close());
    this.#lingering.set(linger);
    // What waits is thrown away by `deliver`.
    connection.resume();
  }

  /** @internal The peer will send no more. */
  peerEnded(): void {
    this.#peerEnded = true;
    if (this.#lingering !== null) this.connection.close();
    else this.push(null);
  }

  /** @internal Takes data from the stack. @returns How much. */
  deliver(bytes: Bytes, offset: number, length: number): number {
    if (!this.#wanted || this.destroyed) {
      this.#paused = true;
      return this.destroyed ? length : 0;
    }
    this.#active();
    let taken = 0;
    while (taken < length && this.#wanted && !this.destroyed) {
      const count = Math.min(length - taken, CHUNK);
      this.bytesRead += count;
      this.#wanted = false;
      if (this.push(this.#copy(bytes, offset + taken, count))) this.#wanted = true;
      taken += count;
    }
    if (taken < length) this.#paused = true;
    return this.destroyed ? length : taken;
  }

  /** @internal Goes on with a write that found no room. */
  writeOn(): void {
    const { connection } = this;
    this.#active();
    while (this.#chunk < this.#chunks.length) {
      const chunk = this.#chunks[this.#chunk]!;
      const left = chunk.length - this.#chunkOffset;
      const count = connection.write(chunk as Bytes, this.#chunkOffset, left);
      this.bytesWritten += count;
      if (count < left) {
        this.#chunkOffset += count;
        if (connection.state === State.Closed) break;
        return;
      }
      this.#chunk++;
      this.#chunkOffset = 0;
    }
    const written = this.#written;
    this.#written = null;
    this.#chunks = [];
    if (this.#closing && !this.#over) this.#close();
    written?.();
  }

  /** @internal The stack has let go of the connection. */
  ended(error: StackError | null): void {
    this.#over = true;
    this.#lingering?.cancel();
    const written = this.#written;
    this.#written = null;
    this.#chunks = [];
    if (error !== null) {
      const reason = toDenoError(error);
      written?.(reason);
      if (!this.destroyed) this.destroy(reason);
    } else if (written !== null) {
      written(
        Object.assign(new Deno.errors.BrokenPipe("Cannot write: the connection is closed"), {
          code: "EPIPE",
        }),
      );
    }
  }

  /** Hands a chunk to the connection. @returns What found no room, or null. */
  #put(chunk: Uint8Array | string, encoding: BufferEncoding): Uint8Array | null {
    let bytes: Uint8Array;
    let length: number;
    if (typeof chunk !== "string") {
      bytes = chunk;
      length = chunk.length;
    } else if (chunk.length <= SLAB / 4) {
      bytes = scratch;
      length = scratch.write(chunk, 0, encoding);
    } else {
      bytes = Buffer.from(chunk, encoding);
      length = bytes.length;
    }
    const count = this.connection.write(bytes as Bytes, 0, length);
    this.bytesWritten += count;
    if (count === length) return null;
    // Buffer.slice would not copy.
    return bytes === scratch ? new Uint8Array(bytes.subarray(count, length)) : bytes.subarray(count, length);
  }

  #wait(chunks: readonly Uint8Array[], callback: StreamCallback): void {
    this.#chunks = chunks;
    this.#chunk = 0;
    this.#chunkOffset = 0;
    this.#written = callback;
  }

  #copy(bytes: Bytes, offset: number, length: number): Buffer {
    let chunk: Buffer;
    if (length > SLAB / 4) {
      chunk = Buffer.allocUnsafeSlow(length);
    } else {
      if (this.#slab === null || this.#slabUsed + length > this.#slab.length) {
        // The first one is small: most connections of a server carry one request.
        this.#slab = Buffer.allocUnsafeSlow(this.#slab === null && length <= 1024 ? 4096 : SLAB);
        this.#slabUsed = 0;
      }
      chunk = this.#slab.subarray(this.#slabUsed, this.#slabUsed + length) as Buffer;
      this.#slabUsed += length;
    }
    chunk.set(bytes.subarray(offset, offset + length));
    return chunk;
  }

  #active(): void {
    if (this.timeout > 0) this.#due = this.#clock.time() + this.timeout * 1000;
  }

  #idle(): void {
    if (this.timeout === 0 || this.destroyed) return;
    const left = this.#due - this.#clock.time();
    if (left > 0) this.#alarm!.set(left);
    else this.emit("timeout");
  }
}
