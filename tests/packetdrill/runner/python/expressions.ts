/**
 * Expressions of the code blocks.
 *
 * @module
 */

import type { FormatPart, Loop, Node, Parameter } from "./ast.ts";
import { CodeError, type Token, tokenize } from "./lexer.ts";

const BINARY: string[][] = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "//", "%"]];
const COMPARE = new Set(["<", "<=", ">", ">=", "==", "!=", "<>"]);

/** Reads expressions from words. */
export class ExpressionParser {
  readonly tokens: Token[];
  protected at = 0;

  constructor(tokens: Token[]) {
    this.tokens = tokens;
  }

  protected get next(): Token {
    return this.tokens[this.at]!;
  }

  protected is(text: string): boolean {
    const { kind } = this.next;
    return (kind === "operator" || kind === "name") && this.next.text === text;
  }

  protected takes(text: string): boolean {
    if (!this.is(text)) return false;
    this.at++;
    return true;
  }

  protected takesKind(kind: Token["kind"]): boolean {
    if (this.next.kind !== kind) return false;
    this.at++;
    return true;
  }

  protected expect(text: string): void {
    if (!this.takes(text)) this.fail(`Expected "${text}"`);
  }

  protected name(): string {
    const { kind, text } = this.next;
    if (kind !== "name") this.fail("Expected a name");
    this.at++;
    return text;
  }

  protected fail(message: string): never {
    const { line, text, kind } = this.next;
    throw new CodeError(line, `${message}, found ${JSON.stringify(text === "" ? kind : text)}`);
  }

