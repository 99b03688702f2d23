import assert from "node:assert/strict";
import type { Bytes } from "../packet.ts";
import {
  bytesOf,
  checksumOkV6,
  type FrameV6Options,
  icmpv6Frame,
  ipv6Frame,
  udpFrameV6,
} from "../testing/frames_v6.ts";
import { Router } from "../testing/router.ts";
import { Cidr, IpAddress } from "./address.ts";
import { type ForwardDrops, ReversePath, Verdict } from "./forwarding.ts";
import { RouteKind } from "./routes.ts";

const HOME: FrameV6Options = { source: "fd00::2", destination: "fd01::2", from: 10 };

function drops(router: Router): Partial<ForwardDrops> {
  return Object.fromEntries(
    Object.entries(router.stack.forwarding.ipv6.dropped).filter(([, count]) => count > 0),
  );
}

/** Lets a frame come in on the left. @returns What leaves on the right, and what goes back. */
function send(router: Router, frame: Bytes) {
  router.leftDevice.deliver(router.left, frame);
  return { on: router.rightDevice.take(), back: router.leftDevice.take() };
}

/** Type, code, second word, source and quoted bytes of an ICMPv6 error. */
function error(frame: Bytes) {
  assert.ok(checksumOkV6(frame));
  const view = new DataView(frame.buffer);
  return {
    type: frame[54],
    code: frame[55],
    rest: view.getUint32(58),
    source: String(IpAddress.read(6, view, 22)),
    quote: frame.subarray(62),
  };
}

Deno.test("Ipv6Forwarder counts hops down and leaves the rest as it is", () => {
  const router = new Router();
  const frame = udpFrameV6(1, 2, [1, 2, 3], { ...HOME, hopLimit: 2 });
  const { on, back } = send(router, frame);
  assert.deepEqual(back, []);
  const { bytes } = on[0]!;
  assert.deepEqual([...bytes.subarray(0, 12)], [2, 0, 0, 0, 0, 11, 2, 0, 0, 0, 0, 2]);
  assert.equal(bytes[21], 1);
  bytes[21] = 2;
  assert.deepEqual([...bytes.subarray(12)], [...frame.subarray(12)]);
  assert.deepEqual([router.leftDevice.free, router.rightDevice.free], [64, 64]);
});

Deno.test("Ipv6Forwarder forwards nothing unless asked for", () => {
  const router = new Router({}, { forwarding: false });
  assert.deepEqual(send(router, udpFrameV6(1, 2, [1], HOME)), { on: [], back: [] });
  assert.equal(router.stack.ipv6.counters.dropped.notForUs, 1);
});

const NEVER: [keyof ForwardDrops, string, FrameV6Options][] = [
  ["group", "in a link multicast", { to: [0x33, 0x33, 0, 0, 0, 1] }],
  ["group", "to a group", { destination: "ff0e::1234", to: [0x33, 0x33, 0, 0, 0, 1] }],
  ["badDestination", "to a link-local address", { destination: "fe80::77" }],
];

for (const [reason, name, options] of NEVER) {
  Deno.test(`Ipv6Forwarder neither forwards nor answers what comes ${name}`, () => {
    const router = new Router();
    assert.deepEqual(send(router, udpFrameV6(1, 2, [1], { ...HOME, ...options })), { on: [], back: [] });
    assert.deepEqual(drops(router), { [reason]: 1 });
  });
}

Deno.test("Ipv6Forwarder tells a link-local source that its packets go no further", () => {
  const router = new Router();
  const { on, back } = send(router, udpFrameV6(1, 2, [1], { ...HOME, source: "fe80::254" }));
  const { type, code } = error(back[0]!.bytes);
  assert.deepEqual([on.length, type, code], [0, 1, 2]);
});

Deno.test("Ipv6Forwarder names itself when no hops are left, and quotes as much as every link carries", () => {
  const router = new Router();
  const frame = udpFrameV6(1, 2, new Array(1400).fill(7), { ...HOME, hopLimit: 1 });
  const { back } = send(router, frame);
  const { quote, ...told } = error(back[0]!.bytes);
  assert.deepEqual(told, { type: 3, code: 0, rest: 0, source: "fd00::1" });
  assert.equal(back[0]!.bytes.length, 14 + 1280);
  assert.deepEqual([...quote], [...frame.subarray(14, 14 + 1280 - 48)]);
});

