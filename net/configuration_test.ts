import assert from "node:assert/strict";
import type { Stack } from "../stack/stack.ts";
import { TestDhcpServer } from "../stack/testing/dhcp_server.ts";
import { type Host, xorshift } from "../stack/testing/pair.ts";
import { TestDevice } from "../stack/testing/test_device.ts";
import { Option } from "../stack/wire/dhcp.ts";
import { Network } from "./network.ts";

/** A network in virtual time, with a server beside it. */
function joined(): { network: Network; server: TestDhcpServer; changes: string[][] } {
  const device = new TestDevice();
  const network = Network.create({ device, configure: true, loop: false, random: xorshift(1) });
  const stack = {
    poll: (now: number) => network.step(now),
    advance: (now: number) => network.stack.advance(now),
  } as Stack;
  const server = new TestDhcpServer({ device, stack, interface: network.interface } as unknown as Host);
  const changes: string[][] = [];
  const { configuration } = network;
  configuration.addEventListener("change", () => changes.push(configuration.addresses));
  return { network, server, changes };
}

Deno.test("Network that is given no addresses takes address, routers and servers from DHCP", () => {
  const { network, server, changes } = joined();
  using _closed = network;
  const { configuration } = network;
  assert.equal(configuration.usable, false);
  server.options.push(
    [Option.NameServer, [10, 0, 0, 3, 10, 0, 0, 4]],
    [Option.DomainName, [..."lan.example"].map((letter) => letter.charCodeAt(0))],
    [Option.NtpServer, [10, 0, 0, 5]],
  );
  server.pass(4);
  assert.equal(configuration.usable, true);
  assert.ok(configuration.addresses.includes("10.0.0.50/24"));
  assert.deepEqual(network.nameServers, ["10.0.0.3", "10.0.0.4"]);
  assert.deepEqual(network.searchDomains, ["lan.example"]);
  assert.deepEqual(configuration.timeServers, ["10.0.0.5"]);
  assert.ok(configuration.routes.includes("0.0.0.0/0 via 10.0.0.1 dev test"));
  assert.equal(`${configuration.lease()!.address}`, "10.0.0.50/24");
  assert.equal(changes.length, 1);
  server.address = "10.0.0.77";
  server.refuses = true;
  server.pass(550);
  server.refuses = false;
  server.pass(100);
  assert.ok(configuration.addresses.includes("10.0.0.77/24"));
  assert.ok(changes.length >= 2);
});

Deno.test("Network without a server ends up with an address of the link", () => {
  const { network, server } = joined();
  using _closed = network;
  server.answers.clear();
  server.pass(13);
  assert.equal(network.configuration.usable, true);
  assert.ok(network.configuration.addresses.some((address) => address.startsWith("169.254.")));
});

Deno.test("Network with addresses asks nobody", () => {
  const device = new TestDevice();
  using network = Network.create({ device, addresses: ["10.0.0.9/24"], loop: false });
  network.step(60_000_000);
  assert.ok(
    device.take().every(({ bytes }) =>
      new DataView(bytes.buffer).getUint16(12) !== 0x0800 || bytes[23] !== 17
    ),
  );
  assert.equal(network.configuration.usable, true);
  assert.deepEqual(network.nameServers, []);
});
