/**
 * The TCP header (RFC 9293, section 3.1) and its options.
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------------------------------+-------------------------------+
 * |          Source Port          |       Destination Port        |
 * +-------------------------------+-------------------------------+
 * |                        Sequence Number                        |
 * +---------------------------------------------------------------+
 * |                    Acknowledgment Number                      |
 * +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 * | Offset| Rsvd|A|C|E|U|A|P|R|S|F|            Window             |
 * +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 * |           Checksum            |         Urgent Pointer        |
 * +-------------------------------+-------------------------------+
 * |                           [Options]                           |
 * ```
 *
 * @module
 */

/** IANA number of the protocol. */
export const PROTOCOL = 6;
/** Bytes of a header without options. */
export const HEADER_LENGTH = 20;
/** Most bytes of a header with options. */
export const MAX_HEADER_LENGTH = 60;
/** Most bytes of options. */
export const MOST_OPTIONS: number = MAX_HEADER_LENGTH - HEADER_LENGTH;
/** Distance from the header to its checksum field. */
export const CHECKSUM_OFFSET = 16;

/** No more data from the sender. */
export const FIN = 0x01;
/** Synchronise sequence numbers. */
export const SYN = 0x02;
/** Reset the connection. */
export const RST = 0x04;
/** Push. */
export const PSH = 0x08;
/** The acknowledgment number is valid. */
export const ACK = 0x10;
/** The urgent pointer is valid. */
export const URG = 0x20;
/** ECN echo (RFC 3168). */
export const ECE = 0x40;
/** Congestion window reduced (RFC 3168). */
export const CWR = 0x80;
/** The third bit of the ACE field (RFC 9768), which {@link CWR} and {@link ECE} follow. */
export const AE = 0x100;

/** @returns The source port. */
export function sourcePort(view: DataView, at: number): number {
  return view.getUint16(at);
}

/** @returns The destination port. */
export function destinationPort(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}

/** @returns Both ports as one signed word: source in the upper half. */
export function ports(view: DataView, at: number): number {
  return view.getInt32(at);
}

/** @returns The sequence number, signed. */
export function sequence(view: DataView, at: number): number {
  return view.getInt32(at + 4);
}

/** @returns The acknowledgment number, signed. */
export function acknowledgment(view: DataView, at: number): number {
  return view.getInt32(at + 8);
}

/** @returns Bytes of the header that it claims: 0 to 60. */
export function headerLength(view: DataView, at: number): number {
  return view.getUint8(at + 12) >>> 4 << 2;
}

/** @returns The flags, AE to FIN. */
export function flags(view: DataView, at: number): number {
  return view.getUint16(at + 12) & 0x1ff;
}

/** @returns The window field, not scaled. */
export function window(view: DataView, at: number): number {
  return view.getUint16(at + 14);
}

/** @returns The checksum field. */
export function checksum(view: DataView, at: number): number {
  return view.getUint16(at + 16);
}

/** @returns The urgent pointer. */
export function urgentPointer(view: DataView, at: number): number {
  return view.getUint16(at + 18);
}

/** Sets URG and the urgent pointer of a header that was written. @param distance From its sequence number, 0 to 65,535. */
export function setUrgent(view: DataView, at: number, distance: number): void {
  view.setUint8(at + 13, view.getUint8(at + 13) | URG);
  view.setUint16(at + 18, distance);
}

/** Writes the checksum field. */
export function setChecksum(view: DataView, at: number, value: number): void {
  view.setUint16(at + 16, value);
}

/**
 * Writes the 20 bytes of a header; checksum and urgent pointer become 0.
 * @param length Bytes of the header with its options, a multiple of 4.
 */
export function writeHeader(
  view: DataView,
  at: number,
  source: number,
  destination: number,
  sequence: number,
  acknowledgment: number,
  length: number,
  flags: number,
  window: number,
): void {
  view.setInt32(at, source << 16 | destination);
  view.setInt32(at + 4, sequence);
  view.setInt32(at + 8, acknowledgment);
  view.setInt32(at + 12, length << 26 | flags << 16 | window);
  view.setInt32(at + 16, 0);
}

