/**
 * The UDP header (RFC 768).
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |          Source port          |        Destination port       |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |             Length            |            Checksum           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 *
 * @module
 */

/** Bytes of the header. */
export const HEADER_LENGTH = 8;
/** Distance from the header to its checksum field. */
export const CHECKSUM_OFFSET = 6;

/** Port of the sender; 0 for none. */
export function sourcePort(view: DataView, at: number): number {
  return view.getUint16(at);
}

/** Port of the receiver. */
export function destinationPort(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}

/** Bytes of header and payload. */
export function length(view: DataView, at: number): number {
  return view.getUint16(at + 4);
}

/** The checksum field; 0 says that the sender made none (IPv4 only). */
export function checksum(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** Writes the whole header. */
export function write(
  view: DataView,
  at: number,
  sourcePort: number,
  destinationPort: number,
  length: number,
  checksum: number,
): void {
  view.setInt32(at, sourcePort << 16 | destinationPort);
  view.setInt32(at + 4, length << 16 | checksum);
}
