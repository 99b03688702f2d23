/**
 * The receive buffer as Linux has it: memory behind segments, not bytes, decides about windows. A script's packets come
 * through a TUN device, which decides how much memory each takes.
 *
 * @module
 */

import { State } from "../../../stack/tcp/api.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import type { ReceiveMemory } from "../../../stack/tcp/receive_memory.ts";
import * as wire from "../../../stack/wire/tcp.ts";

/** Bytes that Linux needs for a packet: in front of it, behind its bytes, and for what describes it. */
const PAD = 64, SHARED = 320, DESCRIPTION = 256;
/** Bytes of the blocks that the bytes of a packet lie in, up to a page. */
const BLOCKS = [576, 1024, 2048, 4096];
const PAGE = 4096, CACHE_LINE = 64;
/** A window is memory × ratio / 256. */
const RATIO_BITS = 8, FIRST_RATIO = 128;
/** Segments that begin a connection (RFC 6928). */
const FIRST_SEGMENTS = 10;
/** Bytes to which TCP_WINDOW_CLAMP bounds a window at least. */
const LEAST_CLAMP = 1152;
/** The window field, and the largest shift. */
const FIELD = 65535, MOST_SHIFT = 14;
/** Bytes of payload from which a segment tells whether the window may grow. */
const TELLING = 128;
/** Segments that are acknowledged at once at first: at most, and where the window is tiny. */
const QUICK = 16, FEW_QUICK = 2;

/** What decides about a buffer, from outside. */
export interface ReceiveBuffer {
  /** Bytes of memory, and to which it may grow. */
  bytes: number;
  most: number;
  /** It was set by SO_RCVBUF, and stays. */
  fixed: boolean;
  /** Bytes that any socket may ask for (net.core.rmem_max). */
  anybody: number;
  /** Whether it grows with what is read (tcp_moderate_rcvbuf). */
  grows: boolean;
  /** Windows may shrink (tcp_shrink_window). */
  shrinks: boolean;
}

/** Memory of one packet, and bytes that still fit behind its payload. */
function memoryOf(packet: number): { memory: number; room: number } {
  const head = Math.ceil((PAD + packet) / CACHE_LINE) * CACHE_LINE + SHARED;
  const block = BLOCKS.find((size) => head <= size);
  if (block === undefined) {
    return { memory: Math.ceil((PAD + packet + SHARED) / PAGE) * PAGE + DESCRIPTION, room: 0 };
  }
  return { memory: block + DESCRIPTION, room: block - SHARED - PAD - packet };
}

interface Held {
  start: number;
  end: number;
  memory: number;
  room: number;
}

/** The receive buffer of one connection. */
export class LinuxReceiveMemory implements ReceiveMemory {
  readonly #buffer: ReceiveBuffer;
  /** What was received in order and not read, and what came before its turn. */
  #queue: Held[] = [];
  #held: Held[] = [];
  /** Bytes of the first entry that were read. */
  #read = 0;
  #used = 0;
  #ratio = FIRST_RATIO;
  #clamp = Infinity;
  #threshold = 0;
  #segment = 536;
  #started = false;
  #starved = false;
  /** The first data has come, which says how many segments are acknowledged at once. */
  #quick = false;
  /** Bytes that were read in a round trip, at most, and since when and where that one is counted. */
  #space = 0;
  #spaceAt = 0;
  #spaceFrom = 0;
  #taken = 0;

  /** @param buffer Its own. */
  constructor(buffer: ReceiveBuffer) {
    this.#buffer = buffer;
  }

  get threshold(): number {
    return this.#threshold;
  }

  /** Bytes of memory that it may take. */
  get bytes(): number {
    return this.#buffer.bytes;
  }

