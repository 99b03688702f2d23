import assert from "node:assert/strict";
import { buildWasm, WASM_FILE } from "./build_wasm.ts";

Deno.test("The WebAssembly module in the repository is what its source gives", async () => {
  assert.equal(await Deno.readTextFile(WASM_FILE), await buildWasm(), "run `deno task wasm`");
});
