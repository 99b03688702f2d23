/**
 * The UDP service on a socket of the kernel with UDP_SEGMENT and UDP_GRO, through libc: the fastest that Deno can be there,
 * since `Deno.listenDatagram` moves one datagram a call. A process of its own, because its calls block.
 *
 * @module
 */

import { ASK, BURST, Burst, DATAGRAM_PORT, REPORT, REQUEST, SIZE, Tally } from "./datagrams.ts";
import { MOST, UdpSocket } from "./peer/udp_socket.ts";

/** Milliseconds without a datagram after which it looks around. */
const PATIENCE = 1000;

const socket = new UdpSocket(DATAGRAM_PORT, PATIENCE, SIZE);
const bytes = new Uint8Array(new ArrayBuffer(MOST));
const view = new DataView(bytes.buffer);
const report = new Uint8Array(new ArrayBuffer(REPORT));
const reportView = new DataView(report.buffer);
const tally = new Tally();
console.log("ready");
for (;;) {
  const length = socket.receive(bytes);
  if (length === ASK) {
    tally.report(reportView, 0);
    socket.send(socket.from, report, REPORT);
  } else if (length === REQUEST) {
    const burst = new Burst();
    const target = socket.from.slice();
    const end = performance.now() + view.getUint32(0);
    let sent = 0;
    while (performance.now() < end) {
      burst.number();
      if (socket.send(target, burst.bytes, SIZE * BURST)) sent += BURST;
    }
    reportView.setFloat64(0, sent);
    for (let i = 0; i < 3; i++) socket.send(target, report, REPORT);
  } else if (length > 0) {
    for (let at = 0; at + SIZE <= length; at += SIZE) tally.count(view.getUint32(at));
    tally.stamp(performance.now() * 1000);
  }
}
