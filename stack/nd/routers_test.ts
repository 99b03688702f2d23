import assert from "node:assert/strict";
import { IpAddress } from "../ip/address.ts";
import { AddressOrigin, AddressState } from "../ip/own_address.ts";
import {
  advertise,
  linkHost as host,
  passUntil as pass,
  prefixOption as prefix,
  word,
} from "../testing/advertisement.ts";
import { bytesOf, describeV6, icmpv6Frame, linkOption } from "../testing/frames_v6.ts";
import { Host } from "../testing/pair.ts";

const SECOND = 1_000_000;
const FAR = IpAddress.parse("2001:db8:ffff::1");

function addresses(made: Host): string[] {
  return made.interface.addresses.map(String);
}

Deno.test("RouterDiscovery asks three times, and not after an answer", () => {
  const asked = (answered: boolean) => {
    const made = new Host(1, "", {}, {}, true);
    let count = 0;
    for (let now = 0; now < 20 * SECOND; now += SECOND / 10) {
      made.stack.poll(now);
      for (const { bytes } of made.device.take()) {
        if (!describeV6(bytes).endsWith("router?")) continue;
        count++;
        if (answered) advertise(made, {});
      }
    }
    return count;
  };
  assert.deepEqual([asked(false), asked(true)], [3, 1]);
});

Deno.test("RouterDiscovery makes an address of a prefix, and a way out by the router", () => {
  const made = host();
  assert.equal(made.stack.path(FAR), null);
  advertise(made, {
    hopLimit: 33,
    options: [...prefix("2001:db8::", 86400, 14400), 5, 1, 0, 0, ...word(1400)],
  });
  assert.deepEqual(addresses(made), ["fe80::ff:fe00:1/64", "2001:db8::ff:fe00:1/64"]);
  const path = made.stack.path(FAR)!;
  assert.equal(String(path.source), "2001:db8::ff:fe00:1");
  assert.equal(path.mtu, 1400);
  assert.equal(made.interface.nd!.hopLimit, 33);
  const packet = path.reserve()!;
  packet.end = packet.offset + 8;
  path.send(packet, 17, 0, 0);
  const sent = made.device.take().map(({ bytes }) => bytes);
  const last = sent[sent.length - 1]!;
  assert.deepEqual(
    [...last.subarray(0, 6)],
    [2, 0, 0, 0, 0, 2],
    "the router's link address is known already",
  );
  assert.equal(last[21], 33);
  assert.deepEqual(made.interface.nd!.routers.prefixes.map(String), ["2001:db8::/64"]);
});

Deno.test("RouterDiscovery lets addresses grow old, and does not let a liar take them away at once", () => {
  const made = host();
  advertise(made, { options: prefix("2001:db8::", 100_000, 100) });
  pass(made, 10);
  const own = made.interface.nd!.addresses[1]!;
  assert.equal(own.state, AddressState.Preferred);
  pass(made, 110);
  assert.equal(own.state, AddressState.Deprecated);
  assert.equal(made.stack.isLocal(own.address), true);
  advertise(made, { options: prefix("2001:db8::", 100_000, 50) });
  assert.equal(own.state, AddressState.Preferred);
  advertise(made, { options: prefix("2001:db8::", 100_000, 0) });
  assert.equal(own.state, AddressState.Deprecated, "at once, since a router says so");
  // Less than two hours leaves two hours (RFC 4862, section 5.5.3).
  advertise(made, { options: prefix("2001:db8::", 1, 1) });
  assert.equal(own.validUntil, made.stack.now + 7200 * SECOND);
  pass(made, 110 + 7201);
  assert.deepEqual(addresses(made), ["fe80::ff:fe00:1/64"]);
});

Deno.test("RouterDiscovery forgets routers when their time is over, when they say so, or are no routers any more", () => {
  const made = host();
  const source = { options: prefix("2001:db8::", 86400, 86400) };
  advertise(made, { ...source, lifetime: 30 });
  const path = made.stack.path(FAR)!;
  pass(made, 40);
  assert.equal(made.stack.path(FAR), null);
  advertise(made, { lifetime: 30 });
  assert.equal(made.stack.path(FAR), path);
  advertise(made, { lifetime: 0 });
  assert.equal(made.stack.path(FAR), null);
  advertise(made, { lifetime: 30 });
  made.device.deliver(
    made.interface,
    icmpv6Frame(136, 0, [0x20, 0, 0, 0, ...bytesOf("fe80::2"), ...linkOption(2, 2)], {
      source: "fe80::2",
      destination: "ff02::1",
      hopLimit: 255,
    }),
  );
  assert.deepEqual(made.interface.nd!.routers.routers, []);
});

Deno.test("RouterDiscovery prefers better routers, goes by others when one is silent, and takes special routes", () => {
  const made = host();
  advertise(made, { options: prefix("2001:db8::", 86400, 86400) });
  advertise(made, { source: "fe80::3", from: 3, flags: 0x08 });
  advertise(made, {
    source: "fe80::4",
    from: 4,
    flags: 0x18,
    options: [24, 2, 48, 0, ...word(600), ...bytesOf("2001:db8:7::").slice(0, 8)],
  });
  const hop = (to: string) =>
    String(made.stack.routes.lookup(IpAddress.parse(to), made.interface)?.gateway ?? "on the link");
  assert.equal(hop("2001:db8:ffff::1"), "fe80::3");
  assert.equal(hop("2001:db8:7::1"), "fe80::4");
  assert.equal(hop("2001:db8::1"), "on the link");
  made.interface.nd!.routers.unreachable(IpAddress.parse("fe80::3"));
  assert.equal(hop("2001:db8:ffff::1"), "fe80::2");
  advertise(made, { source: "fe80::3", from: 3, flags: 0x08 });
  assert.equal(hop("2001:db8:ffff::1"), "fe80::3");
});

