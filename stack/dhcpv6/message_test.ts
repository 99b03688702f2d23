import assert from "node:assert/strict";
import fc from "fast-check";
import { parseMessage } from "./message.ts";
import { NOTHING_GIVEN } from "./options.ts";
import { writeMessage } from "./output.ts";

const ADDRESS = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

function option(code: number, value: number[]): number[] {
  return [code >> 8, code & 255, value.length >> 8, value.length & 255, ...value];
}

Deno.test("parseMessage() reads addresses, prefixes and servers", () => {
  const address = option(5, [...ADDRESS, 0, 0, 0, 60, 0, 0, 0, 120]);
  const prefix = option(26, [0, 0, 0, 60, 0, 0, 0, 120, 56, ...ADDRESS.slice(0, 8), ...new Array(8).fill(0)]);
  const bytes = new Uint8Array([
    ...[7, 1, 2, 3],
    ...option(1, [0, 3, 0, 1]),
    ...option(2, [9, 9]),
    ...option(3, [0, 0, 0, 7, 0, 0, 0, 30, 0, 0, 0, 45, ...address]),
    ...option(25, [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, ...prefix]),
    ...option(23, ADDRESS),
    ...option(24, [3, 108, 97, 110, 0]),
    ...option(56, option(1, ADDRESS)),
  ]);
  let bad = 0;
  const message = parseMessage(bytes, () => bad++)!;
  assert.equal(bad, 0);
  assert.equal(`${message.addresses!.networks[0]!.network}`, "2001:db8::9/128");
  assert.deepEqual([message.addresses!.renewal, message.addresses!.rebinding], [30, 45]);
  assert.equal(`${message.prefixes!.networks[0]!.network}`, "2001:db8::/56");
  assert.deepEqual(message.nameServers.map(String), ["2001:db8::9"]);
  assert.deepEqual(message.searchDomains, ["lan"]);
  assert.deepEqual(message.timeServers.map(String), ["2001:db8::9"]);
  bytes[7] = 200;
  assert.equal(parseMessage(bytes, () => {}), null, "an option that runs over the end");
});

Deno.test("parseMessage() leaves out what makes no sense", () => {
  const lifetimes = option(5, [...ADDRESS, 0, 0, 1, 0, 0, 0, 0, 120]);
  let bad = 0;
  const message = parseMessage(
    new Uint8Array([
      ...[7, 0, 0, 0],
      ...option(3, [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, ...lifetimes]),
      ...option(25, [0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 3]),
      ...option(23, [1, 2, 3]),
      ...option(24, [200, 0]),
      ...option(82, [0, 0, 0, 1]),
    ]),
    () => bad++,
  )!;
  assert.equal(bad, 5);
  assert.deepEqual(message.addresses!.networks, []);
  assert.equal(message.prefixes, null);
  assert.equal(message.solicitMost, 0);
});

Deno.test("parseMessage() takes any bytes", () => {
  const code = fc.oneof(fc.constantFrom(1, 2, 3, 5, 13, 23, 24, 25, 26, 56), fc.nat(65535));
  const options = fc.array(fc.tuple(code, fc.array(fc.nat(255), { maxLength: 60 })), { maxLength: 8 });
  fc.assert(fc.property(options, fc.nat(300), (list, cut) => {
    const bytes = new Uint8Array([7, 0, 0, 0, ...list.flatMap(([number, value]) => option(number, value))]);
    parseMessage(bytes, () => {});
    parseMessage(bytes.slice(0, cut), () => {});
  }));
});

Deno.test("writeMessage() says what parseMessage() understands", () => {
  const bytes = writeMessage({
    type: 1,
    transaction: 0x010203,
    client: new Uint8Array([1, 2, 3]),
    server: new Uint8Array([4]),
    elapsed: 300,
    association: 7,
    given: NOTHING_GIVEN,
    prefixes: true,
    rapid: true,
  });
  const message = parseMessage(bytes, () => assert.fail())!;
  assert.deepEqual([...message.client!], [1, 2, 3]);
  assert.deepEqual([...message.server!], [4]);
  assert.equal(message.rapid, true);
  assert.equal(message.addresses!.id, 7);
  assert.equal(message.prefixes!.id, 7);
});
