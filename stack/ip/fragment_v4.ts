/**
 * Cutting IPv4 packets of others on their way (RFC 791, section 3.2): they may have options, and be fragments.
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { Neighbour } from "../link/neighbour.ts";
import { completeChecksum } from "../link/offload.ts";
import { CHECKSUM_PARTIAL, type Packet } from "../packet.ts";
import * as ethernet from "../wire/ethernet.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as wire from "../wire/ipv4.ts";
import * as udp from "../wire/udp.ts";

/** Option of one byte that ends the list, the one that fills, and the bit of those that every fragment carries. */
const END = 0, FILL = 1, COPIED = 0x80;

/**
 * Sends a packet (cursor at its IP header) to a neighbour, or null as in {@link Interface.sendTo}, in fragments of at most `mtu` bytes. The first carries all
 * options, the others those that are to be copied. The packet itself is left to the caller.
 * @returns False when one was lost; the rest is not sent then.
 */
export function forwardFragments(
  packet: Packet,
  neighbour: Neighbour | null,
  output: Interface,
  mtu: number,
): boolean {
  const { view, offset, transport } = packet;
  if ((packet.flags & CHECKSUM_PARTIAL) !== 0 && !completeChecksum(packet)) return false;
  const field = wire.fragment(view, offset);
  const payload = packet.end - transport;
  let header = transport - offset;
  for (let at = 0; at < payload;) {
    const part = output.reserve();
    if (part === null) return false;
    const { bytes } = part;
    const start = part.offset;
    if (at === 0) { for (let i = 0; i < header; i++) bytes[start + i] = packet.bytes[offset + i]!; }
    else {
      for (let i = 0; i < wire.HEADER_LENGTH; i++) bytes[start + i] = packet.bytes[offset + i]!;
      header = copyOptions(packet, part);
      bytes[start] = 0x40 | header >> 2;
    }
    const length = Math.min((mtu - header) & ~7, payload - at);
    if (length <= 0 || start + header + length > part.limit) {
      part.discard();
      return false;
    }
    copy(packet, transport + at, part, start + header, length);
    part.end = start + header + length;
    part.network = start;
    part.transport = start + header;
    part.version = 4;
    part.protocol = packet.protocol;
    part.cast = packet.cast;
    // Who is told when the next hop is silent is found by where the packet came in.
    part.interface = packet.interface;
    const more = at + length < payload ? wire.MORE_FRAGMENTS : field & wire.MORE_FRAGMENTS;
    part.view.setUint16(start + 2, header + length);
    part.view.setUint16(start + 6, ((field & 0x1fff) + (at >> 3)) | more);
    wire.writeChecksum(part.view, start, header);
    if (!output.sendTo(part, neighbour, ethernet.IPV4)) return false;
    at += length;
  }
  return true;
}

/**
 * Sends the datagrams of a UDP super-frame (cursor at its IP header) that don't fit, each in fragments. The packet itself
 * is left to the caller.
 * @param reserve Gives a slot that takes any datagram, or null.
 * @returns False when a part was lost; the rest is not sent then.
 */
export function forwardDatagrams(
  packet: Packet,
  neighbour: Neighbour | null,
  output: Interface,
  mtu: number,
  reserve: () => Packet | null,
): boolean {
  const { view, offset, transport, gsoSize } = packet;
  const header = transport + udp.HEADER_LENGTH - offset;
  if (gsoSize === 0 || offset + header > packet.end) return false;
  for (let from = offset + header, index = 0; from < packet.end; from += gsoSize, index++) {
    const one = reserve();
    if (one === null) return false;
    const length = Math.min(gsoSize, packet.end - from);
    const at = one.offset;
    copy(packet, offset, one, at, header);
    copy(packet, from, one, at + header, length);
    one.end = at + header + length;
    one.network = at;
    one.transport = at + transport - offset;
    one.version = 4;
    one.protocol = wire.UDP;
    one.cast = packet.cast;
    one.interface = packet.interface;
    const datagram = udp.HEADER_LENGTH + length;
    one.view.setUint16(at + 2, header + length);
    one.view.setUint16(at + 4, wire.identification(view, offset) + index);
    one.view.setUint16(one.transport + 4, datagram);
    const pseudo = sum(packet.region, offset + 12, 8) + wire.UDP + datagram;
    one.view.setUint16(one.transport + udp.CHECKSUM_OFFSET, fold(pseudo));
    one.flags = CHECKSUM_PARTIAL;
    one.checksumStart = one.transport;
    one.checksumOffset = udp.CHECKSUM_OFFSET;
    const sent = forwardFragments(one, neighbour, output, mtu);
    one.discard();
    if (!sent) return false;
  }
  return true;
}

/** Writes the options that every fragment carries behind the fixed header. @returns Bytes of the whole header. */
function copyOptions(packet: Packet, part: Packet): number {
  const { bytes, offset, transport } = packet;
  let to = part.offset + wire.HEADER_LENGTH;
  for (let at = offset + wire.HEADER_LENGTH; at < transport;) {
    const type = bytes[at]!;
    if (type === END) break;
    const length = type === FILL ? 1 : bytes[at + 1]!;
    // Options were validated when the packet came in.
    if ((type & COPIED) !== 0) { for (let i = 0; i < length; i++) part.bytes[to++] = bytes[at + i]!; }
    at += length;
  }
  while (((to - part.offset) & 3) !== 0) part.bytes[to++] = END;
  return to - part.offset;
}

function copy(packet: Packet, from: number, part: Packet, to: number, length: number): void {
  if (packet.bytes === part.bytes) part.bytes.copyWithin(to, from, from + length);
  // A short-lived view, on a way that no fast packet takes.
  else part.bytes.set(packet.bytes.subarray(from, from + length), to);
}
