import assert from "node:assert/strict";

const ROOT = new URL("../", import.meta.url);

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

Deno.test("README.md lists every task of deno.json, and no other", async () => {
  const tasks = Object.keys(JSON.parse(await read("deno.json")).tasks).sort();
  const table = (await read("README.md")).matchAll(/^\| `deno task ([a-z:_]+)/gm);
  assert.deepEqual([...new Set([...table].map(([, name]) => name))].sort(), tasks);
});

Deno.test("README.md shows the folders that there are", async () => {
  const tree = /```\n(deno\.json[\s\S]*?)```/.exec(await read("README.md"))?.[1] ?? "";
  const shown = [...tree.matchAll(/^([a-z]+)\/ /gm)].map(([, name]) => name).sort();
  const folders = (await Array.fromAsync(Deno.readDir(ROOT)))
    .filter((entry) =>
      entry.isDirectory && !entry.name.startsWith(".") &&
      !["node_modules", "build", "coverage"].includes(entry.name)
    )
    .map((entry) => entry.name).sort();
  assert.deepEqual(shown, folders);
});

Deno.test("README.md and bench/README.md link to files that exist", async () => {
  for (const [document, base] of [["README.md", ""], ["bench/README.md", "bench/"]] as const) {
    for (const [, target = ""] of (await read(document)).matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      await Deno.stat(new URL(base + target, ROOT));
    }
  }
});

Deno.test("README.md and .ci/run name one version of Deno", async () => {
  const versions = [await read("README.md"), await read(".ci/run")]
    .flatMap((text) => [...text.matchAll(/deno@(\d+\.\d+\.\d+)/g)].map(([, version]) => version));
  assert.equal(new Set(versions).size, 1, versions.join(", "));
});
