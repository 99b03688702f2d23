/**
 * The IPv4 groups of one interface, as it tells them by IGMP.
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import { decodeFloat, MembershipReporter, QuerierLevel } from "../multicast/reporter.ts";
import type { Packet } from "../packet.ts";
import { sum } from "../wire/checksum.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as wire from "../wire/igmp.ts";
import * as ipv4 from "../wire/ipv4.ts";

/** 224.0.0.1, which all hosts listen to and nobody is told of; 224.0.0.2; 224.0.0.22. */
const ALL_HOSTS = 0xe0000001 | 0, ALL_ROUTERS = 0xe0000002 | 0, IGMP_ROUTERS = 0xe0000016 | 0;
/** Bytes of the IP header with the router alert option, and the option (RFC 2113). */
const IP_HEADER = 24, ROUTER_ALERT = 0x94040000 | 0;
/** Class selector 6, internetwork control (RFC 3376, section 4). */
const TRAFFIC_CLASS = 0xc0;
const TENTH = 100_000;

/** Reports the groups of one interface. */
export class IgmpListener extends MembershipReporter {
  /** µs within which a report of an older version follows the first. */
  protected readonly unsolicited = 10_000_000;
  /** Bytes of an address. */
  protected readonly addressLength = 4;
  /** The newest version's report. */
  protected readonly reportType: number = wire.REPORT;

  /** Largest message, in bytes. */
  protected override get most(): number {
    return this.interface.mtu - IP_HEADER;
  }

  /** @internal Takes a query (cursor at its first byte, checksum verified). @returns False when it contradicts itself. */
  query(packet: Packet): boolean {
    const { view, offset: at, end } = packet;
    const length = end - at;
    const word = wire.group(view, at);
    const group = word === 0 ? null : IpAddress.v4(word);
    if (group !== null && !group.isMulticast) return false;
    const code = wire.maxResponse(view, at);
    if (length === wire.HEADER_LENGTH) {
      // Version 1 says nothing of a time and means 10 seconds (section 7.1; RFC 1112, appendix I).
      const delay = code === 0 ? 100 * TENTH : code * TENTH;
      this.heardOlder(code === 0 ? QuerierLevel.First : QuerierLevel.Groups, delay);
      this.asked(group, [], delay);
      return true;
    }
    if (length < wire.QUERY_LENGTH) return false;
    const count = wire.sources(view, at);
    if (length < wire.QUERY_LENGTH + 4 * count || (group === null && count > 0)) return false;
    this.heardQuerier(wire.robustness(view, at), decodeFloat(wire.interval(view, at), 4));
    const sources: IpAddress[] = [];
    // More than are kept is answered for the group as a whole.
    const taken = count > this.stack.limits.groupSources ? 0 : count;
    for (let i = 0; i < taken; i++) sources.push(IpAddress.v4(view.getInt32(at + wire.QUERY_LENGTH + 4 * i)));
    this.asked(group, sources, decodeFloat(code, 4) * TENTH);
    return true;
  }

  /** @internal Takes somebody else's report of version 1 or 2. */
  report(packet: Packet): void {
    this.heardReport(IpAddress.v4(wire.group(packet.view, packet.offset)));
  }

  /** All hosts are known to listen (section 6). */
  protected isTold(group: IpAddress): boolean {
    return group.d !== ALL_HOSTS;
  }

  /** Sends a report of an older version, or says that the group was left. */
  protected sendOld(group: IpAddress, level: QuerierLevel, leaves: boolean): void {
    const packet = this.interface.reserve();
    if (packet === null) return;
    const type = leaves ? wire.LEAVE : level === QuerierLevel.First ? wire.REPORT_V1 : wire.REPORT_V2;
    wire.write(packet.view, packet.offset, type, group.d);
    packet.end = packet.offset + wire.HEADER_LENGTH;
    this.#send(packet, leaves ? ALL_ROUTERS : group.d);
  }

  /** Sends a report of the newest version. */
  protected sendReport(packet: Packet): void {
    this.#send(packet, IGMP_ROUTERS);
  }

  #send(packet: Packet, destination: number): void {
    const { view, offset: at, end } = packet;
    const { stack, interface: by } = this;
    view.setUint16(at + 2, ~sum(packet.region, at, end - at));
    packet.transport = at;
    packet.version = 4;
    packet.protocol = wire.PROTOCOL;
    const header = packet.network = packet.push(IP_HEADER);
    // From 0.0.0.0 while there is no address (section 4.2.13).
    const source = by.sourceV4For(0);
    ipv4.write(
      view,
      header,
      TRAFFIC_CLASS,
      end - header,
      0,
      ipv4.DONT_FRAGMENT,
      1,
      wire.PROTOCOL,
      source,
      destination,
    );
    view.setUint8(header, 0x40 | IP_HEADER >> 2);
    view.setInt32(header + ipv4.HEADER_LENGTH, ROUTER_ALERT);
    ipv4.writeChecksum(view, header, IP_HEADER);
    if (stack.ipv4.tapOutgoing(packet)) return;
    stack.ipv4.counters.sent++;
    by.send(packet, 0x0100, 0x5e000000 | (destination & 0x7fffff), ethernet.IPV4);
  }
}
