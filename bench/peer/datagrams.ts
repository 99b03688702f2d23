/**
 * The load of the UDP figures, on the kernel's sockets.
 *
 * @module
 */

import { ASK, BURST, Burst, DATAGRAM_PORT, REPORT, REQUEST, SIZE, Tally } from "../datagrams.ts";
import type { Measured } from "./main.ts";
import { MOST, UdpSocket, udpTarget } from "./udp_socket.ts";

/** Milliseconds that an answer may take, and how often it is asked for. */
const PATIENCE = 200, TRIES = 20;

function measured(datagrams: number, sent: number, wrong: number, micros: number): Measured {
  if (wrong !== 0) throw new Error(`${wrong} of ${datagrams} datagrams came out of turn`);
  if (datagrams > sent) throw new Error(`${datagrams} datagrams came of ${sent} that were sent`);
  if (!(micros > 0)) throw new Error("No datagrams came");
  return {
    bits_per_second: datagrams * SIZE * 8 / (micros / 1e6),
    lost_percent: (sent - datagrams) / sent * 100,
  };
}

/** Sends for some seconds; what counts is what the contender has received. */
export function sendDatagrams(address: string, seconds: number): Measured {
  using socket = new UdpSocket(0, PATIENCE, SIZE);
  const target = udpTarget(address, DATAGRAM_PORT);
  const answer = new Uint8Array(new ArrayBuffer(MOST));
  const ask = (): DataView => {
    for (let i = 0; i < TRIES; i++) {
      socket.send(target, answer, ASK);
      if (socket.receive(answer) === REPORT) return new DataView(answer.buffer);
    }
    throw new Error("The contender does not say what it has received");
  };
  ask();
  const burst = new Burst();
  let sent = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    burst.number();
    if (socket.send(target, burst.bytes, SIZE * BURST)) sent += BURST;
  }
  const report = ask();
  return measured(report.getFloat64(0), sent, report.getFloat64(8), report.getFloat64(16));
}

/** Has the contender send for some seconds. */
export function receiveDatagrams(address: string, seconds: number): Measured {
  using socket = new UdpSocket(0, PATIENCE, SIZE);
  const bytes = new Uint8Array(new ArrayBuffer(MOST));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, seconds * 1000);
  const target = udpTarget(address, DATAGRAM_PORT);
  const tally = new Tally();
  socket.send(target, bytes, REQUEST);
  for (let waited = 0;;) {
    const length = socket.receive(bytes);
    if (length === REPORT) return measured(tally.datagrams, view.getFloat64(0), tally.wrong, tally.elapsed);
    if (length < 0 && ++waited > TRIES) throw new Error("The contender does not say what it has sent");
    for (let at = 0; at + SIZE <= length; at += SIZE) tally.count(view.getUint32(at));
    if (length >= SIZE) tally.stamp(performance.now() * 1000);
  }
}
