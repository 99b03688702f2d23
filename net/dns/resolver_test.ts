import assert from "node:assert/strict";
import { NameServer } from "../testing/name_server.ts";
import { VirtualLink } from "../testing/virtual_link.ts";
import type { Network } from "../network.ts";
import { encodeMessage } from "./message.ts";
import type { DnsRecord } from "./records.ts";
import type { DnsOptions } from "./resolver.ts";

const TEXT = new TextEncoder();
const RECORDS: DnsRecord[] = [
  { name: "a.example", type: "A", ttl: 60, data: "10.0.0.9" },
  { name: "a.example", type: "AAAA", ttl: 60, data: "2001:db8::9" },
  { name: "www.example", type: "CNAME", ttl: 5, data: "cdn.example" },
  { name: "cdn.example", type: "CNAME", ttl: 60, data: "a.example" },
  { name: "example", type: "MX", ttl: 60, data: { preference: 10, exchange: "mail.example" } },
  { name: "example", type: "NS", ttl: 60, data: "ns.example" },
  { name: "example", type: "TXT", ttl: 60, data: [TEXT.encode("one"), TEXT.encode("two")] },
  {
    name: "_http._tcp.example",
    type: "SRV",
    ttl: 60,
    data: { priority: 1, weight: 2, port: 80, target: "a.example" },
  },
  { name: "9.0.0.10.in-addr.arpa", type: "PTR", ttl: 60, data: "a.example" },
  { name: "many.example", type: "TXT", ttl: 60, data: Array.from({ length: 20 }, () => new Uint8Array(200)) },
  { name: "xn--bcher-kva.example", type: "A", ttl: 60, data: "10.0.0.8" },
  { name: "host.corp.example", type: "A", ttl: 60, data: "10.0.0.7" },
  { name: "loop1.example", type: "CNAME", ttl: 60, data: "loop2.example" },
  { name: "loop2.example", type: "CNAME", ttl: 60, data: "loop1.example" },
];

/** A link with a client and name servers on 10.0.0.53, 10.0.0.54, …. */
function scene(options: DnsOptions = {}, servers = 1) {
  const link = new VirtualLink();
  const texts = Array.from({ length: servers }, (_, i) => `10.0.0.${53 + i}`);
  const client = link.host(["10.0.0.1/24"], { dns: { servers: texts, ...options } });
  const hosts = texts.map((text) => link.host([`${text}/24`]));
  return {
    link,
    client,
    hosts,
    servers: hosts.map((host) => new NameServer(host, "example", RECORDS)),
    counters: client.resolver.counters,
    ask: <T extends "A" | "AAAA" | "MX" | "NS" | "SRV" | "PTR" | "TXT" | "SOA" | "CNAME">(
      name: string,
      type: T,
    ) => link.until(client.resolveDns(name, type)),
    [Symbol.dispose]: () => link[Symbol.dispose](),
  };
}

Deno.test("Network.resolveDns() gives each type in the form of Deno's", async () => {
  using here = scene();
  const { ask } = here;
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
  assert.deepEqual(await ask("A.Example.", "AAAA"), ["2001:db8::9"]);
  assert.deepEqual(await ask("www.example", "A"), ["10.0.0.9"]);
  assert.deepEqual(await ask("www.example", "CNAME"), ["cdn.example."]);
  assert.deepEqual(await ask("example", "MX"), [{ preference: 10, exchange: "mail.example." }]);
  assert.deepEqual(await ask("example", "NS"), ["ns.example."]);
  assert.deepEqual(await ask("example", "TXT"), [["one", "two"]]);
  assert.deepEqual(await ask("_http._tcp.example", "SRV"), [
    { priority: 1, weight: 2, port: 80, target: "a.example." },
  ]);
  assert.deepEqual(await ask("10.0.0.9", "PTR"), ["a.example."]);
  assert.deepEqual(await ask("bücher.example", "A"), ["10.0.0.8"]);
});

