/**
 * Logical link control (IEEE 802.2), behind an IEEE 802.3 length.
 *
 * ```text
 *  0                   1                   2
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |     DSAP      |     SSAP      |    Control …
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 *
 * @module
 */

/** Least bytes of the header. */
export const HEADER_LENGTH = 3;
/** {@link services}: spanning tree protocol (IEEE 802.1D). */
export const SPANNING_TREE = 0x4242;
/** {@link services}: subnetwork access protocol, which has an ethertype behind it (RFC 1042). */
export const SNAP = 0xaaaa;
/** {@link services}: no header at all, but the checksum that IPX leaves out. */
export const RAW_IPX = 0xffff;

/** Destination and source service access point. */
export function services(view: DataView, at: number): number {
  return view.getUint16(at);
}
