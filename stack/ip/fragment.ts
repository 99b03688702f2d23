/**
 * Cutting packets that are larger than a path's MTU (RFC 791, section 3.2; RFC 8200, section 4.5).
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import { completeChecksum } from "../link/offload.ts";
import { CHECKSUM_PARTIAL, type Packet } from "../packet.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";

/**
 * Sends a packet (cursor at its IP header, without options or extension headers) in fragments, and gives its slot back.
 * @param mtu Largest fragment. @param identification What the fragments have in common.
 * @param send Takes each fragment, cursor at its IP header. @returns False when one was lost.
 */
export function sendFragments(
  packet: Packet,
  output: Interface,
  mtu: number,
  identification: number,
  send: (part: Packet) => boolean,
): boolean {
  const { view, offset, version } = packet;
  const header = version === 4 ? ipv4.HEADER_LENGTH : ipv6.HEADER_LENGTH;
  const headers = version === 4 ? header : header + ipv6.FRAGMENT_LENGTH;
  let whole = (packet.flags & CHECKSUM_PARTIAL) === 0 || completeChecksum(packet);
  whole = whole && packet.gather();
  const payload = packet.end - offset - header;
  const most = (mtu - headers) & ~7;
  for (let at = 0; whole && at < payload; at += most) {
    const length = Math.min(most, payload - at);
    const more = at + length < payload;
    const part = output.reserve();
    if (part === null || part.offset + length > part.limit) {
      part?.discard();
      whole = false;
      break;
    }
    const from = offset + header + at;
    part.bytes.set(packet.bytes.subarray(from, from + length), part.offset);
    part.end = part.offset + length;
    part.transport = part.offset;
    const start = part.network = part.offset -= headers;
    for (let i = 0; i < header; i++) part.bytes[start + i] = packet.bytes[offset + i]!;
    part.version = version;
    part.protocol = packet.protocol;
    part.cast = packet.cast;
    if (version === 4) {
      part.view.setUint16(start + 2, headers + length);
      part.view.setUint16(start + 4, identification);
      part.view.setUint16(start + 6, at >> 3 | (more ? ipv4.MORE_FRAGMENTS : 0));
      ipv4.writeChecksum(part.view, start, header);
    } else {
      part.view.setUint16(start + 4, ipv6.FRAGMENT_LENGTH + length);
      part.view.setUint8(start + ipv6.NEXT_HEADER, ipv6.FRAGMENT);
      const extension = start + header;
      part.view.setUint16(extension, ipv6.nextHeader(view, offset) << 8);
      part.view.setUint16(extension + 2, at | (more ? ipv6.MORE_FRAGMENTS : 0));
      part.view.setInt32(extension + 4, identification);
    }
    if (!send(part)) whole = false;
  }
  packet.discard();
  return whole;
}
