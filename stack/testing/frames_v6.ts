/**
 * IPv6 frames for unit tests, built byte by byte.
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import { type Bytes, Region } from "../packet.ts";
import { fold, sum } from "../wire/checksum.ts";

/** What {@link ipv6Frame} takes. */
export interface FrameV6Options {
  /** Default fd00::2. */
  source?: string;
  /** Default fd00::1. */
  destination?: string;
  /** Last byte of the source's link address 02:00:00:00:00:xx. Default 2. */
  from?: number;
  /** Link address it is sent to. Default 02:00:00:00:00:01, or 33:33 and the group. */
  to?: number[];
  /** Default 64. */
  hopLimit?: number;
  /** Extension headers, whole, each with its own next header field; the first has number `first`. */
  extensions?: { first: number; bytes: number[] };
  /** Bytes behind the packet. */
  padding?: number;
}

/** An IPv6 packet in a frame. */
export function ipv6Frame(protocol: number, payload: ArrayLike<number>, options: FrameV6Options = {}): Bytes {
  const { extensions } = options;
  const extra = extensions?.bytes ?? [];
  const length = extra.length + payload.length;
  const bytes = new Uint8Array(54 + length + (options.padding ?? 0));
  const view = new DataView(bytes.buffer);
  const destination = IpAddress.parse(options.destination ?? "fd00::1");
  bytes.set(
    options.to ??
      (destination.isMulticast ? [0x33, 0x33, ...destination.toBytes().subarray(12)] : [2, 0, 0, 0, 0, 1]),
  );
  bytes.set([2, 0, 0, 0, 0, options.from ?? 2, 0x86, 0xdd, 0x60], 6);
  view.setUint16(18, length);
  bytes[20] = extensions?.first ?? protocol;
  bytes[21] = options.hopLimit ?? 64;
  IpAddress.parse(options.source ?? "fd00::2").write(view, 22);
  destination.write(view, 38);
  bytes.set(extra, 54);
  bytes.set(Array.from(payload), 54 + extra.length);
  return bytes;
}

/** A message, segment or datagram with the checksum at `field` filled in, in a frame. */
function checksummed(protocol: number, payload: Uint8Array, field: number, options: FrameV6Options): Bytes {
  const frame = ipv6Frame(protocol, payload, options);
  const at = 54 + (options.extensions?.bytes.length ?? 0);
  const region = new Region(frame.buffer);
  const total = sum(region, 22, 32) + protocol + payload.length + sum(region, at, payload.length);
  region.view.setUint16(at + field, (~fold(total) & 0xffff) || 0xffff);
  return frame;
}

/** An ICMPv6 message in a frame. @param body What follows the checksum. */
export function icmpv6Frame(
  type: number,
  code: number,
  body: ArrayLike<number>,
  options: FrameV6Options = {},
): Bytes {
  return checksummed(58, Uint8Array.from([type, code, 0, 0, ...Array.from(body)]), 2, options);
}

/** A UDP datagram in a frame. */
export function udpFrameV6(
  sourcePort: number,
  destinationPort: number,
  payload: ArrayLike<number>,
  options: FrameV6Options = {},
): Bytes {
  const length = 8 + payload.length;
  const words = [sourcePort, destinationPort, length, 0].flatMap((word) => [word >> 8, word & 255]);
  return checksummed(17, Uint8Array.from([...words, ...Array.from(payload)]), 6, options);
}

/** The 16 bytes of an address. */
export function bytesOf(address: string): number[] {
  return [...IpAddress.parse(address).toBytes()];
}

/** An option with the link address 02:00:00:00:00:xx: 1 of the source, 2 of the target. */
export function linkOption(type: number, mac: number): number[] {
  return [type, 1, 2, 0, 0, 0, 0, mac];
}

/** Whether the checksum of a frame with ICMPv6, TCP or UDP is right. */
export function checksumOkV6(frame: Bytes): boolean {
  const region = new Region(frame.slice().buffer);
  // Behind a hop-by-hop header of 8 bytes, if there is one.
  const at = frame[20] === 0 ? 62 : 54;
  const length = region.view.getUint16(18) - (at - 54);
  const protocol = frame[at === 62 ? 54 : 20]!;
  return fold(sum(region, 22, 32) + protocol + length + sum(region, at, length)) === 0xffff;
}

/** What a frame is, in a few words: source, destination and, for ICMPv6, its type. */
export function describeV6(frame: Bytes): string {
  const { view } = new Region(frame.slice().buffer);
  if (frame[20] === 0 && frame[62] === 143) return `${IpAddress.read(6, view, 22)} report`;
  const type = frame[20] === 58 ? ` ${NAMES[frame[54]!] ?? frame[54]}` : ` protocol ${frame[20]}`;
  const target = frame[54] === 135 || frame[54] === 136 ? ` ${IpAddress.read(6, view, 62)}` : "";
  return `${IpAddress.read(6, view, 22)} > ${IpAddress.read(6, view, 38)}${type}${target}`;
}

const NAMES: Record<number, string> = {
  1: "unreachable",
  2: "too big",
  3: "time exceeded",
  4: "parameter problem",
  128: "echo",
  129: "echo reply",
  133: "router?",
  134: "router",
  135: "who has",
  136: "is at",
};
