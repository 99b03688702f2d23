/**
 * Runs the code blocks of scripts: assertions over tcp_info, with variables that live as long as the script.
 *
 * @module
 */

import type { Loop, Node, Parameter, Statement } from "./ast.ts";
import { BUILTINS, methodOf, moduleOf } from "./builtins.ts";
import { CodeError } from "./lexer.ts";
import { parseCode } from "./parser.ts";
import {
  arithmetic,
  type Callable,
  compare,
  display,
  equal,
  formatSpec,
  itemsOf,
  truth,
  type Value,
} from "./values.ts";

/** Most rounds of all loops and calls of one block. */
const ROUNDS = 100_000;
/** Most calls inside of each other. */
const DEPTH = 200;

type Flow = "next" | "break" | "continue" | "return";

/** The variables of a call. */
interface Scope {
  variables: Map<string, Value>;
  /** Names that mean the script's variables. */
  global: Set<string>;
  outer: Scope | null;
}

/** The variables of a script, and what it prints. */
export class CodeRunner {
  readonly #variables = new Map<string, Value>();
  readonly #print: (line: string) => void;
  #fields: Readonly<Record<string, number | string>> = {};
  #scope: Scope | null = null;
  #returned: Value = null;
  #rounds = 0;
  #depth = 0;

  /** @param constants Names that are always known. @param print Gets each line that is printed. */
  constructor(constants: Readonly<Record<string, number>>, print: (line: string) => void) {
    this.#print = print;
    for (const [name, value] of Object.entries(constants)) this.#variables.set(name, value);
  }

  /**
   * Runs a block.
   * @param fields The fields of tcp_info at this moment. @throws {CodeError} A failed assertion, or a mistake.
   */
  run(text: string, fields: Readonly<Record<string, number | string>>): void {
    this.#fields = fields;
    this.#scope = null;
    this.#rounds = this.#depth = 0;
    this.#block(parseCode(text));
  }

