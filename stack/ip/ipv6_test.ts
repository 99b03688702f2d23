import assert from "node:assert/strict";
import type { Ipv6Drops } from "../counters.ts";
import {
  bytesOf,
  checksumOkV6,
  describeV6,
  type FrameV6Options,
  icmpv6Frame,
  ipv6Frame,
} from "../testing/frames_v6.ts";
import { Host } from "../testing/pair.ts";
import { TestDevice } from "../testing/test_device.ts";
import { IpAddress } from "./address.ts";

const PROTOCOL = 253;
const PEER = IpAddress.parse("fd00::2");

/** fd00::1 for sure, and a listener to protocol 253. */
function listening(limits = {}): { host: Host; received: number[][] } {
  const host = new Host(1, "fd00::1/64", {}, { limits }, { duplicates: "off", routers: false });
  host.interface.nd!.neighbours.setPermanent(PEER, 0x0200, 2);
  host.stack.poll(0);
  host.device.take();
  host.stack.ipv6.reassembler = null;
  const received: number[][] = [];
  host.stack.attach(PROTOCOL, {
    receive: (packet) => received.push([...packet.bytes.subarray(packet.offset, packet.end)]),
    error: () => {},
  });
  return { host, received };
}

function drops(host: Host): Partial<Ipv6Drops> {
  return Object.fromEntries(
    Object.entries(host.stack.ipv6.counters.dropped).filter(([, count]) => count > 0),
  );
}

/** A destination options header that says nothing, with what follows it. */
const NOTHING = (next: number) => [next, 0, 1, 4, 0, 0, 0, 0];
/** A routing header. */
const ROUTING = (next: number, type: number, left: number) => [next, 0, type, left, 0, 0, 0, 0];
/** A fragment header. */
const FRAGMENT = (next: number, offset: number) => [next, 0, offset >> 8, offset & 255, 1, 2, 3, 4];

Deno.test("Ipv6.receive() hands a packet on without padding and extension headers", () => {
  const { host, received } = listening();
  const chain: [number, number[]][] = [
    [0, NOTHING(PROTOCOL)],
    [60, NOTHING(PROTOCOL)],
    [0, [...NOTHING(60), ...NOTHING(43), ...ROUTING(60, 0, 0), ...NOTHING(PROTOCOL)]],
    [44, FRAGMENT(PROTOCOL, 0)],
    [43, ROUTING(PROTOCOL, 4, 0)],
  ];
  host.device.deliver(host.interface, ipv6Frame(PROTOCOL, [1, 2, 3], { padding: 9 }));
  for (const [first, bytes] of chain) {
    host.device.deliver(host.interface, ipv6Frame(PROTOCOL, [1, 2, 3], { extensions: { first, bytes } }));
  }
  assert.deepEqual(received, new Array(6).fill([1, 2, 3]));
  assert.deepEqual(drops(host), {});
});

const BAD: [keyof Ipv6Drops, string, FrameV6Options, ((frame: Uint8Array) => Uint8Array)?][] = [
  ["truncated", "39 bytes", {}, (frame) => frame.subarray(0, 53)],
  ["badVersion", "version 4", {}, (frame) => (frame[14] = 0x40, frame)],
  ["badLength", "payload longer than the frame", {}, (frame) => (frame[19] = 200, frame)],
  ["badSource", "multicast source", { source: "ff02::1" }],
  ["badSource", "unspecified source to one host", { source: "::" }],
  ["ownSource", "own source", { source: "fd00::1", destination: "ff02::1" }],
  ["ownSource", "own source and destination", { source: "fd00::1" }],
  ["martian", "loopback source", { source: "::1" }],
  ["martian", "loopback destination", { destination: "::1" }],
  ["martian", "IPv4-mapped source", { source: "::ffff:10.0.0.2" }],
  ["martian", "IPv4-mapped destination", { destination: "::ffff:10.0.0.1" }],
  ["badDestination", "interface-local group", { destination: "ff01::1" }],
  ["badDestination", "group of the reserved scope", { destination: "ff00::1" }],
  ["unicastInGroup", "unicast address in a link multicast", { to: [0x33, 0x33, 0, 0, 0, 1] }],
  ["notForUs", "other host", { destination: "fd00::9" }],
  ["notForUs", "group that was not joined", { destination: "ff02::1:ff00:9", to: [0x33, 0x33, 0, 0, 0, 1] }],
  ["badExtension", "cut extension header", { extensions: { first: 60, bytes: [PROTOCOL, 9, 1, 4] } }],
  ["badExtension", "hop-by-hop header in the middle", {
    extensions: { first: 60, bytes: [...NOTHING(0), ...NOTHING(PROTOCOL)] },
  }],
  ["tooManyExtensions", "100 extension headers", {
    extensions: { first: 60, bytes: [...new Array(99).fill(NOTHING(60)).flat(), ...NOTHING(PROTOCOL)] },
  }],
  ["badOption", "unknown option that forbids to go on", {
    extensions: { first: 60, bytes: [PROTOCOL, 0, 0x40, 4, 0, 0, 0, 0] },
  }],
  ["badOption", "jumbo payload", {
    extensions: { first: 0, bytes: [PROTOCOL, 0, 0xc2, 4, 0, 1, 0, 0] },
  }],
  ["routing", "routing header of type 0", {
    extensions: { first: 43, bytes: ROUTING(PROTOCOL, 0, 1) },
  }],
  ["fragment", "lone fragment of a wrong length", {
    extensions: { first: 44, bytes: FRAGMENT(PROTOCOL, 1) },
  }],
];

