/**
 * Passive opens: from a SYN, or the ACK of a cookie, to an established connection (RFC 9293, section 3.10.7.2).
 *
 * @module
 */

import type { Path } from "../ip/path.ts";
import type { Packet } from "../packet.ts";
import { trafficClassOf } from "../udp/datagram.ts";
import * as wire from "../wire/tcp.ts";
import { State } from "./api.ts";
import { agreeToEcn } from "./accurate_ecn.ts";
import { tellConnected } from "./callbacks.ts";
import { TcpConnection } from "./connection.ts";
import { stampedEcn, stampedSack, stampedWindowScale, stampOptions } from "./cookies.ts";
import { drop } from "./ending.ts";
import { endPending, judgeSyn, synAnswered } from "./fast_open.ts";
import { type Segment, synInFlight, takeSynOptions } from "./input.ts";
import { COOKIE_TIME, DEFAULT_HALF_OPEN, type TcpListener } from "./listener.ts";
import { openNumbers } from "./numbers.ts";
import { timestamp } from "./output.ts";
import { searchMtu } from "./mtu_probing.ts";
import { updateMss, widen } from "./segment_size.ts";
import { inputData } from "./receive.ts";
import { acknowledge } from "./recovery.ts";
import { rejectSegment } from "./reset.ts";
import { sendSyn, writeSyn } from "./syn.ts";
import type { Tcp } from "./tcp.ts";

/** What a SYN that asks for explicit congestion notification carries (RFC 3168, section 6.1.1). */
const ECN_SETUP = wire.ECE | wire.CWR;

/** A SYN for a listener: a connection in SYN-RECEIVED, a cookie, or nothing at a limit. */
export function receiveSyn(
  tcp: Tcp,
  packet: Packet,
  listener: TcpListener,
  s: Segment,
  ports: number,
  hash: number,
  now: number,
): void {
  if (listener.queued >= listener.backlog) {
    tcp.counters.acceptQueueFull++;
    return;
  }
  if (tcp.table.size >= tcp.limits.connections) {
    tcp.counters.tooManyConnections++;
    return;
  }
  const path = tcp.stack.pathBack(packet);
  if (path === null) {
    tcp.counters.noRoute++;
    return;
  }
  const { sources } = listener;
  if (sources !== null && !sources.hasRoom(path.destination)) {
    tcp.counters.tooManyFromSource++;
    return;
  }
  const crowded = sources !== null && !sources.hasHalfOpenRoom(path.destination);
  if (crowded) tcp.counters.halfOpenFromSource++;
  const full = crowded || listener.halfOpen >= DEFAULT_HALF_OPEN;
  const { synCookies } = tcp.settings;
  if (full && synCookies === 0) {
    tcp.counters.halfOpenFull++;
    return;
  }
  if (full || synCookies === 2) {
    sendCookie(tcp, path, listener, s, ports, now);
    return;
  }
  const c = passive(tcp, path, listener, s, ports, hash);
  if (tcp.settings.reflectTrafficClass) c.trafficClass = trafficClassOf(packet) & 0xfc;
  openNumbers(c);
  takeSynOptions(c, s.options, now);
  agreeToEcn(c, s);
  c.sndWl2 = c.iss;
  enterHalfOpen(c);
  tcp.traceNew(c);
  c.tracer?.received(s, now);
  c.segmentsIn = 1;
  // A signature leaves no room for a cookie.
  c.fastOpen = c.signatureKey === null ? judgeSyn(tcp, listener, path, s, now) : null;
  tcp.table.add(c);
  if (c.passiveFastOpen) {
    acceptSynData(c, s, now);
    return;
  }
  sendSyn(c, now);
}

/** Takes the data of a SYN, and hands the connection over before the handshake's end (RFC 7413, section 4.2.1). */
function acceptSynData(c: TcpConnection, s: Segment, now: number): void {
  const listener = c.listener!;
  c.fastOpen!.early = true;
  leaveHalfOpen(c);
  c.rcvAdv = c.rcvNxt + Math.min(c.receiveLimit, c.windowClamp, 65535) | 0;
  s.sequence = c.rcvNxt;
  s.flags &= ~wire.SYN;
  if (s.length > 0) c.dataSegmentsIn = 1;
  if (s.length > 0 || s.flags & wire.FIN) inputData(c, s, now);
  // The answer to it does not tell that ACKs should wait for answers (as Linux).
  c.lastData = -Infinity;
  // The SYN-ACK covers it all.
  c.ackTimerAt = Infinity;
  c.unacked = c.smallSegments = 0;
  sendSyn(c, now);
  if (c.state === State.Closed) return;
  listener.push(c);
  listener.announce();
}

/** Counts a connection for its listener and its source. */
function enterHalfOpen(c: TcpConnection): void {
  const listener = c.listener!;
  listener.halfOpen++;
  c.halfOpen = true;
  c.sources = listener.sources;
  c.sources?.add(c.path.destination);
}

/** The handshake of a passive open is over, one way or the other. */
export function leaveHalfOpen(c: TcpConnection): void {
  if (!c.halfOpen) return;
  c.halfOpen = false;
  if (c.listener !== null) c.listener.halfOpen--;
  c.sources?.established(c.path.destination);
}

/** The connection counts no longer for its source. */
export function leaveSource(c: TcpConnection): void {
  c.sources?.remove(c.path.destination, c.halfOpen);
  c.sources = null;
}

