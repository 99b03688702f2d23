/**
 * The numbers and flags of a connection that take less room packed (`packed.ts`); the rest stands in `connection_state.ts`.
 *
 * @module
 */

import { packed, type PackedClass } from "./packed.ts";
import { RTO_BOUNDS, RTT_NUMBERS } from "./rtt.ts";

/** Numbers that are no small integers: times in µs, and totals. */
const NUMBERS = {
  ...RTT_NUMBERS,
  // Congestion and recovery.
  /** When data was sent last, in µs. */
  lastSent: -Infinity,
  /** When anything was sent last, in µs. */
  lastTransmit: -Infinity,
  /** When data was received last, in µs. */
  lastData: -Infinity,
  /** When `delivered` last grew, in µs. */
  deliveredAt: 0,
  /** When the first segment of the flight that is being sampled was sent, in µs. */
  firstSentAt: 0,
  /** The latest good sample of the delivery rate: segments, in µs. */
  deliverySegments: 0,
  deliveryInterval: 0,
  // RACK (RFC 8985).
  rackTime: -Infinity,
  rackRtt: Infinity,
  // Receiving.
  /** When the round trip began in which is counted what the application takes, in µs, and what it had taken by then. */
  tuneAt: 0,
  tuneTaken: 0,
  // Options in force.
  /** When `tsRecent` was set, in µs. */
  tsRecentAt: -Infinity,
  // Timers: what is due when, in µs; one timer in the wheel serves them all.
  sendTimerAt: Infinity,
  ackTimerAt: Infinity,
  keepAliveAt: Infinity,
  /** µs of silence before the first probe; 0 for none. */
  keepAliveIdle: 0,
  /** When a segment last came, in µs. */
  lastReceived: -Infinity,
  // Totals.
  /** Since when sending waits for `limit`, and how long it waited for the network in all, in µs. */
  limitSince: 0,
  networkTime: 0,
  bytesSent: 0,
  bytesAcked: 0,
  bytesReceived: 0,
};

