/**
 * DHCP for IPv6 (RFC 8415): messages and options are numbers of 16 bits with a length.
 *
 * ```text
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |    msg-type   |               transaction-id                  |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |          option-code          |           option-len          |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                          option-data …
 * ```
 *
 * @module
 */

/** Port of clients. */
export const CLIENT_PORT = 546;
/** Port of servers. */
export const SERVER_PORT = 547;
/** Bytes before the options. */
export const HEADER_LENGTH = 4;

/** Kinds of messages (RFC 8415, section 7.3). */
export enum MessageType {
  Solicit = 1,
  Advertise = 2,
  Request = 3,
  Confirm = 4,
  Renew = 5,
  Rebind = 6,
  Reply = 7,
  Release = 8,
  Decline = 9,
  Reconfigure = 10,
  InformationRequest = 11,
}

/** Options (RFC 8415, section 21, unless said otherwise). */
export enum Option {
  ClientId = 1,
  ServerId = 2,
  IaNa = 3,
  IaAddress = 5,
  OptionRequest = 6,
  Preference = 7,
  ElapsedTime = 8,
  StatusCode = 13,
  RapidCommit = 14,
  /** RFC 3646. */
  NameServers = 23,
  /** RFC 3646. */
  SearchList = 24,
  IaPd = 25,
  IaPrefix = 26,
  InformationRefreshTime = 32,
  /** RFC 5908. */
  NtpServer = 56,
  SolMaxRt = 82,
  InfMaxRt = 83,
}

/** Status codes (RFC 8415, section 21.13). */
export enum Status {
  Success = 0,
  UnspecifiedFailure = 1,
  NoAddressesAvailable = 2,
  NoBinding = 3,
  NotOnLink = 4,
  UseMulticast = 5,
  NoPrefixAvailable = 6,
}
