/**
 * Keyed hashes of a few words, so that nobody outside can choose what meets in one place of a table:
 * HalfSipHash (Aumasson and Bernstein, 2012) over 32-bit words.
 *
 * @module
 */

import type { IpAddress } from "./ip/address.ts";
import type { Packet } from "./packet.ts";

/**
 * HalfSipHash with two secret words. One word is one block; there is no length block, so inputs of different
 * lengths are told apart by a last word that says so. All results are signed 32-bit numbers.
 */
export class KeyedHash {
  readonly #key0: number;
  readonly #key1: number;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;

  /**
   * Takes its key from `random`.
   * @param random Gives two words of secret.
   */
  constructor(random: () => number) {
    this.#key0 = random() | 0;
    this.#key1 = random() | 0;
  }

  /** Hash of one word, for tables. */
  words1(a: number): number {
    this.#begin();
    this.#block1(a);
    return this.#finish1(1);
  }

  /** Hash of two words, for tables. */
  words2(a: number, b: number): number {
    this.#begin();
    this.#block1(a);
    this.#block1(b);
    return this.#finish1(2);
  }

  /** Hash of three words, for tables. */
  words3(a: number, b: number, c: number): number {
    this.#begin();
    this.#block1(a);
    this.#block1(b);
    this.#block1(c);
    return this.#finish1(3);
  }

  /** Hash of an address, for tables. */
  address(address: IpAddress): number {
    if (address.version === 4) return this.words1(address.d);
    this.#begin();
    this.#blockAddress(address);
    return this.#finish1(4);
  }

  /** As {@link address}, of the IPv6 address whose 16 bytes are at `at`. */
  addressAt(view: DataView, at: number): number {
    this.#begin();
    for (let i = at; i < at + 16; i += 4) this.#block1(view.getInt32(i));
    return this.#finish1(4);
  }

  /** Hash of two IPv6 addresses, for tables. */
  addresses(one: IpAddress, other: IpAddress): number {
    this.#begin();
    this.#blockAddress(one);
    this.#blockAddress(other);
    return this.#finish1(8);
  }

  /** As {@link addresses}, of the 16 bytes each at `one` and `other`. */
  addressesAt(view: DataView, one: number, other: number): number {
    this.#begin();
    for (let i = one; i < one + 16; i += 4) this.#block1(view.getInt32(i));
    for (let i = other; i < other + 16; i += 4) this.#block1(view.getInt32(i));
    return this.#finish1(8);
  }

  /**
   * Hash of a flow seen from our side, for tables. Equal to {@link packet} of a packet the peer sends.
   * @param ports Ours in the upper half, the peer's in the lower.
   */
  flow(local: IpAddress, remote: IpAddress, ports: number): number {
    if (local.version === 4) return this.words3(local.d, remote.d, ports);
    this.#begin();
    this.#blockAddress(local);
    this.#blockAddress(remote);
    this.#block1(ports);
    return this.#finish1(9);
  }

  /** Hash of the flow that a received packet belongs to; its transport header begins with two ports. */
  packet(packet: Packet): number {
    const { view, network, transport } = packet;
    const ports = view.getUint16(transport + 2) << 16 | view.getUint16(transport);
    if (packet.version === 4) {
      return this.words3(view.getInt32(network + 16), view.getInt32(network + 12), ports);
    }
    this.#begin();
    for (let i = 24; i < 40; i += 4) this.#block1(view.getInt32(network + i));
    for (let i = 8; i < 24; i += 4) this.#block1(view.getInt32(network + i));
    this.#block1(ports);
    return this.#finish1(9);
  }

  /**
   * The stronger variant (2 rounds a word, 4 at the end) of the same flow: a secret function of the connection's
   * identity, as RFC 6528 wants for initial sequence numbers and RFC 6056 for port offsets.
   * @param domain Tells uses apart, 0 to 255.
   */
  strongFlow(local: IpAddress, remote: IpAddress, ports: number, domain: number): number {
    this.#begin();
    this.#block2(local.a);
    this.#block2(local.b);
    this.#block2(local.c);
    this.#block2(local.d);
    this.#block2(remote.a);
    this.#block2(remote.b);
    this.#block2(remote.c);
    this.#block2(remote.d);
    this.#block2(ports);
    this.#block2(domain);
    this.#v2 ^= 0xff;
    this.#round();
    this.#round();
    this.#round();
    this.#round();
    return this.#v1 ^ this.#v3;
  }

  #begin(): void {
    this.#v0 = this.#key0;
    this.#v1 = this.#key1;
    this.#v2 = 0x6c796765 ^ this.#key0;
    this.#v3 = 0x74656462 ^ this.#key1;
  }

  #blockAddress(address: IpAddress): void {
    this.#block1(address.a);
    this.#block1(address.b);
    this.#block1(address.c);
    this.#block1(address.d);
  }

  #block1(word: number): void {
    this.#v3 ^= word;
    this.#round();
    this.#v0 ^= word;
  }

  #block2(word: number): void {
    this.#v3 ^= word;
    this.#round();
    this.#round();
    this.#v0 ^= word;
  }

  #finish1(words: number): number {
    this.#block1(words << 26);
    this.#v2 ^= 0xff;
    this.#round();
    this.#round();
    this.#round();
    return this.#v1 ^ this.#v3;
  }

  #round(): void {
    let v0 = this.#v0, v1 = this.#v1, v2 = this.#v2, v3 = this.#v3;
    v0 = (v0 + v1) | 0;
    v1 = (v1 << 5 | v1 >>> 27) ^ v0;
    v0 = v0 << 16 | v0 >>> 16;
    v2 = (v2 + v3) | 0;
    v3 = (v3 << 8 | v3 >>> 24) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = (v3 << 7 | v3 >>> 25) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = (v1 << 13 | v1 >>> 19) ^ v2;
    v2 = v2 << 16 | v2 >>> 16;
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
