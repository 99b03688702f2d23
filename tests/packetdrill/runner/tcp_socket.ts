/**
 * A TCP socket as Linux's applications know it, over the stack's connections and listeners.
 *
 * @module
 */

import type { StackError, StackErrorCode } from "../../../stack/errors.ts";
import type { IpAddress } from "../../../stack/ip/address.ts";
import { type ConnectionHandler, type Listener, State } from "../../../stack/tcp/api.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { deferRetries, type TcpListener } from "../../../stack/tcp/listener.ts";
import { holdPush } from "../../../stack/tcp/pieces.ts";

import { markUrgent } from "../../../stack/tcp/urgent.ts";
import { CONSTANTS as K } from "./constants.ts";
import { type Attempt, done, type Host, OpenFile, result, SysError } from "./file.ts";
import { mayDefer, sendFastOpen } from "./fast_open.ts";
import { hasWriteRoom, writeRoom, writeWithin } from "./send_memory.ts";
import { ErrorQueue } from "./error_queue.ts";
import { SocketOptions } from "./socket_options.ts";

const ERRNO_OF: Partial<Record<StackErrorCode, string>> = {
  AddressInUse: "EADDRINUSE",
  AddressNotAvailable: "EADDRNOTAVAIL",
  ConnectionRefused: "ECONNREFUSED",
  ConnectionReset: "ECONNRESET",
  ConnectionAborted: "ECONNABORTED",
  BrokenPipe: "EPIPE",
  TimedOut: "ETIMEDOUT",
  NetworkUnreachable: "ENETUNREACH",
  HostUnreachable: "EHOSTUNREACH",
  MessageTooLong: "EMSGSIZE",
  TooMany: "ENOBUFS",
};

/** The error number's name for a failure of the stack. */
export function errnoOf(error: unknown): string {
  const code = (error as { code?: StackErrorCode }).code;
  const errno = code === undefined ? undefined : ERRNO_OF[code];
  if (errno === undefined) throw error;
  return errno;
}

/** SO_TIMESTAMPING's bits that may be asked for of one call. */
const TX_STAMPS = 2 | 256 | 512;

/** Most bytes written at once: payload is zeros of this. */
const ZEROS = new Uint8Array(1 << 16);

/** One TCP socket. */
export class TcpSocket extends OpenFile implements ConnectionHandler {
  readonly protocol = "tcp";
  readonly host: Host;
  readonly options: SocketOptions;
  readonly version: 4 | 6;
  bound: { address: IpAddress | null; port: number } | null = null;
  listener: Listener | null = null;
  connection: TcpConnection | null = null;
  /** `connect` has been called, and its end was not reported yet. */
  connecting = false;
  /** What the next call that asks for it fails with. */
  pendingError: string | null = null;
  /** Where `connect` was told to go, while it waits for the first write (TCP_FASTOPEN_CONNECT). */
  deferred: { address: IpAddress; port: number } | null = null;
  /** What a blocked call does once the handshake is over. */
  writing: (() => void) | null = null;
  readClosed = false;
  readonly errorQueue: ErrorQueue;
  /** When the last byte that was read came, in µs from the start of the script. */
  readStamp: number | null = null;
  /** Bytes received at a time, while they are not read. */
  readonly #arrivals: { end: number; at: number }[] = [];
  writeClosed = false;
  /** Bytes of the SYN that TCP_SAVED_SYN gives; 0 for none. */
  savedSyn = 0;

  constructor(host: Host, version: 4 | 6, options: SocketOptions = new SocketOptions()) {
    super();
    this.host = host;
    this.version = version;
    this.errorQueue = new ErrorQueue(version === 6);
    this.options = options;
  }

  /** Our port; 0 before there is one. */
  get localPort(): number {
    return this.connection?.localPort ?? this.listener?.port ?? this.bound?.port ?? 0;
  }

  get remotePort(): number | null {
    return this.connection?.remotePort ?? null;
  }

