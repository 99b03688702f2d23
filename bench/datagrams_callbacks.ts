/**
 * The UDP service of our contender, on the stack's callbacks.
 *
 * @module
 */

import type { IpAddress } from "../stack/ip/address.ts";
import type { Packet } from "../stack/packet.ts";
import type { Stack } from "../stack/stack.ts";
import { sourceOf, sourcePortOf } from "../stack/udp/datagram.ts";
import type { UdpSocket } from "../stack/udp/socket.ts";
import { ASK, BURST, Burst, DATAGRAM_PORT, REPORT, REQUEST, SIZE, Tally } from "./datagrams.ts";

/** Super-datagrams sent in a turn of the event loop. */
const A_TURN = 32;

/** Starts it. */
export function startDatagrams(stack: Stack): void {
  const tally = new Tally();
  const socket = stack.udp.bind({ port: DATAGRAM_PORT }, {
    receive(packet: Packet, socket: UdpSocket) {
      const { view, offset, length } = packet;
      if (length === SIZE) {
        tally.count(view.getUint32(offset));
        tally.stamp(stack.now);
      } else if (length === ASK) {
        tally.report(view, offset);
        socket.answer(packet, REPORT);
      } else if (length === REQUEST) {
        send(sourceOf(packet), sourcePortOf(packet), view.getUint32(offset));
      }
    },
  });

  function send(target: IpAddress, port: number, milliseconds: number): void {
    const burst = new Burst();
    const end = performance.now() + milliseconds;
    let sent = 0;
    const turn = () => {
      for (let i = 0; i < A_TURN; i++) {
        burst.number();
        sent += socket.sendSegments(burst.bytes, 0, SIZE * BURST, SIZE, target, port);
      }
      if (performance.now() < end) {
        setImmediate(turn);
        return;
      }
      const report = new Uint8Array(REPORT);
      new DataView(report.buffer).setFloat64(0, sent);
      for (let i = 0; i < 3; i++) socket.send(report, 0, REPORT, target, port);
    };
    turn();
  }
}
