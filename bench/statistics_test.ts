import assert from "node:assert/strict";
import { median, pairedRatio, percentile } from "./statistics.ts";

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

Deno.test("pairedRatio() takes out what both values of a pair have in common", () => {
  assert.deepEqual(pairedRatio([2, 20, 200], [1, 10, 100]), { ratio: 2, low: 2, high: 2 });
});

Deno.test("pairedRatio() is as wide as pairs disagree", () => {
  const { ratio, low, high } = pairedRatio([90, 100, 110, 100, 100], [100, 50, 100, 200, 100]);
  assert.equal(ratio, 1);
  assert.ok(low < 1 && low >= 0.5 && high > 1 && high <= 2, `${low} to ${high}`);
});
