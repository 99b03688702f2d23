/**
 * Runs the code blocks of scripts: assertions over tcp_info, with variables that live as long as the script.
 *
 * @module
 */

import { CodeError } from "./code_lexer.ts";
import { type Node, parseCode, type Statement } from "./code_parser.ts";

/** What an expression can give. Integers are numbers as well; tcp_info's fit. */
export type Value = number | string | boolean | null | Value[] | Map<Value, Value> | Builtin;
type Builtin = (args: Value[], named: Map<string, Value>) => Value;

/** Most rounds of all loops of one block. */
const LOOP_LIMIT = 100_000;

type Flow = "next" | "break" | "continue";

/** The variables of a script, and what it prints. */
export class CodeRunner {
  readonly #variables = new Map<string, Value>();
  readonly #print: (line: string) => void;
  #fields: Readonly<Record<string, number | string>> = {};
  #rounds = 0;

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
    this.#rounds = 0;
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
      case "assign":
        this.#assign(s.target, s.operator, this.#value(s.value), s.line);
        return "next";
      case "if":
        return this.#block(truth(this.#value(s.test)) ? s.then : s.otherwise);
      case "while":
        while (truth(this.#value(s.test))) {
          this.#round(s.line);
          if (this.#block(s.body) === "break") break;
        }
        return "next";
      case "for": {
        const of = this.#value(s.of);
        const items = Array.isArray(of) ? of : of instanceof Map ? [...of.keys()] : [...String(of)];
        for (const item of items) {
          this.#round(s.line);
          this.#variables.set(s.name, item);
          if (this.#block(s.body) === "break") break;
        }
        return "next";
      }
      case "pass":
        return "next";
      case "break":
      case "continue":
        return s.kind;
    }
  }

  #round(line: number): void {
    if (++this.#rounds > LOOP_LIMIT) throw new CodeError(line, "The loop does not end");
  }

  #assign(target: Node, operator: string, value: Value, line: number): void {
    if (target.kind === "list" && Array.isArray(value) && value.length === target.items.length) {
      for (const [i, item] of target.items.entries()) this.#assign(item, operator, value[i]!, line);
      return;
    }
    if (operator !== "") value = arithmetic(operator, this.#value(target), value, line);
    if (target.kind === "name") this.#variables.set(target.name, value);
    else if (target.kind === "index") {
      const of = this.#value(target.of), index = this.#value(target.index);
      if (of instanceof Map) of.set(index, value);
      else if (Array.isArray(of)) of[Number(index)] = value;
    } else throw new CodeError(line, "Cannot assign to this");
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
        return n.items.map((item) => this.#value(item));
      case "dict":
        return new Map(n.entries.map(([key, value]) => [this.#value(key), this.#value(value)]));
      case "index": {
        const of = this.#value(n.of), index = this.#value(n.index);
        const found = of instanceof Map
          ? of.get(index)
          : Array.isArray(of) || typeof of === "string"
          ? of.at(Number(index))
          : undefined;
        if (found === undefined) {
          throw new CodeError(n.line, `Nothing at ${display(index)} in ${display(of)}`);
        }
        return found;
      }
      case "member":
        return this.#member(this.#value(n.of), n.name, n.line);
      case "call": {
        const callee = this.#value(n.callee);
        if (typeof callee !== "function") throw new CodeError(n.line, `Cannot call ${display(callee)}`);
        const named = new Map([...n.named].map(([name, node]) => [name, this.#value(node)]));
        return callee(n.args.map((arg) => this.#value(arg)), named);
      }
    }
  }

  #lookup(name: string, line: number): Value {
    const value = this.#fields[name] ?? this.#variables.get(name);
    if (value !== undefined) return value;
    if (name === "print") {
      return (args) => {
        this.#print(
          args.map((arg) => Array.isArray(arg) ? arg.map(display).join(" ") : display(arg)).join(" "),
        );
        return null;
      };
    }
    const builtin = BUILTINS[name];
    if (builtin === undefined) throw new CodeError(line, `Name "${name}" is not defined`);
    return builtin;
  }

  #member(of: Value, name: string, line: number): Value {
    if (typeof of === "string" && name === "format") {
      return (args) => {
        let next = 0;
        return of.replace(
          /\{(\d*)[^}]*\}/g,
          (_all, at: string) => display(args[at === "" ? next++ : Number(at)] ?? null),
        );
      };
    }
    if (typeof of === "string" && name === "decode") return () => of;
    if (typeof of === "string" && name === "startswith") return (args) => of.startsWith(String(args[0]));
    if (of instanceof Map && name === "get") return (args) => of.get(args[0]!) ?? args[1] ?? null;
    if (Array.isArray(of) && name === "append") return (args) => (of.push(args[0]!), null);
    throw new CodeError(line, `${display(of)} has nothing called "${name}"`);
  }
}

const BUILTINS: Record<string, Builtin> = {
  abs: ([x]) => Math.abs(Number(x)),
  min: (args) => Math.min(...numbers(args)),
  max: (args) => Math.max(...numbers(args)),
  sum: ([list]) => numbers([list!]).reduce((total, x) => total + x, 0),
  len: ([x]) => Array.isArray(x) || typeof x === "string" ? x.length : x instanceof Map ? x.size : 0,
  int: ([x, base]) => base === undefined ? Math.trunc(Number(x)) : parseInt(String(x), Number(base)),
  float: ([x]) => Number(x),
  bool: ([x]) => truth(x ?? null),
  str: ([x]) => display(x ?? null),
  repr: ([x]) => display(x ?? null),
  hex: ([x]) => `0x${Number(x).toString(16)}`,
  round: ([x, digits]) => Number(Number(x).toFixed(Number(digits ?? 0))),
  range: (args) => {
    const [from, to, step] = args.length === 1
      ? [0, Number(args[0]), 1]
      : [...args.map(Number), 1] as number[];
    const list: number[] = [];
    for (let i = from!; step! > 0 ? i < to! : i > to!; i += step!) list.push(i);
    return list;
  },
};

function numbers(args: Value[]): number[] {
  return (args.length === 1 && Array.isArray(args[0]) ? args[0] : args).map(Number);
}

function truth(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return Boolean(value);
}

function compare(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case "==":
      return equal(left, right);
    case "!=":
      return !equal(left, right);
    case "in":
    case "not in": {
      const inside = right instanceof Map
        ? right.has(left)
        : Array.isArray(right)
        ? right.some((item) => equal(item, left))
        : String(right).includes(String(left));
      return inside === (operator === "in");
    }
  }
  const [a, b] = typeof left === "string" && typeof right === "string"
    ? [left, right]
    : [Number(left), Number(right)];
  return operator === "<" ? a < b : operator === "<=" ? a <= b : operator === ">" ? a > b : a >= b;
}

function equal(left: Value, right: Value): boolean {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, i) => equal(item, right[i]!));
  }
  if (typeof left === "boolean" || typeof right === "boolean") {
    return left !== null && right !== null && typeof left !== "string" && typeof right !== "string" &&
      Number(left) === Number(right);
  }
  return left === right;
}

function arithmetic(operator: string, left: Value, right: Value, line: number): Value {
  if (typeof left === "string" && operator === "%") return formatPercent(left, right);
  if (operator === "+" && typeof left === "string" && typeof right === "string") return left + right;
  if (operator === "+" && Array.isArray(left) && Array.isArray(right)) return [...left, ...right];
  if (operator === "*" && typeof left === "string") return left.repeat(Math.max(0, Number(right)));
  const a = Number(left), b = Number(right);
  if ("/ // %".split(" ").includes(operator) && b === 0) throw new CodeError(line, "Division by zero");
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "//":
      return Math.floor(a / b);
    case "%":
      return a - Math.floor(a / b) * b;
    case "**":
      return a ** b;
  }
  const x = BigInt(Math.trunc(a)), y = BigInt(Math.trunc(b));
  return Number(
    operator === "<<"
      ? x << y
      : operator === ">>"
      ? x >> y
      : operator === "&"
      ? x & y
      : operator === "|"
      ? x | y
      : x ^ y,
  );
}

function formatPercent(format: string, value: Value): string {
  const args = Array.isArray(value) ? [...value] : [value];
  return format.replace(
    /%(?:%|([-+ 0]*\d*(?:\.(\d+))?)([sdiufxr]))/g,
    (all, _width, digits, kind: string) => {
      if (all === "%%") return "%";
      const arg = args.shift() ?? null;
      if (kind === "x") return Number(arg).toString(16);
      if (kind === "f") return Number(arg).toFixed(digits === undefined ? 6 : Number(digits));
      return kind === "s" || kind === "r" ? display(arg) : String(Math.trunc(Number(arg)));
    },
  );
}

/** A value as print shows it. */
export function display(value: Value): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `(${value.map(display).join(", ")})`;
  if (value instanceof Map) {
    return `{${[...value].map(([k, v]) => `${display(k)}: ${display(v)}`).join(", ")}}`;
  }
  return typeof value === "function" ? "<function>" : String(value);
}
