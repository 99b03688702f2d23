/**
 * Segments that arrive for a connection (RFC 9293, section 3.10.7; RFC 5961; RFC 7323, section 5).
 *
 * @module
 */

import type { Bytes } from "../packet.ts";
import * as wire from "../wire/tcp.ts";
import { quickAck, sendAck } from "./acks.ts";
import { ecnAnswered } from "./accurate_ecn.ts";
import { State } from "./api.ts";
import { tuneSendBuffer } from "./buffer_tuning.ts";
import { tellConnected, tellWritable } from "./callbacks.ts";
import type { TcpConnection } from "./connection.ts";
import { DEFAULT_MSS } from "./connection_state.ts";
import { drop, enterTimeWait, orphaned } from "./ending.ts";
import { searchMtu } from "./mtu_probing.ts";
import { updateMss, widen } from "./segment_size.ts";
import { establish } from "./passive_open.ts";
import { inputData, reportDuplicate } from "./receive.ts";
import { endPending, synAnswered } from "./fast_open.ts";
import { acknowledge } from "./recovery.ts";
import { rejectSegment } from "./reset.ts";
import { SYN_RECORD } from "./sent.ts";
import { after, before } from "./sequence.ts";
import { sendSyn, writeSyn } from "./syn.ts";
import { armSendTimer, LEAST_TIMER, windowTold } from "./timers.ts";

/** A timestamp this old is no reason to refuse a segment (RFC 7323, section 5.5), in µs: 24 days. */
const PAWS_IDLE = 24 * 86_400_000_000;

/** Ticks by which a segment may be older than the newest: a retransmission overtakes what was reordered (as Linux). */
const PAWS_SLACK = 1;

/** Segments to acknowledge at once when the peer may be about to slow down. */
const FEW_QUICK_ACKS = 2;

const SYN_ACK = wire.SYN | wire.ACK;

/** One segment, as read from its header. One object serves every segment. */
export class Segment {
  sequence = 0;
  acknowledgment = 0;
  flags = 0;
  /** Window field, not scaled. */
  window = 0;
  /** The IP header's congestion bits: 3 is a mark (RFC 3168, section 5). */
  ecn = 0;
  /** Memory that holds the payload. */
  bytes: Bytes = new Uint8Array(0);
  /** First byte of payload. */
  offset = 0;
  /** Bytes of payload. */
  length = 0;
  /** Bytes of payload of each frame, for a super-frame; 0 otherwise. */
  frame = 0;
  readonly options: wire.TcpOptions = new wire.TcpOptions();
}

/** What the options of a SYN decide. */
export type SynOptions = Pick<
  wire.TcpOptions,
  "mss" | "windowScale" | "sackPermitted" | "timestamps" | "timestampValue"
>;

/** Takes the options of a SYN. */
export function takeSynOptions(c: TcpConnection, options: SynOptions, now: number): void {
  c.peerMss = options.mss === 0 ? DEFAULT_MSS : Math.max(options.mss, 64);
  if (c.mssLimit > 0) c.peerMss = Math.min(c.peerMss, c.mssLimit);
  const settings = c.tcp.settings;
  c.sackPermitted = options.sackPermitted && settings.sack;
  c.timestamps = options.timestamps && settings.timestamps;
  // A signature leaves no room for both; and who signs its SYN has offered none (as Linux).
  if (c.signatureKey !== null && (c.active || c.sackPermitted)) c.timestamps = false;
  if (c.timestamps) {
    c.tsRecent = options.timestampValue;
    c.tsRecentAt = now;
  }
  c.windowScaling = options.windowScale >= 0 && settings.windowScaling;
  if (c.windowScaling) {
    c.sndShift = options.windowScale;
  } else {
    c.sndShift = 0;
    c.rcvShift = 0;
    c.receiveMost = Math.min(c.receiveMost, 65535);
    c.receiveLimit = Math.min(c.receiveLimit, c.receiveMost);
  }
  wholeSegments(c);
  c.mssMtu = 0;
  // A server's first flight goes out as the path takes it (as Linux).
  if (settings.mtuProbing > 1 && c.active) searchMtu(c, now);
  updateMss(c);
}