/** Numbers that stay what they are for most connections. */
const RARE_NUMBERS = {
  ...RTO_BOUNDS,
  // Sending (RFC 9293, section 3.3.1).
  /** Most that `sendLimit` grows to. */
  sendMost: 0,
  // What waits, in pieces.
  urgentEnd: 0,
  // Congestion and recovery.
  /** SND.NXT when recovery began. */
  recoveryPoint: 0,
  priorCwnd: 0,
  prrDelivered: 0,
  prrOut: 0,
  /** Bytes a second that its owner bounds `pacingRate` to. */
  maxPacingRate: Infinity,
  /** Bytes a second at which data leaves; 0 for as fast as the window lets. */
  pacingRate: 0,
  /** Nothing leaves before, in µs, while there is a `pacingRate`. */
  nextSendAt: 0,
  /** Retransmissions in all, in segments. */
  retransmissions: 0,
  /** Time-outs in a row. */
  timeouts: 0,
  /** Doublings of the time-out; unlike `timeouts` they last until a round trip is measured (Karn; RFC 6298, 5.7). */
  doublings: 0,
  /** Those, and probes of a shut window, until it opens: what doubles the time between probes. */
  backoff: 0,
  /** Probes of a shut window that nobody answered. */
  unansweredProbes: 0,
  // What to go back to when a recovery turns out to be needless.
  /** SND.UNA when recovery began. */
  undoStart: 0,
  undoCwnd: 0,
  undoSsthresh: 0,
  /** Segments sent again in this recovery and not reported as duplicates; -1 when none was. */
  undoRetransmits: 0,
  /** Our timestamp of the first such retransmission. */
  undoStamp: 0,
  // RACK (RFC 8985).
  /** How often segments were seen to be overtaken. */
  reordering: 0,
  /** By how many segments, at most. */
  reorderDegree: 0,
  /** Quarters of the least round trip by which a segment may be late. */
  reorderSteps: 1,
  /** Recoveries until `reorderSteps` is reset. */
  reorderPersist: 0,
  /** SND.NXT when it was widened last; valid while `reorderPersist` is not 0. */
  reorderRound: 0,
  /** Highest sequence number that was selectively acknowledged. */
  fack: 0,
  /** SND.NXT when the tail loss probe was sent; valid while `probing`. */
  probeEnd: 0,
  // Receiving.
  /** Most that `receiveLimit` grows to. */
  receiveMost: 0,
  /** Where the data ends behind which a FIN has come too soon. */
  heldFinAt: 0,
  /** Segments before their turn that were told of at once, then those that wait as well; `sack_compression.ts`. */
  gapAcks: 0,
  /** The gap that they are behind, by RCV.NXT, or the turn in which they came, in µs. */
  gapAckAt: -Infinity,
  /** A duplicate segment to report (RFC 2883); nothing while both are equal. */
  dsackStart: 0,
  dsackEnd: 0,
  // Timers: what is due when, in µs; one timer in the wheel serves them all.
  /** TIME-WAIT, FIN-WAIT-2 of an orphan, SYN-RECEIVED. */
  lifeTimerAt: Infinity,
  /** The next quantum of a paced connection. */
  paceTimerAt: Infinity,
  keepAliveProbes: 0,
  /** When challenge ACKs may be sent again, in µs. */
  challengeAt: -Infinity,
  // What its owner has set for it alone.
  /** µs between keep-alive probes. */
  keepAliveInterval: 0,
  /** Keep-alive probes without an answer before it is given up. */
  keepAliveLimit: 0,
  /** µs that data may stay without an ACK before it is given up (RFC 5482); 0 for what the retries make. */
  userTimeout: 0,
  /** µs that it stays in FIN-WAIT-2 once its application has given it up; less than 0: it does not wait there. */
  finTimeout: 0,
  /** µs that it gets to hand over what was written once its application has given it up; 0 resets it at once. */
  linger: Infinity,
  /** Retransmissions of a SYN. */
  synRetries: 0,
  /** Largest segment, in bytes, that is offered and sent; 0 for what the path takes. */
  mssLimit: 0,
  /** Largest segment, in bytes, that our SYN offers; 0 for what the path takes. */
  offeredMss: 0,
  /** Bytes of the greatest window that is offered. */
  windowClamp: Infinity,
  /** Segments of the first window that is offered, at most. */
  firstWindowLimit: Infinity,
  /** Traffic class of its packets; the two low bits are the congestion notification's. */
  trafficClass: 0,
  /** Packets with a smaller hop limit are not the peer's (RFC 5082); 0 believes all. */
  leastHops: 0,
  /** Hop limit of its packets; 0 for the usual one. */
  hopLimit: 0,
  /** When something was sent again first since the last progress, in µs. */
  firstRetransmission: Infinity,
  // Totals.
  /** How long sending waited for the peer's window, and for the application, in µs. */
  windowTime: 0,
  bufferTime: 0,
  bytesRetransmitted: 0,
  /** Duplicates that the peer has reported. */
  duplicateSacks: 0,
  /** Segments that came before their turn. */
  outOfOrder: 0,
  /** Segments delivered by ACKs that echoed a congestion mark. */
  deliveredMarked: 0,
  /** Times that the retransmission timer expired, handshakes included. */
  totalTimeouts: 0,
  /** Rows of time-outs without progress between them, the µs they took, and when the one under way began (0: none). */
  timeoutRows: 0,
  timeoutTime: 0,
  timeoutAt: 0,
  /** The round trip as a receiver sees it, in µs; 0 before it is known (as Linux's rcv_rtt_est). */
  receiverRtt: 0,
  /** The timestamp echo of the last sample. */
  receiverRttEcho: 0,
  /** Without timestamps: when a window began to arrive, and where it ends. */
  receiverRttAt: 0,
  receiverRttEnd: 0,
  /** Most bytes that the application took in one such round trip, and when the one under way began, with what was taken by then. */
  receiveSpace: 0,
  receiveSpaceAt: 0,
  receiveSpaceTaken: 0,
};

