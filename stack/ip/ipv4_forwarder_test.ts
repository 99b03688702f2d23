import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4 } from "../device.ts";
import { type Bytes, CHECKSUM_PARTIAL, GSO_TCPV4, GSO_UDP, type Packet } from "../packet.ts";
import { checksumsOk, type FrameOptions, icmpFrame, ipv4Frame, udpFrame } from "../testing/frames.ts";
import { icmpv6Frame } from "../testing/frames_v6.ts";
import { Host } from "../testing/pair.ts";
import { Router } from "../testing/router.ts";
import { Cidr, IpAddress } from "./address.ts";
import { type ForwardDrops, ReversePath, Verdict } from "./forwarding.ts";
import { rewriteAddress } from "./rewrite.ts";
import { RouteKind } from "./routes.ts";

const HOME: FrameOptions = { source: "10.0.0.2", destination: "10.0.1.2", from: 10 };

function drops(router: Router): Partial<ForwardDrops> {
  return Object.fromEntries(
    Object.entries(router.stack.forwarding.ipv4.dropped).filter(([, count]) => count > 0),
  );
}

/** Lets a frame come in on the left. @returns What leaves on the right, and what goes back. */
function send(router: Router, frame: Bytes, prepare: ((packet: Packet) => void) | null = null) {
  router.leftDevice.deliver(router.left, frame, prepare);
  return { on: router.rightDevice.take(), back: router.leftDevice.take() };
}

/** Type, code, second word, source and quoted bytes of an ICMP error. */
function error(frame: Bytes) {
  assert.ok(checksumsOk(frame));
  const view = new DataView(frame.buffer);
  return {
    type: frame[34],
    code: frame[35],
    rest: view.getUint32(38),
    source: String(IpAddress.read(4, view, 26)),
    quote: frame.subarray(42),
  };
}

Deno.test("Ipv4Forwarder counts TTL down, keeps the checksum right and leaves the rest as it is", () => {
  const router = new Router();
  for (const ttl of [64, 2, 255]) {
    const frame = udpFrame(1, 2, [1, 2, 3], { ...HOME, ttl });
    const { on, back } = send(router, frame);
    assert.deepEqual(back, []);
    const { bytes } = on[0]!;
    assert.ok(checksumsOk(bytes));
    assert.deepEqual([...bytes.subarray(0, 12)], [2, 0, 0, 0, 0, 11, 2, 0, 0, 0, 0, 2]);
    assert.equal(bytes[22], ttl - 1);
    assert.deepEqual([...bytes.subarray(26)], [...frame.subarray(26)]);
  }
  assert.equal(router.stack.forwarding.ipv4.forwarded, 3);
  assert.deepEqual([router.leftDevice.free, router.rightDevice.free], [64, 64]);
  assert.equal(router.leftDevice.faults + router.rightDevice.faults, 0);
});

Deno.test("Ipv4Forwarder is off unless asked for, for the stack or one interface, and at any time", () => {
  const off = new Router({}, { forwarding: false });
  assert.deepEqual(send(off, udpFrame(1, 2, [1], HOME)), { on: [], back: [] });
  assert.equal(off.stack.ipv4.counters.dropped.notForUs, 1);
  off.left.forwarding = true;
  assert.equal(send(off, udpFrame(1, 2, [1], HOME)).on.length, 1);
  off.left.forwarding = false;
  assert.deepEqual(send(off, udpFrame(1, 2, [1], HOME)), { on: [], back: [] });
  assert.deepEqual(drops(off), { notForwarding: 1 });
  const one = new Router({}, { forwarding: { default: false } }, { forwarding: true });
  assert.equal(send(one, udpFrame(1, 2, [1], HOME)).on.length, 1);
});

const NEVER: [keyof ForwardDrops, string, FrameOptions][] = [
  ["group", "in a link broadcast", { to: [255, 255, 255, 255, 255, 255] }],
  ["group", "to a group", { destination: "239.1.2.3", to: [1, 0, 0x5e, 0, 0, 1] }],
  ["group", "to a directed broadcast", { destination: "10.0.1.255" }],
  ["badSource", "from 0.0.0.0", { source: "0.0.0.0" }],
  ["badSource", "from a link-local address", { source: "169.254.1.1" }],
  ["badDestination", "to a link-local address", { destination: "169.254.1.1" }],
  ["badDestination", "to a reserved address", { destination: "240.0.0.1" }],
];