/** The first buffer holds whole segments of ours, so that the window that follows the SYN's does (as Linux). */
function wholeSegments(c: TcpConnection): void {
  const { settings } = c.tcp;
  if (!settings.receiveAutoTuning || c.receiveLimit !== settings.receiveDefault >> 1) return;
  const options = !c.active && c.timestamps ? 12 : 0;
  const size = c.path.interface.mtu - c.path.headerLength - wire.HEADER_LENGTH - options;
  if (c.receiveLimit > size) c.receiveLimit -= c.receiveLimit % size;
}

/** Takes one segment of a connection that exists. */
export function input(c: TcpConnection, s: Segment, now: number): void {
  if (c.tracer === null) {
    inputSegment(c, s, now);
    return;
  }
  c.tracer.received(s, now);
  inputSegment(c, s, now);
  c.tracer?.changed(now);
}

function inputSegment(c: TcpConnection, s: Segment, now: number): void {
  c.lastReceived = now;
  c.segmentsIn += s.frame > 0 ? Math.max(1, Math.ceil(s.length / s.frame)) : 1;
  if (s.length > 0) c.dataSegmentsIn += s.frame > 0 ? Math.ceil(s.length / s.frame) : 1;
  if (c.keepAliveProbes > 0) {
    c.keepAliveProbes = 0;
    c.keepAliveAt = now + c.keepAlive;
    c.schedule();
  }
  if (c.state === State.SynSent) {
    inputSynSent(c, s, now);
    return;
  }
  const counters = c.tcp.counters;
  const options = s.options;
  if (c.state === State.SynReceived && s.sequence === c.irs && (s.flags & SYN_ACK) === SYN_ACK) {
    // Both opened at once: the SYN was taken before, only the ACK is news (RFC 9293, figure 7).
    s.sequence = s.sequence + 1 | 0;
    s.flags &= ~wire.SYN;
    // The window of a SYN is not scaled (RFC 7323, section 2.2).
    s.window >>= c.sndShift;
    // Its number came twice, which is acknowledged like data that did (RFC 2883).
    if (c.sackPermitted && c.tcp.settings.duplicateSack) {
      c.dsackStart = c.irs;
      c.dsackEnd = c.rcvNxt;
    }
    c.ackNow = true;
    c.tcp.markDirty(c);
  }
  if (
    c.state === State.SynReceived && !c.active && !c.passiveFastOpen &&
    (s.flags & (wire.ACK | wire.RST)) === wire.ACK && s.acknowledgment !== (c.iss + 1 | 0)
  ) {
    // Not of our SYN-ACK, wherever the segment lies (as Linux).
    counters.badAcks++;
    rejectSegment(c.tcp, c.path, c.localPort, c.remotePort, s, c.signatureKey);
    return;
  }
  const length = s.length + (s.flags & wire.SYN ? 1 : 0) + (s.flags & wire.FIN ? 1 : 0);

  // PAWS (RFC 7323, section 5.3).
  if (
    c.timestamps && options.timestamps && (options.timestampValue - c.tsRecent | 0) < -PAWS_SLACK &&
    !(s.flags & wire.RST) &&
    now - c.tsRecentAt < PAWS_IDLE
  ) {
    counters.pawsRejected++;
    reportDuplicate(c, s);
    answerUnacceptable(c, s, now);
    return;
  }

  // Is any of it in the window? (RFC 9293, section 3.10.7.4, first step.)
  const window = c.state === State.TimeWait ? 0 : Math.max(0, c.rcvAdv - c.rcvNxt | 0);
  const start = s.sequence - c.rcvNxt | 0;
  const end = start + length;
  // Without data the right edge itself will do: there are the ACKs of who has filled the window and lost some of it.
  // What ends where the last ACK did tells nothing new, but what it says of time is news (as Linux).
  const acceptable = length === 0 ? start >= 0 && start <= window : window > 0 && start < window &&
    (end > 0 || c.state >= State.Established && end === (c.lastAck - c.rcvNxt | 0)) &&
    (c.receiveMemory === null || s.length === 0 ||
      c.receiveMemory.fits(c, end - (s.flags & wire.FIN ? 1 : 0)));
  if (!acceptable) {
    if (s.flags & wire.RST) {
      counters.badResets++;
      return;
    }
    if (
      (c.state === State.SynReceived || c.passiveFastOpen) && s.flags & wire.SYN && s.sequence === c.irs
    ) {
      // The SYN again: our answer was lost.
      writeSyn(c);
      return;
    }
    if (c.state === State.TimeWait) {
      inputTimeWait(c, s, now);
      return;
    }
    counters.outOfWindow++;
    if (start < 0) reportDuplicate(c, s);
    // An ACK in an old segment (a keep-alive, a window probe, a retransmission) still counts.
    const useful = s.flags & wire.ACK && c.state >= State.Established && start <= 0 && window === 0 &&
      length > 0;
    if (useful && inputAck(c, s, now)) c.ackNow = true, c.tcp.markDirty(c);
    else answerUnacceptable(c, s, now);
    return;
  }

  if (s.flags & wire.RST) {
    // RFC 5961, section 3: only the exact number resets; that of the end of what was sacked is as good (as Linux).
    if (s.sequence !== c.rcvNxt && !endsSacked(c, s.sequence)) {
      counters.badResets++;
      challenge(c, now);
      return;
    }
    inputReset(c);
    return;
  }
  if (s.flags & wire.SYN) {
    // RFC 5961, section 4.
    counters.unexpectedSyns++;
    challenge(c, now);
    return;
  }
  if (!(s.flags & wire.ACK)) {
    counters.missingAck++;
    return;
  }
  if (c.state === State.SynReceived) {
    if (before(s.acknowledgment, c.sndUna) || after(s.acknowledgment, c.sndNxt)) {
      rejectSegment(c.tcp, c.path, c.localPort, c.remotePort, s, c.signatureKey);
      return;
    }
    if (!establish(c, s, now)) return;
  } else if (c.passiveFastOpen && after(s.acknowledgment, c.iss) && !after(s.acknowledgment, c.sndNxt)) {
    // Its application, or its peer, has closed it before the handshake was over.
    c.tcp.counters.passiveOpens++;
    endPending(c, false);
  }
  if (c.accurate !== null) c.accurate.received(c, s);
  else if (c.ecn) inputEcn(c, s);
  if (!inputAck(c, s, now)) return;
  if (c.state === State.TimeWait || (c.state as State) === State.Closed) return;
  if (s.length > 0 || s.flags & wire.FIN) inputData(c, s, now);
}

