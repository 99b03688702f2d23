import assert from "node:assert/strict";
import fc from "fast-check";
import { StackError, type StackErrorCode } from "../errors.ts";
import { IpAddress } from "../ip/address.ts";
import { IcmpError } from "../ip/path.ts";
import { CHECKSUM_PARTIAL, GSO_UDP, type Packet } from "../packet.ts";
import { checksumsOk, ipv4Frame, udpFrame } from "../testing/frames.ts";
import { Host, Pair } from "../testing/pair.ts";
import { sourceOf, sourcePortOf } from "./datagram.ts";

const A = IpAddress.parse("10.0.0.1"), B = IpAddress.parse("10.0.0.2");
const BROADCAST = [255, 255, 255, 255, 255, 255];

function host(): Host {
  const made = new Host(1, "10.0.0.1/24");
  made.interface.arp.neighbours.setPermanent(B, 0x0200, 2);
  made.stack.poll(0);
  made.device.take();
  return made;
}

function code(expected: StackErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof StackError && error.code === expected;
}

function text(packet: Packet): string {
  return new TextDecoder().decode(packet.bytes.subarray(packet.offset, packet.end));
}

const bytes = (words: string) => new TextEncoder().encode(words) as Uint8Array<ArrayBuffer>;

Deno.test("UdpSocket sends, receives and answers in place", () => {
  const pair = new Pair();
  const got: string[] = [];
  pair.b.stack.udp.bind({ port: 7 }, {
    receive: (packet, socket) => {
      assert.equal(String(sourceOf(packet)), "10.0.0.1");
      packet.bytes[packet.offset] = 0x48;
      assert.equal(socket.answer(packet, packet.length), true);
    },
  });
  const client = pair.a.stack.udp.bind({}, {
    receive: (packet) => got.push(`${sourceOf(packet)}:${sourcePortOf(packet)} ${text(packet)}`),
  });
  assert.ok(client.port >= 49152);
  assert.equal(client.send(bytes("..hello"), 2, 5, B, 7), true);
  const frame = client.reserve(B, 7)!;
  frame.bytes.set(bytes("jello"), frame.offset);
  frame.end += 5;
  assert.equal(client.transmit(frame), true);
  pair.run();
  assert.deepEqual(got, ["10.0.0.2:7 Hello", "10.0.0.2:7 Hello"]);
  assert.equal(pair.a.device.free + pair.b.device.free, 128);
  assert.equal(pair.a.device.faults + pair.b.device.faults, 0);
});

Deno.test("UdpSocket.send() and answer() make right checksums of any payload", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1472 }), fc.nat(1472), (payload, length) => {
    const made = host();
    const socket = made.stack.udp.bind({ port: 7 }, {
      receive: (packet, own) => own.answer(packet, length),
    });
    socket.send(payload as Uint8Array<ArrayBuffer>, 0, payload.length, B, 9);
    made.device.deliver(made.interface, udpFrame(9, 7, payload));
    const [sent, answered] = made.device.take();
    assert.ok(checksumsOk(sent!.bytes));
    assert.ok(checksumsOk(answered!.bytes));
    assert.equal(answered!.bytes.length, 42 + length);
    assert.notEqual(new DataView(sent!.bytes.buffer).getUint16(40), 0);
  }));
});

Deno.test("Udp drops what lies about itself, and counts why", () => {
  const made = host();
  made.stack.udp.bind({ port: 7 }, { receive: () => assert.fail("Nothing of this is for the socket") });
  const deliver = (frame: Uint8Array) => made.device.deliver(made.interface, frame);
  deliver(ipv4Frame(17, [0, 1, 0, 7, 0, 8, 0]));
  deliver(udpFrame(1, 7, [1, 2, 3], { length: 7 }));
  deliver(udpFrame(1, 7, [1, 2, 3], { length: 12 }));
  deliver(udpFrame(1, 7, [1, 2, 3], { checksum: 0x1234 }));
  deliver(udpFrame(1, 0, [1]));
  deliver(udpFrame(1, 8, [1]));
  assert.deepEqual({ ...made.stack.udp.counters.dropped }, {
    truncated: 1,
    badLength: 2,
    badChecksum: 1,
    portZero: 1,
    noListener: 1,
  });
});

