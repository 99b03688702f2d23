import assert from "node:assert/strict";
import fc from "fast-check";
import type { Packet } from "../packet.ts";
import { Host } from "../testing/pair.ts";
import { Cidr, IpAddress } from "./address.ts";
import type { Ipv4Path } from "./ipv4_path.ts";
import { type Route, RouteKind, type RouteOptions } from "./routes.ts";

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

Deno.test("Paths follow every change of routes, as if each had been made anew", () => {
  const targets = ["192.0.2.1", "192.0.2.129", "10.9.0.1", "10.0.0.9"].map((text) => IpAddress.parse(text));
  const route = fc.record({
    destination: fc.constantFrom("0.0.0.0/0", "192.0.2.0/24", "192.0.2.128/25", "10.0.0.0/8", "192.0.2.1/32"),
    gateway: fc.constantFrom("10.0.0.254", "10.1.0.254", "10.0.0.77"),
    metric: fc.nat(2),
    mtu: fc.constantFrom(0, 600, 1400),
    from: fc.constantFrom(undefined, "10.1.0.0/24", "10.0.0.1/32"),
    kind: fc.constantFrom(RouteKind.Unicast, RouteKind.Unicast, RouteKind.Blackhole),
  });
  const steps = fc.array(fc.oneof(route, fc.nat(20)), { minLength: 1, maxLength: 15 });
  fc.assert(fc.property(steps, fc.nat(1400), (steps, learned) => {
    const { host } = multihomed();
    const { stack } = host;
    const made: Route[] = [];
    for (const step of steps) {
      if (typeof step === "number") {
        const gone = made.splice(step % (made.length || 1), 1)[0];
        if (gone !== undefined) stack.removeRoute(gone);
      } else {
        const { destination, gateway, from, ...rest } = step;
        const options = {
          ...rest,
          destination: Cidr.parse(destination),
          ...(step.kind === RouteKind.Unicast
            ? { gateway: IpAddress.parse(gateway), interface: host.interface }
            : {}),
          ...(from === undefined ? {} : { from: Cidr.parse(from) }),
        };
        made.push(stack.addRoute(options));
      }
      for (const target of targets) {
        for (const { address: source } of host.interface.addresses) {
          const best = stack.routes.lookup(target, null, source);
          const path = stack.path(target, source) as Ipv4Path | null;
          assert.equal(path !== null, best !== null && best.leads, `${target} from ${source}: ${best}`);
          if (path === null) continue;
          assert.ok(path.hop.equals(best!.gateway ?? target));
          const most = best!.mtu === 0 ? 1500 : best!.mtu;
          assert.ok(path.mtu <= most);
          // What was learned holds on until the way out is another.
          if (learned >= 552) path.learnMtu(learned);
          assert.equal(path.mtu, learned >= 552 ? Math.min(most, learned) : most);
        }
      }
    }
  }));
});