Deno.test("Ipv6Forwarder tells why there is no way, and nothing of a black hole", () => {
  const router = new Router();
  const wall = (text: string, kind: RouteKind) =>
    router.stack.addRoute({ destination: Cidr.parse(text), kind });
  wall("2001:db8:2::/48", RouteKind.Unreachable);
  wall("2001:db8:3::/48", RouteKind.Prohibit);
  wall("2001:db8:4::/48", RouteKind.Blackhole);
  const told = (net: number) => {
    const { back } = send(router, udpFrameV6(1, 2, [1], { ...HOME, destination: `2001:db8:${net}::1` }));
    return back.length === 0 ? null : error(back[0]!.bytes).code;
  };
  assert.deepEqual([1, 2, 3, 4].map(told), [0, 0, 1, null]);
  assert.deepEqual(drops(router), { noRoute: 1, unreachable: 1, prohibited: 1, blackhole: 1 });
  // A neighbour that is silent.
  send(router, udpFrameV6(1, 2, [1], { ...HOME, destination: "fd01::77" }));
  for (let now = 2_000_000; now < 10_000_000; now += 500_000) router.stack.poll(now);
  const frame = router.leftDevice.take().find(({ bytes }) => bytes[20] === 58 && bytes[54] === 1);
  assert.equal(error(frame!.bytes).code, 3);
});

Deno.test("Ipv6Forwarder tells the MTU of the next link, to groups' errors nothing", () => {
  const router = new Router({ right: { mtu: 1400 } });
  const { on, back } = send(router, udpFrameV6(1, 2, new Array(1400).fill(1), HOME));
  const { type, code, rest } = error(back[0]!.bytes);
  assert.deepEqual([on.length, type, code, rest], [0, 2, 0, 1400]);
  const about = icmpv6Frame(1, 0, new Array(1400).fill(1), HOME);
  assert.deepEqual(send(router, about).back, []);
});

Deno.test("Ipv6Forwarder heeds hop-by-hop options of others, and shows router alerts", () => {
  const router = new Router();
  const hopByHop = (...options: number[]) => ({
    ...HOME,
    extensions: { first: 0, bytes: [200, 0, ...options] },
  });
  const seen: number[] = [];
  router.stack.ipv6.routerAlert({ receive: (packet) => seen.push(packet.network) === 2 });
  const alert = () => send(router, ipv6Frame(200, [1], hopByHop(5, 2, 0, 0, 1, 0))).on.length;
  assert.deepEqual([alert(), alert(), alert()], [1, 0, 1]);
  assert.deepEqual(send(router, ipv6Frame(200, [1], hopByHop(0x42, 4, 0, 0, 0, 0))), { on: [], back: [] });
  const { back } = send(router, ipv6Frame(200, [1], hopByHop(0x82, 4, 0, 0, 0, 0)));
  const { type, code, rest } = error(back[0]!.bytes);
  assert.deepEqual([type, code, rest], [4, 2, 42]);
  assert.equal(send(router, ipv6Frame(200, [1], hopByHop(0x02, 4, 0, 0, 0, 0))).on.length, 1);
});

Deno.test("Ipv6Forwarder asks the hook, and the way back where that is wished", () => {
  const router = new Router();
  router.stack.forwarding.hook = { forward: () => Verdict.Reject };
  assert.equal(error(send(router, udpFrameV6(1, 2, [1], HOME)).back[0]!.bytes).code, 1);
  router.stack.forwarding.hook = null;
  router.left.reversePath = ReversePath.Strict;
  assert.equal(send(router, udpFrameV6(1, 2, [1], { ...HOME, source: "fd01::9" })).on.length, 0);
  assert.equal(router.stack.ipv6.counters.dropped.reversePath, 1);
});

Deno.test("Ipv6Forwarder says that it is a router, and redirects hosts when it is told to", () => {
  const router = new Router();
  const [answer] = send(
    router,
    icmpv6Frame(135, 0, [0, 0, 0, 0, ...bytesOf("fd00::1")], {
      source: "fd00::2",
      destination: "fd00::1",
      hopLimit: 255,
    }),
  ).back;
  assert.equal(answer!.bytes[58]! & 0x80, 0x80);
  router.stack.addRoute({
    destination: Cidr.parse("2001:db8::/32"),
    gateway: IpAddress.parse("fe80::254"),
    interface: router.left,
  });
  const frame = udpFrameV6(1, 2, [1], { ...HOME, destination: "2001:db8::1" });
  assert.equal(send(router, frame).back.length, 1);
  router.stack.forwarding.redirects = true;
  const [redirect, packet] = send(router, frame).back;
  assert.ok(checksumOkV6(redirect!.bytes));
  assert.equal(redirect!.bytes[21], 255);
  assert.equal(redirect!.bytes[54], 137);
  const view = new DataView(redirect!.bytes.buffer);
  const text = (at: number) => String(IpAddress.read(6, view, at));
  assert.deepEqual([text(22), text(38), text(62), text(78)], [
    "fe80::ff:fe00:1",
    "fd00::2",
    "fe80::254",
    "2001:db8::1",
  ]);
  assert.equal(packet!.bytes[21], 63);
});
