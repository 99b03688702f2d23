/**
 * More accurate ECN feedback (AccECN, RFC 9768): in place of one echo a round trip, every segment tells how many marks
 * have come, in the three bits of the ACE field, and an option tells how many bytes came with each codepoint.
 *
 * What is sent may be marked as RFC 3168 has it: new data only. Both opening at once agree on nothing, and a cookie's
 * handshake on RFC 3168's feedback: there is no place to remember more.
 *
 * @module
 */

import * as wire from "../wire/tcp.ts";
import { quickAck, sendAck } from "./acks.ts";
import type { TcpConnection } from "./connection.ts";
import { signatureLength } from "./signatures.ts";
import type { Segment } from "./input.ts";
import { after } from "./sequence.ts";

/** Where the count of marks begins, so that a field which somebody has zeroed is known (RFC 9768, section 3.2.1). */
const FIRST_MARKS = 5;
/** Where the bytes of ECT(0) and ECT(1) begin, for the same reason. */
const FIRST_BYTES = 1;
/** The ACE field of a SYN that asks for this feedback, and of one that asks for RFC 3168's. */
const ASKED = 7, ASKED_CLASSIC = 3;
/** The ACE field that tells with which codepoint a SYN or SYN-ACK came (RFC 9768, tables 2 and 3). */
const HANDSHAKE: readonly number[] = [2, 3, 4, 6];
/** We send SYN and SYN-ACK without a codepoint: who says that they came with one tells of a middlebox. */
const UNTOUCHED = 2;
/** Marks that are told of at once: by new data, and by ACKs alone, which must not answer each other for ever. */
const MARKS_OF_DATA = 2, MARKS_OF_ACKS = 3;
/** Most marks between two segments of ours (RFC 9768, section 3.2.2.5.1), where they did not come in one super-frame. */
const MOST_UNTOLD = 6;
/** The ACE field counts modulo this. */
const CYCLE = 8;
/** Bytes of the option with all three counters, padded. */
const OPTION_BYTES = 12;
/** ACKs that carry the option after a change, where it is not always sent. */
const TELL = 2;

/** The ACE field: AE, CWR and ECE. */
function aceOf(flags: number): number {
  return flags >>> 6 & 7;
}

/** What a connection knows of marks; only one that uses this feedback, or asks for it, has it. */
export class AccurateEcn {
  /** Codepoint of the peer's SYN or SYN-ACK, 0 to 3. */
  readonly #synField: number;
  /** The ACE field of our next ACK, which ends the handshake; -1 for the count. */
  #handshake = -1;
  /** The peer's handshake has not been looked at yet. */
  #unverified = false;
  /** The peer's ACE field or our marks do not get through: it tells nothing. */
  #blind = false;
  /** Packets that came marked. */
  marksReceived = 0;
  /** Bytes of payload that came with each codepoint, by its number. */
  readonly bytesReceived: Float64Array<ArrayBuffer> = new Float64Array(4);
  /** Codepoint of the newest data. */
  #field = 0;
  /** Marks since the last segment that we have sent. */
  #untold = 0;
  /** ACKs that are to carry the option still. */
  #demand = 0;
  /** The peer's options get through, so ours are worth their room. */
  optionSeen = false;
  #optionBroken = false;
  /** Packets of ours that the peer has told to have come marked. */
  marksTold = 0;
  /** Of these, those of the ACK at hand. */
  news = 0;
  /** Bytes of ours that the peer has told to have come with each codepoint, by its number. */
  readonly bytesTold: Float64Array<ArrayBuffer> = new Float64Array(4);

  /** @param synField Codepoint of the SYN or SYN-ACK, 0 to 3. */
  constructor(synField: number) {
    this.#synField = synField;
  }

