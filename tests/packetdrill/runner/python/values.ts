/**
 * Values of the code blocks: how they are compared, counted with and shown.
 *
 * @module
 */

import { CodeError } from "./lexer.ts";

/** What an expression can give. Integers are numbers as well; tcp_info's fit. Tuples are lists. */
export type Value = number | string | boolean | null | Value[] | Map<Value, Value> | Callable | Module;
/** What can be called. */
export type Callable = (args: Value[], named: Map<string, Value>) => Value;

/** What `import` gives. */
export class Module {
  readonly name: string;
  readonly members: Readonly<Record<string, Value>>;

  constructor(name: string, members: Readonly<Record<string, Value>>) {
    this.name = name;
    this.members = members;
  }
}

/** Whether a test holds. */
export function truth(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return Boolean(value);
}

/** What a loop over a value goes through. */
export function itemsOf(value: Value): Value[] {
  return Array.isArray(value) ? value : value instanceof Map ? [...value.keys()] : [...String(value)];
}

/** Whether two values are in the order that an operator names. */
export function compare(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case "==":
      return equal(left, right);
    case "!=":
      return !equal(left, right);
    case "in":
    case "not in": {
      const inside = typeof right === "string"
        ? right.includes(String(left))
        : itemsOf(right).some((item) => equal(item, left));
      return inside === (operator === "in");
    }
  }
  const order = ordered(left, right);
  return operator === "<"
    ? order < 0
    : operator === "<="
    ? order <= 0
    : operator === ">"
    ? order > 0
    : order >= 0;
}

/** Negative, zero or positive: where `left` stands to `right`. NaN where neither is before the other. */
export function ordered(left: Value, right: Value): number {
  if (typeof left === "string" && typeof right === "string") return left < right ? -1 : left > right ? 1 : 0;
  if (Array.isArray(left) && Array.isArray(right)) {
    for (let i = 0; i < Math.min(left.length, right.length); i++) {
      const order = ordered(left[i]!, right[i]!);
      if (order !== 0) return order;
    }
    return left.length - right.length;
  }
  return Number(left) - Number(right);
}

/** Whether two values are the same. */
export function equal(left: Value, right: Value): boolean {
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, i) => equal(item, right[i]!));
  }
  if (left instanceof Map && right instanceof Map) {
    return left.size === right.size &&
      [...left].every(([key, value]) => right.has(key) && equal(value, right.get(key)!));
  }
  if (typeof left === "boolean" || typeof right === "boolean") {
    return left !== null && right !== null && typeof left !== "string" && typeof right !== "string" &&
      Number(left) === Number(right);
  }
  return left === right;
}

