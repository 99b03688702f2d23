import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeMessage, encodeMessage } from "./message.ts";
import type { DnsMessage, DnsRecord } from "./records.ts";

function bytes(...parts: (number[] | string)[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "string" ? [...part].map((character) => character.charCodeAt(0)) : part
    ),
  );
}

/** A header with one question for nothing and `answers` answers. */
function header(answers: number, questions = 0): number[] {
  return [0, 7, 0x81, 0x80, 0, questions, answers >> 8, answers & 255, 0, 0, 0, 0];
}

const RECORDS: DnsRecord[] = [
  { name: "a.example", type: "A", ttl: 60, data: "10.0.0.1" },
  { name: "a.example", type: "AAAA", ttl: 60, data: "2001:db8::1" },
  { name: "b.example", type: "CNAME", ttl: 60, data: "a.example" },
  { name: "example", type: "NS", ttl: 60, data: "ns.example" },
  { name: "example", type: "MX", ttl: 60, data: { preference: 10, exchange: "mail.example" } },
  {
    name: "_http._tcp.example",
    type: "PTR",
    ttl: 1,
    data: "My Printer\\.v2 \\\\o/._http._tcp.example",
    flush: true,
  },
  {
    name: "x._http._tcp.example",
    type: "SRV",
    ttl: 60,
    data: { priority: 1, weight: 2, port: 80, target: "a\\.b.example" },
  },
  { name: "x.example", type: "TXT", ttl: 60, data: [bytes("a=1"), bytes([]), bytes("b")] },
  {
    name: "example",
    type: "SOA",
    ttl: 60,
    data: {
      mname: "ns.example",
      rname: "me\\.too.example",
      serial: 1,
      refresh: 2,
      retry: 3,
      expire: 4,
      minimum: 5,
    },
  },
  {
    name: "example",
    type: "NAPTR",
    ttl: 60,
    data: {
      order: 1,
      preference: 2,
      flags: "S",
      services: "SIP+D2U",
      regexp: "",
      replacement: "_sip._udp.example",
    },
  },
  {
    name: "bücher.local",
    type: "NSEC",
    ttl: 60,
    data: { nextDomain: "bücher.local", rrtypes: ["A", "AAAA"] },
  },
];

Deno.test("decodeMessage() reads what encodeMessage() has made, dots within labels included", () => {
  const encoded = encodeMessage({
    id: 4711,
    response: true,
    authoritative: true,
    rcode: 0,
    questions: [{ name: "My\\.Q.example", type: "PTR", unicast: true }, { name: "q", type: "TYPE65" }],
    answers: RECORDS,
    edns: 1232,
  });
  const decoded = decodeMessage(encoded) as DnsMessage;
  assert.equal(typeof decoded, "object");
  assert.equal(decoded.id, 4711);
  assert.ok(decoded.response && decoded.authoritative && decoded.edns && !decoded.truncated);
  assert.deepEqual(decoded.questions, [
    { name: "My\\.Q.example", type: "PTR", unicast: true },
    { name: "q", type: "TYPE65" },
  ]);
  assert.deepEqual(decoded.answers, RECORDS);
});

Deno.test("decodeMessage() reads CAA, and keeps the bytes of types that it does not know", () => {
  const message = bytes(
    header(2),
    [0, 1, 1, 0, 1, 0, 0, 0, 9, 0, 12, 128, 5],
    "issuea.b.c",
    [0, 0, 99, 0, 1, 0, 0, 0, 9, 0, 2, 1, 2],
  );
  const decoded = decodeMessage(message) as DnsMessage;
  const { flags, tag, value } = decoded.answers[0]!.data as { flags: number; tag: string; value: string };
  assert.deepEqual([flags, tag, value], [128, "issue", "a.b.c"]);
  assert.deepEqual(decoded.answers[1], { name: "", type: "TYPE99", ttl: 9, data: Uint8Array.of(1, 2) });
});