  /** An expression, or several with commas between. @param close What may stand behind a last comma. */
  protected tuple(read = () => this.expression()): Node {
    const first = read();
    if (!this.is(",")) return first;
    const items = [first];
    while (this.takes(",")) {
      if (
        this.next.kind === "newline" || this.next.kind === "end" || /^[)=\]};]$|^in$/.test(this.next.text)
      ) break;
      items.push(read());
    }
    return { kind: "tuple", items };
  }

  /** What a loop's variables are: names that are not compared with what stands behind `in`. */
  protected target(): Node {
    return this.tuple(() => this.#postfix());
  }

  /** An expression. */
  expression(): Node {
    if (this.is("lambda")) return this.#lambda();
    const then = this.#or();
    if (!this.takes("if")) return then;
    const test = this.#or();
    this.expect("else");
    return { kind: "choice", test, then, otherwise: this.expression() };
  }

  #lambda(): Node {
    const { line } = this.next;
    this.expect("lambda");
    const parameters = this.parameters(":");
    return { kind: "lambda", parameters, body: this.expression(), line };
  }

  /** Parameters up to `close`, which is taken. What they are said to be is passed over. */
  protected parameters(close: string): Parameter[] {
    const parameters: Parameter[] = [];
    while (!this.takes(close)) {
      const name = this.name();
      if (close === ")" && this.takes(":")) this.expression();
      parameters.push({ name, initial: this.takes("=") ? this.expression() : null });
      if (!this.takes(",") && !this.is(close)) this.fail(`Expected "," or "${close}"`);
    }
    return parameters;
  }

  #or(): Node {
    let left = this.#and();
    while (this.takes("or")) left = { kind: "or", left, right: this.#and() };
    return left;
  }

  #and(): Node {
    let left = this.#not();
    while (this.takes("and")) left = { kind: "and", left, right: this.#not() };
    return left;
  }

  #not(): Node {
    return this.takes("not") ? { kind: "unary", operator: "not", operand: this.#not() } : this.#comparison();
  }

  #comparison(): Node {
    const first = this.#binary(0);
    const rest: [string, Node][] = [];
    for (;;) {
      let operator = this.next.text;
      if (this.next.kind === "operator" && COMPARE.has(operator)) {
        this.at++;
        if (operator === "<>") operator = "!=";
      } else if (this.takes("in")) operator = "in";
      else if (this.takes("is")) operator = this.takes("not") ? "!=" : "==";
      else if (this.is("not") && this.tokens[this.at + 1]!.text === "in") {
        this.at += 2;
        operator = "not in";
      } else break;
      rest.push([operator, this.#binary(0)]);
    }
    return rest.length === 0 ? first : { kind: "compare", first, rest };
  }

  #binary(level: number): Node {
    if (level === BINARY.length) return this.#unary();
    let left = this.#binary(level + 1);
    while (this.next.kind === "operator" && BINARY[level]!.includes(this.next.text)) {
      const { text: operator, line } = this.next;
      this.at++;
      left = { kind: "binary", operator, left, right: this.#binary(level + 1), line };
    }
    return left;
  }

  #unary(): Node {
    for (const operator of ["-", "+", "~"]) {
      if (this.next.kind === "operator" && this.takes(operator)) {
        return { kind: "unary", operator, operand: this.#unary() };
      }
    }
    const { line } = this.next;
    const base = this.#postfix();
    return this.takes("**")
      ? { kind: "binary", operator: "**", left: base, right: this.#unary(), line }
      : base;
  }

  #postfix(): Node {
    let node = this.#primary();
    for (;;) {
      const { line } = this.next;
      if (this.takes("(")) node = this.#arguments(node, line);
      else if (this.takes(".")) node = { kind: "member", of: node, name: this.name(), line };
      else if (this.takes("[")) node = this.#subscript(node, line);
      else return node;
    }
  }

  #arguments(callee: Node, line: number): Node {
    const args: Node[] = [];
    const named = new Map<string, Node>();
    while (!this.takes(")")) {
      const name = this.next;
      if (name.kind === "name" && this.tokens[this.at + 1]!.text === "=") {
        this.at += 2;
        named.set(name.text, this.expression());
      } else {
        const value = this.expression();
        args.push(this.is("for") ? this.#comprehension("list", null, value) : value);
      }
      if (!this.takes(",") && !this.is(")")) this.fail('Expected "," or ")"');
    }
    return { kind: "call", callee, args, named, line };
  }

  #subscript(of: Node, line: number): Node {
    const part = () => this.is(":") || this.is("]") ? null : this.expression();
    const from = part();
    if (!this.takes(":")) {
      this.expect("]");
      if (from === null) this.fail("Expected an index");
      return { kind: "index", of, index: from, line };
    }
    const to = part();
    const step = this.takes(":") ? part() : null;
    this.expect("]");
    return { kind: "slice", of, from, to, step, line };
  }

  /** The loops behind the value of a comprehension. */
  #comprehension(of: "list" | "set" | "dict", key: Node | null, value: Node): Node {
    const { line } = this.next;
    const loops: Loop[] = [];
    while (this.takes("for")) {
      const target = this.target();
      this.expect("in");
      const from = this.#or();
      const tests: Node[] = [];
      while (this.takes("if")) tests.push(this.#or());
      loops.push({ target, of: from, tests });
    }
    return { kind: "comprehension", of, key, value, loops, line };
  }

  #primary(): Node {
    const { kind, text, line } = this.next;
    if (kind === "number") {
      this.at++;
      return { kind: "value", value: Number(text.replace(/_|[lL]$/g, "")) };
    }
    if (kind === "string") return this.#strings(line);
    if (kind === "name") {
      this.at++;
      if (text === "True") return { kind: "value", value: true };
      if (text === "False") return { kind: "value", value: false };
      if (text === "None") return { kind: "value", value: null };
      return { kind: "name", name: text, line };
    }
    if (this.takes("(")) {
      if (this.takes(")")) return { kind: "tuple", items: [] };
      const inner = this.tuple();
      const node = this.is("for") ? this.#comprehension("list", null, inner) : inner;
      this.expect(")");
      return node;
    }
    if (this.takes("[")) return this.#items("list", "]");
    if (this.takes("{")) {
      if (this.takes("}")) return { kind: "dict", entries: [] };
      const first = this.expression();
      return this.takes(":") ? this.#dict(first) : this.#items("set", "}", first);
    }
    return this.fail("Expected an expression");
  }

  #items(kind: "list" | "set", close: string, first?: Node): Node {
    const items: Node[] = first === undefined ? [] : [first];
    if (first !== undefined && !this.takes(",") && !this.is(close) && !this.is("for")) {
      this.fail(`Expected "${close}"`);
    }
    while (!this.takes(close)) {
      if (this.is("for") && items.length === 1) {
        const node = this.#comprehension(kind, null, items[0]!);
        this.expect(close);
        return node;
      }
      items.push(this.expression());
      if (!this.takes(",") && !this.is(close) && !this.is("for")) this.fail(`Expected "," or "${close}"`);
    }
    return { kind, items };
  }

  #dict(first: Node): Node {
    const entries: [Node, Node][] = [[first, this.expression()]];
    if (this.is("for")) {
      const node = this.#comprehension("dict", first, entries[0]![1]);
      this.expect("}");
      return node;
    }
    while (!this.takes("}")) {
      this.expect(",");
      if (this.takes("}")) break;
      const key = this.expression();
      this.expect(":");
      entries.push([key, this.expression()]);
    }
    return { kind: "dict", entries };
  }

  /** Strings that stand beside each other are one. */
  #strings(line: number): Node {
    const parts: (string | FormatPart)[] = [];
    let formatted = false;
    for (; this.next.kind === "string"; this.at++) {
      const [, prefix, quoted] = /^([a-zA-Z]*)([\s\S]*)$/.exec(this.next.text)!;
      const raw = /r/i.test(prefix!);
      const body = unquote(quoted!);
      if (/f/i.test(prefix!)) {
        formatted = true;
        parts.push(...formatParts(body, raw, this.next.line));
      } else parts.push(raw ? body : unescape(body));
    }
    return formatted ? { kind: "format", parts, line } : { kind: "value", value: parts.join("") };
  }
}

