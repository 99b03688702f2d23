import assert from "node:assert/strict";
import { Cidr, IpAddress } from "../../stack/ip/address.ts";
import { decodeMessage, encodeMessage } from "../dns/message.ts";
import type { DnsMessage, DnsRecord } from "../dns/records.ts";
import { a, Peer, scene } from "../testing/mdns_peer.ts";
import { VirtualLink } from "../testing/virtual_link.ts";

Deno.test("Mdns asks three times whether a name is free, and tells twice that it is its own", async () => {
  using link = new VirtualLink();
  const host = link.host(["10.0.0.1/24"], { hostname: "printer" });
  const peer = new Peer(link, "10.0.0.2");
  await link.pass(4_000_000);
  const probes = peer.heard.filter(({ message }) => !message.response);
  assert.equal(probes.length, 3);
  for (const { message } of probes) {
    assert.deepEqual(message.questions, [{ name: "printer.local", type: "ANY", unicast: true }]);
    assert.deepEqual(message.authorities, [{ name: "printer.local", type: "A", ttl: 120, data: "10.0.0.1" }]);
  }
  assert.ok(probes[0]!.at <= 260_000);
  assert.ok(Math.abs(probes[1]!.at - probes[0]!.at - 250_000) < 10_000);
  const told = peer.heard.filter(({ message }) => message.response);
  assert.equal(told.length, 2);
  assert.deepEqual(told[0]!.message.answers, [
    a("printer.local", "10.0.0.1"),
    { name: "1.0.0.10.in-addr.arpa", type: "PTR", ttl: 120, data: "printer.local", flush: true },
  ]);
  assert.ok(Math.abs(told[1]!.at - told[0]!.at - 1_000_000) < 10_000);
  assert.equal(host.mdns.hostname, "printer.local");
  assert.ok(host.mdns.established);
});

Deno.test("Mdns takes another name when somebody has the one that it asks for", async () => {
  using link = new VirtualLink();
  const peer = new Peer(link, "10.0.0.2");
  const host = link.host(["10.0.0.1/24"], { hostname: "printer" });
  await link.pass(500_000);
  peer.tell(a("Printer.local", "10.0.0.2"));
  await link.pass(4_000_000);
  assert.equal(host.mdns.hostname, "printer-2.local");
  assert.equal(host.mdns.counters.conflicts, 1);
  assert.equal(peer.queries().at(-1)!.questions[0]!.name, "printer-2.local");
});

Deno.test("Mdns gives way to a host that asks for the same name with later data, and not to one with earlier", async () => {
  for (const [data, probes] of [["10.0.0.0", 3], ["10.0.0.9", 5]] as const) {
    using link = new VirtualLink();
    const peer = new Peer(link, "10.0.0.2");
    const host = link.host(["10.0.0.1/24"], { hostname: "printer" });
    while (peer.queries().length < 2) await link.pass(50_000);
    peer.ask("printer.local", "ANY", { authorities: [a("printer.local", data)] });
    await link.pass(800_000);
    assert.equal(peer.responses().length > 0, probes === 3, data);
    await link.pass(4_000_000);
    assert.equal(peer.queries().length, probes, data);
    assert.equal(host.mdns.hostname, "printer.local", "The other host was not there in the end");
  }
});

Deno.test("Two hosts that want the same name at the same time get one each", async () => {
  using link = new VirtualLink();
  const hosts = [1, 2, 3].map((i) => link.host([`10.0.0.${i}/24`], { hostname: "twin" }));
  await link.pass(20_000_000);
  const names = hosts.map(({ mdns }) => mdns.hostname).sort();
  assert.deepEqual(names, ["twin-2.local", "twin-3.local", "twin.local"]);
  assert.deepEqual(hosts.map(({ mdns }) => mdns.established), [true, true, true]);
});

Deno.test("Mdns asks for its name again when another host uses it, and leaves it when that host insists", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  peer.tell(a("printer.local", "10.0.0.2"));
  await link.pass(3_000_000);
  assert.equal(host.mdns.hostname, "printer.local", "Nobody has defended it");
  peer.tell(a("printer.local", "10.0.0.2"));
  await link.pass(300_000);
  peer.tell(a("printer.local", "10.0.0.2"));
  await link.pass(3_000_000);
  assert.equal(host.mdns.hostname, "printer-2.local");
});

