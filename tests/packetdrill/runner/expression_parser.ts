/**
 * The arguments of system calls, as strace prints them.
 *
 * @module
 */

import type { Expression } from "./ast.ts";
import type { Scanner } from "./scanner.ts";

/** From the loosest to the tightest. */
const OPERATORS: string[][] = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "%"]];
const NUMBER = /(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:[uU]?[lL]{0,2}(?![A-Za-z0-9_]))?/y;

/** Takes one expression. */
export function parseExpression(scanner: Scanner): Expression {
  return parseBinary(scanner, 0);
}

function parseBinary(scanner: Scanner, level: number): Expression {
  if (level === OPERATORS.length) return parseUnary(scanner);
  let left = parseBinary(scanner, level + 1);
  for (;;) {
    // A time may follow an expression: "= 0" and then "+.1" on the next line.
    const operator = OPERATORS[level]!.find((word) => onSameLine(scanner, word));
    if (operator === undefined) return left;
    scanner.expect(operator);
    left = { kind: "binary", operator, left, right: parseBinary(scanner, level + 1) };
  }
}

function onSameLine(scanner: Scanner, word: string): boolean {
  const from = scanner.at;
  const found = scanner.sees(word) && (word === "|" || !scanner.text.slice(from, scanner.at).includes("\n"));
  scanner.at = from;
  return found;
}

function parseUnary(scanner: Scanner): Expression {
  for (const operator of ["-", "~"]) {
    if (scanner.takes(operator)) return { kind: "unary", operator, operand: parseUnary(scanner) };
  }
  // The address of something is that thing.
  while (scanner.takes("&"));
  return parsePrimary(scanner);
}

function parsePrimary(scanner: Scanner): Expression {
  if (scanner.takes("...")) return { kind: "ellipsis" };
  if (scanner.sees('"')) return parseStrings(scanner);
  if (scanner.takes("[")) return { kind: "list", items: parseItems(scanner, "]") };
  if (scanner.takes("{")) return parseStruct(scanner);
  if (scanner.takes("(")) {
    const inner = parseExpression(scanner);
    scanner.expect(")");
    return inner;
  }
  const number = scanner.match(NUMBER);
  if (number !== null) return { kind: "number", value: Number(number[0].replace(/[uUlL]+$/, "")) };
  // "sizeof(struct linger)"
  const name = scanner.need(/(?:struct\s+)?([A-Za-z_][A-Za-z0-9_]*)/y, "a value")[1]!;
  if (!scanner.takes("(")) return { kind: "symbol", name };
  return { kind: "call", name, args: parseItems(scanner, ")") };
}

function parseItems(scanner: Scanner, close: string): Expression[] {
  const items: Expression[] = [];
  while (!scanner.takes(close)) {
    items.push(parseExpression(scanner));
    if (!scanner.takes(",") && !scanner.sees(close)) scanner.fail(`Expected "," or "${close}"`);
  }
  return items;
}

/** `{name=value, …}` or `{value, …}`. `msg_iov(2)=[…]` says how many there are; the list says so as well. */
function parseStruct(scanner: Scanner): Expression {
  const fields = new Map<string, Expression>();
  const items: Expression[] = [];
  while (!scanner.takes("}")) {
    const name = scanner.match(/\.?([A-Za-z_][\w.]*)\s*(?:\([^()=]*\)\s*)?=(?!=)/y)?.[1];
    const value = parseExpression(scanner);
    items.push(value);
    if (name !== undefined) fields.set(name, value);
    if (!scanner.takes(",") && !scanner.sees("}")) scanner.fail('Expected "," or "}"');
  }
  return { kind: "struct", fields, items };
}

/** Strings that follow each other are one. */
function parseStrings(scanner: Scanner): Expression {
  let whole = parseString(scanner);
  while (whole.kind === "string" && !whole.open && scanner.sees('"')) {
    const next = parseString(scanner);
    if (next.kind === "string") whole = { ...next, value: whole.value + next.value };
  }
  return whole;
}

const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r", "0": "\0", '"': '"', "\\": "\\" };

function parseString(scanner: Scanner): Expression {
  const text = scanner.need(/"((?:[^"\\]|\\.)*)"/y, "a string")[1]!;
  const value = text.replace(
    /\\(x[0-9a-fA-F]{1,2}|.)/gs,
    (_all, code: string) =>
      code.startsWith("x") && code.length > 1
        ? String.fromCharCode(parseInt(code.slice(1), 16))
        : ESCAPES[code] ?? code,
  );
  return { kind: "string", value, open: scanner.takes("...") };
}
