/**
 * What the UDP figures' two ends agree on. Datagrams of data carry their number, counted from 0; those of {@link ASK} and
 * {@link REQUEST} bytes ask something of the contender:
 *
 * - data: counted, and whether a number is less than the one before or beyond what was sent is noted;
 * - {@link ASK}: answered by {@link REPORT} bytes: datagrams, wrong ones, and the µs from the first to the last;
 * - {@link REQUEST}, which holds milliseconds: data is sent for so long, and then {@link REPORT} bytes with the datagrams sent.
 *
 * @module
 */

/** UDP port of the contenders' service. */
export const DATAGRAM_PORT = 9;
/** Bytes of a datagram of data. */
export const SIZE = 1400;
/** Datagrams of one super-datagram: as many as fit in 64 KiB. */
export const BURST = 46;
/** Bytes of what asks for a count, of a request for data, and of a report. */
export const ASK = 4, REQUEST = 8, REPORT = 24;

/** What a receiver has counted. */
export class Tally {
  /** Datagrams that came, and those that came out of turn. */
  datagrams = 0;
  wrong = 0;
  #next = 0;
  #first = 0;
  #last = 0;

  /** Counts a datagram by the number it carries. */
  count(number: number): void {
    if (number < this.#next) this.wrong++;
    this.#next = number + 1;
    this.datagrams++;
  }

  /** Notes the time, in µs, of what was counted just now. */
  stamp(now: number): void {
    if (this.#first === 0) this.#first = now;
    this.#last = now;
  }

  /** µs from the first to the last. */
  get elapsed(): number {
    return this.#last - this.#first;
  }

  /** Writes the report, and starts anew. */
  report(view: DataView, offset: number): void {
    view.setFloat64(offset, this.datagrams);
    view.setFloat64(offset + 8, this.wrong);
    view.setFloat64(offset + 16, this.elapsed);
    this.datagrams =
      this.wrong =
      this.#next =
      this.#first =
      this.#last =
        0;
  }
}

/** A super-datagram of data whose numbers are set before each send. */
export class Burst {
  /** The datagrams, one behind the other. */
  readonly bytes = new Uint8Array(new ArrayBuffer(SIZE * BURST));
  readonly #view = new DataView(this.bytes.buffer);
  /** Number of the next datagram. */
  next = 0;

  /** Gives the datagrams their numbers. */
  number(): void {
    for (let i = 0; i < BURST; i++) this.#view.setUint32(i * SIZE, this.next++);
  }
}