Deno.test("Udp takes datagrams without checksum, longer packets than datagrams, and what the device vouches for", () => {
  const made = host();
  const got: number[] = [];
  made.stack.udp.bind({ port: 7 }, { receive: (packet) => got.push(packet.length) });
  made.device.deliver(made.interface, udpFrame(1, 7, [1, 2, 3], { checksum: 0 }));
  const longer = ipv4Frame(17, [0, 1, 0, 7, 0, 10, 0, 0, 1, 2, 3, 4, 5]);
  made.device.deliver(made.interface, longer);
  made.device.deliver(made.interface, udpFrame(1, 7, [1], { checksum: 0x1234 }), (packet) => {
    packet.flags = CHECKSUM_PARTIAL;
  });
  assert.deepEqual(got, [3, 2, 1]);
});

Deno.test("Udp prefers a socket bound to the address, and falls back on one bound to all", () => {
  const made = host();
  const got: string[] = [];
  const named = (name: string) => ({ receive: () => got.push(name) });
  const wildcard = made.stack.udp.bind({ port: 7 }, named("all"));
  const specific = made.stack.udp.bind({ port: 7, address: A }, named("one"));
  assert.throws(() => made.stack.udp.bind({ port: 7 }, named("")), code("AddressInUse"));
  assert.throws(() => made.stack.udp.bind({ port: 7, address: A }, named("")), code("AddressInUse"));
  assert.throws(() => made.stack.udp.bind({ port: 7, address: B }, named("")), code("AddressNotAvailable"));
  assert.throws(() => made.stack.udp.bind({ port: 70000 }, named("")), RangeError);
  const deliver = () => made.device.deliver(made.interface, udpFrame(1, 7, []));
  deliver();
  specific.close();
  specific.close();
  deliver();
  wildcard.close();
  deliver();
  assert.deepEqual(got, ["one", "all"]);
  assert.equal(made.stack.udp.size, 0);
  assert.throws(() => wildcard.send(bytes("x"), 0, 1, B, 7), code("Closed"));
  made.stack.udp.bind({ port: 7 }, named("again")).close();
});

Deno.test("Udp finds every one of many sockets, and forgets those that were closed", () => {
  const made = host();
  const got: number[] = [];
  const sockets = Array.from(
    { length: 300 },
    (_, i) =>
      made.stack.udp.bind({ port: 1000 + i * 7 }, { receive: (_packet, socket) => got.push(socket.port) }),
  );
  sockets.filter((_, i) => i % 3 === 0).forEach((socket) => socket.close());
  for (let i = 0; i < 300; i++) made.device.deliver(made.interface, udpFrame(1, 1000 + i * 7, []));
  assert.deepEqual(got, sockets.filter((_, i) => i % 3 !== 0).map((socket) => socket.port));
});

Deno.test("Udp.bind() takes every dynamic port, and then says that there is none", () => {
  const made = new Host(1, "10.0.0.1/24", {}, { limits: { udpSockets: 20000 } });
  const ports = new Set<number>();
  for (let i = 0; i < 16384; i++) ports.add(made.stack.udp.bind({}, { receive: () => {} }).port);
  assert.equal(ports.size, 16384);
  assert.equal(Math.min(...ports), 49152);
  assert.throws(() => made.stack.udp.bind({}, { receive: () => {} }), code("AddressInUse"));
});

