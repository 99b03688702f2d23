/**
 * ICMPv6 (RFC 4443). The checksum covers a pseudo-header; the layout is that of ICMP for IPv4.
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |      Type     |      Code     |            Checksum           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Identifier and sequence number, MTU, pointer, flags, or unused |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |      Data, or as much of the packet that caused the error as fits …
 * +-+-+-+-+-
 * ```
 *
 * Fields that both versions place alike are read with the functions of `wire/icmpv4.ts`.
 *
 * @module
 */

/** Bytes of the header. */
export const HEADER_LENGTH = 8;
/** Distance from the header to its checksum field. */
export const CHECKSUM_OFFSET = 2;

/** Type: destination unreachable. */
export const UNREACHABLE = 1;
/** Type: packet too big. */
export const PACKET_TOO_BIG = 2;
/** Type: time exceeded. */
export const TIME_EXCEEDED = 3;
/** Type: parameter problem. */
export const PARAMETER_PROBLEM = 4;
/** Type: echo request. */
export const ECHO_REQUEST = 128;
/** Type: echo reply. */
export const ECHO_REPLY = 129;
/** Type: multicast listener query (RFC 3810). */
export const LISTENER_QUERY = 130;
/** Type: multicast listener report, version 1 (RFC 2710). */
export const LISTENER_REPORT_V1 = 131;
/** Type: multicast listener done, version 1 (RFC 2710). */
export const LISTENER_DONE_V1 = 132;
/** Type: router solicitation (RFC 4861). */
export const ROUTER_SOLICITATION = 133;
/** Type: router advertisement (RFC 4861). */
export const ROUTER_ADVERTISEMENT = 134;
/** Type: neighbour solicitation (RFC 4861). */
export const NEIGHBOUR_SOLICITATION = 135;
/** Type: neighbour advertisement (RFC 4861). */
export const NEIGHBOUR_ADVERTISEMENT = 136;
/** Type: redirect (RFC 4861). */
export const REDIRECT = 137;
/** Type: multicast listener report, version 2 (RFC 3810). */
export const LISTENER_REPORT = 143;

/** Code of {@link UNREACHABLE}: no route to the destination. */
export const NO_ROUTE = 0;
/** Code of {@link UNREACHABLE}: communication is prohibited. */
export const PROHIBITED = 1;
/** Code of {@link UNREACHABLE}: beyond the scope of the source address. */
export const BEYOND_SCOPE = 2;
/** Code of {@link UNREACHABLE}: address. */
export const ADDRESS = 3;
/** Code of {@link UNREACHABLE}: port. */
export const PORT = 4;
/** Code of {@link TIME_EXCEEDED}: in transit. */
export const IN_TRANSIT = 0;
/** Code of {@link TIME_EXCEEDED}: during reassembly. */
export const REASSEMBLY = 1;
/** Code of {@link PARAMETER_PROBLEM}: a field of a header is in error. */
export const BAD_FIELD = 0;
/** Code of {@link PARAMETER_PROBLEM}: an unknown next header. */
export const UNKNOWN_HEADER = 1;
/** Code of {@link PARAMETER_PROBLEM}: an unknown option. */
export const UNKNOWN_OPTION = 2;
/** Code of {@link PARAMETER_PROBLEM}: the first fragment does not carry all headers (RFC 7112). */
export const INCOMPLETE_CHAIN = 3;
/** Code of {@link PARAMETER_PROBLEM}: too many extension headers (RFC 8883, section 2.4). */
export const TOO_MANY_HEADERS = 8;

/** MTU of the next hop, of {@link PACKET_TOO_BIG}. */
export function nextMtu(view: DataView, at: number): number {
  return view.getUint32(at + 4);
}

/** Whether the type is an error about another packet, rather than information (section 2.1). */
export function isError(type: number): boolean {
  return type < 128;
}