for (const [reason, name, options] of NEVER) {
  Deno.test(`Ipv4Forwarder neither forwards nor answers what comes ${name}`, () => {
    const router = new Router();
    router.stack.addRoute({
      destination: Cidr.parse("0.0.0.0/0"),
      gateway: IpAddress.parse("10.0.1.2"),
      interface: router.right,
    });
    assert.deepEqual(send(router, udpFrame(1, 2, [1], { ...HOME, ...options })), { on: [], back: [] });
    assert.deepEqual(drops(router), { [reason]: 1 });
  });
}

Deno.test("Ipv4Forwarder names itself when TTL is over, and quotes the packet as it came", () => {
  const router = new Router();
  const frame = udpFrame(1, 2, new Array(900).fill(7), { ...HOME, ttl: 1 });
  const { on, back } = send(router, frame);
  assert.deepEqual(on, []);
  const { quote, ...told } = error(back[0]!.bytes);
  assert.deepEqual(told, { type: 11, code: 0, rest: 0, source: "10.0.0.1" });
  assert.deepEqual([...quote], [...frame.subarray(14, 14 + 548)]);
  assert.deepEqual(drops(router), { hopsExceeded: 1 });
});

Deno.test("Ipv4Forwarder says nothing about ICMP errors, fragments but the first, and not more than allowed", () => {
  const router = new Router({}, { limits: { icmpRate: 1, icmpBurst: 2 } });
  const ttl = 1;
  const quiet = [
    icmpFrame(3, 1, 0, new Array(28).fill(0), { ...HOME, ttl }),
    ipv4Frame(17, [1, 2, 3, 4, 5, 6, 7, 8], { ...HOME, ttl, fragment: 100 }),
  ];
  for (const frame of quiet) assert.deepEqual(send(router, frame).back, []);
  assert.equal(router.stack.icmp.counters.errorsForbidden, 2);
  let told = 0;
  for (let i = 0; i < 5; i++) told += send(router, udpFrame(1, 2, [1], { ...HOME, ttl })).back.length;
  assert.equal(told, 2);
  assert.equal(router.stack.icmp.counters.errorsLimited, 3);
});

Deno.test("Ipv4Forwarder tells why there is no way, and nothing of a black hole", () => {
  const router = new Router();
  const wall = (text: string, kind: RouteKind) =>
    router.stack.addRoute({ destination: Cidr.parse(text), kind });
  wall("192.0.2.0/24", RouteKind.Unreachable);
  wall("192.0.3.0/24", RouteKind.Prohibit);
  wall("192.0.4.0/24", RouteKind.Blackhole);
  const told = (destination: string) => {
    const { back } = send(router, udpFrame(1, 2, [1], { ...HOME, destination }));
    return back.length === 0 ? null : error(back[0]!.bytes).code;
  };
  assert.deepEqual([1, 2, 3, 4].map((net) => told(`192.0.${net}.1`)), [0, 1, 13, null]);
  assert.deepEqual(drops(router), { noRoute: 1, unreachable: 1, prohibited: 1, blackhole: 1 });
});

Deno.test("Ipv4Forwarder tells the sender that a neighbour is silent, after waiting for it", () => {
  const router = new Router();
  assert.deepEqual(send(router, udpFrame(1, 2, [1], { ...HOME, destination: "10.0.1.77" })).back, []);
  for (let now = 2_000_000; now < 10_000_000; now += 500_000) router.stack.poll(now);
  const frame = router.leftDevice.take().find(({ bytes }) =>
    bytes[12] === 8 && bytes[13] === 0 && bytes[23] === 1
  );
  const { type, code, source } = error(frame!.bytes);
  assert.deepEqual([type, code, source], [3, 1, "10.0.0.1"]);
  assert.deepEqual([router.leftDevice.free, router.rightDevice.free], [64, 64]);
});

Deno.test("Ipv4Forwarder tells the MTU of the next link, or of the route, to who forbids to cut", () => {
  const router = new Router({ right: { mtu: 1400 } });
  const frame = udpFrame(1, 2, new Array(1400).fill(1), { ...HOME, fragment: 0x4000 });
  const { type, code, rest } = error(send(router, frame).back[0]!.bytes);
  assert.deepEqual([type, code, rest], [3, 4, 1400]);
  router.stack.addRoute({
    destination: Cidr.parse("10.0.1.2/32"),
    interface: router.right,
    mtu: 1300,
  });
  assert.equal(error(send(router, frame).back[0]!.bytes).rest, 1300);
  assert.deepEqual(drops(router), { tooBig: 2 });
});

