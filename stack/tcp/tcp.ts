/**
 * The TCP layer: connections, listeners, and the end of a turn.
 *
 * @module
 */

import { StackError } from "../errors.ts";
import type { KeyedHash } from "../hash.ts";
import { IpAddress } from "../ip/address.ts";
import { IcmpError, type Transport } from "../ip/path.ts";
import { transportChecksumOk } from "../link/offload.ts";
import { GSO_NONE, type Packet, UNICAST } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { hopLimitOf } from "../udp/datagram.ts";
import * as wire from "../wire/tcp.ts";
import { askForEcn } from "./accurate_ecn.ts";
import {
  type Connection,
  type ConnectionHandler,
  type ConnectOptions,
  type Listener,
  type ListenerHandler,
  type ListenOptions,
  State,
  type TcpApi,
} from "./api.ts";
import { offerWaiting, tellClosed } from "./callbacks.ts";
import type { Congestion } from "./congestion.ts";
import { TcpConnection } from "./connection.ts";
import { SynCookies } from "./cookies.ts";
import { TcpCounters } from "./counters.ts";
import { drop, forget } from "./ending.ts";
import { FastOpen, FastOpenState } from "./fast_open.ts";
import { input, Segment } from "./input.ts";
import { DEFAULT_BACKLOG, deferRetries, TcpListener } from "./listener.ts";
import { freeListenPort, freePort, openNumbers } from "./numbers.ts";
import { output } from "./output.ts";
import { fromCookie, receiveSyn } from "./passive_open.ts";
import { tooBig } from "./loss_detection.ts";
import { softError } from "./soft_error.ts";
import { rejectSegment } from "./reset.ts";
import { RingPool } from "./ring.ts";
import { SentRecords } from "./sent.ts";
import { Pieces } from "./pieces.ts";
import { after } from "./sequence.ts";
import {
  DEFAULT_TCP_SETTINGS,
  FAST_OPEN_ALL_LISTENERS,
  FAST_OPEN_SERVER,
  makeCongestion,
  type TcpSettings,
} from "./settings.ts";
import { Signer } from "./signatures.ts";
import { SourceCounts } from "./source_counts.ts";
import type { TraceHandler } from "./trace.ts";
import { ConnectionTable } from "./table.ts";

/** Limits of the TCP layer. */
export interface TcpLimits {
  /** Most connections of all states. Default 1,048,576. */
  connections?: number;
  /** Most connections in TIME-WAIT; more are closed at once. Default 65,536. */
  timeWait?: number;
  /** Most transmissions of all connections that wait for their ACKs. Default 4,194,304. */
  transmissions?: number;
}

