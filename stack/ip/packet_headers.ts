/**
 * What a sender adds to the IP headers of its packets: options of IPv4, extension headers of IPv6.
 *
 * @module
 */

import type { Bytes, Packet } from "../packet.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";

/** What {@link PacketHeaders} takes. Each is a list of options as they go over the wire, without padding. */
export interface PacketHeadersOptions {
  /** Options of IPv4 (RFC 791, section 3.1), at most 40 bytes. */
  ipv4Options?: Iterable<number>;
  /** Options of IPv6 for every node on the way (RFC 8200, section 4.3), at most 62 bytes. */
  hopByHop?: Iterable<number>;
  /** Options of IPv6 for the destination alone (RFC 8200, section 4.6), at most 62 bytes. */
  destinationOptions?: Iterable<number>;
}

/** Bytes of IPv4 options, and of an IPv6 header: slots have room for two of those in front. */
const MOST_OPTIONS = 40, MOST_EXTENSION = 64;
/** Options of one byte: the end of IPv4's and its filler, and IPv6's filler. */
const END = 0, FILL = 1, PAD1 = 0, PADN = 1;

/**
 * Options and headers, checked once and sent with many packets: `headers` of a socket or of one datagram. What has them goes in
 * one piece: it is never cut into fragments, nor put together with others in a super-datagram.
 *
 * @example A router alert (RFC 2711; RFC 2113)
 * ```ts
 * import { PacketHeaders } from "@ethox/ethox/stack";
 *
 * const alert = new PacketHeaders({ ipv4Options: [148, 4, 0, 0], hopByHop: [5, 2, 0, 0] });
 * ```
 */
export class PacketHeaders {
  readonly #options: Bytes;
  /** IPv6 headers, the first to the last. */
  readonly #extensions: Bytes;
  readonly #first: number;
  /** Where in {@link #extensions} the last begins, whose first byte names what follows. */
  readonly #last: number;

  /** Checks the form of the options; what they say is the sender's business. @throws {RangeError} They are malformed, or too long. */
  constructor(options: PacketHeadersOptions) {
    this.#options = ipv4Options([...options.ipv4Options ?? []]);
    const hops = extension([...options.hopByHop ?? []]);
    const destination = extension([...options.destinationOptions ?? []]);
    if (hops.length > 0 && destination.length > 0) hops[0] = ipv6.DESTINATION_OPTIONS;
    this.#extensions = Uint8Array.from([...hops, ...destination]);
    this.#first = hops.length > 0 ? ipv6.HOP_BY_HOP : ipv6.DESTINATION_OPTIONS;
    this.#last = destination.length > 0 ? hops.length : 0;
  }

  /** Bytes that packets of an IP version have more. */
  lengthOf(version: 4 | 6): number {
    return version === 4 ? this.#options.length : this.#extensions.length;
  }

  /** @internal Puts the options behind an IPv4 header of 20 bytes, and corrects what they change in it. */
  writeV4(packet: Packet, at: number): void {
    const { view, bytes } = packet;
    const header = ipv4.HEADER_LENGTH + this.#options.length;
    view.setUint8(at, 0x40 | header >> 2);
    bytes.set(this.#options, at + ipv4.HEADER_LENGTH);
    ipv4.writeChecksum(view, at, header);
  }

  /** @internal Pushes the extension headers in front of the transport header. @returns What the IPv6 header has to name. */
  pushV6(packet: Packet, protocol: number): number {
    const length = this.#extensions.length;
    if (length === 0) return protocol;
    const at = packet.push(length);
    packet.bytes.set(this.#extensions, at);
    packet.bytes[at + this.#last] = protocol;
    return this.#first;
  }
}

function ipv4Options(options: number[]): Bytes {
  let at = 0;
  while (at < options.length && options[at] !== END) {
    at += options[at] === FILL ? 1 : lengthAt(options, at, 2, 0);
  }
  check(options, at > options.length, MOST_OPTIONS, "IPv4");
  while (options.length % 4 !== 0) options.push(END);
  return Uint8Array.from(options);
}

function extension(options: number[]): Bytes {
  if (options.length === 0) return new Uint8Array(0);
  let at = 0;
  while (at < options.length) at += options[at] === PAD1 ? 1 : lengthAt(options, at, 0, 2);
  check(options, at > options.length, MOST_EXTENSION - 2, "IPv6");
  const padding = -(options.length + 2) & 7;
  if (padding === 1) options.push(PAD1);
  else if (padding > 1) options.push(PADN, padding - 2, ...new Array<number>(padding - 2).fill(0));
  return Uint8Array.from([0, (options.length + 2) / 8 - 1, ...options]);
}

/** Bytes of the option at `at`; beyond every end when it is malformed. @param least What its length says at least. @param more What it does not count. */
function lengthAt(options: readonly number[], at: number, least: number, more: number): number {
  const length = options[at + 1];
  return length === undefined || length < least ? Infinity : length + more;
}

function check(options: readonly number[], malformed: boolean, most: number, version: string): void {
  if (malformed || options.some((byte) => !Number.isInteger(byte) || byte < 0 || byte > 255)) {
    throw new RangeError(`Options of ${version} are malformed: ${options.join(" ")}`);
  }
  if (options.length > most) {
    throw new RangeError(`Options of ${version} must have at most ${most} bytes, got ${options.length}`);
  }
}
