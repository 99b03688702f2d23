/**
 * Statements and expressions of the code blocks.
 *
 * @module
 */

import { CodeError, type Token, tokenize } from "./code_lexer.ts";

/** An expression. */
export type Node =
  | { kind: "value"; value: number | string | boolean | null }
  | { kind: "name"; name: string; line: number }
  | { kind: "unary"; operator: string; operand: Node }
  | { kind: "binary"; operator: string; left: Node; right: Node; line: number }
  | { kind: "compare"; first: Node; rest: [operator: string, operand: Node][] }
  | { kind: "and" | "or"; left: Node; right: Node }
  | { kind: "choice"; test: Node; then: Node; otherwise: Node }
  | { kind: "call"; callee: Node; args: Node[]; named: Map<string, Node>; line: number }
  | { kind: "member"; of: Node; name: string; line: number }
  | { kind: "index"; of: Node; index: Node; line: number }
  | { kind: "list"; items: Node[] }
  | { kind: "dict"; entries: [Node, Node][] };

/** A statement. */
export type Statement =
  | { kind: "expression"; value: Node }
  | { kind: "assert"; test: Node; message: Node | null; line: number; text: string }
  | { kind: "assign"; target: Node; operator: string; value: Node; line: number }
  | { kind: "if"; test: Node; then: Statement[]; otherwise: Statement[] }
  | { kind: "while"; test: Node; body: Statement[]; line: number }
  | { kind: "for"; name: string; of: Node; body: Statement[]; line: number }
  | { kind: "pass" | "break" | "continue" };

const BINARY: string[][] = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "//", "%"]];
const COMPARE = new Set(["<", "<=", ">", ">=", "==", "!="]);

/** Parses a block. @throws {CodeError} */
export function parseCode(text: string): Statement[] {
  return new Parser(tokenize(text)).block("end");
}

