/**
 * IGMP as a host speaks it (RFC 3376; RFC 2236 and RFC 1112 while an older router is on the link).
 *
 * @module
 */

import { IgmpCounters } from "../counters.ts";
import type { Transport } from "../ip/path.ts";
import { type Packet, UNICAST } from "../packet.ts";
import { sum } from "../wire/checksum.ts";
import * as wire from "../wire/igmp.ts";
import * as ipv4 from "../wire/ipv4.ts";

/** The IGMP layer of a stack: checks messages and gives them to the interface that they came in by. */
export class Igmp implements Transport {
  /** What happened. */
  readonly counters: IgmpCounters = new IgmpCounters();

  receive(packet: Packet): void {
    const { counters } = this;
    const { dropped } = counters;
    const { view, offset: at, end, network } = packet;
    counters.received++;
    if (end - at < wire.HEADER_LENGTH) {
      dropped.truncated++;
      return;
    }
    if (sum(packet.region, at, end - at) !== 0xffff) {
      dropped.badChecksum++;
      return;
    }
    // What crosses routers is none of them (RFC 3376, section 4).
    if (ipv4.timeToLive(view, network) !== 1) {
      dropped.badTimeToLive++;
      return;
    }
    // A group's packets have come from the link; one to us alone may have been sent with just as many hops as it takes.
    if (packet.cast === UNICAST && !packet.interface!.reachesV4(ipv4.source(view, network))) {
      dropped.offLink++;
      return;
    }
    const listener = packet.interface!.igmp;
    const type = wire.type(view, at);
    if (listener === null || (type !== wire.QUERY && type !== wire.REPORT_V1 && type !== wire.REPORT_V2)) {
      dropped.unknownType++;
      return;
    }
    if (type !== wire.QUERY) listener.report(packet);
    else if (!listener.query(packet)) {
      dropped.malformed++;
      return;
    }
    counters.delivered++;
  }

  error(): void {}
}