function unquote(text: string): string {
  const triple = text.startsWith('"""') || text.startsWith("'''");
  return text.slice(triple ? 3 : 1, triple ? -3 : -1);
}

const ESCAPES: Record<string, string> = { n: "\n", t: "\t", r: "\r", "0": "\0", "\n": "" };

function unescape(text: string): string {
  return text.replace(
    /\\(x[0-9a-fA-F]{2}|[\s\S])/g,
    (all, code: string) =>
      code.length === 3
        ? String.fromCharCode(parseInt(code.slice(1), 16))
        : ESCAPES[code] ?? (/["'\\]/.test(code) ? code : all),
  );
}

/** Where the braces that open before `from` close. */
function closing(text: string, from: number, line: number): number {
  let quote = "";
  for (let i = from, depth = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== "") {
      if (c === quote) quote = "";
    } else if (c === '"' || c === "'") quote = c;
    else if ("([{".includes(c)) depth++;
    else if (c === "}" && depth === 0) return i;
    else if (")]}".includes(c)) depth--;
  }
  throw new CodeError(line, 'Expected "}" in a string');
}

/** Where the expression of a part ends: at `!r`, at `:spec`, or at its end. */
function expressionEnd(text: string): number {
  let quote = "";
  for (let i = 0, depth = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== "") {
      if (c === quote) quote = "";
    } else if (c === '"' || c === "'") quote = c;
    else if ("([{".includes(c)) depth++;
    else if (")]}".includes(c)) depth--;
    else if (depth === 0 && (c === ":" || (c === "!" && text[i + 1] !== "="))) return i;
  }
  return text.length;
}

/** The text and the values of an f-string. */
function formatParts(body: string, raw: boolean, line: number): (string | FormatPart)[] {
  const parts: (string | FormatPart)[] = [];
  let text = "";
  for (let i = 0; i < body.length; i++) {
    const c = body[i]!;
    if ((c === "{" || c === "}") && body[i + 1] === c) {
      text += c;
      i++;
    } else if (c !== "{") text += c;
    else {
      const to = closing(body, i + 1, line);
      let inner = body.slice(i + 1, to);
      let end = expressionEnd(inner);
      const source = inner.slice(0, end);
      let told = source.trimEnd();
      if (/[^=!<>]=$/.test(told)) {
        text += source;
        told = told.slice(0, -1);
      }
      parts.push(raw ? text : unescape(text));
      text = "";
      inner = inner.slice(end);
      end = inner.indexOf(":");
      const conversion = (end < 0 ? inner : inner.slice(0, end)).replace("!", "").trim();
      const spec: Node | null = end < 0
        ? null
        : { kind: "format", parts: formatParts(inner.slice(end + 1), raw, line), line };
      parts.push({ value: new ExpressionParser(tokenize(`(${told})`)).expression(), conversion, spec });
      i = to;
    }
  }
  parts.push(raw ? text : unescape(text));
  return parts;
}