class Parser {
  readonly #tokens: Token[];
  #at = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  get #next(): Token {
    return this.#tokens[this.#at]!;
  }

  #is(text: string): boolean {
    const { kind } = this.#next;
    return (kind === "operator" || kind === "name") && this.#next.text === text;
  }

  #takes(text: string): boolean {
    if (!this.#is(text)) return false;
    this.#at++;
    return true;
  }

  #takesKind(kind: Token["kind"]): boolean {
    if (this.#next.kind !== kind) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#takes(text)) this.#fail(`Expected "${text}"`);
  }

  #fail(message: string): never {
    const { line, text, kind } = this.#next;
    throw new CodeError(line, `${message}, found ${JSON.stringify(text === "" ? kind : text)}`);
  }

  block(close: "end" | "dedent"): Statement[] {
    const statements: Statement[] = [];
    while (this.#next.kind !== close) {
      if (this.#next.kind === "newline") this.#at++;
      else if (this.#next.kind === "indent" || this.#next.kind === "dedent") {
        if (this.#next.kind === "indent") this.#fail("Unexpected indentation");
        this.#at++;
      } else if (this.#next.kind === "end") break;
      else this.#statement(statements);
    }
    this.#at++;
    return statements;
  }

  #suite(): Statement[] {
    this.#expect(":");
    const statements: Statement[] = [];
    if (this.#takesKind("newline")) {
      if (!this.#takesKind("indent")) this.#fail("Expected an indented block");
      return this.block("dedent");
    }
    this.#statement(statements);
    return statements;
  }

  #statement(into: Statement[]): void {
    const { line } = this.#next;
    if (this.#takes("if")) {
      into.push(this.#if());
      return;
    }
    if (this.#takes("while")) {
      const test = this.expression();
      into.push({ kind: "while", test, body: this.#suite(), line });
      return;
    }
    if (this.#takes("for")) {
      const name = this.#next.text;
      this.#at++;
      this.#expect("in");
      const of = this.expression();
      into.push({ kind: "for", name, of, body: this.#suite(), line });
      return;
    }
    do {
      if (this.#next.kind === "newline") break;
      this.#simple(into);
    } while (this.#takes(";"));
    if (this.#next.kind !== "newline" && this.#next.kind !== "end") {
      this.#fail("Expected the end of a statement");
    }
  }

  #if(): Statement {
    const test = this.expression();
    const then = this.#suite();
    while (this.#next.kind === "newline") this.#at++;
    let otherwise: Statement[] = [];
    if (this.#takes("elif")) otherwise = [this.#if()];
    else if (this.#takes("else")) otherwise = this.#suite();
    return { kind: "if", test, then, otherwise };
  }

  #simple(into: Statement[]): void {
    const { line } = this.#next;
    for (const kind of ["pass", "break", "continue"] as const) {
      if (this.#takes(kind)) {
        into.push({ kind });
        return;
      }
    }
    if (this.#is("import") || this.#is("from")) {
      // Nothing of a library is needed; what uses one says that the name is unknown.
      while (this.#next.kind !== "newline") this.#at++;
      return;
    }
    if (this.#takes("assert")) {
      const from = this.#at;
      const test = this.expression();
      const text = this.#tokens.slice(from, this.#at).map((token) => token.text).join(" ");
      into.push({ kind: "assert", test, message: this.#takes(",") ? this.#tuple() : null, line, text });
      return;
    }
    if (this.#is("print") && this.#tokens[this.#at + 1]!.text !== "(") {
      this.#at++;
      const args = this.#next.kind === "newline" ? [] : [this.#tuple()];
      const callee: Node = { kind: "name", name: "print", line };
      into.push({ kind: "expression", value: { kind: "call", callee, args, named: new Map(), line } });
      return;
    }
    const target = this.#tuple();
    const operator = this.#next.kind === "operator" ? this.#next.text : "";
    if (/^(\*\*|\/\/|<<|>>|[-+*/%&|^])?=$/.test(operator)) {
      this.#at++;
      into.push({ kind: "assign", target, operator: operator.slice(0, -1), value: this.#tuple(), line });
    } else {
      into.push({ kind: "expression", value: target });
    }
  }

  /** An expression, or several with commas between. */
  #tuple(): Node {
    const first = this.expression();
    if (!this.#is(",")) return first;
    const items = [first];
    while (this.#takes(",")) {
      if (this.#next.kind === "newline" || this.#is(")") || this.#is("=")) break;
      items.push(this.expression());
    }
    return { kind: "list", items };
  }

  expression(): Node {
    const then = this.#or();
    if (!this.#takes("if")) return then;
    const test = this.#or();
    this.#expect("else");
    return { kind: "choice", test, then, otherwise: this.expression() };
  }

  #or(): Node {
    let left = this.#and();
    while (this.#takes("or")) left = { kind: "or", left, right: this.#and() };
    return left;
  }

  #and(): Node {
    let left = this.#not();
    while (this.#takes("and")) left = { kind: "and", left, right: this.#not() };
    return left;
  }

  #not(): Node {
    return this.#takes("not") ? { kind: "unary", operator: "not", operand: this.#not() } : this.#comparison();
  }

  #comparison(): Node {
    const first = this.#binary(0);
    const rest: [string, Node][] = [];
    for (;;) {
      let operator = this.#next.text;
      if (this.#next.kind === "operator" && COMPARE.has(operator)) this.#at++;
      else if (this.#takes("in")) operator = "in";
      else if (this.#takes("is")) operator = this.#takes("not") ? "!=" : "==";
      else if (this.#is("not") && this.#tokens[this.#at + 1]!.text === "in") {
        this.#at += 2;
        operator = "not in";
      } else break;
      rest.push([operator, this.#binary(0)]);
    }
    return rest.length === 0 ? first : { kind: "compare", first, rest };
  }

  #binary(level: number): Node {
    if (level === BINARY.length) return this.#unary();
    let left = this.#binary(level + 1);
    while (this.#next.kind === "operator" && BINARY[level]!.includes(this.#next.text)) {
      const { text: operator, line } = this.#next;
      this.#at++;
      left = { kind: "binary", operator, left, right: this.#binary(level + 1), line };
    }
    return left;
  }

  #unary(): Node {
    for (const operator of ["-", "+", "~"]) {
      if (this.#next.kind === "operator" && this.#takes(operator)) {
        return { kind: "unary", operator, operand: this.#unary() };
      }
    }
    const { line } = this.#next;
    const base = this.#postfix();
    return this.#takes("**")
      ? { kind: "binary", operator: "**", left: base, right: this.#unary(), line }
      : base;
  }

  #postfix(): Node {
    let node = this.#primary();
    for (;;) {
      const { line } = this.#next;
      if (this.#takes("(")) {
        const args: Node[] = [];
        const named = new Map<string, Node>();
        while (!this.#takes(")")) {
          const name = this.#next;
          if (name.kind === "name" && this.#tokens[this.#at + 1]!.text === "=") {
            this.#at += 2;
            named.set(name.text, this.expression());
          } else args.push(this.expression());
          if (!this.#takes(",") && !this.#is(")")) this.#fail('Expected "," or ")"');
        }
        node = { kind: "call", callee: node, args, named, line };
      } else if (this.#takes(".")) {
        node = { kind: "member", of: node, name: this.#next.text, line };
        this.#at++;
      } else if (this.#takes("[")) {
        const index = this.expression();
        this.#expect("]");
        node = { kind: "index", of: node, index, line };
      } else return node;
    }
  }

  #primary(): Node {
    const { kind, text, line } = this.#next;
    if (kind === "number") {
      this.#at++;
      return { kind: "value", value: Number(text) };
    }
    if (kind === "string") {
      let value = "";
      for (; this.#next.kind === "string"; this.#at++) value += unquote(this.#next.text);
      return { kind: "value", value };
    }
    if (kind === "name") {
      this.#at++;
      if (text === "True") return { kind: "value", value: true };
      if (text === "False") return { kind: "value", value: false };
      if (text === "None") return { kind: "value", value: null };
      // "f" and "r" in front of a string change nothing that matters here.
      if (/^[fFrRbBuU]$/.test(text) && this.#next.kind === "string") return this.#primary();
      return { kind: "name", name: text, line };
    }
    if (this.#takes("(")) {
      if (this.#takes(")")) return { kind: "list", items: [] };
      const inner = this.#tuple();
      this.#expect(")");
      return inner;
    }
    if (this.#takes("[")) {
      const items: Node[] = [];
      while (!this.#takes("]")) {
        items.push(this.expression());
        if (!this.#takes(",") && !this.#is("]")) this.#fail('Expected "," or "]"');
      }
      return { kind: "list", items };
    }
    if (this.#takes("{")) {
      const entries: [Node, Node][] = [];
      while (!this.#takes("}")) {
        const key = this.expression();
        this.#expect(":");
        entries.push([key, this.expression()]);
        if (!this.#takes(",") && !this.#is("}")) this.#fail('Expected "," or "}"');
      }
      return { kind: "dict", entries };
    }
    return this.#fail("Expected an expression");
  }
}

function unquote(text: string): string {
  const triple = text.startsWith('"""') || text.startsWith("'''");
  return text.slice(triple ? 3 : 1, triple ? -3 : -1)
    .replace(/\\(.)/gs, (_all, code: string) => code === "n" ? "\n" : code === "t" ? "\t" : code);
}
