/**
 * Statements of the code blocks.
 *
 * @module
 */

import type { Handler, Node, Statement } from "./ast.ts";
import { ExpressionParser } from "./expressions.ts";
import { tokenize } from "./lexer.ts";

/** Parses a block. @throws {CodeError} */
export function parseCode(text: string): Statement[] {
  return new Parser(tokenize(text)).block("end");
}

class Parser extends ExpressionParser {
  block(close: "end" | "dedent"): Statement[] {
    const statements: Statement[] = [];
    while (this.next.kind !== close) {
      if (this.next.kind === "newline") this.at++;
      else if (this.next.kind === "indent" || this.next.kind === "dedent") {
        if (this.next.kind === "indent") this.fail("Unexpected indentation");
        this.at++;
      } else if (this.next.kind === "end") break;
      else this.#statement(statements);
    }
    this.at++;
    return statements;
  }

  #suite(): Statement[] {
    this.expect(":");
    const statements: Statement[] = [];
    if (this.takesKind("newline")) {
      while (this.takesKind("newline"));
      if (!this.takesKind("indent")) this.fail("Expected an indented block");
      return this.block("dedent");
    }
    this.#line(statements);
    return statements;
  }

  /** The block behind a word such as `else`, if it comes next. */
  #clause(word: string): Statement[] {
    while (this.next.kind === "newline") this.at++;
    return this.takes(word) ? this.#suite() : [];
  }

  #statement(into: Statement[]): void {
    const { line } = this.next;
    if (this.takes("if")) into.push(this.#if());
    else if (this.takes("while")) {
      const test = this.expression();
      const body = this.#suite();
      into.push({ kind: "while", test, body, otherwise: this.#clause("else"), line });
    } else if (this.takes("for")) {
      const target = this.target();
      this.expect("in");
      const of = this.tuple();
      const body = this.#suite();
      into.push({ kind: "for", target, of, body, otherwise: this.#clause("else"), line });
    } else if (this.takes("def")) {
      const name = this.name();
      this.expect("(");
      const parameters = this.parameters(")");
      if (this.takes("->")) this.expression();
      into.push({ kind: "def", name, parameters, body: this.#suite(), line });
    } else if (this.takes("try")) into.push(this.#try());
    else this.#line(into);
  }

  /** Simple statements up to the end of the line. */
  #line(into: Statement[]): void {
    do {
      if (this.next.kind === "newline") break;
      this.#simple(into);
    } while (this.takes(";"));
    if (this.next.kind !== "newline" && this.next.kind !== "end") {
      this.fail("Expected the end of a statement");
    }
  }

  #if(): Statement {
    const test = this.expression();
    const then = this.#suite();
    while (this.next.kind === "newline") this.at++;
    const otherwise = this.takes("elif") ? [this.#if()] : this.#clause("else");
    return { kind: "if", test, then, otherwise };
  }

  #try(): Statement {
    const body = this.#suite();
    const handlers: Handler[] = [];
    for (;;) {
      while (this.next.kind === "newline") this.at++;
      if (!this.takes("except")) break;
      let name: string | null = null;
      if (!this.is(":")) {
        this.tuple();
        if (this.takes("as")) name = this.name();
      }
      handlers.push({ name, body: this.#suite() });
    }
    return { kind: "try", body, handlers, otherwise: this.#clause("else"), last: this.#clause("finally") };
  }

  #dotted(): string {
    let name = this.name();
    while (this.takes(".")) name += `.${this.name()}`;
    return name;
  }

  #simple(into: Statement[]): void {
    const { line } = this.next;
    for (const kind of ["pass", "break", "continue"] as const) {
      if (this.takes(kind)) {
        into.push({ kind });
        return;
      }
    }
    if (this.takes("import")) {
      const names: [string, string][] = [];
      do {
        const module = this.#dotted();
        names.push([module, this.takes("as") ? this.name() : module.split(".")[0]!]);
      } while (this.takes(","));
      into.push({ kind: "import", names });
      return;
    }
    if (this.takes("from")) {
      this.#from(into);
      return;
    }
    if (this.takes("return")) {
      into.push({ kind: "return", value: this.next.kind === "newline" ? null : this.tuple() });
      return;
    }
    if (this.takes("raise")) {
      into.push({ kind: "raise", value: this.next.kind === "newline" ? null : this.tuple(), line });
      return;
    }
    if (this.takes("global") || this.takes("nonlocal")) {
      const names = [this.name()];
      while (this.takes(",")) names.push(this.name());
      into.push({ kind: "global", names });
      return;
    }
    if (this.takes("del")) {
      const target = this.tuple();
      into.push({ kind: "del", targets: target.kind === "tuple" ? target.items : [target], line });
      return;
    }
    if (this.takes("assert")) {
      const from = this.at;
      const test = this.expression();
      const text = this.tokens.slice(from, this.at).map((token) => token.text).join(" ");
      into.push({ kind: "assert", test, message: this.takes(",") ? this.tuple() : null, line, text });
      return;
    }
    if (this.is("print") && !/^(?:[(.=]|\[)$/.test(this.tokens[this.at + 1]!.text)) {
      this.at++;
      const args = this.next.kind === "newline" ? [] : [this.tuple()];
      const callee: Node = { kind: "name", name: "print", line };
      into.push({ kind: "expression", value: { kind: "call", callee, args, named: new Map(), line } });
      return;
    }
    this.#assignment(into, line);
  }

  /** `from module import name as other`. */
  #from(into: Statement[]): void {
    const module = this.#dotted();
    this.expect("import");
    const names: [string, string][] = [];
    const open = this.takes("(");
    do {
      if (this.takes("*") || this.is(")")) continue;
      const name = this.name();
      names.push([name, this.takes("as") ? this.name() : name]);
    } while (this.takes(","));
    if (open) this.expect(")");
    into.push({ kind: "from", module, names });
  }

  #assignment(into: Statement[], line: number): void {
    const first = this.tuple();
    // What a variable is said to be means nothing here.
    if (this.takes(":")) this.expression();
    const operator = this.next.kind === "operator" ? this.next.text : "";
    if (!/^(\*\*|\/\/|<<|>>|[-+*/%&|^])?=$/.test(operator)) {
      into.push({ kind: "expression", value: first });
      return;
    }
    this.at++;
    const targets = [first];
    let value = this.tuple();
    while (operator === "=" && this.takes("=")) {
      targets.push(value);
      value = this.tuple();
    }
    into.push({ kind: "assign", targets, operator: operator.slice(0, -1), value, line });
  }
}
