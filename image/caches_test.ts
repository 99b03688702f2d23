import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { CACHE_DIRECTORY, caches } from "./caches.ts";
import type { CpioEntry } from "./cpio.ts";

/** The modules that a cache has something of. */
async function modules(entries: readonly CpioEntry[], name: string, table: string): Promise<string[]> {
  const entry = entries.find(({ path }) => path === `${CACHE_DIRECTORY}/${name}`);
  assert.ok(entry !== undefined);
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "database");
    await Deno.writeFile(path, entry.data);
    using database = new DatabaseSync(path, { readOnly: true });
    const rows = database.prepare(`SELECT specifier FROM ${table} ORDER BY specifier`).all();
    return rows.map(({ specifier }) => String(specifier));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("caches() knows a program under its name in the guest without running it, and is the same each time", async () => {
  const mark = await Deno.makeTempFile();
  try {
    const code =
      `import { inspect } from "node:util";\nDeno.writeTextFileSync(${JSON.stringify(mark)}, "ran");\n` +
      `export const shown = inspect({});\n`;
    const first = await caches([{ path: "app/main.js", code }]);
    const second = await caches([{ path: "app/main.js", code }]);
    assert.deepEqual(first, second);
    assert.equal(await Deno.readTextFile(mark), "");
    const compiled = await modules(first, "v8_code_cache_v2", "codecache");
    assert.ok(compiled.includes("ext:deno_node/util.ts"), compiled.join(" "));
    assert.deepEqual(compiled.filter((name) => name.startsWith("file:")), ["file:///app/main.js"]);
    assert.deepEqual(await modules(first, "dep_analysis_cache_v2", "moduleinfocache"), [
      "file:///app/main.js",
    ]);
  } finally {
    await Deno.remove(mark);
  }
});