Deno.test("Network.resolveDns() fails with Deno's error classes", async () => {
  using here = scene();
  const { ask, client, link } = here;
  await assert.rejects(ask("nowhere.example", "A"), { name: "NotFound", code: "ENOTFOUND" });
  await assert.rejects(ask("a.example", "MX"), { name: "NotFound", code: "ENODATA" });
  await assert.rejects(ask("a..example", "A"), TypeError);
  await assert.rejects(ask("a.example", "TLSA" as "A"), TypeError);
  const alone = link.host(["10.0.0.3/24"]);
  await assert.rejects(link.until(alone.resolveDns("a.example", "A")), Deno.errors.NotConnected);
  const nobody = { nameServer: { ipAddr: "10.0.0.99" } };
  await assert.rejects(link.until(client.resolveDns("a.example", "A", nobody)), Deno.errors.TimedOut);
  const controller = new AbortController();
  const waiting = client.resolveDns("b.example", "A", { signal: controller.signal });
  controller.abort(new Error("Enough"));
  await assert.rejects(link.until(waiting), /Enough/);
  const elsewhere = { nameServer: { ipAddr: "10.0.0.53", port: 53 } };
  assert.deepEqual(await link.until(alone.resolveDns("a.example", "A", elsewhere)), ["10.0.0.9"]);
});

Deno.test("Resolver remembers answers for as long as they say, aliases included", async () => {
  using here = scene();
  const { ask, link, servers: [server], counters } = here;
  await ask("www.example", "A");
  await link.pass(4_900_000);
  await ask("www.example", "A");
  assert.equal(server!.questions.length, 1);
  assert.equal(counters.cacheHits, 1);
  await link.pass(200_000);
  await ask("www.example", "A");
  assert.equal(server!.questions.length, 2);
});

Deno.test("Resolver remembers what is not there for as long as the zone says (RFC 2308)", async () => {
  using here = scene();
  const { ask, link, servers: [server] } = here;
  for (let i = 0; i < 3; i++) await assert.rejects(ask("nowhere.example", "A"), Deno.errors.NotFound);
  assert.equal(server!.questions.length, 1);
  await link.pass(31_000_000);
  await assert.rejects(ask("nowhere.example", "A"), Deno.errors.NotFound);
  assert.equal(server!.questions.length, 2);
  server!.liar = ({ honest, send }) => {
    send(encodeMessage({ ...honest, rcode: 3, answers: [], authorities: [] }));
    return true;
  };
  for (let i = 0; i < 2; i++) await assert.rejects(ask("other.example", "A"), Deno.errors.NotFound);
  assert.equal(server!.questions.length, 4, "Without a SOA nothing is remembered");
});

Deno.test("Resolver holds no more answers than it may, and forgets those not used", async () => {
  using here = scene({ cacheEntries: 2 });
  const { ask, client, servers: [server], counters } = here;
  await ask("a.example", "A");
  await ask("a.example", "AAAA");
  await ask("a.example", "A");
  await ask("example", "MX");
  assert.equal(client.resolver.sizes.cached, 2);
  assert.equal(counters.evicted, 1);
  await ask("a.example", "A");
  assert.equal(server!.questions.length, 3);
});

Deno.test("Resolver asks once for what many want at a time, and refuses too many", async () => {
  using here = scene({ concurrency: 2 });
  const { client, link, servers: [server] } = here;
  const all = Array.from({ length: 50 }, () => client.resolveDns("a.example", "A"));
  const other = client.resolveDns("a.example", "AAAA");
  await assert.rejects(client.resolveDns("example", "MX"), Deno.errors.Busy);
  assert.equal((await link.until(Promise.all(all))).length, 50);
  await link.until(other);
  assert.equal(server!.questions.length, 2);
});

Deno.test("Resolver asks the next server when one is silent, and the one that answered first from then on", async () => {
  using here = scene({}, 3);
  const { ask, link, servers, counters } = here;
  servers[0]!.liar = () => true;
  servers[1]!.liar = ({ honest, send }) => {
    send(encodeMessage({ ...honest, rcode: 2, answers: [] }));
    return true;
  };
  const start = link.now;
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
  const took = link.now - start;
  assert.ok(took >= 1_000_000 && took < 1_100_000, `${took}`);
  assert.equal(counters.timeouts, 1);
  assert.equal(counters.serverFailures, 1);
  await ask("a.example", "AAAA");
  assert.deepEqual(servers.map(({ questions }) => questions.length), [1, 1, 2]);
});