const A = [0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 0, 0, 1];
for (
  const [flaw, title, message] of [
    ["truncated", "a header that is cut", bytes([0, 1, 2])],
    ["truncated", "more records than there are", bytes(header(2), [0], A)],
    ["compressionLoop", "a pointer to itself", bytes(header(1), [0xc0, 12], A)],
    ["compressionLoop", "two pointers to each other", bytes(header(1), [0xc0, 14, 0xc0, 12], A)],
    ["compressionLoop", "a pointer that leads forwards", bytes(header(1), [0xc0, 20], A)],
    ["compressionLoop", "a pointer into the header", bytes(header(1), [0xc0, 4], A)],
    ["compressionLoop", "a label in front of a pointer to it", bytes(header(1), [1, 97, 0xc0, 12], A)],
    ["badName", "a reserved label type", bytes(header(1), [0x80, 1, 0], A)],
    ["badName", "a name of 256 bytes", bytes(header(1), ...Array(64).fill("\x03abc"), [0], A)],
    ["badName", "a line feed in a label", bytes(header(1), "\x02a\n", [0], A)],
    [
      "badLength",
      "an A record of 5 bytes",
      bytes(header(1), [0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 5, 1, 2, 3, 4, 5]),
    ],
    ["badLength", "data beyond the end", bytes(header(1), [0, 0, 99, 0, 1, 0, 0, 0, 1, 1, 0, 1])],
    [
      "badLength",
      "a name beyond its record",
      bytes(header(1), [0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 2], "\x03abc\x00"),
    ],
    [
      "badLength",
      "a text beyond its record",
      bytes(header(1), [0, 0, 16, 0, 1, 0, 0, 0, 1, 0, 2, 9, 1], "aaaaaaaaa"),
    ],
    ["badRecord", "two OPT records", bytes(header(2), ...Array(2).fill([0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0]))],
    ["tooManyRecords", "1025 records", bytes(header(1025))],
    ["trailingBytes", "something behind the end", bytes(header(1), [0], A, [0])],
  ] as [string, string, Uint8Array][]
) {
  Deno.test(`decodeMessage() says "${flaw}" to ${title}`, () => assert.equal(decodeMessage(message), flaw));
}

Deno.test("decodeMessage() ends soon when 64 KiB are one chain of pointers, asked for by every record", () => {
  const chain = new Uint8Array(65535);
  chain.set(header(1024));
  for (let at = 14; at < 60000; at += 2) chain.set([0xc0 | at - 2 >> 8 & 0x3f, at - 2 & 255], at);
  const start = performance.now();
  assert.equal(typeof decodeMessage(chain), "string");
  assert.ok(performance.now() - start < 5000);
});

Deno.test("decodeMessage() never throws, whatever becomes of a message", () => {
  const good = encodeMessage({
    response: true,
    questions: [{ name: "a.b", type: "A" }],
    answers: RECORDS,
    edns: 1232,
  });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 12 }),
      fc.nat(good.length),
      (
        changes,
        length,
      ) => {
        const bad = good.slice(0, length);
        for (const [at, value] of changes) {
          if (at < bad.length) bad[at] = value;
        }
        const decoded = decodeMessage(bad);
        assert.ok(typeof decoded === "string" || Array.isArray(decoded.answers));
      },
    ),
    { numRuns: 3000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (any) => void decodeMessage(any)), {
    numRuns: 2000,
  });
});

Deno.test("decodeMessage() gives names that encodeMessage() writes as they were, or drops the message", () => {
  const label = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 63 }),
    fc.constantFrom([0xef, 0xbb, 0xbf], [0xe2, 0x80, 0xa8], [0x5c], [0x2e], [0x5c, 0x2e], [0xff]).map((
      list,
    ) => Uint8Array.from(list)),
  );
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => [
    ...labels.flatMap((one) => [one.length, ...one]),
    0,
  ]);
  fc.assert(
    fc.property(name, name, (question, target) => {
      const data = [target.length >> 8, target.length & 255, ...target];
      const message = Uint8Array.from([
        ...header(1, 1),
        ...question,
        ...[0, 12, 0, 1],
        ...question,
        ...[0, 12, 0, 1, 0, 0, 0, 9],
        ...data,
      ]);
      const decoded = decodeMessage(message);
      if (typeof decoded === "string") return;
      const { id, questions, answers } = decoded;
      const again = encodeMessage({ id, response: true, questions, answers });
      assert.deepEqual([...again.subarray(12)], [...message.subarray(12)]);
    }),
    { numRuns: 1000, seed: 3 },
  );
});
