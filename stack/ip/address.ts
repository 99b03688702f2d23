/**
 * IP addresses and prefixes as the API's edge and the tables hold them. On the packet path addresses are read
 * as 32-bit words straight from the header.
 *
 * @module
 */

import type { Bytes } from "../packet.ts";

/**
 * An IPv4 or IPv6 address. Immutable. Four signed 32-bit words in network order; an IPv4 address is held in its
 * IPv4-mapped form (RFC 4291, section 2.5.5.2), so that tables serve both versions.
 */
export class IpAddress {
  /** 4 or 6. */
  readonly version: 4 | 6;
  /** Bits 0 to 31. */
  readonly a: number;
  /** Bits 32 to 63. */
  readonly b: number;
  /** Bits 64 to 95. */
  readonly c: number;
  /** Bits 96 to 127: the IPv4 address, for version 4. */
  readonly d: number;

  private constructor(version: 4 | 6, a: number, b: number, c: number, d: number) {
    this.version = version;
    this.a = a;
    this.b = b;
    this.c = c;
    this.d = d;
  }

  /**
   * An IPv4 address.
   * @param word The address as a 32-bit number, signed or unsigned.
   */
  static v4(word: number): IpAddress {
    return new IpAddress(4, 0, 0, 0xffff, word | 0);
  }

  /**
   * An IPv6 address.
   * @returns The address made of four 32-bit words in network order.
   */
  static v6(a: number, b: number, c: number, d: number): IpAddress {
    return new IpAddress(6, a | 0, b | 0, c | 0, d | 0);
  }

  /** Reads the 4 or 16 bytes at `offset`. The caller has checked that they are there. */
  static read(version: 4 | 6, view: DataView, offset: number): IpAddress {
    if (version === 4) return IpAddress.v4(view.getInt32(offset));
    return new IpAddress(
      6,
      view.getInt32(offset),
      view.getInt32(offset + 4),
      view.getInt32(offset + 8),
      view.getInt32(offset + 12),
    );
  }

  /**
   * Parses dotted decimal (four parts, no leading zeros) or RFC 4291 text.
   * @throws {TypeError} When `text` is neither.
   */
  static parse(text: string): IpAddress {
    const address = IpAddress.tryParse(text);
    if (address === null) throw new TypeError(`Cannot parse IP address "${text}"`);
    return address;
  }

  /** As {@link parse}, but null instead of an error. */
  static tryParse(text: string): IpAddress | null {
    if (!text.includes(":")) {
      const word = parseDotted(text);
      return word < 0 ? null : IpAddress.v4(word);
    }
    return parseV6(text);
  }

  /** The IPv4 address as an unsigned number. Meaningless for version 6. */
  get number(): number {
    return this.d >>> 0;
  }

  /** True for 0.0.0.0 and ::. */
  get isUnspecified(): boolean {
    return this.d === 0 && (this.version === 4 || (this.a | this.b | this.c) === 0);
  }

  /** True for 224.0.0.0/4 and ff00::/8. */
  get isMulticast(): boolean {
    return this.version === 4 ? this.d >>> 28 === 14 : this.a >>> 24 === 0xff;
  }

  /** True for 127.0.0.0/8 and ::1. */
  get isLoopback(): boolean {
    return this.version === 4
      ? this.d >>> 24 === 127
      : this.a === 0 && this.b === 0 && this.c === 0 && this.d === 1;
  }

  /**
   * Whether both are the same address.
   * @returns Whether both are the same address of the same version.
   */
  equals(other: IpAddress): boolean {
    return this.d === other.d && this.c === other.c && this.b === other.b && this.a === other.a &&
      this.version === other.version;
  }

  /** Whether the 4 or 16 bytes at `offset` are this address. Allocates nothing. */
  isAt(view: DataView, offset: number): boolean {
    if (this.version === 4) return this.d === view.getInt32(offset);
    return this.d === view.getInt32(offset + 12) && this.c === view.getInt32(offset + 8) &&
      this.b === view.getInt32(offset + 4) && this.a === view.getInt32(offset);
  }

  /** True for 169.254.0.0/16 and fe80::/10: good on one link only. */
  get isLinkLocal(): boolean {
    return this.version === 4 ? this.d >>> 16 === 0xa9fe : this.a >>> 22 === 0x3fa;
  }

  /** Writes the 4 or 16 bytes of the address to `view` at `offset`. */
  write(view: DataView, offset: number): void {
    if (this.version === 4) {
      view.setInt32(offset, this.d);
    } else {
      view.setInt32(offset, this.a);
      view.setInt32(offset + 4, this.b);
      view.setInt32(offset + 8, this.c);
      view.setInt32(offset + 12, this.d);
    }
  }

  /** The 4 or 16 bytes in network order. */
  toBytes(): Bytes {
    const bytes = new Uint8Array(this.version === 4 ? 4 : 16);
    this.write(new DataView(bytes.buffer), 0);
    return bytes;
  }

  /** Dotted decimal, or the canonical text of RFC 5952. */
  toString(): string {
    return this.version === 4 ? formatDotted(this.d) : formatV6(this);
  }
}

/** An address with the length of its network prefix, as in `10.0.0.1/24`. Immutable. */
export class Cidr {
  /** The address, host bits included. */
  readonly address: IpAddress;
  /** Bits of the prefix: 0 to 32, or 0 to 128. */
  readonly prefix: number;