Deno.test("Mdns slows down when every name is another's", async () => {
  using link = new VirtualLink();
  const peer = new Peer(link, "10.0.0.2");
  const host = link.host(["10.0.0.1/24"], { hostname: "printer" });
  for (let i = 0; i < 3000; i++) {
    await link.pass(10_000);
    const name = peer.queries().at(-1)?.questions[0]?.name;
    if (name !== undefined) peer.tell(a(name, "10.0.0.2"));
  }
  assert.ok(host.mdns.counters.conflicts < 300);
  const before = host.mdns.counters.probesSent;
  for (let i = 0; i < 500; i++) {
    await link.pass(10_000);
    peer.tell(a(peer.queries().at(-1)!.questions[0]!.name, "10.0.0.2"));
  }
  assert.ok(host.mdns.counters.probesSent - before <= 3, `${host.mdns.counters.probesSent - before}`);
});

Deno.test("Mdns answers questions about its name to the group, and at most once a second", async () => {
  using here = await scene();
  const { link, peer, counters } = here;
  peer.ask("PRINTER.local", "A");
  await link.pass(10_000);
  assert.deepEqual(peer.responses().map(({ answers }) => answers), [[a("printer.local", "10.0.0.1")]]);
  for (let i = 0; i < 10; i++) peer.ask("printer.local", "A");
  await link.pass(500_000);
  assert.equal(peer.responses().length, 1);
  assert.equal(counters.suppressedRecent, 10);
  await link.pass(600_000);
  peer.ask("1.0.0.10.in-addr.arpa", "PTR");
  peer.ask("nobody.local", "A");
  await link.pass(1_500_000);
  assert.equal(peer.responses().length, 2);
  assert.equal(peer.responses()[1]!.answers[0]!.data, "printer.local");
});

Deno.test("Mdns says that a name of its own has no record of a type (NSEC)", async () => {
  using here = await scene();
  const { link, peer } = here;
  peer.ask("printer.local", "AAAA");
  await link.pass(10_000);
  const { flush: _flush, ...answer } = peer.responses()[0]!.answers[0]!;
  assert.deepEqual(answer, {
    name: "printer.local",
    type: "NSEC",
    ttl: 120,
    data: { nextDomain: "printer.local", rrtypes: ["A"] },
  });
});

Deno.test("Mdns tells nobody what they know, or what another has just told", async () => {
  using here = await scene();
  const { link, host, peer, counters } = here;
  await link.until(host.advertise({ name: "Web", type: "_http._tcp", port: 80 }));
  await link.pass(3_000_000);
  peer.heard.length = 0;
  const pointer = { name: "_http._tcp.local", type: "PTR", ttl: 4500, data: "Web._http._tcp.local" };
  peer.ask("_http._tcp.local", "PTR", { answers: [{ ...pointer, ttl: 2300 }] });
  await link.pass(500_000);
  assert.equal(peer.responses().length, 0);
  assert.equal(counters.suppressedKnown, 1);
  peer.ask("_http._tcp.local", "PTR", { answers: [{ ...pointer, ttl: 2200 }] });
  await link.pass(500_000);
  assert.equal(peer.responses().length, 1, "What the asker knows is half gone");
  await link.pass(1_000_000);
  peer.ask("_http._tcp.local", "PTR");
  await link.pass(10_000);
  peer.tell(pointer);
  await link.pass(500_000);
  assert.equal(peer.responses().length, 1);
  assert.equal(counters.suppressedDuplicate, 1);
  peer.ask("_http._tcp.local", "PTR", { truncated: true });
  await link.pass(200_000);
  peer.say({ answers: [pointer] });
  await link.pass(1_000_000);
  assert.equal(peer.responses().length, 1, "The second packet tells what the asker knows");
  peer.ask("_http._tcp.local", "PTR", { truncated: true });
  await link.pass(300_000);
  assert.equal(peer.responses().length, 1);
  await link.pass(300_000);
  assert.equal(peer.responses().length, 2, "No second packet has come");
});

Deno.test("Mdns waits with what others may tell too, and adds what will be asked for next", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  await link.until(
    host.advertise({ name: "Web.v2", type: "_http._tcp", port: 80, txt: { path: "/x", flag: true } }),
  );
  await link.pass(3_000_000);
  peer.heard.length = 0;
  peer.ask("_http._tcp.local", "PTR");
  await link.pass(19_000);
  assert.equal(peer.responses().length, 0);
  await link.pass(110_000);
  const [response] = peer.responses();
  assert.deepEqual(response!.answers.map(({ data }) => data), ["Web\\.v2._http._tcp.local"]);
  assert.deepEqual(response!.additionals.map(({ type }) => type), ["SRV", "TXT", "A", "NSEC"]);
  peer.ask("_services._dns-sd._udp.local", "PTR");
  await link.pass(200_000);
  assert.deepEqual(peer.responses()[1]!.answers.map(({ data }) => data), ["_http._tcp.local"]);
});

