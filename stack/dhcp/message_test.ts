import assert from "node:assert/strict";
import fc from "fast-check";
import { COOKIE, FILE, MessageType, Option, SNAME } from "../wire/dhcp.ts";
import { parseMessage, readOffer } from "./message.ts";

type Options = readonly (readonly [code: number, value: readonly number[]])[];

const list = (options: Options) => options.flatMap(([code, value]) => [code, value.length, ...value]);
const text = (value: string) => [...new TextEncoder().encode(value)];

const TERMS: Options = [
  [Option.MessageType, [MessageType.Offer]],
  [Option.Server, [10, 0, 0, 1]],
  [Option.LeaseTime, [0, 0, 1, 0]],
  [Option.SubnetMask, [255, 255, 255, 0]],
];

/** A server's message for 10.0.0.50. @param file Bytes of the file's field. @param sname Of the server's name's. */
function message(options: Options, file: number[] = [], sname: number[] = []): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array([
    ...new Array<number>(COOKIE).fill(0),
    0x63,
    0x82,
    0x53,
    0x63,
    ...list(options),
    255,
  ]);
  bytes.set([2, 1, 6]);
  bytes.set([10, 0, 0, 50], 16);
  bytes.set(sname, SNAME);
  bytes.set(file, FILE);
  return bytes;
}

function offer(bytes: Uint8Array<ArrayBuffer>) {
  let bad = 0;
  const parsed = parseMessage(bytes);
  return { offer: parsed === null ? null : readOffer(parsed, () => bad++), bad: () => bad };
}

Deno.test("parseMessage() reads options from the fields of the file and of the server's name, when told so", () => {
  const file = [...list([[Option.NameServer, [10, 0, 0, 53]], [Option.DomainName, text("la")]]), 255];
  const sname = [
    0,
    0,
    ...list([[Option.DomainName, text("n.example")], [Option.NtpServer, [10, 0, 0, 123]]]),
    255,
  ];
  const read = (overload: number) =>
    offer(message([...TERMS, [Option.Overload, [overload]]], file, sname)).offer!;
  // The parts of one option are one: first those of the options, of the file, of the name (RFC 3396).
  const both = read(3);
  assert.deepEqual([both.nameServers, both.timeServers].flat().map(String), ["10.0.0.53", "10.0.0.123"]);
  assert.equal(both.domain, "lan.example");
  assert.deepEqual([read(1).domain, read(1).timeServers.length], ["la", 0]);
  assert.deepEqual([read(2).domain, read(2).nameServers.length], ["n.example", 0]);
  for (const nothing of [0, 4, 252]) assert.equal(read(nothing).domain, null);
});

Deno.test("parseMessage() is not led round by an overload option in an overloaded field, nor over its end", () => {
  const again = list([[Option.Overload, [3]], [Option.DomainName, text("example")]]);
  const { offer: taken } = offer(message([...TERMS, [Option.Overload, [1]]], again, again));
  assert.equal(taken?.domain, "example", "once");
  const over = [...new Array<number>(126).fill(0), Option.NameServer, 4];
  assert.equal(parseMessage(message([...TERMS, [Option.Overload, [1]]], over)), null);
  const overName = [...new Array<number>(62).fill(0), Option.NameServer, 200];
  assert.equal(parseMessage(message([...TERMS, [Option.Overload, [2]]], [], overName)), null);
  assert.notEqual(parseMessage(message(TERMS, over, overName)), null, "nobody says that there are options");
  // Full to the last byte, without an end.
  const full = [...new Array<number>(122).fill(0), Option.NameServer, 4, 10, 0, 0, 9];
  assert.equal(full.length, 128);
  assert.equal(offer(message([...TERMS, [Option.Overload, [1]]], full)).offer?.nameServers.length, 1);
});

Deno.test("parseMessage() refuses what is cut, for another link, or no answer", () => {
  const good = message(TERMS);
  assert.notEqual(parseMessage(good), null);
  for (let length = 0; length < COOKIE + 4; length++) assert.equal(parseMessage(good.slice(0, length)), null);
  for (const [at, byte] of [[0, 1], [1, 6], [2, 8], [COOKIE, 0]] as const) {
    assert.equal(parseMessage(good.with(at, byte)), null, `${byte} at ${at}`);
  }
  assert.equal(parseMessage(message([])), null, "of no kind");
  assert.equal(parseMessage(message([[Option.MessageType, [2, 2]]])), null, "of two kinds");
  const long = message([...TERMS, [Option.NameServer, [1, 2, 3, 4]]]);
  long[long.length - 6] = 200;
  assert.equal(parseMessage(long), null, "an option that runs over the end");
});

