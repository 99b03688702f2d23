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
import type { FastOpenState } from "./fast_open.ts";
import type { TcpListener } from "./listener.ts";
import type { MtuProbing } from "./mtu_probing.ts";
import type { ReceiveMemory } from "./receive_memory.ts";
import { Ring } from "./ring.ts";
import { RttEstimator } from "./rtt.ts";
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
export abstract class ConnectionState implements TimerOwner {
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

  // What the end of the turn has to do with it.
  /** In the layer's list. */
  dirty = false;
  /** An ACK is due at the end of the turn. */
  ackNow = false;
  /** The handler is to be offered waiting data. */
  offerDue = false;
  /** The handler took less than it was given. */
  paused = false;
  /** `finished` was called. */
  finishedTold = false;
  /** It waits for the device to have a free slot. */
  waiting = false;
  /** A SYN waits for a free slot. */
  synDue = false;
  /** {@link write} took less than it was given. */
  writeBlocked = false;
  /** The application has given it up with `close`. */
  orphan = false;
  /** Its owner wants nothing more of what the peer sends; data resets it once our FIN is out. */
  receiveShut = false;
  /** `closed` is to be called with {@link error}. */
  closeDue = false;
  /** What came before a reset stays readable after `closed`: its owner reads it. */
  keepUnread = false;
  /** `closed` was called. */
  closedTold = false;
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
  readonly sendRing: Ring;
  /** Sequence number of the first byte in {@link sendRing}. */
  sendBase = 0;
  /** Bytes in {@link sendRing}. */
  sendQueued = 0;
  /** Most bytes in {@link sendRing}; grows to {@link sendMost} with the congestion window. */
  sendLimit: number;
  sendMost: number;
  /** FIN follows the last byte written. */
  finQueued = false;
  /** FIN was sent at least once. */
  finSent = false;
  noDelay = false;
  /** The application has ended a record, at least once. */
  keepsRecords = false;
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
  /** Nothing less than a segment goes out until it is taken back (or the window timer expires). */
  corked = false;
  /** The same, until the next write or ACK: more is about to be written. */
  moreComing = false;
  /** Segments say where urgent data ends. */
  urgent = false;
  urgentEnd = 0;
  /** Less than a segment may go out, whatever else is asked for. */
  pushSmall = false;
  /** Bytes of payload of a full segment. */
  mss: number = DEFAULT_MSS;
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
  /** SND.NXT when recovery began. */
  recoveryPoint = 0;
  priorCwnd = 0;
  prrDelivered = 0;
  prrOut = 0;
  /** Outside of recovery: something was sacked, or sent again, and is not acknowledged. */
  disorder = false;
  /** After a time-out new data goes out first, to show what was lost (RFC 5682, section 2.1, step 2.b). */
  repairHeld = false;
  /** Nothing is sent again until the next ACK: the latest one was of a first copy. */
  repairPaused = false;
  /** The window was used up when the last segment was sent (RFC 7661). */
  cwndLimited = false;
  /** Most segments that were outstanding since {@link cwndUsageEnd} was set. */
  maxPacketsOut = 0;
  /** SND.NXT when {@link cwndLimited} was judged. */
  cwndUsageEnd = 0;
  /** When data was sent last, in µs. */
  lastSent: number = -Infinity;
  /** When anything was sent last, in µs. */
  lastTransmit: number = -Infinity;
  /** When data was received last, in µs. */
  lastData: number = -Infinity;
  /** Segments delivered in all. */
  delivered = 0;
  /** Segments held for lost in all. */
  lost = 0;
  /** When {@link delivered} last grew, in µs. */
  deliveredAt = 0;
  /** When the first segment of the flight that is being sampled was sent, in µs. */
  firstSentAt = 0;
  /** {@link delivered} up to which samples tell of the application, not of the network; 0 for none. A SYN has no data behind it. */
  appLimitedUntil = 1;
  /** The latest good sample of the delivery rate: segments, in µs. */
  deliverySegments = 0;
  deliveryInterval = 0;
  deliveryAppLimited = false;

  /** Bytes a second that its owner bounds {@link pacingRate} to. */
  maxPacingRate = Infinity;
  /** Bytes a second at which data leaves; 0 for as fast as the window lets. */
  pacingRate = 0;
  /** Nothing leaves before, in µs, while there is a {@link pacingRate}. */
  nextSendAt = 0;
  /** Nothing but that keeps data back. */
  paceHeld = false;
  /** Retransmissions in all, in segments. */
  retransmissions = 0;
  /** What routers have said of the path that ends no connection (RFC 1122, section 4.2.3.9); the reason of a time-out. */
  softError: StackErrorCode | null = null;
  /** Time-outs in a row. */
  timeouts = 0;
  /** Doublings of the time-out; unlike {@link timeouts} they last until a round trip is measured (Karn; RFC 6298, 5.7). */
  doublings = 0;
  /** Those, and probes of a shut window, until it opens: what doubles the time between probes. */
  backoff = 0;
  /** Probes of a shut window that nobody answered. */
  unansweredProbes = 0;
  readonly rtt: RttEstimator = new RttEstimator();

