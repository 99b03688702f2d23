import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../ip/address.ts";
import { arpFrame } from "../testing/frames.ts";
import { TestDhcpServer } from "../testing/dhcp_server.ts";
import { Host } from "../testing/pair.ts";
import { MessageType, Option } from "../wire/dhcp.ts";
import { Ipv4Configuration, type Ipv4ConfigurationOptions } from "../configuration/ipv4.ts";
import { DhcpClient } from "./client.ts";
import { type DhcpOptions, DhcpState } from "./options.ts";

class Client {
  readonly host = new Host(1, "");
  readonly server = new TestDhcpServer(this.host);
  readonly configuration: Ipv4Configuration;
  changes = 0;

  constructor(dhcp: DhcpOptions = {}, options: Ipv4ConfigurationOptions = {}) {
    const changed = () => void this.changes++;
    this.configuration = new Ipv4Configuration(this.host.interface, { dhcp, ...options }, changed);
    this.configuration.start();
  }

  get dhcp() {
    return this.configuration.dhcp!;
  }

  get addresses(): string {
    return this.host.interface.addresses.join(" ");
  }

  get routes(): string[] {
    const { stack } = this.host;
    return stack.routes.routes.filter((route) => route.gateway !== null).map(String);
  }
}

Deno.test("DhcpClient takes an offer, asks whether the address is free, and gives it to the interface", () => {
  const c = new Client();
  c.server.pass(0.1);
  assert.equal(c.server.kinds(), "Discover Request");
  assert.equal(c.dhcp.state, DhcpState.Checking);
  assert.equal(c.addresses, "");
  c.server.pass(1);
  assert.equal(c.addresses, "10.0.0.50/24");
  assert.deepEqual(c.routes, ["0.0.0.0/0 via 10.0.0.1 dev test"]);
  assert.equal(c.dhcp.state, DhcpState.Bound);
  assert.equal(c.changes, 1);
  assert.equal(c.dhcp.counters.received, 2);
  assert.equal(c.host.device.faults, 0);
});

Deno.test("DhcpClient says who it is, what it wants, and how it is called", () => {
  for (
    const [clientId, expected] of [
      [undefined, [1, 2, 0, 0, 0, 0, 1]],
      ["duid", [255, 0, 0, 0, 1, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1]],
      [new Uint8Array([0, 65, 66]), [0, 65, 66]],
    ] as const
  ) {
    const c = new Client({
      hostname: "ethox",
      ...(clientId === undefined ? {} : { clientId }),
      broadcast: true,
    });
    c.server.pass(0.1);
    const [discover, request] = c.server.seen;
    for (const one of [discover!, request!]) {
      assert.deepEqual([one.from, one.to, one.client, one.flags], [
        "0.0.0.0",
        "255.255.255.255",
        "0.0.0.0",
        0x8000,
      ]);
      assert.deepEqual([...one.options.get(Option.ClientId)!], [...expected]);
      assert.equal(new TextDecoder().decode(one.options.get(Option.HostName)), "ethox");
    }
    assert.deepEqual([...request!.options.get(Option.RequestedAddress)!], [10, 0, 0, 50]);
    assert.deepEqual([...request!.options.get(Option.Server)!], [10, 0, 0, 1]);
  }
});

Deno.test("DhcpClient repeats itself less and less often while nobody answers", () => {
  const c = new Client({}, { linkLocal: false });
  c.server.answers.clear();
  c.server.pass(400);
  const times = c.server.seen.map(({ at }) => at);
  const gaps = times.slice(1).map((at, i) => at - times[i]!);
  for (const [i, gap] of gaps.entries()) {
    const expected = Math.min(4 * 2 ** i, 64);
    assert.ok(Math.abs(gap - expected) <= 1.1, `${gap} instead of ${expected}`);
  }
  assert.ok(times.length >= 7);
});

Deno.test("DhcpClient renews at half of the lease, asks everyone at seven eighths, and gives up at the end", () => {
  const c = new Client({}, { linkLocal: false });
  c.server.pass(2);
  c.server.kinds();
  c.server.pass(500);
  const [renewal] = c.server.seen;
  assert.deepEqual([renewal!.type, renewal!.from, renewal!.to, renewal!.client, renewal!.at], [
    "Request",
    "10.0.0.50",
    "10.0.0.1",
    "10.0.0.50",
    500,
  ]);
  assert.ok(!renewal!.options.has(Option.RequestedAddress) && !renewal!.options.has(Option.Server));
  assert.equal(c.dhcp.state, DhcpState.Bound);
  assert.equal(c.dhcp.counters.acknowledged, 2);
  assert.equal(c.changes, 2);
  c.server.seen.length = 0;
  c.server.answers.clear();
  c.server.pass(997);
  assert.equal(c.addresses, "10.0.0.50/24", "it is ours until the end");
  const seen = c.server.seen.map(({ at, to }) => `${Math.round(at - 500)} ${to}`);
  assert.deepEqual(seen, [
    "500 10.0.0.1",
    "688 10.0.0.1",
    "781 10.0.0.1",
    "841 10.0.0.1",
    "875 255.255.255.255",
    "938 255.255.255.255",
    "998 255.255.255.255",
  ]);
  c.server.pass(3);
  assert.equal(c.addresses, "");
  assert.deepEqual(c.routes, []);
  assert.equal(c.dhcp.counters.expired, 1);
  assert.equal(c.dhcp.state, DhcpState.Selecting);
});

