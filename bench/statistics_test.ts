import assert from "node:assert/strict";
import { median, percentile } from "./statistics.ts";

Deno.test("percentile() is the nearest rank, whatever the order", () => {
  const values = [5, 1, 4, 2, 3, 10, 9, 8, 7, 6];
  assert.equal(percentile(values, 0.5), 5);
  assert.equal(percentile(values, 0.99), 10);
  assert.equal(percentile(values, 0), 1);
  assert.equal(percentile([], 0.5), NaN);
});

Deno.test("median() sorts numbers as numbers", () => {
  assert.equal(median([100, 20, 3]), 20);
});
