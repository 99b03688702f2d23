/**
 * `deno task example NAME [OPTION…]`: runs a program of `examples/`, and lists them when no name is given.
 *
 * @module
 */

const DIRECTORY = new URL("../examples/", import.meta.url);

/** The first sentence of a module's leading comment. */
export function summary(source: string): string {
  const comment = /^\s*(?:\/\*\*?([\s\S]*?)\*\/|((?:\/\/[^\n]*\n)+))/.exec(source);
  const text = (comment?.[1] ?? comment?.[2] ?? "").replace(/^\s*(\*|\/\/)/gm, " ").replace(/\s+/g, " ")
    .trim();
  return /^.*?\.(?=\s|$)/.exec(text)?.[0] ?? text;
}

/** Whether a module is a program, which says how to run it, and not a part of others. */
export function isExample(source: string): boolean {
  return source.includes("deno task example ") && /^await main\(/m.test(source);
}

async function list(): Promise<void> {
  console.log("Usage: deno task example NAME [OPTION...]\n");
  const entries = await Array.fromAsync(Deno.readDir(DIRECTORY));
  const names = entries.map((entry) => entry.name).filter((name) => /^[a-z_0-9]+(?<!_test)\.ts$/.test(name))
    .sort();
  for (const name of names) {
    const source = await Deno.readTextFile(new URL(name, DIRECTORY));
    // What the others share is no example.
    if (isExample(source)) console.log(`  ${name.slice(0, -3).padEnd(12)} ${summary(source)}`);
  }
}

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || name === "--help") {
    await list();
    return name === undefined ? 2 : 0;
  }
  const module = new URL(`${name}.ts`, DIRECTORY);
  if (!/^[a-z_0-9]+$/.test(name) || !await Deno.stat(module).then(() => true, () => false)) {
    console.error(`No example is called "${name}"; deno task example lists them`);
    return 2;
  }
  const child = new Deno.Command(Deno.execPath(), { args: ["run", "-A", module.pathname, ...args] }).spawn();
  // The terminal signals the whole group; the example decides, we report how it ended.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => signal === "SIGTERM" && child.kill(signal));
  }
  return (await child.status).code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
