/**
 * Messages of the DNS as bytes (RFC 1035, section 4; RFC 6891 for EDNS). The format of records is `dns-packet`'s;
 * what is around it, and everything that a hostile sender could try, is checked before.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import packet from "dns-packet";
import { IpAddress } from "../../stack/ip/address.ts";
import type { Bytes } from "../../stack/packet.ts";
import { DOT, type Flaw, Malformed, Walker } from "./message_check.ts";
import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  type NsecData,
  type RecordData,
  typeName,
  typeNumber,
  TYPES,
} from "./records.ts";

/** What is used of the library. */
interface Codec {
  decode(bytes: Buffer, offset: number): unknown;
}
interface Library {
  record(type: string): Codec;
  encode(message: unknown): Buffer;
}
const library: Library = packet;

/** Records and questions of one message; no honest one has so many. */
const MOST_RECORDS = 1024;
const IN = 1, ANY_CLASS = 255, TOP = 0x8000;
const RESPONSE = 0x8000, AUTHORITATIVE = 0x400, TRUNCATED = 0x200, RECURSE = 0x100, RECURSION = 0x80;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Takes a message apart.
 *
 * @param bytes The message; nothing of it is kept.
 * @returns The message, or why it is dropped. Never throws.
 */
export function decodeMessage(bytes: Uint8Array): DnsMessage | Flaw {
  try {
    return decode(bytes);
  } catch (error) {
    return error instanceof Malformed ? error.flaw : "badRecord";
  }
}

function decode(bytes: Uint8Array): DnsMessage {
  const copy = Buffer.from(bytes);
  const walker = new Walker(bytes, copy);
  const id = walker.short(), flags = walker.short();
  const counts = [walker.short(), walker.short(), walker.short(), walker.short()];
  if (counts.reduce((sum, count) => sum + count) > MOST_RECORDS) throw new Malformed("tooManyRecords");
  const message: DnsMessage = {
    id,
    response: (flags & RESPONSE) !== 0,
    opcode: flags >> 11 & 15,
    authoritative: (flags & AUTHORITATIVE) !== 0,
    truncated: (flags & TRUNCATED) !== 0,
    recursionAvailable: (flags & RECURSION) !== 0,
    rcode: flags & 15,
    edns: false,
    questions: [],
    answers: [],
    authorities: [],
    additionals: [],
  };
  for (let i = 0; i < counts[0]!; i++) {
    const name = readName(walker, copy);
    const type = typeName(walker.short()), qclass = walker.short();
    if ((qclass & ~TOP) !== IN && (qclass & ~TOP) !== ANY_CLASS) continue;
    message.questions.push(qclass >= TOP ? { name, type, unicast: true } : { name, type });
  }
  const sections = [message.answers, message.authorities, message.additionals];
  sections.forEach((section, i) => {
    for (let left = counts[i + 1]!; left > 0; left--) readRecord(walker, copy, message, section);
  });
  if (walker.at !== bytes.length) throw new Malformed("trailingBytes");
  return message;
}

function readRecord(walker: Walker, copy: Buffer, message: DnsMessage, section: DnsRecord[]): void {
  const name = readName(walker, copy);
  const type = typeName(walker.short()), rclass = walker.short(), ttl = walker.long();
  const lengthAt = walker.at, length = walker.short();
  const start = walker.at, end = start + length;
  if (end > copy.length) throw new Malformed("badLength");
  if (type === "OPT") {
    if (message.edns || name !== "") throw new Malformed("badRecord");
    message.edns = true;
    message.rcode |= ttl >>> 24 << 4;
    walker.at = end;
    return;
  }
  const known = (rclass & ~TOP) === IN && type in TYPES;
  if (known) walker.data(type, end);
  walker.at = end;
  if ((rclass & ~TOP) !== IN) return;
  const data = known ? readData(type, copy, lengthAt, end) : new Uint8Array(copy.subarray(start, end));
  // A lifetime of more than 31 bits is none (RFC 2181, section 8).
  const record: DnsRecord = { name, type, ttl: ttl > 0x7fffffff ? 0 : ttl, data };
  if (rclass >= TOP) record.flush = true;
  section.push(record);
}

function readName(walker: Walker, copy: Buffer): string {
  return walker.name().map(([at, length]) => toText(decoder.decode(copy.subarray(at, at + length)))).join(
    ".",
  );
}

/** @param lengthAt Where the data's length stands. */
function readData(type: string, copy: Buffer, lengthAt: number, end: number): RecordData {
  if (type === "A" || type === "AAAA") {
    const view = new DataView(copy.buffer, copy.byteOffset, copy.byteLength);
    return IpAddress.read(type === "A" ? 4 : 6, view, lengthAt + 2).toString();
  }
  if (type === "HINFO" || type === "ANY") return new Uint8Array(copy.subarray(lengthAt + 2, end));
  const data = library.record(type).decode(copy, lengthAt);
  if (typeof data === "string") return nameOf(data);
  // Buffers may be parts of the message, which is not to be kept for them.
  if (Array.isArray(data)) return data.map((part: Uint8Array) => new Uint8Array(part));
  const fields = data as Record<string, unknown>;
  for (const key of ["exchange", "target", "mname", "replacement", "nextDomain"]) {
    if (typeof fields[key] === "string") fields[key] = nameOf(fields[key]);
  }
  // The library has escaped the dots of a mailbox's first label where it has seen any, and has seen none.
  if (typeof fields["rname"] === "string") fields["rname"] = nameOf(fields["rname"]);
  if (type === "NSEC") {
    const rrtypes = (fields as unknown as NsecData).rrtypes.map((text) => text.replace(/^UNKNOWN_/, "TYPE"));
    return { nextDomain: fields["nextDomain"] as string, rrtypes };
  }
  return fields as unknown as RecordData;
}

