/**
 * The IPv6 groups of one interface, as it tells them by multicast listener discovery (MLDv2, RFC 3810; MLDv1, RFC 2710,
 * while an older router is on the link).
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import { ALL_NODES } from "../ip/ipv6.ts";
import { selectSource } from "../ip/source_selection.ts";
import { decodeFloat, MembershipReporter, QuerierLevel } from "../multicast/reporter.ts";
import type { Packet } from "../packet.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as echo from "../wire/icmpv4.ts";
import * as icmp from "../wire/icmpv6.ts";
import * as ipv6 from "../wire/ipv6.ts";

/** Bytes of the hop-by-hop header with the router alert. */
const ALERT = 8;
/** Bytes of a message of version 1, and of a query of version 2 without sources. */
const OLD_LENGTH = 24, QUERY_LENGTH = 28;
/** Where a query has its delay, group, robustness, interval and number of sources. */
const DELAY = 4, GROUP = 8, FLAGS = 24, INTERVAL = 25, COUNT = 26;
/** All routers of the link; all that speak MLDv2. */
const ALL_ROUTERS = IpAddress.v6(0xff020000, 0, 0, 2), LISTENED = IpAddress.v6(0xff020000, 0, 0, 0x16);
const UNSPECIFIED = IpAddress.v6(0, 0, 0, 0);
const MILLISECOND = 1000;

/** Reports the groups of one interface. */
export class MulticastListener extends MembershipReporter {
  /** µs within which a report of an older version follows the first. */
  protected readonly unsolicited = 10_000_000;
  /** Bytes of an address. */
  protected readonly addressLength = 16;
  /** The newest version's report. */
  protected readonly reportType: number = icmp.LISTENER_REPORT;

  /** Largest message, in bytes. */
  protected override get most(): number {
    return this.interface.mtu - ipv6.HEADER_LENGTH - ALERT;
  }

  /** @internal Takes a query (cursor at the ICMPv6 header, checksum verified). @returns Whether it was a proper one. */
  query(packet: Packet): boolean {
    const { view, offset: at, end } = packet;
    const length = end - at;
    if (length < OLD_LENGTH || !fromLink(packet)) return false;
    const address = IpAddress.read(6, view, at + GROUP);
    const group = address.isUnspecified ? null : address;
    if (group !== null && !group.isMulticast) return false;
    const code = view.getUint16(at + DELAY);
    if (length === OLD_LENGTH) {
      this.heardOlder(QuerierLevel.Groups, code * MILLISECOND);
      this.asked(group, [], code * MILLISECOND);
      return true;
    }
    if (length < QUERY_LENGTH) return false;
    const count = view.getUint16(at + COUNT);
    if (length < QUERY_LENGTH + 16 * count || (group === null && count > 0)) return false;
    this.heardQuerier(view.getUint8(at + FLAGS) & 7, decodeFloat(view.getUint8(at + INTERVAL), 4));
    const sources: IpAddress[] = [];
    // More than are kept is answered for the group as a whole.
    const taken = count > this.stack.limits.groupSources ? 0 : count;
    for (let i = 0; i < taken; i++) sources.push(IpAddress.read(6, view, at + QUERY_LENGTH + 16 * i));
    this.asked(group, sources, decodeFloat(code, 12) * MILLISECOND);
    return true;
  }

  /** @internal Takes somebody else's report of version 1. @returns Whether it was a proper one. */
  report(packet: Packet): boolean {
    const { view, offset: at, end } = packet;
    if (end - at < OLD_LENGTH || !fromLink(packet)) return false;
    this.heardReport(IpAddress.read(6, view, at + GROUP));
    return true;
  }

  /** All nodes are known to listen, and what does not leave the host is nobody's business (section 6). */
  protected isTold(group: IpAddress): boolean {
    return (group.a >>> 16 & 15) >= 2 && !group.equals(ALL_NODES);
  }

  /** Sends a report of an older version, or says that the group was left. */
  protected sendOld(group: IpAddress, _level: QuerierLevel, leaves: boolean): void {
    const packet = this.interface.reserve();
    if (packet === null) return;
    const { view, offset: at } = packet;
    view.setInt32(at, (leaves ? icmp.LISTENER_DONE_V1 : icmp.LISTENER_REPORT_V1) << 24);
    view.setInt32(at + DELAY, 0);
    group.write(view, at + GROUP);
    packet.end = at + OLD_LENGTH;
    this.#send(packet, leaves ? ALL_ROUTERS : group);
  }

  /** Sends a report of the newest version. */
  protected sendReport(packet: Packet): void {
    this.#send(packet, LISTENED);
  }

  #send(packet: Packet, destination: IpAddress): void {
    const { view, offset: at, end } = packet;
    const { stack, interface: by } = this;
    const length = end - at;
    packet.transport = at;
    const alert = packet.push(ALERT);
    view.setInt32(alert, ipv6.ICMP << 24 | 0x0502);
    view.setInt32(alert + 4, 0x0100);
    const header = packet.network = packet.push(ipv6.HEADER_LENGTH);
    // From :: while there is no link-local address that is sure to be ours (section 5.2.13).
    const own = selectSource(by.nd!.addresses, LISTENED);
    const source = own?.address.isLinkLocal ? own.address : UNSPECIFIED;
    ipv6.write(view, header, 0, 0, ALERT + length, ipv6.HOP_BY_HOP, 1, source, destination);
    const pseudo = sum(packet.region, header + ipv6.SOURCE, 32) + ipv6.ICMP + length;
    echo.setChecksum(view, at, ~fold(pseudo + sum(packet.region, at, length)) & 0xffff);
    packet.version = 6;
    packet.protocol = ipv6.ICMP;
    if (stack.ipv6.tapOutgoing(packet)) return;
    stack.ipv6.counters.sent++;
    by.send(packet, 0x3333, destination.d, ethernet.IPV6);
  }
}

/** Whether a message has what shows that it comes from the link (section 6.2; RFC 2710, section 5). */
function fromLink({ view, network }: Packet): boolean {
  return ipv6.hopLimit(view, network) === 1 && view.getInt32(network + ipv6.SOURCE) >>> 22 === 0x3fa &&
    hasRouterAlert(view, network);
}

/** Whether the hop-by-hop header, whose options were checked, has a router alert for MLD (RFC 2711). */
function hasRouterAlert(view: DataView, network: number): boolean {
  if (ipv6.nextHeader(view, network) !== ipv6.HOP_BY_HOP) return false;
  const header = network + ipv6.HEADER_LENGTH;
  const end = header + ipv6.extensionLength(view, header);
  for (let at = header + 2; at < end;) {
    const type = view.getUint8(at);
    if (type === 0) {
      at++;
      continue;
    }
    if (type === 5) return at + 4 <= end && view.getInt16(at + 2) === 0;
    at += 2 + view.getUint8(at + 1);
  }
  return false;
}
