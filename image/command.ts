/**
 * Runs a program of the host and takes what it prints.
 *
 * @module
 */

import { basename } from "node:path";
import { ImageError } from "./errors.ts";

const decoder = new TextDecoder();

/** Which Debian package brings the programs that the image tools run. */
const PACKAGES: Record<string, string> = {
  "apt-cache": "apt",
  "apt-get": "apt",
  "dpkg-deb": "dpkg",
  "ldd": "libc-bin",
  "qemu-system-x86_64": "qemu-system-x86",
};

/**
 * Runs a program to its end.
 * @returns What it wrote to its standard output.
 * @throws {ImageError} When it is missing, or ends with another status than 0; the message has the line that says why.
 */
export async function output(
  program: string,
  args: string[],
  options: { cwd?: string; timeout?: number; env?: Record<string, string> } = {},
): Promise<string> {
  let result: Deno.CommandOutput;
  try {
    result = await new Deno.Command(program, {
      args,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { LC_ALL: "C", ...options.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(options.timeout ?? 120_000),
    }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw missing(program);
    throw error;
  }
  if (!result.success) {
    const command = `${basename(program)} ${args[0] ?? ""}`.trim();
    const why = reason(decoder.decode(result.stderr));
    throw new ImageError(`"${command}" failed (status ${result.code}): ${why}`);
  }
  return decoder.decode(result.stdout);
}

/** The line in which a program says what went wrong: its first error and the root of it, or else its last line. */
export function reason(errors: string): string {
  const lines = errors.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const first = lines.find((line) => /^(error|E):? /i.test(line));
  if (first === undefined) return lines.at(-1) ?? "it did not say why";
  const cause = lines.indexOf("Caused by:") + 1;
  return first.replace(/^(error|E):? /i, "") + (cause === 0 ? "" : ` (${lines[cause]})`);
}

/** @returns Where a program is in `PATH`, or null. */
export async function find(program: string): Promise<string | null> {
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${directory}/${program}`;
    if (directory !== "" && await Deno.stat(path).then((info) => info.isFile, () => false)) return path;
  }
  return null;
}

/** The error for a program that is not there. */
export function missing(program: string): ImageError {
  const name = PACKAGES[program];
  return new ImageError(
    `Cannot find "${program}"` + (name === undefined ? "" : `: install it with "apt-get install -y ${name}"`),
  );
}
