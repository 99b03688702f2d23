import assert from "node:assert/strict";
import { Cidr, IpAddress } from "../ip/address.ts";
import { bytesOf, checksumOkV6, icmpv6Frame, linkOption } from "../testing/frames_v6.ts";
import { Host, Pair } from "../testing/pair.ts";
import type { AdvertiseOptions } from "./advertisement.ts";

const SECOND = 1_000_000;
const FAR = IpAddress.parse("2001:db8:ffff::1");
const PREFIX = Cidr.parse("2001:db8:1::/64");

/** A router with the addresses fe80::ff:fe00:1 and 2001:db8:1::1 whose link-local address is sure. */
function router(options: AdvertiseOptions = {}, forwarding = true): Host {
  const made = new Host(1, "2001:db8:1::1/64", {}, { forwarding }, { routers: false, advertise: options });
  for (let now = 0; now < 4 * SECOND; now += SECOND / 10) made.stack.poll(now);
  return made;
}

/** The advertisements among what was sent: their bytes from the ICMPv6 header on. */
function advertised(made: Host): Uint8Array[] {
  return made.device.take().map(({ bytes }) => bytes).filter((bytes) => bytes[20] === 58 && bytes[54] === 134)
    .map((bytes) => {
      assert.equal(checksumOkV6(bytes), true);
      assert.equal(bytes[21], 255);
      assert.deepEqual([...bytes.subarray(0, 6)], [0x33, 0x33, 0, 0, 0, 1]);
      return bytes.subarray(54);
    });
}

/** Lets time pass, and notes when advertisements leave, in seconds. */
function times(made: Host, until: number, each: () => void = () => {}): number[] {
  const list: number[] = [];
  for (let now = made.stack.now; now < until * SECOND; now += SECOND / 10) {
    each();
    made.stack.poll(now);
    if (advertised(made).length > 0) list.push(now / SECOND);
  }
  return list;
}

function ask(made: Host, options: number[] = linkOption(1, 9), source = "fe80::9"): void {
  made.device.deliver(
    made.interface,
    icmpv6Frame(133, 0, [0, 0, 0, 0, ...options], { source, from: 9, destination: "ff02::2", hopLimit: 255 }),
  );
}

Deno.test("RouterAdvertiser tells a host all that it needs, and the host takes it", () => {
  const pair = new Pair({}, {}, ["2001:db8:1::1/64", ""], true);
  const [here, there] = [pair.a.interface, pair.b.interface];
  here.forwarding = true;
  here.nd!.advertiser.start({
    mtu: 1400,
    hopLimit: 33,
    managed: true,
    otherConfiguration: true,
    prefixes: [
      { prefix: PREFIX },
      { prefix: Cidr.parse("2001:db8:2::/64"), validLifetime: Infinity, preferredLifetime: 0 },
      { prefix: Cidr.parse("2001:db8:3::/48"), autonomous: false },
    ],
    routes: [
      { destination: Cidr.parse("2001:db8:9900::/40"), preference: "high" },
      { destination: Cidr.parse("2001:db8:0:0:7::/80") },
    ],
    nameServers: [IpAddress.parse("2001:db8:1::53"), IpAddress.parse("2001:db8:1::54")],
    searchDomains: ["lan.example", "Example."],
  });
  pair.pass(30 * SECOND);
  const { nd, stack } = { nd: there.nd!, stack: pair.b.stack };
  assert.deepEqual(nd.routers.routers.map(String), ["fe80::ff:fe00:1"]);
  assert.deepEqual(nd.routers.prefixes.map(String), [
    "2001:db8:1::/64",
    "2001:db8:2::/64",
    "2001:db8:3::/48",
  ]);
  assert.deepEqual(nd.routers.nameServers.map(({ value }) => `${value}`), [
    "2001:db8:1::53",
    "2001:db8:1::54",
  ]);
  assert.deepEqual(nd.routers.searchDomains.map(({ value }) => value), ["lan.example", "example"]);
  assert.deepEqual([nd.routers.managed, nd.routers.otherConfiguration, nd.mtu, nd.hopLimit], [
    true,
    true,
    1400,
    33,
  ]);
  assert.equal(String(stack.path(FAR)?.source), "2001:db8:1::ff:fe00:2", "the other prefix is deprecated");
  const routes = stack.routes.routes.map(({ destination, metric }) => `${destination} ${metric}`);
  assert.ok(
    routes.includes("2001:db8:9900::/40 1023") && routes.includes("2001:db8:0:0:7::/80 1024"),
    `${routes}`,
  );
  here.nd!.advertiser.stop();
  pair.run();
  assert.deepEqual(nd.routers.routers, []);
  assert.equal(stack.path(FAR), null);
  assert.equal(here.nd!.advertiser.active, false);
});