  #block(statements: Statement[]): Flow {
    for (const statement of statements) {
      const flow = this.#statement(statement);
      if (flow !== "next") return flow;
    }
    return "next";
  }

  #statement(s: Statement): Flow {
    switch (s.kind) {
      case "expression":
        this.#value(s.value);
        return "next";
      case "assert": {
        if (truth(this.#value(s.test))) return "next";
        const said = s.message === null ? "" : `: ${display(this.#value(s.message))}`;
        throw new CodeError(s.line, `Assertion "${s.text}"${this.#explain(s.test)} failed${said}`);
      }
      case "assign": {
        const value = this.#value(s.value);
        for (const target of s.targets) this.#assign(target, s.operator, value, s.line);
        return "next";
      }
      case "if":
        return this.#block(truth(this.#value(s.test)) ? s.then : s.otherwise);
      case "while":
        while (truth(this.#value(s.test))) {
          this.#round(s.line);
          const flow = this.#block(s.body);
          if (flow === "return") return flow;
          if (flow === "break") return "next";
        }
        return this.#block(s.otherwise);
      case "for":
        for (const item of itemsOf(this.#value(s.of))) {
          this.#round(s.line);
          this.#assign(s.target, "", item, s.line);
          const flow = this.#block(s.body);
          if (flow === "return") return flow;
          if (flow === "break") return "next";
        }
        return this.#block(s.otherwise);
      case "def": {
        const body = () => {
          this.#returned = null;
          this.#block(s.body);
          const value = this.#returned;
          this.#returned = null;
          return value;
        };
        this.#set(s.name, this.#function(s.parameters, body, s.line));
        return "next";
      }
      case "return":
        this.#returned = s.value === null ? null : this.#value(s.value);
        return "return";
      case "raise":
        throw new CodeError(s.line, s.value === null ? "Raised" : display(this.#value(s.value)));
      case "try":
        return this.#try(s);
      case "import":
        for (const [module, name] of s.names) this.#set(name, moduleOf(module));
        return "next";
      case "from":
        // What is not known is missed where it is used.
        for (const [name, as] of s.names) {
          const found = moduleOf(s.module).members[name];
          if (found !== undefined) this.#set(as, found);
        }
        return "next";
      case "global":
        for (const name of s.names) this.#scope?.global.add(name);
        return "next";
      case "del":
        for (const target of s.targets) this.#delete(target, s.line);
        return "next";
      case "pass":
        return "next";
      case "break":
      case "continue":
        return s.kind;
    }
  }

  #try(s: Extract<Statement, { kind: "try" }>): Flow {
    const scope = this.#scope;
    let flow: Flow;
    try {
      flow = this.#block(s.body);
      if (flow === "next") flow = this.#block(s.otherwise);
    } catch (error) {
      const handler = s.handlers[0];
      if (!(error instanceof CodeError) || handler === undefined) {
        this.#block(s.last);
        throw error;
      }
      this.#scope = scope;
      if (handler.name !== null) this.#set(handler.name, error.message);
      // A bare "raise" raises the same again.
      if (handler.body.some((inner) => inner.kind === "raise" && inner.value === null)) throw error;
      flow = this.#block(handler.body);
    }
    const last = this.#block(s.last);
    return last === "next" ? flow : last;
  }

  #round(line: number): void {
    if (++this.#rounds > ROUNDS) throw new CodeError(line, "The loop does not end");
  }

  /** What calls `body` with parameters of its own. */
  #function(parameters: Parameter[], body: () => Value, line: number): Callable {
    const outer = this.#scope;
    const initial = parameters.map((parameter) =>
      parameter.initial === null ? null : this.#value(parameter.initial)
    );
    return (args, named) => {
      this.#round(line);
      if (++this.#depth > DEPTH) throw new CodeError(line, "Functions call each other too deeply");
      const scope: Scope = { variables: new Map(), global: new Set(), outer };
      for (const [i, { name }] of parameters.entries()) {
        scope.variables.set(name, args[i] ?? named.get(name) ?? initial[i] ?? null);
      }
      const before = this.#scope;
      this.#scope = scope;
      try {
        return body();
      } finally {
        this.#scope = before;
        this.#depth--;
      }
    };
  }

  #set(name: string, value: Value): void {
    const scope = this.#scope;
    if (scope === null || scope.global.has(name)) this.#variables.set(name, value);
    else scope.variables.set(name, value);
  }

  #assign(target: Node, operator: string, value: Value, line: number): void {
    if (target.kind === "list" || target.kind === "tuple") {
      const items = itemsOf(value);
      if (items.length !== target.items.length) {
        throw new CodeError(line, `Expected ${target.items.length} values, got ${items.length}`);
      }
      for (const [i, item] of target.items.entries()) this.#assign(item, operator, items[i]!, line);
      return;
    }
    if (operator !== "") value = arithmetic(operator, this.#value(target), value, line);
    if (target.kind === "name") this.#set(target.name, value);
    else if (target.kind === "index") {
      const of = this.#value(target.of), index = this.#value(target.index);
      if (of instanceof Map) of.set(index, value);
      else if (Array.isArray(of)) of[Number(index) < 0 ? of.length + Number(index) : Number(index)] = value;
    } else throw new CodeError(line, "Cannot assign to this");
  }

  #delete(target: Node, line: number): void {
    if (target.kind === "name") this.#variables.delete(target.name);
    else if (target.kind === "index") {
      const of = this.#value(target.of), index = this.#value(target.index);
      if (of instanceof Map) of.delete(index);
      else if (Array.isArray(of)) of.splice(Number(index), 1);
    } else throw new CodeError(line, "Cannot delete this");
  }

  /** The values behind the names of a failed assertion. */
  #explain(node: Node): string {
    const seen = new Map<string, Value>();
    const visit = (n: Node): void => {
      if (n.kind === "name") {
        const value = this.#fields[n.name];
        if (value !== undefined) seen.set(n.name, value);
      } else if (n.kind === "compare") [n.first, ...n.rest.map(([, operand]) => operand)].forEach(visit);
      else if (n.kind === "binary" || n.kind === "and" || n.kind === "or") [n.left, n.right].forEach(visit);
      else if (n.kind === "unary") visit(n.operand);
      else if (n.kind === "call") n.args.forEach(visit);
    };
    visit(node);
    if (seen.size === 0) return "";
    return ` (${[...seen].map(([name, value]) => `${name} = ${display(value)}`).join(", ")})`;
  }

  #value(n: Node): Value {
    switch (n.kind) {
      case "value":
        return n.value;
      case "name":
        return this.#lookup(n.name, n.line);
      case "unary": {
        const value = this.#value(n.operand);
        if (n.operator === "not") return !truth(value);
        const number = Number(value);
        return n.operator === "-" ? -number : n.operator === "~" ? -number - 1 : number;
      }
      case "binary":
        return arithmetic(n.operator, this.#value(n.left), this.#value(n.right), n.line);
      case "compare": {
        let left = this.#value(n.first);
        for (const [operator, operand] of n.rest) {
          const right = this.#value(operand);
          if (!compare(operator, left, right)) return false;
          left = right;
        }
        return true;
      }
      case "and": {
        const left = this.#value(n.left);
        return truth(left) ? this.#value(n.right) : left;
      }
      case "or": {
        const left = this.#value(n.left);
        return truth(left) ? left : this.#value(n.right);
      }
      case "choice":
        return this.#value(truth(this.#value(n.test)) ? n.then : n.otherwise);
      case "list":
      case "tuple":
        return n.items.map((item) => this.#value(item));
      case "set": {
        const items = n.items.map((item) => this.#value(item));
        return items.filter((item, i) => items.findIndex((other) => equal(other, item)) === i);
      }
      case "dict":
        return new Map(n.entries.map(([key, value]) => [this.#value(key), this.#value(value)]));
      case "comprehension":
        return this.#comprehension(n);
      case "lambda":
        return this.#function(n.parameters, () => this.#value(n.body), n.line);
      case "format":
        return n.parts.map((part) => {
          if (typeof part === "string") return part;
          const value = this.#value(part.value);
          return formatSpec(
            part.conversion === "r" && typeof value === "string" ? `'${value}'` : value,
            part.spec === null ? "" : String(this.#value(part.spec)),
          );
        }).join("");
      case "index":
        return this.#index(this.#value(n.of), this.#value(n.index), n.line);
      case "slice":
        return this.#slice(n);
      case "member": {
        const of = this.#value(n.of);
        const found = methodOf(of, n.name);
        if (found === undefined) throw new CodeError(n.line, `${display(of)} has nothing called "${n.name}"`);
        return found;
      }
      case "call": {
        const callee = this.#value(n.callee);
        if (typeof callee !== "function") throw new CodeError(n.line, `Cannot call ${display(callee)}`);
        const named = new Map([...n.named].map(([name, node]) => [name, this.#value(node)]));
        return callee(n.args.map((arg) => this.#value(arg)), named);
      }
    }
  }

  #comprehension(n: Extract<Node, { kind: "comprehension" }>): Value {
    const found: [Value, Value][] = [];
    const before = this.#scope;
    this.#scope = { variables: new Map(), global: new Set(), outer: before };
    const through = (loops: Loop[]): void => {
      const [loop, ...rest] = loops;
      if (loop === undefined) {
        found.push([n.key === null ? null : this.#value(n.key), this.#value(n.value)]);
        return;
      }
      for (const item of itemsOf(this.#value(loop.of))) {
        this.#round(n.line);
        this.#assign(loop.target, "", item, n.line);
        if (loop.tests.every((test) => truth(this.#value(test)))) through(rest);
      }
    };
    try {
      through(n.loops);
    } finally {
      this.#scope = before;
    }
    if (n.of === "dict") return new Map(found);
    const values = found.map(([, value]) => value);
    return n.of === "list" ? values : (BUILTINS.set as Callable)([values], new Map());
  }

  #index(of: Value, index: Value, line: number): Value {
    const found = of instanceof Map
      ? of.get(index)
      : Array.isArray(of) || typeof of === "string"
      ? of.at(Number(index))
      : undefined;
    if (found === undefined) throw new CodeError(line, `Nothing at ${display(index)} in ${display(of)}`);
    return found;
  }

  #slice(n: Extract<Node, { kind: "slice" }>): Value {
    const of = this.#value(n.of);
    const bound = (node: Node | null, otherwise: number) => {
      const value = node === null ? null : this.#value(node);
      return value === null ? otherwise : Number(value);
    };
    const text = typeof of === "string";
    const all = itemsOf(of);
    const step = bound(n.step, 1);
    if (step < 0) all.reverse();
    const items = all.slice(bound(n.from, 0), bound(n.to, all.length)).filter((_, i) =>
      i % Math.abs(step) === 0
    );
    return text ? items.join("") : items;
  }

  #lookup(name: string, line: number): Value {
    for (let scope = this.#scope; scope !== null; scope = scope.outer) {
      const value = scope.variables.get(name);
      if (value !== undefined) return value;
    }
    const value = this.#fields[name] ?? this.#variables.get(name);
    if (value !== undefined) return value;
    if (name === "print") return (args, named) => this.#printed(args, named);
    const builtin = BUILTINS[name];
    if (builtin === undefined) throw new CodeError(line, `Name "${name}" is not defined`);
    return builtin;
  }

  #printed(args: Value[], named: Map<string, Value>): null {
    const between = String(named.get("sep") ?? " ");
    // What Python 2 prints stands behind the word as a tuple.
    const shown = args.map((arg) => Array.isArray(arg) ? arg.map(display).join(" ") : display(arg));
    this.#print(shown.join(between));
    return null;
  }
}
