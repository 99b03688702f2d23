import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "./ip/address.ts";
import { Region } from "./packet.ts";
import { bytesOf, icmpv6Frame, ipv6Frame, linkOption, udpFrameV6 } from "./testing/frames_v6.ts";
import { Host } from "./testing/pair.ts";
import { fold, sum } from "./wire/checksum.ts";

function total(dropped: object): number {
  return Object.values(dropped).reduce((sum: number, count: number) => sum + count, 0);
}

/** Every layer has delivered or dropped all that it received, and every slot is back. */
function checkBooks(host: Host): void {
  const { stack, device } = host;
  const { nd, counters: link } = host.interface;
  const layers = [link, nd!.counters, stack.ipv6.counters, stack.icmpv6.counters, stack.udp.counters];
  for (const counters of layers) {
    assert.equal(counters.received, counters.delivered + total(counters.dropped));
  }
  assert.deepEqual(host.errors, []);
  assert.equal(device.faults, 0);
  let waiting = 0;
  for (const entry of nd!.neighbours.entries()) waiting += entry.queued;
  assert.equal(device.free + waiting, 64);
  assert.ok(nd!.addresses.length <= 6);
  assert.ok(stack.routes.routes.length <= 1 + 4 + 4 + 4);
}

function host(): Host {
  const limits = { addresses: 5, routers: 4, prefixes: 4, nameServers: 4 };
  const made = new Host(1, "fd00::1/64", {}, { limits }, { duplicates: "optimistic" });
  made.stack.udp.bind({ port: 7 }, {
    receive: (packet, socket) => socket.answer(packet, packet.length),
    error: () => {},
  });
  made.stack.icmp.echo({ destination: IpAddress.parse("fd00::1"), identifier: 1 }, { reply: () => {} });
  return made;
}

const ND = { hopLimit: 255 };
const LOCAL = { ...ND, source: "fe80::2", destination: "ff02::1" };
const quote = udpFrameV6(7, 9, [1, 2, 3], { source: "fd00::1", destination: "fd00::2" }).subarray(14);
const VALID = [
  udpFrameV6(9, 7, [1, 2, 3, 4, 5]),
  udpFrameV6(9, 8, [1, 2, 3], { extensions: { first: 0, bytes: [17, 0, 5, 2, 0, 0, 1, 0] } }),
  udpFrameV6(9, 7, [1, 2, 3], {
    extensions: { first: 60, bytes: [43, 0, 0xc2, 1, 0, 0, 0, 0, 17, 0, 0, 1, 0, 0, 0, 0] },
  }),
  udpFrameV6(9, 7, [1, 2, 3], { extensions: { first: 44, bytes: [17, 0, 0, 1, 0, 0, 0, 1] } }),
  udpFrameV6(9, 7, [1, 2, 3], { destination: "ff02::1", source: "fe80::2" }),
  icmpv6Frame(128, 0, [0, 1, 0, 1, 9, 9]),
  icmpv6Frame(128, 0, [0, 1, 0, 1, 9, 9], { destination: "ff02::1" }),
  icmpv6Frame(129, 0, [0, 1, 0, 1, 9, 9]),
  icmpv6Frame(1, 4, [0, 0, 0, 0, ...quote]),
  icmpv6Frame(2, 0, [0, 0, 5, 0, ...quote]),
  icmpv6Frame(135, 0, [0, 0, 0, 0, ...bytesOf("fd00::1"), ...linkOption(1, 2)], {
    ...ND,
    destination: "ff02::1:ff00:1",
  }),
  icmpv6Frame(135, 0, [0, 0, 0, 0, ...bytesOf("fd00::1")], {
    ...ND,
    source: "::",
    destination: "ff02::1:ff00:1",
  }),
  icmpv6Frame(136, 0, [0x60, 0, 0, 0, ...bytesOf("fd00::2"), ...linkOption(2, 2)], ND),
  icmpv6Frame(136, 0, [0x20, 0, 0, 0, ...bytesOf("fd00::1"), ...linkOption(2, 2)], {
    ...ND,
    destination: "ff02::1",
  }),
  icmpv6Frame(134, 0, [
    ...[64, 8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0],
    ...[3, 4, 64, 0xc0, 0, 0, 0, 9, 0, 0, 0, 5, 0, 0, 0, 0, ...bytesOf("2001:db8::")],
    ...[5, 1, 0, 0, 0, 0, 5, 100],
    ...[25, 3, 0, 0, 0, 0, 0, 9, ...bytesOf("fd00::53")],
    ...[31, 2, 0, 0, 0, 0, 0, 9, 3, 108, 97, 110, 0, 0, 0, 0],
    ...[24, 2, 48, 0, 0, 0, 0, 9, 0x20, 1, 13, 0xb8, 0, 7, 0, 0],
    ...linkOption(1, 2),
  ], LOCAL),
  icmpv6Frame(137, 0, new Array(36).fill(0), LOCAL),
  ipv6Frame(200, [1, 2, 3]),
];

/** Makes the checksum of ICMPv6 right behind the IPv6 header right again, so that a change gets past it. */
function repair(frame: Uint8Array<ArrayBuffer>): void {
  if (frame.length < 58 || frame[20] !== 58) return;
  const region = new Region(frame.buffer);
  const end = Math.min(frame.length, 54 + region.view.getUint16(18));
  if (end < 58) return;
  region.view.setUint16(56, 0);
  const length = end - 54;
  region.view.setUint16(56, ~fold(sum(region, 22, 32) + 58 + length + sum(region, 54, length)));
}

Deno.test("Stack counts every mutation of a valid IPv6 frame once and never throws", () => {
  const mutation = fc.record({
    frame: fc.nat(VALID.length - 1),
    changes: fc.array(fc.tuple(fc.nat(180), fc.nat(255)), { maxLength: 4 }),
    length: fc.option(fc.nat(180)),
    repaired: fc.boolean(),
    elapsed: fc.nat(2_000_000),
  });
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 30 }), (mutations) => {
      const made = host();
      let now = 0;
      for (const { frame, changes, length, repaired, elapsed } of mutations) {
        const bytes = VALID[frame]!.slice(0, length ?? undefined);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        if (repaired) repair(bytes);
        made.device.deliver(made.interface, bytes);
        made.stack.poll(now += elapsed);
        checkBooks(made);
      }
      made.stack.removeInterface(made.interface);
      assert.equal(made.device.free, 64);
      assert.equal(made.stack.routes.routes.length, 0);
    }),
    { numRuns: 1000 },
  );
});