Deno.test("Mdns answers one host alone when that asks for it, and simple resolvers as a name server does", async () => {
  using here = await scene();
  const { link, peer } = here;
  peer.ask("printer.local", "A", { unicast: true });
  await link.pass(10_000);
  assert.deepEqual(peer.heard.map(({ unicast, message }) => [unicast, message.answers.length]), [[true, 1]]);
  await link.pass(40_000_000);
  peer.ask("printer.local", "A", { unicast: true });
  await link.pass(10_000);
  assert.equal(peer.heard.at(-1)!.unicast, false, "The group has not heard it for a quarter of its life");
  const simple = peer.network.listenDatagram({ port: 0 });
  const query = encodeMessage({ id: 4711, questions: [{ name: "Printer.local", type: "A" }] });
  await simple.send(query, { hostname: "224.0.0.251", port: 5353 });
  const [bytes] = await link.until(simple.receive());
  const answer = decodeMessage(bytes) as DnsMessage;
  assert.equal(answer.id, 4711);
  assert.deepEqual(answer.questions, [{ name: "Printer.local", type: "A" }]);
  assert.deepEqual(answer.answers, [{ name: "printer.local", type: "A", ttl: 10, data: "10.0.0.1" }]);
});

Deno.test("Mdns limits what single hosts are told", async () => {
  using here = await scene();
  const { link, peer, counters } = here;
  for (let i = 0; i < 200; i++) peer.ask("printer.local", "A", { unicast: true });
  await link.pass(10_000);
  assert.equal(counters.unicastSent, 50);
  assert.equal(counters.rateLimited, 150);
});

Deno.test("Network.close() says goodbye", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  await link.until(host.advertise({ name: "Web", type: "_http._tcp", port: 80 }));
  peer.heard.length = 0;
  await host[Symbol.asyncDispose]();
  await link.pass(10_000);
  const gone = peer.responses().flatMap(({ answers }) => answers);
  assert.ok(gone.length >= 6 && gone.every(({ ttl }) => ttl === 0));
});

Deno.test("Advertisement.close() takes the service back, and leaves the host and other services", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  const first = await link.until(host.advertise({ name: "Web", type: "_http._tcp", port: 80 }));
  await link.until(host.advertise({ name: "Other", type: "_http._tcp", port: 81 }));
  await link.pass(3_000_000);
  peer.heard.length = 0;
  first.close();
  first.close();
  await link.pass(10_000);
  const gone = peer.responses().flatMap(({ answers }) => answers);
  assert.deepEqual(gone.map(({ type, ttl }) => [type, ttl]), [["SRV", 0], ["TXT", 0], ["PTR", 0]]);
  peer.ask("_services._dns-sd._udp.local", "PTR");
  await link.pass(200_000);
  assert.equal(peer.responses().length, 2);
});

Deno.test("Network.advertise() numbers a service whose name another has, and says what can't be told", async () => {
  using here = await scene();
  const { link, host } = here;
  const other = link.host(["10.0.0.7/24"], { hostname: "other" });
  await link.until(other.advertise({ name: "Web", type: "_http._tcp", port: 80 }));
  const second = await link.until(host.advertise({ name: "Web", type: "_http._tcp.local", port: 80 }));
  assert.equal(second.name, "Web (2)");
  const refused = (options: object) => host.advertise({ name: "x", type: "_http._tcp", port: 1, ...options });
  await assert.rejects(refused({ type: "http" }), /_http\._tcp/);
  await assert.rejects(refused({ port: 0 }), RangeError);
  await assert.rejects(refused({ name: "x".repeat(64) }), TypeError);
  await assert.rejects(refused({ txt: { key: "x".repeat(255) } }), TypeError);
  await assert.rejects(refused({ subtypes: ["printer"] }), TypeError);
  await assert.rejects(refused({ signal: AbortSignal.abort(new Error("Before")) }), /Before/);
  assert.throws(() => link.host(["10.0.0.9/24"], { hostname: "a.b" }), TypeError);
});

