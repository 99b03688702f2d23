import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../../stack/ip/address.ts";
import { decodeMessage, encodeMessage } from "../dns/message.ts";
import type { DnsRecord } from "../dns/records.ts";
import { VirtualLink } from "../testing/virtual_link.ts";

const GROUP = IpAddress.parse("224.0.0.251");

const RECORDS: DnsRecord[] = [
  { name: "printer.local", type: "A", ttl: 120, data: "10.0.0.2", flush: true },
  {
    name: "Web._http._tcp.local",
    type: "SRV",
    ttl: 120,
    data: { priority: 0, weight: 0, port: 1, target: "printer.local" },
  },
  { name: "Web._http._tcp.local", type: "TXT", ttl: 120, data: [new Uint8Array(4)] },
  { name: "_http._tcp.local", type: "PTR", ttl: 120, data: "Web._http._tcp.local" },
  { name: "printer.local", type: "NSEC", ttl: 120, data: { nextDomain: "printer.local", rrtypes: ["A"] } },
];

const MESSAGES = [
  encodeMessage({ response: true, authoritative: true, answers: RECORDS }),
  encodeMessage({
    questions: [{ name: "printer.local", type: "ANY", unicast: true }],
    authorities: RECORDS.slice(0, 1),
  }),
  encodeMessage({
    questions: [{ name: "_http._tcp.local", type: "PTR" }],
    answers: RECORDS.slice(3, 4),
    truncated: true,
  }),
];

Deno.test("Mdns takes 4,000 broken messages, and answers, browses and lets pings through as before", async () => {
  using link = new VirtualLink();
  const host = link.host(["10.0.0.1/24"], { hostname: "printer" });
  const stranger = link.host(["10.0.0.2/24"]);
  const peer = link.host(["10.0.0.3/24"]);
  await link.until(host.advertise({ name: "Web", type: "_http._tcp", port: 80 }));
  const browser = host.browse("_http._tcp");
  const socket = stranger.stack.udp.bind({ port: 5353 }, { receive() {} });
  socket.multicastLoop = false;
  const change = fc.tuple(fc.nat(400), fc.nat(255));
  const broken = fc.tuple(fc.nat(MESSAGES.length - 1), fc.array(change, { maxLength: 6 }), fc.nat(400));
  const samples = fc.sample(broken, { numRuns: 4000, seed: 7 });
  for (const [index, [which, changes, length]] of samples.entries()) {
    const bytes = MESSAGES[which]!.slice(0, length < 100 ? length : undefined);
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    socket.send(bytes, 0, bytes.length, GROUP, 5353, { hopLimit: 255 });
    if (index % 20 === 0) await link.pass(10_000);
  }
  await link.pass(30_000_000);
  assert.equal(host.stack.handlerErrors, 0);
  const { questions, cached } = host.mdns.sizes;
  assert.ok(questions <= 257 && cached <= 4096);
  const name = host.mdns.hostname!;
  assert.match(name, /^printer(-\d+)?\.local$/);
  assert.deepEqual(await link.until(peer.lookup(name)), ["10.0.0.1"]);
  const [result] = await link.until(Array.fromAsync(peer.ping("10.0.0.1", { count: 1 })));
  assert.notEqual(result!.rtt, null);
  browser.end();
});

Deno.test("Mdns answers no more than 64 questions of one message, and each once", async () => {
  using link = new VirtualLink();
  const host = link.host(["10.0.0.1/24"], { hostname: "printer" });
  const stranger = link.host(["10.0.0.2/24"]);
  await link.pass(4_000_000);
  const socket = stranger.stack.udp.bind({ port: 5353 }, { receive() {} });
  const before = host.mdns.counters.responsesSent;
  for (let i = 0; i < 100; i++) {
    const questions = Array.from({ length: 50 }, () => ({ name: "printer.local", type: "ANY" }));
    const bytes = encodeMessage({ questions });
    socket.send(bytes, 0, bytes.length, GROUP, 5353, { hopLimit: 255 });
  }
  await link.pass(100_000);
  assert.equal(host.mdns.counters.queries, 100);
  assert.equal(host.mdns.counters.responsesSent - before, 1);
});

