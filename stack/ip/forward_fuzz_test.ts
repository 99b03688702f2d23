import assert from "node:assert/strict";
import fc from "fast-check";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 } from "../device.ts";
import { CHECKSUM_PARTIAL, GSO_TCPV4, GSO_TCPV6, GSO_UDP, type Packet } from "../packet.ts";
import { icmpFrame, ipv4Frame, udpFrame } from "../testing/frames.ts";
import { icmpv6Frame, ipv6Frame, udpFrameV6 } from "../testing/frames_v6.ts";
import { Router } from "../testing/router.ts";
import { writeChecksum } from "../wire/ipv4.ts";
import { Cidr } from "./address.ts";
import { ReversePath, Verdict } from "./forwarding.ts";
import { rewriteAddress, rewritePort } from "./rewrite.ts";
import { RouteKind } from "./routes.ts";

const HOME = { source: "10.0.0.2", destination: "10.0.1.2", from: 10 };
const HOME6 = { source: "fd00::2", destination: "fd01::2", from: 10 };
const SEGMENT = [
  0,
  1,
  0,
  2,
  ...new Array(8).fill(0),
  0x50,
  0x18,
  1,
  0,
  0,
  0,
  0,
  0,
  ...new Array(900).fill(7),
];

/** Frames that get through, each by a way of its own. */
const VALID = [
  udpFrame(1, 2, [1, 2, 3], HOME),
  udpFrame(1, 2, new Array(1300).fill(1), { ...HOME, options: [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0] }),
  udpFrame(1, 2, [1], { ...HOME, options: [68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 148, 4, 0, 0] }),
  udpFrame(1, 2, [1], { ...HOME, destination: "192.0.2.1" }),
  udpFrame(1, 2, [1], { ...HOME, destination: "10.0.1.200" }),
  icmpFrame(8, 0, 7, [1, 2, 3], HOME),
  icmpFrame(8, 0, 7, [1, 2, 3], { ...HOME, destination: "10.0.1.1" }),
  ipv4Frame(6, SEGMENT, { ...HOME, fragment: 0x4000 }),
  ipv4Frame(17, new Array(1400).fill(2), { ...HOME, fragment: 0x2000 | 7 }),
  udpFrameV6(1, 2, [1, 2, 3], HOME6),
  udpFrameV6(1, 2, new Array(1300).fill(1), HOME6),
  icmpv6Frame(128, 0, [0, 7, 0, 1, 2, 3], HOME6),
  ipv6Frame(6, SEGMENT, HOME6),
  ipv6Frame(200, [1, 2, 3], { ...HOME6, extensions: { first: 0, bytes: [200, 0, 5, 2, 0, 0, 1, 0] } }),
  ipv6Frame(17, [1, 2, 3, 4, 5, 6, 7, 8], {
    ...HOME6,
    extensions: { first: 44, bytes: [17, 0, 0, 1, 0, 0, 0, 9] },
  }),
];

const frames = fc.array(
  fc.record({
    which: fc.nat(VALID.length - 1),
    changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 3 }),
    cut: fc.option(fc.nat(120), { nil: undefined }),
    repair: fc.boolean(),
    gso: fc.constantFrom(0, 0, GSO_TCPV4, GSO_TCPV6, GSO_UDP, 77),
    gsoSize: fc.constantFrom(0, 1, 100, 1460, 65535),
    start: fc.constantFrom(0, 20, 34, 54, 300, 2000),
  }),
  { maxLength: 20 },
);

const OFFLOADS = [0, OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6];

Deno.test("Forwarding never throws, counts each packet once and gives every slot back, whatever comes in", () => {
  const kinds = fc.constantFrom(Verdict.Accept, Verdict.Accept, Verdict.Drop, Verdict.Reject);
  const settings = fc.record({
    offloads: fc.constantFrom(...OFFLOADS),
    rightMtu: fc.constantFrom(1280, 1500),
    redirects: fc.boolean(),
    reversePath: fc.constantFrom(ReversePath.Off, ReversePath.Loose, ReversePath.Strict),
    hook: fc.option(kinds, { nil: null }),
  });
  fc.assert(
    fc.property(settings, frames, (how, list) => {
      const device = { offloads: how.offloads, slotSize: 4096 };
      const router = new Router({ left: device, right: { ...device, mtu: how.rightMtu } }, {
        forwarding: { redirects: how.redirects },
      }, { reversePath: how.reversePath });
      const { stack } = router;
      stack.addRoute({ destination: Cidr.parse("192.0.2.0/24"), kind: RouteKind.Prohibit });
      if (how.hook !== null) {
        const verdict = how.hook;
        stack.forwarding.hook = {
          forward(packet) {
            rewriteAddress(packet, 0, router.right.addresses[packet.version === 4 ? 0 : 1]!.address);
            rewritePort(packet, 0, 4000);
            return verdict;
          },
        };
      }
      for (const { which, changes, cut, repair, gso, gsoSize, start } of list) {
        let frame = VALID[which]!.slice();
        for (const [at, value] of changes) if (14 + at < frame.length) frame[14 + at] = value;
        if (cut !== undefined) frame = frame.slice(0, cut);
        const header = ((frame[14] ?? 0) & 15) * 4;
        if (repair && frame[12] === 8 && frame[13] === 0 && header >= 20 && 14 + header <= frame.length) {
          writeChecksum(new DataView(frame.buffer), 14, header);
        }
        const prepare = gso === 0 ? null : (packet: Packet) => {
          packet.flags = CHECKSUM_PARTIAL;
          packet.gsoType = gso;
          packet.gsoSize = gsoSize;
          packet.checksumStart = packet.offset + start;
          packet.checksumOffset = 16;
        };
        router.leftDevice.deliver(router.left, frame, prepare);
      }
      for (let now = 2_000_000; now < 20_000_000; now += 1_000_000) stack.poll(now);
      assert.deepEqual(router.errors, []);
      for (const one of [stack.forwarding.ipv4, stack.forwarding.ipv6]) {
        const dropped = Object.values(one.dropped).reduce((sum, count) => sum + count, 0);
        assert.equal(one.received, one.forwarded + one.taken + dropped);
      }
      assert.equal(router.leftDevice.faults + router.rightDevice.faults, 0);
      assert.deepEqual([router.leftDevice.free, router.rightDevice.free], [64, 64]);
    }),
    { numRuns: 400 },
  );
});
