import assert from "node:assert/strict";
import fc from "fast-check";
import type { StackError } from "../errors.ts";
import type { Interface } from "../link/interface.ts";
import { Cidr, IpAddress } from "./address.ts";
import { Route, RouteKind, RouteTable } from "./routes.ts";

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

Deno.test("RouteTable gives what looking at every route gives, through any changes and for both versions", () => {
  const words = [0, 0x0a000000, 0x0a010000, 0x0a010203, -1, 0x20010db8];
  const address = fc.record({ v6: fc.boolean(), pick: fc.nat(5), flip: fc.nat(31), low: fc.nat(5) })
    .map(({ v6, pick, flip, low }) => {
      const word = words[pick]! ^ 1 << flip;
      return v6 ? IpAddress.v6(word, words[low]!, 0, words[low]!) : IpAddress.v4(word);
    });
  const cidr = fc.tuple(address, fc.nat(128)).map(([one, length]) =>
    new Cidr(one, one.version === 4 ? length % 33 : length)
  );
  const route = fc.record({
    destination: cidr,
    from: fc.option(cidr, { nil: undefined }),
    metric: fc.nat(2),
    by: fc.constantFrom(eth0, eth1),
    kind: fc.constantFrom(RouteKind.Unicast, RouteKind.Unicast, RouteKind.Prohibit),
  });
  const steps = fc.array(fc.oneof(route, fc.nat(50)), { maxLength: 40 });
  fc.assert(fc.property(steps, fc.array(fc.tuple(address, address), { maxLength: 8 }), (steps, asked) => {
    const table = new RouteTable(100);
    let oracle: Route[] = [];
    for (const step of steps) {
      if (typeof step === "number") {
        const gone = oracle[step % (oracle.length || 1)];
        if (gone === undefined) continue;
        assert.equal(table.remove(gone), true);
        oracle = oracle.filter((other) => other !== gone);
        continue;
      }
      const { destination, from, metric, by, kind } = step;
      const same = from?.address.version === destination.address.version;
      const added = new Route({ destination, metric, interface: by, kind, ...(same ? { from: from! } : {}) });
      table.add(added);
      oracle.push(added);
    }
    assert.equal(table.size, oracle.length);
    const targets = [...asked];
    for (const { destination } of oracle) {
      for (const { from } of oracle) targets.push([destination.address, (from ?? destination).address]);
    }
    for (const [target, source] of targets) {
      for (const by of [null, eth0]) {
        assert.equal(table.lookup(target, by, source), naive(oracle, target, by, source));
      }
      assert.equal(table.lookup(target, null), naive(oracle, target, null, null));
      if (target.version !== source.version) continue;
      const best = naive(oracle, target, null, source);
      if (target.version === 4) assert.equal(table.lookupV4(target.d, source.d), best);
      else {
        const view = new DataView(new ArrayBuffer(32));
        target.write(view, 0);
        source.write(view, 16);
        assert.equal(table.lookupV6(view, 0, 16), best);
      }
    }
    for (const found of oracle) assert.ok(table.to(found.destination).includes(found));
    table.removeWhere((one) => one.interface === eth0);
    assert.ok(table.routes.every((one) => one.interface === eth1));
  }));
});

/** The first of the routes that fit, in the order in which they are to be tried. */
function naive(routes: Route[], to: IpAddress, by: Interface | null, source: IpAddress | null): Route | null {
  let best: Route | null = null;
  for (const route of routes) {
    if (!route.destination.contains(to) || (by !== null && route.leads && route.interface !== by)) continue;
    if (route.from !== null && (source === null || !route.from.contains(source))) continue;
    const longer = route.destination.prefix - (best?.destination.prefix ?? -1);
    if (best === null || longer > 0 || (longer === 0 && route.precedes(best))) best = route;
  }
  return best;
}

Deno.test("RouteTable lets the next best take over when a route goes", () => {
  const table = new RouteTable(10);
  const best = parse("10.0.0.0/8", "10.0.0.1", 1), second = parse("10.0.0.0/8", "10.0.0.2", 2);
  const wide = parse("0.0.0.0/0", "10.0.0.3");
  for (const route of [second, wide, best]) table.add(route);
  const to = IpAddress.parse("10.1.1.1");
  for (const expected of [best, second, wide]) {
    assert.equal(table.lookup(to, null), expected);
    table.remove(expected);
  }
  assert.equal(table.lookup(to, null), null);
});

Deno.test("Route refuses a gateway that can't be one", () => {
  assert.throws(() => parse("0.0.0.0/0", "fe80::1"), TypeError);
  assert.throws(() => parse("0.0.0.0/0", "224.0.0.1"), TypeError);
  assert.throws(() => parse("0.0.0.0/0", "0.0.0.0"), TypeError);
  assert.throws(() => parse("0.0.0.0/0", "10.0.0.1", -1), RangeError);
  const destination = Cidr.parse("10.0.0.0/8");
  assert.throws(() => new Route({ destination }), TypeError);
  assert.throws(() => new Route({ destination, interface: eth0, from: Cidr.parse("fd00::/8") }), TypeError);
  for (const wrong of [{ mtu: 67 }, { mtu: 65536 }, { hopLimit: 256 }, { dscp: 64 }]) {
    assert.throws(() => new Route({ destination, interface: eth0, ...wrong }), RangeError);
  }
});

Deno.test("RouteTable.add() refuses when it is full", () => {
  const table = new RouteTable(1);
  const route = parse("10.0.0.0/8");
  table.add(route);
  assert.throws(() => table.add(parse("11.0.0.0/8")), (error: StackError) => error.code === "TooMany");
  assert.equal(table.remove(route), true);
  assert.equal(table.remove(route), false);
});
