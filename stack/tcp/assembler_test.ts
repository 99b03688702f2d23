import assert from "node:assert/strict";
import fc from "fast-check";
import { Assembler, MAX_RANGES } from "./assembler.ts";

Deno.test("Assembler agrees with a set of bytes, at any place of the sequence space", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.tuple(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 1, max: 20 })), {
        maxLength: 40,
      }),
      (base, segments) => {
        const assembler = new Assembler();
        const held = new Set<number>();
        for (const [at, length] of segments) {
          assert(assembler.add(base + at | 0, base + at + length | 0));
          for (let i = at; i < at + length; i++) held.add(i);
        }
        const ranges = new Set<number>();
        for (let i = 0; i < assembler.count; i++) {
          const start = assembler.start(i) - base | 0, end = assembler.end(i) - base | 0;
          for (let k = start; k < end; k++) ranges.add(k);
          if (i > 0) assert(start > (assembler.end(i - 1) - base | 0), "ranges touch");
        }
        assert.deepEqual([...ranges].sort((a, b) => a - b), [...held].sort((a, b) => a - b));
        let next = 1;
        while (held.has(next)) next++;
        assert.equal(assembler.take(base + 1 | 0) - base | 0, next);
      },
    ),
  );
});

Deno.test("Assembler.recent() lists ranges, the one touched last first", () => {
  const assembler = new Assembler();
  const recent = () =>
    [0, 1, 2, 3].map((nth) => assembler.recent(nth)).filter((i) => i >= 0).map((i) => assembler.start(i));
  for (const start of [10, 30, 50, 70, 90]) assembler.add(start, start + 5);
  assert.deepEqual(recent(), [90, 70, 50, 30]);
  assembler.add(15, 20);
  assert.deepEqual(recent(), [10, 90, 70, 50]);
  assembler.add(60, 75);
  assert.deepEqual(recent(), [60, 10, 90, 50]);
  assembler.take(20);
  assert.deepEqual(recent(), [60, 90, 50]);
});

Deno.test("Assembler.add() refuses a range too many, and takes those that join others", () => {
  const assembler = new Assembler();
  for (let i = 0; i < MAX_RANGES; i++) assert(assembler.add(10 * i, 10 * i + 5));
  assert.equal(assembler.add(10 * MAX_RANGES, 10 * MAX_RANGES + 5), false);
  assert.equal(assembler.add(3, 12), true);
  assert.equal(assembler.count, MAX_RANGES - 1);
});

Deno.test("Assembler.isLatest() is false for what would push one of the latest two ranges back", () => {
  const assembler = new Assembler();
  assembler.add(10, 20);
  assert(assembler.isLatest(30, 40), "one range");
  assembler.add(30, 40);
  assert(!assembler.isLatest(50, 60), "a third range");
  assembler.add(50, 60);
  assert(assembler.isLatest(60, 70), "grows the latest");
  assert(assembler.isLatest(40, 45), "grows the one before");
  assert(!assembler.isLatest(5, 10), "grows the third");
  // Ranges that were delivered do not count.
  assembler.take(50);
  assert(assembler.isLatest(80, 90), "one range is left");
});