/** Whether `sequence` is where the out-of-order data ends, of which the peer was told. */
function endsSacked(c: TcpConnection, sequence: number): boolean {
  const a = c.assembler;
  return c.sackPermitted && a !== null && a.count > 0 && a.end(a.count - 1) === sequence;
}

/** Keeps what the congestion bits and CWR say (RFC 3168, section 6.1.3). */
function inputEcn(c: TcpConnection, s: Segment): void {
  if (s.flags & wire.CWR) {
    c.ecnEcho = false;
    // Its window may be so small that it has nothing more to send before this is acknowledged (as Linux).
    if (s.length > 0) {
      c.ackNow = true;
      c.tcp.markDirty(c);
    }
  }
  if (s.ecn === 0) {
    // It is probably sent again, and its sender waits (as Linux).
    if (c.ecnSeen && s.length > 0) quickAck(c, FEW_QUICK_ACKS);
    return;
  }
  c.ecnSeen = true;
  if (s.ecn !== 3) return;
  c.tcp.counters.receivedMarks++;
  if (!c.ecnEcho) {
    c.ecnEcho = true;
    quickAck(c, FEW_QUICK_ACKS);
    c.ackNow = true;
    c.tcp.markDirty(c);
  }
}

/** RFC 9293, section 3.10.7.3. */
function inputSynSent(c: TcpConnection, s: Segment, now: number): void {
  const acked = (s.flags & wire.ACK) !== 0;
  if (acked && (!after(s.acknowledgment, c.iss) || after(s.acknowledgment, c.sndNxt))) {
    c.tcp.counters.badAcks++;
    if (!(s.flags & wire.RST)) rejectSegment(c.tcp, c.path, c.localPort, c.remotePort, s, c.signatureKey);
    // The peer takes us for an earlier connection, of which the reset has freed it: the SYN goes out again soon (as Linux).
    if (c.timeouts === 0 && c.head >= 0) {
      c.sendTimerAt = now + LEAST_TIMER;
      c.schedule();
    }
    return;
  }
  if (s.flags & wire.RST) {
    if (acked) drop(c, c.failure("ConnectionRefused", "Connection refused"));
    else c.tcp.counters.badResets++;
    return;
  }
  if (!(s.flags & wire.SYN)) {
    c.tcp.counters.missingAck++;
    return;
  }
  c.irs = s.sequence;
  c.rcvNxt = s.sequence + 1 | 0;
  c.rcvAdv = c.rcvNxt + Math.min(c.receiveLimit, c.windowClamp, 65535) | 0;
  takeSynOptions(c, s.options, now);
  ecnAnswered(c, s, acked);
  c.sndWnd = s.window;
  c.maxSndWnd = s.window;
  c.sndWl1 = s.sequence;
  c.sndWl2 = s.acknowledgment;
  if (!acked) {
    // Both opened at once (RFC 9293, figure 8); ours may not even have left.
    if (c.head < 0) sendSyn(c, now);
    c.synDue = false;
    c.state = State.SynReceived;
    c.timeouts = 0;
    writeSyn(c);
    armSendTimer(c, now);
    return;
  }
  c.state = State.Established;
  acknowledge(c, s.acknowledgment, s.options, true, true, false, now);
  if (c.fastOpen !== null) synAnswered(c, s, now);
  // How the SYN-ACK came is said by an ACK alone, whatever follows (RFC 9768, section 3.2.2.1).
  if (c.accurate !== null) sendAck(c);
  else c.ackNow = true;
  tellConnected(c);
  c.tcp.markDirty(c);
  if (s.length > 0 || s.flags & wire.FIN) {
    s.sequence = c.rcvNxt;
    inputData(c, s, now);
  }
}