/** A name of the library's in the form of `names.ts`. */
function nameOf(text: string): string {
  return text === "." ? "" : toText(text);
}

function toText(text: string): string {
  const escaped = text.includes("\\") ? text.replaceAll("\\", "\\\\") : text;
  return escaped.includes("\x01") ? escaped.replaceAll("\x01", "\\.") : escaped;
}

/** A name in the form that the library cuts into labels. */
function fromText(name: string): string {
  if (name === "") return ".";
  return name.includes("\\")
    ? name.replace(/\\(.)/g, (_, character) => character === "." ? "\x01" : character)
    : name;
}

/** What {@link encodeMessage} takes. */
export interface OutgoingMessage {
  /** Default 0. */
  id?: number;
  /** Whether it answers. */
  response?: boolean;
  /** For an answer of multicast DNS. */
  authoritative?: boolean;
  /** Whether more follows. */
  truncated?: boolean;
  /** Asks the server to look further. */
  recursionDesired?: boolean;
  /** How it went; 0 to 15. */
  rcode?: number;
  /** What is asked. Names have passed `checkName`. */
  questions?: readonly DnsQuestion[];
  /** What answers. */
  answers?: readonly DnsRecord[];
  /** Who speaks for it. */
  authorities?: readonly DnsRecord[];
  /** What else. */
  additionals?: readonly DnsRecord[];
  /** Bytes of an answer that may come, told by EDNS. Default: EDNS is not used. */
  edns?: number;
}

/**
 * Makes the bytes of a message.
 *
 * @param message Its names fit (see `checkName`), and its types are among `TYPES`.
 * @returns The bytes, without compression of names.
 */
export function encodeMessage(message: OutgoingMessage): Bytes {
  const { questions = [], answers = [], authorities = [], additionals = [], edns } = message;
  const flags = (message.authoritative ? AUTHORITATIVE : 0) | (message.truncated ? TRUNCATED : 0) |
    (message.recursionDesired ? RECURSE : 0) | (message.rcode ?? 0);
  const buffer = library.encode({
    type: message.response ? "response" : "query",
    id: message.id ?? 0,
    flags,
    questions: questions.map(({ name, type }) => ({
      name: fromText(name),
      type: libraryType(type),
      class: "IN",
    })),
    answers: answers.map(toLibrary),
    authorities: authorities.map(toLibrary),
    additionals: [
      ...additionals.map(toLibrary),
      ...(edns === undefined
        ? []
        : [{ type: "OPT", name: ".", udpPayloadSize: edns, flags: 0, options: [] }]),
    ],
  });
  const bytes = new Uint8Array(buffer);
  finish(bytes, questions);
  return bytes;
}

function libraryType(type: string): string {
  return type in TYPES ? type : `UNKNOWN_${typeNumber(type)}`;
}

function toLibrary(record: DnsRecord): unknown {
  const { name, type, ttl, data, flush = false } = record;
  return { name: fromText(name), type, ttl, class: "IN", flush, data: toLibraryData(type, data) };
}

function toLibraryData(type: string, data: RecordData): unknown {
  if (typeof data === "string") return type === "A" || type === "AAAA" ? data : fromText(data);
  if (data instanceof Uint8Array) return Buffer.from(data);
  if (Array.isArray(data)) return data.map((part) => Buffer.from(part));
  const fields: Record<string, unknown> = { ...data };
  for (const key of ["exchange", "target", "mname", "rname", "replacement", "nextDomain"]) {
    if (typeof fields[key] === "string") fields[key] = fromText(fields[key]);
  }
  return fields;
}

/** Puts right what the library can't say: dots within labels, unicast answers, and types that it has no name for. */
function finish(bytes: Uint8Array, questions: readonly DnsQuestion[]): void {
  const view = new DataView(bytes.buffer);
  let at = 12;
  const name = () => {
    while (bytes[at] !== 0) {
      const end = at + 1 + bytes[at]!;
      for (let i = at + 1; i < end; i++) if (bytes[i] === DOT) bytes[i] = 0x2e;
      at = end;
    }
    at++;
  };
  for (const { type, unicast } of questions) {
    name();
    view.setUint16(at, typeNumber(type));
    view.setUint16(at + 2, IN | (unicast ? TOP : 0));
    at += 4;
  }
  const records = view.getUint16(6) + view.getUint16(8) + view.getUint16(10);
  for (let i = 0; i < records; i++) {
    name();
    const type = typeName(view.getUint16(at));
    const end = at + 10 + view.getUint16(at + 8);
    at += 10;
    const skip = NAME_OFFSETS[type];
    if (skip !== undefined) {
      at += skip;
      name();
      if (type === "SOA") name();
    }
    at = end;
  }
}

/** Bytes in front of the name in a record's data. */
const NAME_OFFSETS: Readonly<Record<string, number>> = {
  CNAME: 0,
  DNAME: 0,
  NS: 0,
  PTR: 0,
  MX: 2,
  SRV: 6,
  SOA: 0,
  NSEC: 0,
};
