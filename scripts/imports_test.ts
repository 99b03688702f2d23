import assert from "node:assert/strict";
import { blankComments, checkImport, checkPurity, checkTree, layerOf } from "./imports.ts";

function edge(from: string, to: string, typeOnly = false) {
  return { from, to, typeOnly, line: 1 };
}

Deno.test("layerOf() tells wire from stack, and knows what is no layer", () => {
  assert.equal(layerOf("stack/wire/ipv4.ts"), "wire");
  assert.equal(layerOf("stack/ip/address.ts"), "stack");
  assert.equal(layerOf("net/network.ts"), "net");
  assert.equal(layerOf("mod.ts"), null);
  assert.equal(layerOf("tests/harness/namespace.ts"), null);
});

Deno.test("checkImport() accepts the layers before, and refuses the layers after", () => {
  assert.equal(checkImport(edge("stack/tcp/tcp.ts", "stack/wire/tcp.ts")), null);
  assert.equal(checkImport(edge("net/network.ts", "drivers/loop.ts")), null);
  assert.equal(checkImport(edge("examples/ping.ts", "mod.ts")), null);
  assert.match(checkImport(edge("stack/stack.ts", "drivers/tap.ts")) ?? "", /belongs to drivers/);
  assert.match(checkImport(edge("drivers/loop.ts", "net/network.ts")) ?? "", /belongs to net/);
  assert.match(checkImport(edge("net/serve.ts", "image/init.ts")) ?? "", /belongs to image/);
  assert.match(checkImport(edge("net/serve.ts", "mod.ts")) ?? "", /belongs to no layer/);
});

Deno.test("checkImport() lets wire name the types of stack, never its code", () => {
  assert.equal(checkImport(edge("stack/wire/ipv4.ts", "stack/packet.ts", true)), null);
  assert.match(checkImport(edge("stack/wire/ipv4.ts", "stack/packet.ts")) ?? "", /belongs to stack/);
  assert.match(checkImport(edge("stack/stack.ts", "drivers/tap.ts", true)) ?? "", /belongs to drivers/);
});

Deno.test("checkImport() keeps the outside out of stack, but not out of its tests", () => {
  assert.match(checkImport(edge("stack/stack.ts", "node:crypto")) ?? "", /nothing from outside/);
  assert.match(
    checkImport(edge("stack/wire/ipv4.ts", "npm:/fast-check@4.10.2")) ?? "",
    /nothing from outside/,
  );
  assert.equal(checkImport(edge("stack/stack_test.ts", "node:assert/strict")), null);
  assert.equal(checkImport(edge("drivers/loop.ts", "node:net")), null);
  assert.match(checkImport(edge("stack/stack.ts", "stack/link_test.ts")) ?? "", /is a test/);
});

Deno.test("blankComments() keeps strings, expressions and line numbers", () => {
  const source =
    'const a = "// kept"; // gone\n/* gone\n Deno.exit() */ const b = /["/]/; // gone "\nconst c = `//${1}`;';
  const blanked = blankComments(source);
  assert.equal(blanked.split("\n").length, source.split("\n").length);
  assert.ok(blanked.includes('"// kept"') && blanked.includes('/["/]/') && blanked.includes("`//${1}`"));
  assert.ok(!blanked.includes("gone") && !blanked.includes("Deno"));
});

Deno.test("checkPurity() finds each thing that stack/ must not touch", () => {
  for (
    const code of [
      "Deno.exit()",
      'import "node:fs"',
      "const t = Date.now()",
      "new Date()",
      "performance.now()",
      "Math.random()",
      "crypto.getRandomValues(x)",
      'console.log("x")',
      "setTimeout(f, 1)",
      "process.env.HOME",
    ]
  ) {
    assert.equal(checkPurity("stack/x.ts", `const a = 1;\n${code};`)[0]?.line, 2, code);
  }
  assert.deepEqual(
    checkPurity("stack/x.ts", "// Date.now()\n/** console.log */ const performances = 1;"),
    [],
  );
});

Deno.test("checkTree() finds what a real tree breaks, through Deno's own graph", async () => {
  const root = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${root}/stack/wire`, { recursive: true });
    await Deno.mkdir(`${root}/drivers`);
    await Deno.writeTextFile(`${root}/deno.json`, "{}");
    await Deno.writeTextFile(`${root}/drivers/tap.ts`, "export const tap = 1;\nexport type T = number;\n");
    await Deno.writeTextFile(
      `${root}/stack/packet.ts`,
      "export const p = Deno.pid;\nexport type B = number;\n",
    );
    await Deno.writeTextFile(
      `${root}/stack/wire/ok.ts`,
      'import type { B } from "../packet.ts";\nexport const b: B = 1;\n',
    );
    await Deno.writeTextFile(`${root}/stack/wire/bad.ts`, '// first\nexport { p } from "../packet.ts";\n');
    await Deno.writeTextFile(`${root}/stack/bad.ts`, 'export const m = await import("../drivers/tap.ts");\n');
    const found = (await checkTree(root)).map(({ file, line }) => `${file}:${line}`);
    assert.deepEqual(found, ["stack/bad.ts:1", "stack/packet.ts:1", "stack/wire/bad.ts:2"]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
