import assert from "node:assert/strict";
import { Cidr, IpAddress } from "./ip/address.ts";
import type { Packet } from "./packet.ts";
import { Host, Pair } from "./testing/pair.ts";
import { sourceOf, sourcePortOf, type UdpSocket } from "./udp/socket.ts";

const B = IpAddress.parse("10.0.0.2");

Deno.test("Stack resolves, pings and answers in place", () => {
  const wire = new Pair();
  const replies: number[] = [];
  const session = wire.a.stack.icmp.echo({ destination: B }, {
    reply: (_session, sequence, packet) => replies.push(sequence, packet.length),
  });
  assert.equal(session.send(7, new Uint8Array(56).fill(3)), true);
  wire.run();
  assert.deepEqual(replies, [7, 56]);
  assert.equal(wire.b.stack.icmp.counters.echoed, 1);
  assert.equal(wire.a.device.faults + wire.b.device.faults, 0);
});

Deno.test("Stack delivers datagrams to its own addresses without touching a device", () => {
  const host = new Host(1, "10.0.0.1/24");
  host.stack.poll(0);
  host.device.take();
  const heard: string[] = [];
  const server = host.stack.udp.bind({ port: 7 }, {
    receive: (packet, socket) => socket.answer(packet, packet.length),
  });
  const client = host.stack.udp.bind({}, {
    receive: (packet) => heard.push(`${sourceOf(packet)}:${sourcePortOf(packet)} ${packet.length}`),
  });
  for (const to of ["10.0.0.1", "127.0.0.1", "127.3.2.1"]) {
    assert.equal(client.send(new Uint8Array(5), 0, 5, IpAddress.parse(to), 7), true);
  }
  host.stack.poll(0);
  assert.deepEqual(heard, ["10.0.0.1:7 5", "127.0.0.1:7 5", "127.3.2.1:7 5"]);
  assert.equal(host.device.take().length, 0);
  server.close();
  client.close();
});

Deno.test("Stack.poll() says Infinity when nothing is under way and calls onWork once a turn", () => {
  const host = new Host(1, "10.0.0.1/24");
  assert.equal(host.stack.poll(0), Infinity);
  let calls = 0;
  host.stack.onWork = () => calls++;
  host.stack.wake();
  host.stack.wake();
  assert.equal(calls, 1);
  host.stack.poll(1);
  host.stack.wake();
  assert.equal(calls, 2);
});

Deno.test("Stack.path() follows routes as they change", () => {
  const host = new Host(1, "10.0.0.1/24");
  const far = IpAddress.parse("192.0.2.1");
  assert.equal(host.stack.path(far), null);
  const route = host.stack.addRoute({
    destination: Cidr.parse("0.0.0.0/0"),
    gateway: IpAddress.parse("10.0.0.254"),
    interface: host.interface,
  });
  const path = host.stack.path(far)!;
  assert.equal(String(path.source), "10.0.0.1");
  assert.equal(host.stack.path(far), path);
  host.stack.removeRoute(route);
  assert.equal(path.reserve(), null);
  assert.equal(host.stack.path(far), null);
});

Deno.test("Stack.poll() comes back from two sockets that answer each other for ever", () => {
  const host = new Host(1, "10.0.0.1/24");
  let count = 0;
  const echo = {
    receive: (packet: Packet, socket: UdpSocket) => {
      count++;
      socket.answer(packet, packet.length);
    },
  };
  host.stack.udp.bind({ port: 7 }, echo);
  host.stack.udp.bind({ port: 8 }, echo).send(new Uint8Array(1), 0, 1, IpAddress.parse("10.0.0.1"), 7);
  assert.equal(host.stack.poll(5), 5, "it asks for another turn");
  assert.ok(count > 0 && count < 100);
});

Deno.test("Interface and Ipv4 show taps what goes out, and let them take it", () => {
  const host = new Host(1, "10.0.0.1/24");
  host.interface.arp.neighbours.setPermanent(B, 0x0200, 2);
  host.stack.poll(0);
  host.device.take();
  const socket = host.stack.udp.bind({}, { receive: () => {} });
  const send = () => socket.send(new Uint8Array(3), 0, 3, B, 9);
  const seen: number[] = [];
  const offLink = host.interface.tap("out", { receive: (packet) => seen.push(packet.length) > 1 });
  assert.equal(send(), true);
  assert.equal(host.device.take().length, 1);
  assert.equal(send(), true);
  assert.equal(host.device.take().length, 0, "the tap took it");
  const offIp = host.stack.ipv4.tap("out", { receive: (packet) => seen.push(packet.length) > 0 });
  send();
  assert.deepEqual(seen, [14 + 31, 14 + 31, 31]);
  offLink();
  offIp();
  send();
  assert.equal(host.device.take().length, 1);
  assert.equal(host.interface.counters.sendTaken, 1);
  assert.equal(host.stack.ipv4.counters.sendTaken, 1);
  assert.equal(host.device.free, 64);
  assert.equal(host.device.faults, 0);
});
