/**
 * The files of the repository, by paths relative to it.
 *
 * @module
 */

/** The path of a `file:` URL, or null for any other specifier. */
export function fromFileUrl(specifier: string): string | null {
  return specifier.startsWith("file://") ? decodeURIComponent(new URL(specifier).pathname) : null;
}

/** `path` relative to `root`, or null if it lies outside. */
export function relativePath(root: string, path: string): string | null {
  const base = root.endsWith("/") ? root : `${root}/`;
  return path.startsWith(base) ? path.slice(base.length) : null;
}

const SKIPPED = new Set(["node_modules", "build", "coverage"]);

/** Yields every TypeScript file below `root`, sorted within each directory; skips what is generated or hidden. */
export async function* walkTypeScript(root: string, directory = ""): AsyncGenerator<string> {
  const entries = await Array.fromAsync(Deno.readDir(`${root}/${directory}`));
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  for (const entry of entries) {
    const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
    if (entry.name.startsWith(".") || SKIPPED.has(entry.name)) continue;
    if (entry.isDirectory) yield* walkTypeScript(root, path);
    else if (entry.isFile && entry.name.endsWith(".ts")) yield path;
  }
}
