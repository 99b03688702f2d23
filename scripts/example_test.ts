import assert from "node:assert/strict";
import { summary } from "./example.ts";

Deno.test("summary() reads the first sentence of either kind of comment", () => {
  assert.equal(summary("/**\n * Echoes what\n * comes. Run it so.\n */\nimport x"), "Echoes what comes.");
  assert.equal(summary("// Sends pings: see below\n// more\nimport x"), "Sends pings:");
  assert.equal(summary("import x // none"), "");
});