/** The TCP layer of a stack. */
export class Tcp implements TcpApi, Transport {
  /** The stack it belongs to. */
  readonly stack: Stack;
  /** What happened. */
  readonly counters: TcpCounters = new TcpCounters();
  /** What holds for all connections; may be changed at any time. */
  readonly settings: TcpSettings = { ...DEFAULT_TCP_SETTINGS };
  /** Asked for every new connection, before its first segment: who gets its events, or null for nobody. */
  tracer: ((connection: Connection) => TraceHandler | null) | null = null;
  /** Fast Open: keys and cookies (RFC 7413). */
  readonly fastOpen: FastOpen;
  /** @internal */
  readonly pool: RingPool = new RingPool();
  /** @internal */
  readonly records: SentRecords;
  /** @internal */
  readonly pieces: Pieces = new Pieces();
  /** @internal */
  readonly limits: Required<TcpLimits>;
  /** @internal */
  readonly table: ConnectionTable = new ConnectionTable();
  /** @internal By port. */
  readonly listeners: Map<number, TcpListener[]> = new Map<number, TcpListener[]>();
  /** @internal */
  readonly hash: KeyedHash;
  /** @internal */
  readonly cookies: SynCookies;
  /** @internal Numbers that new connections share, as the settings were when one was made last. */
  sharedNumbers: number[] | null = null;
  /** @internal */
  readonly signer: Signer = new Signer();
  /** @internal */
  portCounter = 0;
  /** @internal Connections that their applications have given up and that are still under way. */
  orphans = 0;
  /** @internal Connections in TIME-WAIT. */
  timeWaits = 0;
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
    this.limits = {
      connections: limits.connections ?? 1 << 20,
      timeWait: limits.timeWait ?? 1 << 16,
      transmissions: limits.transmissions ?? 1 << 22,
    };
    this.records = new SentRecords(this.limits.transmissions);
    const random = stack.random;
    this.hash = stack.hash;
    this.cookies = new SynCookies(stack.hash);
    this.fastOpen = new FastOpen(random);
    this.portCounter = random() >>> 16;
  }

  /** Connections in all states. */
  get size(): number {
    return this.table.size;
  }

  /** Whether connections that we open ask for congestion notification (RFC 3168); asked, we always agree. */
  get ecn(): boolean {
    const { ecn } = this.settings;
    return ecn === 1 || ecn === 3 || ecn === 4;
  }

  set ecn(ask: boolean) {
    this.settings.ecn = ask ? 1 : 2;
  }

  /** Calls `visit` with every connection. */
  forEach(visit: (connection: Connection) => void): void {
    this.table.forEach(visit);
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
    if (port === 0) port = freeListenPort(this);
    const others = this.listeners.get(port);
    for (const other of others ?? []) {
      if (other.local.isUnspecified || local.isUnspecified || other.local.equals(local)) {
        throw new StackError("AddressInUse", `Address already in use: TCP port ${port} on ${local}`);
      }
    }
    if (!local.isUnspecified && !this.stack.isLocal(local)) {
      throw new StackError("AddressNotAvailable", `Address is not one of this stack: ${local}`);
    }
    const listener = new TcpListener(this, local, port, Math.max(1, backlog), handler);
    if (options.perSource !== undefined) listener.sources = new SourceCounts(this.hash, options.perSource);
    listener.hopLimit = options.hopLimit ?? 0;
    listener.leastHops = options.leastHops ?? 0;
    listener.trafficClass = (options.trafficClass ?? 0) & 0xfc;
    listener.signatures = options.signatures ?? null;
    listener.deferRetries = deferRetries(options.deferAccept ?? 0);
    const { fastOpen } = this.settings;
    const everyone = FAST_OPEN_SERVER | FAST_OPEN_ALL_LISTENERS;
    listener.fastOpenLimit = options.fastOpen ?? ((fastOpen & everyone) === everyone ? listener.backlog : 0);
    if (others === undefined) this.listeners.set(port, [listener]);
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
    if (this.table.size >= this.limits.connections) {
      throw new StackError("TooMany", `Too many connections: the limit is ${this.limits.connections}`);
    }
    const ours = localPort ?? freePort(this, path, port);
    const hash = this.hash.flow(path.source, path.destination, ours << 16 | port);
    if (this.table.get(hash, path.source, ours, path.destination, port) !== null) {
      throw new StackError(
        "AddressInUse",
        `Address already in use: ${path.source}:${ours} to ${address}:${port}`,
      );
    }
    const c = new TcpConnection(this, path, ours, port, hash);
    c.handler = handler;
    askForEcn(c);
    c.active = true;
    c.signatureKey = options.signatures?.find(path.destination) ?? null;
    if (options.fastOpen !== undefined && options.fastOpen !== false) {
      c.fastOpen = new FastOpenState();
      c.fastOpen.noCookie = options.fastOpen === "without-cookie";
    }
    c.hopLimit = options.hopLimit ?? 0;
    c.leastHops = options.leastHops ?? 0;
    c.trafficClass = (options.trafficClass ?? 0) & 0xfc;
    prepare?.(c);
    // A signature leaves no room for a cookie.
    if (c.signatureKey !== null) c.fastOpen = null;
    this.traceNew(c);
    this.counters.activeOpens++;
    this.table.add(c);
    openNumbers(c);
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
    const hash = this.hash.packet(packet);
    const now = this.stack.now;
    const c = this.table.find(packet, hash, ports);
    if (c !== null && !(c.state === State.TimeWait && this.#reusable(c, s))) {
      if (this.#near(packet, c.leastHops) && this.#authentic(packet, s, c.signatureKey)) input(c, s, now);
      return;
    }
    this.#receiveUnknown(packet, s, ports, hash, now);
  }

  /** Whether a packet has come no further than its peer may be away (RFC 5082). @param least Its hop limit at least. */
  #near(packet: Packet, least: number): boolean {
    if (least === 0 || hopLimitOf(packet) >= least) return true;
    this.counters.tooFar++;
    return false;
  }

  /** Whether a segment is signed as its connection or listener wants it, or not at all where there is no key (RFC 2385). */
  #authentic(packet: Packet, s: Segment, key: Uint8Array | null): boolean {
    const { signed, signatureAt } = s.options;
    if (key === null) {
      if (!signed) return true;
      // Nobody has agreed to it here, and what it protects is not to be believed from others (as Linux).
      this.counters.unexpectedSignatures++;
      return false;
    }
    if (!signed) {
      this.counters.missingSignatures++;
      return false;
    }
    if (this.signer.verify(packet, s.offset - packet.transport, signatureAt, key)) return true;
    this.counters.badSignatures++;
    return false;
  }

  error(packet: Packet, kind: IcmpError, mtu: number): void {
    // The quoted packet is ours: its source is our side.
    const { view, offset } = packet;
    const ports = view.getInt32(offset);
    const version = packet.version === 4 ? 4 : 6;
    const local = IpAddress.read(version, view, packet.network + (version === 4 ? 12 : 8));
    const remote = IpAddress.read(version, view, packet.network + (version === 4 ? 16 : 24));
    const hash = this.hash.flow(local, remote, ports);
    const c = this.table.get(hash, local, ports >>> 16, remote, ports & 0xffff);
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
          drop(c, c.failure("ConnectionRefused", "Connection refused"));
          return;
        case IcmpError.HostUnreachable:
        case IcmpError.Prohibited:
        case IcmpError.TimeExceeded:
          drop(c, c.failure("HostUnreachable", "Host is unreachable"));
          return;
        case IcmpError.NetworkUnreachable:
          drop(c, c.failure("NetworkUnreachable", "Network is unreachable"));
          return;
      }
    }
    // Later ones are soft errors (RFC 1122, section 4.2.3.9); the next transmission follows the path's MTU.
    if (kind === IcmpError.PacketTooBig) {
      c.path.learnMtu(mtu);
      tooBig(c, sequence);
      this.markDirty(c);
    } else {
      softError(c, kind, sequence, this.stack.now);
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
      if (c.offerDue) offerWaiting(c);
      this.#send(c);
      if (c.closeDue) tellClosed(c);
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

  /** @internal Begins the trace of a connection, if somebody wants it. */
  traceNew(c: TcpConnection): void {
    if (this.tracer !== null) c.trace(this.tracer(c));
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

  #receiveUnknown(packet: Packet, s: Segment, ports: number, hash: number, now: number): void {
    const kind = s.flags & (wire.SYN | wire.ACK | wire.RST);
    const listener = this.#findListener(packet, ports & 0xffff);
    const keys = listener === null ? null : listener.signatures;
    const key = keys === null ? null : keys.find(sourceOf(packet));
    if (listener !== null && !this.#near(packet, listener.leastHops)) return;
    // Who signs what belongs to nothing gets no answer, for it could not believe one.
    if (!this.#authentic(packet, s, key)) return;
    if (listener !== null) {
      if (kind === wire.SYN) {
        if (s.flags & wire.FIN) {
          this.counters.synWithFin++;
          return;
        }
        receiveSyn(this, packet, listener, s, ports, hash, now);
        return;
      }
      if (kind === wire.ACK && now < listener.cookiesUntil) {
        const c = fromCookie(this, packet, listener, s, ports, hash, now);
        if (c !== null) {
          input(c, s, now);
          return;
        }
      }
    }
    this.counters.noConnection++;
    if (s.flags & wire.RST) return;
    const path = this.stack.pathBack(packet);
    if (path !== null) rejectSegment(this, path, ports & 0xffff, ports >>> 16, s, key);
  }

  /** Whether a SYN may start a new connection where an old one is in TIME-WAIT (RFC 9293, section 3.10.7.4; RFC 6191). */
  #reusable(c: TcpConnection, s: Segment): boolean {
    if ((s.flags & (wire.SYN | wire.ACK | wire.RST)) !== wire.SYN) return false;
    const newer = c.timestamps && s.options.timestamps
      ? after(s.options.timestampValue, c.tsRecent)
      : after(s.sequence, c.rcvNxt);
    if (!newer) return false;
    forget(c);
    return true;
  }

  #findListener(packet: Packet, port: number): TcpListener | null {
    const listeners = this.listeners.get(port);
    if (listeners === undefined) return null;
    let wildcard: TcpListener | null = null;
    for (let i = 0; i < listeners.length; i++) {
      const listener = listeners[i]!;
      if (listener.local.isUnspecified) wildcard = listener;
      else if (isDestination(packet, listener.local)) return listener;
    }
    return wildcard;
  }

  /** @internal Forgets a listener. */
  unlisten(listener: TcpListener): void {
    const others = this.listeners.get(listener.port)?.filter((other) => other !== listener) ?? [];
    if (others.length > 0) this.listeners.set(listener.port, others);
    else this.listeners.delete(listener.port);
  }
}

function sourceOf(packet: Packet): IpAddress {
  const v4 = packet.version === 4;
  return IpAddress.read(v4 ? 4 : 6, packet.view, packet.network + (v4 ? 12 : 8));
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
