import assert from "node:assert/strict";
import { StackError } from "../errors.ts";
import { IpAddress } from "../ip/address.ts";
import { SourceFilter } from "../multicast/source_filter.ts";
import type { Packet } from "../packet.ts";
import { udpFrame } from "../testing/frames.ts";
import { udpFrameV6 } from "../testing/frames_v6.ts";
import { Host, Pair } from "../testing/pair.ts";
import { TestDevice } from "../testing/test_device.ts";
import type { UdpSocket } from "./socket.ts";

const GROUP = IpAddress.parse("239.1.2.3"), OTHER = IpAddress.parse("239.1.2.4");
const GROUP6 = IpAddress.parse("ff15::77");
const MAC = [1, 0, 0x5e, 1, 2, 3];
const IPV6 = { duplicates: "off", routers: false } as const;

function text(packet: Packet): string {
  return new TextDecoder().decode(packet.bytes.subarray(packet.offset, packet.end));
}

function frame(payload: string, options: { source?: string; group?: string } = {}): Uint8Array {
  const { source = "10.0.0.2", group = "239.1.2.3" } = options;
  return udpFrame(9, 5353, new TextEncoder().encode(payload), { source, destination: group, to: MAC });
}

function refused(code: string): (error: unknown) => boolean {
  return (error) => error instanceof StackError && error.code === code;
}

class Listening {
  readonly host: Host = new Host(1, "10.0.0.1/24", {}, {}, IPV6);
  readonly got: string[] = [];

  socket(name: string, reuse = true): UdpSocket {
    return this.host.stack.udp.bind({ port: 5353, reuse }, {
      receive: (packet) => void this.got.push(`${name} ${text(packet)}`),
    });
  }

  deliver(payload: string, options: { source?: string; group?: string } = {}): string[] {
    this.host.device.deliver(this.host.interface, frame(payload, options));
    return this.got.splice(0);
  }
}

Deno.test("UdpSocket.groups.join() takes a group until it is left or the socket closed", () => {
  const made = new Listening();
  const socket = made.socket("a");
  assert.deepEqual(made.deliver("1"), []);
  assert.equal(made.host.interface.counters.dropped.otherGroup, 1);
  socket.groups.join(GROUP);
  assert.deepEqual(made.deliver("2"), ["a 2"]);
  assert.throws(() => socket.groups.join(GROUP), refused("AddressInUse"));
  socket.groups.leave(GROUP);
  assert.deepEqual(made.deliver("3"), []);
  assert.throws(() => socket.groups.leave(GROUP), refused("AddressNotAvailable"));
  socket.groups.join(GROUP);
  socket.close();
  assert.equal(made.host.stack.groups.get(GROUP, made.host.interface), null);
});

Deno.test("UdpSocket.groups keeps sources apart, socket by socket", () => {
  const made = new Listening();
  const first = made.socket("a"), second = made.socket("b");
  const wanted = IpAddress.parse("10.0.0.2");
  first.groups.join(GROUP, { source: wanted });
  assert.deepEqual(made.deliver("1", { source: "10.0.0.3" }), []);
  second.groups.join(GROUP);
  second.groups.setFilter(GROUP, new SourceFilter(true, [wanted]));
  assert.deepEqual(made.deliver("2", { source: "10.0.0.3" }), ["b 2"]);
  assert.deepEqual(made.deliver("3"), ["a 3"]);
  second.groups.setFilter(GROUP, SourceFilter.ANYONE);
  assert.deepEqual(made.deliver("4").sort(), ["a 4", "b 4"]);
  first.groups.leave(GROUP, { source: wanted });
  assert.deepEqual(first.groups.joined, []);
});

Deno.test("Udp hands a group's datagram to each socket that has joined, and to those that have joined nothing", () => {
  const made = new Listening();
  made.socket("any");
  const one = made.socket("one");
  made.socket("other").groups.join(OTHER);
  one.groups.join(GROUP);
  assert.deepEqual(made.deliver("x").sort(), ["any x", "one x"]);
  assert.equal(made.host.stack.udp.counters.delivered, 1);
  made.host.device.deliver(made.host.interface, udpFrame(9, 5353, [0x79]));
  assert.deepEqual(made.got.splice(0), ["other y"]);
});

Deno.test("UdpSocket.answer() leaves a datagram of several sockets as it is", () => {
  const made = new Listening();
  const { stack, device, interface: by } = made.host;
  by.arp.neighbours.setPermanent(IpAddress.parse("10.0.0.2"), 0x0200, 2);
  device.take();
  for (let i = 0; i < 3; i++) {
    const socket = stack.udp.bind({ port: 5353, reuse: true }, {
      receive: (packet, own) => {
        made.got.push(text(packet));
        own.answer(packet, packet.length);
      },
    });
    socket.groups.join(GROUP);
  }
  assert.deepEqual(made.deliver("same"), ["same", "same", "same"]);
  stack.poll(0);
  assert.equal(device.take().filter(({ bytes }) => bytes[23] === 17).length, 3);
  assert.equal(device.faults, 0);
});

