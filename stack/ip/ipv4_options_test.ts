import assert from "node:assert/strict";
import fc from "fast-check";
import { checksumsOk, icmpFrame, udpFrame } from "../testing/frames.ts";
import { Host } from "../testing/pair.ts";
import { IpAddress } from "./address.ts";
import { check } from "../wire/ipv4_options.ts";

function host() {
  const made = new Host(1, "10.0.0.1/24");
  made.interface.arp.neighbours.setPermanent(IpAddress.parse("10.0.0.2"), 0x0200, 2);
  made.stack.poll(1_000_000);
  made.device.take();
  const ask = (options: number[]) => {
    made.device.deliver(made.interface, icmpFrame(8, 0, 1, [1, 2, 3], { options }));
    const [frame] = made.device.take();
    if (frame === undefined) return null;
    assert.ok(checksumsOk(frame.bytes));
    const header = (frame.bytes[14]! & 15) * 4;
    return {
      type: frame.bytes[14 + header],
      header: [...frame.bytes.subarray(34, 14 + header)],
      bytes: frame.bytes,
    };
  };
  return { made, ask };
}

const OURS = [10, 0, 0, 1];

Deno.test("Icmpv4 records the route of an echo both ways, as far as there is room", () => {
  const { ask } = host();
  const hop = [10, 0, 0, 9];
  const room = (count: number) => new Array(4 * count).fill(0);
  assert.deepEqual(ask([7, 15, 8, ...hop, ...room(2), 0])?.header, [7, 15, 16, ...hop, ...OURS, ...OURS, 0]);
  assert.deepEqual(ask([7, 7, 4, ...room(1), 0])?.header, [7, 7, 8, ...OURS, 0]);
  assert.deepEqual(ask([7, 7, 8, ...hop, 0])?.header, [7, 7, 8, ...hop, 0]);
  // Behind fillers, and before what does not go back.
  assert.deepEqual(ask([1, 7, 7, 4, ...room(1), 148, 4, 0, 0])?.header, [7, 7, 8, ...OURS, 0]);
});

Deno.test("Icmpv4 stamps an echo with times that are no time of day, and counts those without room", () => {
  const { ask } = host();
  const time = [0x80, 0, 3, 0xe8];
  const none = [0, 0, 0, 0];
  assert.deepEqual(ask([68, 12, 5, 0, ...none, ...none])?.header, [68, 12, 13, 0, ...time, ...time]);
  assert.deepEqual(ask([68, 8, 5, 0, ...none])?.header, [68, 8, 9, 0, ...time]);
  assert.deepEqual(ask([68, 12, 5, 1, ...none, ...none])?.header, [68, 12, 13, 1, ...OURS, ...time]);
  assert.deepEqual(ask([68, 8, 9, 0x30, ...none])?.header, [68, 8, 9, 0x40, ...none]);
  assert.deepEqual(ask([68, 12, 5, 3, ...OURS, ...none])?.header, [68, 12, 13, 3, ...OURS, ...time]);
  const other = [68, 12, 5, 3, 10, 0, 0, 7, ...none];
  assert.deepEqual(ask(other)?.header, other, "it is not our turn");
});

Deno.test("Icmpv4 leaves the options out of an answer that they would not fit into", () => {
  const { made } = host();
  const data = new Array(1500 - 28).fill(1);
  made.device.deliver(
    made.interface,
    icmpFrame(8, 0, 1, data.slice(8), { options: [7, 7, 4, 0, 0, 0, 0, 0] }),
  );
  assert.equal(made.device.take()[0]!.bytes[14], 0x47);
});

const MALFORMED: [string, number[], number][] = [
  ["no room for a length", [1, 1, 1, 7], 23],
  ["a length of 1", [7, 1, 4, 0], 20],
  ["a length beyond the header", [1, 7, 9, 4], 21],
  ["a record route without a pointer", [7, 2, 0, 0], 21],
  ["a pointer into the option's head", [7, 7, 3, 0, 0, 0, 0, 0], 22],
  ["a pointer to half an address", [7, 6, 4, 0, 0, 0, 0, 0], 22],
  ["two record routes", [7, 3, 4, 7, 3, 4, 0, 0], 23],
  ["timestamps without flags", [68, 3, 5, 0], 21],
  ["a pointer into the head of timestamps", [68, 8, 4, 0, 0, 0, 0, 0], 22],
  ["half an entry of timestamps", [68, 8, 5, 1, 0, 0, 0, 0], 22],
  ["an overflow that can't be counted", [68, 4, 5, 0xf0], 23],
  ["a source route without a pointer", [131, 2, 0, 0], 21],
  ["two source routes", [131, 3, 4, 137, 3, 4, 0, 0], 23],
  ["a router alert without a value", [148, 2, 0, 0], 21],
];

for (const [name, options, pointer] of MALFORMED) {
  Deno.test(`Ipv4 tells the sender where its options are wrong: ${name}`, () => {
    const { made, ask } = host();
    const answer = ask(options)!;
    assert.equal(answer.type, 12);
    assert.deepEqual([...answer.bytes.subarray(35, 36), answer.bytes[38]], [0, pointer]);
    assert.deepEqual([...answer.bytes.subarray(42 + 20, 42 + 20 + options.length)], options, "as they came");
    assert.equal(made.stack.ipv4.counters.dropped.badOption, 1);
  });
}

Deno.test("Ipv4 drops source routes and says nothing, even when they are used up", () => {
  const { made, ask } = host();
  assert.equal(ask([131, 7, 4, 10, 0, 0, 9, 0]), null);
  assert.equal(ask([137, 7, 8, 10, 0, 0, 9, 0]), null);
  assert.equal(made.stack.ipv4.counters.dropped.sourceRoute, 2);
});

Deno.test("Ipv4 hands a packet with options that it does not know on, and a raw handler can read them", () => {
  const { made } = host();
  const seen: number[][] = [];
  made.stack.ipv4.raw(17, {
    receive: ({ bytes, network, transport }) => seen.push([...bytes.subarray(network + 20, transport)]) > 0,
  });
  const options = [148, 4, 0, 0, 130, 5, 1, 2, 3, 0, 0, 0];
  made.device.deliver(made.interface, udpFrame(1, 2, [1], { options }));
  assert.deepEqual(seen, [options]);
});

Deno.test("check() gets to the end of whatever 40 bytes say, and what passes can be answered", () => {
  const { made, ask } = host();
  const bytes = fc.array(fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 3, 4, 5, 7, 8, 12, 68, 131, 148)), {
    minLength: 4,
    maxLength: 40,
  }).map((list) => list.slice(0, list.length & ~3));
  fc.assert(
    fc.property(bytes, (options) => {
      const view = new DataView(new ArrayBuffer(20 + options.length));
      options.forEach((byte, i) => view.setUint8(20 + i, byte));
      const wrong = check(view, 0, 20 + options.length);
      assert.ok(wrong === 0 || (wrong >= 20 && wrong < 60));
      made.stack.now += 1_000_000;
      const answer = ask(options);
      if (wrong !== 0) assert.equal(answer?.type, 12);
      else assert.ok(answer === null || answer.type === 0);
    }),
    { numRuns: 500 },
  );
  assert.deepEqual(made.errors, []);
});
