/**
 * A TCP layer without TCP: both ends in one object, bytes carried over in turns of their own. It follows the contract
 * of `stack/tcp/api.ts` to the letter, with small buffers, so that backpressure shows in tests.
 *
 * @module
 */

import type { TcpInfo } from "../../stack/tcp/info.ts";
import { StackError } from "../../stack/errors.ts";
import { IpAddress } from "../../stack/ip/address.ts";
import type { Bytes } from "../../stack/packet.ts";
import {
  type Connection,
  type ConnectionHandler,
  type ConnectOptions,
  type Listener,
  type ListenerHandler,
  type ListenOptions,
  State,
  type TcpApi,
} from "../../stack/tcp/api.ts";
import { TimerWheel } from "../../stack/timer_wheel.ts";
import type { Clock } from "../clock.ts";

/** Bytes of each ring. */
export const RING = 64 * 1024;

class FakeConnection implements Connection {
  handler: ConnectionHandler | null = null;
  user: unknown = null;
  state: State = State.SynSent;
  noDelay = false;
  keepAlive = 0;
  hopLimit = 0;
  trafficClass = 0;
  linger = Infinity;
  finTimeout = 60_000_000;
  peer!: FakeConnection;
  readonly #net: FakeTcp;
  readonly received = new Uint8Array(RING);
  readable = 0;
  readonly sending = new Uint8Array(RING);
  unacknowledged = 0;
  blocked = false;
  finQueued = false;
  finArrived = false;
  finTold = false;
  paused = false;
  told = false;
  orphan = false;
  error: StackError | null = null;

  constructor(
    net: FakeTcp,
    readonly local: IpAddress,
    readonly localPort: number,
    readonly remote: IpAddress,
    readonly remotePort: number,
  ) {
    this.#net = net;
  }

  get writeSpace(): number {
    return this.finQueued || this.state === State.Closed ? 0 : RING - this.unacknowledged;
  }

  write(bytes: Bytes, offset: number, length: number): number {
    const count = Math.min(length, this.writeSpace);
    if (count < length) this.blocked = !this.finQueued && this.state !== State.Closed;
    this.sending.set(bytes.subarray(offset, offset + count), this.unacknowledged);
    this.unacknowledged += count;
    this.#net.wake();
    return count;
  }

  read(target: Bytes, offset: number, length: number): number {
    const count = Math.min(length, this.readable);
    target.set(this.received.subarray(0, count), offset);
    this.received.copyWithin(0, count, this.readable);
    this.readable -= count;
    if (count > 0) this.#net.wake();
    return count;
  }

  resume(): void {
    this.paused = false;
    this.#net.wake();
  }

  closeWrite(): void {
    this.finQueued = true;
    this.#net.wake();
  }

  close(): void {
    if (this.orphan || this.state === State.Closed) return;
    this.orphan = true;
    if (this.readable > 0) {
      this.readable = 0;
      this.reset(null);
    } else this.closeWrite();
  }

  trace(): void {
    throw new TypeError("A fake connection knows nothing of itself");
  }

  info(): TcpInfo {
    throw new TypeError("A fake connection knows nothing of itself");
  }

  abort(): void {
    this.reset(new StackError("ConnectionAborted", "Connection was aborted"));
  }

  reset(own: StackError | null): void {
    if (this.state === State.Closed) return;
    this.end(own);
    this.peer.end(new StackError("ConnectionReset", "Connection was reset by the peer"));
  }

  end(error: StackError | null): void {
    if (this.state === State.Closed) return;
    this.state = State.Closed;
    this.error = error;
    this.unacknowledged = 0;
    if (error !== null) this.readable = 0;
    this.#net.wake();
  }