  /**
   * Makes the block, with the address as it is.
   * @throws {RangeError} When `prefix` is not a whole number of the version's range.
   */
  constructor(address: IpAddress, prefix: number) {
    const most = address.version === 4 ? 32 : 128;
    if (!Number.isInteger(prefix) || prefix < 0 || prefix > most) {
      throw new RangeError(
        `Cannot use CIDR "${address}/${prefix}": the prefix must be a whole number from 0 to ${most}`,
      );
    }
    this.address = address;
    this.prefix = prefix;
  }

  /**
   * Parses `ADDRESS/PREFIX`; an address alone is its own network (/32 or /128).
   * @throws {TypeError} When `text` has another form. @throws {RangeError} When the prefix is out of range.
   */
  static parse(text: string): Cidr {
    const slash = text.indexOf("/");
    const address = IpAddress.tryParse(slash < 0 ? text : text.slice(0, slash));
    const prefix = slash < 0 ? "" : text.slice(slash + 1);
    if (address === null || (slash >= 0 && !/^(0|[1-9][0-9]{0,2})$/.test(prefix))) {
      throw new TypeError(`Cannot parse CIDR "${text}": expected ADDRESS/PREFIX, for example 10.0.0.2/24`);
    }
    return new Cidr(address, slash < 0 ? (address.version === 4 ? 32 : 128) : Number(prefix));
  }

  /** The mask's word `i` (0 to 3) of the IPv6 or mapped form, signed. */
  maskWord(i: number): number {
    const bits = (this.address.version === 4 ? this.prefix + 96 : this.prefix) - 32 * i;
    return bits >= 32 ? -1 : bits <= 0 ? 0 : -1 << (32 - bits);
  }

  /**
   * Whether the address lies in the network.
   * @returns Whether `address` is of this network.
   */
  contains(address: IpAddress): boolean {
    const own = this.address;
    return own.version === address.version &&
      ((own.d ^ address.d) & this.maskWord(3)) === 0 && ((own.c ^ address.c) & this.maskWord(2)) === 0 &&
      ((own.b ^ address.b) & this.maskWord(1)) === 0 && ((own.a ^ address.a) & this.maskWord(0)) === 0;
  }

  /** Whether the 4 or 16 bytes at `offset` are an address of this network. Allocates nothing. */
  containsAt(view: DataView, offset: number): boolean {
    const own = this.address;
    if (own.version === 4) return ((own.d ^ view.getInt32(offset)) & this.maskWord(3)) === 0;
    return ((own.a ^ view.getInt32(offset)) & this.maskWord(0)) === 0 &&
      ((own.b ^ view.getInt32(offset + 4)) & this.maskWord(1)) === 0 &&
      ((own.c ^ view.getInt32(offset + 8)) & this.maskWord(2)) === 0 &&
      ((own.d ^ view.getInt32(offset + 12)) & this.maskWord(3)) === 0;
  }

  /** The network itself: the address with its host bits cleared. */
  get network(): Cidr {
    const own = this.address;
    const network = own.version === 4 ? IpAddress.v4(own.d & this.maskWord(3)) : IpAddress.v6(
      own.a & this.maskWord(0),
      own.b & this.maskWord(1),
      own.c & this.maskWord(2),
      own.d & this.maskWord(3),
    );
    return new Cidr(network, this.prefix);
  }

  /** The directed broadcast address (RFC 919), or null for IPv6 and for /31 (RFC 3021) and /32. */
  get broadcast(): IpAddress | null {
    if (this.address.version === 6 || this.prefix >= 31) return null;
    return IpAddress.v4(this.address.d | ~this.maskWord(3));
  }

  /** `ADDRESS/PREFIX`. */
  toString(): string {
    return `${this.address}/${this.prefix}`;
  }
}

/** Formats a 32-bit number as dotted decimal. */
export function formatDotted(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** @returns The address as an unsigned number, or -1. */
function parseDotted(text: string): number {
  const parts = text.split(".");
  if (parts.length !== 4) return -1;
  let word = 0;
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return -1;
    word = word * 256 + Number(part);
  }
  return word;
}

function parseV6(text: string): IpAddress | null {
  let rest = text;
  const trailer: number[] = [];
  const dot = rest.lastIndexOf(":");
  if (rest.includes(".")) {
    const word = parseDotted(rest.slice(dot + 1));
    if (word < 0) return null;
    trailer.push(word >>> 16, word & 0xffff);
    rest = rest.slice(0, dot + 1);
    // "::1.2.3.4" keeps its double colon; "1:2:1.2.3.4" loses the one that separated the parts.
    if (!rest.endsWith("::")) rest = rest.slice(0, -1);
  }
  const halves = rest.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!);
  const tail = halves.length === 2 ? parseGroups(halves[1]!) : [];
  if (head === null || tail === null) return null;
  tail.push(...(halves.length === 2 ? trailer : []));
  if (halves.length === 1) head.push(...trailer);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number) => groups[2 * i]! << 16 | groups[2 * i + 1]!;
  return IpAddress.v6(word(0), word(1), word(2), word(3));
}

function parseGroups(text: string): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  for (const group of text.split(":")) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return null;
    groups.push(parseInt(group, 16));
  }
  return groups;
}

/** RFC 5952: lower case, the longest run of two or more zero groups shortened, the first of equals. */
function formatV6(address: IpAddress): string {
  const { a, b, c, d } = address;
  if (a === 0 && b === 0 && c === 0xffff) return `::ffff:${formatDotted(d)}`;
  const groups = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff, c >>> 16, c & 0xffff, d >>> 16, d & 0xffff];
  let best = -1, most = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > most) [best, most] = [i, run];
  }
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (best < 0) return text(groups);
  return `${text(groups.slice(0, best))}::${text(groups.slice(best + most))}`;
}