Deno.test("DhcpClient declines an address that somebody has, waits, and asks for another", () => {
  const c = new Client();
  c.server.taken.add("10.0.0.50");
  c.server.pass(5);
  assert.equal(c.server.kinds(), "Discover Request Decline");
  assert.equal(c.dhcp.counters.declined, 1);
  assert.equal(c.addresses, "");
  c.server.address = "10.0.0.51";
  c.server.pass(10);
  assert.equal(c.addresses, "10.0.0.51/24");
});

Deno.test("DhcpClient gives an address up that somebody insists on, and tells the server", () => {
  const c = new Client();
  c.server.pass(5);
  c.server.kinds();
  for (let i = 0; i < 2; i++) {
    c.host.device.deliver(c.host.interface, arpFrame(1, 8, "10.0.0.50", 0, "10.0.0.50"));
    c.server.pass(1);
  }
  assert.equal(c.server.kinds(), "Decline");
  assert.equal(c.addresses, "");
});

Deno.test("DhcpClient asks whether it may keep the address that it had, and begins anew if not", () => {
  const earlier = IpAddress.parse("10.0.0.50");
  const kept = new Client({ earlier });
  kept.server.pass(1);
  const [request] = kept.server.seen;
  assert.equal(kept.server.kinds(), "Request");
  assert.ok(!request!.options.has(Option.Server));
  assert.equal(kept.addresses, "10.0.0.50/24");

  const refused = new Client({ earlier });
  refused.server.refuses = true;
  refused.server.pass(0.01);
  refused.server.refuses = false;
  refused.server.address = "10.0.0.60";
  refused.server.pass(5);
  assert.equal(refused.addresses, "10.0.0.60/24");
  assert.ok(refused.dhcp.counters.refused >= 1);

  const unheard = new Client({ earlier });
  unheard.server.answers.delete(MessageType.Request);
  unheard.server.pass(14);
  assert.equal(unheard.server.kinds(), "Request Request Discover Request");
});

Deno.test("DhcpClient that is refused again and again asks less and less", () => {
  const c = new Client();
  c.server.refuses = true;
  c.server.pass(300);
  assert.ok(c.server.seen.length < 30, `${c.server.seen.length} messages`);
  c.server.refuses = false;
  c.server.pass(70);
  assert.equal(c.addresses, "10.0.0.50/24");
});

Deno.test("DhcpClient keeps its address while the link comes back, until a server says no", () => {
  const c = new Client();
  c.server.pass(5);
  c.server.kinds();
  c.configuration.linkUp();
  c.server.pass(1);
  assert.equal(c.server.kinds(), "Request");
  assert.equal(c.addresses, "10.0.0.50/24");
  c.server.answers.clear();
  c.configuration.linkUp();
  c.server.pass(20);
  assert.equal(c.server.kinds(), "Request Request");
  assert.equal(c.dhcp.state, DhcpState.Bound);
  c.server.answers.add(MessageType.Request);
  c.server.refuses = true;
  c.configuration.linkUp();
  c.server.pass(1);
  assert.equal(c.addresses, "");
});

Deno.test("DhcpClient tells the server when it goes", () => {
  const c = new Client();
  c.server.pass(5);
  c.server.kinds();
  c.configuration.stop(true);
  c.server.pass(100);
  const [release] = c.server.seen;
  assert.deepEqual([release!.type, release!.from, release!.to, release!.client], [
    "Release",
    "10.0.0.50",
    "10.0.0.1",
    "10.0.0.50",
  ]);
  assert.equal(c.server.kinds(), "Release");
  assert.equal(c.addresses, "");
  assert.deepEqual(c.routes, []);
});

Deno.test("DhcpClient takes classless routes instead of routers, the MTU, and follows changes", () => {
  const c = new Client();
  const routes = [0, 10, 0, 0, 1, 8, 172, 10, 0, 0, 2, 24, 10, 9, 9, 0, 0, 0, 0];
  c.server.options.push([Option.ClasslessRoutes, routes], [Option.Mtu, [4, 176]]);
  c.server.pass(5);
  assert.deepEqual(c.routes.sort(), [
    "0.0.0.0/0 via 10.0.0.1 dev test",
    "172.0.0.0/8 via 10.0.0.2 dev test",
  ]);
  const path = c.host.stack.path(IpAddress.parse("10.9.9.9"))!;
  assert.equal(path.mtu, 1200);
  c.server.options.splice(2, 2, [Option.ClasslessRoutes, [0, 10, 0, 0, 7]]);
  c.server.pass(600);
  assert.deepEqual(c.routes, ["0.0.0.0/0 via 10.0.0.7 dev test"]);
  assert.equal(c.host.stack.path(IpAddress.parse("8.8.8.8"))!.mtu, 1500);
});