for (const [reason, name, options, change] of BAD) {
  Deno.test(`Ipv6.receive() counts ${reason} when given: ${name}`, () => {
    const { host, received } = listening();
    const frame = ipv6Frame(PROTOCOL, [1, 2, 3, 4], options);
    host.device.deliver(host.interface, change?.(frame) ?? frame);
    assert.deepEqual(received, []);
    assert.deepEqual(drops(host), { [reason]: 1 });
  });
}

Deno.test("Ipv6 tells the sender where its packet went wrong", () => {
  const { host } = listening();
  const problem = (options: FrameV6Options, protocol = PROTOCOL) => {
    host.device.deliver(host.interface, ipv6Frame(protocol, [1, 2, 3, 4], options));
    const frames = host.device.take();
    if (frames.length === 0) return null;
    const { bytes } = frames[0]!;
    assert.equal(checksumOkV6(bytes), true);
    assert.equal(describeV6(bytes), "fd00::1 > fd00::2 parameter problem");
    return [bytes[55], new DataView(bytes.buffer).getUint32(58)];
  };
  assert.deepEqual(problem({}, 200), [1, 6]);
  assert.deepEqual(problem({ extensions: { first: 60, bytes: NOTHING(200) } }, 200), [1, 40]);
  assert.deepEqual(problem({ extensions: { first: 60, bytes: [...NOTHING(0), ...NOTHING(PROTOCOL)] } }), [
    1,
    40,
  ]);
  assert.deepEqual(problem({ extensions: { first: 43, bytes: ROUTING(PROTOCOL, 0, 2) } }), [0, 42]);
  const unknown = { first: 60, bytes: [PROTOCOL, 0, 0, 0x80, 3, 0, 0, 0] };
  assert.deepEqual(problem({ extensions: unknown }), [2, 43]);
  assert.deepEqual(problem({ extensions: unknown, destination: "ff02::1" }), [2, 43]);
  assert.deepEqual(problem({ source: "fd00::2", destination: "ff02::1" }, 200), null);
  // More headers than anybody needs; headers that the first fragment does not carry; fragments in an atomic fragment.
  const many = [...new Array(9).fill(NOTHING(60)).flat(), ...NOTHING(PROTOCOL)];
  assert.deepEqual(problem({ extensions: { first: 60, bytes: many } }), [8, 40 + 8 * 8]);
  assert.deepEqual(problem({ extensions: { first: 44, bytes: FRAGMENT(6, 1) } }), [3, 0]);
  const twice = [...FRAGMENT(44, 0), ...FRAGMENT(PROTOCOL, 1)];
  assert.deepEqual(problem({ extensions: { first: 44, bytes: twice } }), [0, 48]);
  // A jumbo payload in a packet that says its length, or of less than 64 KiB.
  const jumbo = (length: number[]) => ({ first: 0, bytes: [PROTOCOL, 0, 0xc2, 4, ...length] });
  assert.deepEqual(problem({ extensions: jumbo([0, 1, 0, 0]) }), [0, 42]);
  assert.deepEqual(problem({ extensions: jumbo([0, 0, 255, 255]) }), [0, 44]);
  assert.deepEqual(problem({}, 59), null);
  assert.equal(host.stack.ipv6.counters.dropped.unknownProtocol, 3);
});

Deno.test("Ipv6 takes packets to groups that were joined, on the interface on which they were", () => {
  const { host, received } = listening();
  const second = new TestDevice({ mac: 9 });
  const other = host.stack.addInterface(second, { ipv6: { duplicates: "off", routers: false } });
  const group = IpAddress.parse("ff15::77");
  const first = host.stack.groups.join(group, host.interface);
  const again = host.stack.groups.join(group, host.interface);
  host.device.deliver(host.interface, ipv6Frame(PROTOCOL, [1], { destination: "ff15::77" }));
  second.deliver(other, ipv6Frame(PROTOCOL, [2], { destination: "ff15::77" }));
  first.leave();
  host.device.deliver(host.interface, ipv6Frame(PROTOCOL, [3], { destination: "ff15::77" }));
  again.leave();
  host.device.deliver(host.interface, ipv6Frame(PROTOCOL, [4], { destination: "ff15::77" }));
  assert.deepEqual(received, [[1], [3]]);
});