/** A connection in SYN-RECEIVED, as a SYN (or the ACK of a cookie) asks for it. */
function passive(
  tcp: Tcp,
  path: Path,
  listener: TcpListener,
  s: Segment,
  ports: number,
  hash: number,
): TcpConnection {
  const c = new TcpConnection(tcp, path, ports & 0xffff, ports >>> 16, hash);
  c.listener = listener;
  c.state = State.SynReceived;
  c.irs = s.sequence;
  c.rcvNxt = c.lastAck = c.rcvAdv = s.sequence + 1 | 0;
  c.sndWnd = c.maxSndWnd = s.window;
  c.sndWl1 = s.sequence;
  c.hopLimit = listener.hopLimit;
  c.trafficClass = listener.trafficClass;
  c.leastHops = listener.leastHops;
  c.signatureKey = listener.signatures?.find(path.destination) ?? null;
  listener.prepare?.(c);
  return c;
}

/** Answers a SYN without keeping anything of it. */
function sendCookie(
  tcp: Tcp,
  path: Path,
  listener: TcpListener,
  s: Segment,
  ports: number,
  now: number,
): void {
  const ours = ports << 16 | ports >>> 16;
  const { options } = s;
  listener.cookiesUntil = now + COOKIE_TIME;
  tcp.counters.sentCookies++;
  // A connection that lives for this one answer: it is in no table and has no timer.
  const c = passive(tcp, path, listener, s, ports, 0);
  openNumbers(c);
  takeSynOptions(c, options, now);
  c.ecn = tcp.settings.ecn !== 0 && c.timestamps && s.ecn === 0 &&
    (s.flags & ECN_SETUP) === ECN_SETUP;
  // What the numbers can't remember is not agreed on.
  if (!c.timestamps) {
    c.sackPermitted = c.windowScaling = false;
  }
  c.iss = tcp.cookies.make(path.source, path.destination, ours, s.sequence, c.peerMss, now);
  if (c.timestamps) {
    const clock = timestamp(c);
    const scale = c.windowScaling ? c.sndShift : -1;
    c.tsOffset = c.tsOffset + (stampOptions(clock, scale, c.sackPermitted, c.ecn) - clock) | 0;
  }
  writeSyn(c);
}

/** @returns The connection that an ACK of a cookie stands for, in the table; null when it is none of ours. */
export function fromCookie(
  tcp: Tcp,
  packet: Packet,
  listener: TcpListener,
  s: Segment,
  ports: number,
  hash: number,
  now: number,
): TcpConnection | null {
  const path = tcp.stack.pathBack(packet);
  if (path === null || tcp.table.size >= tcp.limits.connections) return null;
  if (listener.sources !== null && !listener.sources.hasRoom(path.destination)) {
    tcp.counters.tooManyFromSource++;
    return null;
  }
  const ours = ports << 16 | ports >>> 16;
  const iss = s.acknowledgment - 1 | 0;
  const mss = tcp.cookies.read(path.source, path.destination, ours, s.sequence - 1 | 0, iss, now);
  if (mss === 0) {
    tcp.counters.badCookies++;
    return null;
  }
  tcp.counters.acceptedCookies++;
  const c = passive(tcp, path, listener, s, ports, hash);
  const { options } = s;
  const stamped = options.timestamps;
  c.irs = s.sequence - 1 | 0;
  c.rcvNxt = c.lastAck = c.rcvAdv = s.sequence;
  openNumbers(c);
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
    c.pushed =
    c.sentIfPushed =
    c.sndWl2 =
      s.acknowledgment;
  c.rcvAdv = c.rcvNxt + Math.min(c.receiveLimit, c.windowClamp, 65535) | 0;
  enterHalfOpen(c);
  tcp.table.add(c);
  tcp.traceNew(c);
  return c;
}

/** Whether a listener that wants data first waits on: the ACK has none, and the time for it is not over. */
function defers(c: TcpConnection, listener: TcpListener, s: Segment): boolean {
  if (c.timeouts >= listener.deferRetries || c.passiveFastOpen) return false;
  if (s.length > 0 || s.flags & wire.FIN || s.sequence !== (c.irs + 1 | 0)) return false;
  c.deferred = true;
  c.tcp.counters.deferredAccepts++;
  return true;
}

/** The handshake's last ACK has come. @returns False when the listener has no room. */
export function establish(c: TcpConnection, s: Segment, now: number): boolean {
  const { tcp } = c;
  const listener = c.listener;
  if (listener !== null && listener.queued >= listener.backlog && !c.passiveFastOpen) {
    // As if it had been lost: our SYN-ACK, sent again, brings another.
    tcp.counters.acceptQueueFull++;
    if (tcp.settings.abortOnOverflow) {
      rejectSegment(tcp, c.path, c.localPort, c.remotePort, s, c.signatureKey);
      drop(c, null);
    }
    return false;
  }
  if (listener !== null && defers(c, listener, s)) return false;
  c.state = State.Established;
  c.sndWnd = s.window << c.sndShift;
  // What the SYN said was not scaled.
  widen(c, c.sndWnd);
  c.sndWl1 = s.sequence;
  c.sndWl2 = s.acknowledgment;
  if (tcp.settings.mtuProbing > 1 && !c.active) {
    updateMss(c);
    searchMtu(c, now);
  }
  if (synInFlight(c)) acknowledge(c, s.acknowledgment, s.options, true, true, false, now);
  if (c.fastOpen !== null && listener === null && !c.passiveFastOpen) synAnswered(c, s, now);
  if (c.passiveFastOpen) {
    tcp.counters.passiveOpens++;
    endPending(c, false);
    return true;
  }
  if (listener === null) {
    tellConnected(c);
    return true;
  }
  tcp.counters.passiveOpens++;
  leaveHalfOpen(c);
  if (listener.closed) {
    // As if there had never been one.
    c.listener = null;
    rejectSegment(tcp, c.path, c.localPort, c.remotePort, s, c.signatureKey);
    drop(c, null);
    return false;
  }
  listener.push(c);
  listener.announce();
  return (c.state as State) !== State.Closed;
}
