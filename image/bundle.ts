/**
 * Makes one JavaScript file of a program and everything it imports, so that it runs in a guest without a network
 * and without a module cache.
 *
 * @module
 */

import { isBuiltin } from "node:module";
import { isAbsolute, join, relative, resolve } from "node:path";
import { output } from "./command.ts";
import { ImageError } from "./errors.ts";

/** A program in one file. */
export interface Bundle {
  /** The code. It refers to its source map as `NAME.map`. */
  readonly code: string;
  /** The source map, which Deno reads when it has a stack trace to print, and not before. */
  readonly map: string;
}

/**
 * Bundles `entry`.
 * @param name Name that the code is going to have in its directory, such as `main.js`.
 * @param root Directory that the names of source files in stack traces are relative to.
 * @returns The code and its map, which names no path of this machine as far as sources lie under `root`.
 * @throws {ImageError} When there is no such file or it can't be bundled.
 */
export async function bundle(entry: string, name: string, root: string = Deno.cwd()): Promise<Bundle> {
  const path = resolve(entry);
  try {
    if (!(await Deno.stat(path)).isFile) throw new ImageError(`"${entry}" is not a file`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new ImageError(`Cannot find the program "${entry}"`);
    throw error;
  }
  const directory = await Deno.makeTempDir({ prefix: "ethox-bundle-" });
  try {
    const target = join(directory, name);
    await output(Deno.execPath(), [
      "bundle",
      "--quiet",
      "--platform=deno",
      "--sourcemap=linked",
      `--output=${target}`,
      path,
    ], { cwd: root, env: { NO_COLOR: "1" } });
    const [code, map] = await Promise.all([Deno.readTextFile(target), Deno.readTextFile(`${target}.map`)]);
    return { code: importBuiltins(code), map: portable(map, directory, root) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** What the bundler puts in front of code with CommonJS modules in it. */
const REQUIRE = `import { createRequire as __deno_internal_createRequire } from "node:module";
var __require = __deno_internal_createRequire(import.meta.url);
`;

/**
 * Lets CommonJS modules in a bundle find Node's modules by static imports of those that they ask for. `node:module`,
 * which the bundler takes, loads every module that Node has: half a second of a guest's start under emulation.
 * Code that asks for anything else keeps what the bundler made. The number of lines stays, for the source map.
 */
export function importBuiltins(code: string): string {
  if (!code.includes(REQUIRE)) return code;
  const names = new Set<string>();
  for (const [, name] of code.replace(REQUIRE, "").matchAll(/\b__require\b(?:\("([^"\\]*)"\))?/g)) {
    if (name === undefined || !isBuiltin(name)) return code;
    names.add(name);
  }
  const all = [...names].sort();
  const imports = all.map((name, i) =>
    `import __builtin${i} from ${JSON.stringify(name.startsWith("node:") ? name : `node:${name}`)};`
  );
  const table = all.map((name, i) => `${JSON.stringify(name)}: __builtin${i}`).join(", ");
  return code.replace(
    REQUIRE,
    () => `${imports.join(" ")}\nvar __require = (name) => ({ ${table} })[name];\n`,
  );
}

/** Makes a map's paths, which are relative to where the bundler wrote it, relative to `root`, and leaves the sources out. */
function portable(text: string, directory: string, root: string): string {
  const map = JSON.parse(text) as { sources: string[]; sourcesContent?: unknown };
  delete map.sourcesContent;
  map.sources = map.sources.map((source) => {
    if (source.includes("://") || isAbsolute(source)) return source;
    const path = relative(root, resolve(directory, source));
    // Sources from elsewhere keep their file's name and its directory's.
    return path.startsWith("..") ? path.replace(/^.*\/(?=[^/]*\/[^/]*$)/, "") : path;
  });
  return JSON.stringify(map);
}