Deno.test("Resolver takes an answer that comes late, from a server given up", async () => {
  using here = scene({}, 2);
  const { ask, link, servers } = here;
  let late: (() => void) | null = null;
  servers[0]!.liar = ({ honest, send }) => {
    late = () => send(encodeMessage(honest));
    return true;
  };
  servers[1]!.liar = () => {
    late?.();
    return true;
  };
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
  assert.ok(link.now < 1_500_000);
});

Deno.test("Resolver gives up after so many rounds, twice as long each, and remembers that for a second", async () => {
  using here = scene({ attempts: 3, timeout: 100 });
  const { ask, link, servers: [server] } = here;
  server!.liar = () => true;
  const start = link.now;
  await assert.rejects(ask("a.example", "A"), Deno.errors.TimedOut);
  const took = link.now - start;
  assert.ok(took >= 700_000 && took < 720_000, `${took}`);
  assert.equal(server!.questions.length, 3);
  await assert.rejects(ask("a.example", "A"), Deno.errors.TimedOut);
  assert.equal(server!.questions.length, 3);
  server!.liar = null;
  await link.pass(1_100_000);
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
});

Deno.test("Resolver remembers for a few seconds that servers fail", async () => {
  using here = scene();
  const { ask, link, servers: [server] } = here;
  server!.liar = ({ honest, send }) => {
    send(encodeMessage({ ...honest, rcode: 2, answers: [] }));
    return true;
  };
  for (let i = 0; i < 2; i++) await assert.rejects(ask("a.example", "A"), { code: "ESERVFAIL" });
  assert.equal(server!.questions.length, 1);
  server!.liar = null;
  await link.pass(6_000_000);
  await ask("a.example", "A");
});

Deno.test("Resolver tells no port, ID or letters twice", async () => {
  using here = scene({ cacheEntries: 0 });
  const { ask, servers: [server] } = here;
  for (let i = 0; i < 20; i++) await ask("a.example", "A");
  const ids = new Set(server!.questions.map(({ id }) => id));
  const spellings = new Set(server!.questions.map(({ questions }) => questions[0]!.name));
  assert.ok(ids.size >= 19);
  assert.ok(spellings.size >= 10);
});

Deno.test("Resolver asks without EDNS a server that does not know it", async () => {
  using here = scene();
  const { ask, servers: [server] } = here;
  server!.liar = ({ query, honest, send }) => {
    if (!query.edns) return false;
    send(encodeMessage({ ...honest, rcode: 1, answers: [] }));
    return true;
  };
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
  await ask("a.example", "AAAA");
  assert.deepEqual(server!.questions.map(({ edns }) => edns), [true, false, false]);
});

Deno.test("Resolver asks over TCP what was truncated, and keeps the connection for a while", async () => {
  using here = scene();
  const { ask, link, client, servers: [server], counters } = here;
  const [[first]] = await ask("many.example", "TXT") as [string[]];
  assert.equal(first!.length, 200);
  server!.most = 0;
  await ask("a.example", "A");
  await link.until(
    Promise.all(["AAAA", "SOA"].map((type) => client.resolveDns("a.example", type as "A").catch(() => 0))),
  );
  assert.equal(server!.connections, 1);
  assert.equal(counters.tcpQueries, 4);
  await link.pass(15_000_000);
  await ask("example", "MX");
  assert.equal(server!.connections, 2);
});

Deno.test("Resolver tries names in the search domains, in the order that the dots say", async () => {
  using here = scene({ search: ["nothing.example", "corp.example"] });
  const { ask, servers: [server] } = here;
  const names = () => server!.questions.map(({ questions }) => questions[0]!.name.toLowerCase());
  assert.deepEqual(await ask("host", "A"), ["10.0.0.7"]);
  assert.deepEqual(names(), ["host.nothing.example", "host.corp.example"]);
  await assert.rejects(ask("host.", "A"), Deno.errors.NotFound);
  assert.deepEqual(names().slice(2), ["host"]);
  await assert.rejects(ask("no.such", "A"), Deno.errors.NotFound);
  assert.deepEqual(names().slice(3), ["no.such", "no.such.nothing.example", "no.such.corp.example"]);
});

