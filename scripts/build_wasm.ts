/**
 * `deno task wasm`: makes `stack/wire/checksum_wasm.ts` of `stack/wire/checksum.wat`.
 *
 * @module
 */

import wabt from "wabt";

const FOLDER = new URL("../stack/wire/", import.meta.url);

/** What the module should hold, going by its source. */
export async function buildWasm(): Promise<string> {
  const source = await Deno.readTextFile(new URL("checksum.wat", FOLDER));
  const module = (await wabt()).parseWat("checksum.wat", source, { simd: true });
  const { buffer } = module.toBinary({});
  module.destroy();
  return `/**
 * Made of \`checksum.wat\` by \`deno task wasm\`; not to be edited.
 *
 * @module
 */

/** The module's bytes, in base64. */
export const CHECKSUM_WASM =
  "${buffer.toBase64()}";
`;
}

/** The file that holds it. */
export const WASM_FILE: URL = new URL("checksum_wasm.ts", FOLDER);

if (import.meta.main) await Deno.writeTextFile(WASM_FILE, await buildWasm());
