import assert from "node:assert/strict";
import { figure, table } from "./table.ts";

Deno.test("table() aligns the first column to the left and figures to the right", () => {
  assert.equal(
    table(["bench", "us"], [["bulk", "1,000"], ["rr", "2"]]),
    "| bench |    us |\n| ----- | ----: |\n| bulk  | 1,000 |\n| rr    |     2 |",
  );
});

Deno.test("figure() keeps three significant digits", () => {
  assert.deepEqual([0, 1.234, 12.34, 1234.5, NaN].map(figure), ["0", "1.23", "12.3", "1,235", "-"]);
});