/** What is or is not. */
const FLAGS = {
  // What the end of the turn has to do with it.
  /** In the layer's list. */
  dirty: false as const,
  /** An ACK is due at the end of the turn. */
  ackNow: false as const,
  /** The handler is to be offered waiting data. */
  offerDue: false as const,
  /** The handler took less than it was given. */
  paused: false as const,
  /** `finished` was called. */
  finishedTold: false as const,
  /** It waits for the device to have a free slot. */
  waiting: false as const,
  /** A SYN waits for a free slot. */
  synDue: false as const,
  /** `write` took less than it was given. */
  writeBlocked: false as const,
  /** The application has given it up with `close`. */
  orphan: false as const,
  /** Its owner wants nothing more of what the peer sends; data resets it once our FIN is out. */
  receiveShut: false as const,
  /** `closed` is to be called with `error`. */
  closeDue: false as const,
  /** What came before a reset stays readable after `closed`: its owner reads it. */
  keepUnread: false as const,
  /** `closed` was called. */
  closedTold: false as const,
  // Sending (RFC 9293, section 3.3.1).
  /** FIN follows the last byte written. */
  finQueued: false as const,
  /** FIN was sent at least once. */
  finSent: false as const,
  noDelay: false as const,
  /** The application has ended a record, at least once. */
  keepsRecords: false as const,
  // What waits, in pieces.
  /** Nothing less than a segment goes out until it is taken back (or the window timer expires). */
  corked: false as const,
  /** The same, until the next write or ACK: more is about to be written. */
  moreComing: false as const,
  /** Segments say where urgent data ends. */
  urgent: false as const,
  /** Less than a segment may go out, whatever else is asked for. */
  pushSmall: false as const,
  // Congestion and recovery.
  /** Outside of recovery: something was sacked, or sent again, and is not acknowledged. */
  disorder: false as const,
  /** After a time-out new data goes out first, to show what was lost (RFC 5682, section 2.1, step 2.b). */
  repairHeld: false as const,
  /** Nothing is sent again until the next ACK: the latest one was of a first copy. */
  repairPaused: false as const,
  /** The window was used up when the last segment was sent (RFC 7661). */
  cwndLimited: false as const,
  deliveryAppLimited: false as const,
  /** Nothing but that keeps data back. */
  paceHeld: false as const,
  // What to go back to when a recovery turns out to be needless.
  undoValid: false as const,
  /** Late news of first copies says that a time-out was spurious. */
  frto: false as const,
  /** Something was sent again since everything was last in order, or since a fast recovery began. */
  undoSent: false as const,
  // RACK (RFC 8985).
  /** Something was delivered since losses were looked for. */
  rackAdvanced: false as const,
  probing: false as const,
  /** The probe was data sent again, and not new data. */
  probeAgain: false as const,
  // Receiving.
  /** FIN was taken; RCV.NXT is past it. */
  finReceived: false as const,
  /** A FIN came before its turn, at the end of the data at `heldFinAt`. */
  heldFin: false as const,
  /** Requests and responses alternate: an ACK can ride on the response. */
  interactive: false as const,
  // Options in force.
  sackPermitted: false as const,
  timestamps: false as const,
  windowScaling: false as const,
  /** Explicit congestion notification was agreed on (RFC 3168): what we send may be marked. */
  ecn: false as const,
  /** Something came that could have been marked. */
  ecnSeen: false as const,
  /** A mark came in: every ACK says so until the peer says that it has reduced its window. */
  ecnEcho: false as const,
  /** The next new data says that the window was reduced. */
  cwrDue: false as const,
  halfOpen: false as const,
  /** The handshake's last ACK came, and its listener waits for data (TCP_DEFER_ACCEPT). */
  deferred: false as const,
  /** It counts as an orphan. */
  orphanCounted: false as const,
  /** We opened it. */
  active: false as const,
  // What its owner has set for it alone.
  /** Acknowledge everything at once, always. */
  promptAcks: false as const,
  /** Time-outs do not double while less than four segments are in flight (Linux's TCP_THIN_LINEAR_TIMEOUTS). */
  thinLinearTimeouts: false as const,
};

/** The class that has them. */
export const ConnectionFields: PackedClass<typeof NUMBERS, typeof RARE_NUMBERS, typeof FLAGS> = packed(
  NUMBERS,
  RARE_NUMBERS,
  FLAGS,
);
