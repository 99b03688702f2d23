/**
 * What a datagram costs between the frame and its socket: `deno bench stack/udp/udp_bench.ts`. The cost must not grow with
 * the number of sockets.
 *
 * @module
 */

import { Cidr, IpAddress } from "../ip/address.ts";
import { Stack } from "../stack.ts";
import { udpFrame } from "../testing/frames.ts";
import { xorshift } from "../testing/pair.ts";
import { SinkDevice } from "../testing/sink_device.ts";

/** Datagrams of one iteration. */
const BATCH = 1000;
/** Where the sockets' ports begin. */
const FIRST = 1024;

const remote = IpAddress.parse("10.0.0.2");
const payload = new Uint8Array(64);

for (const sockets of [1, 10_000]) {
  const device = new SinkDevice(1);
  const stack = new Stack({ random: xorshift(1) });
  const link = stack.addInterface(device, { addresses: [Cidr.parse("10.0.0.1/24")], ipv6: false });
  link.arp.neighbours.setPermanent(remote, 0x0200, 2);
  let received = 0;
  const handler = { receive: () => void received++ };
  const bound = Array.from({ length: sockets }, (_, i) => stack.udp.bind({ port: FIRST + i }, handler));
  stack.poll(1);
  const frames = bound.map((_, i) => udpFrame(7, FIRST + i, payload));
  Deno.bench({
    name: `${BATCH} × 64 bytes come, ${sockets} sockets`,
    group: "receive",
    baseline: sockets === 1,
    fn() {
      received = 0;
      for (let i = 0; i < BATCH; i++) {
        const frame = frames[i % sockets]!;
        device.place(frame);
        device.deliver(link, frame.length);
      }
      if (received !== BATCH) throw new Error(`${received} of ${BATCH} datagrams came`);
    },
  });
  Deno.bench({
    name: `${BATCH} × 64 bytes go, ${sockets} sockets`,
    group: "send",
    baseline: sockets === 1,
    fn() {
      const before = device.counters.sentFrames;
      for (let i = 0; i < BATCH; i++) bound[i % sockets]!.send(payload, 0, payload.length, remote, 7);
      if (device.counters.sentFrames - before !== BATCH) throw new Error("A datagram was not sent");
    },
  });
}