Deno.test("readOffer() leaves out what makes no sense, and counts it", () => {
  for (
    const [name, option, value, what] of [
      ["three bytes of an address", Option.Router, [1, 2, 3], "routers"],
      ["a group as a router", Option.Router, [224, 0, 0, 1], "routers"],
      ["no address at all", Option.NameServer, [0, 0, 0, 0], "nameServers"],
      ["a class E server", Option.NtpServer, [240, 0, 0, 1], "timeServers"],
      ["a prefix of 33 bits", Option.ClasslessRoutes, [33, 1, 2, 3, 4, 5, 10, 0, 0, 1], "routes"],
      ["a route without its router", Option.ClasslessRoutes, [24, 10, 1, 2, 10, 0, 0], "routes"],
      ["a route over a loopback", Option.ClasslessRoutes, [0, 127, 0, 0, 1], "routes"],
      ["a pointer to itself", Option.SearchList, [0xc0, 0], "searchDomains"],
      ["a pointer to the end", Option.SearchList, [1, 97, 0xc0, 4], "searchDomains"],
      ["a label beyond the end", Option.SearchList, [60, 97], "searchDomains"],
      ["a name with a blank", Option.DomainName, text("a b"), "searchDomains"],
      ["a name of dots", Option.DomainName, text("a..b"), "searchDomains"],
      ["a name of 250 letters", Option.DomainName, new Array<number>(250).fill(97), "searchDomains"],
    ] as const
  ) {
    const { offer: taken, bad } = offer(message([...TERMS, [option, value]]));
    assert.deepEqual([taken?.[what].length, bad()], [0, 1], name);
  }
  for (
    const [option, value] of [[Option.Mtu, [0, 68]], [Option.Mtu, [9]], [Option.RenewalTime, [
      0,
      0,
      9,
      0,
    ]]] as const
  ) {
    const { offer: taken, bad } = offer(message([...TERMS, [option, [...value]]]));
    assert.deepEqual([taken?.mtu, taken?.renewal, bad()], [0, 128, 1]);
  }
  const { offer: holes, bad } = offer(
    message([...TERMS.slice(0, 3), [Option.SubnetMask, [255, 0, 255, 0]]]),
  );
  assert.deepEqual([`${holes?.address}`, bad()], ["10.0.0.50/8", 1]);
});

Deno.test("readOffer() refuses an offer without a server or a lease, and addresses of no host", () => {
  for (const gone of [Option.Server, Option.LeaseTime]) {
    assert.equal(offer(message(TERMS.filter(([code]) => code !== gone))).offer, null, `${gone}`);
  }
  for (const short of [[0, 0, 0, 0], [0, 0, 0, 9]]) {
    const rest = TERMS.filter(([code]) => code !== Option.LeaseTime);
    assert.equal(offer(message([...rest, [Option.LeaseTime, short]])).offer, null);
  }
  for (const address of [[0, 0, 0, 0], [127, 0, 0, 5], [224, 0, 0, 5], [10, 0, 0, 0], [10, 0, 0, 255]]) {
    const bytes = message(TERMS);
    bytes.set(address, 16);
    assert.equal(offer(bytes).offer, null, address.join("."));
  }
});

Deno.test("readOffer() takes no more than so many values, however long an option is", () => {
  const many = Array.from(
    { length: 20 },
    () => [Option.NameServer, new Array<number>(252).fill(10)] as const,
  );
  assert.equal(offer(message([...TERMS, ...many])).offer?.nameServers.length, 32);
  const routes = Array.from(
    { length: 20 },
    () => [Option.ClasslessRoutes, new Array<number>(250).fill(0)] as const,
  );
  assert.equal(offer(message([...TERMS, ...routes])).offer?.routes.length, 32);
});

Deno.test("parseMessage() and readOffer() take any bytes", () => {
  const field = fc.uint8Array({ maxLength: 128 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), field, field, fc.nat(3), (rest, file, sname, overload) => {
      const start = message([...TERMS, [Option.Overload, [overload]]], [...file], [...sname.subarray(0, 64)]);
      offer(Uint8Array.from([...start.subarray(0, start.length - 1), ...rest]));
    }),
    { numRuns: 3000 },
  );
});