  /** The flags of our SYN or SYN-ACK: one that is lost may be so because of them. @param timeouts Copies before it. */
  setup(answer: boolean, timeouts: number): number {
    if (!answer) return timeouts > 0 ? 0 : ASKED << 6;
    return timeouts > 1 ? 0 : HANDSHAKE[this.#synField]! << 6;
  }

  /** The flags of any other segment. @param pure It has no data, and nothing but ACK. */
  flags(pure: boolean): number {
    const ace = pure && this.#handshake >= 0 ? this.#handshake : this.marksReceived + FIRST_MARKS & 7;
    this.#handshake = -1;
    this.#untold = 0;
    return ace << 6;
  }

  /** Whether the ACE field has CWR set, which what cuts super-segments clears in all but the first piece. */
  get indivisible(): boolean {
    return (this.marksReceived + FIRST_MARKS & 2) !== 0;
  }

  /** The listener's side. */
  accepted(): void {
    this.#unverified = true;
  }

  /** The connecting side: the SYN-ACK has come. */
  answered(c: TcpConnection, ace: number, s: Segment): void {
    this.#handshake = HANDSHAKE[s.ecn]!;
    if (s.ecn === 3) this.marksReceived = 1;
    this.#judge(c, ace);
    this.takeOption(c, s.options);
  }

  #judge(c: TcpConnection, ace: number): void {
    if (ace === UNTOUCHED) return;
    // Somebody rewrites codepoints: nothing of ours may be marked, but we go on telling (RFC 9768, section 3.2.2.3).
    this.#blind = true;
    c.ecn = false;
    c.tcp.counters.mangledEcn++;
  }

