/**
 * What a DHCPv6 client says (RFC 8415, sections 18.2 and 21).
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { Bytes } from "../packet.ts";
import * as wire from "../wire/dhcpv6.ts";
import type { Dhcpv6Given, Dhcpv6Lease } from "./options.ts";

/** What is asked for. */
const WANTED: readonly number[] = [
  wire.Option.NameServers,
  wire.Option.SearchList,
  wire.Option.NtpServer,
  wire.Option.SolMaxRt,
  wire.Option.InfMaxRt,
];

/** One message of a client. */
export interface Dhcpv6ClientMessage {
  /** What kind it is. */
  readonly type: wire.MessageType;
  /** 24 bits. */
  readonly transaction: number;
  /** Who sends it. */
  readonly client: Bytes;
  /** Who is meant, or null. */
  readonly server: Bytes | null;
  /** Hundredths of a second since the exchange began, at most 65535. */
  readonly elapsed: number;
  /** The number of the associations. */
  readonly association: number;
  /** What the client has. */
  readonly given: Dhcpv6Given;
  /** Whether prefixes are asked for. */
  readonly prefixes: boolean;
  /** Whether the server may skip offering. */
  readonly rapid: boolean;
}

/** DUID-LL over Ethernet (RFC 8415, section 11.4). */
export function clientIdentifier(owner: Interface): Bytes {
  return new Uint8Array([0, 3, 0, 1, ...owner.device.mac]);
}

/** The bytes of a message. */
export function writeMessage(message: Dhcpv6ClientMessage): Bytes {
  const { type, transaction, client, server, elapsed, given, association } = message;
  const out: number[] = [type, transaction >>> 16 & 255, transaction >>> 8 & 255, transaction & 255];
  out.push(...option(wire.Option.ClientId, client));
  if (server !== null) out.push(...option(wire.Option.ServerId, server));
  out.push(...option(wire.Option.ElapsedTime, word16(elapsed)));
  const ending = type === wire.MessageType.Release || type === wire.MessageType.Decline;
  if (type !== wire.MessageType.InformationRequest) {
    const addresses = given.addresses.map((lease) =>
      option(wire.Option.IaAddress, [...lease.network.address.toBytes(), ...word32(0), ...word32(0)])
    ).flat();
    // When something ends, what there is; else what is wanted, whether it is there already or not.
    if (!ending || addresses.length > 0) {
      out.push(
        ...option(wire.Option.IaNa, [...word32(association), ...word32(0), ...word32(0), ...addresses]),
      );
    }
    if (message.prefixes && (!ending || given.prefixes.length > 0)) {
      const prefixes = given.prefixes.map(prefixOption).flat();
      out.push(
        ...option(wire.Option.IaPd, [...word32(association), ...word32(0), ...word32(0), ...prefixes]),
      );
    }
  }
  if (!ending) {
    const refresh = type === wire.MessageType.InformationRequest ? [wire.Option.InformationRefreshTime] : [];
    out.push(...option(wire.Option.OptionRequest, [...WANTED, ...refresh].flatMap(word16)));
  }
  if (message.rapid) out.push(...option(wire.Option.RapidCommit, []));
  return new Uint8Array(out);
}

function prefixOption({ network }: Dhcpv6Lease): number[] {
  const value = [...word32(0), ...word32(0), network.prefix, ...network.address.toBytes()];
  return option(wire.Option.IaPrefix, value);
}

function option(code: number, value: ArrayLike<number>): number[] {
  return [...word16(code), ...word16(value.length), ...Array.from(value)];
}

function word16(value: number): number[] {
  return [value >>> 8 & 255, value & 255];
}

function word32(value: number): number[] {
  return [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}
