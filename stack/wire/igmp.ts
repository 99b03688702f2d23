/**
 * IGMP: version 3 (RFC 3376, section 4), and what it shares with versions 2 (RFC 2236) and 1 (RFC 1112).
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Type         | Max Resp Code |           Checksum            |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                         Group Address                         |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * | Resv  |S| QRV |     QQIC      |     Number of Sources (N)     |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                       Source Address [1] …
 * +-+-+-+-+-
 * ```
 *
 * The third word and the sources are those of a query of version 3.
 *
 * @module
 */

/** Bytes of a message of versions 1 and 2, and the least of any. */
export const HEADER_LENGTH = 8;
/** Bytes of a query of version 3 without sources. */
export const QUERY_LENGTH = 12;
/** IP protocol number. */
export const PROTOCOL = 2;

/** Type: membership query. */
export const QUERY = 0x11;
/** Type: membership report, version 1. */
export const REPORT_V1 = 0x12;
/** Type: membership report, version 2. */
export const REPORT_V2 = 0x16;
/** Type: leave group, version 2. */
export const LEAVE = 0x17;
/** Type: membership report, version 3. */
export const REPORT = 0x22;

/** The first byte. */
export function type(view: DataView, at: number): number {
  return view.getUint8(at);
}

/** How long the answer may take: tenths of a second, or a code for more. 0 in version 1. */
export function maxResponse(view: DataView, at: number): number {
  return view.getUint8(at + 1);
}

/** The group, signed; 0 in a general query. */
export function group(view: DataView, at: number): number {
  return view.getInt32(at + 4);
}

/** Robustness of the querier, 0 to 7: version 3. */
export function robustness(view: DataView, at: number): number {
  return view.getUint8(at + 8) & 7;
}

/** Interval of the querier, as a code: version 3. */
export function interval(view: DataView, at: number): number {
  return view.getUint8(at + 9);
}

/** Sources of a query: version 3. */
export function sources(view: DataView, at: number): number {
  return view.getUint16(at + 10);
}

/** Writes a message of versions 1 and 2, checksum 0. */
export function write(view: DataView, at: number, type: number, group: number): void {
  view.setInt32(at, type << 24);
  view.setInt32(at + 4, group);
}