Deno.test("Mdns takes an answer to it alone only when it has asked for one", async () => {
  using link = new VirtualLink();
  const host = link.host(["10.0.0.1/24"], { hostname: "printer" });
  const stranger = link.host(["10.0.0.2/24"]);
  await link.pass(4_000_000);
  const browser = host.browse("_http._tcp");
  await link.pass(10_000_000);
  const socket = stranger.stack.udp.bind({ port: 5353 }, { receive() {} });
  const tell = (answers: DnsRecord[]) => {
    const bytes = encodeMessage({ response: true, authoritative: true, answers });
    socket.send(bytes, 0, bytes.length, IpAddress.parse("10.0.0.1"), 5353, { hopLimit: 255 });
  };
  const { counters, sizes: { cached } } = host.mdns;
  // The host's own name, taken away; a name that will be asked for; a service that was asked for long ago.
  tell([{ name: "printer.local", type: "A", ttl: 120, data: "10.0.0.66", flush: true }]);
  tell([{ name: "bank.local", type: "A", ttl: 120, data: "10.0.0.66", flush: true }]);
  tell([{ name: "_http._tcp.local", type: "PTR", ttl: 120, data: "Web._http._tcp.local" }]);
  await link.pass(100_000);
  assert.deepEqual([counters.dropped.unasked, counters.conflicts, host.mdns.sizes.cached], [3, 0, cached]);
  const asked = host.lookup("bank.local");
  await link.pass(10_000);
  tell([{ name: "bank.local", type: "A", ttl: 120, data: "10.0.0.3", flush: true }]);
  assert.deepEqual(await link.until(asked), ["10.0.0.3"]);
  assert.equal(counters.dropped.unasked, 3);
  browser.end();
});

Deno.test("Mdns answers a simple resolver whose message has names that are no text", async () => {
  using link = new VirtualLink();
  const host = link.host(["10.0.0.1/24"], { hostname: "printer" });
  const stranger = link.host(["10.0.0.2/24"]);
  await link.pass(4_000_000);
  const socket = stranger.stack.udp.bind({ port: 5000 }, { receive() {} });
  const own = encodeMessage({ questions: [{ name: "printer.local", type: "A" }] });
  const label = (bytes: number[]) => [bytes.length, ...bytes];
  // Bytes that are not UTF-8, and a mark that a decoder may leave out.
  for (const bytes of [new Array(63).fill(0xff), [0xef, 0xbb, 0xbf], [0xe2, 0x80, 0xa8]]) {
    const message = Uint8Array.from([...own, ...label(bytes), ...label([120]), 0, 0, 1, 0, 1]);
    message[5] = 2;
    socket.send(message, 0, message.length, GROUP, 5353, { hopLimit: 255 });
  }
  await link.pass(1_000_000);
  assert.equal(host.stack.handlerErrors, 0);
  assert.deepEqual([host.mdns.counters.dropped.badName, host.mdns.counters.unicastSent], [2, 1]);
});

Deno.test("Mdns asks the same question no more than once a second, however short-lived the answers are", async () => {
  using link = new VirtualLink();
  const host = link.host(["10.0.0.1/24"]);
  const stranger = link.host(["10.0.0.2/24"]);
  const browser = host.browse("_http._tcp");
  await link.pass(10_000_000);
  let asked = 0;
  const socket = stranger.stack.udp.bind({ port: 5353 }, {
    receive(packet) {
      const message = decodeMessage(packet.bytes.subarray(packet.offset, packet.end));
      if (typeof message === "string") return;
      if (message.questions.some(({ type }) => type === "PTR")) asked++;
    },
  });
  socket.groups.join(GROUP);
  socket.multicastLoop = false;
  for (let i = 0; i < 60; i++) {
    const data = `${i}.elsewhere.local`;
    const answers: DnsRecord[] = [{ name: "_http._tcp.local", type: "PTR", ttl: 1, data }];
    const bytes = encodeMessage({ response: true, authoritative: true, answers });
    socket.send(bytes, 0, bytes.length, GROUP, 5353, { hopLimit: 255 });
    await link.pass(50_000);
  }
  assert.ok(asked > 0 && asked <= 4, `${asked}`);
  browser.end();
});
