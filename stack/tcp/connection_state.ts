/**
 * The state of one connection: everything that is kept of it, by subject.
 *
 * @module
 */

import type { StackError, StackErrorCode } from "../errors.ts";
import type { Path } from "../ip/path.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import type { ConnectionHandler } from "./api.ts";
import { State } from "./api.ts";
import type { Assembler } from "./assembler.ts";
import { type Congestion, INFINITE_SSTHRESH } from "./congestion.ts";
import type { TcpConnection } from "./connection.ts";
import type { AccurateEcn } from "./accurate_ecn.ts";
import { ConnectionFields } from "./connection_fields.ts";
import type { FastOpenState } from "./fast_open.ts";
import type { TcpListener } from "./listener.ts";
import type { MtuProbing } from "./mtu_probing.ts";
import type { ReceiveMemory } from "./receive_memory.ts";
import type { Ring } from "./ring.ts";
import type { SourceCounts } from "./source_counts.ts";
import type { Tracer } from "./trace.ts";
import type { Tcp } from "./tcp.ts";

/** Where loss recovery is. */
export enum Recovery {
  /** Nothing is missing. */
  Open,
  /** The peer has echoed a congestion mark; the window is being reduced (RFC 3168). */
  Reduced,
  /** Segments are missing and are being sent again; the window follows RFC 6937. */
  Fast,
  /** The retransmission timer expired. */
  Loss,
}

/** What the retransmission timer is set for. */
export enum SendTimer {
  None,
  /** RFC 6298. */
  Retransmit,
  /** Tail loss probe (RFC 8985, section 7). */
  Probe,
  /** RACK's reordering window (RFC 8985, section 6.2). */
  Reorder,
  /** Zero-window probe (RFC 9293, section 3.8.6.1). */
  Window,
}

/** What a sender with something to send waits for. */
export enum Limit {
  /** It has nothing to send. */
  None,
  /** The network, or the congestion window. */
  Network,
  /** The peer's window. */
  Window,
  /** The application, which waits for room in the send buffer. */
  Buffer,
}

/** Largest segment that is taken for granted before the peer says more (RFC 9293, section 3.7.1). */
export const DEFAULT_MSS = 536;
/** Segments acknowledged at once at the start of a connection. */
export const QUICK_ACKS = 16;

/** What a connection remembers. All of it is for the TCP layer. */
export abstract class ConnectionState extends ConnectionFields implements TimerOwner {
  readonly tcp: Tcp;
  handler: ConnectionHandler | null = null;
  user: unknown = null;
  state: State = State.Closed;
  /** How packets reach the peer. */
  path: Path;
  readonly localPort: number;
  readonly remotePort: number;
  /** Hash of addresses and ports, for the table. */
  readonly hash: number;
  /** The listener that waits for this connection to be established or taken. */
  listener: TcpListener | null = null;
  /** The next one in the listener's queue. */
  nextInQueue: TcpConnection | null = null;

  /** Why it ended. */
  error: StackError | null = null;

  // Sending (RFC 9293, section 3.3.1).
  iss = 0;
  sndUna = 0;
  sndNxt = 0;
  sndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  /** Greatest window the peer has offered, in bytes. */
  maxSndWnd = 0;
  /** The peer's window shift. */
  sndShift = 0;
  sendRing: Ring;
  /** Sequence number of the first byte in {@link sendRing}. */
  sendBase = 0;
  /** Bytes in {@link sendRing}. */
  sendQueued = 0;
  /** Most bytes in {@link sendRing}; grows to {@link sendMost} with the congestion window. */
  sendLimit: number;
  // What waits, in pieces.
  pieceHead = -1;
  pieceTail = -1;
  pieceCount = 0;
  /** Sequence number of the last piece's first byte. */
  pieceStart = 0;
  /** Up to where PSH was said, and before the latest write. */
  pushed = 0;
  pushedBefore = 0;
  /** Up to where Linux would have sent what was written in this turn. */
  sentIfPushed = 0;
  /** Bytes of payload of a full segment. */
  mss: number = DEFAULT_MSS;
  /** The same for what goes out now: what is told of SACK takes room (as Linux). */
  segmentSize: number = DEFAULT_MSS;
  /** What the peer said it takes. */
  peerMss: number = DEFAULT_MSS;
  /** {@link Path.mtu} from which {@link mss} was made. */
  mssMtu = 0;
  /** The search for the largest packet that gets through; null while the path's MTU is believed. */
  mtuProbing: MtuProbing | null = null;
  /** End of the last small segment (Nagle as Minshall has it). */
  smallEnd = 0;

