/**
 * The TCP layer as an application sees it: callbacks without copies. `net/` builds its streams on this and
 * uses nothing else.
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { TcpInfo } from "./info.ts";
import type { StackError } from "../errors.ts";
import type { IpAddress } from "../ip/address.ts";
import type { Bytes } from "../packet.ts";
import type { TraceHandler } from "./trace.ts";
import type { SignatureKeys } from "./signatures.ts";
import type { SourceLimits } from "./source_counts.ts";

/** States of RFC 9293, section 3.3.2. */
export enum State {
  Closed,
  Listen,
  SynSent,
  SynReceived,
  Established,
  FinWait1,
  FinWait2,
  CloseWait,
  Closing,
  LastAck,
  TimeWait,
}

/** The callbacks of one connection. All are called from within `Stack.receive`, `poll` or `advance`, never nested. */
export interface ConnectionHandler {
  /** The handshake is complete (for connections made with `connect`; accepted ones are complete already). */
  connected(connection: Connection): void;
  /**
   * In-order data has come. `bytes[offset, offset + length)` is lent until this returns; it lies in the device's
   * slot or in the connection's receive ring.
   * @returns How many bytes were taken, 0 to `length`. What is not taken is kept (and closes the window as it
   *   fills); it is offered again only after {@link Connection.resume}, or can be fetched with
   *   {@link Connection.read}.
   */
  receive(connection: Connection, bytes: Bytes, offset: number, length: number): number;
  /** The peer has sent FIN, and everything before it was taken. */
  finished(connection: Connection): void;
  /** The send ring has room again after {@link Connection.write} took less than it was given. */
  writable(connection: Connection): void;
  /**
   * The last call for this connection; it is not known to the stack any more (or is left to TIME-WAIT).
   * @param error Why, or null after an orderly close in both directions.
   */
  closed(connection: Connection, error: StackError | null): void;
}

/** One TCP connection. */
export interface Connection {
  /**
   * Gets the callbacks. An accepted connection has none until its owner sets it; what happens meanwhile waits for
   * the next {@link resume}.
   */
  handler: ConnectionHandler | null;
  /** For the owner of the connection; the stack does not look at it. */
  user: unknown;
  /** Where it is in the state diagram. */
  readonly state: State;
  /** Our address. */
  readonly local: IpAddress;
  /** Our port. */
  readonly localPort: number;
  /** The peer's address. */
  readonly remote: IpAddress;
  /** The peer's port. */
  readonly remotePort: number;

  /** Bytes that {@link write} would take now. */
  readonly writeSpace: number;
  /** Bytes written that the peer has not acknowledged. */
  readonly unacknowledged: number;
  /** Bytes that {@link read} would give now. */
  readonly readable: number;

  /**
   * Copies data into the send ring. It is sent when the current batch of the event loop ends.
   * @returns How many bytes were taken, 0 to `length`; after less than `length`, {@link ConnectionHandler.writable}
   *   will be called. 0 as well when the connection can't send any more.
   */
  write(bytes: Bytes, offset: number, length: number): number;
  /** Copies data that waits in the receive ring. @returns Bytes copied, 0 to `length`. */
  read(target: Bytes, offset: number, length: number): number;
  /**
   * Offers waiting data to the handler again, at the end of this turn, until it takes less than it is given; a handler
   * that was set late hears of the end as well.
   */
  resume(): void;
  /** Sends FIN after everything written. Receiving goes on. Idempotent. */
  closeWrite(): void;
  /**
   * Gives the connection up: FIN after everything written; what the peer still sends is not wanted, and data
   * that was not read resets the connection (RFC 2525, section 2.17). {@link ConnectionHandler.closed} follows. Idempotent.
   */
  close(): void;
  /** Resets the connection: RST to the peer. `closed` is called with `ConnectionAborted`. */
  abort(): void;

  /** What the connection knows of itself, as Linux's `tcp_info` has it. */
  info(): TcpInfo;

  /**
   * Gives every event of the connection to a handler: state, segments, retransmissions and why, windows, recovery. Ends with
   * null. See {@link TraceEvent}; `Tcp.tracer` does so for new connections from their first segment on.
   */
  trace(handler: TraceHandler | null): void;

