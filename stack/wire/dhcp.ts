/**
 * DHCP for IPv4: the fixed part of a message (RFC 2131, section 2), and the numbers of options (RFC 2132).
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |     op (1)    |   htype (1)   |   hlen (1)    |   hops (1)    |
 * +---------------+---------------+---------------+---------------+
 * |                            xid (4)                            |
 * +-------------------------------+-------------------------------+
 * |           secs (2)            |           flags (2)           |
 * +-------------------------------+-------------------------------+
 * |                 ciaddr, yiaddr, siaddr, giaddr                |
 * +---------------------------------------------------------------+
 * |                          chaddr  (16)                         |
 * +---------------------------------------------------------------+
 * |                  sname (64), file (128), options              |
 * +---------------------------------------------------------------+
 * ```
 *
 * @module
 */

/** Port of servers. */
export const SERVER_PORT = 67;
/** Port of clients. */
export const CLIENT_PORT = 68;
/** Bytes of the fixed part with the magic cookie behind it. */
export const HEADER_LENGTH = 240;
/** Bytes of the shortest message that is sent: relays of BOOTP drop shorter ones (RFC 1542, section 2.1). */
export const LEAST_LENGTH = 300;
/** Where the server's name is, or options. */
export const SNAME = 44;
/** Where the file's name is, or options. */
export const FILE = 108;
/** Where the magic cookie is. */
export const COOKIE = 236;
/** The magic cookie, signed. */
export const MAGIC = 0x63825363;
/** Flag: the answer is to be sent to everyone. */
export const BROADCAST = 0x8000;

/** Operation: of a client. */
export const REQUEST_OP = 1;
/** Operation: of a server. */
export const REPLY_OP = 2;

/** Kinds of messages, the value of {@link Option.MessageType}. */
export enum MessageType {
  Discover = 1,
  Offer = 2,
  Request = 3,
  Decline = 4,
  Ack = 5,
  Nak = 6,
  Release = 7,
  Inform = 8,
}

/** Options (RFC 2132 unless said otherwise). */
export enum Option {
  Pad = 0,
  SubnetMask = 1,
  Router = 3,
  NameServer = 6,
  HostName = 12,
  DomainName = 15,
  Mtu = 26,
  NtpServer = 42,
  RequestedAddress = 50,
  LeaseTime = 51,
  Overload = 52,
  MessageType = 53,
  Server = 54,
  ParameterRequest = 55,
  MaximumSize = 57,
  RenewalTime = 58,
  RebindingTime = 59,
  ClientId = 61,
  /** RFC 3397. */
  SearchList = 119,
  /** RFC 3442. */
  ClasslessRoutes = 121,
  End = 255,
}

/** The transaction that a message belongs to, signed. */
export function transaction(view: DataView, at: number): number {
  return view.getInt32(at + 4);
}

/** Whether the message is for the client with this Ethernet address. */
export function isForClient(view: DataView, at: number, high: number, low: number): boolean {
  return view.getUint16(at + 28) === high && view.getInt32(at + 30) === low;
}

/** The address that the server gives, signed. */
export function yourAddress(view: DataView, at: number): number {
  return view.getInt32(at + 16);
}

/** Writes the fixed part of a client's message, the cookie included. */
export function write(
  view: DataView,
  at: number,
  transaction: number,
  seconds: number,
  flags: number,
  clientAddress: number,
  high: number,
  low: number,
): void {
  for (let i = 0; i < HEADER_LENGTH; i += 4) view.setInt32(at + i, 0);
  view.setInt32(at, REQUEST_OP << 24 | 0x010600);
  view.setInt32(at + 4, transaction);
  view.setUint16(at + 8, seconds);
  view.setUint16(at + 10, flags);
  view.setInt32(at + 12, clientAddress);
  view.setUint16(at + 28, high);
  view.setInt32(at + 30, low);
  view.setInt32(at + COOKIE, MAGIC);
}
