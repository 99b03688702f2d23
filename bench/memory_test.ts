import assert from "node:assert/strict";
import { measureGarbage, measureMemory, readGarbage } from "./memory.ts";

Deno.test("readGarbage() adds what was collected to what the heap has grown by", () => {
  const line = (what: string, reason: string) =>
    `[1:0x1]  10 ms: ${what} MB, pooled: 0.0 MB, 0.25 / 0.00 ms (average mu = 1.0, current mu = 1.0) ${reason}; \n`;
  const text = line("Scavenge 9.0 (9.0) -> 1.0 (9.0)", "allocation failure") +
    line("Mark-Compact 5.0 (9.0) -> 4.0 (9.0)", "testing") +
    line("Scavenge 6.0 (9.0) -> 4.0 (9.0)", "allocation failure") +
    '{"grown":1048576,"frames":1048576,"elapsed":500}\n' +
    line("Mark-Compact 5.0 (9.0) -> 4.0 (9.0)", "testing");
  assert.deepEqual(readGarbage(text), { garbage: 3, collections: 1, pause: 0.25, rate: 1048576 * 2 });
});

// A view or an object is a hundred bytes, a number on the heap sixteen.
for (const path of ["bulk", "request", "echo", "forward"]) {
  Deno.test(`The callback path "${path}" allocates nothing a frame`, async () => {
    const { garbage } = await measureGarbage([path, "1000000"]);
    assert.ok(garbage < 8, `${garbage} bytes a frame`);
  });
}

Deno.test("An idle connection takes less than 1,500 bytes", async () => {
  const [bytes] = Object.values(await measureMemory("memory_idle"));
  assert.ok(bytes! > 0 && bytes! < 1500, `${bytes} bytes`);
});
