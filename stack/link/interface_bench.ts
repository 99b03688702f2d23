/**
 * What the link layer costs a frame: `deno bench stack/link/interface_bench.ts`.
 *
 * @module
 */

import type { Bytes } from "../packet.ts";
import { Cidr, IpAddress } from "../ip/address.ts";
import { Stack } from "../stack.ts";
import { xorshift } from "../testing/pair.ts";
import { SinkDevice } from "../testing/sink_device.ts";

/** Frames of one iteration. */
const BATCH = 1000;
/** An ethertype for experiments (IEEE 802). */
const EXPERIMENT = 0x88b5;

const device = new SinkDevice(1);
const stack = new Stack({ random: xorshift(1) });
const link = stack.addInterface(device, { addresses: [Cidr.parse("10.0.0.1/24")], ipv6: false });
let handled = 0;
link.attach(EXPERIMENT, { receive: () => void handled++ });
const neighbour = link.arp.neighbours.setPermanent(IpAddress.parse("10.0.0.2"), 0x0200, 2);
stack.poll(1);

function frame(to: number, ethertype: number, payload: readonly number[]): Bytes {
  return Uint8Array.from([2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, 2, ethertype >> 8, ethertype & 255, ...payload]);
}

function receive(name: string, bytes: Bytes, count: () => number): void {
  Deno.bench({ name: `${BATCH} × ${name}`, group: "receive" }, () => {
    const before = count();
    for (let i = 0; i < BATCH; i++) {
      device.place(bytes);
      device.deliver(link, bytes.length);
    }
    if (count() - before !== BATCH) throw new Error(`"${name}" came to something else`);
  });
}

const request = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1];
receive("a frame to a handler", frame(1, EXPERIMENT, new Array(46).fill(0)), () => handled);
receive(
  "a frame to another station, dropped",
  frame(9, EXPERIMENT, new Array(46).fill(0)),
  () => link.counters.dropped.otherStation,
);
receive("an ARP request, answered in place", frame(1, 0x0806, request), () => device.counters.sentFrames);

Deno.bench({ name: `${BATCH} × a frame to a neighbour that is known`, group: "send" }, () => {
  for (let i = 0; i < BATCH; i++) {
    const packet = link.reserve()!;
    packet.end += 46;
    if (!link.sendTo(packet, neighbour, EXPERIMENT)) throw new Error("A frame was not sent");
  }
});