Deno.test("Ipv4Configuration gives the interface a link-local address while no server answers", () => {
  const c = new Client();
  c.server.answers.clear();
  c.server.pass(25);
  assert.match(c.addresses, /^169\.254\.\d+\.\d+\/16$/);
  c.server.answers.add(MessageType.Discover).add(MessageType.Request);
  c.server.pass(70);
  assert.equal(c.addresses, "10.0.0.50/24");
  c.server.answers.clear();
  c.server.pass(1100);
  assert.match(c.addresses, /^169\.254\./);
});

Deno.test("DhcpClient counts what lies, and is not led astray", () => {
  const c = new Client();
  c.server.answers.clear();
  c.server.pass(0.1);
  let transaction = 0;
  const original = c.dhcp;
  // The transaction as it went over the wire.
  c.host.stack.ipv4.tap("out", {
    receive: (packet) => {
      transaction = packet.view.getInt32(packet.network + 28 + 4);
      return false;
    },
  });
  c.server.pass(6);
  const { server } = c;
  const give = (options: [number, number[]][], type = MessageType.Offer, address?: string) =>
    server.deliver(server.frame(server.message(type, transaction, options, address)));
  const { dropped } = original.counters;
  server.deliver(server.frame(server.message(MessageType.Offer, transaction + 1, server.terms())));
  assert.equal(original.counters.received, 0, "another transaction");
  server.deliver(
    server.frame(server.message(MessageType.Offer, transaction, server.terms()), undefined, 0x1234),
  );
  assert.equal(dropped.badDatagram, 1);
  give(server.terms(), MessageType.Ack);
  assert.equal(dropped.unexpected, 1);
  give([[Option.Server, [10, 0, 0, 1]]]);
  give(server.terms(), MessageType.Offer, "224.0.0.5");
  give(server.terms(), MessageType.Offer, "10.0.0.255");
  assert.equal(dropped.useless, 3);
  const cut = server.message(MessageType.Offer, transaction, server.terms());
  cut.set([6, 255], 598);
  cut.fill(0, 290, 598);
  cut[cut.indexOf(255, 260)] = 0;
  server.deliver(server.frame(cut));
  assert.equal(dropped.malformed, 1);
  assert.equal(original.state, DhcpState.Selecting);
  give([...server.terms(), [Option.Router, [1, 2, 3]], [Option.Mtu, [0, 10]], [Option.SearchList, [
    0xc0,
    0,
  ]]]);
  assert.equal(original.state, DhcpState.Requesting);
  assert.ok(original.counters.badOptions >= 3);
});

Deno.test("DhcpClient survives any bytes that are said to be for it", () => {
  const c = new Client();
  c.server.answers.clear();
  c.server.pass(0.1);
  let transaction = 0;
  c.host.stack.ipv4.tap("out", {
    receive: (packet) => {
      transaction = packet.view.getInt32(packet.network + 28 + 4);
      return false;
    },
  });
  c.server.pass(6);
  const { server } = c;
  const option = fc.tuple(
    fc.oneof(fc.constantFrom(1, 3, 6, 12, 15, 26, 42, 51, 52, 53, 54, 58, 59, 119, 121, 255, 0), fc.nat(255)),
    fc.array(fc.nat(255), { maxLength: 40 }),
  );
  fc.assert(
    fc.property(
      fc.array(option, { maxLength: 12 }),
      fc.constantFrom(...[1, 2, 5, 6]),
      fc.array(fc.tuple(fc.nat(599), fc.nat(255)), { maxLength: 8 }),
      fc.boolean(),
      (options, type, damage, whole) => {
        const terms = whole ? server.terms() : [];
        const message = server.message(type as MessageType, transaction, [...terms, ...options]);
        for (const [at, byte] of damage) message[at] = byte;
        server.deliver(server.frame(message));
        server.pass(0.5);
      },
    ),
    { numRuns: 500 },
  );
  const { received, delivered, dropped } = c.dhcp.counters;
  assert.equal(
    received,
    delivered + dropped.badDatagram + dropped.malformed + dropped.unexpected + dropped.useless,
  );
  assert.equal(c.host.errors.length, 0);
  assert.equal(c.host.device.free, 64);
});

Deno.test("DhcpClient stays stopped when its handler stops it because a lease is lost", () => {
  const host = new Host(1, "");
  const server = new TestDhcpServer(host);
  let lost = 0;
  const client = new DhcpClient(host.interface, {
    bound() {},
    lost() {
      lost++;
      client.stop();
    },
  }, { probe: "off" });
  client.start();
  server.pass(1);
  assert.equal(client.state, DhcpState.Bound);
  server.answers.clear();
  server.pass(server.lease + 10);
  assert.deepEqual([lost, client.state], [1, DhcpState.Stopped]);
  server.seen.length = 0;
  server.pass(200);
  assert.equal(server.seen.length, 0);
});
