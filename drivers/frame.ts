/**
 * What a frame may be: the limits that every device holds, so that one which passes on one medium passes on all.
 *
 * @module
 */

import { type Device, OFFLOAD_CHECKSUM } from "../stack/device.ts";
import { gsoOffload } from "../stack/link/offload.ts";
import { CHECKSUM_PARTIAL, GSO_NONE, HEADROOM, type Packet } from "../stack/packet.ts";

/** Bytes of an Ethernet II header; no frame is shorter. */
export const ETHERNET_HEADER = 14;
/** Bytes of an IP packet without options; nothing shorter goes out where there is no link header. */
const IP_HEADER = 20;
/** Bytes of a frame beside its IP packet: the Ethernet header and one IEEE 802.1Q tag. */
export const FRAME_OVERHEAD = 18;
/** Bytes of the longest super-frame: a maximal IP packet with everything in front. */
export const MAX_SUPER_FRAME: number = 65535 + FRAME_OVERHEAD;
/** Where a received frame starts in its slot: the IP header lies aligned, and as much room is in front as for sending. */
export const RECEIVE_OFFSET: number = HEADROOM - ETHERNET_HEADER;

/** Bytes of the link header in front of each packet of a device. */
export function linkHeader({ medium }: Device): number {
  return medium === "ip" ? 0 : ETHERNET_HEADER;
}

/**
 * Whether a device with these offloads and this MTU may send `packet`: at least a link header, at most the MTU
 * with {@link FRAME_OVERHEAD}, and no work left to the device that it did not offer to do.
 * @param header Bytes of the link header. Without one it is at least an IP header, and at most the MTU alone.
 */
export function sendable(
  packet: Packet,
  offloads: number,
  mtu: number,
  header: number = ETHERNET_HEADER,
): boolean {
  const length = packet.length;
  if (length < (header === 0 ? IP_HEADER : header) || packet.offset < packet.base) return false;
  if ((packet.flags & CHECKSUM_PARTIAL) !== 0) {
    if ((offloads & OFFLOAD_CHECKSUM) === 0) return false;
    // The field has to lie in the slot: it is never in a piece.
    const start = packet.checksumStart;
    if (start < packet.offset || start + packet.checksumOffset + 2 > packet.end) return false;
  }
  if (packet.gsoType === GSO_NONE) return length <= (header === 0 ? mtu : mtu + FRAME_OVERHEAD);
  return (gsoOffload(packet.gsoType) & offloads) !== 0 && packet.gsoSize > 0 && length <= MAX_SUPER_FRAME;
}