  get localAddress(): IpAddress | null {
    return this.connection?.local ?? this.bound?.address ?? null;
  }

  get remoteAddress(): IpAddress | null {
    return this.connection?.remote ?? null;
  }

  /** Whether getpeername tells of one: not before the handshake is over, and not when all is over. */
  get hasPeer(): boolean {
    const c = this.connection;
    return c !== null && !c.connecting && c.state !== State.Closed && c.state !== State.TimeWait;
  }

  /** Gives up the peer (connect to AF_UNSPEC): what was under way is reset. */
  disconnect(): void {
    this.listener?.close();
    this.listener = null;
    if (this.connection !== null && this.connection.state !== State.Closed) this.connection.abort();
    this.connection = null;
    this.pendingError = this.deferred = null;
    this.connecting = this.readClosed = this.writeClosed = false;
  }

  connected(): void {
    this.events++;
    // A call that waits to write: its data carries the handshake's last ACK.
    const { writing } = this;
    this.writing = null;
    writing?.();
  }

  receive(): number {
    this.events++;
    return 0;
  }

  finished(): void {
    this.events++;
  }

  writable(): void {
    this.events++;
  }

  closed(_connection: unknown, error: StackError | null): void {
    this.events++;
    if (error !== null) this.pendingError ??= this.#errno(error);
  }

