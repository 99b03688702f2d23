/**
 * Changing addresses and ports of packets on their way, with every checksum kept right: what address translators
 * (RFC 3022, RFC 6296) are made of. Packets are changed in place, by a tap on an IP layer or by a forward hook.
 *
 * @module
 */

import { CHECKSUM_PARTIAL, type Packet } from "../packet.ts";
import { fold, update } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import type { IpAddress } from "./address.ts";

/**
 * Gives a packet another source or destination of its own IP version.
 * @param which 0 for the source, 1 for the destination.
 * @returns False when nothing was changed, because the checksum of its transport is not where it can be found: behind
 *   IPv6 extension headers.
 */
export function rewriteAddress(packet: Packet, which: 0 | 1, address: IpAddress): boolean {
  const { view, network } = packet;
  if (packet.version === 6) {
    const at = network + ipv6.SOURCE + 16 * which;
    const field = checksumField(packet);
    if (field < 0) return false;
    rewriteWord(packet, at, address.a, 0, field);
    rewriteWord(packet, at + 4, address.b, 0, field);
    rewriteWord(packet, at + 8, address.c, 0, field);
    rewriteWord(packet, at + 12, address.d, 0, field);
    return true;
  }
  const first = (ipv4.fragment(view, network) & 0x1fff) === 0;
  // ICMP for IPv4 does not sum addresses.
  const summed = first && packet.protocol !== ipv4.ICMP;
  rewriteWord(packet, network + 12 + 4 * which, address.d, network + 10, summed ? checksumField(packet) : 0);
  return true;
}

/**
 * Gives a TCP segment or UDP datagram another port, or an echo another identifier.
 * @param which 0 for the source, 1 for the destination; an echo has but one identifier.
 * @returns False when nothing was changed: it is neither, or no first fragment, or cut short.
 */
export function rewritePort(packet: Packet, which: 0 | 1, port: number): boolean {
  const { view, network, transport, protocol } = packet;
  if (packet.version === 4 && (ipv4.fragment(view, network) & 0x1fff) !== 0) return false;
  const field = checksumField(packet);
  if (field <= 0 || transport + 8 > packet.end) return false;
  const echo = protocol === ipv4.ICMP || protocol === ipv6.ICMP;
  if (echo && !isEcho(view.getUint8(transport), protocol)) return false;
  const at = echo ? transport + 4 : transport + 2 * which;
  const before = view.getUint16(at);
  view.setUint16(at, port);
  // What is still to be summed needs no help for what lies in it.
  if ((packet.flags & CHECKSUM_PARTIAL) === 0) updateField(packet, field, before, port);
  return true;
}

function rewriteWord(
  packet: Packet,
  at: number,
  word: number,
  header: number,
  field: number,
): void {
  const { view } = packet;
  const before = view.getInt32(at);
  view.setInt32(at, word);
  for (const shift of [16, 0]) {
    const old = before >>> shift & 0xffff, fresh = word >>> shift & 0xffff;
    if (header > 0) view.setUint16(header, update(view.getUint16(header), old, fresh));
    if (field <= 0) continue;
    if ((packet.flags & CHECKSUM_PARTIAL) !== 0) {
      // The field holds the sum of the pseudo-header, not inverted.
      view.setUint16(field, fold(view.getUint16(field) + (~old & 0xffff) + fresh));
    } else updateField(packet, field, old, fresh);
  }
}

function updateField(packet: Packet, field: number, before: number, after: number): void {
  const { view } = packet;
  const checksum = view.getUint16(field);
  const udp = packet.protocol === ipv4.UDP;
  // A datagram without a checksum stays without (RFC 768).
  if (udp && checksum === 0) return;
  const fresh = update(checksum, before, after);
  view.setUint16(field, udp && fresh === 0 ? 0xffff : fresh);
}

/** Where the transport's checksum is; 0 when there is none, -1 when it can't be found. */
function checksumField(packet: Packet): number {
  const { protocol, transport, version } = packet;
  let distance: number;
  switch (protocol) {
    case ipv4.TCP:
      distance = 16;
      break;
    case ipv4.UDP:
      distance = 6;
      break;
    case ipv4.ICMP:
    case ipv6.ICMP:
      distance = 2;
      break;
    case ipv6.HOP_BY_HOP:
    case ipv6.ROUTING:
    case ipv6.FRAGMENT:
    case ipv6.DESTINATION_OPTIONS:
      return version === 6 ? -1 : 0;
    default:
      return 0;
  }
  return transport + distance + 2 > packet.end ? 0 : transport + distance;
}

function isEcho(type: number, protocol: number): boolean {
  return protocol === ipv4.ICMP ? type === 8 || type === 0 : type === 128 || type === 129;
}