/** Option kinds. */
export const OPTION_END = 0;
/** Padding. */
export const OPTION_NOP = 1;
/** Maximum segment size (RFC 9293, section 3.7.1), 4 bytes. */
export const OPTION_MSS = 2;
/** Window scale (RFC 7323), 3 bytes. */
export const OPTION_WINDOW_SCALE = 3;
/** SACK permitted (RFC 2018), 2 bytes. */
export const OPTION_SACK_PERMITTED = 4;
/** SACK (RFC 2018), 2 + 8 × blocks bytes. */
export const OPTION_SACK = 5;
/** Timestamps (RFC 7323), 10 bytes. */
export const OPTION_TIMESTAMPS = 8;

/** Signature of a segment (RFC 2385), 18 bytes. */
export const OPTION_MD5 = 19;
/** Fast Open cookie (RFC 7413, section 4.1.1): 2 bytes to ask for one, 6 to 18 with one. */
export const OPTION_FAST_OPEN = 34;
/** Accurate ECN (RFC 9768, section 3.2.3), 2 + 3 × counters bytes: ECT(0), marks, ECT(1). */
export const OPTION_ACCURATE_ECN_0 = 172;
/** The same in the other order: ECT(1), marks, ECT(0). */
export const OPTION_ACCURATE_ECN_1 = 174;
/** Experiments that share one kind (RFC 6994): two bytes of {@link FAST_OPEN_MAGIC} make it a Fast Open cookie. */
export const OPTION_EXPERIMENTAL = 254;
/** The experiment's number under which Fast Open went before it had a kind of its own. */
export const FAST_OPEN_MAGIC = 0xf989;
/** Least and most bytes of a Fast Open cookie. */
export const MIN_COOKIE = 4;
/** Most bytes of a Fast Open cookie. */
export const MAX_COOKIE = 16;

/** NOP, NOP, Timestamps, 10: the way everyone lays timestamps out. */
const TIMESTAMPS_WORD = 0x0101080a;

/** What the options of one segment say. One object is reused for every segment. */
export class TcpOptions {
  /** Maximum segment size, or 0 when the option was absent. */
  mss = 0;
  /** Shift count 0 to 14, or -1 when the option was absent. Greater ones are taken as 14 (RFC 7323, section 2.3). */
  windowScale = -1;
  /** SACK permitted. */
  sackPermitted = false;
  /** Whether {@link timestampValue} and {@link timestampEcho} were there. */
  timestamps = false;
  /** TSval, signed. */
  timestampValue = 0;
  /** TSecr, signed. */
  timestampEcho = 0;
  /** Bytes in {@link cookie}: 4 to 16; 0 where a SYN asks for one; -1 when the option was absent or malformed. */
  fastOpen = -1;
  /** Whether the cookie came under the experiment's number. */
  fastOpenExperimental = false;
  /** The Fast Open cookie. */
  readonly cookie: Uint8Array<ArrayBuffer> = new Uint8Array(MAX_COOKIE);
  /** Counters in {@link ecnBytes}: 0 to 3; -1 when the option was absent or malformed. */
  ecnCounters = -1;
  /** 24-bit counters of bytes, by the number of their codepoint (1 to 3); -1 for one that was left out. */
  readonly ecnBytes: Int32Array<ArrayBuffer> = new Int32Array(4);
  /** Whether the segment is signed (RFC 2385). */
  signed = false;
  /** Where its digest is, if it is. */
  signatureAt = 0;
  /** SACK blocks in {@link sack}: 0 to 4. */
  sackBlocks = 0;
  /** Left and right edges, signed, in the order received. */
  readonly sack: Int32Array<ArrayBuffer> = new Int32Array(8);

