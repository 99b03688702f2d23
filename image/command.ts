/**
 * Runs a program of the host and takes what it prints.
 *
 * @module
 */

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
 * @throws {ImageError} When it is missing, or ends with another status than 0; the message has its last line.
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
    const lines = decoder.decode(result.stderr).trim().split("\n");
    throw new ImageError(`"${program} ${args.join(" ")}" failed (status ${result.code}): ${lines.at(-1)}`);
  }
  return decoder.decode(result.stdout);
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