  #errno(error: StackError): string {
    // A reset after the peer's FIN: nobody reads any more what we write.
    if (error.code === "ConnectionReset" && this.connection!.finReceived) return "EPIPE";
    return errnoOf(error);
  }

  /** Takes the pending error, or what a router has said, as SO_ERROR does. */
  takeError(): string | null {
    const error = this.pendingError ?? this.#softError();
    this.pendingError = null;
    return error;
  }

  #softError(): string | null {
    const code = this.connection?.softError ?? null;
    if (code === null) return null;
    this.connection!.softError = null;
    return ERRNO_OF[code] ?? null;
  }

  /** With IP_RECVERR what a router has said ends the next call. */
  #noteSoftError(): void {
    if (this.options.receiveErrors) this.pendingError ??= this.#softError();
  }

  /** Looks at what has happened to what was sent, and notes what came. @param now In µs from the start of the script. */
  update(now: number): void {
    const c = this.connection;
    if (c === null) return;
    const full = this.errorQueue.full;
    this.errorQueue.update(c, now);
    if (!full && this.errorQueue.full) this.events++;
    const last = this.#arrivals.at(-1);
    if (c.bytesReceived > (last?.end ?? c.bytesReceived - c.readable)) {
      this.#arrivals.push({ end: c.bytesReceived, at: now });
      this.events++;
    }
  }

  /** Notes when what was just read had come. */
  #stampRead(c: TcpConnection): void {
    const read = c.bytesReceived - c.readable;
    while (this.#arrivals.length > 0) {
      this.readStamp = this.#arrivals[0]!.at;
      if (this.#arrivals[0]!.end > read) return;
      const { end } = this.#arrivals.shift()!;
      if (end === read) return;
    }
  }

  /** What the stack knew of before it told. */
  #take(error: string): never {
    this.pendingError = null;
    throw new SysError(error);
  }

  bind(address: IpAddress | null, port: number): Attempt {
    if (this.bound !== null || this.connection !== null) throw new SysError("EINVAL");
    this.bound = { address, port };
    return done(0);
  }

  listen(backlog: number): Attempt {
    if (this.connection !== null) throw new SysError("EINVAL");
    if (this.listener !== null) return done(0);
    const { address, port } = this.bound ?? { address: null, port: 0 };
    try {
      // Linux lets one more in than it was told.
      this.listener = this.host.stack.tcp.listen(
        {
          ...address === null || address.isUnspecified ? {} : { address },
          port,
          backlog: Math.max(0, backlog) + 1,
        },
        { ready: () => this.events++ },
      );
    } catch (error) {
      throw new SysError(errnoOf(error));
    }
    this.tuneListener();
    (this.listener as TcpListener).prepare = (c) => this.options.prepare(c as TcpConnection, this.host);
    return done(0);
  }

  /** @param fastOpen What is written before the turn ends goes with the SYN. */
  connect(address: IpAddress, port: number, fastOpen = false): Attempt {
    if (this.listener !== null) throw new SysError("EISCONN");
    if (this.deferred !== null && !fastOpen) throw new SysError("EISCONN");
    this.deferred = null;
    if (this.connection === null && !fastOpen && this.options.fastOpenConnect) {
      if (mayDefer(this, address)) {
        this.deferred = { address, port };
        this.events++;
        return done(0);
      }
      fastOpen = true;
    }
    if (this.connection !== null) {
      if (!this.connecting) throw new SysError("EISCONN");
      this.#failed();
      if (this.connection.connecting && this.nonblocking) throw new SysError("EALREADY");
    } else {
      const bound = this.bound;
      try {
        this.connection = this.host.stack.tcp.connect(
          {
            address,
            port,
            ...bound === null || bound.address === null || bound.address.isUnspecified
              ? {}
              : { localAddress: bound.address },
            ...bound === null || bound.port === 0 ? {} : { localPort: bound.port },
            fastOpen: fastOpen && this.options.fastOpenNoCookie ? "without-cookie" : fastOpen,
          },
          this,
          (c) => this.options.prepare(c as TcpConnection, this.host),
        ) as TcpConnection;
      } catch (error) {
        throw new SysError(errnoOf(error));
      }
      this.connection.keepUnread = true;
      this.options.apply(this.connection, this.host);
      this.connecting = true;
      if (this.nonblocking) throw new SysError("EINPROGRESS");
    }
    const { sendTimeout } = this.options;
    const deadline = sendTimeout === 0 ? Infinity : this.host.stack.now + sendTimeout;
    return {
      run: () => {
        this.#failed();
        if (this.connection!.connecting) {
          if (this.host.stack.now >= deadline) throw new SysError("EINPROGRESS");
          return null;
        }
        this.connecting = false;
        return result(0);
      },
      deadline,
    };
  }

  /** An attempt that came to nothing is told once; then the socket is as new. */
  #failed(): void {
    const error = this.pendingError ?? (this.connection!.state === State.Closed ? "ECONNABORTED" : null);
    if (error === null) return;
    this.disconnect();
    throw new SysError(error);
  }

  /** Takes over what socket options say of a listener. */
  tuneListener(): void {
    const listener = this.listener as TcpListener | null;
    if (listener === null) return;
    const { fastOpenLimit } = this.options;
    if (fastOpenLimit !== null) listener.fastOpenLimit = fastOpenLimit;
    listener.deferRetries = deferRetries(this.options.deferAccept * 1e6);
    listener.signatures = this.options.signatures;
    listener.leastHops = this.options.leastHops;
    listener.fastOpenNoCookie = this.options.fastOpenNoCookie;
  }

  accept(): { connection: TcpConnection } | null {
    if (this.listener === null) throw new SysError("EINVAL");
    const connection = this.listener.take() as TcpConnection | null;
    return connection === null ? null : { connection };
  }

  /** Makes it the socket of an accepted connection. */
  adopt(connection: TcpConnection): void {
    this.connection = connection;
    connection.handler = this;
    connection.keepUnread = true;
    this.options.apply(connection, this.host);
    if (connection.error !== null) this.pendingError = this.#errno(connection.error);
  }

  /** The connection, if it was ever established. */
  #established(): TcpConnection {
    const c = this.connection;
    if (c === null || this.listener !== null) {
      if (this.deferred !== null) throw new SysError("EAGAIN");
      if (this.pendingError !== null) this.#take(this.pendingError);
      throw new SysError("ENOTCONN");
    }
    return c;
  }

  /** Reads up to `length` bytes. */
  read(length: number, flags = 0): Attempt {
    const c = this.#established();
    // Urgent data is in line here (RFC 6093): there is never a byte apart.
    if (flags & K.MSG_OOB!) throw new SysError("EINVAL");
    const wait = !this.nonblocking && (flags & K.MSG_DONTWAIT!) === 0;
    const deadline = this.options.receiveTimeout === 0
      ? Infinity
      : this.host.stack.now + this.options.receiveTimeout;
    let total = 0;
    const scratch = new Uint8Array(Math.max(1, Math.min(length, 1 << 20)));
    return {
      deadline,
      run: () => {
        this.#noteSoftError();
        const lowat = flags & K.MSG_WAITALL! ? length : Math.min(length, this.options.receiveLowWater);
        if (flags & K.MSG_PEEK!) {
          const from = Math.max(0, this.options.peekOffset);
          if (c.readable > from) {
            const seen = Math.min(length, c.readable - from);
            this.options.peeked(seen);
            return result(seen);
          }
        } else {
          while (total < length && c.readable > 0) {
            const taken = c.read(scratch, 0, Math.min(scratch.length, length - total));
            if (taken === 0) break;
            total += taken;
            this.options.peeked(-taken);
          }
          if (total > 0) this.#stampRead(c);
          if (total > 0 && (total >= lowat || !wait)) return result(total);
        }
        if (total >= length && length === 0) return result(0);
        const ended = c.finReceived || this.readClosed || c.state === State.Closed;
        if (total > 0) return ended || this.host.stack.now >= deadline ? result(total) : null;
        if (this.pendingError !== null) {
          if (this.pendingError === "EPIPE" && c.finReceived) return result(0);
          this.#take(this.pendingError);
        }
        if (ended && c.state !== State.SynSent) return result(0);
        if (!wait || this.host.stack.now >= deadline) throw new SysError("EAGAIN");
        return null;
      },
    };
  }

  /** Writes `length` bytes. */
  write(length: number, flags = 0, stamping: number | null = null): Attempt {
    if (this.deferred !== null) {
      const { address, port } = this.deferred;
      return sendFastOpen(this, length, flags, address, port);
    }
    const c = this.connection;
    if (c === null) throw new SysError(this.listener === null ? "EPIPE" : "EPIPE");
    const wait = !this.nonblocking && (flags & K.MSG_DONTWAIT!) === 0;
    const deadline = this.options.sendTimeout === 0
      ? Infinity
      : this.host.stack.now + this.options.sendTimeout;
    let total = 0;
    const put = () => {
      const more = (flags & K.MSG_MORE!) !== 0;
      const room = writeRoom(c, c.sendLimit, this.options.notSentLowWater, length - total);
      for (const end = total + room; total < end;) {
        const taken = writeWithin(c, ZEROS, Math.min(ZEROS.length, end - total));
        if (taken === 0) break;
        total += taken;
      }
      if (total < length) c.writeBlocked = true;
      c.moreComing = more;
      if (more) holdPush(c);
    };
    const over = () => {
      const zeroCopy = (flags & K.MSG_ZEROCOPY!) !== 0 && this.options.zeroCopy;
      // What a call asks for goes with what its socket says of the reports.
      const wanted = stamping === null
        ? this.options.stamping
        : this.options.stamping & ~TX_STAMPS | stamping;
      this.errorQueue.wrote(total, wanted, zeroCopy);
      return result(total);
    };
    if (c.connecting && wait) this.writing = put;
    let waited = false;
    return {
      deadline,
      run: () => {
        this.#noteSoftError();
        if (this.pendingError !== null || this.writeClosed || c.state === State.Closed) {
          if (total > 0) return over();
          if (this.pendingError !== null) this.#take(this.pendingError);
          throw new SysError("EPIPE");
        }
        if (!c.connecting) {
          // Who waits is woken when a third of the buffer is free.
          if (waited && !this.#writable(c) && this.host.stack.now < deadline) return null;
          put();
          if (flags & K.MSG_OOB! && total > 0) markUrgent(c);
          if (flags & K.MSG_EOR! && total === length) c.endRecord();
          if (total === length) return over();
        }
        if (!wait || this.host.stack.now >= deadline) {
          if (total > 0) return over();
          throw new SysError("EAGAIN");
        }
        waited = true;
        return null;
      },
    };
  }

  shutdown(how: number): Attempt {
    if (how < 0 || how > 2) throw new SysError("EINVAL");
    const c = this.connection;
    if (this.listener !== null) {
      if (how === K.SHUT_WR) return done(0);
      this.listener.close();
      this.listener = null;
      return done(0);
    }
    if (c === null || c.state === State.Closed || c.state === State.TimeWait) throw new SysError("ENOTCONN");
    if (how !== K.SHUT_WR) this.readClosed = c.receiveShut = true;
    if (how !== K.SHUT_RD) {
      if (c.state === State.SynSent) {
        this.disconnect();
        this.pendingError = "ECONNRESET";
        this.events++;
        return done(0);
      }
      this.writeClosed = true;
      c.closeWrite();
    }
    this.events++;
    return done(0);
  }

  ready(): number {
    this.#noteSoftError();
    const E = K as Record<string, number>;
    if (this.listener !== null) {
      return (this.listener as TcpListener).queued > 0 ? E.EPOLLIN! | E.EPOLLRDNORM! : 0;
    }
    const c = this.connection;
    if (this.deferred !== null) return E.EPOLLOUT! | E.EPOLLWRNORM!;
    let mask = 0;
    if (c === null || c.state === State.Closed || (this.writeClosed && (this.readClosed || c.finReceived))) {
      mask |= E.EPOLLHUP!;
    }
    const ended = c !== null && (c.finReceived || this.readClosed || c.state === State.Closed);
    if (ended) mask |= E.EPOLLIN! | E.EPOLLRDNORM! | E.EPOLLRDHUP!;
    if (c === null || !c.connecting) {
      if (c !== null && c.readable >= this.options.receiveLowWater) mask |= E.EPOLLIN! | E.EPOLLRDNORM!;
      if (this.writeClosed || c === null || this.#writable(c)) mask |= E.EPOLLOUT! | E.EPOLLWRNORM!;
    }
    if (this.pendingError !== null || this.errorQueue.full) mask |= E.EPOLLERR!;
    return mask;
  }

  /** Whether there is room to write, as poll has it. */
  #writable(c: TcpConnection): boolean {
    return c.state === State.Closed || hasWriteRoom(c, c.sendLimit, this.options.notSentLowWater);
  }

  /** Bytes not read, not acknowledged, not sent; a FIN counts as one. */
  queued(request: number): number {
    const c = this.connection;
    if (this.listener !== null) throw new SysError("EINVAL");
    if (c === null || c.connecting) return 0;
    const fin = c.finQueued ? 1 : 0;
    if (request === K.SIOCINQ) return c.readable;
    const end = c.sendBase + c.sendQueued + (c.state === State.Closed ? 0 : fin) | 0;
    if (request === K.SIOCOUTQ) return c.head < 0 && c.finSent ? 0 : end - c.sndUna | 0;
    return c.finSent ? 0 : end - c.sndNxt | 0;
  }

  close(): Attempt | null {
    if (this.listener !== null) {
      this.listener.close();
      return null;
    }
    const c = this.connection;
    if (c === null || c.state === State.Closed) return null;
    const { linger } = this.options;
    if (linger.on && linger.seconds === 0) {
      c.abort();
      return null;
    }
    c.close();
    if (!linger.on) return null;
    const deadline = this.host.stack.now + linger.seconds * 1e6;
    return {
      deadline,
      run: () =>
        c.state === State.Closed || c.state >= State.FinWait2 && c.state !== State.CloseWait && c.head < 0 ||
          this.host.stack.now >= deadline
          ? result(0)
          : null,
    };
  }
}
