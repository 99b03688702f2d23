import assert from "node:assert/strict";
import { a, scene } from "../testing/mdns_peer.ts";
import type { VirtualLink } from "../testing/virtual_link.ts";
import type { Browser } from "./browser.ts";
import type { ServiceEvent } from "./service.ts";

async function take(
  link: VirtualLink,
  events: Browser,
  limit?: number,
): Promise<ServiceEvent> {
  const { value } = await link.until(events.next(), limit);
  return value as ServiceEvent;
}

Deno.test("Network.browse() yields services as they come, change and go", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  const client = link.host(["10.0.0.3/24"]);
  const controller = new AbortController();
  const events = client.browse("_http._tcp", { signal: controller.signal });
  const web = await link.until(host.advertise({
    name: "Web.v2",
    type: "_http._tcp",
    port: 80,
    txt: { path: "/x", flag: true },
    subtypes: ["_printer"],
  }));
  const service = {
    name: "Web.v2",
    type: "_http._tcp",
    hostname: "printer.local",
    port: 80,
    txt: Object.assign(Object.create(null), { path: "/x", flag: true }),
    interface: client.interface.name,
  };
  assert.deepEqual(await take(link, events), { kind: "found", service });
  const printers = client.browse("_printer._sub._http._tcp");
  assert.deepEqual((await take(link, printers)).service.name, "Web.v2");
  peer.tell({
    name: "Web\\.v2._http._tcp.local",
    type: "TXT",
    ttl: 120,
    data: [new Uint8Array(0)],
    flush: true,
  });
  assert.equal((await take(link, events)).kind, "changed");
  host.serve({ port: 80, onListen() {} }, () => new Response("hello"));
  const response = await link.until(client.fetch(`http://${service.hostname}/`));
  assert.equal(await link.until(response.text()), "hello");
  web.close();
  assert.deepEqual((await take(link, events)).kind, "lost");
  const last = events.next();
  controller.abort();
  assert.equal((await link.until(last)).done, true);
  await link.until(printers.return());
  assert.equal(client.mdns.sizes.questions, 0);
});

Deno.test("Network.browse() asks ever less often, and tells what it knows", async () => {
  using here = await scene();
  const { link, peer, host } = here;
  const events = host.browse("_x._udp");
  const next = events.next();
  await link.pass(16_000_000);
  assert.equal(peer.queries().length, 5, "At 0, 1, 3, 7 and 15 s");
  assert.deepEqual(peer.queries().map(({ questions }) => questions[0]!.unicast ?? false), [
    true,
    false,
    false,
    false,
    false,
  ]);
  const pointer = { name: "_x._udp.local", type: "PTR", ttl: 4500, data: "One._x._udp.local" };
  peer.tell(pointer);
  await link.pass(17_000_000);
  const asked = peer.queries().filter(({ questions }) => questions[0]!.name === "_x._udp.local").at(-1)!;
  assert.deepEqual(asked.answers.map(({ data }) => data), ["One._x._udp.local"]);
  await link.until(Promise.all([events.return(), next]));
});

Deno.test("Network.browse() asks again before a record's life ends, and tells when it has", async () => {
  using here = await scene();
  const { link, peer, host } = here;
  const events = host.browse("_x._udp");
  const found = take(link, events);
  await link.pass(200_000);
  peer.tell(
    { name: "_x._udp.local", type: "PTR", ttl: 100, data: "One._x._udp.local" },
    {
      name: "One._x._udp.local",
      type: "SRV",
      ttl: 1000,
      data: { priority: 0, weight: 0, port: 1, target: "h.local" },
    },
    { name: "One._x._udp.local", type: "TXT", ttl: 1000, data: [new Uint8Array(0)] },
  );
  assert.equal((await found).kind, "found");
  const start = link.now;
  peer.heard.length = 0;
  const lost = await take(link, events);
  assert.equal(lost.kind, "lost");
  assert.ok(Math.abs(link.now - start - 100_000_000) < 1_000_000);
  const times = peer.heard.filter(({ message }) =>
    message.questions.some(({ name }) => name === "_x._udp.local")
  )
    .map(({ at }) => (at - start) / 1_000_000);
  for (const percent of [80, 85, 90, 95]) {
    assert.ok(times.some((time) => time >= percent && time <= percent + 3), `${percent} of ${times}`);
  }
  await link.until(events.return());
});

Deno.test("Network.lookup() resolves names of the link, and names of no host to nothing", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  const client = link.host(["10.0.0.3/24"]);
  assert.deepEqual(await link.until(client.lookup("printer.local")), ["10.0.0.1"]);
  assert.deepEqual(
    await link.until(client.resolveDns("10.0.0.1", "PTR", {}).catch((error) => error.name)),
    "NotConnected",
  );
  const start = link.now;
  await assert.rejects(link.until(client.lookup("nobody.local")), Deno.errors.NotFound);
  assert.ok(link.now - start >= 3_000_000 && link.now - start < 3_200_000);
  assert.deepEqual(
    await link.until(host.lookup("printer.local")),
    ["10.0.0.1"],
    "Our own name needs nobody else",
  );
  const controller = new AbortController();
  const waiting = client.lookup("nobody2.local", { signal: controller.signal });
  link.at(link.now + 100_000, () => controller.abort(new Error("Enough")));
  await assert.rejects(link.until(waiting), /Enough/);
  const off = link.host(["10.0.0.4/24"], { dns: { mdns: false } });
  peer.heard.length = 0;
  await assert.rejects(link.until(off.lookup("printer.local")), Deno.errors.NotFound);
  assert.equal(peer.heard.length, 0);
});

Deno.test("Network.lookup() waits but a moment for addresses of the other version", async () => {
  using here = await scene();
  const { link, host, peer } = here;
  const looking = host.lookup("other.local");
  await link.pass(1_000);
  peer.tell(a("other.local", "10.0.0.2"));
  const start = link.now;
  assert.deepEqual(await link.until(looking), ["10.0.0.2"]);
  assert.ok(link.now - start < 300_000);
});