Deno.test("RouterDiscovery has packets come from a prefix that their router has told, though another is nearer (RFC 6724, 5.5)", () => {
  const made = host({}, { temporary: true });
  const near = IpAddress.parse("2001:db8:2:ffff::1");
  const source = () => String(made.stack.path(near)?.source).slice(0, 11);
  const second = { source: "fe80::3", from: 3, options: prefix("2001:db8:2::", 86400, 86400) };
  advertise(made, second);
  pass(made, 10);
  assert.equal(source(), "2001:db8:2:");
  // A better router, which takes its own addresses alone: the other's provider would drop them.
  advertise(made, { flags: 0x08, options: prefix("2001:db8:1::", 86400, 86400) });
  pass(made, 20);
  assert.equal(source(), "2001:db8:1:");
  assert.equal(
    made.interface.nd!.addresses.find(({ address }) => address.equals(made.stack.path(near)!.source))?.origin,
    AddressOrigin.Temporary,
  );
  // It ends: the first one's way, and address.
  advertise(made, { lifetime: 0, flags: 0x08 });
  assert.equal(source(), "2001:db8:2:");
  // Both tell both: the nearer.
  advertise(made, { flags: 0x08, options: prefix("2001:db8:2::", 86400, 86400) });
  assert.equal(source(), "2001:db8:2:");
});

Deno.test("RouterDiscovery keeps name servers and search domains as long as they are good", () => {
  const made = host();
  const domain = [..."\x03lan\x07example\x00"].map((char) => char.charCodeAt(0));
  const options = [
    ...[25, 5, 0, 0, ...word(60), ...bytesOf("2001:db8::53"), ...bytesOf("2001:db8::54")],
    ...[31, 3, 0, 0, ...word(30), ...domain, 0, 0, 0],
  ];
  advertise(made, { options });
  const { routers } = made.interface.nd!;
  assert.deepEqual(routers.nameServers.map(({ value }) => String(value)), ["2001:db8::53", "2001:db8::54"]);
  assert.deepEqual(routers.searchDomains.map(({ value }) => value), ["lan.example"]);
  pass(made, 40);
  assert.equal(routers.searchDomains.length, 0);
  pass(made, 70);
  assert.equal(routers.nameServers.length, 0);
});

Deno.test("RouterDiscovery is not flooded: 100,000 routers, prefixes, routes and servers leave a bounded rest, and the first in force", () => {
  const made = host({ routers: 4, prefixes: 5, addresses: 6, nameServers: 3 });
  advertise(made, { options: prefix("2001:db8:ffff:1::", 86400, 86400) });
  pass(made, 10);
  made.device.take();
  for (let i = 0; i < 100_000; i++) {
    const name = `${(i >> 8).toString(16)}:${(i & 255).toString(16)}`;
    advertise(made, {
      source: `fe80::1:${name}`,
      options: [
        ...prefix(`2001:db8:${name}::`, 86400, 86400),
        ...[24, 2, 48, 8, ...word(600), ...bytesOf(`2001:db8:${name}::`).slice(0, 8)],
        ...[25, 3, 0, 0, ...word(60), ...bytesOf(`2001:db8::${name}`)],
      ],
    });
  }
  const { routers, counters } = made.interface.nd!;
  assert.deepEqual([routers.routers.length, routers.prefixes.length, routers.nameServers.length], [4, 5, 3]);
  assert.equal(made.interface.addresses.length, 6);
  // 4 default routers, 5 prefixes of the link and 5 other routes.
  assert.equal(made.stack.routes.routes.length, 14);
  assert.ok(counters.refused > 390_000);
  // What was there first still carries.
  const path = made.stack.path(FAR)!;
  assert.equal(String(path.source), "2001:db8:ffff:1:0:ff:fe00:1");
  const packet = path.reserve()!;
  packet.end = packet.offset + 8;
  path.send(packet, 17, 0, 0);
  assert.deepEqual([...made.device.take().at(-1)!.bytes.subarray(0, 6)], [2, 0, 0, 0, 0, 2]);
});

Deno.test("RouterDiscovery ignores advertisements from off the link and prefixes that make no sense", () => {
  const made = host();
  advertise(made, { source: "2001:db8::2" });
  assert.equal(made.interface.nd!.counters.dropped.badAddress, 1);
  for (
    const options of [
      prefix("fe80::", 100, 100),
      prefix("ff02::", 100, 100),
      prefix("2001:db8::", 100, 200),
      prefix("2001:db8::", 100, 100, 0xc0, 129),
      prefix("2001:db8::", 100, 100, 0x40, 56),
      [5, 1, 0, 0, ...word(1279)],
      [5, 1, 0, 0, ...word(9000)],
    ]
  ) advertise(made, { options });
  assert.deepEqual(addresses(made), ["fe80::ff:fe00:1/64"]);
  assert.deepEqual(made.interface.nd!.routers.prefixes, []);
  assert.equal(made.interface.nd!.mtu, 1500);
});

Deno.test("Interface.nd takes what routers gave back when the interface is removed", () => {
  const made = host();
  advertise(made, { options: prefix("2001:db8::", 86400, 14400) });
  made.stack.removeInterface(made.interface);
  assert.equal(made.stack.routes.routes.length, 0);
  assert.equal(made.stack.path(FAR), null);
  assert.equal(made.stack.poll(10_000 * SECOND), Infinity);
});
