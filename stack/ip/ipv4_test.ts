import assert from "node:assert/strict";
import type { Ipv4Drops } from "../counters.ts";
import type { StackError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import type { Packet } from "../packet.ts";
import { arpFrame, checksumsOk, type FrameOptions, ipv4Frame, udpFrame } from "../testing/frames.ts";
import { Host } from "../testing/pair.ts";
import { TestDevice } from "../testing/test_device.ts";
import { Cidr, IpAddress } from "./address.ts";

const BROADCAST = [255, 255, 255, 255, 255, 255];
const PROTOCOL = 253, TCP = 6;

interface Got {
  host: Host;
  received: { payload: number[]; cast: number }[];
}

/** A host on which protocol 253 is listened to. */
function listening(address = "10.0.0.1/24"): Got {
  const host = new Host(1, address);
  host.stack.poll(0);
  host.device.take();
  host.stack.ipv4.reassembler = null;
  const received: Got["received"] = [];
  host.stack.attach(PROTOCOL, {
    receive: (packet) =>
      received.push({ payload: [...packet.bytes.subarray(packet.offset, packet.end)], cast: packet.cast }),
    error: () => {},
  });
  return { host, received };
}

function drops(host: Host): Partial<Ipv4Drops> {
  return Object.fromEntries(
    Object.entries(host.stack.ipv4.counters.dropped).filter(([, count]) => count > 0),
  );
}

Deno.test("Ipv4.receive() hands a packet on without padding and options", () => {
  const { host, received } = listening();
  host.device.deliver(host.interface, ipv4Frame(PROTOCOL, [1, 2, 3], { padding: 23 }));
  host.device.deliver(host.interface, ipv4Frame(PROTOCOL, [4, 5], { options: [1, 1, 1, 0] }));
  assert.deepEqual(received.map(({ payload }) => payload), [[1, 2, 3], [4, 5]]);
});

const BAD: [keyof Ipv4Drops, string, FrameOptions, ((frame: Uint8Array) => Uint8Array)?][] = [
  ["truncated", "19 bytes", {}, (frame) => frame.subarray(0, 33)],
  ["badVersion", "version 6", {}, (frame) => (frame[14] = 0x65, frame)],
  ["badHeaderLength", "header of 16 bytes", {}, (frame) => (frame[14] = 0x44, frame)],
  ["badHeaderLength", "header longer than the frame", {}, (frame) => (frame[14] = 0x4f, frame)],
  ["badTotalLength", "total length longer than the frame", {}, (frame) => (frame[17] = 200, frame)],
  ["badTotalLength", "total length shorter than the header", {}, (frame) => (frame[17] = 19, frame)],
  ["badChecksum", "bad checksum", {}, (frame) => (frame[24]! ^= 1, frame)],
  ["badSource", "multicast source", { source: "224.0.0.5" }],
  ["badSource", "limited broadcast source", { source: "255.255.255.255" }],
  ["badSource", "directed broadcast source", { source: "10.0.0.255" }],
  ["badSource", "reserved source", { source: "240.0.0.1" }],
  ["badSource", "unspecified source to one host", { source: "0.0.0.0" }],
  ["ownSource", "own source to a group", { source: "10.0.0.1", destination: "10.0.0.255", to: BROADCAST }],
  ["land", "own source and destination", { source: "10.0.0.1" }],
  ["martian", "loopback source", { source: "127.0.0.1" }],
  ["martian", "loopback destination", { destination: "127.0.0.1" }],
  ["unicastInGroup", "unicast in a link broadcast", { to: BROADCAST }],
  ["notForUs", "somebody else's", { destination: "10.0.0.9" }],
  ["notForUs", "a group that was not joined", { destination: "224.0.0.9", to: [1, 0, 0x5e, 0, 0, 1] }],
  ["fragment", "first fragment", { fragment: 0x2000 }],
  ["fragment", "last fragment", { fragment: 5 }],
];

for (const [reason, what, options, change] of BAD) {
  Deno.test(`Ipv4.receive() drops and counts: ${what}`, () => {
    const { host, received } = listening();
    const frame = ipv4Frame(PROTOCOL, [1, 2, 3, 4], options);
    host.device.deliver(host.interface, change?.(frame) ?? frame);
    assert.deepEqual(drops(host), { [reason]: 1 });
    assert.equal(received.length, 0);
    assert.equal(host.device.take().length, 0);
    assert.equal(host.device.free, 64);
  });
}

Deno.test("Ipv4.receive() takes broadcasts of its network, and groups that were joined", () => {
  const { host, received } = listening();
  const group = IpAddress.parse("224.0.0.9");
  const send = (destination: string, to: number[]) =>
    host.device.deliver(host.interface, ipv4Frame(PROTOCOL, [1], { destination, to }));
  send("255.255.255.255", BROADCAST);
  send("10.0.0.255", BROADCAST);
  send("224.0.0.1", [1, 0, 0x5e, 0, 0, 1]);
  const listener = host.stack.groups.join(group, host.interface);
  send("224.0.0.9", [1, 0, 0x5e, 0, 0, 9]);
  listener.leave();
  send("224.0.0.9", [1, 0, 0x5e, 0, 0, 9]);
  assert.deepEqual(received.map(({ cast }) => cast), [1, 1, 2, 2]);
});

Deno.test("Ipv4 taps see packets for others too, and take what they want", () => {
  const { host, received } = listening();
  const seen: string[] = [];
  const off = host.stack.ipv4.tap("in", {
    receive: (packet) => {
      seen.push(String(IpAddress.read(4, packet.view, packet.network + 16)));
      return seen.length === 2;
    },
  });
  host.device.deliver(host.interface, ipv4Frame(PROTOCOL, [1], { destination: "10.0.0.9" }));
  host.device.deliver(host.interface, ipv4Frame(PROTOCOL, [1]));
  off();
  host.device.deliver(host.interface, ipv4Frame(PROTOCOL, [1]));
  assert.deepEqual(seen, ["10.0.0.9", "10.0.0.1"]);
  assert.equal(received.length, 1);
});

Deno.test("Ipv4.raw() shows packets of a protocol before its transport", () => {
  const { host, received } = listening();
  const seen: number[] = [];
  const off = host.stack.ipv4.raw(PROTOCOL, { receive: (packet) => seen.push(packet.length) > 0 });
  host.device.deliver(host.interface, ipv4Frame(PROTOCOL, [1, 2]));
  off();
  host.device.deliver(host.interface, ipv4Frame(PROTOCOL, [1, 2]));
  assert.deepEqual(seen, [2]);
  assert.equal(received.length, 1);
});

function filled(packet: Packet | null, length: number): Packet {
  packet!.end = packet!.offset + length;
  return packet!;
}

Deno.test("Path.send() finds the gateway, and the next one when routes change", () => {
  const host = new Host(1, "10.0.0.1/24");
  host.stack.poll(0);
  host.device.take();
  const far = IpAddress.parse("192.0.2.1");
  const asked = () => {
    const [frame] = host.device.take();
    return String(IpAddress.read(4, new DataView(frame!.bytes.buffer), 38));
  };
  const add = (gateway: string, metric: number) =>
    host.stack.addRoute({
      destination: Cidr.parse("0.0.0.0/0"),
      gateway: IpAddress.parse(gateway),
      interface: host.interface,
      metric,
    });
  add("10.0.0.8", 10);
  const path = host.stack.path(far)!;
  assert.equal(path.send(filled(path.reserve(), 4), PROTOCOL, 0, 0), true);
  assert.equal(asked(), "10.0.0.8");
  const better = add("10.0.0.7", 1);
  assert.equal(path.send(filled(path.reserve(), 4), PROTOCOL, 0, 0), true);
  assert.equal(asked(), "10.0.0.7");
  const kept = filled(path.reserve(), 4);
  host.stack.removeInterface(host.interface);
  assert.equal(path.send(kept, PROTOCOL, 0, 0), false);
  assert.equal(host.stack.ipv4.counters.sendNoRoute, 1);
  assert.equal(host.stack.removeRoute(better), false);
  assert.equal(host.device.free, 64);
});

Deno.test("Path over a /32 reaches a gateway outside of every prefix", () => {
  const { host } = listening("203.0.113.5/32");
  assert.equal(host.stack.path(IpAddress.parse("192.0.2.1")), null);
  host.stack.addRoute({
    destination: Cidr.parse("0.0.0.0/0"),
    gateway: IpAddress.parse("172.31.1.1"),
    interface: host.interface,
  });
  const path = host.stack.path(IpAddress.parse("192.0.2.1"))!;
  assert.equal(String(path.source), "203.0.113.5");
  path.send(filled(path.reserve(), 4), PROTOCOL, 0, 0);
  host.device.deliver(
    host.interface,
    arpFrame(2, 9, "172.31.1.1", 1, "203.0.113.5", [2, 0, 0, 0, 0, 1]),
  );
  assert.equal(host.device.take()[1]!.bytes[5], 9);
});

Deno.test("Path over a /31 sends to both of its addresses (RFC 3021)", () => {
  const { host, received } = listening("10.0.0.0/31");
  const path = host.stack.path(IpAddress.parse("10.0.0.1"))!;
  assert.equal(path.group, false);
  host.device.deliver(
    host.interface,
    ipv4Frame(PROTOCOL, [1], { source: "10.0.0.1", destination: "10.0.0.0" }),
  );
  assert.equal(received.length, 1);
});

Deno.test("Path to a group needs no neighbour", () => {
  const { host } = listening();
  const links: string[] = [];
  for (const to of ["255.255.255.255", "10.0.0.255", "224.0.0.251", "239.129.2.3"]) {
    const path = host.stack.path(IpAddress.parse(to))!;
    assert.equal(path.group, true, to);
    assert.equal(path.send(filled(path.reserve(), 4), PROTOCOL, 0, 0), true);
    const { bytes } = host.device.take()[0]!;
    links.push([...bytes.subarray(0, 6)].map((byte) => byte.toString(16)).join(":") + " " + bytes[22]);
  }
  assert.deepEqual(links, [
    "ff:ff:ff:ff:ff:ff 64",
    "ff:ff:ff:ff:ff:ff 64",
    "1:0:5e:0:0:fb 1",
    "1:0:5e:1:2:3 1",
  ]);
});

Deno.test("Stack.path() refuses what is no destination and no source", () => {
  const { host } = listening();
  const path = (to: string, from?: string) =>
    host.stack.path(IpAddress.parse(to), from === undefined ? undefined : IpAddress.parse(from));
  for (const to of ["0.0.0.0", "192.0.2.1", "240.0.0.1", "2001:db8::1"]) assert.equal(path(to), null, to);
  assert.equal(path("10.0.0.2", "10.0.0.9"), null);
  assert.equal(path("10.0.0.2", "127.0.0.1"), null);
  assert.equal(path("10.0.0.2", "0.0.0.0"), null);
  assert.notEqual(
    host.stack.path(IpAddress.parse("255.255.255.255"), IpAddress.parse("0.0.0.0"), host.interface),
    null,
  );
});

Deno.test("Path.send() refuses segments larger than the MTU, until a learned MTU is forgotten", () => {
  const { host } = listening();
  host.interface.arp.neighbours.setPermanent(IpAddress.parse("10.0.0.2"), 0x0200, 2);
  const path = host.stack.path(IpAddress.parse("10.0.0.2"))!;
  assert.equal(path.send(filled(path.reserve(), 1480), TCP, 0, 0), true);
  assert.equal(path.send(filled(path.reserve(), 1481), TCP, 0, 0), false);
  path.learnMtu(1400);
  assert.equal(path.mtu, 1400);
  assert.equal(path.send(filled(path.reserve(), 1381), TCP, 0, 0), false);
  path.learnMtu(1450);
  assert.equal(path.mtu, 1400, "a larger one is no news");
  path.learnMtu(1);
  assert.equal(path.mtu, 552);
  host.stack.advance(DEFAULT_LIMITS.pathMtuLifetime + 1);
  assert.equal(path.send(filled(path.reserve(), 1480), TCP, 0, 0), true);
  assert.equal(path.mtu, 1500);
  assert.equal(host.stack.ipv4.counters.sendTooBig, 2);
  assert.equal(host.device.free, 64);
});

Deno.test("Stack.path() shares paths, and holds no more than the limit", () => {
  const host = new Host(1, "10.0.0.1/16", {}, { limits: { paths: 8 } });
  const first = host.stack.path(IpAddress.parse("10.0.0.2"))!;
  for (let i = 0; i < 100; i++) host.stack.path(IpAddress.v4(0x0a000100 + i));
  assert.equal(
    host.stack.path(IpAddress.parse("10.0.0.200")),
    host.stack.path(IpAddress.parse("10.0.0.200")),
  );
  assert.equal(
    first.send(filled(first.reserve(), 4), PROTOCOL, 0, 0),
    true,
    "a holder keeps an evicted path",
  );
});

Deno.test("Stack with several interfaces sends each packet by its own, from its own address", () => {
  const { host } = listening();
  const other = new TestDevice({ mac: 7 });
  const second = host.stack.addInterface(other, {
    name: "second",
    addresses: [Cidr.parse("10.9.0.1/24")],
    announce: false,
  });
  const path = host.stack.path(IpAddress.parse("10.9.0.2"))!;
  assert.equal(path.interface, second);
  assert.equal(String(path.source), "10.9.0.1");
  path.send(filled(path.reserve(), 4), PROTOCOL, 0, 0);
  assert.equal(other.take().length, 1);
  assert.equal(host.device.take().length, 0);
  assert.throws(
    () => host.stack.addInterface(new TestDevice(), { addresses: [Cidr.parse("10.9.0.1/24")] }),
    (error: StackError) => error.code === "AddressInUse",
  );
  assert.equal(host.stack.interfaces.length, 2);
});

Deno.test("Ipv4 forwarder gets what is for others, and can send it by another interface", () => {
  const { host } = listening();
  const other = new TestDevice({ mac: 7 });
  const second = host.stack.addInterface(other, { addresses: [Cidr.parse("10.9.0.1/24")], announce: false });
  second.arp.neighbours.setPermanent(IpAddress.parse("10.9.0.2"), 0x0200, 9);
  host.stack.ipv4.forwarder = {
    receive: (packet) => {
      const next = second.arp.neighbours.resolve(IpAddress.read(4, packet.view, packet.network + 16));
      next.send(packet, 0x0800);
    },
  };
  const frame = udpFrame(1, 2, [3, 4], { destination: "10.9.0.2" });
  host.device.deliver(host.interface, frame);
  const [sent] = other.take();
  assert.deepEqual(sent!.bytes.subarray(14), frame.subarray(14));
  assert.equal(sent!.bytes[5], 9);
  assert.ok(checksumsOk(sent!.bytes));
  assert.equal(host.device.free, 64);
  assert.equal(other.free, 64);
  assert.equal(host.device.faults + other.faults, 0);
});
