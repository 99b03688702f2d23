import assert from "node:assert/strict";
import type { StackError } from "./errors.ts";
import { IpAddress } from "./ip/address.ts";
import { IcmpError } from "./ip/path.ts";
import { checksumOkV6, describeV6 } from "./testing/frames_v6.ts";
import { Host, Pair } from "./testing/pair.ts";
import type { Connection, ConnectionHandler } from "./tcp/api.ts";
import { sourceOf } from "./udp/socket.ts";

const SECOND = 1_000_000;
const A = IpAddress.parse("fd00::1"), B = IpAddress.parse("fd00::2");

/** fd00::1 and fd00::2, and their link-local addresses, when all of them are sure to be theirs. */
function pair(device = {}, options = {}): Pair {
  const wire = new Pair(device, options, ["fd00::1/64", "fd00::2/64"], true);
  wire.pass(3 * SECOND);
  return wire;
}

function clean(wire: Pair): void {
  assert.deepEqual([...wire.a.errors, ...wire.b.errors], []);
  assert.equal(wire.a.device.faults + wire.b.device.faults, 0);
  assert.deepEqual([wire.a.device.free, wire.b.device.free], [64, 64]);
}

Deno.test("Stack resolves, pings and answers in place over IPv6", () => {
  const wire = pair();
  for (const to of [B, IpAddress.parse("fe80::ff:fe00:2")]) {
    const replies: string[] = [];
    const session = wire.a.stack.icmp.echo({ destination: to }, {
      reply: (_session, sequence, packet) => replies.push(`${sourceOf(packet)} ${sequence} ${packet.length}`),
    });
    assert.equal(session.send(7, new Uint8Array(57).fill(3)), true);
    wire.run();
    assert.deepEqual(replies, [`${to} 7 57`]);
    session.close();
  }
  assert.equal(wire.b.stack.icmpv6.counters.echoed, 2);
  clean(wire);
});

Deno.test("Stack answers a ping of all nodes from one of its own addresses", () => {
  const wire = pair();
  const replies: string[] = [];
  const session = wire.a.stack.icmp.echo({ destination: IpAddress.parse("ff02::1") }, {
    reply: (_session, _sequence, packet) => replies.push(String(sourceOf(packet))),
  });
  session.send(1, new Uint8Array(8));
  wire.run();
  assert.deepEqual(replies, ["fe80::ff:fe00:2"]);
  clean(wire);
});

Deno.test("UdpSocket sends, answers and hears of closed ports over IPv6", () => {
  const wire = pair();
  const heard: string[] = [];
  wire.b.stack.udp.bind({ port: 7 }, { receive: (packet, socket) => socket.answer(packet, packet.length) });
  const client = wire.a.stack.udp.bind({}, {
    receive: (packet) => heard.push(`${sourceOf(packet)} ${packet.length}`),
    error: (kind, remote, port) => heard.push(`${IcmpError[kind]} ${remote} ${port}`),
  });
  for (const to of [B, IpAddress.parse("fe80::ff:fe00:2")]) {
    client.send(new Uint8Array(1400), 0, 1400, to, 7);
    client.send(new Uint8Array(3), 0, 3, to, 8);
    wire.run();
  }
  assert.deepEqual(heard, [
    "fd00::2 1400",
    "PortUnreachable fd00::2 8",
    "fe80::ff:fe00:2 1400",
    "PortUnreachable fe80::ff:fe00:2 8",
  ]);
  assert.throws(
    () => client.send(new Uint8Array(65528), 0, 65528, B, 7),
    (error: StackError) => error.code === "MessageTooLong",
  );
  clean(wire);
});

Deno.test("Stack delivers to ::1 and to its own addresses without touching a device", () => {
  const wire = pair();
  const { stack, device } = wire.a;
  const heard: string[] = [];
  stack.udp.bind({ port: 7 }, { receive: (packet, socket) => socket.answer(packet, packet.length) });
  const client = stack.udp.bind({}, { receive: (packet) => heard.push(String(sourceOf(packet))) });
  const own = ["::1", "fd00::1", "fe80::ff:fe00:1"];
  for (const to of own) client.send(new Uint8Array(5), 0, 5, IpAddress.parse(to), 7);
  stack.poll(wire.now);
  assert.deepEqual(heard, own);
  assert.equal(device.take().length, 0);
});

Deno.test("Tcp carries data over IPv6 in segments that the stack cuts, with one flow label a direction", () => {
  const wire = pair();
  const sent = new Uint8Array(200_000).map((_, i) => i * 31);
  const received: number[] = [];
  const idle: ConnectionHandler = {
    connected: () => {},
    receive: (_connection, _bytes, _offset, length) => length,
    finished: (own) => own.close(),
    writable: () => {},
    closed: () => {},
  };
  const server: ConnectionHandler = {
    ...idle,
    receive: (_connection, bytes, offset, length) => {
      for (let i = 0; i < length; i++) received.push(bytes[offset + i]!);
      return length;
    },
  };
  wire.b.stack.tcp.listen({ port: 80 }, { ready: (listener) => listener.take()!.handler = server });
  const labels = new Set<number>();
  wire.a.stack.ipv6.tap("out", {
    receive: ({ view, network, protocol }) => {
      if (protocol === 6) labels.add(view.getInt32(network) & 0xfffff);
      return false;
    },
  });
  let written = 0;
  const write = (own: Connection) => {
    written += own.write(sent, written, sent.length - written);
    if (written === sent.length) own.closeWrite();
  };
  wire.a.stack.tcp.connect({ address: B, port: 80 }, { ...idle, connected: write, writable: write });
  wire.pass(5 * SECOND);
  assert.deepEqual(Uint8Array.from(received), sent);
  assert.equal(labels.size, 1);
  assert.notEqual([...labels][0], 0);
  assert.ok(wire.a.interface.counters.segmented > 0);
  clean(wire);
});

Deno.test("Stack sends what asks for neighbours with right checksums and a hop limit of 255", () => {
  const host = new Host(1, "fd00::1/64", {}, {}, true);
  let frames: string[] = [];
  for (let now = 0; now < 12 * SECOND; now += 10_000) {
    host.stack.poll(now);
    for (const { bytes } of host.device.take()) {
      assert.equal(checksumOkV6(bytes), true);
      const text = describeV6(bytes);
      assert.equal(bytes[21], text.endsWith("report") ? 1 : 255);
      frames.push(text);
    }
  }
  frames = frames.filter((text) => !text.includes("report"));
  assert.deepEqual([...frames].sort(), [
    ":: > ff02::1:ff00:1 who has fd00::1",
    ":: > ff02::1:ff00:1 who has fe80::ff:fe00:1",
    "fd00::1 > ff02::2 is at fd00::1",
    "fe80::ff:fe00:1 > ff02::2 router?",
    "fe80::ff:fe00:1 > ff02::2 router?",
    "fe80::ff:fe00:1 > ff02::2 router?",
  ]);
});

Deno.test("Stack.path() finds no way from a tentative address, and one when nobody has objected", () => {
  const host = new Host(1, "fd00::1/64", {}, {}, { linkLocal: false });
  host.stack.poll(0);
  assert.equal(host.stack.isLocal(A), true);
  assert.equal(host.stack.path(B), null);
  host.stack.poll(SECOND + 1000);
  assert.equal(host.stack.path(B)?.source.equals(A), true);
  const off = new Host(1, "fd00::1/64", {}, {}, { duplicates: "off" });
  assert.equal(off.stack.path(B)?.mtu, 1500);
});
