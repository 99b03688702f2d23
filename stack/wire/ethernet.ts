/**
 * Ethernet II (RFC 894, IEEE 802.3 clause 3), without preamble and check sequence.
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                      Destination address                      |
 * +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                               |         Source address        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
 * |                                                               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |           Ethertype           |           Payload …
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 *
 * A link address is two numbers: its first 16 bits unsigned, its last 32 bits signed.
 *
 * @module
 */

/** Bytes of the header. */
export const HEADER_LENGTH = 14;

/** Ethertype of IPv4. */
export const IPV4 = 0x0800;
/** Ethertype of ARP. */
export const ARP = 0x0806;
/** Ethertype of an IEEE 802.1Q customer tag. */
export const VLAN = 0x8100;
/** Ethertype of IPv6. */
export const IPV6 = 0x86dd;
/** Ethertype of an IEEE 802.1ad service tag. */
export const SERVICE_VLAN = 0x88a8;
/** Smallest ethertype; below it the field is an IEEE 802.3 length. */
export const LEAST_ETHERTYPE = 0x0600;

/** First 16 bits of the broadcast address. */
export const BROADCAST_HIGH = 0xffff;
/** Last 32 bits of the broadcast address. */
export const BROADCAST_LOW = -1;

/** First 16 bits of the destination. */
export function destinationHigh(view: DataView, at: number): number {
  return view.getUint16(at);
}

/** Last 32 bits of the destination. */
export function destinationLow(view: DataView, at: number): number {
  return view.getInt32(at + 2);
}

/** First 16 bits of the source. */
export function sourceHigh(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** Last 32 bits of the source. */
export function sourceLow(view: DataView, at: number): number {
  return view.getInt32(at + 8);
}

/** What the payload is. */
export function ethertype(view: DataView, at: number): number {
  return view.getUint16(at + 12);
}

/** Writes the whole header. */
export function write(
  view: DataView,
  at: number,
  destinationHigh: number,
  destinationLow: number,
  sourceHigh: number,
  sourceLow: number,
  ethertype: number,
): void {
  view.setUint16(at, destinationHigh);
  view.setInt32(at + 2, destinationLow);
  view.setUint16(at + 6, sourceHigh);
  view.setInt32(at + 8, sourceLow);
  view.setUint16(at + 12, ethertype);
}

/** Whether the group bit is set: multicast or broadcast. */
export function isGroup(high: number): boolean {
  return (high & 0x0100) !== 0;
}

/** Formats a link address as `02:00:00:00:00:01`. */
export function formatMac(high: number, low: number): string {
  const bytes = [high >>> 8, high & 255, low >>> 24, low >>> 16 & 255, low >>> 8 & 255, low & 255];
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