Deno.test("Ipv4Forwarder cuts what is too large, with the options that every fragment carries, and fragments again", () => {
  const router = new Router({ left: { mtu: 4000 }, right: { mtu: 1280 } });
  const payload = Array.from({ length: 3600 }, (_, i) => i & 255);
  // A record route for the first alone, a router alert for all.
  const options = [7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0];
  for (const fragment of [0, 0x2000 | 10, 10]) {
    const { on, back } = send(router, ipv4Frame(200, payload, { ...HOME, fragment, options }));
    assert.deepEqual(back, []);
    const bytes: number[] = [];
    on.forEach(({ bytes: frame }, i) => {
      const view = new DataView(frame.buffer);
      const header = (frame[14]! & 15) * 4;
      assert.ok(view.getUint16(16) <= 1280);
      assert.equal(header, i === 0 ? 32 : 24);
      assert.deepEqual([...frame.subarray(14 + header - 4, 14 + header)], [148, 4, 0, 0]);
      if (i === 0) assert.deepEqual([...frame.subarray(34, 42)], [7, 7, 8, 10, 0, 1, 1, 1]);
      const field = view.getUint16(20);
      assert.equal(field & 0x1fff, (fragment & 0x1fff) + bytes.length / 8);
      const last = i === on.length - 1;
      assert.equal((field & 0x2000) !== 0, !last || (fragment & 0x2000) !== 0);
      assert.equal(frame[22], 63);
      let total = 0;
      for (let at = 14; at < 14 + header; at += 2) total += view.getUint16(at);
      assert.equal(total % 0xffff, 0, "header checksum");
      bytes.push(...frame.subarray(14 + header));
    });
    assert.deepEqual(bytes, payload);
  }
  assert.equal(router.stack.forwarding.ipv4.fragmented, 3);
});