  /** One turn of this end. */
  turn(): void {
    const { peer, handler } = this;
    if (this.state === State.Established && this.unacknowledged > 0 && peer.state !== State.Closed) {
      if (peer.orphan) return this.reset(null);
      const count = Math.min(this.unacknowledged, RING - peer.readable);
      if (count > 0) {
        peer.received.set(this.sending.subarray(0, count), peer.readable);
        peer.readable += count;
        this.sending.copyWithin(0, count, this.unacknowledged);
        this.unacknowledged -= count;
        this.#net.wake();
        if (this.blocked) {
          this.blocked = false;
          handler?.writable(this);
        }
      }
    }
    if (this.finQueued && this.unacknowledged === 0 && !peer.finArrived) {
      peer.finArrived = true;
      this.#net.wake();
    }
    if (handler === null) return;
    while (this.readable > 0 && !this.paused && !this.orphan) {
      const given = this.readable;
      const count = handler.receive(this, this.received, 0, given);
      if (count < given) this.paused = true;
      this.received.copyWithin(0, count, this.readable);
      this.readable -= count;
      if (count > 0) this.#net.wake();
    }
    if (this.finArrived && this.readable === 0 && !this.finTold && !this.orphan) {
      this.finTold = true;
      handler.finished(this);
    }
    if (this.finArrived && peer.finArrived && this.readable === 0 && this.state !== State.Closed) {
      this.end(null);
    }
    if (this.state === State.Closed && !this.told && (this.error !== null || this.readable === 0)) {
      this.told = true;
      handler.closed(this, this.error);
    }
  }
}

class FakeListener implements Listener {
  readonly queue: FakeConnection[] = [];

  constructor(
    readonly local: IpAddress,
    readonly port: number,
    readonly handler: ListenerHandler,
    readonly backlog: number,
    readonly onclose: () => void,
  ) {}

  take(): Connection | null {
    return this.queue.shift() ?? null;
  }

  close(): void {
    this.onclose();
    for (const connection of this.queue.splice(0)) connection.reset(null);
  }
}

/** The layer, and the clock that goes with it. */
export class FakeTcp implements TcpApi, Clock, Disposable {
  readonly timers = new TimerWheel();
  readonly address = IpAddress.parse("10.0.0.2");
  readonly #listeners = new Map<number, FakeListener>();
  #connections: FakeConnection[] = [];
  #port = 40000;
  #woken = false;
  #disposed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Connections that have not been told that they are over. */
  get size(): number {
    return this.#connections.length;
  }

  /** Forgets what is set for later, once everything is closed. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
  }

  time(): number {
    return performance.now() * 1000;
  }

  turn(): number {
    return this.time();
  }

  wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    setImmediate(() => {
      this.#woken = false;
      for (const connection of this.#connections) connection.turn();
      this.#connections = this.#connections.filter((connection) => !connection.told);
      // Bytes take no time: nobody is late because the machine was busy with something else.
      if (this.#woken) return;
      this.timers.advance(this.time());
      const next = this.timers.next();
      clearTimeout(this.#timer);
      if (next !== Infinity && !this.#disposed) {
        this.#timer = setTimeout(() => this.wake(), Math.max(1, (next - this.time()) / 1000));
      }
    });
  }

  listen(options: ListenOptions, handler: ListenerHandler): Listener {
    const port = options.port === 0 ? this.#port++ : options.port;
    if (this.#listeners.has(port)) {
      throw new StackError("AddressInUse", `Address already in use: TCP port ${port}`);
    }
    const local = options.address ?? IpAddress.v4(0);
    const listener = new FakeListener(
      local,
      port,
      handler,
      options.backlog ?? 512,
      () => this.#listeners.delete(port),
    );
    this.#listeners.set(port, listener);
    return listener;
  }

  connect(options: ConnectOptions, handler: ConnectionHandler): Connection {
    const port = options.localPort ?? this.#port++;
    const near = new FakeConnection(this, this.address, port, options.address, options.port);
    const far = new FakeConnection(this, options.address, options.port, this.address, port);
    near.handler = handler;
    near.peer = far;
    far.peer = near;
    // TEST-NET-1 never answers.
    if (options.address.toString().startsWith("192.0.2.")) {
      this.#connections.push(near);
      return near;
    }
    setImmediate(() => {
      if (near.state === State.Closed) return;
      const listener = this.#listeners.get(options.port);
      if (listener === undefined || listener.queue.length >= listener.backlog) {
        near.end(
          new StackError("ConnectionRefused", `Connection refused: ${options.address}:${options.port}`),
        );
        return;
      }
      near.state = far.state = State.Established;
      this.#connections.push(far);
      near.handler!.connected(near);
      listener.queue.push(far);
      listener.handler.ready(listener);
      this.wake();
    });
    this.#connections.push(near);
    return near;
  }
}
