import assert from "node:assert/strict";
import { drawChart } from "./chart.ts";

Deno.test("drawChart() writes every bar with its multiple, and none where nothing was measured", async () => {
  const svg = await drawChart([
    { title: "Bulk in", callbacks: 1.254, connections: 0.9 },
    { title: "HTTP", callbacks: NaN, connections: 3.1 },
  ], "Linux 6, two cores");
  assert.match(svg, /^<svg /);
  for (const text of ["Bulk in", "HTTP", "1.25 ×", "0.9 ×", "3.1 ×", "Linux 6, two cores"]) {
    assert.ok(svg.includes(`>${text}</text>`), text);
  }
  assert.equal(svg.match(/ ×<\/text>/g)?.length, 3);
});