Deno.test("Udp.bind() shares a port only when all say so", () => {
  const made = new Listening();
  made.socket("a");
  made.socket("b");
  assert.throws(() => made.socket("c", false), refused("AddressInUse"));
  const alone = made.host.stack.udp.bind({ port: 7 }, { receive: () => {} });
  assert.throws(
    () => made.host.stack.udp.bind({ port: 7, reuse: true }, { receive: () => {} }),
    refused("AddressInUse"),
  );
  alone.close();
});

Deno.test("UdpSocket sends to groups one hop far, by the chosen interface, and to listeners here", () => {
  const made = new Listening();
  const { stack, device } = made.host;
  const second = new TestDevice({ mac: 9 });
  const out = stack.addInterface(second, { ipv6: false });
  const listener = made.socket("own");
  listener.groups.join(GROUP, { interface: out });
  stack.poll(0);
  device.take();
  second.take();
  const sender = stack.udp.bind({}, { receive: () => {} });
  const send = (word: string) => {
    sender.send(new TextEncoder().encode(word), 0, word.length, GROUP, 5353);
    stack.poll(0);
    const ours = (frames: { bytes: Uint8Array }[]) => frames.filter(({ bytes }) => bytes[23] === 17);
    return [ours(device.take()), ours(second.take()), made.got.splice(0)] as const;
  };
  let [first, other, heard] = send("a");
  assert.deepEqual([first.length, other.length, heard], [1, 0, []]);
  assert.deepEqual([...first[0]!.bytes.subarray(0, 6)], MAC);
  assert.equal(first[0]!.bytes[22], 1);
  sender.multicastInterface = out;
  sender.multicastHops = 7;
  [first, other, heard] = send("b");
  assert.deepEqual([first.length, other.length, heard], [0, 1, ["own b"]]);
  assert.equal(other[0]!.bytes[22], 7);
  sender.multicastLoop = false;
  [first, other, heard] = send("c");
  assert.deepEqual([other.length, heard], [1, []]);
});

Deno.test("UdpSocket takes IPv6 groups on the interface on which they were joined, fragments and all", () => {
  const pair = new Pair({}, {}, ["10.0.0.1/24", "10.0.0.2/24"], IPV6);
  const got: number[] = [];
  const socket = pair.b.stack.udp.bind({ port: 7 }, { receive: (packet) => void got.push(packet.length) });
  socket.groups.join(GROUP6, { interface: pair.b.interface });
  const own = pair.a.stack.udp.bind({ port: 7 }, { receive: (packet) => void got.push(-packet.length) });
  own.groups.join(GROUP6);
  own.send(new Uint8Array(5000), 0, 5000, GROUP6, 7);
  pair.pass(1000);
  assert.deepEqual(got.sort(), [-5000, 5000]);
  const wrong = IpAddress.parse("fe80::7");
  socket.groups.setFilter(GROUP6, new SourceFilter(false, [wrong]), { interface: pair.b.interface });
  pair.b.device.deliver(pair.b.interface, udpFrameV6(1, 7, [1], { destination: "ff15::77" }));
  assert.equal(got.length, 2);
  pair.b.device.deliver(
    pair.b.interface,
    udpFrameV6(1, 7, [1], { destination: "ff15::77", source: "fe80::7" }),
  );
  assert.equal(got.length, 3);
});

Deno.test("SocketGroups.join() refuses what is no group, no host, or too much", () => {
  const made = new Listening();
  const socket = made.socket("a");
  assert.throws(() => socket.groups.join(IpAddress.parse("10.0.0.9")), TypeError);
  assert.throws(() => socket.groups.join(GROUP, { source: IpAddress.parse("fd00::1") }), TypeError);
  const many = Array.from({ length: 65 }, (_, i) => IpAddress.v4(0x0a000100 + i));
  socket.groups.join(GROUP);
  assert.throws(() => socket.groups.setFilter(GROUP, new SourceFilter(true, many)), refused("TooMany"));
  assert.equal(socket.groups.joined.length, 1);
  const { size } = made.host.stack.groups;
  for (let i = size; i < 1024; i++) socket.groups.join(IpAddress.v4(0xef020000 + i));
  assert.throws(() => socket.groups.join(OTHER), refused("TooMany"));
});
