/**
 * The cookies of Fast Open: those that we make as a server, and those that servers gave us (RFC 7413, sections 4.1.2
 * and 4.1.3).
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import { sipHash } from "../siphash.ts";
import type { TcpOptions } from "../wire/tcp.ts";

/** Bytes of a cookie that we make. */
export const COOKIE_LENGTH = 8;

/** What a cookie that a peer shows is worth. */
export enum CookieVerdict {
  /** Not ours, or made with a key that is gone. */
  Wrong,
  /** Made with the key in use. */
  Right,
  /** Made with the key before: the peer gets a new one. */
  Old,
}

/** Makes and judges the cookies of a server: SipHash of both addresses, as Linux makes them, under a key that can change. */
export class ServerCookies {
  readonly #random: () => number;
  #key: Uint8Array;
  #previous: Uint8Array | null = null;
  /** Both addresses: 8 bytes or 32. */
  readonly #addresses = new DataView(new ArrayBuffer(32));

  /** Takes a random key. @param random Gives 32-bit words of secret. */
  constructor(random: () => number) {
    this.#random = random;
    this.#key = this.#freshKey();
  }

  #freshKey(): Uint8Array {
    return new Uint8Array(Int32Array.from({ length: 4 }, () => this.#random()).buffer);
  }

  /** The key in use, 16 bytes. */
  get key(): Uint8Array {
    return Uint8Array.from(this.#key);
  }

  /**
   * Takes a new key for the cookies to come; those made with the key before stay good until the next change.
   * @param key 16 bytes; random ones by default. Servers behind one address share it.
   */
  rotate(key: Uint8Array = this.#freshKey()): void {
    this.setKeys(key, this.#key);
  }

  /**
   * Sets both keys at once.
   * @param key 16 bytes. @param previous The same; null for none: cookies made before are worth nothing.
   * @throws {RangeError} A key of another length.
   */
  setKeys(key: Uint8Array, previous: Uint8Array | null = null): void {
    if (key.length !== 16) throw new RangeError(`Key must have 16 bytes, got ${key.length}`);
    if (previous !== null && previous.length !== 16) {
      throw new RangeError(`Key must have 16 bytes, got ${previous.length}`);
    }
    this.#key = Uint8Array.from(key);
    this.#previous = previous === null ? null : Uint8Array.from(previous);
  }

  /** The cookie for a client. @param remote The client's address. */
  make(remote: IpAddress, local: IpAddress): Uint8Array<ArrayBuffer> {
    return this.#cookie(this.#key, remote, local);
  }

  /** @internal Judges the cookie in `options`. @param remote The client's address. */
  judge(options: TcpOptions, remote: IpAddress, local: IpAddress): CookieVerdict {
    if (options.fastOpen !== COOKIE_LENGTH) return CookieVerdict.Wrong;
    if (equal(this.#cookie(this.#key, remote, local), options.cookie)) return CookieVerdict.Right;
    if (this.#previous !== null && equal(this.#cookie(this.#previous, remote, local), options.cookie)) {
      return CookieVerdict.Old;
    }
    return CookieVerdict.Wrong;
  }

  #cookie(key: Uint8Array, remote: IpAddress, local: IpAddress): Uint8Array<ArrayBuffer> {
    const view = this.#addresses;
    const length = remote.version === 4 ? 4 : 16;
    remote.write(view, 0);
    local.write(view, length);
    return sipHash(key, new Uint8Array(view.buffer, 0, 2 * length));
  }
}

/** Whether a cookie is the one that was shown. Looks at every byte, so that time does not tell how many were right. */
function equal(cookie: Uint8Array, shown: Uint8Array): boolean {
  let different = 0;
  for (let i = 0; i < COOKIE_LENGTH; i++) different |= cookie[i]! ^ shown[i]!;
  return different === 0;
}

/** What a client remembers of one server. */
export interface ServerMemory {
  /** The server's cookie; null when it never gave one. */
  cookie: Uint8Array<ArrayBuffer> | null;
  /** The cookie goes under the experiment's number. */
  experimental: boolean;
  /** The server's MSS. */
  mss: number;
  /** A request under the option's own kind was not answered: 1, the experiment's is tried next; 2, neither was. */
  tried: 0 | 1 | 2;
}

/** Servers that are remembered, at most. */
const MOST_SERVERS = 1024;

/** The cookies that servers gave us, by both addresses; at the limit the one that was used least lately goes. */
export class ClientCookies {
  readonly #servers = new Map<string, ServerMemory>();
  readonly #limit: number;

  /** Knows nobody. @param limit Most servers, at least 1. Default 1024. */
  constructor(limit: number = MOST_SERVERS) {
    this.#limit = limit;
  }

  /** Servers that are remembered. */
  get size(): number {
    return this.#servers.size;
  }

  /** What is known of a server. */
  get(local: IpAddress, remote: IpAddress): ServerMemory | null {
    const key = `${local}>${remote}`;
    const memory = this.#servers.get(key);
    if (memory === undefined) return null;
    this.#servers.delete(key);
    this.#servers.set(key, memory);
    return memory;
  }

  /** What is to be known of a server: made where nothing is. */
  take(local: IpAddress, remote: IpAddress): ServerMemory {
    const known = this.get(local, remote);
    if (known !== null) return known;
    if (this.#servers.size >= this.#limit) this.#servers.delete(this.#servers.keys().next().value!);
    const memory: ServerMemory = { cookie: null, experimental: false, mss: 0, tried: 0 };
    this.#servers.set(`${local}>${remote}`, memory);
    return memory;
  }

  /** Forgets everything. */
  clear(): void {
    this.#servers.clear();
  }
}
