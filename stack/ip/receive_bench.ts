/**
 * What a packet for us costs up to its transport: `deno bench stack/ip/receive_bench.ts`.
 *
 * @module
 */

import type { Bytes } from "../packet.ts";
import { Stack } from "../stack.ts";
import { icmpFrame, ipv4Frame } from "../testing/frames.ts";
import { icmpv6Frame, ipv6Frame } from "../testing/frames_v6.ts";
import { xorshift } from "../testing/pair.ts";
import { SinkDevice } from "../testing/sink_device.ts";
import { Cidr, IpAddress } from "./address.ts";

/** Packets of one iteration. */
const BATCH = 1000;
/** A protocol number for experiments (RFC 3692, section 2.1). */
const EXPERIMENT = 253;

const device = new SinkDevice(1);
const stack = new Stack({ random: xorshift(1) });
const link = stack.addInterface(device, {
  addresses: [Cidr.parse("10.0.0.1/24"), Cidr.parse("fd00::1/64")],
  ipv6: { duplicates: "off", routers: false },
});
link.arp.neighbours.setPermanent(IpAddress.parse("10.0.0.2"), 0x0200, 2);
link.nd!.neighbours.setPermanent(IpAddress.parse("fd00::2"), 0x0200, 2);
let handled = 0;
stack.attach(EXPERIMENT, { receive: () => void handled++, error: () => {} });
let now = 1;
stack.poll(now);

function bench(version: 4 | 6, name: string, frames: readonly Bytes[], count: () => number): void {
  Deno.bench({ name: `${BATCH} × ${name}`, group: `IPv${version}` }, () => {
    const before = count();
    // Answers to echo requests are limited in a second.
    stack.poll(now += 1_000_000);
    for (let i = 0; i < BATCH; i++) {
      for (const frame of frames) {
        device.place(frame);
        device.deliver(link, frame.length);
      }
    }
    if (count() - before !== BATCH) throw new Error(`"${name}" came to something else`);
  });
}

const short = new Array(32).fill(7), half = new Array(720).fill(7);
const sent = () => device.counters.sentFrames;
bench(4, "a packet of 52 bytes", [ipv4Frame(EXPERIMENT, short)], () => handled);
bench(4, "an echo request, answered in place", [icmpFrame(8, 0, 1, short)], sent);
bench(4, "two fragments of 720 bytes, put together", [
  ipv4Frame(EXPERIMENT, half, { fragment: 0x2000 }),
  ipv4Frame(EXPERIMENT, half, { fragment: 720 / 8 }),
], () => handled);
bench(6, "a packet of 72 bytes", [ipv6Frame(EXPERIMENT, short)], () => handled);
bench(6, "an echo request, answered in place", [icmpv6Frame(128, 0, [0, 1, 0, 1, ...short])], sent);
bench(
  6,
  "two fragments of 720 bytes, put together",
  [0x0001, 720].map((offset) =>
    ipv6Frame(EXPERIMENT, half, {
      extensions: { first: 44, bytes: [EXPERIMENT, 0, offset >> 8, offset & 255, 0, 0, 0, 9] },
    })
  ),
  () => handled,
);
