import assert from "node:assert/strict";
import type { Packet } from "../packet.ts";
import { Host } from "../testing/pair.ts";
import { Cidr, IpAddress } from "./address.ts";
import { RouteKind, type RouteOptions } from "./routes.ts";

const FAR = IpAddress.parse("192.0.2.1");

function filled(packet: Packet | null, length: number): Packet {
  assert.ok(packet !== null);
  packet.end = packet.offset + length;
  return packet;
}

function multihomed() {
  const host = new Host(1, "10.0.0.1/24");
  host.interface.addAddress(Cidr.parse("10.1.0.1/24"));
  for (const gateway of ["10.0.0.254", "10.1.0.254"]) {
    host.interface.arp.neighbours.setPermanent(
      IpAddress.parse(gateway),
      0x0200,
      gateway === "10.0.0.254" ? 8 : 9,
    );
  }
  host.stack.poll(0);
  host.device.take();
  const add = (text: string, options: Partial<RouteOptions> = {}) =>
    host.stack.addRoute({ destination: Cidr.parse(text), interface: host.interface, ...options });
  return { host, add };
}

Deno.test("Stack.path() goes by the source where a route asks for one, and comes back when it goes", () => {
  const { host, add } = multihomed();
  add("0.0.0.0/0", { gateway: IpAddress.parse("10.0.0.254") });
  const first = host.stack.path(FAR, IpAddress.parse("10.0.0.1"))!;
  const second = host.stack.path(FAR, IpAddress.parse("10.1.0.1"))!;
  const by = (path: typeof first) => {
    path.send(filled(path.reserve(), 4), 253, 0, 0);
    return host.device.take()[0]!.bytes[5];
  };
  assert.deepEqual([by(first), by(second)], [8, 8]);
  const special = add("0.0.0.0/0", {
    gateway: IpAddress.parse("10.1.0.254"),
    from: Cidr.parse("10.1.0.0/24"),
    metric: 9,
  });
  assert.deepEqual([by(first), by(second)], [8, 9]);
  host.stack.removeRoute(special);
  assert.deepEqual([by(first), by(second)], [8, 8]);
});

Deno.test("Stack.path() takes MTU, TTL and DSCP from the route where the sender has chosen none", () => {
  const { host, add } = multihomed();
  const gateway = IpAddress.parse("10.0.0.254");
  const route = { gateway, mtu: 1400, hopLimit: 7, dscp: 46 };
  add("0.0.0.0/0", route);
  const path = host.stack.path(FAR)!;
  assert.equal(path.mtu, 1400);
  const sent = (trafficClass: number, hopLimit: number) => {
    path.send(filled(path.reserve(), 4), 253, trafficClass, hopLimit);
    const [frame] = host.device.take();
    return [frame!.bytes[15], frame!.bytes[22]];
  };
  assert.deepEqual(sent(0, 0), [46 << 2, 7]);
  assert.deepEqual(sent(2, 0), [46 << 2 | 2, 7], "ECN is its own matter");
  assert.deepEqual(sent(8 << 2, 9), [8 << 2, 9]);
  path.learnMtu(1300);
  host.stack.replaceRoute({
    ...route,
    destination: Cidr.parse("0.0.0.0/0"),
    interface: host.interface,
    mtu: 1200,
    dscp: 0,
  });
  assert.equal(host.stack.routes.size, 3);
  assert.deepEqual(sent(0, 0), [0, 7]);
  assert.equal(path.mtu, 1200);
});

Deno.test("Stack.path() finds no way where a route leads nowhere, though a wider one leads on", () => {
  const { host, add } = multihomed();
  add("0.0.0.0/0", { gateway: IpAddress.parse("10.0.0.254") });
  const path = host.stack.path(FAR)!;
  for (const kind of [RouteKind.Unreachable, RouteKind.Blackhole, RouteKind.Prohibit]) {
    const wall = host.stack.addRoute({ destination: Cidr.parse("192.0.2.0/24"), kind });
    assert.equal(String(wall), `${RouteKind[kind].toLowerCase()} 192.0.2.0/24`);
    assert.equal(host.stack.path(FAR), null);
    assert.equal(path.reserve(), null);
    host.stack.removeRoute(wall);
    assert.equal(host.stack.path(FAR), path);
  }
});
