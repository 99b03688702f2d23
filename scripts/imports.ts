/**
 * Holds the direction of imports, and the purity of `stack/`.
 *
 * `wire` ← `stack` ← `drivers` ← `net` ← `image` ← `examples`: a module imports from its own layer and from the
 * layers before it. The module graph is Deno's own (`deno info --json`), so re-exports and dynamic imports count too.
 * A type-only import is erased and costs nothing at run time; one exception uses that: `stack/wire/` may name the
 * types of `stack/` (`Bytes`), never its code.
 *
 * `stack/` runs anywhere: outside its tests it imports no package and touches no host, clock or randomness.
 *
 * Tests and benches (`*_test.ts`, `*_bench.ts`) may also use `node:` modules, packages and `tests/harness/`.
 *
 * Run with `deno run -A scripts/imports.ts [DIRECTORY]`; prints one line a violation and exits with 1 if there is any.
 *
 * @module
 */

import { fromFileUrl, relativePath, walkTypeScript } from "./source_tree.ts";

/** One import of one module, paths relative to the repository, or a specifier for anything outside of it. */
export interface Import {
  /** The importing module, such as `stack/stack.ts`. */
  from: string;
  /** What it imports: a path inside the repository, or a specifier such as `node:fs` or `npm:fast-check`. */
  to: string;
  /** True if only types are imported, so that nothing is left at run time. */
  typeOnly: boolean;
  /** Line of the specifier, from 1. */
  line: number;
}

/** A broken rule, at a place. */
export interface Violation {
  /** Path relative to the repository. */
  file: string;
  /** Line, from 1. */
  line: number;
  /** What is wrong and what is allowed. */
  message: string;
}

/** The layers in the order in which they may be imported. */
const LAYERS = ["wire", "stack", "drivers", "net", "image", "examples"] as const;
type Layer = (typeof LAYERS)[number];

/** The layer of a path, or null for what belongs to none (tests, bench, scripts, mod.ts). */
export function layerOf(path: string): Layer | null {
  if (path.startsWith("stack/wire/")) return "wire";
  const top = path.slice(0, path.indexOf("/"));
  return LAYERS.find((layer) => layer === top) ?? null;
}

function isTest(path: string): boolean {
  return path.endsWith("_test.ts") || path.endsWith("_bench.ts");
}

function isOutside(target: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/.test(target);
}

/** The rule that one import breaks, or null. */
export function checkImport(edge: Import): string | null {
  const layer = layerOf(edge.from);
  if (layer === null) return null;
  const test = isTest(edge.from);
  if (isOutside(edge.to)) {
    if (test || (layer !== "wire" && layer !== "stack")) return null;
    return `"${edge.to}" is imported by ${layer}; stack/ and stack/wire/ import nothing from outside`;
  }
  if (isTest(edge.to)) return `"${edge.to}" is a test; move what others need into a module of its own`;
  const target = layerOf(edge.to);
  if (target === null) {
    if (test && edge.to.startsWith("tests/harness/")) return null;
    if (layer === "examples" && edge.to === "mod.ts") return null;
    return `"${edge.to}" belongs to no layer; ${layer} imports only from layers`;
  }
  if (LAYERS.indexOf(target) <= LAYERS.indexOf(layer)) return null;
  if (layer === "wire" && target === "stack" && edge.typeOnly) return null;
  if (layer === "wire" && target === "stack" && test) return null;
  return `"${edge.to}" belongs to ${target}, which ${layer} must not import (${LAYERS.join(" <- ")})`;
}