  /** Sends small segments at once instead of waiting for ACKs (RFC 9293, section 3.7.4). Off at first. */
  noDelay: boolean;
  /**
   * µs that {@link close} leaves to hand over what was written; then, and with 0 at once, the connection is reset.
   * Default: `Infinity`, until the peer has it or does not answer any more.
   */
  linger: number;
  /**
   * µs to wait for the peer's FIN after {@link close}, once it has ours (FIN-WAIT-2); less than 0: not at all.
   * Default: `TcpSettings.finTimeout`.
   */
  finTimeout: number;
  /** TTL or hop limit of its packets; 0, the default, for what the route says. */
  hopLimit: number;
  /** DSCP of its packets, in the upper six of eight bits; 0, the default, for what the route says. */
  trafficClass: number;
  /** Probes an idle peer (RFC 9293, section 3.8.4). µs of idleness before the first probe; 0, the default, is off. */
  keepAlive: number;
}

/** The callback of a listener. */
export interface ListenerHandler {
  /** A connection waits in {@link Listener.take}. Called once a connection. */
  ready(listener: Listener): void;
}

/** A passive open. */
export interface Listener {
  /** The address it listens on; unspecified for all. */
  readonly local: IpAddress;
  /** The port. */
  readonly port: number;
  /** The oldest established connection that nobody has taken, or null. */
  take(): Connection | null;
  /** Stops listening; connections that nobody took are reset. Idempotent. */
  close(): void;
}

/** What `Tcp.listen` takes. */
export interface ListenOptions {
  /** Listen on this address only. Default: on all of the stack. */
  address?: IpAddress;
  /** 1 to 65535; 0 picks a free one. */
  port: number;
  /** Most established connections that wait for {@link Listener.take}. Default 512. */
  backlog?: number;
  /** What one source address (an IPv4 address, the /64 of an IPv6 one) may have at a time. Default: no limit. */
  perSource?: SourceLimits;
  /**
   * µs for which a connection waits for the peer's first data before it is handed over; then it is without. For protocols
   * whose clients speak first. Counted in time-outs of the SYN-ACK, as with TCP_DEFER_ACCEPT. Default 0: it does not wait.
   */
  deferAccept?: number;
  /**
   * Most connections that are handed over with the data of their SYN before their handshake is over (RFC 7413): whoever
   * sends that SYN has shown before that its address is its own. The same SYN may arrive twice, and both copies
   * are handed over: take part only where a request does no harm when it is carried out twice. Default 0: none.
   */
  fastOpen?: number;
  /** TTL or hop limit of its connections' packets, 1 to 255. Default 0: what the route says. */
  hopLimit?: number;
  /** Drop what comes with a TTL or hop limit below: 255 wants neighbours alone (RFC 5082). Default 0: all are believed. */
  leastHops?: number;
  /** DSCP of its connections' packets, in the upper six of eight bits. Default 0: what the route says. */
  trafficClass?: number;
  /**
   * Keys of peers with whom every segment is signed (RFC 2385); what comes from them without a signature, or from others
   * with one, is dropped. The table may change while it listens; connections keep the key that they began with.
   */
  signatures?: SignatureKeys;
}

/** What `Tcp.connect` takes. */
export interface ConnectOptions {
  /** The peer's address. */
  address: IpAddress;
  /** The peer's port, 1 to 65535. */
  port: number;
  /** Our address. Default: the interface's that the route says. */
  localAddress?: IpAddress;
  /** Our port. Default: a free one (RFC 6056). */
  localPort?: number;
  /**
   * Send what is written before the turn ends with the SYN, where the server has given us a cookie before, and ask for
   * one where it has not (RFC 7413). "without-cookie" needs none: for servers that are known to want none. Default false.
   */
  fastOpen?: boolean | "without-cookie";
  /** TTL or hop limit of its packets, 1 to 255. Default 0: what the route says. */
  hopLimit?: number;
  /** Drop what comes with a TTL or hop limit below: 255 wants neighbours alone (RFC 5082). Default 0: all are believed. */
  leastHops?: number;
  /** DSCP of its packets, in the upper six of eight bits. Default 0: what the route says. */
  trafficClass?: number;
  /** Keys of peers with whom every segment is signed (RFC 2385): the connection is if it has one for its peer. */
  signatures?: SignatureKeys;
  /** The only interface to leave by: which link a link-local address is on, when there are several. */
  interface?: Interface;
}

/** The TCP layer's verbs. */
export interface TcpApi {
  /**
   * Listens for connections.
   * @throws {StackError} `AddressInUse`, `AddressNotAvailable`.
   * @throws {RangeError} A port out of range.
   */
  listen(options: ListenOptions, handler: ListenerHandler): Listener;
  /**
   * Starts an active open. The outcome is told by `connected` or `closed`.
   * @throws {StackError} `NetworkUnreachable`, `AddressInUse`, `AddressNotAvailable`, `TooMany`.
   * @throws {RangeError} A port out of range.
   */
  connect(options: ConnectOptions, handler: ConnectionHandler): Connection;
}
