/**
 * ICMP for IPv4 (RFC 792; RFC 1191 for the next hop's MTU).
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |      Type     |      Code     |            Checksum           |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |      Identifier, or unused    |   Sequence number, or MTU     |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |      Data, or the IP header and the first bytes of the packet …
 * +-+-+-+-+-
 * ```
 *
 * @module
 */

/** Bytes of the header. */
export const HEADER_LENGTH = 8;

/** {@link type}: echo reply. */
export const ECHO_REPLY = 0;
/** {@link type}: destination unreachable. */
export const UNREACHABLE = 3;
/** {@link type}: source quench (deprecated, RFC 6633). */
export const SOURCE_QUENCH = 4;
/** {@link type}: redirect. */
export const REDIRECT = 5;
/** {@link type}: echo request. */
export const ECHO_REQUEST = 8;
/** {@link type}: time exceeded. */
export const TIME_EXCEEDED = 11;
/** {@link type}: parameter problem. */
export const PARAMETER_PROBLEM = 12;

/** {@link code} of {@link UNREACHABLE}: network. */
export const NETWORK = 0;
/** {@link code} of {@link UNREACHABLE}: host. */
export const HOST = 1;
/** {@link code} of {@link UNREACHABLE}: protocol. */
export const PROTOCOL = 2;
/** {@link code} of {@link UNREACHABLE}: port. */
export const PORT = 3;
/** {@link code} of {@link UNREACHABLE}: fragmentation needed, and not allowed. */
export const FRAGMENTATION_NEEDED = 4;
/** {@link code} of {@link UNREACHABLE}: forbidden by a rule (RFC 1812, section 5.2.7.1). */
export const PROHIBITED = 13;
/** {@link code} of {@link REDIRECT}: for the host. */
export const REDIRECT_HOST = 1;
/** {@link code} of {@link TIME_EXCEEDED}: in transit. */
export const IN_TRANSIT = 0;
/** {@link code} of {@link TIME_EXCEEDED}: during reassembly. */
export const REASSEMBLY = 1;

/** The message's type. */
export function type(view: DataView, at: number): number {
  return view.getUint8(at);
}

/** The message's code, whose meaning depends on the type. */
export function code(view: DataView, at: number): number {
  return view.getUint8(at + 1);
}

/** The checksum field. */
export function checksum(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}

/** Sets the checksum field. */
export function setChecksum(view: DataView, at: number, checksum: number): void {
  view.setUint16(at + 2, checksum);
}

/** Identifier of an echo. */
export function identifier(view: DataView, at: number): number {
  return view.getUint16(at + 4);
}

/** Sequence number of an echo. */
export function sequence(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** MTU of the next hop, of {@link FRAGMENTATION_NEEDED}; 0 from routers older than RFC 1191. */
export function nextMtu(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** Whether the type is an error about another packet, rather than a query or its answer (RFC 1122, 3.2.2). */
export function isError(type: number): boolean {
  return type === UNREACHABLE || type === SOURCE_QUENCH || type === REDIRECT || type === TIME_EXCEEDED ||
    type === PARAMETER_PROBLEM;
}

/**
 * Whether the type is a query or an answer, about which errors may be told. Every other type may be an error, as far as
 * anybody knows.
 */
export function isQuery(type: number): boolean {
  return type === ECHO_REPLY || type === ECHO_REQUEST || (type >= 13 && type <= 18);
}

/** Writes the header with a checksum of 0. @param rest The second word. */
export function write(view: DataView, at: number, type: number, code: number, rest: number): void {
  view.setInt32(at, type << 24 | code << 16);
  view.setInt32(at + 4, rest);
}
