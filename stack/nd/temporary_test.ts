import assert from "node:assert/strict";
import { IpAddress } from "../ip/address.ts";
import { AddressOrigin, AddressState, type OwnAddress } from "../ip/own_address.ts";
import { advertise, linkHost, passUntil, prefixOption } from "../testing/advertisement.ts";
import { bytesOf, icmpv6Frame, linkOption } from "../testing/frames_v6.ts";
import type { Host } from "../testing/pair.ts";

const FAR = IpAddress.parse("2001:db8:ffff::1");
const STABLE = "2001:db8::ff:fe00:1";
const DAY = 86_400;

const temporary = (made: Host): OwnAddress[] =>
  made.interface.nd!.addresses.filter(({ origin }) => origin === AddressOrigin.Temporary);
const source = (made: Host) => String(made.stack.path(FAR)?.source);
const tell = (made: Host, valid: number, preferred: number, prefix = "2001:db8::") =>
  advertise(made, { lifetime: 9000, options: prefixOption(prefix, valid, preferred) });

Deno.test("TemporaryAddresses makes an address of chance beside the stable one, and takes it for what it begins", () => {
  const made = linkHost({}, { temporary: true });
  tell(made, 30 * DAY, 7 * DAY);
  const [own, ...others] = temporary(made);
  assert.equal(others.length, 0);
  assert.equal(own!.address.a, 0x20010db8);
  assert.notEqual(String(own!.address), STABLE);
  assert.equal(own!.validUntil, made.stack.now + 2 * DAY * 1e6);
  const preferred = (own!.preferredUntil - made.stack.now) / 1e6;
  assert.ok(preferred > 0.6 * DAY && preferred <= DAY, `${preferred} s`);
  assert.equal(made.stack.isLocal(IpAddress.parse(STABLE)), true);
  passUntil(made, 10);
  assert.equal(own!.state, AddressState.Preferred);
  assert.equal(source(made), String(own!.address));
  // Two hosts, or two starts, have nothing in common.
  const other = linkHost({}, { temporary: true });
  other.stack.random();
  tell(other, 30 * DAY, 7 * DAY);
  assert.notEqual(String(temporary(other)[0]!.address), String(own!.address));
});

Deno.test("TemporaryAddresses makes none unless told so, and conversations take others when told so", () => {
  const plain = linkHost();
  tell(plain, DAY, DAY);
  assert.equal(temporary(plain).length, 0);
  const made = linkHost({}, { temporary: { prefer: false } });
  tell(made, DAY, DAY);
  passUntil(made, 10);
  assert.equal(temporary(made).length, 1);
  assert.equal(source(made), STABLE);
});

Deno.test("TemporaryAddresses makes the next address before one is over, and takes old ones away", () => {
  const made = linkHost({}, { temporary: { preferredLifetime: 100, validLifetime: 200 } });
  tell(made, DAY, DAY);
  const seen = new Set<string>();
  for (let at = 10; at < 3600; at++) {
    passUntil(made, at);
    if (at % 600 === 0) tell(made, DAY, DAY);
    const all = temporary(made);
    // One more only while it takes over: 5 seconds of at least 60.
    assert.ok(all.length <= 5, `${all.length} addresses`);
    assert.ok(all.some(({ state }) => state === AddressState.Preferred), `at ${at} s`);
    const used = all.find(({ address }) => String(address) === source(made));
    assert.equal(used?.state, AddressState.Preferred, `at ${at} s`);
    for (const { address } of all) seen.add(String(address));
  }
  assert.ok(seen.size > 30 && seen.size < 70, `${seen.size} addresses in an hour`);
});

Deno.test("TemporaryAddresses lets an address live no longer than its prefix, nor longer than itself", () => {
  const made = linkHost({}, { temporary: true });
  tell(made, 600, 300);
  passUntil(made, 10);
  const [own] = temporary(made);
  assert.equal(own!.preferredUntil, 303 * 1e6 - 100_000, "as the stable one");
  const limit = own!.preferredLimit;
  tell(made, 30 * DAY, 30 * DAY);
  assert.equal(own!.preferredUntil, limit);
  assert.equal(own!.validUntil, own!.validLimit);
  // The network is renumbered: a router deprecates the old prefix and tells another.
  tell(made, 7200, 0);
  tell(made, DAY, DAY, "2001:db8:0:1::");
  assert.equal(own!.state, AddressState.Deprecated);
  passUntil(made, 20);
  const next = temporary(made).find(({ state }) => state === AddressState.Preferred);
  assert.equal(next?.address.b, 1);
  assert.equal(source(made), String(next!.address));
  passUntil(made, 7300);
  assert.deepEqual(temporary(made), [next]);
});

Deno.test("TemporaryAddresses makes none of a prefix that is over before an address would be sure", () => {
  const made = linkHost({}, { temporary: true });
  tell(made, 600, 4);
  assert.equal(temporary(made).length, 0);
  tell(made, 600, 60);
  assert.equal(temporary(made).length, 1);
  const short = linkHost({}, { temporary: { preferredLifetime: 4, validLifetime: 100 } });
  tell(short, DAY, DAY);
  assert.equal(temporary(short).length, 0);
  assert.throws(() => linkHost({}, { temporary: { preferredLifetime: 0 } }), RangeError);
  assert.throws(() => linkHost({}, { temporary: { preferredLifetime: 9, validLifetime: 5 } }), RangeError);
});

Deno.test("TemporaryAddresses tries four addresses that somebody claims, and no more until the link comes back", () => {
  const made = linkHost({}, { temporary: true });
  tell(made, DAY, DAY);
  const claimed = new Set<string>();
  const claim = () => {
    for (const { address } of temporary(made)) {
      claimed.add(String(address));
      made.device.deliver(
        made.interface,
        icmpv6Frame(136, 0, [0x20, 0, 0, 0, ...bytesOf(String(address)), ...linkOption(2, 9)], {
          source: "fe80::9",
          from: 9,
          destination: "ff02::1",
          hopLimit: 255,
        }),
      );
    }
  };
  for (let i = 0; i < 10; i++) claim();
  tell(made, DAY, DAY);
  for (let i = 0; i < 10; i++) claim();
  assert.equal(claimed.size, 4);
  assert.equal(temporary(made).length, 0);
  passUntil(made, 20);
  assert.equal(source(made), STABLE, "the stable one is still there");
  made.interface.nd!.routers.start(0);
  tell(made, DAY, DAY);
  assert.equal(temporary(made).length, 1);
});

Deno.test("TemporaryAddresses of a flood of prefixes are bounded, and go with the interface", () => {
  const made = linkHost({}, { temporary: true });
  for (let i = 0; i < 1000; i++) tell(made, DAY, DAY, `2001:db8:${i.toString(16)}::`);
  assert.equal(made.interface.nd!.addresses.length, 16);
  made.stack.removeInterface(made.interface);
  made.stack.poll(made.stack.now + DAY * 1e6);
  assert.deepEqual(made.interface.nd!.addresses, []);
});
