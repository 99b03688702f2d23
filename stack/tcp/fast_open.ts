/**
 * TCP Fast Open (RFC 7413): data with the SYN, for clients and servers that have exchanged a cookie before.
 *
 * A client asks for a cookie with an ordinary SYN, and keeps it. Its next SYN to the same server carries the cookie
 * and data; the server hands both the connection and the data to its application before the handshake is over. Whatever
 * goes wrong leads to an ordinary handshake, after which the data is sent again.
 *
 * @module
 */

import type { Path } from "../ip/path.ts";
import type { TcpConnection } from "./connection.ts";
import { ClientCookies, CookieVerdict, ServerCookies } from "./fast_open_cookies.ts";
import type { Segment } from "./input.ts";
import type { TcpListener } from "./listener.ts";
import { sendLostAgain } from "./repair.ts";
import {
  FAST_OPEN_CLIENT,
  FAST_OPEN_CLIENT_NO_COOKIE,
  FAST_OPEN_SERVER,
  FAST_OPEN_SERVER_NO_COOKIE,
} from "./settings.ts";
import type { Tcp } from "./tcp.ts";

/** Bytes of options that may come to a SYN on its way: data leaves them room. */
const OPTION_SPACE = 40;
/** Times that the pause after a black hole doubles, at most. */
const MOST_DOUBLINGS = 6;
/** Asks for a cookie. */
const REQUEST: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/** Why data was not sent with a SYN, or not taken: Linux's `tcpi_fastopen_client_fail`. */
export enum FastOpenFailure {
  None,
  /** We had no cookie of the server. */
  NoCookie,
  /** The SYN-ACK covered the SYN alone. */
  NotAcknowledged,
  /** The SYN was sent again, without data. */
  SynRetransmitted,
}

/** What one connection knows of its Fast Open. */
export class FastOpenState {
  /** Goes with the next SYN or SYN-ACK that leaves: a cookie, or nothing to ask for one; null for no option. */
  option: Uint8Array<ArrayBuffer> | null = null;
  /** The option goes under the experiment's number. */
  experimental = false;
  /** Bytes of data that go with the next SYN that leaves. */
  synLength = 0;
  /** The SYN had the option. */
  asked = false;
  /** The SYN had data. */
  sentData = false;
  /** The other side's SYN, or ours, had data that was taken. */
  accepted = false;
  /** The data of the SYN goes without a cookie. */
  noCookie = false;
  /** A pause after a black hole had passed when it was opened: its success ends the caution. */
  checking = false;
  failure: FastOpenFailure = FastOpenFailure.None;
  /** A server's connection that waits for the handshake's last ACK. */
  pending = false;
  /** It was one. */
  early = false;
  /** The listener whose limit it counts for. */
  listener: TcpListener | null = null;
}

/** The Fast Open of a stack: keys, cookies, and caution. */
export class FastOpen {
  /** Those that we make. */
  readonly server: ServerCookies;
  /** Those that we were given. */
  readonly client: ClientCookies = new ClientCookies();
  #pausedAt = -Infinity;
  #pauses = 0;

  /** Takes a random key. @param random Gives 32-bit words of secret. */
  constructor(random: () => number) {
    this.server = new ServerCookies(random);
  }