  // What to go back to when a recovery turns out to be needless.
  undoValid = false;
  /** Late news of first copies says that a time-out was spurious. */
  frto = false;
  /** SND.UNA when recovery began. */
  undoStart = 0;
  undoCwnd = 0;
  undoSsthresh = 0;
  /** Segments sent again in this recovery and not reported as duplicates; -1 when none was. */
  undoRetransmits = 0;
  /** Something was sent again since everything was last in order, or since a fast recovery began. */
  undoSent = false;
  /** Our timestamp of the first such retransmission. */
  undoStamp = 0;

  // RACK (RFC 8985).
  rackTime = -Infinity;
  rackEnd = 0;
  rackRtt = Infinity;
  /** How often segments were seen to be overtaken. */
  reordering = 0;
  /** By how many segments, at most. */
  reorderDegree: number;
  /** Something was delivered since losses were looked for. */
  rackAdvanced = false;
  /** Quarters of the least round trip by which a segment may be late. */
  reorderSteps = 1;
  /** Recoveries until {@link reorderSteps} is reset. */
  reorderPersist = 0;
  /** SND.NXT when it was widened last; valid while {@link reorderPersist} is not 0. */
  reorderRound = 0;
  /** Highest sequence number that was selectively acknowledged. */
  fack = 0;
  /** SND.NXT when the tail loss probe was sent; valid while {@link probing}. */
  probeEnd = 0;
  probing = false;
  /** The probe was data sent again, and not new data. */
  probeAgain = false;

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
  receiveMost: number;
  /** When the round trip began in which is counted what the application takes, in µs, and what it had taken by then. */
  tuneAt = 0;
  tuneTaken = 0;
  readonly receiveRing: Ring;
  /** In-order bytes in {@link receiveRing}. */
  readable = 0;
  /** Of these, bytes that the handler is looking at right now. */
  lent = 0;
  assembler: Assembler | null = null;
  /** FIN was taken; RCV.NXT is past it. */
  finReceived = false;
  /** A FIN came before its turn, at the end of the data at {@link heldFinAt}. */
  heldFin = false;
  heldFinAt = 0;
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
  /** Requests and responses alternate: an ACK can ride on the response. */
  interactive = false;
  /** Segments before their turn that were told of at once, then those that wait as well; `sack_compression.ts`. */
  gapAcks = 0;
  /** The gap that they are behind, by RCV.NXT, or the turn in which they came, in µs. */
  gapAckAt: number = -Infinity;
  /** A duplicate segment to report (RFC 2883); nothing while both are equal. */
  dsackStart = 0;
  dsackEnd = 0;

  // Options in force.
  sackPermitted = false;
  timestamps = false;
  windowScaling = false;
  /** Explicit congestion notification was agreed on (RFC 3168): what we send may be marked. */
  ecn = false;
  /** Accurate feedback of it (RFC 9768), asked for or agreed on; null for RFC 3168's. */
  accurate: AccurateEcn | null = null;
  /** Something came that could have been marked. */
  ecnSeen = false;
  /** A mark came in: every ACK says so until the peer says that it has reduced its window. */
  ecnEcho = false;
  /** The next new data says that the window was reduced. */
  cwrDue = false;
  tsOffset = 0;
  tsRecent = 0;
  /** When {@link tsRecent} was set, in µs. */
  tsRecentAt: number = -Infinity;

  /** Tells of what happens; null while nobody asks. */
  tracer: Tracer | null = null;
  /** Its listener counts it for its source, and as a handshake. */
  sources: SourceCounts | null = null;
  halfOpen = false;
  /** The handshake's last ACK came, and its listener waits for data (TCP_DEFER_ACCEPT). */
  deferred = false;
  /** It counts as an orphan. */
  orphanCounted = false;
  /** We opened it. */
  active = false;
  /** What its segments are signed with, both ways (RFC 2385); null where they are not. */
  signatureKey: Uint8Array<ArrayBuffer> | null = null;
  /** Data with the SYN (RFC 7413); null where neither side asked for it. */
  fastOpen: FastOpenState | null = null;

  // Timers: what is due when, in µs; one timer in the wheel serves them all.
  readonly timer: Timer = new Timer(this);
  sendTimer: SendTimer = SendTimer.None;
  sendTimerAt: number = Infinity;
  ackTimerAt: number = Infinity;
  /** TIME-WAIT, FIN-WAIT-2 of an orphan, SYN-RECEIVED. */
  lifeTimerAt: number = Infinity;
  keepAliveAt: number = Infinity;
  /** The next quantum of a paced connection. */
  paceTimerAt: number = Infinity;
  keepAliveProbes = 0;
  /** When a segment last came, in µs. */
  lastReceived: number = -Infinity;
  /** When challenge ACKs may be sent again, in µs. */
  challengeAt: number = -Infinity;

