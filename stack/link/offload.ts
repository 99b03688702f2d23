/**
 * What a device without offloads has to be spared: completing checksums and cutting super-frames, in the terms
 * of virtio_net_hdr.
 *
 * @module
 */

import { copyBytes } from "../copy.ts";
import { type Device, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../device.ts";
import {
  type Bytes,
  CHECKSUM_PARTIAL,
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP,
  type Packet,
} from "../packet.ts";
import { add, fold, sum, sumPacket } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as udp from "../wire/udp.ts";
import type { Interface } from "./interface.ts";

/** Offset of the flags in a TCP header, and the flags that not every part of a super-segment carries. */
const TCP_FLAGS = 13, FIN = 0x01, PSH = 0x08, CWR = 0x80;

/** {@link segment}: the super-frame contradicts itself; nothing was sent. */
export const MALFORMED = -1;

/** The `OFFLOAD_*` bit that a packet's {@link Packet.gsoType} calls for; 0 for a type that nobody knows. */
export function gsoOffload(gsoType: number): number {
  switch (gsoType & ~GSO_ECN) {
    case GSO_TCPV4:
      return OFFLOAD_TSO4;
    case GSO_TCPV6:
      return OFFLOAD_TSO6;
    case GSO_UDP:
      return OFFLOAD_USO;
    default:
      return 0;
  }
}

/** How many frames a super-frame stands for; `transport` tells where its headers end. */
export function partsOf(packet: Packet): number {
  const { view, transport, gsoSize } = packet;
  const tcp = (packet.gsoType & ~GSO_ECN) !== GSO_UDP;
  const header = tcp ? (view.getUint8(transport + 12) >>> 4) << 2 : udp.HEADER_LENGTH;
  return Math.ceil(Math.max(1, packet.length - (transport + header - packet.offset)) / gsoSize);
}

/**
 * Completes the checksum that {@link CHECKSUM_PARTIAL} calls for. A UDP checksum of 0 becomes 0xffff (RFC 768).
 * @returns False when the field does not lie in the packet; nothing was changed.
 */
export function completeChecksum(packet: Packet): boolean {
  const start = packet.checksumStart;
  const field = start + packet.checksumOffset;
  if (start < packet.offset || field + 2 > packet.end) return false;
  const checksum = ~sumPacket(packet, start) & 0xffff;
  packet.view.setUint16(
    field,
    checksum === 0 && packet.checksumOffset === udp.CHECKSUM_OFFSET ? 0xffff : checksum,
  );
  packet.flags &= ~CHECKSUM_PARTIAL;
  return true;
}

/**
 * Cuts a super-frame (cursor at the link header) into frames of {@link Packet.gsoSize} payload bytes and sends
 * them by `device`. `network` and `transport` of the packet tell where its headers are. The packet itself is left to the caller.
 * @param by The interface that they leave by, or null where there is none.
 * @returns Frames sent, fewer than needed when the device had no free slot; {@link MALFORMED}.
 */
export function segment(packet: Packet, device: Device, by: Interface | null): number {
  const { view, offset, network, transport, gsoSize } = packet;
  const type = packet.gsoType & ~GSO_ECN;
  const tcp = type === GSO_TCPV4 || type === GSO_TCPV6;
  if (!tcp && type !== GSO_UDP) return MALFORMED;
  const least = tcp ? 20 : udp.HEADER_LENGTH;
  if (gsoSize === 0 || network < offset || transport < network + 20 || transport + least > packet.end) {
    return MALFORMED;
  }
  const headerEnd = transport + (tcp ? (view.getUint8(transport + 12) >>> 4) << 2 : least);
  if (headerEnd < transport + least || headerEnd > packet.end) return MALFORMED;
  const version = ipv4.version(view, network);
  if (version === 6 && transport < network + 40) return MALFORMED;
  const partial = (device.offloads & OFFLOAD_CHECKSUM) !== 0;
  const headers = headerEnd - offset;
  const payload = packet.length - headers;
  const addresses = version === 4 ? sum(packet.region, network + 12, 8) : sum(packet.region, network + 8, 32);
  const protocol = tcp ? ipv4.TCP : ipv4.UDP;
  const flags = view.getUint8(transport + TCP_FLAGS);
  let sent = 0;
  for (let position = 0, index = 0; position < payload || index === 0; position += gsoSize, index++) {
    const length = Math.min(gsoSize, payload - position);
    const part = device.reserve();
    if (part === null) break;
    const at = part.offset;
    if (at + headers + length > part.limit) {
      device.release(part);
      return MALFORMED;
    }
    copyHeaders(view, offset, headers, part.view, at);
    part.end = at + headers;
    takeRange(packet, headers + position, length, part);
    part.interface = by;
    part.version = version;
    part.protocol = protocol;
    part.link = at;
    const ip = part.network = at + network - offset;
    const l4 = part.transport = at + transport - offset;
    const l4Length = headers - (transport - offset) + length;
    if (version === 4) {
      part.view.setUint16(ip + 2, l4 - ip + l4Length);
      part.view.setUint16(ip + 4, ipv4.identification(view, network) + index);
      ipv4.writeChecksum(part.view, ip, l4 - ip);
    } else {
      part.view.setUint16(ip + 4, l4 - ip + l4Length - 40);
    }
    let field = udp.CHECKSUM_OFFSET;
    if (tcp) {
      field = 16;
      part.view.setInt32(l4 + 4, view.getInt32(transport + 4) + position);
      let own = flags;
      if (position + length < payload) own &= ~(FIN | PSH);
      if (index > 0) own &= ~CWR;
      part.view.setUint8(l4 + TCP_FLAGS, own);
    } else {
      part.view.setUint16(l4 + 4, l4Length);
    }
    part.view.setUint16(l4 + field, fold(addresses + protocol + l4Length));
    part.flags = CHECKSUM_PARTIAL;
    part.checksumStart = l4;
    part.checksumOffset = field;
    if (!partial) completeChecksum(part);
    if (device.transmit(part)) sent++;
  }
  return sent;
}

/** Copies headers from one slot to another, whole words at a time: without a view of them, which would be garbage. */
function copyHeaders(source: DataView, from: number, length: number, target: DataView, at: number): void {
  const end = from + length;
  for (; from + 4 <= end; from += 4, at += 4) target.setInt32(at, source.getInt32(from));
  for (; from < end; from++, at++) target.setUint8(at, source.getUint8(from));
}

/**
 * Puts `length` bytes of the packet, counted from its cursor over slot and pieces, behind what is in `part`. What lies
 * in the slot is copied, because the slot is taken back; pieces stay where they are until the device is flushed.
 */
function takeRange(packet: Packet, from: number, length: number, part: Packet): void {
  const own = packet.end - packet.offset;
  if (from < own) {
    const count = Math.min(length, own - from);
    copy(packet.bytes, packet.offset + from, count, part.bytes, part.end);
    part.end += count;
    from += count;
    length -= count;
  }
  if (length === 0) return;
  from -= own;
  if (from < packet.piece0Length) {
    const count = Math.min(length, packet.piece0Length - from);
    part.append(packet.piece0!, packet.piece0Offset + from, count);
    from += count;
    length -= count;
  }
  if (length === 0) return;
  part.append(packet.piece1!, packet.piece1Offset + from - packet.piece0Length, length);
}

function copy(source: Bytes, from: number, length: number, target: Bytes, at: number): void {
  if (source === target) target.copyWithin(at, from, from + length);
  else copyBytes(source, from, length, target, at);
}

/**
 * Whether the checksum of a received packet's transport is right: the device has verified it, or it never left
 * this machine, or it is summed now. Cursor at the transport header.
 */
export function transportChecksumOk(packet: Packet): boolean {
  if (packet.flags !== 0) return true;
  const length = packet.end - packet.offset;
  const network = packet.network;
  const addresses = packet.version === 4
    ? sum(packet.region, network + 12, 8)
    : sum(packet.region, network + 8, 32);
  return add(fold(addresses + packet.protocol + length), sum(packet.region, packet.offset, length)) ===
    0xffff;
}

/** Clears what says that more than plain bytes is to be sent. For answers in the slot that came in. */
export function clearOffloads(packet: Packet): void {
  packet.flags = 0;
  packet.gsoType = GSO_NONE;
  packet.gsoSize = 0;
}
