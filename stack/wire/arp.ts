/**
 * ARP for IPv4 over Ethernet (RFC 826).
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |       Hardware type (1)       |     Protocol type (0x0800)    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Length (6)   |  Length (4)   |           Operation           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                    Sender hardware address                    |
 * +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                               |    Sender protocol address    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                               |                               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
 * |                    Target hardware address                    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                    Target protocol address                    |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 *
 * @module
 */

/** Bytes of the message. */
export const LENGTH = 28;
/** {@link operation}: who has the target address. */
export const REQUEST = 1;
/** {@link operation}: the sender has. */
export const REPLY = 2;

/** Whether the message is about IPv4 over Ethernet. */
export function isIpv4OverEthernet(view: DataView, at: number): boolean {
  return view.getInt32(at) === 0x00010800 && view.getUint16(at + 4) === 0x0604;
}

/** {@link REQUEST} or {@link REPLY}, or something else. */
export function operation(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** First 16 bits of the sender's link address. */
export function senderHigh(view: DataView, at: number): number {
  return view.getUint16(at + 8);
}

/** Last 32 bits of the sender's link address. */
export function senderLow(view: DataView, at: number): number {
  return view.getInt32(at + 10);
}

/** The sender's IPv4 address, signed. */
export function senderAddress(view: DataView, at: number): number {
  return view.getInt32(at + 14);
}

/** The target's IPv4 address, signed. */
export function targetAddress(view: DataView, at: number): number {
  return view.getInt32(at + 24);
}

/** Writes the whole message. */
export function write(
  view: DataView,
  at: number,
  operation: number,
  senderHigh: number,
  senderLow: number,
  senderAddress: number,
  targetHigh: number,
  targetLow: number,
  targetAddress: number,
): void {
  view.setInt32(at, 0x00010800);
  view.setUint16(at + 4, 0x0604);
  view.setUint16(at + 6, operation);
  view.setUint16(at + 8, senderHigh);
  view.setInt32(at + 10, senderLow);
  view.setInt32(at + 14, senderAddress);
  view.setUint16(at + 18, targetHigh);
  view.setInt32(at + 20, targetLow);
  view.setInt32(at + 24, targetAddress);
}