  /**
   * Reads the options between `at` and `end`.
   * @returns False when an option lies about its length; what stood in front of it is kept.
   */
  parse(view: DataView, at: number, end: number): boolean {
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.timestamps = false;
    this.sackBlocks = 0;
    this.fastOpen = -1;
    this.ecnCounters = -1;
    this.signed = false;
    if (at === end) return true;
    if (end - at === 12 && view.getInt32(at) === TIMESTAMPS_WORD) {
      this.timestamps = true;
      this.timestampValue = view.getInt32(at + 4);
      this.timestampEcho = view.getInt32(at + 8);
      return true;
    }
    while (at < end) {
      const kind = view.getUint8(at);
      if (kind === OPTION_END) return true;
      if (kind === OPTION_NOP) {
        at++;
        continue;
      }
      if (at + 2 > end) return false;
      const length = view.getUint8(at + 1);
      if (length < 2 || at + length > end) return false;
      switch (kind) {
        case OPTION_MSS:
          if (length === 4) this.mss = view.getUint16(at + 2);
          break;
        case OPTION_WINDOW_SCALE:
          if (length === 3) this.windowScale = Math.min(view.getUint8(at + 2), 14);
          break;
        case OPTION_SACK_PERMITTED:
          if (length === 2) this.sackPermitted = true;
          break;
        case OPTION_TIMESTAMPS:
          if (length === 10) {
            this.timestamps = true;
            this.timestampValue = view.getInt32(at + 2);
            this.timestampEcho = view.getInt32(at + 6);
          }
          break;
        case OPTION_SACK:
          if (length >= 10 && (length - 2) % 8 === 0) this.#parseSack(view, at + 2, (length - 2) / 8);
          break;
        case OPTION_MD5:
          if (length === 18) {
            this.signed = true;
            this.signatureAt = at + 2;
          }
          break;
        case OPTION_FAST_OPEN:
          this.#parseCookie(view, at + 2, length - 2, false);
          break;
        case OPTION_ACCURATE_ECN_0:
        case OPTION_ACCURATE_ECN_1:
          if ((length - 2) % 3 === 0 && length <= 11) this.#parseEcn(view, at + 2, (length - 2) / 3, kind);
          break;
        case OPTION_EXPERIMENTAL:
          if (length >= 4 && view.getUint16(at + 2) === FAST_OPEN_MAGIC) {
            this.#parseCookie(view, at + 4, length - 4, true);
          }
          break;
      }
      at += length;
    }
    return true;
  }

  #parseSack(view: DataView, at: number, blocks: number): void {
    if (blocks > 4) blocks = 4;
    for (let i = 0; i < 2 * blocks; i++) this.sack[i] = view.getInt32(at + 4 * i);
    this.sackBlocks = blocks;
  }

  #parseEcn(view: DataView, at: number, counters: number, kind: number): void {
    this.ecnCounters = counters;
    this.ecnBytes.fill(-1);
    for (let i = 0; i < counters; i++) {
      // Codepoints 2, 3, 1 or 1, 3, 2.
      const field = i === 1 ? 3 : (i === 0) === (kind === OPTION_ACCURATE_ECN_0) ? 2 : 1;
      this.ecnBytes[field] = view.getInt32(at + 3 * i - 1) & 0xffffff;
    }
  }

  #parseCookie(view: DataView, at: number, length: number, experimental: boolean): void {
    if (length & 1) return;
    this.fastOpenExperimental = experimental;
    this.fastOpen = length === 0 || (length >= MIN_COOKIE && length <= MAX_COOKIE) ? length : -1;
    for (let i = 0; i < this.fastOpen; i++) this.cookie[i] = view.getUint8(at + i);
  }
}

/** Bytes that {@link writeFastOpen} writes for a cookie of `length` bytes, a multiple of 4. */
export function fastOpenLength(length: number, experimental: boolean): number {
  return length + (experimental ? 4 : 2) + 3 & ~3;
}

/** Writes a Fast Open option, with padding behind it. @param cookie Empty to ask for one. */
export function writeFastOpen(view: DataView, at: number, cookie: Uint8Array, experimental: boolean): void {
  const end = at + fastOpenLength(cookie.length, experimental);
  if (experimental) {
    view.setInt32(at, OPTION_EXPERIMENTAL << 24 | 4 + cookie.length << 16 | FAST_OPEN_MAGIC);
    at += 4;
  } else {
    view.setUint16(at, OPTION_FAST_OPEN << 8 | 2 + cookie.length);
    at += 2;
  }
  for (let i = 0; i < cookie.length; i++) view.setUint8(at++, cookie[i]!);
  while (at < end) view.setUint8(at++, OPTION_NOP);
}

/** Writes the option of kind {@link OPTION_ACCURATE_ECN_1} with three counters, of which 24 bits count: 12 bytes with padding. */
export function writeAccurateEcn(
  view: DataView,
  at: number,
  ect1: number,
  marked: number,
  ect0: number,
): void {
  view.setInt32(at, OPTION_ACCURATE_ECN_1 << 24 | 11 << 16 | ect1 >>> 8 & 0xffff);
  view.setInt32(at + 4, ect1 << 24 | marked & 0xffffff);
  view.setInt32(at + 8, ect0 << 8 | OPTION_NOP);
}

/** Writes NOP, NOP, timestamps: 12 bytes. */
export function writeTimestamps(view: DataView, at: number, value: number, echo: number): void {
  view.setInt32(at, TIMESTAMPS_WORD);
  view.setInt32(at + 4, value);
  view.setInt32(at + 8, echo);
}
