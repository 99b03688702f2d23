/**
 * What has been sent and not yet cumulatively acknowledged: the retransmission queue and the SACK scoreboard in one.
 *
 * Records of all connections lie in one set of typed arrays and are chained by number, so that a connection with
 * nothing in flight owns none, and nothing is allocated to send. A record covers one transmission (up to 64 KiB) and
 * is split when a SACK or a retransmission touches part of it.
 *
 * @module
 */

/** The record was selectively acknowledged. */
export const SACKED = 1;
/** The record is deemed lost and waits to be sent again. */
export const LOST = 2;
/** The record has been sent again, and that copy is in flight. */
export const RETRANSMITTED = 4;
/** The record has been sent more than once, ever (Karn's rule). */
export const EVER_RETRANSMITTED = 8;
/** The record ends with a FIN, which takes one sequence number. */
export const FIN_RECORD = 16;
/** The record is a SYN, which takes one sequence number. */
export const SYN_RECORD = 32;
/** The application had left room unused when it was sent. */
export const APP_LIMITED = 64;

/** The record ends what the application had written: it carries PSH, whenever it is sent. */
export const PUSHED = 128;

/** The records of all connections of a stack. -1 stands for no record. */
export class SentRecords {
  /** First sequence number. */
  start: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** One past the last sequence number. */
  end: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** Bits: {@link SACKED} and the others. */
  flags: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** Segments on the wire. */
  segments: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** Bytes of payload of each of them, but for the last. */
  segmentBytes: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** The following record of the connection. */
  next: Int32Array<ArrayBuffer> = new Int32Array(1024);
  /** When it was sent last, in µs. */
  sentAt: Float64Array<ArrayBuffer> = new Float64Array(1024);
  /** Segments the connection had delivered when it was sent (rate samples). */
  delivered: Float64Array<ArrayBuffer> = new Float64Array(1024);
  /** When {@link delivered} was reached, in µs. */
  deliveredAt: Float64Array<ArrayBuffer> = new Float64Array(1024);
  /** When the first packet of the same flight was sent, in µs. */
  firstSentAt: Float64Array<ArrayBuffer> = new Float64Array(1024);
  /** Segments the connection had lost when it was sent. */
  lost: Float64Array<ArrayBuffer> = new Float64Array(1024);
  /** Segments in flight once it was sent, itself included. */
  inFlight: Int32Array<ArrayBuffer> = new Int32Array(1024);
  #free = -1;
  #used = 0;
  /** Records in use. */
  size = 0;
  /** Most records of all connections together. */
  readonly limit: number;

  /** @param limit Most records; a sender waits for ACKs when there is none left. */
  constructor(limit = 1 << 22) {
    this.limit = limit;
  }

  /** @returns A new record, or -1 at the limit. */
  take(): number {
    let i = this.#free;
    if (i >= 0) {
      this.#free = this.next[i]!;
    } else {
      if (this.#used === this.limit) return -1;
      if (this.#used === this.start.length) this.#grow();
      i = this.#used++;
    }
    this.size++;
    this.next[i] = -1;
    this.flags[i] = 0;
    return i;
  }

  /** Gives a record back. */
  give(i: number): void {
    this.next[i] = this.#free;
    this.#free = i;
    this.size--;
  }

  /**
   * Splits record `i` at `sequence`, which lies inside of it and falls on a segment's end.
   * @param first Segments that stay in `i`. @returns The record of the second part, or -1 at the limit.
   */
  split(i: number, sequence: number, first: number): number {
    const j = this.take();
    if (j < 0) return -1;
    this.start[j] = sequence;
    this.end[j] = this.end[i]!;
    this.end[i] = sequence;
    this.flags[j] = this.flags[i]!;
    this.flags[i]! &= ~(FIN_RECORD | PUSHED);
    this.segments[j] = Math.max(1, this.segments[i]! - first);
    this.segments[i] = first;
    this.segmentBytes[j] = this.segmentBytes[i]!;
    this.sentAt[j] = this.sentAt[i]!;
    this.delivered[j] = this.delivered[i]!;
    this.deliveredAt[j] = this.deliveredAt[i]!;
    this.firstSentAt[j] = this.firstSentAt[i]!;
    this.lost[j] = this.lost[i]!;
    this.inFlight[j] = this.inFlight[i]!;
    this.next[j] = this.next[i]!;
    this.next[i] = j;
    return j;
  }

  /**
   * Joins record `i` with the one after it. Times and samples are those of `i`: for records that were delivered.
   * @returns The record that is gone.
   */
  join(i: number): number {
    const j = this.next[i]!;
    this.end[i] = this.end[j]!;
    this.flags[i]! |= this.flags[j]!;
    this.segments[i]! += this.segments[j]!;
    this.next[i] = this.next[j]!;
    this.give(j);
    return j;
  }

  #grow(): void {
    const size = Math.min(this.start.length * 2, this.limit);
    const int = (old: Int32Array<ArrayBuffer>) => {
      const grown = new Int32Array(size);
      grown.set(old);
      return grown;
    };
    const double = (old: Float64Array<ArrayBuffer>) => {
      const grown = new Float64Array(size);
      grown.set(old);
      return grown;
    };
    this.start = int(this.start);
    this.end = int(this.end);
    this.flags = int(this.flags);
    this.segments = int(this.segments);
    this.segmentBytes = int(this.segmentBytes);
    this.next = int(this.next);
    this.sentAt = double(this.sentAt);
    this.delivered = double(this.delivered);
    this.deliveredAt = double(this.deliveredAt);
    this.firstSentAt = double(this.firstSentAt);
    this.lost = double(this.lost);
    this.inFlight = int(this.inFlight);
  }
}
