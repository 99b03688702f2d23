/**
 * Signed segments (RFC 2385): a digest over addresses, header, payload and a key that both sides know, in an option of every
 * segment. BGP and LDP speakers ask for it. MD5 is weak; it keeps blind attackers out, not those who can see the traffic.
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import type { Packet } from "../packet.ts";
import * as wire from "../wire/tcp.ts";
import type { TcpConnection } from "./connection.ts";
import { DIGEST_LENGTH, Md5 } from "./md5.ts";

/** Most bytes of a key (as Linux). */
export const MAX_KEY = 80;
/** Bytes of the option, with the padding in front of it. */
export const SIGNATURE_OPTION = 20;
/** NOP, NOP, kind, 18. */
const OPTION_WORD = 0x01010000 | wire.OPTION_MD5 << 8 | 2 + DIGEST_LENGTH;
/** Keys of one table, unless it says otherwise. */
const DEFAULT_LIMIT = 1024;

interface Entry {
  address: IpAddress;
  /** Bits of the address that count. */
  prefix: number;
  key: Uint8Array<ArrayBuffer>;
}

/** The keys of a listener, or of who connects, by the addresses of peers. */
export class SignatureKeys {
  /** The longest prefix first. */
  readonly #entries: Entry[] = [];
  readonly #limit: number;

  /**
   * An empty table.
   * @param limit Most keys. Default 1024.
   */
  constructor(limit: number = DEFAULT_LIMIT) {
    this.#limit = limit;
  }

  /** Keys in it. */
  get size(): number {
    return this.#entries.length;
  }

  /**
   * Sets the key of a peer, or of all peers of a network, whose segments must be signed with it from now on.
   * @param key 1 to 80 bytes. @param prefix Bits of the address that count. Default: all.
   * @throws {RangeError} A key or prefix that can't be, or one key too many.
   */
  set(address: IpAddress, key: Uint8Array, prefix: number = width(address)): void {
    if (key.length < 1 || key.length > MAX_KEY) {
      throw new RangeError(`A key has 1 to ${MAX_KEY} bytes, got ${key.length}`);
    }
    if (!Number.isInteger(prefix) || prefix < 0 || prefix > width(address)) {
      throw new RangeError(`A prefix has 0 to ${width(address)} bits, got ${prefix}`);
    }
    const copy = Uint8Array.from(key);
    const known = this.#index(address, prefix);
    if (known >= 0) {
      this.#entries[known]!.key = copy;
      return;
    }
    if (this.#entries.length >= this.#limit) {
      throw new RangeError(`Too many keys: the limit is ${this.#limit}`);
    }
    this.#entries.push({ address, prefix, key: copy });
    this.#entries.sort((a, b) => b.prefix - a.prefix);
  }

  /** Takes a key back. @returns Whether there was one of exactly this address and prefix. */
  delete(address: IpAddress, prefix: number = width(address)): boolean {
    const known = this.#index(address, prefix);
    if (known >= 0) this.#entries.splice(known, 1);
    return known >= 0;
  }

  /** The key for a peer, that of the longest prefix; null where its segments are not signed. */
  find(address: IpAddress): Uint8Array<ArrayBuffer> | null {
    for (const entry of this.#entries) {
      if (agree(entry.address, address, entry.prefix)) return entry.key;
    }
    return null;
  }

  #index(address: IpAddress, prefix: number): number {
    return this.#entries.findIndex((entry) =>
      entry.prefix === prefix && agree(entry.address, address, prefix)
    );
  }
}

function width(address: IpAddress): number {
  return address.version === 4 ? 32 : 128;
}

/** Whether the first `bits` bits of two addresses are the same. */
function agree(one: IpAddress, other: IpAddress, bits: number): boolean {
  if (one.version !== other.version) return false;
  if (one.version === 4) return same(one.d, other.d, bits);
  return same(one.a, other.a, bits) && same(one.b, other.b, bits - 32) && same(one.c, other.c, bits - 64) &&
    same(one.d, other.d, bits - 96);
}

function same(one: number, other: number, bits: number): boolean {
  return bits <= 0 || (bits >= 32 ? one === other : (one ^ other) >>> 32 - bits === 0);
}

/** Bytes that the signature takes of every header of a connection. */
export function signatureLength(c: TcpConnection): number {
  return c.signatureKey === null ? 0 : SIGNATURE_OPTION;
}

/** Makes and checks signatures. */
export class Signer {
  readonly #md5 = new Md5();
  readonly #header = new Uint8Array(wire.HEADER_LENGTH);
  /** Addresses, protocol and length. */
  readonly #pseudo = new Uint8Array(40);
  readonly #pseudoView = new DataView(this.#pseudo.buffer);
  readonly #result = new Uint8Array(DIGEST_LENGTH);

  /**
   * Signs a segment that is complete but for its checksum: the option comes first, in the 20 bytes behind the header.
   * @param at Where its header begins. @param length Bytes of header and options.
   */
  sign(
    packet: Packet,
    at: number,
    length: number,
    source: IpAddress,
    destination: IpAddress,
    key: Uint8Array,
  ): void {
    const { view, bytes } = packet;
    view.setInt32(at + wire.HEADER_LENGTH, OPTION_WORD);
    const half = source.version === 4 ? 4 : 16;
    source.write(this.#pseudoView, 0);
    destination.write(this.#pseudoView, half);
    const md5 = this.#begin(2 * half, packet.length, bytes, at);
    md5.update(bytes, at + length, packet.end - at - length);
    if (packet.piece0 !== null) md5.update(packet.piece0.bytes, packet.piece0Offset, packet.piece0Length);
    if (packet.piece1 !== null) md5.update(packet.piece1.bytes, packet.piece1Offset, packet.piece1Length);
    md5.update(key, 0, key.length);
    md5.digest(bytes, at + wire.HEADER_LENGTH + 4);
  }

  /**
   * Whether a segment that has come is signed with a key.
   * @param header Bytes of header and options. @param signature Where the digest is.
   */
  verify(packet: Packet, header: number, signature: number, key: Uint8Array): boolean {
    const { bytes, network, transport } = packet;
    const from = network + (packet.version === 4 ? 12 : 8);
    const both = packet.version === 4 ? 8 : 32;
    this.#pseudo.set(bytes.subarray(from, from + both));
    const md5 = this.#begin(both, packet.end - transport, bytes, transport);
    md5.update(bytes, transport + header, packet.end - transport - header);
    md5.update(key, 0, key.length);
    md5.digest(this.#result, 0);
    let differs = 0;
    for (let i = 0; i < DIGEST_LENGTH; i++) differs |= this.#result[i]! ^ bytes[signature + i]!;
    return differs === 0;
  }

  /** Pseudo-header and header without its options and its checksum. */
  #begin(addresses: number, length: number, bytes: Uint8Array, at: number): Md5 {
    const view = this.#pseudoView;
    if (addresses === 8) view.setInt32(addresses, wire.PROTOCOL << 16 | length);
    else {
      view.setInt32(addresses, length);
      view.setInt32(addresses + 4, wire.PROTOCOL);
    }
    for (let i = 0; i < wire.HEADER_LENGTH; i++) this.#header[i] = bytes[at + i]!;
    this.#header[wire.CHECKSUM_OFFSET] = this.#header[wire.CHECKSUM_OFFSET + 1] = 0;
    const md5 = this.#md5;
    md5.begin();
    md5.update(this.#pseudo, 0, addresses + (addresses === 8 ? 4 : 8));
    md5.update(this.#header, 0, wire.HEADER_LENGTH);
    return md5;
  }
}
