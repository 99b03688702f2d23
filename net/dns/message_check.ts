/**
 * Walks over a message before anything is made of it: every name ends, every record is as long as it says.
 *
 * @module
 */

/** Why a message is dropped. */
export type Flaw =
  | "truncated"
  | "compressionLoop"
  | "badName"
  | "badLength"
  | "tooManyRecords"
  | "badRecord"
  | "trailingBytes";

/** Raised within the decoder; never leaves it. */
export class Malformed extends Error {
  /** What is wrong. */
  readonly flaw: Flaw;

  /** @param flaw What is wrong. */
  constructor(flaw: Flaw) {
    super(flaw);
    this.flaw = flaw;
  }
}

/** Stands for a dot within a label while names are text. No name that is taken has it of its own. */
export const DOT = 0x01;

const LABEL = 63, NAME = 255, POINTER = 0xc0;
/** Pointers that one name may follow; honest senders use one, seldom a second. */
const JUMPS = 32;

/** A cursor over one message. Dots within labels are replaced by {@link DOT} in `copy`. */
export class Walker {
  /** Where it stands. */
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #copy: Uint8Array;

  /** @param bytes The message. @param copy As long; its labels are changed. */
  constructor(bytes: Uint8Array, copy: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#copy = copy;
  }

  /** The next 8 bits. */
  byte(): number {
    if (this.at + 1 > this.#bytes.length) throw new Malformed("truncated");
    return this.#bytes[this.at++]!;
  }

  /** The next 16 bits. */
  short(): number {
    if (this.at + 2 > this.#bytes.length) throw new Malformed("truncated");
    this.at += 2;
    return this.#view.getUint16(this.at - 2);
  }

  /** The next 32 bits. */
  long(): number {
    if (this.at + 4 > this.#bytes.length) throw new Malformed("truncated");
    this.at += 4;
    return this.#view.getUint32(this.at - 4);
  }

  /** Steps over a name (RFC 1035, section 4.1.4). @returns Where its bytes are, for each label. */
  name(): [at: number, length: number][] {
    const labels: [number, number][] = [];
    const bytes = this.#bytes;
    let at = this.at, total = 1, jumps = 0, least = at;
    let behind = -1;
    for (;;) {
      if (at >= bytes.length) throw new Malformed("truncated");
      const length = bytes[at]!;
      if (length === 0) {
        at++;
        break;
      }
      if (length <= LABEL) {
        if (at + 1 + length > bytes.length) throw new Malformed("truncated");
        total += length + 1;
        if (total > NAME) throw new Malformed("badName");
        this.#label(at + 1, length);
        labels.push([at + 1, length]);
        at += 1 + length;
        continue;
      }
      if (length < POINTER) throw new Malformed("badName");
      if (at + 2 > bytes.length) throw new Malformed("truncated");
      const target = this.#view.getUint16(at) & 0x3fff;
      if (behind < 0) behind = at + 2;
      // Only ever backwards, and not for long: that ends.
      if (target >= least || target < 12 || ++jumps > JUMPS) throw new Malformed("compressionLoop");
      at = least = target;
    }
    this.at = behind < 0 ? at : behind;
    return labels;
  }

  /** Steps over the data of a record of a type that is taken apart, which has to end at `end`. */
  data(type: string, end: number): void {
    const start = this.at;
    switch (type) {
      case "A":
        this.at += 4;
        break;
      case "AAAA":
        this.at += 16;
        break;
      case "CNAME":
      case "DNAME":
      case "NS":
      case "PTR":
        this.name();
        break;
      case "MX":
        this.at += 2;
        this.name();
        break;
      case "SRV":
        this.at += 6;
        this.name();
        break;
      case "SOA":
        this.name();
        this.name();
        this.at += 20;
        break;
      case "TXT":
        while (this.at < end) this.#string();
        if (this.at === start) throw new Malformed("badRecord");
        break;
      case "HINFO":
        this.#string();
        this.#string();
        break;
      case "NAPTR":
        this.at += 4;
        for (let i = 0; i < 3; i++) this.#string();
        this.name();
        break;
      case "CAA": {
        this.at += 1;
        const tag = this.byte();
        if (tag === 0 || this.at + tag > end) throw new Malformed("badRecord");
        this.at = end;
        break;
      }
      case "NSEC":
        this.name();
        while (this.at < end) {
          this.at += 1;
          const length = this.byte();
          if (length === 0 || length > 32) throw new Malformed("badRecord");
          this.at += length;
        }
        break;
      default:
        this.at = end;
    }
    if (this.at !== end) throw new Malformed("badLength");
  }

  #string(): void {
    const length = this.byte();
    this.at += length;
  }

  #label(at: number, length: number): void {
    const bytes = this.#bytes, copy = this.#copy;
    let high = false;
    for (let i = at; i < at + length; i++) {
      const byte = bytes[i]!;
      if (byte < 0x20 || byte === 0x7f) throw new Malformed("badName");
      if (byte === 0x2e) copy[i] = DOT;
      if (byte >= 0x80) high = true;
    }
    // As text, what is not UTF-8 would be longer than it was, and two names be one.
    if (high && !isText(bytes.subarray(at, at + length))) throw new Malformed("badName");
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function isText(bytes: Uint8Array): boolean {
  try {
    // What ends a line is no more part of a name than control characters are.
    return !/[\u2028\u2029]/.test(decoder.decode(bytes));
  } catch {
    return false;
  }
}
