/**
 * Frames that are none of Ethernet II (IEEE 802.3 with 802.2): they are told apart and counted, and nothing of them is spoken.
 *
 * @module
 */

import type { LinkCounters } from "../counters.ts";
import type { Packet } from "../packet.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as llc from "../wire/llc.ts";

/** Counts a frame (cursor at its link header) that has a length for an ethertype. */
export function countLlc(packet: Packet, length: number, { dropped, llc: counters }: LinkCounters): void {
  const at = packet.offset + ethernet.HEADER_LENGTH;
  if (length < llc.HEADER_LENGTH || at + length > packet.end) {
    dropped.badLength++;
    return;
  }
  dropped.notEthernet2++;
  switch (llc.services(packet.view, at)) {
    case llc.SPANNING_TREE:
      counters.spanningTree++;
      break;
    case llc.SNAP:
      counters.snap++;
      break;
    case llc.RAW_IPX:
      counters.rawIpx++;
      break;
    default:
      counters.other++;
  }
}