Deno.test("Resolver follows an alias that the server has not followed, and ends in a loop", async () => {
  using here = scene();
  const { ask, servers: [server], counters } = here;
  server!.liar = ({ honest, send }) => {
    send(encodeMessage({ ...honest, answers: honest.answers!.slice(0, 1), authorities: [] }));
    return true;
  };
  assert.deepEqual(await ask("www.example", "A"), ["10.0.0.9"]);
  assert.equal(server!.questions.length, 3);
  await assert.rejects(ask("loop1.example", "A"), { code: "ESERVFAIL" });
  assert.equal(counters.aliasLoops, 1);
  assert.ok(server!.questions.length < 20);
});

Deno.test("Resolver asks nobody about hosts of its table, localhost, literals and names that are nowhere", async () => {
  using here = scene({ hosts: "# comment\n10.0.0.5 printer lp.example # more\n::5 printer\n" });
  const { ask, client, link, servers: [server] } = here;
  assert.deepEqual(await ask("printer", "A"), ["10.0.0.5"]);
  assert.deepEqual(await ask("PRINTER", "AAAA"), ["::5"]);
  assert.deepEqual(await ask("10.0.0.5", "PTR"), ["printer."]);
  assert.deepEqual(await ask("foo.localhost", "A"), ["127.0.0.1"]);
  assert.deepEqual(await ask("localhost", "AAAA"), ["::1"]);
  assert.deepEqual(await ask("10.1.2.3", "A"), ["10.1.2.3"]);
  assert.deepEqual(await link.until(client.lookup("10.1.2.3")), ["10.1.2.3"]);
  await assert.rejects(ask("x.invalid", "A"), Deno.errors.NotFound);
  assert.equal(server!.questions.length, 0);
  assert.throws(() => link.host(["10.0.0.2/24"], { dns: { hosts: { a: "x" } } }), TypeError);
  assert.throws(() => link.host(["10.0.0.2/24"], { dns: { servers: ["dns.example"] } }), TypeError);
});

Deno.test("Network.close() ends questions that are under way", async () => {
  using here = scene();
  const { client, servers: [server] } = here;
  server!.liar = () => true;
  const asking = assert.rejects(client.resolveDns("a.example", "A"), Deno.errors.NotConnected);
  client.close();
  await asking;
});

/** Whether the client has kept none of what a liar's server tells. */
async function unharmed(client: Network, link: VirtualLink): Promise<void> {
  const [result] = await link.until(Array.fromAsync(client.ping("10.0.0.53", { count: 1 })));
  assert.notEqual(result!.rtt, null);
}

const POISON: DnsRecord = { name: "a.example", type: "A", ttl: 60, data: "6.6.6.6" };

Deno.test("Resolver takes no answer from a liar, and the honest one that comes after it", async () => {
  using here = scene();
  const { link, client, hosts, servers: [server], counters, ask } = here;
  const stranger = link.host(["10.0.0.66/24"]);
  const elsewhere = stranger.stack.udp.bind({ port: 53 }, { receive() {} });
  // The neighbours know each other, so that the lie is there before the truth.
  await link.until(Array.fromAsync(stranger.ping("10.0.0.1", { count: 1 })));
  const port = hosts[0]!.stack.udp.bind({ port: 5353 }, { receive() {} });
  server!.liar = ({ honest, send }) => {
    const lie = { ...honest, answers: [POISON], authorities: [] };
    const { name } = honest.questions![0]!;
    send(encodeMessage(lie), elsewhere);
    send(encodeMessage(lie), port);
    send(encodeMessage({ ...lie, id: honest.id! ^ 1 }));
    send(encodeMessage({ ...lie, response: false }));
    send(encodeMessage({ ...lie, questions: [{ name: "b.example", type: "A" }] }));
    send(encodeMessage({ ...lie, questions: [{ name, type: "AAAA" }] }));
    send(encodeMessage({ ...lie, questions: [] }));
    send(encodeMessage({ ...lie, answers: Array.from({ length: 100 }, () => POISON) }));
    const bytes = encodeMessage(lie);
    send(bytes.slice(0, 20));
    const loop = bytes.slice();
    loop.set([0xc0, 12], 12);
    send(loop);
    send(Uint8Array.from([...bytes, 0]));
    return false;
  };
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
  const dropped = Object.fromEntries(Object.entries(counters.dropped).filter(([, count]) => count > 0));
  assert.deepEqual(dropped, {
    truncated: 1,
    compressionLoop: 1,
    trailingBytes: 1,
    wrongSource: 2,
    wrongId: 1,
    notResponse: 1,
    wrongQuestion: 3,
    oversized: 1,
  });
  await unharmed(client, link);
});

