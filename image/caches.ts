/**
 * What Deno keeps between two runs of a program, made before the first one: which modules a file imports, and the
 * compiled code of the program and of Deno's own modules. Under emulation a guest starts a second sooner with it.
 *
 * @module
 */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { output } from "./command.ts";
import { type CpioEntry, file } from "./cpio.ts";

/** Where the guest's Deno finds its caches: its `DENO_DIR`, without the leading slash. */
export const CACHE_DIRECTORY = "var/deno";

/** Deno's caches that are of use, each a database. */
const DATABASES = ["dep_analysis_cache_v2", "v8_code_cache_v2"];

/** The directory under a name that is always the same: compiled code has the name of its file in it. */
const HERE = "/proc/self/cwd";

/** What the drivers and `net/` touch when they start, for Deno to load, which caches what it has compiled. */
const WARM_UP = `
globalThis.process.binding("pipe_wrap");
globalThis.process.binding("stream_wrap");
new Request("http://a/", { method: "POST", body: "a" }).text().then(() => {});
new Response(new ReadableStream()).headers.get("a");
new TextDecoderStream();
console.log(Deno.inspect({}));
`;

/** A file of the program, as it is to lie in the guest. */
export interface ProgramFile {
  /** Its path in the guest, without the leading slash. */
  readonly path: string;
  /** Its code. */
  readonly code: string;
}

/**
 * Makes the caches for a program's files. Nothing of them is run: they are loaded behind a module that throws.
 * @returns The files of {@link CACHE_DIRECTORY}. The same program gives the same bytes.
 */
export async function caches(program: readonly ProgramFile[]): Promise<CpioEntry[]> {
  const directory = await Deno.makeTempDir({ prefix: "ethox-caches-" });
  try {
    const names = new Map<string, string>();
    const imports = new Set<string>();
    let main = "";
    await Deno.writeTextFile(join(directory, "throw.js"), `throw null;\n`);
    for (const [i, { path, code }] of program.entries()) {
      const target = join(directory, `program${i}.js`);
      await Deno.writeTextFile(target, code);
      await Deno.writeTextFile(
        join(directory, `load${i}.js`),
        `import "./throw.js";\nimport "./program${i}.js";\n`,
      );
      names.set(`file://${HERE}/program${i}.js`, `file:///${path}`);
      for (
        const [, name] of code.matchAll(
          /^import [^"\n]*"(node:[a-z0-9/_]+)";|; import [^"\n]*"(node:[a-z0-9/_]+)";/gm,
        )
      ) {
        if (name !== undefined) imports.add(name);
      }
      main += `await import("./load${i}.js").catch(() => {});\n`;
    }
    for (const name of [...imports].sort()) main = `await import("${name}");\n${main}`;
    // What was compiled is written a moment later.
    main += `${WARM_UP}\nawait new Promise((resolve) => setTimeout(resolve, 100));\n`;
    await Deno.writeTextFile(join(directory, "main.js"), main);
    await output(Deno.execPath(), [
      "run",
      "--allow-all",
      "--cached-only",
      "--no-check",
      "--no-config",
      "--no-lock",
      "--quiet",
      `${HERE}/main.js`,
    ], {
      cwd: directory,
      env: { DENO_DIR: join(directory, "deno"), DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
    });
    return await Promise.all(DATABASES.map(async (name) => {
      const target = join(directory, name);
      copyDatabase(
        join(directory, "deno", name),
        target,
        (specifier) => names.get(specifier) ?? (specifier.startsWith("file:") ? "" : specifier),
      );
      return file(`${CACHE_DIRECTORY}/${name}`, await Deno.readFile(target));
    }));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Writes what a cache says of modules that a guest has as well, in one order, under the names that they have there. */
function copyDatabase(source: string, target: string, rename: (specifier: string) => string): void {
  using from = new DatabaseSync(source);
  using to = new DatabaseSync(target);
  const schema = from.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name");
  for (const { name, sql } of schema.all() as { name: string; sql: string }[]) {
    if (name.startsWith("sqlite_")) continue;
    to.exec(sql);
    const all = from.prepare(`SELECT * FROM ${name}`);
    // Hashes have 64 bits.
    all.setReadBigInts(true);
    const rows = all.all().flatMap((row) => {
      if (typeof row["specifier"] !== "string") return [row];
      const specifier = rename(row["specifier"]);
      return specifier === "" ? [] : [{ ...row, specifier }];
    });
    const ordered = rows.map((row) => [String(row["specifier"] ?? row["key"]), row] as const)
      .sort(([a], [b]) => a < b ? -1 : 1);
    for (const [, row] of ordered) {
      const columns = Object.keys(row);
      to.prepare(`INSERT INTO ${name} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`)
        .run(...Object.values(row));
    }
  }
}