  // In flight: records, oldest first, and their segments by kind.
  head = -1;
  tail = -1;
  /** Records from {@link head} to {@link tail}. */
  recordCount = 0;
  packetsOut = 0;
  sackedOut = 0;
  lostOut = 0;
  retransOut = 0;

  // Congestion and recovery.
  /** Decides the window; may be replaced at any time. */
  congestion: Congestion;
  cwnd: number;
  ssthresh: number = INFINITE_SSTHRESH;
  cwndCount = 0;
  recovery: Recovery = Recovery.Open;
  /** Most segments that were outstanding since {@link cwndUsageEnd} was set. */
  maxPacketsOut = 0;
  /** SND.NXT when {@link cwndLimited} was judged. */
  cwndUsageEnd = 0;
  /** Segments delivered in all. */
  delivered = 0;
  /** Segments held for lost in all. */
  lost = 0;
  /** {@link delivered} up to which samples tell of the application, not of the network; 0 for none. A SYN has no data behind it. */
  appLimitedUntil = 1;

  /** What routers have said of the path that ends no connection (RFC 1122, section 4.2.3.9); the reason of a time-out. */
  softError: StackErrorCode | null = null;

  // RACK (RFC 8985).
  rackEnd = 0;

  // Receiving.
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window that was offered. */
  rcvAdv = 0;
  /** Our window shift. */
  rcvShift = 0;
  /** ACK number sent last. */
  lastAck = 0;
  /** Decides about windows in place of what follows; null for those. */
  receiveMemory: ReceiveMemory | null = null;
  /** Bytes that may wait to be taken; grows to {@link receiveMost} with what is taken. */
  receiveLimit: number;
  receiveRing: Ring;
  /** In-order bytes in {@link receiveRing}. */
  readable = 0;
  /** Of these, bytes that the handler is looking at right now. */
  lent = 0;
  assembler: Assembler | null = null;
  /** Bytes received that no ACK has covered. */
  unacked = 0;
  /** Largest segment received. */
  rcvMss: number = DEFAULT_MSS;
  /** Length of the last short segment that ended nothing, in bytes. */
  lastFrame = 0;
  /** Short segments received since the last ACK. */
  smallSegments = 0;
  /** Segments to acknowledge at once still. */
  quickAcks: number = QUICK_ACKS;

  // Options in force.
  /** Accurate feedback of it (RFC 9768), asked for or agreed on; null for RFC 3168's. */
  accurate: AccurateEcn | null = null;
  tsOffset = 0;
  tsRecent = 0;

  /** Tells of what happens; null while nobody asks. */
  tracer: Tracer | null = null;
  /** Its listener counts it for its source, and as a handshake. */
  sources: SourceCounts | null = null;
  /** What its segments are signed with, both ways (RFC 2385); null where they are not. */
  signatureKey: Uint8Array<ArrayBuffer> | null = null;
  /** Data with the SYN (RFC 7413); null where neither side asked for it. */
  fastOpen: FastOpenState | null = null;

  /** One timer in the wheel for whatever is due. */
  readonly timer: Timer = new Timer(this);
  /** What `sendTimerAt` is for. */
  sendTimer: SendTimer = SendTimer.None;

  // Totals.
  /** What sending waits for. */
  limit: Limit = Limit.None;
  segmentsIn = 0;
  segmentsOut = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;

  /** @param tcp The layer. @param path To the peer. @param hash Of addresses and ports, as the table has it. */
  constructor(tcp: Tcp, path: Path, localPort: number, remotePort: number, hash: number) {
    super();
    this.tcp = tcp;
    this.path = path;
    this.localPort = localPort;
    this.remotePort = remotePort;
    this.hash = hash;
    const { settings } = tcp;
    this.cwnd = settings.initialWindow;
    // What the settings say is in the numbers that connections share: the next one finds it there.
    this.share(tcp.sharedNumbers);
    this.sendMost = settings.sendMaximum;
    this.receiveMost = settings.receiveMaximum >> 1;
    this.keepAliveInterval = settings.keepAliveInterval;
    this.keepAliveLimit = settings.keepAliveProbes;
    this.synRetries = settings.synRetries;
    this.reorderDegree = settings.reordering;
    this.finTimeout = settings.finTimeout;
    tcp.sharedNumbers = this.shared();
    this.sendLimit = Math.min(settings.sendDefault, this.sendMost);
    this.receiveLimit = settings.receiveAutoTuning
      ? Math.min(settings.receiveDefault >> 1, this.receiveMost)
      : this.receiveMost;
    this.congestion = tcp.makeCongestion();
    this.sendRing = tcp.pool.emptySend;
    this.receiveRing = tcp.pool.emptyReceive;
  }

  abstract expire(timer: Timer, now: number): void;
}
