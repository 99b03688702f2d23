import assert from "node:assert/strict";
import { median, percentile, ratioInterval } from "./statistics.ts";

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

Deno.test("ratioInterval() is narrow for values that agree, and as wide as those that do not", () => {
  assert.deepEqual(ratioInterval([2, 2, 2], [1, 1, 1]), [2, 2]);
  const [low, high] = ratioInterval([90, 100, 110, 100, 100], [100, 50, 100, 200, 100]);
  assert.ok(low < 1 && low >= 0.45 && high > 1 && high <= 2.2, `${low} to ${high}`);
});
