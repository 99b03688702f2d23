import assert from "node:assert/strict";
import fc from "fast-check";
import { allocateArena } from "../arena.ts";
import type { Device } from "../device.ts";
import { Packet, Region } from "../packet.ts";
import { add, fold, sum, sumHeader, sumPacket, swap, update, updateWord } from "./checksum.ts";

/** RFC 1071, section 1, byte pair by byte pair. */
function oracle(bytes: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 65536);
  return total;
}

/** 0 and 0xffff are both zero in ones' complement. */
function same(actual: number, expected: number): void {
  assert.equal(actual % 0xffff, expected % 0xffff);
  // A sum is 0 only of zero bytes.
  assert.equal(actual === 0, expected === 0);
}

Deno.test("sum() gives the example of RFC 1071, section 3", () => {
  const region = new Region(new ArrayBuffer(8));
  region.bytes.set([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
  assert.equal(sum(region, 0, 8), 0xddf2);
});

Deno.test("sum() equals the sum of byte pairs at any alignment and length", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(9),
      fc.nat(9),
      (bytes, skew, at) => {
        const region = new Region(new ArrayBuffer(400), skew);
        region.bytes.fill(0xa5);
        region.bytes.set(bytes, at);
        same(sum(region, at, bytes.length), oracle(bytes));
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("sum() does not overflow over the longest range of ones", () => {
  for (const length of [65535, 65536, 65537, 200_001]) {
    const region = new Region(new ArrayBuffer(length + 4));
    region.bytes.fill(0xff);
    for (const at of [0, 1, 2, 3]) {
      same(sum(region, at, length), oracle(region.bytes.subarray(at, at + length)));
    }
  }
});

Deno.test("sum() with vectors equals the sum of words at any place and length", () => {
  const arena = allocateArena(70_000);
  assert.notEqual(arena.vectorSum, null);
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      fc.nat(70),
      fc.integer({ min: 0, max: 66_000 }),
      (pattern, at, length) => {
        for (let i = 0; i < arena.bytes.length; i += pattern.length) {
          arena.bytes.set(pattern.subarray(0, arena.bytes.length - i), i);
        }
        const words = new Region(arena.bytes.slice().buffer);
        same(sum(arena, at, length), sum(words, at, length));
        same(sum(arena, at, length), oracle(arena.bytes.subarray(at, at + length)));
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("sum() with vectors does not overflow over the longest range of ones", () => {
  const arena = allocateArena(300_000);
  arena.bytes.fill(0xff);
  for (const length of [65536, 131072, 131071, 131136, 299_999]) {
    same(sum(arena, 1, length), oracle(arena.bytes.subarray(1, 1 + length)));
  }
});

Deno.test("allocateArena() gives plain memory where there is no WebAssembly", () => {
  const { Memory } = WebAssembly;
  try {
    (WebAssembly as { Memory: unknown }).Memory = undefined;
    const region = allocateArena(1000);
    assert.equal(region.vectorSum, null);
    region.bytes.fill(1);
    same(sum(region, 0, 1000), oracle(region.bytes));
  } finally {
    WebAssembly.Memory = Memory;
  }
});

Deno.test("Region has words for a block shorter than a word", () => {
  for (let offset = 0; offset < 4; offset++) {
    for (let length = 0; length < 4; length++) {
      const region = new Region(new ArrayBuffer(8), offset, length);
      region.bytes.fill(7);
      same(sum(region, 0, length), oracle(region.bytes));
    }
  }
});

Deno.test("sumPacket() sums slot and pieces as one range when boundaries are odd", () => {
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }),
    (own, first, second) => {
      const region = new Region(new ArrayBuffer(64)), ring = new Region(new ArrayBuffer(128));
      const packet = new Packet({} as Device, region, 0, 0, 64);
      region.bytes.set(own, 3);
      packet.reset(3, 3 + own.length);
      ring.bytes.set(first, 61);
      ring.bytes.set(second, 5);
      packet.append(ring, 61, first.length);
      if (second.length > 0) packet.append(ring, 5, second.length);
      same(sumPacket(packet, 3), oracle(new Uint8Array([...own, ...first, ...second])));
      packet.dropPieces();
    },
  ));
});

Deno.test("update() and updateWord() give what summing again gives", () => {
  const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), word, fc.nat(4), (bytes, value, place) => {
      const region = new Region(new ArrayBuffer(20));
      region.bytes.set(bytes);
      region.bytes[0]! |= 1;
      const before = ~sum(region, 0, 20) & 0xffff;
      const old = region.view.getInt32(place * 4);
      region.view.setInt32(place * 4, value);
      const after = updateWord(before, old, value);
      same(add(sum(region, 0, 20), after), 0xffff);
      region.view.setUint16(2, 0x1234);
      const half = update(after, place === 0 ? value & 0xffff : bytes[2]! << 8 | bytes[3]!, 0x1234);
      same(add(sum(region, 0, 20), half), 0xffff);
    }),
  );
});

Deno.test("add(), swap(), fold() and sumHeader() agree with sum()", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 8, maxLength: 8 }), (bytes) => {
    const region = new Region(new ArrayBuffer(8));
    region.bytes.set(bytes);
    same(sumHeader(region.view, 0, 8), sum(region, 0, 8));
    same(add(sum(region, 0, 4), sum(region, 4, 4)), sum(region, 0, 8));
    same(add(sum(region, 0, 3), swap(sum(region, 3, 5))), sum(region, 0, 8));
    same(fold(region.view.getUint32(0)), sum(region, 0, 4));
  }));
});