/** Only an old FIN, or the next connection's SYN (which the layer sorts out before), means something here. */
function inputTimeWait(c: TcpConnection, s: Segment, now: number): void {
  if (s.flags & wire.FIN) enterTimeWait(c);
  answerUnacceptable(c, s, now);
}

/** @returns False when the segment is not to be worked on further. */
function inputAck(c: TcpConnection, s: Segment, now: number): boolean {
  const ack = s.acknowledgment;
  // RFC 5961, section 5.2.
  if (after(ack, c.sndNxt)) {
    c.tcp.counters.badAcks++;
    challenge(c, now);
    return false;
  }
  // Nor is what lies further back than anything that was ever acknowledged.
  if (before(ack, c.sndUna - Math.min(c.maxSndWnd, c.bytesAcked) | 0)) {
    c.tcp.counters.badAcks++;
    challenge(c, now);
    return false;
  }
  // What waited for more has waited long enough.
  c.moreComing = false;
  const { options } = s;
  const data = s.length > 0 || (s.flags & (wire.SYN | wire.FIN)) !== 0;
  const old = before(ack, c.sndUna);
  // An old ACK tells an old window, which counts from an old edge (RFC 9293, section 3.10.7.4, fifth step).
  const changed = !old && updateWindow(c, s);
  if (old) {
    // Old news, but its SACK blocks may not be.
    if (s.options.sackBlocks > 0) {
      acknowledge(c, c.sndUna, s.options, true, changed, false, now);
      c.tcp.markDirty(c);
    }
    return true;
  }
  // The peer is there, whatever its window says.
  c.unansweredProbes = 0;
  const idle = c.head < 0;
  const told = c.accurate !== null && c.accurate.takeAck(c, s);
  // What it says of time is believed if it begins where the last ACK left off (RFC 7323, section 4.3).
  if (
    c.timestamps && options.timestamps && !after(s.sequence, c.lastAck) &&
    !before(options.timestampValue, c.tsRecent)
  ) {
    c.tsRecent = options.timestampValue;
    c.tsRecentAt = now;
  }
  if (ack !== c.sndUna || s.options.sackBlocks > 0 || c.head >= 0 || c.probing) {
    const queued = c.sendQueued;
    const marked = told || (c.ecn && c.accurate === null && (s.flags & wire.ECE) !== 0);
    acknowledge(c, ack, s.options, data, changed, marked, now);
    if (c.sendLimit < c.sendMost) tuneSendBuffer(c);
    if (c.sendQueued < queued && c.writeBlocked && c.sendLimit - c.sendQueued >= c.sendLimit >> 2) {
      c.writeBlocked = false;
      tellWritable(c);
    }
  }
  if (idle && c.head < 0) windowTold(c, now);
  if (c.sendQueued > 0 || c.finQueued || c.lostOut > 0) c.tcp.markDirty(c);
  if (c.finSent && c.head < 0) finAcknowledged(c);
  return c.state !== State.Closed;
}

