/**
 * Runs files, each in a stack of its own.
 *
 * @module
 */

import { dirname, resolve } from "node:path";
import { addDefine, usualDefines } from "./defines.ts";
import { defaultOptions, type RunOptions, takeOption } from "./options.ts";
import { parseScript, ScriptError } from "./parser.ts";
import { type MakeSystem, type Output, runScript } from "./run.ts";
import { StackSystem } from "./stack_system.ts";

/** What became of a file: null when it passed. */
export interface Verdict {
  file: string;
  failure: { file: string; line: number; message: string } | null;
}

/**
 * Runs one file.
 * @param args Options of the command line, which go before those of the file. @param read Reads a file's text.
 * @param make What it runs against; this stack by default.
 */
export function runFile(
  file: string,
  args: readonly [name: string, value: string][],
  read: (file: string) => string,
  output: Output,
  make: MakeSystem = (options, watcher) => new StackSystem(options, watcher),
): Verdict {
  try {
    const text = read(file);
    const define = new Map<string, string>();
    for (const [name, value] of args) if (name === "define") addDefine(define, value);
    const include = (name: string, from: string) => {
      const found = resolve(dirname(from), name);
      return { file: found, text: read(found) };
    };
    const options: RunOptions = defaultOptions();
    // Which version it is decides about words of the script.
    const version = [...optionLines(text, "ip_version"), ...valuesOf(args, "ip_version")].at(-1);
    if (version !== undefined) takeOption(options, "ip_version", version);
    for (const [word, value] of usualDefines(options)) if (!define.has(word)) define.set(word, value);
    const script = parseScript(file, text, include, define);
    for (const [name, value] of [...script.options, ...args]) {
      const warning = takeOption(options, name, value);
      if (warning !== null) output.warn(`${file}: ${warning}`);
    }
    runScript(script, options, output, make);
    return { file, failure: null };
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof ScriptError) {
      return { file, failure: { file: error.file, line: error.line, message } };
    }
    // Whatever else goes wrong is the failure of this file, not of those that follow.
    return { file, failure: { file, line: 1, message: (error as Error).stack ?? message } };
  }
}

function valuesOf(args: readonly [string, string][], wanted: string): string[] {
  return args.filter(([name]) => name === wanted).map(([, value]) => value);
}

/** Values of an option in the text of a script that is not parsed yet. */
function optionLines(text: string, name: string): string[] {
  return Array.from(text.matchAll(new RegExp(`^[ \\t]*--${name}=(\\S+)`, "gm")), (match) => match[1]!);
}

/** The line that tells of a verdict. */
export function verdictText(verdict: Verdict): string {
  const { failure } = verdict;
  return failure === null
    ? `PASS ${verdict.file}`
    : `FAIL ${failure.file}:${failure.line}: ${failure.message}`;
}
