/**
 * What a DHCPv4 client says (RFC 2131, table 5).
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import type { Interface } from "../link/interface.ts";
import { CHECKSUM_PARTIAL, type Packet } from "../packet.ts";
import { fold } from "../wire/checksum.ts";
import * as wire from "../wire/dhcp.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as udp from "../wire/udp.ts";
import type { DhcpOptions } from "./options.ts";

const EVERYONE = IpAddress.v4(-1);
const NOBODY = IpAddress.v4(0);
/** Room for the longest message: the fixed part, two options of 255 bytes, and the short ones. */
const ROOM = 1024;

/** What is asked for. Classless routes before routers, as RFC 3442 wants. */
const WANTED: readonly number[] = [
  wire.Option.SubnetMask,
  wire.Option.ClasslessRoutes,
  wire.Option.Router,
  wire.Option.NameServer,
  wire.Option.HostName,
  wire.Option.DomainName,
  wire.Option.Mtu,
  wire.Option.NtpServer,
  wire.Option.LeaseTime,
  wire.Option.RenewalTime,
  wire.Option.RebindingTime,
  wire.Option.SearchList,
];

/** One message of a client. */
export interface ClientMessage {
  /** What kind it is. */
  readonly type: wire.MessageType;
  /** Which exchange it belongs to, signed. */
  readonly transaction: number;
  /** Seconds since the client has begun to ask. */
  readonly seconds: number;
  /** The address that the client uses and answers for, or null. */
  readonly client: IpAddress | null;
  /** The address that it would like to have, or refuses. */
  readonly requested: IpAddress | null;
  /** The server that is meant. */
  readonly server: IpAddress | null;
  /** Where it is sent; null: to everyone. */
  readonly to: IpAddress | null;
}

/** Sends a message. @returns False when it was dropped: no slot or no route. */
export function sendMessage(owner: Interface, options: DhcpOptions, message: ClientMessage): boolean {
  const { stack } = owner;
  const path = stack.path(message.to ?? EVERYONE, message.client ?? NOBODY, owner);
  const packet = path?.reserve(ROOM) ?? null;
  if (path === null || packet === null) return false;
  writeMessage(owner, options, message, packet);
  const at = packet.push(udp.HEADER_LENGTH);
  const { length } = packet;
  const pseudo = fold(path.addressSum + ipv4.UDP + length);
  udp.write(packet.view, at, wire.CLIENT_PORT, wire.SERVER_PORT, length, pseudo);
  packet.flags = CHECKSUM_PARTIAL;
  packet.checksumStart = at;
  packet.checksumOffset = udp.CHECKSUM_OFFSET;
  return path.send(packet, ipv4.UDP, 0, 0);
}

function writeMessage(owner: Interface, options: DhcpOptions, message: ClientMessage, packet: Packet): void {
  const { view, bytes, offset: start } = packet;
  const { type, client, requested, server } = message;
  const { macHigh, macLow } = owner;
  const flags = (options.broadcast ?? false) && client === null ? wire.BROADCAST : 0;
  const seconds = Math.min(message.seconds, 0xffff);
  wire.write(view, start, message.transaction, seconds, flags, client?.d ?? 0, macHigh, macLow);
  let at = start + wire.HEADER_LENGTH;
  const put = (code: number, value: ArrayLike<number>) => {
    bytes[at] = code;
    bytes[at + 1] = value.length;
    bytes.set(value, at + 2);
    at += 2 + value.length;
  };
  put(wire.Option.MessageType, [type]);
  put(wire.Option.ClientId, clientId(owner, options));
  if (requested !== null) put(wire.Option.RequestedAddress, requested.toBytes());
  if (server !== null) put(wire.Option.Server, server.toBytes());
  if (type === wire.MessageType.Discover || type === wire.MessageType.Request) {
    const most = Math.min(owner.mtu, 1500);
    put(wire.Option.MaximumSize, [most >> 8, most & 255]);
    const { hostname } = options;
    if (hostname !== undefined && hostname !== "") {
      put(wire.Option.HostName, Array.from(hostname.slice(0, 255), (letter) => letter.charCodeAt(0) & 255));
    }
    put(wire.Option.ParameterRequest, WANTED);
  }
  bytes[at++] = wire.Option.End;
  while (at < start + wire.LEAST_LENGTH) bytes[at++] = 0;
  packet.end = at;
}

/** Who the client is: a type and a value. */
function clientId(owner: Interface, { clientId = "mac" }: DhcpOptions): ArrayLike<number> {
  if (typeof clientId !== "string") return clientId.subarray(0, 255);
  const { mac } = owner.device;
  if (clientId === "mac") return [1, ...mac];
  // RFC 4361: type 255, the identity association (made of the link address, so that it stays), the DUID.
  return [255, ...mac.subarray(2), 0, 3, 0, 1, ...mac];
}
