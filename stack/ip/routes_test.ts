import assert from "node:assert/strict";
import fc from "fast-check";
import type { StackError } from "../errors.ts";
import type { Interface } from "../link/interface.ts";
import { Cidr, IpAddress } from "./address.ts";
import { Route, RouteTable } from "./routes.ts";

const eth0 = { name: "eth0" } as Interface, eth1 = { name: "eth1" } as Interface;
const parse = (destination: string, gateway?: string, metric = 0, by = eth0) =>
  new Route({
    destination: Cidr.parse(destination),
    ...(gateway === undefined ? {} : { gateway: IpAddress.parse(gateway) }),
    interface: by,
    metric,
  });

Deno.test("RouteTable.lookup() takes the longest prefix, then the smallest metric", () => {
  const table = new RouteTable(100);
  for (
    const route of [
      parse("0.0.0.0/0", "10.0.0.1", 5),
      parse("10.1.0.0/16"),
      parse("0.0.0.0/0", "10.0.0.2", 1, eth1),
      parse("10.1.2.3/32", "10.0.0.9"),
    ]
  ) table.add(route);
  const via = (text: string, by: Interface | null = null) => String(table.lookup(IpAddress.parse(text), by));
  assert.equal(via("10.1.2.3"), "10.1.2.3/32 via 10.0.0.9 dev eth0");
  assert.equal(via("10.1.2.4"), "10.1.0.0/16 dev eth0");
  assert.equal(via("10.2.0.0"), "0.0.0.0/0 via 10.0.0.2 dev eth1");
  assert.equal(via("10.2.0.0", eth0), "0.0.0.0/0 via 10.0.0.1 dev eth0");
  assert.equal(via("2001:db8::1"), "null");
});

Deno.test("RouteTable.lookup() gives what looking at every route gives", () => {
  const prefix = fc.record({
    word: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
    length: fc.nat(32),
    metric: fc.nat(3),
  });
  fc.assert(fc.property(fc.array(prefix, { maxLength: 30 }), fc.nat(29), (prefixes, pick) => {
    const table = new RouteTable(100);
    const routes = prefixes.map(({ word, length, metric }) =>
      new Route({ destination: new Cidr(IpAddress.v4(word), length), interface: eth0, metric })
    );
    routes.forEach((route) => table.add(route));
    const target = IpAddress.v4((prefixes[pick]?.word ?? 0) ^ 1);
    const fits = routes.filter((route) => route.destination.contains(target));
    const best = table.lookup(target, null);
    assert.equal(best === null, fits.length === 0);
    for (const route of fits) {
      assert.ok(
        best!.destination.prefix > route.destination.prefix ||
          (best!.destination.prefix === route.destination.prefix && best!.metric <= route.metric),
      );
    }
  }));
});

Deno.test("Route refuses a gateway that can't be one", () => {
  assert.throws(() => parse("0.0.0.0/0", "fe80::1"), TypeError);
  assert.throws(() => parse("0.0.0.0/0", "224.0.0.1"), TypeError);
  assert.throws(() => parse("0.0.0.0/0", "0.0.0.0"), TypeError);
});

Deno.test("RouteTable.add() refuses when it is full", () => {
  const table = new RouteTable(1);
  const route = parse("10.0.0.0/8");
  table.add(route);
  assert.throws(() => table.add(parse("11.0.0.0/8")), (error: StackError) => error.code === "TooMany");
  assert.equal(table.remove(route), true);
  assert.equal(table.remove(route), false);
});
