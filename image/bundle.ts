/**
 * Makes one JavaScript file of a program and everything it imports, so that it runs in a guest without a network
 * and without a module cache.
 *
 * @module
 */

import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { output } from "./command.ts";
import { ImageError } from "./errors.ts";

/**
 * Bundles `entry`.
 * @param root Directory that the names of source files in stack traces are relative to.
 * @returns The code, with a source map that has no path of this machine in it as far as sources lie under `root`.
 * @throws {ImageError} When there is no such file or it can't be bundled.
 */
export async function bundle(entry: string, root: string = Deno.cwd()): Promise<string> {
  const path = resolve(entry);
  try {
    if (!(await Deno.stat(path)).isFile) throw new ImageError(`"${entry}" is not a file`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new ImageError(`Cannot find the program "${entry}"`);
    throw error;
  }
  const directory = await Deno.makeTempDir({ prefix: "ethox-bundle-" });
  try {
    const target = join(directory, "bundle.js");
    await output(Deno.execPath(), [
      "bundle",
      "--quiet",
      "--platform=deno",
      "--sourcemap=inline",
      `--output=${target}`,
      path,
    ], { cwd: root, env: { NO_COLOR: "1" } });
    return portable(await Deno.readTextFile(target), directory, root);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const MAP = /\n\/\/# sourceMappingURL=data:application\/json;base64,([A-Za-z0-9+/=]+)\s*$/;

/** Rewrites the source map's paths: the bundler's are relative to where it wrote the file. */
function portable(code: string, directory: string, root: string): string {
  const found = MAP.exec(code);
  if (found === null) return code;
  const bytes = Uint8Array.fromBase64(found[1]!);
  const map = JSON.parse(new TextDecoder().decode(bytes)) as { sources: string[]; sourceRoot?: string };
  map.sources = map.sources.map((source) => {
    if (source.includes("://") || isAbsolute(source)) return source;
    const path = relative(root, resolve(dirname(join(directory, "bundle.js")), source));
    // Sources from elsewhere (packages of the module cache) keep their file's name alone.
    return path.startsWith("..") ? path.replace(/^.*\/(?=[^/]*\/[^/]*$)/, "") : path;
  });
  const encoded = new TextEncoder().encode(JSON.stringify(map)).toBase64();
  return `${code.slice(0, found.index)}\n//# sourceMappingURL=data:application/json;base64,${encoded}\n`;
}