Deno.test("Mdns takes nothing from other ports, other networks or broken messages, and goes on", async () => {
  using here = await scene();
  const { link, host, peer, counters } = here;
  const bytes = encodeMessage({ response: true, answers: [a("printer.local", "10.0.0.66")] });
  const elsewhere = peer.network.listenDatagram({ port: 0 });
  await elsewhere.send(bytes, { hostname: "224.0.0.251", port: 5353 });
  peer.raw(bytes.slice(0, 20));
  peer.raw(Uint8Array.from([...bytes, 1]));
  peer.say({ response: true, rcode: 3, answers: [a("printer.local", "10.0.0.66")] });
  const far = link.host(["10.9.0.1/24"], { routes: [] });
  far.stack.addRoute({
    destination: Cidr.parse("0.0.0.0/0"),
    interface: far.interface,
  });
  const socket = far.listenDatagram({ port: 5353 });
  await socket.send(bytes, { hostname: "224.0.0.251", port: 5353 });
  await link.pass(2_000_000);
  const dropped = Object.fromEntries(Object.entries(counters.dropped).filter(([, count]) => count > 0));
  assert.deepEqual(dropped, { truncated: 1, trailingBytes: 1, wrongCode: 1, wrongPort: 1, offLink: 1 });
  assert.equal(host.mdns.hostname, "printer.local");
  assert.equal(counters.conflicts, 0);
});

Deno.test("Mdns holds no more records than it may, whatever a host tells", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  const asking = host.browse("_x._udp");
  const next = asking.next();
  for (let i = 0; i < 300; i++) {
    peer.tell(...Array.from({ length: 30 }, (_, j) => a(`h${i}x${j}.local`, "10.0.0.9")));
    await link.pass(1_000);
  }
  assert.ok(host.mdns.sizes.cached <= 4096);
  for (let i = 0; i < 20; i++) {
    peer.tell(...Array.from({ length: 20 }, (_, j): DnsRecord => ({
      name: "_x._udp.local",
      type: "PTR",
      ttl: 120,
      data: `i${i}x${j}._x._udp.local`,
    })));
    await link.pass(1_000);
  }
  await link.pass(10_000);
  assert.ok(host.mdns.sizes.questions <= 257, `${host.mdns.sizes.questions}`);
  await link.until(Promise.all([asking.return(), next]));
  assert.equal(host.mdns.sizes.questions, 0);
});

Deno.test("Mdns tells of addresses that come later, and takes back those that go", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  host.interface.addAddress(Cidr.parse("10.0.0.11/24"));
  await link.pass(3_000_000);
  const told = peer.responses().flatMap(({ answers }) => answers.filter(({ type }) => type === "A"));
  assert.ok(told.some(({ data, ttl }) => data === "10.0.0.11" && ttl === 120));
  peer.heard.length = 0;
  host.interface.removeAddress(IpAddress.parse("10.0.0.11"));
  await link.pass(3_000_000);
  const gone = peer.responses().flatMap(({ answers }) => answers);
  assert.ok(gone.every(({ ttl }) => ttl === 0) && gone.some(({ data }) => data === "10.0.0.11"));
  const late = link.host([], { hostname: "late" });
  await link.pass(2_000_000);
  assert.equal(late.mdns.established, false);
  late.interface.addAddress(Cidr.parse("10.0.0.12/24"));
  await link.pass(4_000_000);
  assert.equal(late.mdns.established, true);
});

Deno.test("Hosts with nothing but link-local IPv6 addresses find each other by name", async () => {
  using link = new VirtualLink();
  const server = link.host([], { hostname: "six", ipv6: true });
  const client = link.host([], { ipv6: true });
  await link.pass(5_000_000);
  server.serve({ port: 80, onListen() {} }, () => new Response("over fe80"));
  const response = await link.until(client.fetch("http://six.local/"));
  assert.equal(await link.until(response.text()), "over fe80");
  const [address] = await link.until(client.lookup("six.local"));
  assert.match(address!, /^fe80::.*%/);
});

Deno.test("A host that is on the link twice keeps its name, and is reached by either interface", async () => {
  using link = new VirtualLink();
  const twice = link.router([["10.0.0.1/24"], ["10.0.0.2/24"]], { hostname: "twice", ipv6: true });
  const client = link.router([["10.0.0.3/24"], ["10.1.0.3/24"]], { ipv6: true });
  await link.pass(5_000_000);
  assert.equal(twice.mdns.hostname, "twice.local");
  assert.equal(twice.mdns.counters.conflicts, 0);
  const addresses = await link.until(client.lookup("twice.local"));
  assert.ok(addresses.includes("10.0.0.1") && addresses.includes("10.0.0.2"), addresses.join(" "));
  const near = addresses.filter((text) => text.startsWith("fe80"));
  assert.ok(near.length >= 2 && near.every((text) => text.includes("%")), addresses.join(" "));
  for (const address of near) {
    const [result] = await link.until(Array.fromAsync(client.ping(address, { count: 1 })));
    assert.notEqual(result!.rtt, null, address);
  }
});
