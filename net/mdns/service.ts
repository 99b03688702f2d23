/**
 * Services on the link (DNS-SD, RFC 6763): what applications tell of theirs, and what they hear of others'.
 *
 * @module
 */

import type { ServicePublication } from "./publication.ts";

/** A service of ours, as `Network.advertise` takes it. */
export interface AdvertiseOptions {
  /** What people see, up to 63 bytes of anything; a number is added when another host has the name. */
  name: string;
  /** What it speaks, as `_http._tcp`. */
  type: string;
  /** Where it listens, 1 to 65535. */
  port: number;
  /** What else is to be known; true for a key without value. At most 1,300 bytes together. */
  txt?: Readonly<Record<string, string | Uint8Array | true>>;
  /** Under which names it can be found too, as `_printer`. */
  subtypes?: readonly string[];
  /** Gives up, or takes the service back. */
  signal?: AbortSignal;
}

/** A service that was found. */
export interface Service {
  /** What people see. */
  readonly name: string;
  /** What it speaks, as `_http._tcp`. */
  readonly type: string;
  /** The host's name, for `connect`. */
  readonly hostname: string;
  /** Where it listens. */
  readonly port: number;
  /** What else is known of it; true for a key without value. */
  readonly txt: Readonly<Record<string, string | true>>;
  /** The interface by which it was heard. */
  readonly interface: string;
}

/** What browsing yields. */
export interface ServiceEvent {
  /** A service has come, has told something else, or has gone. */
  readonly kind: "found" | "changed" | "lost";
  /** The service as it is, or was. */
  readonly service: Service;
}

/** Bytes of everything in `txt`. */
const MOST_TXT = 1300;

const encoder = new TextEncoder(), decoder = new TextDecoder();

/** A service that is being told of. */
export class Advertisement implements Disposable {
  readonly #publication: ServicePublication;
  readonly #end: () => void;
  #ended = false;

  /** @internal `Network.advertise` makes it. */
  constructor(publication: ServicePublication, end: () => void) {
    this.#publication = publication;
    this.#end = end;
  }

  /** What people see: as it was asked for, or with a number. It can still change when networks are joined. */
  get name(): string {
    return this.#publication.label;
  }

  /** Takes the service back. Idempotent. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#end();
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Makes sure that `type` is one. @throws {TypeError} It is not. */
export function checkServiceType(type: string): string {
  const lower = type.toLowerCase().replace(/\.local\.?$/, "");
  if (!/^_[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?\._(tcp|udp)$/.test(lower)) {
    throw new TypeError(`Cannot use "${type}" as a type of service: write it as _http._tcp`);
  }
  return lower;
}

/** The strings of a TXT record (RFC 6763, section 6). @throws {TypeError} A key or value that can't be told. */
export function encodeTxt(txt: AdvertiseOptions["txt"]): Uint8Array[] {
  const strings: Uint8Array[] = [];
  let total = 0;
  for (const [key, value] of Object.entries(txt ?? {})) {
    if (!/^[\x20-\x3c\x3e-\x7e]+$/.test(key)) {
      throw new TypeError(`Cannot use "${key}" as a key of a TXT record`);
    }
    const bytes = typeof value === "string" ? encoder.encode(value) : value;
    const head = encoder.encode(bytes === true ? key : `${key}=`);
    const text = bytes === true ? head : Uint8Array.from([...head, ...bytes]);
    if (text.length > 255) {
      throw new TypeError(`Cannot tell "${key}": it has more than 255 bytes with its value`);
    }
    strings.push(text);
    total += text.length + 1;
  }
  if (total > MOST_TXT) {
    throw new TypeError(`Cannot tell ${total} bytes of TXT: at most ${MOST_TXT} fit in a packet`);
  }
  return strings;
}

/** What the strings of a TXT record say; the first of equal keys counts (section 6.4). */
export function decodeTxt(strings: readonly Uint8Array[]): Record<string, string | true> {
  const txt: Record<string, string | true> = Object.create(null);
  for (const string of strings) {
    const text = decoder.decode(string), at = text.indexOf("=");
    const key = at < 0 ? text : text.slice(0, at);
    if (key !== "" && !(key in txt)) txt[key] = at < 0 ? true : text.slice(at + 1);
  }
  return txt;
}
