import assert from "node:assert/strict";
import fc from "fast-check";
import { Cidr, IpAddress } from "./address.ts";

Deno.test("IpAddress.parse() and toString() agree about dotted decimal", () => {
  fc.assert(fc.property(fc.ipV4(), (text) => {
    const address = IpAddress.parse(text);
    assert.equal(String(address), text);
    assert.equal(address.version, 4);
    assert.ok(address.equals(IpAddress.read(4, new DataView(address.toBytes().buffer), 0)));
  }));
});

Deno.test("IpAddress.parse() takes every IPv6 text, and toString() gives the shortest of each address", () => {
  fc.assert(fc.property(fc.ipV6(), (text) => {
    const address = IpAddress.parse(text);
    assert.equal(address.version, 6);
    assert.ok(IpAddress.parse(String(address)).equals(address));
    assert.ok(address.equals(IpAddress.read(6, new DataView(address.toBytes().buffer), 0)));
  }));
});

Deno.test("IpAddress.toString() follows RFC 5952", () => {
  for (
    const [text, canonical] of [
      ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
      ["2001:db8::0:1", "2001:db8::1"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
      ["::", "::"],
      ["::1", "::1"],
      ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
    ]
  ) assert.equal(String(IpAddress.parse(text!)), canonical);
});

Deno.test("IpAddress.tryParse() gives null for what is no address", () => {
  for (
    const text of [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "1.2.3.-4",
      "1.2.3.4 ",
      ":",
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7::8",
      "12345::",
      "g::",
      "::1.2.3",
      "1.2.3.4::",
    ]
  ) assert.equal(IpAddress.tryParse(text), null, text);
  assert.throws(() => IpAddress.parse("host"), /Cannot parse IP address "host"/);
});

Deno.test("IpAddress tells groups, loopback and the unspecified address", () => {
  const is = (text: string) => {
    const { isMulticast, isLoopback, isUnspecified } = IpAddress.parse(text);
    return [isMulticast, isLoopback, isUnspecified].map(Number).join("");
  };
  for (const text of ["224.0.0.0", "239.255.255.255", "ff02::1"]) assert.equal(is(text), "100", text);
  for (const text of ["127.0.0.1", "127.255.0.3", "::1"]) assert.equal(is(text), "010", text);
  for (const text of ["0.0.0.0", "::"]) assert.equal(is(text), "001", text);
  for (const text of ["223.255.255.255", "240.0.0.0", "126.0.0.1", "1::", "::ffff:0.0.0.0"]) {
    assert.equal(is(text), "000", text);
  }
});

Deno.test("Cidr.contains() compares the bits of the prefix", () => {
  const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  fc.assert(fc.property(word, word, fc.nat(32), (a, b, prefix) => {
    const bits = (value: number) => (value >>> 0).toString(2).padStart(32, "0").slice(0, prefix);
    assert.equal(new Cidr(IpAddress.v4(a), prefix).contains(IpAddress.v4(b)), bits(a) === bits(b));
    const near = a ^ (prefix === 0 ? b : b >>> prefix & (prefix === 32 ? 0 : -1));
    assert.equal(new Cidr(IpAddress.v4(a), prefix).contains(IpAddress.v4(near)), bits(a) === bits(near));
  }));
  const six = Cidr.parse("2001:db8:8000::/33");
  assert.equal(six.contains(IpAddress.parse("2001:db8:ffff::1")), true);
  assert.equal(six.contains(IpAddress.parse("2001:db8:7fff::1")), false);
  assert.equal(six.contains(IpAddress.parse("1.2.3.4")), false);
  assert.equal(String(Cidr.parse("2001:db8:ffff::1/33").network), "2001:db8:8000::/33");
});

Deno.test("Cidr knows its network and its broadcast address", () => {
  const of = (text: string) => `${Cidr.parse(text).network} ${Cidr.parse(text).broadcast}`;
  assert.equal(of("10.1.2.3/24"), "10.1.2.0/24 10.1.2.255");
  assert.equal(of("10.1.2.3/0"), "0.0.0.0/0 255.255.255.255");
  assert.equal(of("10.1.2.3/31"), "10.1.2.2/31 null");
  assert.equal(of("10.1.2.3"), "10.1.2.3/32 null");
  assert.equal(of("fe80::1/64"), "fe80::/64 null");
});

Deno.test("Cidr.parse() says what is wrong", () => {
  for (const text of ["10.0.0.1/", "10.0.0/8", "10.0.0.1/08", "/8", "10.0.0.1/a"]) {
    assert.throws(() => Cidr.parse(text), TypeError, text);
  }
  assert.throws(() => Cidr.parse("10.0.0.1/33"), /"10\.0\.0\.1\/33": .* from 0 to 32/);
  assert.throws(() => Cidr.parse("::/129"), RangeError);
});
