import assert from "node:assert/strict";
import { encodeMessage } from "./dns/message.ts";
import type { DnsRecord } from "./dns/records.ts";
import type { Network } from "./network.ts";
import { NameServer } from "./testing/name_server.ts";
import { VirtualLink } from "./testing/virtual_link.ts";

const RECORDS: DnsRecord[] = [
  { name: "both.example", type: "A", ttl: 60, data: "10.0.0.2" },
  { name: "both.example", type: "AAAA", ttl: 60, data: "2001:db8::2" },
  // Nobody has these, so packets to them wait for a neighbour and end there.
  { name: "hole.example", type: "A", ttl: 60, data: "10.0.0.2" },
  { name: "hole.example", type: "AAAA", ttl: 60, data: "2001:db8::99" },
  { name: "hole.example", type: "AAAA", ttl: 60, data: "2001:db8::98" },
  { name: "dead.example", type: "A", ttl: 60, data: "10.0.0.99" },
  { name: "four.example", type: "A", ttl: 60, data: "10.0.0.2" },
];

/** A client, a host that serves, and a name server. */
function scene() {
  const link = new VirtualLink();
  const client = link.host(["10.0.0.1/24", "2001:db8::1/64"], { dns: { servers: ["10.0.0.53"] } });
  const peer = link.host(["10.0.0.2/24", "2001:db8::2/64"]);
  const server = new NameServer(link.host(["10.0.0.53/24"]), "example", RECORDS);
  return { link, client, peer, server, [Symbol.dispose]: () => link[Symbol.dispose]() };
}

/** Holds answers of one type back for so many µs. */
function slow(server: NameServer, link: VirtualLink, type: string, delay: number): void {
  server.liar = ({ query, honest, send }) => {
    if (query.questions[0]!.type !== type) return false;
    link.at(link.now + delay, () => send(encodeMessage(honest)));
    return true;
  };
}

async function connected(link: VirtualLink, client: Network, hostname: string) {
  const start = link.now;
  const conn = await link.until(client.connect({ hostname, port: 7 }));
  const took = link.now - start;
  const peer = conn.remoteAddr.hostname;
  conn.close();
  return { peer, took };
}

Deno.test("Network.connect() prefers IPv6 when both versions are there", async () => {
  using here = scene();
  const { link, client, peer } = here;
  peer.listen({ port: 7 });
  const { peer: reached, took } = await connected(link, client, "both.example");
  assert.equal(reached, "2001:db8::2");
  assert.ok(took < 50_000, `${took}`);
});

Deno.test("Network.connect() waits 50 ms for IPv6 addresses, and no longer (RFC 8305, section 3)", async () => {
  using here = scene();
  const { link, client, peer, server } = here;
  peer.listen({ port: 7 });
  slow(server, link, "AAAA", 40_000);
  assert.equal((await connected(link, client, "both.example")).peer, "2001:db8::2");
  client.resolver.clear();
  slow(server, link, "AAAA", 500_000);
  const { peer: reached, took } = await connected(link, client, "both.example");
  assert.equal(reached, "10.0.0.2");
  assert.ok(took >= 50_000 && took < 80_000, `${took}`);
});

Deno.test("Network.connect() does not wait for IPv4 addresses when those of IPv6 are there", async () => {
  using here = scene();
  const { link, client, peer, server } = here;
  peer.listen({ port: 7 });
  slow(server, link, "A", 500_000);
  const { peer: reached, took } = await connected(link, client, "both.example");
  assert.equal(reached, "2001:db8::2");
  assert.ok(took < 40_000, `${took}`);
});

Deno.test("Network.connect() tries the other version after 250 ms, and cancels who was slower", async () => {
  using here = scene();
  const { link, client, peer } = here;
  peer.listen({ port: 7 });
  const { peer: reached, took } = await connected(link, client, "hole.example");
  assert.equal(reached, "10.0.0.2", "The versions take turns although IPv6 has two addresses");
  assert.ok(took >= 250_000 && took < 300_000, `${took}`);
  await link.pass(1_000);
  let opening = 0;
  client.stack.tcp.forEach(({ remote }) => void (remote.version === 6 && opening++));
  assert.equal(opening, 0);
});

Deno.test("Network.connect() goes on at once when an address refuses", async () => {
  using here = scene();
  const { link, client, peer } = here;
  peer.listen({ port: 7, hostname: "10.0.0.2" });
  const { peer: reached, took } = await connected(link, client, "both.example");
  assert.equal(reached, "10.0.0.2");
  assert.ok(took < 100_000, `${took}`);
});

Deno.test("Network.connect() tells why, when no address answers", async () => {
  using here = scene();
  const { link, client } = here;
  const connect = (hostname: string, more = {}) =>
    link.until(client.connect({ hostname, port: 81, ...more }));
  await assert.rejects(connect("both.example"), (error: Error & { code?: string }) => {
    assert.ok(error instanceof Deno.errors.ConnectionRefused);
    assert.equal(error.code, "ECONNREFUSED");
    assert.match(error.message, /both\.example:81.*2001:db8::2.*10\.0\.0\.2/s);
    return true;
  });
  await assert.rejects(connect("four.example"), Deno.errors.ConnectionRefused);
  await assert.rejects(connect("no.example"), { name: "NotFound", code: "ENOTFOUND" });
  const start = link.now;
  await assert.rejects(connect("dead.example", { timeout: 300 }), Deno.errors.TimedOut);
  assert.ok(link.now - start < 310_000);
  const controller = new AbortController();
  link.at(link.now + 100_000, () => controller.abort(new Error("Enough")));
  await assert.rejects(connect("dead.example", { signal: controller.signal }), /Enough/);
  await assert.rejects(connect("dead.example", { signal: AbortSignal.abort(new Error("Before")) }), /Before/);
  await assert.rejects(connect("a..b"), TypeError);
  await assert.rejects(connect("both.example", { port: 0 }), RangeError);
});

Deno.test("Network.fetch(), ping() and datagrams take names", async () => {
  using here = scene();
  const { link, client, peer } = here;
  peer.serve({ port: 80, onListen() {} }, (request) => new Response(new URL(request.url).host));
  const text = client.fetch("http://both.example/").then((response) => response.text());
  assert.equal(await link.until(text), "both.example");
  const [result] = await link.until(Array.fromAsync(client.ping("both.example", { count: 1 })));
  assert.notEqual(result!.rtt, null);
  const socket = peer.listenDatagram({ port: 9 });
  const sending = client.listenDatagram({ port: 0 });
  await link.until(sending.send(Uint8Array.of(1, 2), { hostname: "four.example", port: 9 }));
  assert.deepEqual((await link.until(socket.receive()))[0], Uint8Array.of(1, 2));
  await assert.rejects(
    link.until(sending.send(Uint8Array.of(1), { hostname: "no.example", port: 9 })),
    Deno.errors.NotFound,
  );
  assert.deepEqual(await link.until(client.lookup("both.example")), ["2001:db8::2", "10.0.0.2"]);
});

Deno.test("Network.connect() asks for addresses of its own versions alone", async () => {
  using here = scene();
  const { link, server } = here;
  const old = link.host(["10.0.0.3/24"], { dns: { servers: ["10.0.0.53"] } });
  assert.deepEqual(await link.until(old.lookup("both.example")), ["10.0.0.2"]);
  assert.deepEqual(server.questions.map(({ questions }) => questions[0]!.type), ["A"]);
});
