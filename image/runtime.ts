/**
 * Deno itself with the shared libraries it is linked to.
 *
 * @module
 */

import { output } from "./command.ts";
import { type CpioEntry, file } from "./cpio.ts";
import { ImageError } from "./errors.ts";

/** Where Deno lies in the guest. */
export const DENO_PATH = "bin/deno";

/** The running Deno's files. */
export async function runtime(executable: string = Deno.execPath()): Promise<CpioEntry[]> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    throw new ImageError(
      `Cannot take Deno from this ${Deno.build.os} ${Deno.build.arch} machine: images are built on Linux x86_64`,
    );
  }
  const libraries = sharedLibraries(await output("ldd", [executable]));
  const entries = await Promise.all(
    libraries.map(async (path) => file(path.slice(1), await Deno.readFile(path), 0o755)),
  );
  return [file(DENO_PATH, await Deno.readFile(executable), 0o755), ...entries];
}

/**
 * The paths in what `ldd` prints, sorted: libraries as `name => /path (address)`, the loader as `/path (address)`.
 * @throws {ImageError} When a library is not found.
 */
export function sharedLibraries(ldd: string): string[] {
  const paths = new Set<string>();
  for (const line of ldd.split("\n")) {
    if (line.includes("not found")) throw new ImageError(`Cannot find a shared library: ${line.trim()}`);
    const path = /(?:=> |^\s*)(\/\S+) \(0x[0-9a-f]+\)$/.exec(line)?.[1];
    if (path !== undefined) paths.add(path);
  }
  return [...paths].sort();
}