  /** SO_RCVLOWAT: makes room for as much, where SO_RCVBUF does not say otherwise. */
  reserve(c: TcpConnection, payload: number): void {
    if (!this.#start(c) || this.#buffer.fixed) return;
    const window = Math.min(payload, this.#buffer.most >> 1);
    const bytes = Math.floor(window * 2 ** RATIO_BITS / this.#ratio);
    if (bytes <= this.#buffer.bytes) return;
    this.#buffer.bytes = bytes;
    this.#setClamp(window);
  }

  /** SO_RCVBUF. @param bytes Of memory. */
  resize(c: TcpConnection, bytes: number): void {
    this.#start(c);
    this.#buffer.bytes = bytes;
    this.#buffer.fixed = true;
  }

  /** TCP_WINDOW_CLAMP. */
  clamp(c: TcpConnection, bytes: number): void {
    if (this.#start(c)) this.#setClamp(bytes);
  }

  #setClamp(bytes: number): void {
    const clamp = Math.max(LEAST_CLAMP, bytes);
    if (clamp === this.#clamp) return;
    this.#threshold = clamp < this.#clamp
      ? Math.min(this.#threshold, clamp)
      : Math.max(Math.min(this.#offered, clamp), this.#threshold);
    this.#clamp = clamp;
  }

  /** What was offered last, from where that was. */
  #offered = 0;

  #windowOf(memory: number): number {
    return Math.floor(memory * this.#ratio / 2 ** RATIO_BITS);
  }

  /** Bytes of payload of a full segment of the peer's. */
  #fullSegment(c: TcpConnection): number {
    const most = c.path.interface.mtu - c.path.headerLength - wire.HEADER_LENGTH;
    return Math.min(most, c.offeredMss || most, c.mssLimit || most);
  }

  /** What bounds windows before there is a connection. */
  #bound(c: TcpConnection): number {
    const full = this.#windowOf(this.#buffer.bytes);
    const clamp = Math.min(c.windowClamp, FIELD << MOST_SHIFT);
    return this.#buffer.fixed ? Math.min(clamp, full) : clamp;
  }

  shift(c: TcpConnection): number {
    const { bytes, most, anybody } = this.#buffer;
    const space = Math.min(Math.max(this.#windowOf(bytes), most, anybody), this.#bound(c));
    return Math.max(0, Math.min(MOST_SHIFT, 31 - Math.clz32(space) - 15));
  }

  first(c: TcpConnection): number {
    const stamps = !c.active && c.timestamps ? 12 : 0;
    const segment = this.#fullSegment(c) - stamps;
    const space = Math.min(this.#windowOf(this.#buffer.bytes), this.#bound(c));
    const whole = space > segment ? space - space % segment : space;
    return Math.min(whole, c.firstWindowLimit * segment);
  }

  /** Once there is a connection. */
  #start(c: TcpConnection): boolean {
    if (this.#started) return true;
    if (c.state < State.Established && !c.passiveFastOpen) return false;
    this.#started = true;
    const full = this.#windowOf(this.#buffer.bytes);
    const segment = this.#fullSegment(c);
    const first = this.first(c);
    this.#clamp = Math.min(this.#bound(c), FIELD << c.rcvShift);
    if (this.#clamp >= full) this.#clamp = full > 4 * segment ? Math.max(full, 4 * segment) : full;
    if (this.#clamp > 2 * segment && this.#clamp + segment > full) {
      this.#clamp = Math.max(2 * segment, full - segment);
    }
    this.#threshold = Math.min(first, this.#clamp);
    this.#offered = first;
    this.#space = Math.min(this.#threshold, first, FIRST_SEGMENTS * segment);
    this.#spaceAt = c.tcp.stack.now;
    this.#segment = Math.max(88, Math.min(536, segment, first >> 1));
    const edge = c.irs + 1 + first | 0;
    if ((edge - c.rcvAdv | 0) > 0) c.rcvAdv = edge;
    return true;
  }

  window(c: TcpConnection): number {
    if (!this.#start(c)) return this.first(c);
    const all = this.#windowOf(this.#buffer.bytes);
    let free = this.#windowOf(Math.max(0, this.#buffer.bytes - this.#used));
    const full = Math.min(this.#clamp, all);
    const segment = Math.min(this.#segment, full);
    const unit = 1 << c.rcvShift;
    if (this.#buffer.shrinks && c.rcvShift > 0) {
      free -= free % unit;
      if (free < all >> 4 || free < segment) return 0;
      return Math.min(free, Math.ceil(this.#threshold / unit) * unit);
    }
    if (free < full >> 1) {
      c.quickAcks = 0;
      free -= free % unit;
      if (free < all >> 4 || free < segment) return 0;
    }
    if (free > this.#threshold) free = this.#threshold;
    if (c.rcvShift > 0) return Math.ceil(free / unit) * unit;
    if (this.#offered <= free - segment || this.#offered > free) return free - free % segment;
    if (segment === full && free > this.#offered + (full >> 1)) return free;
    return this.#offered;
  }

  offer(c: TcpConnection): number {
    if (!this.#start(c)) return Math.min(this.first(c), c.rcvAdv - c.rcvNxt | 0) >> c.rcvShift;
    const unit = 1 << c.rcvShift;
    if (this.#starved) {
      this.#starved = false;
      this.#offered = 0;
      c.rcvAdv = c.rcvNxt;
      return 0;
    }
    const before = Math.max(0, c.rcvAdv - c.rcvNxt | 0);
    let window = this.window(c);
    if (window < before && !(this.#buffer.shrinks && c.rcvShift > 0)) {
      window = Math.ceil(before / unit) * unit;
    }
    this.#offered = window;
    c.rcvAdv = c.rcvNxt + window | 0;
    return Math.min(window, FIELD << c.rcvShift) >> c.rcvShift;
  }

  updateDue(c: TcpConnection): boolean {
    if (!this.#start(c)) return false;
    const offered = Math.max(0, c.rcvAdv - c.rcvNxt | 0);
    if (2 * offered > this.#clamp) return false;
    const window = this.window(c);
    return window > 0 && window >= 2 * offered;
  }

  fits(c: TcpConnection, end: number): boolean {
    this.#start(c);
    return end <= (c.rcvAdv - c.rcvNxt | 0) || c.readable === 0;
  }

  arrived(c: TcpConnection, sequence: number, length: number, payload: number, flags: number): boolean {
    this.#start(c);
    const inOrder = sequence === c.rcvNxt;
    const options = (c.timestamps ? 12 : 0) + (c.signatureKey === null ? 0 : 20);
    const { memory, room } = memoryOf(c.path.headerLength + wire.HEADER_LENGTH + options + payload);
    if (!this.#admits(c)) {
      if (inOrder && c.readable > 0) this.#starved = true;
      if (!inOrder || c.readable > 0) return false;
    }
    const entry = { start: sequence, end: sequence + length | 0, memory, room };
    if (!inOrder) {
      this.#measure(c, payload, memory);
      this.#hold(entry);
      this.#grow(c, payload, memory);
      return true;
    }
    this.#append(entry, length);
    if (flags & wire.SYN) return true;
    this.#measure(c, payload, memory);
    if (!this.#quick) {
      this.#quick = true;
      c.quickAcks = Math.min(QUICK, Math.floor(this.#offered / (2 * this.#segment)) || FEW_QUICK);
    }
    if (payload >= TELLING) this.#grow(c, payload, memory);
    return true;
  }

  /** Whether there is memory for one more: that was not used up before. */
  #admits(c: TcpConnection): boolean {
    const buffer = this.#buffer;
    if (this.#used <= buffer.bytes) return true;
    c.quickAcks = 0;
    if (!buffer.fixed && buffer.bytes < buffer.most) buffer.bytes = Math.min(this.#used, buffer.most);
    if (this.#used <= buffer.bytes) return true;
    this.#threshold = Math.min(this.#clamp, 2 * this.#fullSegment(c));
    return false;
  }

  /** Learns from full segments how much of the memory is payload. */
  #measure(c: TcpConnection, payload: number, memory: number): void {
    if (payload < this.#segment) {
      if (c.rcvMss < this.#segment) this.#segment = c.rcvMss;
      return;
    }
    if (payload !== this.#segment) {
      const ratio = Math.max(1, Math.min(255, Math.floor((payload << RATIO_BITS) / memory)));
      if (ratio !== this.#ratio) {
        this.#ratio = ratio;
        this.#setClamp(this.#windowOf(this.#buffer.bytes));
        this.#space = Math.min(this.#space, this.#clamp);
      }
    }
    this.#segment = Math.min(payload, this.#fullSegment(c));
  }

  /** Lets the window grow where there will be memory for what it asks for. */
  #grow(c: TcpConnection, payload: number, memory: number): void {
    const free = this.#windowOf(Math.max(0, this.#buffer.bytes - this.#used));
    const room = Math.min(this.#clamp, free) - this.#threshold;
    if (room <= 0) return;
    let more = 0;
    if (this.#windowOf(memory) <= payload) more = 2 * this.#fullSegment(c);
    else {
      let need = this.#windowOf(memory) >> 1;
      for (let window = this.#windowOf(this.#buffer.most) >> 1; this.#threshold <= window; window >>= 1) {
        if (need <= payload) {
          more = 2 * this.#segment;
          break;
        }
        need >>= 1;
      }
    }
    if (more > 0) this.#threshold += Math.min(room, Math.max(more, 2 * payload));
  }

  /** What fits behind the last one's payload is copied there, and takes no memory of its own. */
  #append(entry: Held, length: number): void {
    const last = this.#queue.at(-1);
    if (last !== undefined && length <= last.room) {
      last.end = entry.end;
      last.room -= length;
      return;
    }
    this.#queue.push(entry);
    this.#used += entry.memory;
  }

  #hold(entry: Held): void {
    const held = this.#held;
    if (held.some(({ start, end }) => (start - entry.start | 0) <= 0 && (entry.end - end | 0) <= 0)) return;
    const kept = held.filter(({ start, end }) => (start - entry.start | 0) < 0 || (entry.end - end | 0) < 0);
    for (const gone of held) if (!kept.includes(gone)) this.#used -= gone.memory;
    const behind = kept.find(({ end }) => end === entry.start);
    const length = entry.end - entry.start | 0;
    if (behind !== undefined && length <= behind.room) {
      behind.end = entry.end;
      behind.room -= length;
    } else {
      kept.push(entry);
      this.#used += entry.memory;
    }
    this.#held = kept.sort((a, b) => a.start - b.start | 0);
  }

  joined(c: TcpConnection): void {
    let end = this.#queue.at(-1)?.end ?? this.#held[0]?.start ?? c.rcvNxt;
    while (this.#held.length > 0 && (this.#held[0]!.start - c.rcvNxt | 0) < 0) {
      const next = this.#held.shift()!;
      this.#used -= next.memory;
      const length = next.end - end | 0;
      if (length <= 0) continue;
      this.#append(next, length);
      end = next.end;
    }
  }

  taken(c: TcpConnection, bytes: number, now: number): void {
    this.#taken += bytes;
    this.#read += bytes;
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const length = first.end - first.start | 0;
      if (this.#read < length) break;
      this.#read -= length;
      this.#used -= first.memory;
      this.#queue.shift();
    }
    const { receiverRtt } = c;
    if (receiverRtt === 0 || now - this.#spaceAt < receiverRtt) return;
    const copied = this.#taken - this.#spaceFrom;
    if (copied > this.#space) this.#enlarge(copied);
    this.#spaceFrom = this.#taken;
    this.#spaceAt = now;
  }

  /** The application has read more in a round trip than before: the buffer is for twice that, and the peer may speed up. */
  #enlarge(copied: number): void {
    const before = this.#space;
    const buffer = this.#buffer;
    this.#space = copied;
    if (buffer.fixed || !buffer.grows) return;
    const window = 2 * copied + 2 * Math.floor(2 * copied * (copied - before) / before);
    const bytes = Math.min(Math.floor(window * 2 ** RATIO_BITS / this.#ratio), buffer.most);
    if (bytes <= buffer.bytes) return;
    buffer.bytes = bytes;
    this.#clamp = this.#windowOf(bytes);
  }
}
