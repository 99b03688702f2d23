/**
 * `deno task packetdrill FILE… [--option=value …]`: runs scripts in the packetdrill language against this stack, in
 * virtual time. A directory stands for all `*.pkt` files in it. With `--kernel` they run against the machine's own
 * kernel, in real time.
 *
 * Prints `PASS FILE` or `FAIL FILE:LINE: expected … got …` for each, then `N passed, N failed`. The exit status is 1
 * when one failed, 2 when there is nothing to run.
 *
 * @module
 */

import { runOnKernel } from "./kernel.ts";
import { runFile, verdictText } from "./runner/file_runner.ts";
import { NEED_VALUE } from "./runner/options.ts";

/** All scripts at or below a path, in order. */
export function scriptsAt(path: string): string[] {
  if (!Deno.statSync(path).isDirectory) return [path];
  const found: string[] = [];
  for (const entry of [...Deno.readDirSync(path)].sort((a, b) => a.name < b.name ? -1 : 1)) {
    const inner = `${path.replace(/\/$/, "")}/${entry.name}`;
    if (entry.isDirectory) found.push(...scriptsAt(inner));
    else if (entry.name.endsWith(".pkt")) found.push(inner);
  }
  return found;
}

if (import.meta.main) {
  const options: [string, string][] = [];
  const files: string[] = [];
  let kernel = false;
  const rest = [...Deno.args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--kernel") {
      kernel = true;
      continue;
    }
    const option = /^--([A-Za-z_][\w-]*)(?:=(.*))?$/s.exec(arg);
    if (option !== null) {
      const apart = option[2] === undefined && NEED_VALUE.has(option[1]!.replaceAll("-", "_"));
      options.push([option[1]!, option[2] ?? (apart ? rest.shift() ?? "" : "")]);
    } else if (arg === "-D") options.push(["define", rest.shift() ?? ""]);
    else if (/^-D./.test(arg)) options.push(["define", arg.slice(2)]);
    else if (/^-v+$/.test(arg)) continue;
    else files.push(...scriptsAt(arg));
  }
  if (files.length === 0) {
    console.error("Usage: deno task packetdrill FILE… [--tolerance_usecs=N]");
    Deno.exit(2);
  }
  if (kernel) {
    const failed = await runOnKernel(files, options.map(([name, value]) => `--${name}=${value}`));
    console.log(`${files.length - failed} passed, ${failed} failed`);
    Deno.exit(failed > 0 ? 1 : 0);
  }
  let failed = 0;
  for (const file of files) {
    const verdict = runFile(file, options, (name) => Deno.readTextFileSync(name), {
      print: (line) => console.log(line),
      warn: (message) => console.error(`Warning: ${message}`),
    });
    if (verdict.failure !== null) failed++;
    console.log(verdictText(verdict));
  }
  console.log(`${files.length - failed} passed, ${failed} failed`);
  Deno.exit(failed > 0 ? 1 : 0);
}
