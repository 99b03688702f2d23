/**
 * A path: what a transport needs to send to one destination, looked up once and shared by everyone who talks to
 * the same peer from the same address.
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { Packet } from "../packet.ts";
import type { IpAddress } from "./address.ts";

/** How to reach one destination. Made by the IP layers; transports hold it for as long as they like. */
export interface Path {
  /** 4 or 6. */
  readonly version: 4 | 6;
  /** Our address. */
  readonly source: IpAddress;
  /** The peer's address. */
  readonly destination: IpAddress;
  /** The interface that frames leave by. Follows the routes when they change. */
  readonly interface: Interface;
  /** Largest IP packet that is known to get through, in bytes. */
  readonly mtu: number;
  /** Bytes of the IP header it puts in front. */
  readonly headerLength: number;
  /** Folded 16-bit ones' complement sum of both addresses, for pseudo-headers. */
  readonly addressSum: number;
  /** True for a destination that is one of our own addresses (frames are looped back, never sent). */
  readonly local: boolean;
  /** True for a broadcast or multicast destination. */
  readonly group: boolean;

  /**
   * Takes a packet whose cursor is at the place where the transport's payload goes.
   * @param room Bytes of payload that must fit; default 0: what a slot of the device takes. What is larger than the
   *   path's MTU is sent in fragments, unless it is TCP's.
   * @returns null when the device has no free slot.
   */
  reserve(room?: number): Packet | null;

  /**
   * Puts the IP and link headers in front of what the packet holds (transport header and payload, cursor at the
   * transport header) and sends it; queues it while the next hop is being resolved. A checksum that the packet
   * calls for ({@link Packet.flags}) and segmentation ({@link Packet.gsoType}) are completed on the way if the
   * device doesn't. Takes ownership.
   * @param protocol IANA number. @param trafficClass DSCP and ECN, 0 to 255. @param hopLimit 1 to 255; 0 takes the default.
   * @returns False when it was dropped (and counted) at once.
   */
  send(packet: Packet, protocol: number, trafficClass: number, hopLimit: number): boolean;

  /**
   * Takes note of a smaller MTU further on (RFC 1191, RFC 8201), for everyone who shares this path. The caller
   * has made sure that the message is about a packet it sent. Values below the version's least MTU are raised to it.
   */
  learnMtu(mtu: number): void;

  /**
   * Takes note that the peer has just answered something new, so that the next hop works and need not be asked (RFC
   * 4861, section 7.3.1; RFC 1122, section 2.3.2.1). Cheap; a transport calls it for each acknowledgement of new data.
   */
  confirm(): void;
}

/** A transport protocol as the IP layers see it. */
export interface Transport {
  /** Takes a packet for us: the cursor at the transport header, `end` cut to the IP length, `network`, `version` set. */
  receive(packet: Packet): void;
  /**
   * Takes an ICMP error about a packet of ours. The cursor is at the transport header of the quoted packet (at
   * least 8 bytes of it), `network` at its IP header.
   * @param kind What happened. @param mtu The next hop's MTU for `PacketTooBig`, otherwise 0.
   */
  error(packet: Packet, kind: IcmpError, mtu: number): void;
}

/** What an ICMP error says, for both versions (RFC 1122, section 4.2.3.9; RFC 4443). */
export enum IcmpError {
  NetworkUnreachable,
  HostUnreachable,
  ProtocolUnreachable,
  PortUnreachable,
  PacketTooBig,
  Prohibited,
  TimeExceeded,
  ParameterProblem,
}
