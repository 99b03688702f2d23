import assert from "node:assert/strict";
import { Cidr, IpAddress } from "../../stack/ip/address.ts";
import { VirtualLink } from "../testing/virtual_link.ts";
import { type HostAddress, interleave, sortDestinations } from "./destinations.ts";

function hosts(...texts: string[]): HostAddress[] {
  return texts.map((text) => ({ address: IpAddress.parse(text), interface: null }));
}

function texts(list: readonly HostAddress[]): string[] {
  return list.map(({ address }) => `${address}`);
}

/** Sorts for a host with these addresses, which reaches everything. */
function sorted(own: string[], ...destinations: string[]): string[] {
  using link = new VirtualLink();
  const { stack, interface: by } = link.host(own);
  stack.addRoute({ destination: Cidr.parse("0.0.0.0/0"), interface: by });
  if (by.nd !== null) stack.addRoute({ destination: Cidr.parse("::/0"), interface: by });
  return texts(sortDestinations(stack, hosts(...destinations)));
}

Deno.test("sortDestinations() follows the examples of RFC 6724, section 10.2", () => {
  // Prefer matching scope.
  assert.deepEqual(
    sorted(["2001:db8:1::2/64", "169.254.13.78/16"], "198.51.100.121", "2001:db8:1::1"),
    ["2001:db8:1::1", "198.51.100.121"],
  );
  assert.deepEqual(
    sorted(["198.51.100.117/24"], "2001:db8:1::1", "198.51.100.121"),
    ["198.51.100.121", "2001:db8:1::1"],
  );
  // Prefer higher precedence.
  assert.deepEqual(
    sorted(["2001:db8:1::2/64", "10.1.2.4/24"], "10.1.2.3", "2001:db8:1::1"),
    ["2001:db8:1::1", "10.1.2.3"],
  );
  // Prefer matching label.
  assert.deepEqual(
    sorted(["2002:c633:6401::2/64"], "2001:db8:1::1", "2002:c633:6401::1"),
    ["2002:c633:6401::1", "2001:db8:1::1"],
  );
  // Longest match.
  assert.deepEqual(
    sorted(["2001:db8:1::2/64", "2001:db8:3f44::2/64"], "2001:db8:3ffe::1", "2001:db8:1::1"),
    ["2001:db8:1::1", "2001:db8:3ffe::1"],
  );
});

Deno.test("sortDestinations() leaves IPv4 addresses in their order", () => {
  const order = ["10.9.0.1", "10.0.0.77", "192.0.2.1"];
  assert.deepEqual(sorted(["10.0.0.1/24"], ...order), order);
});

Deno.test("interleave() has both versions take turns", () => {
  const list = hosts("fd00::1", "fd00::2", "fd00::3", "10.0.0.1");
  assert.deepEqual(texts(interleave(list)), ["fd00::1", "10.0.0.1", "fd00::2", "fd00::3"]);
  assert.deepEqual(texts(interleave(list, 6)), ["10.0.0.1", "fd00::1", "fd00::2", "fd00::3"]);
  assert.deepEqual(interleave([]), []);
});
