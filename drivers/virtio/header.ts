/**
 * The header in front of every frame of a virtio network device (virtio 1.2, section 5.1.6), 12 bytes; and of Linux's TAP devices
 * and packet sockets, which leave out the last field:
 *
 * ```
 *  0       1         2         4          6            8             10
 * +-------+---------+---------+----------+------------+-------------+-------------+
 * | flags | gsoType | hdrLen  | gsoSize  | csumStart  | csumOffset  | numBuffers  |
 * +-------+---------+---------+----------+------------+-------------+-------------+
 * ```
 * All fields of two bytes are little-endian; `csumStart` counts from the frame's first byte.
 *
 * @module
 */

import {
  CHECKSUM_PARTIAL,
  CHECKSUM_VALID,
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP,
  type Packet,
} from "../../stack/packet.ts";

/** Bytes of the header. */
export const NET_HEADER = 12;
/** Bytes of the header without its last field, as Linux's `struct virtio_net_hdr` has it. */
export const VNET_HEADER = 10;

const NEEDS_CHECKSUM = 1;
const CHECKSUM_VERIFIED = 2;

/**
 * Writes the header in front of the packet's cursor, where its bytes must be free.
 * @param size {@link NET_HEADER} or {@link VNET_HEADER}.
 */
export function writeNetHeader(packet: Packet, size: number = NET_HEADER): void {
  const { view } = packet;
  const frame = packet.offset;
  const at = frame - size;
  const partial = (packet.flags & CHECKSUM_PARTIAL) !== 0;
  view.setUint8(at, partial ? NEEDS_CHECKSUM : 0);
  view.setUint8(at + 1, packet.gsoType);
  view.setUint16(at + 2, packet.gsoType === GSO_NONE ? 0 : headerLength(packet), true);
  view.setUint16(at + 4, packet.gsoType === GSO_NONE ? 0 : packet.gsoSize, true);
  view.setUint16(at + 6, partial ? packet.checksumStart - frame : 0, true);
  view.setUint16(at + 8, partial ? packet.checksumOffset : 0, true);
  if (size === NET_HEADER) view.setUint16(at + 10, 0, true);
}

/** Bytes of all headers of a super-frame: UDP's has 8, TCP says how many 12 bytes into its own. */
function headerLength(packet: Packet): number {
  const { checksumStart } = packet;
  if ((packet.gsoType & ~GSO_ECN) === GSO_UDP) return checksumStart - packet.offset + 8;
  return checksumStart - packet.offset + (packet.view.getUint8(checksumStart + 12) >> 4) * 4;
}

/**
 * Takes over what the header in front of a received frame says. The packet has been reset, its cursor is at the frame.
 * @param size {@link NET_HEADER} or {@link VNET_HEADER}. @returns False when it can't be true; the frame is to be dropped.
 */
export function readNetHeader(packet: Packet, size: number = NET_HEADER): boolean {
  const { view, offset: frame } = packet;
  const at = frame - size;
  const flags = view.getUint8(at);
  const gsoType = view.getUint8(at + 1);
  if ((flags & NEEDS_CHECKSUM) !== 0) {
    const start = view.getUint16(at + 6, true);
    const offset = view.getUint16(at + 8, true);
    if (frame + start + offset + 2 > packet.end) return false;
    // It comes from a neighbour on the same machine: nothing on the way could damage it.
    packet.flags = CHECKSUM_PARTIAL | CHECKSUM_VALID;
    packet.checksumStart = frame + start;
    packet.checksumOffset = offset;
  } else if ((flags & CHECKSUM_VERIFIED) !== 0) {
    packet.flags = CHECKSUM_VALID;
  }
  if (gsoType !== GSO_NONE) {
    const kind = gsoType & ~GSO_ECN;
    const size = view.getUint16(at + 4, true);
    if ((kind !== GSO_TCPV4 && kind !== GSO_TCPV6 && kind !== GSO_UDP) || size === 0) return false;
    packet.gsoType = gsoType;
    packet.gsoSize = size;
  }
  return true;
}
