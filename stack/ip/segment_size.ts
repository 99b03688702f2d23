/**
 * How large the packets of a super-frame are.
 *
 * @module
 */

import { GSO_ECN, GSO_NONE, GSO_UDP, type Packet } from "../packet.ts";

/** Bytes of the largest packet (IP header included) that a packet stands for: its own, or those it is to be cut into. */
export function segmentSize(packet: Packet): number {
  const whole = packet.end - packet.network;
  if (packet.gsoType === GSO_NONE) return whole;
  return Math.min(whole, transportEnd(packet) - packet.network + packet.gsoSize);
}

/**
 * Has a TCP super-frame cut into packets of at most `mtu` bytes, as its sender would have if it had known. The bytes
 * of the stream stay what they are.
 * @returns False for what is not TCP's, or leaves no room for payload.
 */
export function shrinkSegments(packet: Packet, mtu: number): boolean {
  const room = mtu - (transportEnd(packet) - packet.network);
  if ((packet.gsoType & ~GSO_ECN) === GSO_UDP || room <= 0) return false;
  packet.gsoSize = room;
  return true;
}

function transportEnd(packet: Packet): number {
  const { transport } = packet;
  if ((packet.gsoType & ~GSO_ECN) === GSO_UDP) return transport + 8;
  return transport + (transport + 13 > packet.end ? 20 : packet.view.getUint8(transport + 12) >>> 4 << 2);
}