Deno.test("Resolver asks over TCP when the letters of the question come back changed", async () => {
  using here = scene();
  const { servers: [server], counters, ask, client, link } = here;
  server!.liar = ({ honest, tcp, send }) => {
    if (tcp) return false;
    const questions = honest.questions!.map(({ name, type }) => ({ name: name.toLowerCase(), type }));
    send(encodeMessage({ ...honest, questions, answers: [POISON], authorities: [] }));
    return true;
  };
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
  assert.equal(counters.dropped.wrongCase, 1);
  assert.equal(counters.tcpQueries, 1);
  await unharmed(client, link);
});

Deno.test("Resolver takes records of the name that was asked for alone", async () => {
  using here = scene();
  const { servers: [server], ask } = here;
  server!.liar = ({ honest, send }) => {
    send(encodeMessage({
      ...honest,
      answers: [...honest.answers!, { ...POISON, name: "bank.example" }],
      authorities: [{ name: "example", type: "NS", ttl: 60, data: "evil.example" }],
      additionals: [{ ...POISON, name: "evil.example" }],
    }));
    return true;
  };
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
  server!.liar = null;
  await assert.rejects(ask("bank.example", "A"), Deno.errors.NotFound);
});

Deno.test("Resolver passes servers over that refer elsewhere instead of answering", async () => {
  using here = scene({}, 2);
  const { servers: [server], ask, counters } = here;
  server!.liar = ({ honest, send }) => {
    const authorities: DnsRecord[] = [{ name: "", type: "NS", ttl: 60, data: "root.example" }];
    send(encodeMessage({ ...honest, authoritative: false, rcode: 0, answers: [], authorities }));
    return true;
  };
  assert.deepEqual(await ask("a.example", "A"), ["10.0.0.9"]);
  assert.equal(counters.lame, 1);
});

Deno.test("Resolver asks a server by its link-local address, on the interface that its zone names", async () => {
  using link = new VirtualLink();
  const host = link.host(["10.0.0.53/24"], { ipv6: true });
  new NameServer(host, "example", RECORDS);
  await link.pass(2_000_000);
  const own = host.interface.addresses.find(({ address }) => address.isLinkLocal)!;
  const client = link.router([["10.0.0.1/24"], ["10.1.0.1/24"]], { ipv6: true });
  await link.pass(2_000_000);
  for (const { name } of client.stack.interfaces) {
    const nameServer = { ipAddr: `${own.address}%${name}` };
    assert.deepEqual(await link.until(client.resolveDns("a.example", "A", { nameServer })), ["10.0.0.9"]);
  }
  const nowhere = { nameServer: { ipAddr: `${own.address}%nowhere` } };
  await assert.rejects(link.until(client.resolveDns("a.example", "A", nowhere)), Deno.errors.NotConnected);
});

Deno.test("Network.connect() reaches our own listener as localhost", async () => {
  using link = new VirtualLink();
  const host = link.host(["10.0.0.1/24"]);
  host.listen({ port: 7 });
  const conn = await link.until(host.connect({ hostname: "localhost", port: 7 }));
  assert.match(conn.remoteAddr.hostname, /^(::1|127\.0\.0\.1)$/);
});
