import assert from "node:assert/strict";
import { isExample, summary } from "./example.ts";

Deno.test("summary() reads the first sentence of either kind of comment", () => {
  assert.equal(summary("/**\n * Echoes what\n * comes. Run it so.\n */\nimport x"), "Echoes what comes.");
  assert.equal(summary("// Pings: 1, 2.5 and 3. See below\n// more\nimport x"), "Pings: 1, 2.5 and 3.");
  assert.equal(summary("import x // none"), "");
});

Deno.test("isExample() tells programs from what they share", async () => {
  const read = (name: string) => Deno.readTextFile(new URL(`../examples/${name}.ts`, import.meta.url));
  assert.equal(isExample(await read("ping")), true);
  assert.equal(isExample(await read("options")), false);
});
