/**
 * Frames for unit tests, built byte by byte.
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import { type Bytes, Region } from "../packet.ts";
import { fold, sum } from "../wire/checksum.ts";

/** What {@link ipv4Frame} takes. */
export interface FrameOptions {
  /** Default 10.0.0.2. */
  source?: string;
  /** Default 10.0.0.1. */
  destination?: string;
  /** Last byte of the source's link address 02:00:00:00:00:xx. Default 2. */
  from?: number;
  /** Link address it is sent to. Default 02:00:00:00:00:01. */
  to?: number[];
  /** Flags and fragment offset. Default 0. */
  fragment?: number;
  /** Options of the IP header, a multiple of 4 bytes. */
  options?: number[];
  /** Bytes behind the packet. */
  padding?: number;
  /** Default 64. */
  ttl?: number;
}

/** An IPv4 packet in a frame. */
export function ipv4Frame(protocol: number, payload: ArrayLike<number>, options: FrameOptions = {}): Bytes {
  const extra = options.options ?? [];
  const header = 20 + extra.length;
  const region = new Region(new ArrayBuffer(14 + header + payload.length + (options.padding ?? 0)));
  const { bytes, view } = region;
  bytes.set(options.to ?? [2, 0, 0, 0, 0, 1]);
  bytes.set([2, 0, 0, 0, 0, options.from ?? 2, 8, 0], 6);
  view.setUint8(14, 0x40 | header / 4);
  view.setUint16(16, header + payload.length);
  view.setUint16(20, options.fragment ?? 0);
  view.setUint8(22, options.ttl ?? 64);
  view.setUint8(23, protocol);
  IpAddress.parse(options.source ?? "10.0.0.2").write(view, 26);
  IpAddress.parse(options.destination ?? "10.0.0.1").write(view, 30);
  bytes.set(extra, 34);
  view.setUint16(24, ~sum(region, 14, header));
  bytes.set(Array.from(payload), 14 + header);
  return bytes;
}

/** A UDP datagram in a frame, with its checksum unless `checksum` is given. */
export function udpFrame(
  sourcePort: number,
  destinationPort: number,
  payload: ArrayLike<number>,
  options: FrameOptions & { checksum?: number; length?: number } = {},
): Bytes {
  const length = options.length ?? 8 + payload.length;
  const datagram = new Uint8Array(8 + payload.length);
  datagram.set([sourcePort >> 8, sourcePort & 255, destinationPort >> 8, destinationPort & 255]);
  datagram.set([length >> 8, length & 255], 4);
  datagram.set(Array.from(payload), 8);
  const frame = ipv4Frame(17, datagram, options);
  const at = 34 + (options.options?.length ?? 0);
  const region = new Region(frame.buffer);
  const computed = ~fold(sum(region, 26, 8) + 17 + length + sum(region, at, datagram.length)) & 0xffff;
  region.view.setUint16(at + 6, options.checksum ?? (computed || 0xffff));
  return frame;
}

/** An ICMP message in a frame, with its checksum. */
export function icmpFrame(
  type: number,
  code: number,
  rest: number,
  payload: ArrayLike<number>,
  options: FrameOptions = {},
): Bytes {
  const region = new Region(new ArrayBuffer(8 + payload.length));
  region.view.setUint8(0, type);
  region.view.setUint8(1, code);
  region.view.setInt32(4, rest);
  region.bytes.set(Array.from(payload), 8);
  region.view.setUint16(2, ~sum(region, 0, region.bytes.length));
  return ipv4Frame(1, region.bytes, options);
}

/** An ARP message in a frame. Addresses are dotted, link addresses are the last byte of 02:00:00:00:00:xx. */
export function arpFrame(
  operation: number,
  senderMac: number,
  sender: string,
  targetMac: number,
  target: string,
  to: number[] = [255, 255, 255, 255, 255, 255],
): Bytes {
  const bytes = new Uint8Array(42);
  const view = new DataView(bytes.buffer);
  bytes.set(to);
  bytes.set([2, 0, 0, 0, 0, senderMac, 8, 6, 0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, senderMac], 6);
  IpAddress.parse(sender).write(view, 28);
  if (targetMac > 0) bytes.set([2, 0, 0, 0, 0, targetMac], 32);
  IpAddress.parse(target).write(view, 38);
  return bytes;
}

/** Whether the checksums of an IPv4 frame with UDP, TCP or ICMP are right. */
export function checksumsOk(frame: Bytes): boolean {
  const region = new Region(frame.slice().buffer);
  const { view } = region;
  const header = (view.getUint8(14) & 15) * 4;
  const length = view.getUint16(16) - header;
  const at = 14 + header;
  const protocol = view.getUint8(23);
  if (sum(region, 14, header) !== 0xffff) return false;
  if (protocol === 1) return sum(region, at, length) === 0xffff;
  return fold(sum(region, 26, 8) + protocol + length + sum(region, at, length)) === 0xffff;
}