  // What its owner has set for it alone.
  /** µs between keep-alive probes. */
  keepAliveInterval: number;
  /** Keep-alive probes without an answer before it is given up. */
  keepAliveLimit: number;
  /** µs that data may stay without an ACK before it is given up (RFC 5482); 0 for what the retries make. */
  userTimeout = 0;
  /** µs that it stays in FIN-WAIT-2 once its application has given it up; less than 0: it does not wait there. */
  finTimeout: number;
  /** µs that it gets to hand over what was written once its application has given it up; 0 resets it at once. */
  linger = Infinity;
  /** Retransmissions of a SYN. */
  synRetries: number;
  /** Largest segment, in bytes, that is offered and sent; 0 for what the path takes. */
  mssLimit = 0;
  /** Largest segment, in bytes, that our SYN offers; 0 for what the path takes. */
  offeredMss = 0;
  /** Bytes of the greatest window that is offered. */
  windowClamp = Infinity;
  /** Segments of the first window that is offered, at most. */
  firstWindowLimit = Infinity;
  /** Acknowledge everything at once, always. */
  promptAcks = false;
  /** Time-outs do not double while less than four segments are in flight (Linux's TCP_THIN_LINEAR_TIMEOUTS). */
  thinLinearTimeouts = false;
  /** Traffic class of its packets; the two low bits are the congestion notification's. */
  trafficClass = 0;
  /** Packets with a smaller hop limit are not the peer's (RFC 5082); 0 believes all. */
  leastHops = 0;
  /** Hop limit of its packets; 0 for the usual one. */
  hopLimit = 0;
  /** When something was sent again first since the last progress, in µs. */
  firstRetransmission: number = Infinity;

  // Totals.
  /** What sending waits for, since when, and how long it did so in all, in µs by {@link Limit}. */
  limit: Limit = Limit.None;
  limitSince = 0;
  readonly limitTimes: number[] = [0, 0, 0, 0];
  bytesSent = 0;
  bytesAcked = 0;
  bytesReceived = 0;
  bytesRetransmitted = 0;
  segmentsIn = 0;
  segmentsOut = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;
  /** Duplicates that the peer has reported. */
  duplicateSacks = 0;
  /** Segments that came before their turn. */
  outOfOrder = 0;
  /** Segments delivered by ACKs that echoed a congestion mark. */
  deliveredMarked = 0;
  /** Times that the retransmission timer expired, handshakes included. */
  totalTimeouts = 0;
  /** Rows of time-outs without progress between them, the µs they took, and when the one under way began (0: none). */
  timeoutRows = 0;
  timeoutTime = 0;
  timeoutAt = 0;
  /** The round trip as a receiver sees it, in µs; 0 before it is known (as Linux's rcv_rtt_est). */
  receiverRtt = 0;
  /** The timestamp echo of the last sample. */
  receiverRttEcho = 0;
  /** Without timestamps: when a window began to arrive, and where it ends. */
  receiverRttAt = 0;
  receiverRttEnd = 0;
  /** Most bytes that the application took in one such round trip, and when the one under way began, with what was taken by then. */
  receiveSpace = 0;
  receiveSpaceAt = 0;
  receiveSpaceTaken = 0;

  /** @param tcp The layer. @param path To the peer. @param hash Of addresses and ports, as the table has it. */
  constructor(tcp: Tcp, path: Path, localPort: number, remotePort: number, hash: number) {
    this.tcp = tcp;
    this.path = path;
    this.localPort = localPort;
    this.remotePort = remotePort;
    this.hash = hash;
    const { settings } = tcp;
    this.cwnd = settings.initialWindow;
    this.sendMost = settings.sendMaximum;
    this.receiveMost = settings.receiveMaximum >> 1;
    this.sendLimit = Math.min(settings.sendDefault, this.sendMost);
    this.receiveLimit = settings.receiveAutoTuning
      ? Math.min(settings.receiveDefault >> 1, this.receiveMost)
      : this.receiveMost;
    this.keepAliveInterval = settings.keepAliveInterval;
    this.keepAliveLimit = settings.keepAliveProbes;
    this.synRetries = settings.synRetries;
    this.reorderDegree = settings.reordering;
    this.finTimeout = settings.finTimeout;
    this.congestion = tcp.makeCongestion();
    this.sendRing = new Ring(tcp.pool, true);
    this.receiveRing = new Ring(tcp.pool);
  }

  abstract expire(timer: Timer, now: number): void;
}