  /**
   * Counts what came with an acceptable segment, and sees to it that the peer hears of it.
   * (RFC 9768, sections 3.2.2.5.1 and 3.2.3.3.)
   */
  received(c: TcpConnection, s: Segment): void {
    const { length, ecn } = s;
    if (ecn !== 0) {
      const packets = s.frame > 0 ? Math.max(1, Math.ceil(length / s.frame)) : 1;
      this.bytesReceived[ecn]! += length;
      if (ecn === 3) {
        // A batch is acknowledged at its end, which may be too late: the count would come around.
        if (this.#untold > 0 && this.#untold + packets > MOST_UNTOLD) sendAck(c);
        c.tcp.counters.receivedMarks += packets;
        this.marksReceived += packets;
        this.#untold += packets;
      }
    }
    const edge = length > 0 && ecn !== this.#field;
    if (length > 0) this.#field = ecn;
    if (edge || ecn === 3) this.#demand = TELL;
    if (edge || this.#untold >= (length > 0 ? MARKS_OF_DATA : MARKS_OF_ACKS)) {
      if (edge) quickAck(c);
      c.ackNow = true;
      c.tcp.markDirty(c);
    }
  }

  /** Takes what an acceptable ACK tells. @returns Whether more of our packets came marked. */
  takeAck(c: TcpConnection, s: Segment): boolean {
    this.news = 0;
    const ace = aceOf(s.flags);
    if (this.#unverified) {
      this.#verify(c, s, ace);
      return false;
    }
    if (this.#blind) return false;
    const { options } = s;
    const acked = s.acknowledgment - c.sndUna | 0;
    // An old ACK that says the same again may be older than what is known.
    const newer = acked > 0 ||
      (c.timestamps && options.timestamps && after(options.timestampValue, c.tsRecent));
    if (!newer) return false;
    const bytes = this.takeOption(c, options);
    const packets = Math.ceil(acked / c.mss);
    let marks = ace - FIRST_MARKS - this.marksTold & CYCLE - 1;
    if (packets >= CYCLE && bytes > 0) {
      // So many packets may have taken the count around: the bytes tell how often.
      const likely = Math.ceil(bytes / c.mss);
      while (marks + CYCLE <= packets && marks + CYCLE / 2 < likely) marks += CYCLE;
    } else if (packets >= CYCLE && marks > 0 && bytes < 0) {
      // Without the option the worst is taken for true (RFC 9768, section 3.2.2.5.2), where there are marks at all.
      marks = packets - (packets - marks & CYCLE - 1);
    }
    this.marksTold += marks;
    this.news = marks;
    return marks > 0;
  }

  /** The handshake's last ACK, or what stands for it (RFC 9768, sections 3.2.2.1 and 3.2.2.4). */
  #verify(c: TcpConnection, s: Segment, ace: number): void {
    this.#unverified = false;
    this.takeOption(c, s.options);
    if (ace === 0) this.#judge(c, ace);
    else if (s.length === 0 && s.options.sackBlocks === 0 && HANDSHAKE.includes(ace)) this.#judge(c, ace);
  }

  /** @returns Bytes that were marked since the last option; -1 when this one tells nothing. */
  takeOption(c: TcpConnection, options: wire.TcpOptions): number {
    if (options.ecnCounters < 0 || this.#optionBroken) return -1;
    if (!this.optionSeen) {
      const zeroed = options.ecnBytes[1] === 0 || options.ecnBytes[2] === 0;
      if (zeroed) {
        this.#optionBroken = true;
        c.tcp.counters.mangledEcn++;
        return -1;
      }
      this.optionSeen = true;
      // Segments become shorter by what ours takes.
      c.mssMtu = 0;
    }
    let marked = -1;
    for (let field = 1; field <= 3; field++) {
      const told = options.ecnBytes[field]!;
      if (told < 0) continue;
      const first = field === 3 ? 0 : FIRST_BYTES;
      // 24 bits, signed: an old option tells less than is known.
      const change = (told - first - this.bytesTold[field]!) << 8 >> 8;
      if (change >= 0) this.bytesTold[field]! += change;
      if (field === 3 && change >= 0) marked = change;
    }
    return marked;
  }

  /** Bytes of the option in each segment, 0 where it goes with some ACKs alone. */
  optionLength(c: TcpConnection): number {
    // A signature and timestamps leave no room for it.
    const room = c.signatureKey === null || !c.timestamps;
    return this.optionSeen && room && c.tcp.settings.ecnOption === 2 ? OPTION_BYTES : 0;
  }

  /** Bytes of the option in an ACK without data. @param room Bytes that are left in its header. */
  ackOptionLength(c: TcpConnection, room: number): number {
    const { ecnOption } = c.tcp.settings;
    if (!this.optionSeen || ecnOption === 0 || room < OPTION_BYTES) return 0;
    if (ecnOption === 2) return OPTION_BYTES;
    if (this.#demand === 0) return 0;
    this.#demand--;
    return OPTION_BYTES;
  }

  /** Bytes of the option in a SYN-ACK. @param room Bytes that are left in its header. */
  synOptionLength(c: TcpConnection, room: number): number {
    return c.tcp.settings.ecnOption === 0 || c.timeouts > 0 || room < OPTION_BYTES ? 0 : OPTION_BYTES;
  }

  /** Writes the option: ECT(1), marks, ECT(0), as Linux does, and padding. */
  writeOption(view: DataView, at: number): void {
    const bytes = this.bytesReceived;
    wire.writeAccurateEcn(view, at, bytes[1]! + FIRST_BYTES, bytes[3]!, bytes[2]! + FIRST_BYTES);
  }
}

/** Our SYN asks for what the settings say. */
export function askForEcn(c: TcpConnection): void {
  const { ecn } = c.tcp.settings;
  c.ecn = ecn === 1 || ecn === 3 || ecn === 4;
  if (ecn === 3) c.accurate = new AccurateEcn(0);
}

/** Agrees to what a SYN asks for, as far as the settings let. */
export function agreeToEcn(c: TcpConnection, s: Segment): void {
  const { ecn } = c.tcp.settings;
  const ace = aceOf(s.flags);
  // A SYN that is marked as capable itself does not come from who knows RFC 3168 (section 6.1.1; as Linux).
  c.ecn = ecn !== 0 && (ace & ASKED_CLASSIC) === ASKED_CLASSIC && s.ecn === 0;
  // Whatever a later version may ask for is answered like this one (RFC 9768, section 3.1.3).
  if (ecn < 3 || ace === 0 || ace === ASKED_CLASSIC) return;
  c.ecn = true;
  c.accurate = new AccurateEcn(s.ecn);
  c.accurate.accepted();
}

/** A SYN or SYN-ACK answers our SYN. @param acked It is a SYN-ACK. */
export function ecnAnswered(c: TcpConnection, s: Segment, acked: boolean): void {
  const ace = aceOf(s.flags);
  const { accurate } = c;
  if (accurate === null) {
    // RFC 3168, section 6.1.1: our SYN asked with both, the answer agrees with ECE alone.
    c.ecn = c.ecn && (ace & ASKED_CLASSIC) === (acked ? 1 : ASKED_CLASSIC);
    return;
  }
  c.accurate = null;
  // Table 2 of RFC 9768: somebody who knows RFC 3168 alone, or nothing, or reflects what it does not know.
  c.ecn = acked && (ace & ASKED_CLASSIC) === 1;
  if (!acked || !HANDSHAKE.includes(ace)) return;
  // 011 has both bits, and so is no answer of RFC 3168.
  c.ecn = true;
  c.accurate = new AccurateEcn(s.ecn);
  c.accurate.answered(c, ace, s);
}

/** Bytes of the options that every segment of a connection has. */
export function usualOptions(c: TcpConnection): number {
  return signatureLength(c) + (c.timestamps ? 12 : 0) +
    (c.accurate === null ? 0 : c.accurate.optionLength(c));
}