/** The value of an operator between two others. @throws {CodeError} */
export function arithmetic(operator: string, left: Value, right: Value, line: number): Value {
  if (typeof left === "string" && operator === "%") return formatPercent(left, right);
  if (operator === "+" && typeof left === "string" && typeof right === "string") return left + right;
  if (operator === "+" && Array.isArray(left) && Array.isArray(right)) return [...left, ...right];
  if (operator === "*" && typeof left === "string") return left.repeat(Math.max(0, Number(right)));
  if (operator === "*" && Array.isArray(left)) {
    return Array.from({ length: Math.max(0, Number(right)) }, () => left).flat();
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    const inside = (list: Value[], item: Value) => list.some((other) => equal(other, item));
    if (operator === "-") return left.filter((item) => !inside(right, item));
    if (operator === "&") return left.filter((item) => inside(right, item));
    if (operator === "|") return [...left, ...right.filter((item) => !inside(left, item))];
  }
  const a = numeric(left, operator, line), b = numeric(right, operator, line);
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

function numeric(value: Value, operator: string, line: number): number {
  if (typeof value === "number" || typeof value === "boolean") return Number(value);
  throw new CodeError(line, `Operator "${operator}" needs a number, got ${display(value)}`);
}

/** `format % values`. */
function formatPercent(format: string, value: Value): string {
  const args = Array.isArray(value) ? [...value] : [value];
  return format.replace(
    /%(?:%|(?:\((\w+)\))?([-+ 0#]*)(\d*)(?:\.(\d+))?[hlL]?([sdiufFeEgGxXorc]))/g,
    (
      all,
      key: string | undefined,
      flags: string,
      width: string,
      digits: string | undefined,
      kind: string,
    ) => {
      if (all === "%%") return "%";
      const arg = key !== undefined && value instanceof Map ? value.get(key) ?? null : args.shift() ?? null;
      const type = /[diu]/.test(kind) ? "d" : kind;
      const align = flags.includes("-") ? "<" : ">";
      const fill = flags.includes("0") && align === ">" ? "0" : "";
      const sign = flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
      const alternate = flags.includes("#") ? "#" : "";
      const shown = /[sr]/.test(kind)
        ? display(arg)
        : /[dxXo]/.test(type)
        ? Math.trunc(Number(arg))
        : Number(arg);
      const precision = digits === undefined ? "" : `.${digits}`;
      return formatSpec(
        shown,
        `${fill === "" ? align : ""}${sign}${alternate}${fill}${width}${precision}${type}`,
      );
    },
  );
}

const SPEC = /^(?:(.)?([<>^=]))?([-+ ]?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([bcdeEfFgGnosxXr%]?)$/s;

/** A value as `format` shows it by a specification such as `>8.3f`. */
export function formatSpec(value: Value, spec: string): string {
  const parts = SPEC.exec(spec);
  if (parts === null) return display(value);
  const [, fill, align, sign, alternate, zero, width, comma, digits, type] = parts;
  let text = bare(value, type!, digits === undefined ? null : Number(digits), alternate !== "");
  if (comma !== "") {
    text = text.replace(/\B(?=(?:\d{3})+(?!\d))/, comma!).replace(/\B(?=(?:\d{3})+(?!\d))/g, comma!);
  }
  const number = typeof value === "number";
  if (number && sign !== "" && sign !== "-" && !text.startsWith("-")) text = sign + text;
  const room = Number(width || 0);
  const padding = (fill ?? (zero !== "" ? "0" : " ")).repeat(Math.max(0, room - text.length));
  const side = align ?? (zero !== "" ? "=" : number ? ">" : "<");
  if (side === "<") return text + padding;
  if (side === "^") return padding.slice(0, padding.length >> 1) + text + padding.slice(padding.length >> 1);
  const lead = side === "=" ? /^[-+ ]?/.exec(text)![0] : "";
  return lead + padding + text.slice(lead.length);
}

function bare(value: Value, type: string, digits: number | null, alternate: boolean): string {
  const n = Number(value);
  switch (type) {
    case "d":
      return String(Math.trunc(n));
    case "x":
    case "X":
    case "o":
    case "b": {
      const text = Math.trunc(n).toString(type === "o" ? 8 : type === "b" ? 2 : 16);
      return (alternate ? `0${type}` : "") + (type === "X" ? text.toUpperCase() : text);
    }
    case "f":
    case "F":
      return n.toFixed(digits ?? 6);
    case "e":
    case "E":
      return n.toExponential(digits ?? 6).replace(/e([-+])(\d)$/, "e$10$2");
    case "g":
    case "G":
      return String(Number(n.toPrecision(Math.max(1, digits ?? 6))));
    case "%":
      return `${(n * 100).toFixed(digits ?? 6)}%`;
    case "c":
      return typeof value === "string" ? value : String.fromCharCode(n);
  }
  if (typeof value === "number" && digits !== null) return String(Number(n.toPrecision(Math.max(1, digits))));
  const text = display(value);
  return digits === null ? text : text.slice(0, digits);
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
  if (value instanceof Module) return `<module ${value.name}>`;
  return typeof value === "function" ? "<function>" : String(value);
}