/** A TCP segment of `size` payload bytes as TAP delivers it: one frame, to be cut, checksum to be completed. */
function superFrame(size: number, fragment: number): { frame: Bytes; prepare: (packet: Packet) => void } {
  const segment = new Uint8Array(20 + size).map((_, i) => i);
  segment.set([0, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
  const frame = ipv4Frame(6, segment, { ...HOME, fragment });
  const pseudo = 0x0a00 + 2 + 0x0a00 + 0x0102 + 6 + segment.length;
  new DataView(frame.buffer).setUint16(50, (pseudo & 0xffff) + (pseudo >>> 16));
  const prepare = (packet: Packet) => {
    packet.flags = CHECKSUM_PARTIAL;
    packet.gsoType = GSO_TCPV4;
    packet.gsoSize = 1460;
    packet.checksumStart = packet.offset + 34;
    packet.checksumOffset = 16;
  };
  return { frame, prepare };
}

Deno.test("Ipv4Forwarder passes super-frames on as they are, or cuts them for a device that can't", () => {
  const offloads = OFFLOAD_CHECKSUM | OFFLOAD_TSO4;
  const big = { offloads, slotSize: 66000, slots: 8 };
  const { frame, prepare } = superFrame(14600, 0x4000);
  const whole = send(new Router({ left: big, right: big }), frame, prepare).on;
  assert.deepEqual(whole.map(({ gsoSize, flags, bytes }) => [gsoSize, flags, bytes.length]), [
    [1460, CHECKSUM_PARTIAL, 54 + 14600],
  ]);
  const cut = send(new Router({ left: big }), frame, prepare).on;
  assert.equal(cut.length, 10);
  assert.ok(cut.every(({ bytes }) => checksumsOk(bytes) && bytes[22] === 63));
});

Deno.test("Ipv4Forwarder measures super-frames by their segments: told, or made smaller where cutting is allowed", () => {
  const left = { offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4, slotSize: 66000, slots: 8 };
  const rigid = superFrame(14600, 0x4000);
  const router = new Router({ left, right: { mtu: 1280 } });
  assert.equal(error(send(router, rigid.frame, rigid.prepare).back[0]!.bytes).rest, 1280);
  const loose = superFrame(14600, 0);
  const { on } = send(router, loose.frame, loose.prepare);
  assert.equal(on.length, Math.ceil(14600 / 1240));
  assert.ok(on.every(({ bytes }) => checksumsOk(bytes) && bytes.length <= 1294));
});

Deno.test("Ipv4Forwarder sends the datagrams of a super-frame in fragments where they may be cut", () => {
  const left = { offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4, slotSize: 66000, slots: 8 };
  const payload = Array.from({ length: 4 * 1400 + 100 }, (_, i) => i % 251);
  const datagrams = (fragment: number) => {
    const router = new Router({ left, right: { mtu: 1280 } });
    const frame = udpFrame(1, 2, payload, { ...HOME, fragment });
    const got = send(router, frame, (packet) => {
      packet.flags = CHECKSUM_PARTIAL;
      packet.gsoType = GSO_UDP;
      packet.gsoSize = 1400;
      packet.checksumStart = packet.offset + 34;
      packet.checksumOffset = 6;
    });
    assert.deepEqual([router.stack.reassembler.size, router.rightDevice.faults], [0, 0]);
    return got;
  };
  assert.equal(error(datagrams(0x4000).back[0]!.bytes).rest, 1280);
  // Put together again by a host that they are for.
  const host = new Host(11, "10.0.1.2/24", { slots: 16 });
  const received: number[][] = [];
  host.stack.udp.bind({ port: 2 }, {
    receive: ({ bytes, offset, end }) => received.push([...bytes.subarray(offset, end)]),
  });
  for (const { bytes } of datagrams(0).on) {
    assert.ok(bytes.length <= 14 + 1280);
    host.device.deliver(host.interface, bytes);
  }
  assert.deepEqual(received.map((list) => list.length), [1400, 1400, 1400, 1400, 100]);
  assert.deepEqual(received.flat(), payload);
  assert.equal(host.stack.udp.counters.dropped.badChecksum, 0);
});

Deno.test("Ipv4Forwarder cuts a super-frame for a device that could, but has no slot for it", () => {
  const offloads = OFFLOAD_CHECKSUM | OFFLOAD_TSO4;
  const router = new Router({ left: { offloads, slotSize: 66000, slots: 8 }, right: { offloads } });
  const { frame, prepare } = superFrame(14600, 0x4000);
  assert.equal(send(router, frame, prepare).on.length, 10);
  assert.equal(router.rightDevice.free, 64);
});

Deno.test("Interface.forwarding joins and leaves the groups of routers", () => {
  const router = new Router();
  const groups = () => router.stack.groups.on(router.left).map(({ address }) => String(address));
  const routers = ["224.0.0.2", "ff02::2", "ff05::2"];
  assert.deepEqual(routers.filter((group) => groups().includes(group)), routers);
  router.left.forwarding = false;
  assert.deepEqual(routers.filter((group) => groups().includes(group)), []);
  router.left.forwarding = true;
  router.left.forwarding = true;
  assert.deepEqual(routers.filter((group) => groups().includes(group)), routers);
  router.stack.removeInterface(router.left);
  assert.deepEqual(groups(), []);
});

Deno.test("Ipv4Forwarder fills record route and timestamps in, and tells of options that are wrong", () => {
  const router = new Router();
  const options = [7, 11, 8, 10, 0, 0, 9, 0, 0, 0, 0, 0];
  const { bytes } = send(router, udpFrame(1, 2, [1], { ...HOME, options })).on[0]!;
  assert.ok(checksumsOk(bytes));
  assert.deepEqual([...bytes.subarray(34, 46)], [7, 11, 12, 10, 0, 0, 9, 10, 0, 1, 1, 0]);
  const wrong = send(router, udpFrame(1, 2, [1], { ...HOME, options: [7, 3, 3, 0] }));
  assert.deepEqual([error(wrong.back[0]!.bytes).type, error(wrong.back[0]!.bytes).rest], [12, 22 << 24]);
  assert.deepEqual(send(router, udpFrame(1, 2, [1], { ...HOME, options: [131, 3, 4, 0] })), {
    on: [],
    back: [],
  });
});

Deno.test("Ipv4.routerAlert() shows what is to be forwarded, and keeps what is taken", () => {
  const router = new Router();
  const seen: number[] = [];
  router.stack.ipv4.routerAlert({ receive: (packet) => seen.push(packet.protocol) === 2 });
  const alert = () => send(router, ipv4Frame(46, [1, 2], { ...HOME, options: [148, 4, 0, 0] })).on.length;
  assert.deepEqual([alert(), alert(), alert()], [1, 0, 1]);
  send(router, ipv4Frame(46, [1, 2], HOME));
  assert.deepEqual(seen, [46, 46, 46]);
});

Deno.test("Ipv4Forwarder sends hosts to a better router only when it is told to", () => {
  const router = new Router();
  router.stack.addRoute({
    destination: Cidr.parse("192.0.2.0/24"),
    gateway: IpAddress.parse("10.0.0.254"),
    interface: router.left,
  });
  const hairpin = () => send(router, udpFrame(1, 2, [1], { ...HOME, destination: "192.0.2.1" })).back;
  assert.equal(hairpin().length, 1);
  router.stack.forwarding.redirects = true;
  const [redirect, packet] = hairpin();
  const { type, code, rest } = error(redirect!.bytes);
  assert.deepEqual([type, code, rest], [5, 1, 0x0a0000fe]);
  assert.equal(packet!.bytes[22], 63);
  assert.deepEqual([...packet!.bytes.subarray(0, 6)], [2, 0, 0, 0, 0, 10]);
});

Deno.test("ForwardHook decides, may change a packet, and harms nobody when it throws", () => {
  const router = new Router();
  let verdict: Verdict | null = Verdict.Accept;
  router.stack.forwarding.hook = {
    forward(packet, output, version) {
      assert.deepEqual([packet.offset, output, version], [packet.network, router.right, 4]);
      if (verdict === null) throw new Error("Oops");
      return verdict;
    },
  };
  const pass = () => send(router, udpFrame(1, 2, [1], HOME));
  assert.equal(pass().on.length, 1);
  verdict = Verdict.Drop;
  assert.deepEqual(pass(), { on: [], back: [] });
  verdict = Verdict.Reject;
  assert.equal(error(pass().back[0]!.bytes).code, 13);
  verdict = Verdict.Taken;
  assert.deepEqual(pass(), { on: [], back: [] });
  verdict = null;
  assert.deepEqual(pass(), { on: [], back: [] });
  assert.deepEqual(drops(router), { hook: 1, rejected: 1, hookFailed: 1 });
  assert.deepEqual([router.stack.forwarding.ipv4.taken, router.errors.length], [1, 1]);
});

Deno.test("Ipv4Forwarder tells of a packet as its sender knows it, whatever the hook makes of it", () => {
  const router = new Router({ right: { mtu: 1400 } });
  const outside = router.right.addresses[0]!.address;
  router.stack.forwarding.hook = {
    forward: (packet) => (rewriteAddress(packet, 0, outside), Verdict.Accept),
  };
  const frame = udpFrame(1, 2, new Array(1450).fill(1), { ...HOME, fragment: 0x4000 });
  const { quote, rest } = error(send(router, frame).back[0]!.bytes);
  assert.equal(rest, 1400);
  assert.deepEqual([...quote], [...frame.subarray(14, 14 + 548)]);
  assert.equal(send(router, udpFrame(1, 2, [1], HOME)).on.length, 1);
});

Deno.test("Interface.reversePath drops what comes from where no answer would go", () => {
  const router = new Router({}, {}, { reversePath: ReversePath.Strict });
  const from = (source: string) => send(router, udpFrame(1, 2, [1], { ...HOME, source })).on.length;
  assert.deepEqual([from("10.0.0.2"), from("10.0.1.9"), from("192.0.2.1")], [1, 0, 0]);
  router.left.reversePath = ReversePath.Loose;
  assert.deepEqual([from("10.0.0.2"), from("10.0.1.9"), from("192.0.2.1")], [1, 1, 0]);
  assert.equal(router.stack.ipv4.counters.dropped.reversePath, 3);
});

Deno.test("Stack with strongHost takes an address on its own interface alone", () => {
  for (const strongHost of [false, true]) {
    const router = new Router({}, { strongHost, forwarding: false });
    const { back } = send(router, icmpFrame(8, 0, 1, [1], { ...HOME, destination: "10.0.1.1" }));
    assert.equal(back.length, strongHost ? 0 : 1);
    const path = router.stack.path(IpAddress.parse("10.0.1.2"), IpAddress.parse("10.0.0.1"));
    assert.equal(path === null, strongHost);
    const echo = icmpv6Frame(128, 0, [0, 1, 0, 1], { source: "fd00::2", destination: "fd01::1", from: 10 });
    assert.equal(send(router, echo).back.length, strongHost ? 0 : 1);
    const path6 = router.stack.path(IpAddress.parse("fd01::2"), IpAddress.parse("fd00::1"));
    assert.equal(path6 === null, strongHost);
    // A router has no choice: its addresses are told to everyone.
    router.left.forwarding = router.right.forwarding = true;
    const frame = icmpFrame(8, 0, 1, [1], { ...HOME, destination: "10.0.1.1" });
    assert.equal(
      send(router, frame).back.filter(({ bytes }) => bytes[23] === 1 && bytes[34] === 0).length,
      1,
    );
  }
});

Deno.test("Ipv4Forwarder counts each packet once", () => {
  const router = new Router();
  for (const [, , options] of NEVER) send(router, udpFrame(1, 2, [1], { ...HOME, ...options }));
  send(router, udpFrame(1, 2, [1], HOME));
  send(router, udpFrame(1, 2, [1], { ...HOME, ttl: 1 }));
  const { received, forwarded, taken, dropped } = router.stack.forwarding.ipv4;
  assert.equal(received, forwarded + taken + Object.values(dropped).reduce((sum, count) => sum + count, 0));
  assert.equal(received, NEVER.length + 2);
});