  /** @internal Whether our own Fast Open pauses because of a black hole. */
  paused(pause: number, now: number): boolean {
    if (pause === 0 || this.#pauses === 0) return false;
    return now < this.#pausedAt + pause * 2 ** Math.min(this.#pauses - 1, MOST_DOUBLINGS);
  }

  /** @internal There was a pause, and no success since. */
  get cautious(): boolean {
    return this.#pauses > 0;
  }

  /** @internal Begins a pause. */
  pause(now: number): void {
    this.#pausedAt = now;
    this.#pauses++;
  }

  /** @internal It works: the next pause is a short one. */
  succeeded(): void {
    this.#pauses = 0;
  }
}

/**
 * Whether a connection to the path's destination could carry data in its SYN now.
 * @param noCookie It would go without a cookie.
 */
export function hasCookie(tcp: Tcp, path: Path, noCookie: boolean): boolean {
  const { settings, fastOpen } = tcp;
  if ((settings.fastOpen & FAST_OPEN_CLIENT) === 0) return false;
  if (fastOpen.paused(settings.fastOpenBlackHole, tcp.stack.now)) return false;
  if (noCookie || settings.fastOpen & FAST_OPEN_CLIENT_NO_COOKIE) return true;
  const memory = fastOpen.client.get(path.source, path.destination);
  return memory !== null && memory.cookie !== null;
}

/** Bytes of data that the SYN of a connection that is not open yet could carry; 0 without a cookie. */
export function synRoom(c: TcpConnection): number {
  const state = c.fastOpen;
  if (state === null || !hasCookie(c.tcp, c.path, state.noCookie)) return 0;
  const fits = c.path.mtu - c.path.headerLength - 20;
  const known = c.tcp.fastOpen.client.get(c.path.source, c.path.destination)?.mss ?? 0;
  const mss = Math.min(known > 0 ? known : fits, c.mssLimit > 0 ? c.mssLimit : fits, fits);
  return Math.max(0, mss - OPTION_SPACE);
}

/** Decides what the first SYN of an active open carries. */
export function prepareSyn(c: TcpConnection): void {
  const state = c.fastOpen!;
  const { tcp } = c;
  const { settings } = tcp;
  if ((settings.fastOpen & FAST_OPEN_CLIENT) === 0) return;
  if (tcp.fastOpen.paused(settings.fastOpenBlackHole, tcp.stack.now)) return;
  state.checking = settings.fastOpenBlackHole > 0 && tcp.fastOpen.cautious;
  const memory = tcp.fastOpen.client.get(c.path.source, c.path.destination);
  const room = synRoom(c);
  if (state.noCookie || settings.fastOpen & FAST_OPEN_CLIENT_NO_COOKIE) {
    state.option = null;
  } else if (memory !== null && memory.cookie !== null) {
    state.option = memory.cookie;
    state.experimental = memory.experimental;
  } else {
    state.failure = FastOpenFailure.NoCookie;
    state.option = REQUEST;
    state.experimental = memory?.tried === 1;
  }
  state.asked = state.option !== null;
  if (room > 0) {
    state.synLength = Math.min(c.sendQueued, room);
    state.sentData = state.synLength > 0;
  }
}

/** Learns from the SYN-ACK: its cookie, and whether it covers the data (RFC 7413, section 4.1.3). */
export function synAnswered(c: TcpConnection, s: Segment, now: number): void {
  const state = c.fastOpen!;
  const { counters } = c.tcp;
  const { options } = s;
  const cookie = state.asked ? options.fastOpen : -1;
  if (state.asked) {
    const memory = c.tcp.fastOpen.client.take(c.path.source, c.path.destination);
    if (options.mss > 0) memory.mss = options.mss;
    if (cookie > 0) {
      memory.cookie = options.cookie.slice(0, cookie);
      memory.experimental = options.fastOpenExperimental;
      memory.tried = 0;
    } else if (cookie < 0 && !state.sentData && c.retransmissions === 0 && memory.cookie === null) {
      memory.tried = state.experimental ? 2 : 1;
    }
  }
  if (!state.sentData) return;
  // Some of it, or all, was left out.
  if (c.head >= 0) {
    state.failure = c.retransmissions > 0
      ? FastOpenFailure.SynRetransmitted
      : FastOpenFailure.NotAcknowledged;
    counters.fastOpenActiveFailed++;
    sendLostAgain(c, now);
    return;
  }
  state.accepted = true;
  counters.fastOpenActive++;
  // The SYN and its data were one segment.
  if (c.delivered > 1) c.delivered--;
}

/** A time-out of a connection that asked for Fast Open: the third, or the last, tells of a black hole. */
export function noteTimeout(c: TcpConnection, last: boolean, now: number): void {
  const state = c.fastOpen!;
  if (!state.asked && !state.sentData) return;
  if (c.timeouts !== 3 && !(c.timeouts < 3 && last)) return;
  if (c.tcp.settings.fastOpenBlackHole === 0) return;
  c.tcp.fastOpen.pause(now);
  c.tcp.counters.fastOpenBlackHoles++;
}

/** A connection of ours ends: one that worked after a pause ends the caution; one of which only a FIN came through begins one. */
export function noteEnd(c: TcpConnection, now: number): void {
  const state = c.fastOpen!;
  if (!state.asked || c.tcp.settings.fastOpenBlackHole === 0) return;
  if (c.dataSegmentsIn === 0) {
    if (!c.heldFin) return;
    c.tcp.fastOpen.pause(now);
    c.tcp.counters.fastOpenBlackHoles++;
  } else if (state.checking && !c.path.local) {
    c.tcp.fastOpen.succeeded();
  }
}

/**
 * Judges a SYN for a listener (RFC 7413, section 4.2.1).
 * @returns What the connection has to know; null for an ordinary handshake. With `pending`, its data is to be taken.
 */
export function judgeSyn(
  tcp: Tcp,
  listener: TcpListener,
  path: Path,
  s: Segment,
  now: number,
): FastOpenState | null {
  const { counters, settings } = tcp;
  const { options } = s;
  if (s.length === 0 && options.fastOpen < 0) return null;
  if (options.fastOpen === 0) counters.fastOpenCookieRequests++;
  if ((settings.fastOpen & FAST_OPEN_SERVER) === 0 || listener.fastOpenLimit === 0) return null;
  if (!listener.fastOpenRoom(now)) {
    counters.fastOpenQueueFull++;
    return null;
  }
  const state = new FastOpenState();
  state.experimental = options.fastOpen >= 0 && options.fastOpenExperimental;
  const { server } = tcp.fastOpen;
  if (listener.fastOpenNoCookie || settings.fastOpen & FAST_OPEN_SERVER_NO_COOKIE) {
    state.pending = true;
  } else if (options.fastOpen > 0) {
    const verdict = server.judge(options, path.destination, path.source);
    state.pending = verdict !== CookieVerdict.Wrong;
    if (verdict === CookieVerdict.Old) counters.fastOpenOldKey++;
    if (verdict === CookieVerdict.Wrong) counters.fastOpenPassiveFailed++;
    if (verdict !== CookieVerdict.Right) state.option = server.make(path.destination, path.source);
  } else if (options.fastOpen === 0) {
    state.option = server.make(path.destination, path.source);
  } else {
    return null;
  }
  if (state.pending) {
    counters.fastOpenPassive++;
    state.accepted = s.length > 0;
    state.listener = listener;
    listener.fastOpenPending++;
  }
  return state;
}

/**
 * A server's connection waits no longer for the handshake's end.
 * @param reset The peer has reset it. One that its application has taken keeps its place for a while, so that SYNs
 *   with forged addresses can't make work at any rate (RFC 7413, section 5.1).
 */
export function endPending(c: TcpConnection, reset: boolean): void {
  const state = c.fastOpen!;
  const { listener } = state;
  state.pending = false;
  state.listener = null;
  if (listener === null) return;
  listener.fastOpenPending--;
  if (reset && c.listener === null && !listener.closed) listener.fastOpenReset(c.tcp.stack.now);
}