Deno.test("UdpSocket needs permission to broadcast", () => {
  const made = host();
  const socket = made.stack.udp.bind({}, { receive: () => {} });
  const all = IpAddress.parse("255.255.255.255"), net = IpAddress.parse("10.0.0.255");
  for (const to of [all, net]) {
    assert.throws(() => socket.send(bytes("x"), 0, 1, to, 9), code("AddressNotAvailable"));
  }
  socket.broadcast = true;
  for (const to of [all, net]) assert.equal(socket.send(bytes("x"), 0, 1, to, 9), true);
  assert.equal(made.device.take().length, 2);
  socket.broadcast = false;
  assert.throws(() => socket.send(bytes("x"), 0, 1, net, 9), code("AddressNotAvailable"));
});

Deno.test("UdpSocket.send() says what is wrong", () => {
  const made = host();
  const socket = made.stack.udp.bind({}, { receive: () => {} });
  const big = new Uint8Array(65508);
  assert.throws(() => socket.send(big, 0, 65508, B, 9), code("MessageTooLong"));
  assert.equal(socket.send(big, 0, 1472, B, 9), true);
  assert.throws(() => socket.send(big, 0, 1, IpAddress.parse("192.0.2.1"), 9), code("NetworkUnreachable"));
  assert.throws(() => socket.send(big, 0, 1, B, 0), RangeError);
});

Deno.test("UdpSocket answers a broadcast from its own address", () => {
  const made = host();
  made.stack.udp.bind({ port: 7 }, { receive: (packet, socket) => socket.answer(packet, 1) });
  made.device.deliver(made.interface, udpFrame(9, 7, [1, 2], { destination: "10.0.0.255", to: BROADCAST }));
  const { bytes: answer } = made.device.take()[0]!;
  assert.ok(checksumsOk(answer));
  assert.equal(String(IpAddress.read(4, new DataView(answer.buffer), 26)), "10.0.0.1");
});

Deno.test("Udp hands a super-datagram on as the datagrams it was made of, each to be answered", () => {
  const made = host();
  const got: number[] = [];
  made.stack.udp.bind({ port: 7 }, {
    receive: (packet, socket) => {
      got.push(packet.length, packet.bytes[packet.offset]!);
      socket.answer(packet, packet.length);
    },
  });
  const payload = new Uint8Array(1100).map((_, i) => Math.floor(i / 500));
  made.device.deliver(made.interface, udpFrame(9, 7, payload), (packet) => {
    packet.gsoType = GSO_UDP;
    packet.gsoSize = 500;
    packet.flags = CHECKSUM_PARTIAL;
  });
  assert.deepEqual(got, [500, 0, 500, 1, 100, 2]);
  const answers = made.device.take().map((frame) => frame.bytes);
  assert.deepEqual(answers.map((answer) => answer[42]), [0, 1, 2]);
  assert.ok(answers.every(checksumsOk));
  assert.equal(made.device.free, 64);
});

Deno.test("UdpSocket is told when its next hop does not answer", () => {
  const made = new Host(1, "10.0.0.1/24");
  const errors: string[] = [];
  const socket = made.stack.udp.bind({}, {
    receive: () => {},
    error: (kind, remote, port) => errors.push(`${IcmpError[kind]} ${remote}:${port}`),
  });
  socket.send(bytes("x"), 0, 1, B, 9);
  for (let now = 0; errors.length === 0 && now !== Infinity;) now = made.stack.poll(now);
  assert.deepEqual(errors, ["HostUnreachable 10.0.0.2:9"]);
  assert.equal(made.device.free, 64);
});

Deno.test("Udp reports what a handler throws, and counts it", () => {
  const made = host();
  made.stack.udp.bind({ port: 7 }, {
    receive: () => {
      throw new Error("mine");
    },
  });
  made.device.deliver(made.interface, udpFrame(9, 7, []));
  assert.equal((made.errors[0] as Error).message, "mine");
  assert.equal(made.stack.udp.counters.handlerErrors, 1);
  assert.equal(made.device.free, 64);
});