Deno.test("RouterAdvertiser tells the networks of its own addresses unless told otherwise", () => {
  const made = router();
  const [first] = advertised(made);
  assert.equal(new DataView(first!.buffer, first!.byteOffset).getUint16(6), 1800);
  assert.deepEqual([...first!.subarray(16, 20)], [3, 4, 64, 0xc0]);
  assert.deepEqual([...first!.subarray(32, 48)], bytesOf("2001:db8:1::"));
  assert.deepEqual([...first!.subarray(48)], [1, 1, 2, 0, 0, 0, 0, 1]);
});

Deno.test("RouterAdvertiser begins three times in soon succession, and then keeps to its interval", () => {
  const made = router({ interval: 300 });
  advertised(made);
  const list = times(made, 3000);
  const gaps = list.map((time, i) => time - (i === 0 ? 2 : list[i - 1]!));
  assert.ok(gaps[0]! < 18 && gaps[1]! < 17, gaps.join(", "));
  for (const gap of gaps.slice(2)) assert.ok(gap >= 99.8 && gap <= 300.2, `${gap} s`);
  assert.ok(gaps.length > 10 && gaps.length < 34);
});

Deno.test("RouterAdvertiser answers within half a second, all who ask at once, and no flood more than every three seconds", () => {
  const made = router({ interval: 1800 });
  times(made, 60);
  ask(made);
  ask(made, [], "::");
  ask(made, linkOption(1, 7), "fe80::7");
  const [answer, ...more] = times(made, 70);
  assert.ok(answer! <= 60.6, `${answer}`);
  assert.deepEqual(more, []);
  assert.equal(made.interface.nd!.neighbours.find(IpAddress.parse("fe80::7"))?.macLow, 7);
  const flood = times(made, 130, () => {
    for (let i = 0; i < 20; i++) ask(made);
  });
  assert.ok(flood.length >= 17 && flood.length <= 21, `${flood.length} in a minute`);
});

Deno.test("RouterAdvertiser that does not forward is no default router, and says so when it ends", () => {
  const made = router({}, false);
  const lifetime = () => advertised(made).map((bytes) => bytes[6]! << 8 | bytes[7]!);
  assert.deepEqual(lifetime(), [0]);
  made.interface.forwarding = true;
  ask(made);
  for (let i = 0; i < 40; i++) made.stack.poll(made.stack.now + SECOND / 10);
  assert.deepEqual(lifetime(), [1800]);
  made.stack.removeInterface(made.interface);
  assert.deepEqual(lifetime(), [0]);
  made.stack.poll(made.stack.now + 3600 * SECOND);
  assert.deepEqual(lifetime(), []);
  const quiet = new Host(1, "fd00::1/64", {}, {}, true);
  assert.deepEqual(times(quiet, 10, () => ask(quiet)), []);
});

Deno.test("RouterAdvertiser drops questions that break the rules", () => {
  const made = router({ interval: 1800 });
  times(made, 60);
  const { dropped } = made.interface.nd!.counters;
  ask(made, linkOption(1, 9), "::");
  ask(made, [1, 1, 0x33, 0, 0, 0, 0, 1]);
  assert.equal(dropped.badAddress, 2);
  ask(made, [1, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(dropped.malformed, 1);
  assert.deepEqual(times(made, 90), []);
});

Deno.test("RouterAdvertiser.start() refuses what can't be told, and goes on with what it told", () => {
  const made = router();
  const { advertiser } = made.interface.nd!;
  for (
    const options of [
      { interval: 3 },
      { interval: 1801 },
      { lifetime: 5 },
      { lifetime: 9001 },
      { mtu: 1279 },
      { mtu: 1501 },
      { hopLimit: 256 },
      { prefixes: [{ prefix: PREFIX, validLifetime: 10, preferredLifetime: 11 }] },
      { prefixes: [{ prefix: PREFIX, validLifetime: -1 }] },
      { prefixes: Array.from({ length: 40 }, () => ({ prefix: PREFIX })) },
      { searchDomains: ["a b"] },
      { searchDomains: ["a..b"] },
      { searchDomains: [`${"a".repeat(60)}.`.repeat(5)] },
    ]
  ) assert.throws(() => advertiser.start(options), RangeError, JSON.stringify(options));
  assert.equal(advertiser.active, true);
});
