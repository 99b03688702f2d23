/**
 * What a DHCPv6 server says (RFC 8415, RFC 3646, RFC 5908): nothing in it is believed before it was checked.
 *
 * @module
 */

import { Cidr, IpAddress } from "../ip/address.ts";
import type { Bytes } from "../packet.ts";
import * as wire from "../wire/dhcpv6.ts";
import { readNames } from "../wire/domain_names.ts";

/** Addresses, prefixes, servers and names of one message that are taken. */
const MOST_VALUES = 16;
/** Bytes of the longest identifier of a server (RFC 8415, section 11.1). */
const MOST_DUID = 130;

/** An address or prefix that a server gives, with lifetimes in seconds; `Infinity` for ever. */
export interface LeasedNetwork {
  /** An address as /128, or a prefix. */
  readonly network: Cidr;
  /** Seconds for which it is preferred. */
  readonly preferred: number;
  /** Seconds for which it is valid; 0: not any more. */
  readonly valid: number;
}

/** One identity association. */
export interface Association {
  /** Its number, as the client has chosen it. */
  readonly id: number;
  /** Seconds until it is renewed (T1); 0: as the client likes. */
  readonly renewal: number;
  /** Seconds until any server is asked (T2); 0: as the client likes. */
  readonly rebinding: number;
  /** What it holds. */
  readonly networks: readonly LeasedNetwork[];
  /** How the server likes it. */
  readonly status: number;
}

/** A message of a server. */
export interface Dhcpv6Message {
  /** What kind it is. */
  readonly type: number;
  /** Whom it is for. */
  readonly client: Bytes | null;
  /** Who has sent it. */
  readonly server: Bytes | null;
  /** 0 to 255; the highest is taken first. */
  readonly preference: number;
  /** How the server likes what it was asked. */
  readonly status: number;
  /** Whether it is the answer to a hurried solicitation. */
  readonly rapid: boolean;
  /** Addresses. */
  readonly addresses: Association | null;
  /** Prefixes. */
  readonly prefixes: Association | null;
  /** Servers of names. */
  readonly nameServers: readonly IpAddress[];
  /** Domains in which short names are looked up. */
  readonly searchDomains: readonly string[];
  /** Servers of time. */
  readonly timeServers: readonly IpAddress[];
  /** Seconds after which information is asked for again; 0 when it is not said. */
  readonly refresh: number;
  /** Longest time between solicitations, in seconds; 0 when it is not said. */
  readonly solicitMost: number;
  /** Longest time between requests for information, in seconds; 0 when it is not said. */
  readonly informationMost: number;
}

/** Calls `each` for every option. @returns False when one runs over the end. */
function eachOption(
  view: DataView,
  at: number,
  end: number,
  each: (code: number, at: number, length: number) => void,
): boolean {
  while (at < end) {
    if (at + 4 > end) return false;
    const length = view.getUint16(at + 2);
    if (at + 4 + length > end) return false;
    each(view.getUint16(at), at + 4, length);
    at += 4 + length;
  }
  return true;
}

/**
 * Reads a server's message.
 * @param bad Called for each option that makes no sense; it is left out.
 * @returns null when it is cut short, or its options run over the end.
 */
