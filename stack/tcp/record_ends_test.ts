import assert from "node:assert/strict";
import { RecordEnds } from "./record_ends.ts";

Deno.test("RecordEnds gives the next place, and forgets those that were passed", () => {
  const ends = new RecordEnds();
  assert.equal(ends.after(0), Infinity);
  ends.add(400);
  ends.add(400);
  ends.add(-0x7fffff00);
  assert.equal(ends.after(0), 400);
  assert.equal(ends.after(399), 1);
  // Sequence numbers wrap.
  assert.equal(ends.after(0x7fffff00), 0x200);
  assert.equal(ends.after(-0x7fffff00), Infinity);
});

Deno.test("RecordEnds keeps a bounded number of places", () => {
  const ends = new RecordEnds();
  for (let i = 1; i <= 2000; i++) ends.add(i);
  assert.equal(ends.after(1000), 1);
  assert.equal(ends.after(1024), Infinity);
});
