/**
 * The TCP layer: connections, listeners, and the end of a turn.
 *
 * @module
 */

import { StackError } from "../errors.ts";
import type { KeyedHash } from "../hash.ts";
import { IpAddress } from "../ip/address.ts";
import { IcmpError, type Path, type Transport } from "../ip/path.ts";
import { transportChecksumOk } from "../link/offload.ts";
import { type Bytes, GSO_NONE, type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import * as wire from "../wire/tcp.ts";
import type {
  Connection,
  ConnectionHandler,
  ConnectOptions,
  Listener,
  ListenerHandler,
  ListenOptions,
  TcpApi,
} from "./api.ts";
import { State } from "./api.ts";
import type { Congestion } from "./congestion.ts";
import { TcpConnection } from "./connection.ts";
import { TcpCounters } from "./counters.ts";
import { stampedEcn, stampedSack, stampedWindowScale, stampOptions, SynCookies } from "./cookies.ts";
import { input, offer, Segment, synInFlight, takeSynOptions } from "./input.ts";
import { COOKIE_TIME, DEFAULT_BACKLOG, DEFAULT_HALF_OPEN, TcpListener } from "./listener.ts";
import { finishChecksum, output, sendReset, sendSyn, timestamp, writeSyn } from "./output.ts";
import { acknowledge, tooBig } from "./recovery.ts";
import { RingPool } from "./ring.ts";
import { SentRecords } from "./sent.ts";
import { after } from "./sequence.ts";
import { ConnectionTable } from "./table.ts";
import { DEFAULT_TCP_SETTINGS, makeCongestion, type TcpSettings } from "./settings.ts";
import { TIME_WAIT } from "./timers.ts";

/** First port for active opens, and how many there are (as Linux's ip_local_port_range). */
const FIRST_EPHEMERAL = 32768;
const EPHEMERAL_PORTS = 28232;

/** What a SYN that asks for explicit congestion notification carries (RFC 3168, section 6.1.1). */
const ECN_SETUP = wire.ECE | wire.CWR;

// What the keyed hash is asked for.
const ISN_DOMAIN = 1;
const TIMESTAMP_DOMAIN = 2;
const PORT_DOMAIN = 3;

/** Limits of the TCP layer. */
export interface TcpLimits {
  /** Most connections of all states. Default 1,048,576. */
  connections?: number;
  /** Most connections in TIME-WAIT; more are closed at once. Default 65,536. */
  timeWait?: number;
}

/** The TCP layer of a stack. */
export class Tcp implements TcpApi, Transport {
  /** The stack it belongs to. */
  readonly stack: Stack;
  /** What happened. */
  readonly counters: TcpCounters = new TcpCounters();
  /** What holds for all connections; may be changed at any time. */
  readonly settings: TcpSettings = { ...DEFAULT_TCP_SETTINGS };
  /** @internal */
  readonly pool: RingPool = new RingPool();
  /** @internal */
  readonly records: SentRecords = new SentRecords();
  readonly #limits: Required<TcpLimits>;
  readonly #table = new ConnectionTable();
  readonly #listeners = new Map<number, TcpListener[]>();
  readonly #hash: KeyedHash;
  readonly #cookies: SynCookies;
  #portCounter = 0;
  #timeWaits = 0;
  /** What the end of the turn has to look at. */
  #dirty: TcpConnection[] = [];
  #dirtyCount = 0;
  /** Those for whom the device had no slot, in the order in which they get the next ones. */
  #retry: TcpConnection[] = [];
  #retrying: TcpConnection[] = [];
  readonly #served: TcpConnection[] = [];
  readonly #segment = new Segment();
  #makeCongestion: (() => Congestion) | null = null;

  /**
   * Makes the layer.
   * @param stack The stack it is part of.
   */
  constructor(stack: Stack, limits: TcpLimits = {}) {
    this.stack = stack;
    this.#limits = { connections: limits.connections ?? 1 << 20, timeWait: limits.timeWait ?? 1 << 16 };
    const random = stack.random;
    this.#hash = stack.hash;
    this.#cookies = new SynCookies(stack.hash);
    this.#portCounter = random() >>> 16;
  }

  /** Connections in all states. */
  get size(): number {
    return this.#table.size;
  }

  /** Whether connections that we open ask for congestion notification (RFC 3168); asked, we always agree. */
  get ecn(): boolean {
    return this.settings.ecn === 1;
  }

  set ecn(ask: boolean) {
    this.settings.ecn = ask ? 1 : 2;
  }

  /** Calls `visit` with every connection. */
  forEach(visit: (connection: Connection) => void): void {
    this.#table.forEach(visit);
  }

  /** Sets what new connections use. */
  setCongestion(make: () => Congestion): void {
    this.#makeCongestion = make;
  }

  /** @internal */
  makeCongestion(): Congestion {
    return this.#makeCongestion?.() ?? makeCongestion(this.settings.congestion, this.stack.random);
  }

  /** Listens for connections. */
  listen(options: ListenOptions, handler: ListenerHandler): Listener {
    const { address = null, backlog = DEFAULT_BACKLOG } = options;
    let { port } = options;
    if (!Number.isInteger(port) || port < 0 || port > 65535) {
      throw new RangeError(`Port must be a whole number from 0 to 65535, got ${port}`);
    }
    const local = address ?? IpAddress.v4(0);
    if (port === 0) port = this.#freeListenPort();
    const others = this.#listeners.get(port);
    for (const other of others ?? []) {
      if (other.local.isUnspecified || local.isUnspecified || other.local.equals(local)) {
        throw new StackError("AddressInUse", `Address already in use: TCP port ${port} on ${local}`);
      }
    }
    if (!local.isUnspecified && !this.stack.isLocal(local)) {
      throw new StackError("AddressNotAvailable", `Address is not one of this stack: ${local}`);
    }
    const listener = new TcpListener(this, local, port, Math.max(1, backlog), handler);
    if (others === undefined) this.#listeners.set(port, [listener]);
    else others.push(listener);
    return listener;
  }

  /**
   * Starts an active open.
   * @param prepare Sees the connection before its SYN leaves.
   */
  connect(
    options: ConnectOptions,
    handler: ConnectionHandler,
    prepare: ((connection: Connection) => void) | null = null,
  ): Connection {
    const { address, port, localAddress, localPort } = options;
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RangeError(`Port must be a whole number from 1 to 65535, got ${port}`);
    }
    if (localPort !== undefined && (!Number.isInteger(localPort) || localPort < 1 || localPort > 65535)) {
      throw new RangeError(`Local port must be a whole number from 1 to 65535, got ${localPort}`);
    }
    if (localAddress !== undefined && !this.stack.isLocal(localAddress)) {
      throw new StackError("AddressNotAvailable", `Address is not one of this stack: ${localAddress}`);
    }
    const path = this.stack.path(address, localAddress, options.interface);
    if (path === null || path.group || address.isUnspecified) {
      throw new StackError("NetworkUnreachable", `Network is unreachable: no route to ${address}`);
    }
    if (this.#table.size >= this.#limits.connections) {
      throw new StackError("TooMany", `Too many connections: the limit is ${this.#limits.connections}`);
    }
    const ours = localPort ?? this.#freePort(path, port);
    const hash = this.#hash.flow(path.source, path.destination, ours << 16 | port);
    if (this.#table.get(hash, path.source, ours, path.destination, port) !== null) {
      throw new StackError(
        "AddressInUse",
        `Address already in use: ${path.source}:${ours} to ${address}:${port}`,
      );
    }
    const c = new TcpConnection(this, path, ours, port, hash);
    c.handler = handler;
    c.ecn = this.ecn;
    prepare?.(c);
    this.counters.activeOpens++;
    this.#table.add(c);
    this.#open(c);
    c.state = State.SynSent;
    // At the end of the turn: a loop that has slept sets the time first, and timers count from there.
    c.synDue = true;
    this.markDirty(c);
    return c;
  }

  receive(packet: Packet): void {
    const counters = this.counters;
    counters.receivedSegments++;
    const { view, offset, end } = packet;
    packet.transport = offset;
    const available = end - offset;
    const header = available < wire.HEADER_LENGTH ? 0 : wire.headerLength(view, offset);
    if (header < wire.HEADER_LENGTH || header > available) {
      counters.badHeader++;
      return;
    }
    if (!transportChecksumOk(packet)) {
      counters.badChecksum++;
      return;
    }
    const ports = wire.ports(view, offset);
    if ((ports & 0xffff) === 0 || ports >>> 16 === 0) {
      counters.badPort++;
      return;
    }
    if (packet.cast !== UNICAST) {
      counters.notUnicast++;
      return;
    }
    const s = this.#segment;
    s.sequence = wire.sequence(view, offset);
    s.acknowledgment = wire.acknowledgment(view, offset);
    s.flags = wire.flags(view, offset);
    s.window = wire.window(view, offset);
    s.ecn = packet.version === 4
      ? view.getUint8(packet.network + 1) & 3
      : view.getUint16(packet.network) >>> 4 & 3;
    s.bytes = packet.bytes;
    s.offset = offset + header;
    s.length = available - header;
    s.frame = packet.gsoType === GSO_NONE ? 0 : packet.gsoSize;
    if (!s.options.parse(view, offset + wire.HEADER_LENGTH, offset + header)) counters.badOptions++;
    const hash = this.#hash.packet(packet);
    const now = this.stack.now;
    const c = this.#table.find(packet, hash, ports);
    if (c !== null && !(c.state === State.TimeWait && this.#reusable(c, s))) {
      input(c, s, now);
      return;
    }
    this.#receiveUnknown(packet, s, ports, hash, now);
  }

  error(packet: Packet, kind: IcmpError, mtu: number): void {
    // The quoted packet is ours: its source is our side.
    const { view, offset } = packet;
    const ports = view.getInt32(offset);
    const version = packet.version === 4 ? 4 : 6;
    const local = IpAddress.read(version, view, packet.network + (version === 4 ? 12 : 8));
    const remote = IpAddress.read(version, view, packet.network + (version === 4 ? 16 : 24));
    const hash = this.#hash.flow(local, remote, ports);
    const c = this.#table.get(hash, local, ports >>> 16, remote, ports & 0xffff);
    if (c === null) return;
    // RFC 5927: only what quotes something in flight is believed.
    const sequence = view.getInt32(offset + 4);
    if (!(after(c.sndNxt, sequence) && !after(c.sndUna, sequence))) {
      this.counters.badAcks++;
      return;
    }
    if (c.state === State.SynSent) {
      switch (kind) {
        case IcmpError.PortUnreachable:
        case IcmpError.ProtocolUnreachable:
          this.drop(c, c.failure("ConnectionRefused", "Connection refused"));
          return;
        case IcmpError.HostUnreachable:
        case IcmpError.Prohibited:
          this.drop(c, c.failure("HostUnreachable", "Host is unreachable"));
          return;
        case IcmpError.NetworkUnreachable:
          this.drop(c, c.failure("NetworkUnreachable", "Network is unreachable"));
          return;
      }
    }
    // Later ones are soft errors (RFC 1122, section 4.2.3.9); the next transmission follows the path's MTU.
    if (kind === IcmpError.PacketTooBig) {
      c.path.learnMtu(mtu);
      tooBig(c, sequence);
      this.markDirty(c);
    }
  }

  /** Ends a turn: tells handlers what waits for them, then sends what is to be sent. */
  finish(): boolean {
    // Who has waited comes first, so that nobody waits for ever.
    const waiting = this.#retry;
    this.#retry = this.#retrying;
    this.#retrying = waiting;
    for (let i = 0; i < waiting.length; i++) {
      waiting[i]!.waiting = false;
      this.#send(waiting[i]!);
    }
    waiting.length = 0;
    // Handlers may mark more connections: those come at the end of the list.
    for (let i = 0; i < this.#dirtyCount; i++) {
      const c = this.#dirty[i]!;
      c.dirty = false;
      if (c.offerDue) this.#offer(c);
      this.#send(c);
      if (c.closeDue) this.#tellClosed(c);
    }
    for (let i = 0; i < this.#served.length; i++) this.#retry.push(this.#served[i]!);
    this.#served.length = 0;
    // Nothing here may keep a dead connection alive.
    if (this.#dirtyCount > 0) this.#dirty.fill(NOBODY, 0, this.#dirtyCount);
    this.#dirtyCount = 0;
    if (this.#dirty.length > 65536) this.#dirty = [];
    return this.#retry.length > 0;
  }

  /** Sends what a connection may send. One that got a slot waits for its next behind those that got none. */
  #send(c: TcpConnection): void {
    if (c.state === State.Closed) return;
    const waiting = this.#retry.length, sent = this.counters.sentSegments;
    output(c);
    if (this.#retry.length > waiting && this.counters.sentSegments > sent) {
      this.#retry.pop();
      this.#served.push(c);
    }
  }

  /** @internal Has the end of the turn look at a connection. */
  markDirty(c: TcpConnection): void {
    if (c.dirty) return;
    c.dirty = true;
    if (this.#dirtyCount === this.#dirty.length) this.#dirty.push(c);
    else this.#dirty[this.#dirtyCount] = c;
    this.#dirtyCount++;
    this.stack.wake();
  }

  /** @internal Nothing could be sent. While the device has no slot, the next turn tries again; without a route, timers do. */
  retryLater(c: TcpConnection): void {
    if (c.path.interface.device.free > 0) return;
    if (c.waiting) return;
    c.waiting = true;
    this.#retry.push(c);
    this.stack.wake();
  }

  /** @internal Makes the first numbers of a connection. */
  #open(c: TcpConnection): void {
    const now = this.stack.now;
    const { local, remote } = c;
    const ports = c.localPort << 16 | c.remotePort;
    // RFC 6528: a clock of 4 µs plus a keyed hash of the connection. Timestamps start at a hash as well (RFC 7323, section 5.4).
    c.iss = Math.floor(now / 4) + this.#hash.strongFlow(local, remote, ports, ISN_DOMAIN) | 0;
    c.tsOffset = this.#hash.strongFlow(local, remote, 0, TIMESTAMP_DOMAIN);
    c.sndUna = c.sndNxt = c.iss;
    c.sendBase = c.smallEnd = c.iss + 1 | 0;
    c.rcvShift = 0;
    const most = Math.max(c.receiveMost, this.settings.receiveMaximum);
    while (c.rcvShift < 14 && most >> c.rcvShift > 65535) c.rcvShift++;
    c.lastReceived = now;
  }

  #receiveUnknown(packet: Packet, s: Segment, ports: number, hash: number, now: number): void {
    const kind = s.flags & (wire.SYN | wire.ACK | wire.RST);
    const listener = this.#findListener(packet, ports & 0xffff);
    if (listener !== null) {
      if (kind === wire.SYN) {
        this.#receiveSyn(packet, listener, s, ports, hash, now);
        return;
      }
      if (kind === wire.ACK && now < listener.cookiesUntil) {
        const c = this.#fromCookie(packet, listener, s, ports, hash, now);
        if (c !== null) {
          input(c, s, now);
          return;
        }
      }
    }
    this.counters.noConnection++;
    if (s.flags & wire.RST) return;
    const path = this.stack.pathBack(packet);
    if (path !== null) this.rejectSegment(path, ports & 0xffff, ports >>> 16, s);
  }

  #receiveSyn(
    packet: Packet,
    listener: TcpListener,
    s: Segment,
    ports: number,
    hash: number,
    now: number,
  ): void {
    if (listener.queued >= listener.backlog) {
      this.counters.acceptQueueFull++;
      return;
    }
    if (this.#table.size >= this.#limits.connections) {
      this.counters.tooManyConnections++;
      return;
    }
    const path = this.stack.pathBack(packet);
    if (path === null) {
      this.counters.noRoute++;
      return;
    }
    if (listener.halfOpen >= DEFAULT_HALF_OPEN) {
      this.#sendCookie(path, listener, s, ports, now);
      return;
    }
    const c = this.#passive(path, listener, s, ports, hash);
    this.#open(c);
    takeSynOptions(c, s.options, now);
    c.ecn = this.settings.ecn !== 0 && (s.flags & ECN_SETUP) === ECN_SETUP;
    c.sndWl2 = c.iss;
    this.#table.add(c);
    sendSyn(c, now);
  }

  /** A connection in SYN-RECEIVED, as a SYN (or the ACK of a cookie) asks for it. */
  #passive(path: Path, listener: TcpListener, s: Segment, ports: number, hash: number): TcpConnection {
    const c = new TcpConnection(this, path, ports & 0xffff, ports >>> 16, hash);
    c.listener = listener;
    listener.halfOpen++;
    c.state = State.SynReceived;
    c.irs = s.sequence;
    c.rcvNxt = c.lastAck = c.rcvAdv = s.sequence + 1 | 0;
    c.sndWnd = c.maxSndWnd = s.window;
    c.sndWl1 = s.sequence;
    listener.prepare?.(c);
    return c;
  }

  /** Answers a SYN without keeping anything of it. */
  #sendCookie(path: Path, listener: TcpListener, s: Segment, ports: number, now: number): void {
    const ours = ports << 16 | ports >>> 16;
    const { options } = s;
    listener.cookiesUntil = now + COOKIE_TIME;
    this.counters.sentCookies++;
    // A connection that lives for this one answer: it is in no table and has no timer.
    const c = this.#passive(path, listener, s, ports, 0);
    listener.halfOpen--;
    this.#open(c);
    takeSynOptions(c, options, now);
    c.ecn = this.settings.ecn !== 0 && c.timestamps && (s.flags & ECN_SETUP) === ECN_SETUP;
    // What the numbers can't remember is not agreed on.
    if (!c.timestamps) {
      c.sackPermitted = c.windowScaling = false;
    }
    c.iss = this.#cookies.make(path.source, path.destination, ours, s.sequence, c.peerMss, now);
    if (c.timestamps) {
      const clock = timestamp(c);
      const scale = c.windowScaling ? c.sndShift : -1;
      c.tsOffset = c.tsOffset + (stampOptions(clock, scale, c.sackPermitted, c.ecn) - clock) | 0;
    }
    writeSyn(c);
  }

  /** @returns The connection that an ACK of a cookie stands for, in the table; null when it is none of ours. */
  #fromCookie(
    packet: Packet,
    listener: TcpListener,
    s: Segment,
    ports: number,
    hash: number,
    now: number,
  ): TcpConnection | null {
    const path = this.stack.pathBack(packet);
    if (path === null || this.#table.size >= this.#limits.connections) return null;
    const ours = ports << 16 | ports >>> 16;
    const iss = s.acknowledgment - 1 | 0;
    const mss = this.#cookies.read(path.source, path.destination, ours, s.sequence - 1 | 0, iss, now);
    if (mss === 0) {
      this.counters.badCookies++;
      return null;
    }
    this.counters.acceptedCookies++;
    const c = this.#passive(path, listener, s, ports, hash);
    const { options } = s;
    const stamped = options.timestamps;
    c.irs = s.sequence - 1 | 0;
    c.rcvNxt = c.lastAck = c.rcvAdv = s.sequence;
    this.#open(c);
    takeSynOptions(c, {
      mss,
      windowScale: stamped ? stampedWindowScale(options.timestampEcho) : -1,
      sackPermitted: stamped && stampedSack(options.timestampEcho),
      timestamps: stamped,
      timestampValue: options.timestampValue,
    }, now);
    c.ecn = stamped && stampedEcn(options.timestampEcho);
    c.iss = iss;
    c.sndUna =
      c.sndNxt =
      c.sendBase =
      c.smallEnd =
      c.sndWl2 =
        s.acknowledgment;
    c.rcvAdv = c.rcvNxt + Math.min(c.receiveLimit, 65535) | 0;
    this.#table.add(c);
    return c;
  }

  /** Whether a SYN may start a new connection where an old one is in TIME-WAIT (RFC 9293, section 3.10.7.4; RFC 6191). */
  #reusable(c: TcpConnection, s: Segment): boolean {
    if ((s.flags & (wire.SYN | wire.ACK | wire.RST)) !== wire.SYN) return false;
    const newer = c.timestamps && s.options.timestamps
      ? after(s.options.timestampValue, c.tsRecent)
      : after(s.sequence, c.rcvNxt);
    if (!newer) return false;
    this.#forget(c);
    return true;
  }

  #findListener(packet: Packet, port: number): TcpListener | null {
    const listeners = this.#listeners.get(port);
    if (listeners === undefined) return null;
    let wildcard: TcpListener | null = null;
    for (let i = 0; i < listeners.length; i++) {
      const listener = listeners[i]!;
      if (listener.local.isUnspecified) wildcard = listener;
      else if (isDestination(packet, listener.local)) return listener;
    }
    return wildcard;
  }

  /** @internal Answers a segment that belongs to nothing with RST (RFC 9293, section 3.10.7.1). */
  rejectSegment(path: Path, localPort: number, remotePort: number, s: Segment): void {
    const packet = path.reserve();
    if (packet === null) return;
    const at = packet.push(wire.HEADER_LENGTH);
    const acked = (s.flags & wire.ACK) !== 0;
    const length = s.length + (s.flags & wire.SYN ? 1 : 0) + (s.flags & wire.FIN ? 1 : 0);
    wire.writeHeader(
      packet.view,
      at,
      localPort,
      remotePort,
      acked ? s.acknowledgment : 0,
      acked ? 0 : s.sequence + length | 0,
      wire.HEADER_LENGTH,
      acked ? wire.RST : wire.RST | wire.ACK,
      0,
    );
    finishChecksum(packet, at, path.addressSum);
    this.counters.sentResets++;
    this.counters.sentSegments++;
    path.send(packet, wire.PROTOCOL, 0, 0);
  }

  /** @internal The handshake's last ACK has come. @returns False when the listener has no room. */
  establish(c: TcpConnection, s: Segment, now: number): boolean {
    const listener = c.listener;
    if (listener !== null && listener.queued >= listener.backlog) {
      // As if it had been lost: our SYN-ACK, sent again, brings another.
      this.counters.acceptQueueFull++;
      return false;
    }
    c.state = State.Established;
    c.sndWnd = s.window << c.sndShift;
    c.maxSndWnd = Math.max(c.maxSndWnd, c.sndWnd);
    c.sndWl1 = s.sequence;
    c.sndWl2 = s.acknowledgment;
    if (synInFlight(c)) acknowledge(c, s.acknowledgment, s.options, true, true, false, now);
    if (listener === null) {
      this.established(c);
      return true;
    }
    this.counters.passiveOpens++;
    listener.halfOpen--;
    if (listener.closed) {
      c.listener = null;
      this.reset(c, null);
      return false;
    }
    listener.push(c);
    try {
      listener.handler.ready(listener);
    } catch (error) {
      this.counters.handlerErrors++;
      this.stack.report(error, `TCP listener on port ${listener.port}`);
    }
    return (c.state as State) !== State.Closed;
  }

  /** @internal An active open is complete. */
  established(c: TcpConnection): void {
    if (c.handler === null) return;
    try {
      c.handler.connected(c);
    } catch (error) {
      this.#failed(c, error);
    }
  }

  /** @internal Hands data to the handler. @returns What it took, within bounds. */
  callReceive(c: TcpConnection, bytes: Bytes, offset: number, length: number): number {
    try {
      const taken = c.handler!.receive(c, bytes, offset, length);
      return taken >= length ? length : taken > 0 ? Math.floor(taken) : 0;
    } catch (error) {
      this.#failed(c, error);
      return 0;
    }
  }

  /** @internal There is room to write again. */
  tellWritable(c: TcpConnection): void {
    if (c.handler === null) return;
    try {
      c.handler.writable(c);
    } catch (error) {
      this.#failed(c, error);
    }
  }

  #offer(c: TcpConnection): void {
    c.offerDue = false;
    // What came before an error is gone: nobody may take it for a whole.
    if (c.error !== null) return;
    if (c.readable > 0 && !c.paused) offer(c);
    if (c.readable > 0 || !c.finReceived || c.finishedTold || c.handler === null || c.orphan) return;
    c.finishedTold = true;
    try {
      c.handler.finished(c);
    } catch (error) {
      this.#failed(c, error);
    }
  }

  /** An exception in a handler ends that connection alone. */
  #failed(c: TcpConnection, error: unknown): void {
    this.counters.handlerErrors++;
    this.stack.report(error, `TCP connection with ${c.remote} port ${c.remotePort}`);
    this.reset(c, c.failure("ConnectionAborted", "Connection was aborted by an error in its handler"));
  }

  #tellClosed(c: TcpConnection): void {
    // What has arrived can still be read after an orderly end.
    if (c.error === null && !c.orphan && c.readable > 0) return;
    if (c.error === null && !c.orphan && c.finReceived && !c.finishedTold) this.#offer(c);
    if (c.state === State.Closed && c.readable === 0) c.receiveRing.free();
    // Who sets a handler later is told by `resume`.
    if (c.handler === null) return;
    c.closeDue = false;
    if (c.closedTold) return;
    c.closedTold = true;
    try {
      c.handler.closed(c, c.error);
    } catch (error) {
      this.counters.handlerErrors++;
      this.stack.report(error, `TCP connection with ${c.remote} port ${c.remotePort}`);
    }
    if (c.state === State.Closed && !c.keepUnread) {
      c.readable = 0;
      c.receiveRing.free();
    }
  }

  /** @internal RST to the peer, and the end. */
  reset(c: TcpConnection, error: StackError | null): void {
    if (c.state === State.Closed) return;
    if (c.state >= State.SynReceived && c.state !== State.TimeWait) {
      this.counters.establishedResets++;
      sendReset(c);
    }
    this.drop(c, error);
  }

  /** @internal Ends a connection without a word to the peer. */
  drop(c: TcpConnection, error: StackError | null): void {
    if (c.state === State.Closed) return;
    if (c.state === State.SynReceived && c.listener !== null) {
      c.listener.halfOpen--;
      c.listener = null;
    }
    if (error !== null) c.error = error;
    this.#forget(c);
    // What came before a reset can still be read, unless we have given the connection up ourselves.
    if (c.orphan || error?.code === "ConnectionAborted") {
      c.readable = 0;
      c.receiveRing.free();
    }
    if (c.readable === 0) c.receiveRing.free();
    c.closeDue = true;
    c.offerDue = true;
    this.markDirty(c);
  }

  /** Takes a connection out of the table and gives back what it holds for sending. */
  #forget(c: TcpConnection): void {
    if (c.state === State.TimeWait) this.#timeWaits--;
    c.state = State.Closed;
    this.#table.remove(c);
    this.stack.timers.cancel(c.timer);
    this.#freeSending(c);
    c.assembler = null;
  }

  #freeSending(c: TcpConnection): void {
    for (let r = c.head; r >= 0;) {
      const next = this.records.next[r]!;
      this.records.give(r);
      r = next;
    }
    c.head = c.tail = -1;
    c.recordCount =
      c.packetsOut =
      c.sackedOut =
      c.lostOut =
      c.retransOut =
        0;
    c.sendQueued = 0;
    c.sendRing.free();
    c.sendTimerAt =
      c.ackTimerAt =
      c.keepAliveAt =
      c.paceTimerAt =
        Infinity;
  }

  /** @internal Both FINs were exchanged, ours first: waits for what may still be under way (RFC 9293, section 3.6.1). */
  enterTimeWait(c: TcpConnection): void {
    if (c.state !== State.TimeWait) {
      if (this.#timeWaits >= this.#limits.timeWait) {
        this.counters.timeWaitOverflow++;
        this.drop(c, null);
        return;
      }
      this.#timeWaits++;
      c.state = State.TimeWait;
      this.#freeSending(c);
      c.closeDue = true;
      this.markDirty(c);
    }
    c.lifeTimerAt = this.stack.now + TIME_WAIT;
    c.schedule();
  }

  /** @internal Nobody waits for the peer's FIN any more, and it has our FIN: it gets a limited time. */
  orphaned(c: TcpConnection): void {
    c.lifeTimerAt = this.stack.now + this.settings.finTimeout;
    c.schedule();
  }

  /** @internal Forgets a listener. */
  unlisten(listener: TcpListener): void {
    const others = this.#listeners.get(listener.port)?.filter((other) => other !== listener) ?? [];
    if (others.length > 0) this.#listeners.set(listener.port, others);
    else this.#listeners.delete(listener.port);
  }

  /** RFC 6056, algorithm 3: a keyed hash of the destination, plus a counter. */
  #freePort(path: Path, remotePort: number): number {
    const start = this.#hash.strongFlow(path.source, path.destination, remotePort, PORT_DOMAIN) >>> 0;
    for (let i = 0; i < EPHEMERAL_PORTS; i++) {
      const port = FIRST_EPHEMERAL + (start + this.#portCounter) % EPHEMERAL_PORTS;
      this.#portCounter = this.#portCounter + 1 >>> 0;
      if (this.#listeners.has(port)) continue;
      const hash = this.#hash.flow(path.source, path.destination, port << 16 | remotePort);
      if (this.#table.get(hash, path.source, port, path.destination, remotePort) === null) return port;
    }
    throw new StackError(
      "AddressNotAvailable",
      `No free port for a connection to ${path.destination}:${remotePort}`,
    );
  }

  #freeListenPort(): number {
    const start = this.stack.random() >>> 0;
    for (let i = 0; i < EPHEMERAL_PORTS; i++) {
      const port = FIRST_EPHEMERAL + (start + i) % EPHEMERAL_PORTS;
      if (!this.#listeners.has(port)) return port;
    }
    throw new StackError("AddressInUse", "No free port to listen on");
  }
}

/** Whether a packet was sent to `address`. */
function isDestination(packet: Packet, address: IpAddress): boolean {
  const { view, network } = packet;
  if (packet.version !== address.version) return false;
  if (packet.version === 4) return view.getInt32(network + 16) === address.d;
  return view.getInt32(network + 24) === address.a && view.getInt32(network + 28) === address.b &&
    view.getInt32(network + 32) === address.c && view.getInt32(network + 36) === address.d;
}

/** Fills the places of the dirty list, so that it holds on to nobody. */
const NOBODY = null as unknown as TcpConnection;