export function parseMessage(bytes: Bytes, bad: () => void): Dhcpv6Message | null {
  if (bytes.length < wire.HEADER_LENGTH) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const message: { -readonly [K in keyof Dhcpv6Message]: Dhcpv6Message[K] } = {
    type: view.getUint8(0),
    client: null,
    server: null,
    preference: 0,
    status: wire.Status.Success,
    rapid: false,
    addresses: null,
    prefixes: null,
    nameServers: [],
    searchDomains: [],
    timeServers: [],
    refresh: 0,
    solicitMost: 0,
    informationMost: 0,
  };
  const seconds = (at: number, length: number, least: number, most: number): number => {
    const value = length === 4 ? view.getUint32(at) : 0;
    if (value >= least && value <= most) return value;
    bad();
    return 0;
  };
  const whole = eachOption(view, wire.HEADER_LENGTH, bytes.length, (code, at, length) => {
    switch (code) {
      case wire.Option.ClientId:
        message.client = bytes.subarray(at, at + length);
        return;
      case wire.Option.ServerId:
        if (length === 0 || length > MOST_DUID) bad();
        else message.server = bytes.slice(at, at + length);
        return;
      case wire.Option.Preference:
        if (length === 1) message.preference = bytes[at]!;
        return;
      case wire.Option.StatusCode:
        if (length >= 2) message.status = view.getUint16(at);
        return;
      case wire.Option.RapidCommit:
        message.rapid = true;
        return;
      case wire.Option.IaNa:
        message.addresses ??= readAssociation(view, at, length, wire.Option.IaAddress, bad);
        return;
      case wire.Option.IaPd:
        message.prefixes ??= readAssociation(view, at, length, wire.Option.IaPrefix, bad);
        return;
      case wire.Option.NameServers:
        message.nameServers = [...message.nameServers, ...readAddresses(view, at, length, bad)];
        return;
      case wire.Option.SearchList: {
        const names = readNames(view, at, at + length);
        if (names === null) bad();
        else message.searchDomains = names;
        return;
      }
      case wire.Option.NtpServer:
        eachOption(view, at, at + length, (kind, place, size) => {
          // 1: an address; 2: a group; 3: a name (RFC 5908, section 4).
          if (kind === 1) {
            message.timeServers = [...message.timeServers, ...readAddresses(view, place, size, bad)];
          }
        });
        return;
      case wire.Option.InformationRefreshTime:
        message.refresh = length === 4 ? Math.max(view.getUint32(at), 600) : 0;
        return;
      case wire.Option.SolMaxRt:
        message.solicitMost = seconds(at, length, 60, 86400);
        return;
      case wire.Option.InfMaxRt:
        message.informationMost = seconds(at, length, 60, 86400);
    }
  });
  if (!whole) return null;
  message.nameServers = message.nameServers.slice(0, MOST_VALUES);
  message.timeServers = message.timeServers.slice(0, MOST_VALUES);
  return message;
}

function readAddresses(view: DataView, at: number, length: number, bad: () => void): IpAddress[] {
  if (length === 0 || length % 16 !== 0) {
    bad();
    return [];
  }
  const found: IpAddress[] = [];
  for (let place = at; place < at + length && found.length < MOST_VALUES; place += 16) {
    const address = IpAddress.read(6, view, place);
    if (address.isMulticast || address.isUnspecified || address.isLoopback) bad();
    else found.push(address);
  }
  return found;
}

/** An identity association for addresses or prefixes. */
function readAssociation(
  view: DataView,
  at: number,
  length: number,
  kind: number,
  bad: () => void,
): Association | null {
  if (length < 12) {
    bad();
    return null;
  }
  const networks: LeasedNetwork[] = [];
  let status: number = wire.Status.Success;
  const whole = eachOption(view, at + 12, at + length, (code, place, size) => {
    if (code === wire.Option.StatusCode && size >= 2) status = view.getUint16(place);
    if (code !== kind || networks.length >= MOST_VALUES) return;
    const network = readNetwork(view, place, size, kind);
    if (network === null) bad();
    else networks.push(network);
  });
  const renewal = view.getUint32(at + 4), rebinding = view.getUint32(at + 8);
  // Such an association is to be ignored (RFC 8415, section 21.4).
  if (!whole || (renewal > rebinding && rebinding > 0)) {
    bad();
    return null;
  }
  return {
    id: view.getInt32(at),
    renewal: forever(renewal),
    rebinding: forever(rebinding),
    networks,
    status,
  };
}

function readNetwork(view: DataView, at: number, length: number, kind: number): LeasedNetwork | null {
  const isAddress = kind === wire.Option.IaAddress;
  if (length < (isAddress ? 24 : 25)) return null;
  const times = isAddress ? at + 16 : at;
  const address = IpAddress.read(6, view, isAddress ? at : at + 9);
  const bits = isAddress ? 128 : view.getUint8(at + 8);
  const preferred = forever(view.getUint32(times)), valid = forever(view.getUint32(times + 4));
  if (
    bits > 128 || bits === 0 || preferred > valid || address.isMulticast || address.isLinkLocal ||
    address.isUnspecified || address.isLoopback
  ) return null;
  const cidr = new Cidr(address, bits);
  return { network: isAddress ? cidr : cidr.network, preferred, valid };
}

function forever(seconds: number): number {
  return seconds === 0xffffffff ? Infinity : seconds;
}