Deno.test("Ipv6.path() keeps the links apart for link-local addresses", () => {
  const { host } = listening();
  const far = IpAddress.parse("fe80::99");
  assert.equal(host.stack.path(far)?.interface, host.interface);
  const other = host.stack.addInterface(new TestDevice({ mac: 9 }), {
    ipv6: { duplicates: "off", routers: false },
  });
  assert.equal(host.stack.path(far), null, "it is not said which link");
  assert.equal(host.stack.path(far, null, other)?.interface, other);
  assert.equal(String(host.stack.path(far, null, other)?.source), "fe80::ff:fe00:9");
  assert.equal(host.stack.path(far, IpAddress.parse("fe80::ff:fe00:1"))?.interface, host.interface);
  assert.equal(host.stack.path(far, IpAddress.parse("fe80::ff:fe00:1"), other), null);
  // What comes to a link-local address of ours from another link is for somebody else.
  host.device.deliver(host.interface, ipv6Frame(PROTOCOL, [1], { destination: "fe80::ff:fe00:9" }));
  assert.deepEqual(drops(host), { notForUs: 1 });
});

Deno.test("Ipv6Path learns a smaller MTU from a packet too big that quotes what we sent, not below 1280", () => {
  const { host } = listening();
  const path = host.stack.path(PEER)!;
  const sent = ipv6Frame(58, [128, 0, 0, 0, 0, 1, 0, 1], { source: "fd00::1", destination: "fd00::2" })
    .subarray(14);
  const heard: number[] = [];
  host.stack.attach(58, {
    receive: (packet) => host.stack.icmpv6.receive(packet),
    error: (_packet, _kind, mtu) => {
      heard.push(mtu);
      path.learnMtu(mtu);
    },
  });
  const tooBig = (mtu: number, quote: ArrayLike<number>) =>
    host.device.deliver(host.interface, icmpv6Frame(2, 0, [0, 0, mtu >> 8, mtu & 255, ...Array.from(quote)]));
  tooBig(1400, sent);
  assert.equal(path.mtu, 1400);
  tooBig(600, sent);
  assert.equal(path.mtu, 1280);
  tooBig(1000, ipv6Frame(58, [128, 0, 0, 0, 0, 1, 0, 1], { source: "fd00::3" }).subarray(14));
  tooBig(1000, sent.subarray(0, 44));
  assert.deepEqual(heard, [1400, 600]);
  assert.equal(host.stack.icmpv6.counters.dropped.badQuote, 1);
  assert.equal(host.stack.icmpv6.counters.dropped.truncated, 1);
});

Deno.test("Icmpv6 says nothing about errors, to groups and to nobody, and not more often than allowed", () => {
  const { host } = listening({ icmpRate: 1, icmpBurst: 3 });
  const { counters } = host.stack.icmpv6;
  const quote = ipv6Frame(17, new Array(8).fill(0), { source: "fd00::1", destination: "fd00::2" }).subarray(
    14,
  );
  // An error behind an unknown option: the option may not be complained about.
  const error = icmpv6Frame(1, 4, [0, 0, 0, 0, ...quote], {
    extensions: { first: 60, bytes: [58, 0, 0x80, 4, 0, 0, 0, 0] },
  });
  host.device.deliver(host.interface, error);
  assert.equal(counters.errorsForbidden, 1);
  // Nor behind more headers than are looked at to deliver it.
  const chain = new Array(12).fill([60, 0, 1, 4, 0, 0, 0, 0]).flat();
  const behind = [...chain, 58, 0, 0x80, 4, 0, 0, 0, 0];
  host.device.deliver(
    host.interface,
    icmpv6Frame(1, 4, [0, 0, 0, 0, ...quote], { extensions: { first: 60, bytes: behind } }),
  );
  assert.equal(counters.errorsForbidden, 2);
  for (let i = 0; i < 5; i++) host.device.deliver(host.interface, ipv6Frame(200, [1]));
  assert.equal(host.device.take().length, 3);
  assert.deepEqual([counters.errorsSent, counters.errorsLimited], [3, 2]);
});

Deno.test("Icmpv6 answers an echo of any size in place with the right checksum", () => {
  const { host } = listening();
  for (const size of [0, 1, 56, 57, 1452 - 4]) {
    const body = [1, 2, 3, 4, ...new Array(size).fill(0).map((_, i) => i & 255)];
    host.device.deliver(host.interface, icmpv6Frame(128, 0, body));
    const { bytes } = host.device.take()[0]!;
    assert.equal(describeV6(bytes), "fd00::1 > fd00::2 echo reply");
    assert.equal(checksumOkV6(bytes), true);
    assert.deepEqual([...bytes.subarray(58)], body);
  }
  // Who has no address yet may ask a group, but there is nobody to answer to.
  host.device.deliver(
    host.interface,
    icmpv6Frame(128, 0, [1, 2, 3, 4], { source: "::", destination: "ff02::1" }),
  );
  assert.deepEqual(host.device.take(), []);
  assert.equal(host.stack.icmpv6.counters.dropped.answerFailed, 1);
  const bad = icmpv6Frame(128, 0, [1, 2, 3, 4]);
  bad[60]! ^= 1;
  host.device.deliver(host.interface, bad);
  assert.equal(host.stack.icmpv6.counters.dropped.badChecksum, 1);
  assert.deepEqual(bytesOf("fd00::1").length, 16);
});
