/**
 * From the text of a script to its steps.
 *
 * @module
 */

import type { Action, CallSpec, Script, Step, When } from "./ast.ts";
import { addDefine } from "./defines.ts";
import { parseExpression } from "./expression_parser.ts";
import { parsePacket } from "./packet_parser.ts";
import { Scanner, ScriptError } from "./scanner.ts";

const NUMBER = /(?:\d+(?:\.\d+|\.(?![.\d]))?|\.\d+)(?:[eE][+-]?\d+)?/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;

/** How a script's `#include "other"` finds the text of the other file. */
export type Include = (name: string, from: string) => { file: string; text: string };

/**
 * Parses a script.
 * @param include Reads included files. @param define Words to replace by others (`--define=NAME=value`).
 * @throws {ScriptError} What is wrong, and on which line.
 */
export function parseScript(
  file: string,
  text: string,
  include: Include,
  define: Map<string, string> = new Map(),
): Script {
  const script: Script = { file, options: [], steps: [] };
  const scanner = new Scanner(file, text);
  substitute(scanner, define);
  parseInto(script, scanner, include, define, 0);
  return script;
}

function parseInto(
  script: Script,
  scanner: Scanner,
  include: Include,
  define: Map<string, string>,
  depth: number,
): void {
  for (;;) {
    // An include looks like a comment to everything else.
    const directive = skipToDirective(scanner);
    if (directive !== null) {
      if (depth > 8) scanner.fail("Files include each other too deeply");
      const { file, text } = include(directive, scanner.file);
      const inner = new Scanner(file, text);
      substitute(inner, define);
      parseInto(script, inner, include, define, depth + 1);
      continue;
    }
    if (scanner.done) return;
    if (seesOption(scanner)) {
      parseOptions(script, scanner, define);
      // Only now are the words known that stand for others.
      substitute(scanner, define);
      continue;
    }
    script.steps.push(parseStep(scanner));
  }
}

const DIRECTIVE = /[ \t]*#include[ \t]+"([^"\n]+)"[^\n]*/y;

/** Passes over blanks line by line. @returns The name in an include that comes next, or null. */
function skipToDirective(scanner: Scanner): string | null {
  for (;;) {
    const start = scanner.at;
    scanner.skip();
    const blanks = scanner.text.slice(start, scanner.at);
    const found = /(?:^|\n)[ \t]*#include[ \t]+"/.exec(blanks);
    if (found === null) return null;
    scanner.at = start + found.index + (found[0].startsWith("\n") ? 1 : 0);
    DIRECTIVE.lastIndex = scanner.at;
    const match = DIRECTIVE.exec(scanner.text);
    if (match === null) return null;
    scanner.at = DIRECTIVE.lastIndex;
    return match[1]!;
  }
}

function seesOption(scanner: Scanner): boolean {
  return scanner.peek(/--[A-Za-z_]|-D\s*\w/y) !== null;
}

/** A line of `--name=value`, or `-D NAME=value`. Values may be quoted. */
function parseOptions(script: Script, scanner: Scanner, define: Map<string, string>): void {
  const option = /(?:--([A-Za-z_][\w-]*)=?|-(D)[ \t]*)((?:"[^"\n]*"|'[^'\n]*'|[^\s"'])*)/y;
  for (let match = scanner.match(option); match !== null; match = scanner.match(option)) {
    const name = match[1] ?? "define";
    const value = match[3]!.replace(/^(["'])(.*)\1$/, "$2");
    script.options.push([name, value]);
    if (name === "define") addDefine(define, value);
    if (!seesOption(scanner)) return;
  }
  scanner.fail("Expected an option like --name=value");
}

/** Replaces defined words in the rest of the text, outside of longer words. */
function substitute(scanner: Scanner, define: Map<string, string>): void {
  let rest = scanner.text.slice(scanner.at);
  for (const [name, value] of define) {
    if (/^\w+$/.test(name)) rest = rest.replace(new RegExp(`\\b${name}\\b`, "g"), () => value);
  }
  (scanner as { text: string }).text = scanner.text.slice(0, scanner.at) + rest;
}

function parseStep(scanner: Scanner): Step {
  scanner.skip();
  const { line, at } = scanner;
  const when = parseWhen(scanner);
  const action = parseAction(scanner);
  return { file: scanner.file, line, when, action, text: scanner.text.slice(at, scanner.at).trim() };
}

function microseconds(text: string): number {
  return Math.round(Number(text) * 1e6);
}

function parseTime(scanner: Scanner): number {
  return microseconds(scanner.need(NUMBER, "a time in seconds")[0]);
}

function parseWhen(scanner: Scanner): When {
  if (scanner.takes("*")) return { kind: "any" };
  // What has no time comes right after what was before it.
  if (scanner.sees("`") || scanner.sees("%{")) return { kind: "at", relative: true, time: 0 };
  const relative = scanner.takes("+");
  const time = parseTime(scanner);
  if (!scanner.takes("~")) return { kind: "at", relative, time };
  scanner.takes("+");
  const to = parseTime(scanner);
  if (to < time) scanner.fail("The end of a range of times must not come before its start");
  return { kind: "range", relative, from: time, to };
}

function parseAction(scanner: Scanner): Action {
  if (scanner.takes("`")) return { kind: "command", text: scanner.until("`").trim() };
  if (scanner.takes("%{")) return { kind: "code", text: scanner.until("}%") };
  if (scanner.sees("<") || scanner.sees(">") || scanner.peek(/(?:ipv4|ipv6|gre|mpls)\b/y) !== null) {
    return { kind: "packet", packet: parsePacket(scanner) };
  }
  return { kind: "call", call: parseCall(scanner) };
}

function parseCall(scanner: Scanner): CallSpec {
  let end: number | null = null;
  if (scanner.takes("...")) {
    scanner.takes("+");
    end = parseTime(scanner);
  }
  const name = scanner.need(WORD, "a packet (< or >), a system call, a `command` or %{ code }%")[0];
  scanner.expect("(");
  const args = [];
  if (!scanner.takes(")")) {
    do args.push(parseExpression(scanner)); while (scanner.takes(","));
    scanner.expect(")");
  }
  scanner.expect("=");
  const result = parseExpression(scanner);
  const errno = scanner.match(/E[A-Z0-9]+\b/y)?.[0] ?? null;
  if (scanner.sees("(")) skipNote(scanner);
  return { name, args, end, result, errno };
}

/** What strace puts behind a result, in parentheses: words for people. */
function skipNote(scanner: Scanner): void {
  scanner.expect("(");
  for (let depth = 1; depth > 0;) {
    const next = scanner.need(/[^()]*([()])/y, "the end of a note")[1];
    depth += next === "(" ? 1 : -1;
  }
}

export { ScriptError };