/** Our FIN has arrived. */
function finAcknowledged(c: TcpConnection): void {
  switch (c.state) {
    case State.FinWait1:
      c.state = State.FinWait2;
      if (c.orphan) orphaned(c);
      return;
    case State.Closing:
      enterTimeWait(c);
      return;
    case State.LastAck:
      drop(c, null);
      return;
  }
}

/** @returns Whether the send window changed. */
function updateWindow(c: TcpConnection, s: Segment): boolean {
  const wl1 = s.sequence - c.sndWl1 | 0;
  const window = s.window << c.sndShift;
  // Of two segments that acknowledge the same, the one with the smaller window may be the older (as Linux).
  const newer = wl1 > 0 || after(s.acknowledgment, c.sndUna) ||
    (wl1 === 0 && !before(s.acknowledgment, c.sndWl2) && (window > c.sndWnd || window === 0));
  if (!newer) return false;
  c.sndWl1 = s.sequence;
  c.sndWl2 = s.acknowledgment;
  if (window === c.sndWnd) return false;
  const opened = window > c.sndWnd;
  c.sndWnd = window;
  if (window > c.maxSndWnd) widen(c, window);
  if (opened) c.tcp.markDirty(c);
  return true;
}

function inputReset(c: TcpConnection): void {
  c.tcp.counters.receivedResets++;
  switch (c.state) {
    case State.TimeWait:
      // RFC 1337: a reset does not end TIME-WAIT.
      return;
    case State.SynReceived:
      drop(
        c,
        c.passiveFastOpen
          ? c.failure("ConnectionReset", "Connection reset by peer")
          : c.listener === null
          ? c.failure("ConnectionRefused", "Connection refused")
          : null,
      );
      return;
    case State.LastAck:
    case State.Closing:
      drop(c, null);
      return;
    default:
      drop(c, c.failure("ConnectionReset", "Connection reset by peer"));
  }
}

/** Answers what RFC 9293 wants answered with an ACK, at a bounded rate when nothing new can come of it. */
function answerUnacceptable(c: TcpConnection, s: Segment, now: number): void {
  if (s.length > 0 || s.flags & (wire.FIN | wire.SYN)) {
    quickAck(c);
    if (s.flags & wire.SYN) challenge(c, now);
    else sendAck(c);
  } else {
    challenge(c, now);
  }
}

/** RFC 5961: tells an honest peer where we are, and a dishonest one nothing, at a bounded rate. */
export function challenge(c: TcpConnection, now: number): void {
  if (now < c.challengeAt) {
    c.tcp.counters.challengeAcksLimited++;
    return;
  }
  c.challengeAt = now + c.tcp.settings.invalidInterval;
  c.tcp.counters.challengeAcks++;
  sendAck(c);
}

/** Whether the SYN of this connection is still in flight. */
export function synInFlight(c: TcpConnection): boolean {
  return c.head >= 0 && (c.tcp.records.flags[c.head]! & SYN_RECORD) !== 0;
}
