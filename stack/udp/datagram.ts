/**
 * What a received datagram tells about its way, and what may be chosen for one that is sent.
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import type { PacketHeaders } from "../ip/packet_headers.ts";
import type { Interface } from "../link/interface.ts";
import type { Packet } from "../packet.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";

/** How one datagram is sent, where it differs from what holds for its socket. */
export interface SendOptions {
  /** Our address that it comes from. Default: the socket's, or what the route says. */
  source?: IpAddress | undefined;
  /** The only interface it may leave by. A link-local destination needs one when several interfaces speak IPv6. */
  interface?: Interface | null | undefined;
  /** TTL or hop limit, 1 to 255. Default: the socket's. */
  hopLimit?: number | undefined;
  /** DSCP and ECN (TOS), 0 to 255. Default: the socket's. */
  trafficClass?: number | undefined;
  /** Options of IPv4 and extension headers of IPv6; null for none. Default: the socket's. */
  headers?: PacketHeaders | null | undefined;
}

/** The address that a received packet came from. Allocates; `packet.network` is its IP header for those who must not. */
export function sourceOf(packet: Packet): IpAddress {
  return packet.version === 4
    ? IpAddress.read(4, packet.view, packet.network + 12)
    : IpAddress.read(6, packet.view, packet.network + 8);
}

/** The address that a received packet was sent to. */
export function destinationOf(packet: Packet): IpAddress {
  return packet.version === 4
    ? IpAddress.read(4, packet.view, packet.network + 16)
    : IpAddress.read(6, packet.view, packet.network + 24);
}

/** The port that a received datagram or segment came from. */
export function sourcePortOf(packet: Packet): number {
  return packet.view.getUint16(packet.transport);
}

/** The interface that a received packet came in by; for what we sent to a group ourselves, the one that it left by. */
export function interfaceOf(packet: Packet): Interface {
  return packet.looped ?? packet.interface!;
}

/** Who has sent the ICMP error that a transport or handler is told of; null when nobody has: our own neighbour is silent. */
export function reporterOf(packet: Packet): IpAddress | null {
  const { outer, view } = packet;
  if (outer < 0) return null;
  return packet.version === 4 ? IpAddress.read(4, view, outer + 12) : IpAddress.read(6, view, outer + 8);
}

/** TTL or hop limit with which a packet arrived. */
export function hopLimitOf(packet: Packet): number {
  return packet.version === 4
    ? ipv4.timeToLive(packet.view, packet.network)
    : ipv6.hopLimit(packet.view, packet.network);
}

/** DSCP and ECN (TOS) with which a packet arrived. */
export function trafficClassOf(packet: Packet): number {
  return packet.version === 4
    ? ipv4.trafficClass(packet.view, packet.network)
    : ipv6.trafficClass(packet.view, packet.network);
}
