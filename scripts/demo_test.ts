import assert from "node:assert/strict";
import { commands, parseDemo } from "./demo.ts";

Deno.test("parseDemo() has the defaults of the README", () => {
  assert.deepEqual(parseDemo([]), {
    port: 8080,
    dryRun: false,
    accelerator: "auto",
    exitAfter: null,
    help: false,
  });
});

Deno.test("parseDemo() reads every option", () => {
  assert.deepEqual(parseDemo(["--port", "81", "--dry-run", "--accel=tcg", "--exit-after", "2.5", "-h"]), {
    port: 81,
    dryRun: true,
    accelerator: "tcg",
    exitAfter: 2.5,
    help: true,
  });
});

Deno.test("parseDemo() quotes what it can't use", () => {
  for (
    const [option, value] of [["--port", "0"], ["--port", "65536"], ["--port", "x"], ["--accel", "hvf"], [
      "--exit-after",
      "soon",
    ]]
  ) {
    assert.throws(() => parseDemo([option!, value!]), new RegExp(`${option}.*"${value}"`));
  }
  assert.throws(() => parseDemo(["--frob"]), /--frob/);
});

Deno.test("commands() builds the image and starts QEMU with what was asked for", async () => {
  const lines = await commands(parseDemo(["--port", "8099", "--accel", "tcg", "--dry-run"]));
  assert.match(
    lines.at(-2)!,
    /^deno task image build \S*examples\/http_echo\.ts -o \S*build\/demo --compress none -- --probe off$/,
  );
  assert.match(
    lines.at(-1)!,
    /^qemu-system-x86_64 .*-accel tcg,thread=single .*-kernel \S*build\/demo\/vmlinuz .*hostfwd=tcp:127\.0\.0\.1:8099-(10\.0\.2\.15)?:80 /,
  );
});