/** What stack/ must not touch, and what to do instead. */
const IMPURITIES: readonly (readonly [RegExp, string])[] = [
  [/\bDeno\s*\./, `"Deno" is the host; take what is needed as an argument`],
  [/["'`]node:/, `"node:" is the host; take what is needed as an argument`],
  [/\bDate\s*\.\s*now\b|\bnew\s+Date\b/, `"Date" is a clock; time is handed in, in µs`],
  [/\bperformance\s*\./, `"performance" is a clock; time is handed in, in µs`],
  [/\bMath\s*\.\s*random\b|\bcrypto\s*\./, `Randomness is handed in as a function of 32-bit words`],
  [/\bconsole\s*\./, `"console" is I/O; count it, or report it through a callback`],
  [
    /\b(setTimeout|setInterval|setImmediate|queueMicrotask)\s*\(/,
    `Timers belong to the event loop; use the stack's timer wheel`,
  ],
  [
    /\bprocess\s*\.(env|hrtime|nextTick|stdout|stderr)\b/,
    `"process" is the host; take what is needed as an argument`,
  ],
];

/** Finds what stack/ must not touch, in code and not in comments. */
export function checkPurity(file: string, source: string): Violation[] {
  const found: Violation[] = [];
  blankComments(source).split("\n").forEach((text, index) => {
    for (const [pattern, message] of IMPURITIES) {
      if (pattern.test(text)) found.push({ file, line: index + 1, message });
    }
  });
  return found;
}

/**
 * Replaces comments by spaces, keeping line numbers. Strings and templates stay (`"// no comment"`); a regular
 * expression that holds a quote or `//` is recognised by what stands before it.
 */
export function blankComments(source: string): string {
  // One alternative a token; whichever starts first wins, so a quote in a comment and a slash in a string are safe.
  const token =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|(?<=[=(,:[!&|?{};\n]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\//g;
  return source.replace(
    token,
    (text) => text.startsWith("//") || text.startsWith("/*") ? text.replace(/[^\n]/g, " ") : text,
  );
}

interface GraphDependency {
  specifier: string;
  code?: { specifier?: string; span?: { start: { line: number } } };
  type?: { specifier?: string; span?: { start: { line: number } } };
}

/** Reads every import of every TypeScript module below `root`, as Deno resolves it. */
export async function readImports(root: string, files: readonly string[]): Promise<Import[]> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const imports = files.map((file) => `import ${JSON.stringify(`file://${root}/${file}`)};`);
    await Deno.writeTextFile(entry, imports.join("\n"));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", "--config", `${root}/deno.json`, entry],
      cwd: root,
      stdout: "piped",
      stderr: "piped",
    }).output();
    if (code !== 0) {
      throw new Error(`Cannot read the module graph: ${new TextDecoder().decode(stderr).trim()}`);
    }
    const graph = JSON.parse(new TextDecoder().decode(stdout)) as {
      modules: { specifier: string; dependencies?: GraphDependency[] }[];
    };
    const edges: Import[] = [];
    for (const module of graph.modules) {
      const from = relativePath(root, fromFileUrl(module.specifier) ?? "");
      if (from === null) continue;
      for (const dependency of module.dependencies ?? []) {
        const resolved = dependency.code ?? dependency.type;
        const target = resolved?.specifier ?? dependency.specifier;
        edges.push({
          from,
          to: relativePath(root, fromFileUrl(target) ?? "") ?? target,
          typeOnly: dependency.code === undefined,
          line: (resolved?.span?.start.line ?? 0) + 1,
        });
      }
    }
    return edges;
  } finally {
    await Deno.remove(entry);
  }
}

/** Checks the whole tree below `root`. */
export async function checkTree(root: string): Promise<Violation[]> {
  const files: string[] = [];
  for await (const file of walkTypeScript(root)) files.push(file);
  const violations: Violation[] = [];
  for (const edge of await readImports(root, files.filter((file) => layerOf(file) !== null))) {
    const message = checkImport(edge);
    if (message !== null) violations.push({ file: edge.from, line: edge.line, message });
  }
  for (const file of files) {
    if (!file.startsWith("stack/") || isTest(file)) continue;
    violations.push(...checkPurity(file, await Deno.readTextFile(`${root}/${file}`)));
  }
  return violations.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}

if (import.meta.main) {
  const root = await Deno.realPath(Deno.args[0] ?? fromFileUrl(import.meta.resolve("../")) ?? ".");
  const violations = await checkTree(root);
  for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
  if (violations.length > 0) {
    console.error(`${violations.length} import violation${violations.length === 1 ? "" : "s"}`);
    Deno.exit(1);
  }
}
