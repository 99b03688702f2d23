/**
 * How many connections each source address has with a listener: an IPv4 address, or the /64 of an IPv6 one, which is
 * what one subscriber gets (RFC 6177).
 *
 * @module
 */

import type { KeyedHash } from "../hash.ts";
import type { IpAddress } from "../ip/address.ts";

/** What one source may have at a time with one listener. */
export interface SourceLimits {
  /** Most connections, in whatever state. SYNs beyond are dropped. Default: no limit. */
  connections?: number;
  /** Most handshakes that are kept. SYNs beyond are answered with cookies. Default: no limit. */
  halfOpen?: number;
}

/** Counts by source. Open addressing: as many entries as sources that have a connection, which is bounded by those. */
export class SourceCounts {
  readonly #hash: KeyedHash;
  /** Most connections of a source. */
  readonly connections: number;
  /** Most handshakes of a source. */
  readonly halfOpen: number;
  // Keys: the address's version, and its first 32 or 64 bits. Version 0 is a free place.
  #versions = new Uint8Array(16);
  #high = new Int32Array(16);
  #low = new Int32Array(16);
  #all = new Int32Array(16);
  #half = new Int32Array(16);
  #mask = 15;
  /** Sources that have a connection. */
  size = 0;

  /** @param hash The stack's secret. */
  constructor(hash: KeyedHash, limits: SourceLimits) {
    this.#hash = hash;
    this.connections = limits.connections ?? Infinity;
    this.halfOpen = limits.halfOpen ?? Infinity;
  }

  /** Whether a source may have one more connection. */
  hasRoom(source: IpAddress): boolean {
    const i = this.#find(source);
    return (this.#versions[i] === 0 ? 0 : this.#all[i]!) < this.connections;
  }

  /** Whether a source may have one more handshake. */
  hasHalfOpenRoom(source: IpAddress): boolean {
    const i = this.#find(source);
    return (this.#versions[i] === 0 ? 0 : this.#half[i]!) < this.halfOpen;
  }

  /** Counts a connection, whose handshake is under way. */
  add(source: IpAddress): void {
    let i = this.#find(source);
    if (this.#versions[i] === 0) {
      if (2 * ++this.size > this.#mask) {
        this.#grow();
        i = this.#find(source);
      }
      this.#versions[i] = source.version;
      this.#high[i] = highOf(source);
      this.#low[i] = lowOf(source);
      this.#all[i] = this.#half[i] = 0;
    }
    this.#all[i]!++;
    this.#half[i]!++;
  }

  /** The handshake of a connection that was counted is over. */
  established(source: IpAddress): void {
    const i = this.#find(source);
    if (this.#versions[i] !== 0) this.#half[i]!--;
  }

  /** A connection that was counted is gone. @param halfOpen Its handshake was never over. */
  remove(source: IpAddress, halfOpen: boolean): void {
    const i = this.#find(source);
    if (this.#versions[i] === 0) return;
    if (halfOpen) this.#half[i]!--;
    if (--this.#all[i]! === 0) this.#free(i);
  }

  /** The place of a source, or the free one where it belongs. */
  #find(source: IpAddress): number {
    const { version } = source, high = highOf(source), low = lowOf(source);
    let i = this.#hash.words3(high, low, version) & this.#mask;
    while (
      this.#versions[i] !== 0 &&
      !(this.#versions[i] === version && this.#high[i] === high && this.#low[i] === low)
    ) i = i + 1 & this.#mask;
    return i;
  }

  #home(i: number): number {
    return this.#hash.words3(this.#high[i]!, this.#low[i]!, this.#versions[i]!) & this.#mask;
  }

  /** Frees a place, and moves up what it had displaced. */
  #free(i: number): void {
    const mask = this.#mask;
    this.size--;
    for (let j = i + 1 & mask; this.#versions[j] !== 0; j = j + 1 & mask) {
      if ((j - this.#home(j) & mask) < (j - i & mask)) continue;
      this.#move(j, i);
      i = j;
    }
    this.#versions[i] = 0;
  }

  #move(from: number, to: number): void {
    this.#versions[to] = this.#versions[from]!;
    this.#high[to] = this.#high[from]!;
    this.#low[to] = this.#low[from]!;
    this.#all[to] = this.#all[from]!;
    this.#half[to] = this.#half[from]!;
  }

  #grow(): void {
    const versions = this.#versions, high = this.#high, low = this.#low, all = this.#all, half = this.#half;
    const places = 2 * versions.length;
    this.#mask = places - 1;
    this.#versions = new Uint8Array(places);
    this.#high = new Int32Array(places);
    this.#low = new Int32Array(places);
    this.#all = new Int32Array(places);
    this.#half = new Int32Array(places);
    for (let from = 0; from < versions.length; from++) {
      const version = versions[from]!;
      if (version === 0) continue;
      let i = this.#hash.words3(high[from]!, low[from]!, version) & this.#mask;
      while (this.#versions[i] !== 0) i = i + 1 & this.#mask;
      this.#versions[i] = version;
      this.#high[i] = high[from]!;
      this.#low[i] = low[from]!;
      this.#all[i] = all[from]!;
      this.#half[i] = half[from]!;
    }
  }
}

function highOf(source: IpAddress): number {
  return source.version === 4 ? source.d : source.a;
}

function lowOf(source: IpAddress): number {
  return source.version === 4 ? 0 : source.b;
}
