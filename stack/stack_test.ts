import assert from "node:assert/strict";
import { Cidr, IpAddress } from "./ip/address.ts";
import { Host, Pair } from "./testing/pair.ts";
import { sourceOf, sourcePortOf } from "./udp/socket.ts";

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
