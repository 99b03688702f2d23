/**
 * What forwarding a packet costs beyond its devices: `deno bench stack/ip/forward_bench.ts`.
 *
 * @module
 */

import type { Bytes } from "../packet.ts";
import { udpFrame } from "../testing/frames.ts";
import { udpFrameV6 } from "../testing/frames_v6.ts";
import { xorshift } from "../testing/pair.ts";
import { SinkDevice, START } from "../testing/sink_device.ts";
import { Stack } from "../stack.ts";
import { Cidr, IpAddress } from "./address.ts";
import { Verdict } from "./forwarding.ts";

const BATCH = 1000;
const left = new SinkDevice(1), right = new SinkDevice(2);
const stack = new Stack({ random: xorshift(1), forwarding: true, limits: { routes: 2_000_000 } });
const ipv6 = { duplicates: "off", routers: false } as const;
const near = stack.addInterface(left, {
  addresses: [Cidr.parse("10.0.0.1/24"), Cidr.parse("fd00::1/64")],
  ipv6,
});
const far = stack.addInterface(right, {
  addresses: [Cidr.parse("10.0.1.1/24"), Cidr.parse("fd01::1/64")],
  ipv6,
});
const gateway = IpAddress.parse("10.0.1.2"), gateway6 = IpAddress.parse("fd01::2");
far.arp.neighbours.setPermanent(gateway, 0x0200, 9);
far.nd!.neighbours.setPermanent(gateway6, 0x0200, 9);
for (const [destination, by] of [["0.0.0.0/0", gateway], ["::/0", gateway6]] as const) {
  stack.addRoute({ destination: Cidr.parse(destination), gateway: by, interface: far });
}
stack.poll(1);

function bench(name: string, frame: Bytes): void {
  const { bytes } = left.received;
  Deno.bench({ name: `${BATCH} × ${name}`, group: "forward" }, () => {
    for (let i = 0; i < BATCH; i++) {
      // Forwarding counts the hops down in place.
      for (let j = 0; j < 54; j++) bytes[START + j] = frame[j]!;
      left.deliver(near, frame.length);
    }
  });
  left.place(frame);
}

const small = udpFrame(1, 2, new Array(18).fill(1), {
  source: "10.0.0.2",
  destination: "192.0.2.1",
  from: 9,
});
const small6 = udpFrameV6(1, 2, new Array(18).fill(1), {
  source: "fd00::2",
  destination: "2001:db8::1",
  from: 9,
});
const large = udpFrame(1, 2, new Array(1472).fill(1), {
  source: "10.0.0.2",
  destination: "192.0.2.1",
  from: 9,
});
bench("IPv4, 60 bytes", small);
bench("IPv6, 80 bytes", small6);
bench("IPv4, 1,514 bytes", large);
Deno.bench({ name: `${BATCH} × IPv4, 60 bytes, through a hook`, group: "forward" }, () => {
  stack.forwarding.hook ??= { forward: () => Verdict.Accept };
  for (let i = 0; i < BATCH; i++) {
    left.place(small);
    left.deliver(near, small.length);
  }
});
