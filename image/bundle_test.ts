import assert from "node:assert/strict";
import { join } from "node:path";
import { bundle, importBuiltins } from "./bundle.ts";

const REQUIRE = `import { createRequire as __deno_internal_createRequire } from "node:module";
var __require = __deno_internal_createRequire(import.meta.url);
`;

Deno.test("importBuiltins() imports the builtin modules that a bundle asks for, on as many lines", () => {
  const code =
    `var a;\n${REQUIRE}f(__require("node:buffer"), __require("util"), __require("node:buffer"));\n`;
  assert.equal(
    importBuiltins(code),
    `var a;\nimport __builtin0 from "node:buffer"; import __builtin1 from "node:util";\n` +
      `var __require = (name) => ({ "node:buffer": __builtin0, "util": __builtin1 })[name];\n` +
      `f(__require("node:buffer"), __require("util"), __require("node:buffer"));\n`,
  );
});

Deno.test("importBuiltins() leaves code alone that asks for files, by computed names, or for more than modules", () => {
  for (const use of ['__require("./a.js")', "__require(name)", "__require.resolve", "f(__require)"]) {
    const code = `${REQUIRE}${use};\n`;
    assert.equal(importBuiltins(code), code, use);
  }
  assert.equal(importBuiltins("const a = 1;\n"), "const a = 1;\n");
});

Deno.test("bundle() makes code of a CommonJS module that runs, and does not load all of Node for it", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      join(directory, "bytes.cjs"),
      `const { Buffer } = require("node:buffer");\nmodule.exports = { hex: (text) => Buffer.from(text).toString("hex") };\n`,
    );
    await Deno.writeTextFile(
      join(directory, "main.ts"),
      `import bytes from "./bytes.cjs";\nconsole.log(bytes.hex("hello"));\n`,
    );
    const { code } = await bundle(join(directory, "main.ts"), "main.js", directory);
    assert.doesNotMatch(code, /node:module/);
    await Deno.writeTextFile(join(directory, "main.js"), code);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", join(directory, "main.js")],
    }).output();
    assert.equal(new TextDecoder().decode(stdout), "68656c6c6f\n");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
