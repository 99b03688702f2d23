/**
 * Functions, methods and modules that code blocks find.
 *
 * @module
 */

import {
  type Callable,
  display,
  equal,
  formatSpec,
  itemsOf,
  Module,
  ordered,
  truth,
  type Value,
} from "./values.ts";

/** What no block has to define. */
export const BUILTINS: Readonly<Record<string, Value>> = {
  abs: ([x]) => Math.abs(Number(x)),
  min: (args, named) => extreme(args, named, -1),
  max: (args, named) => extreme(args, named, 1),
  sum: ([list, start]) => itemsOf(list!).reduce((total: number, x) => total + Number(x), Number(start ?? 0)),
  len: ([x]) => itemsOf(x!).length,
  int: ([x, base]) =>
    base === undefined
      ? Math.trunc(Number(x ?? 0))
      : parseInt(String(x).replace(/^0[box]/i, ""), Number(base) || 16),
  long: ([x]) => Math.trunc(Number(x ?? 0)),
  float: ([x]) => x === "inf" ? Infinity : Number(x ?? 0),
  bool: ([x]) => truth(x ?? null),
  str: ([x]) => display(x ?? ""),
  repr: ([x]) => typeof x === "string" ? `'${x}'` : display(x ?? null),
  hex: ([x]) => `0x${Number(x).toString(16)}`,
  oct: ([x]) => `0o${Number(x).toString(8)}`,
  bin: ([x]) => `0b${Number(x).toString(2)}`,
  chr: ([x]) => String.fromCharCode(Number(x)),
  ord: ([x]) => String(x).charCodeAt(0),
  round: ([x, digits]) => round(Number(x), Number(digits ?? 0)),
  pow: ([x, y]) => Number(x) ** Number(y),
  divmod: ([x, y]) => {
    const quotient = Math.floor(Number(x) / Number(y));
    return [quotient, Number(x) - quotient * Number(y)];
  },
  range: (args) => range(args.map(Number)),
  xrange: (args) => range(args.map(Number)),
  any: ([list]) => itemsOf(list!).some(truth),
  all: ([list]) => itemsOf(list!).every(truth),
  list: ([of]) => of === undefined ? [] : [...itemsOf(of)],
  tuple: ([of]) => of === undefined ? [] : [...itemsOf(of)],
  set: ([of]) => of === undefined ? [] : distinct(itemsOf(of)),
  frozenset: ([of]) => of === undefined ? [] : distinct(itemsOf(of)),
  dict: ([of], named) => {
    const made = new Map<Value, Value>(of instanceof Map ? of : []);
    if (Array.isArray(of)) { for (const pair of of) made.set(itemsOf(pair)[0]!, itemsOf(pair)[1]!); }
    for (const [key, value] of named) made.set(key, value);
    return made;
  },
  enumerate: ([of, start]) => itemsOf(of!).map((item, i) => [i + Number(start ?? 0), item]),
  zip: (lists) => {
    const all = lists.map(itemsOf);
    return Array.from(
      { length: Math.min(...all.map((list) => list.length)) },
      (_, i) => all.map((list) => list[i]!),
    );
  },
  map: ([call, ...lists]) =>
    itemsOf(lists[0]!).map((_, i) => (call as Callable)(lists.map((list) => itemsOf(list)[i]!), new Map())),
  filter: ([call, list]) =>
    itemsOf(list!).filter((item) =>
      call === null ? truth(item) : truth((call as Callable)([item], new Map()))
    ),
  sorted: ([of], named) => sorted(itemsOf(of!), named),
  reversed: ([of]) => [...itemsOf(of!)].reverse(),
  isinstance: () => true,
  callable: ([x]) => typeof x === "function",
  format: ([x, spec]) => formatSpec(x!, String(spec ?? "")),
  ...Object.fromEntries(
    [
      "Exception",
      "AssertionError",
      "ValueError",
      "TypeError",
      "RuntimeError",
      "NameError",
      "KeyError",
      "SystemExit",
    ]
      .map((name) => [name, ([message]: Value[]) => `${name}: ${display(message ?? "")}`]),
  ),
} satisfies Record<string, Callable>;

const math: Record<string, Value> = { pi: Math.PI, e: Math.E, inf: Infinity };
for (const name of ["ceil", "floor", "sqrt", "log2", "log10", "exp", "trunc"] as const) {
  math[name] = ([x]: Value[]) => Math[name](Number(x));
}
math.fabs = ([x]: Value[]) => Math.abs(Number(x));
math.log = ([x, base]: Value[]) => Math.log(Number(x)) / (base === undefined ? 1 : Math.log(Number(base)));
math.pow = ([x, y]: Value[]) => Number(x) ** Number(y);
math.isclose = ([x, y]: Value[], named: Map<string, Value>) =>
  Math.abs(Number(x) - Number(y)) <= Math.max(
    Number(named.get("rel_tol") ?? 1e-9) * Math.max(Math.abs(Number(x)), Math.abs(Number(y))),
    Number(named.get("abs_tol") ?? 0),
  );

/** What `import` gives; a module that nothing is known of has no members. */
export function moduleOf(name: string): Module {
  return new Module(name, name === "math" ? math : {});
}

function range(args: number[]): Value[] {
  const [from, to, step] = args.length === 1 ? [0, args[0]!, 1] : [args[0]!, args[1]!, args[2] ?? 1];
  const list: number[] = [];
  // A loop over more than this is a mistake.
  const most = Math.min(1_000_000, Math.ceil((to - from) / step));
  for (let i = 0; i < most; i++) list.push(from + i * step);
  return list;
}

/** Python rounds halves to the even neighbour. */
function round(x: number, digits: number): number {
  const scale = 10 ** digits;
  const scaled = x * scale;
  const floor = Math.floor(scaled);
  if (scaled - floor === 0.5) return (floor % 2 === 0 ? floor : floor + 1) / scale;
  return Math.round(scaled) / scale;
}

function keyed(named: Map<string, Value>): (value: Value) => Value {
  const key = named.get("key");
  return typeof key === "function" ? (value) => key([value], new Map()) : (value) => value;
}

function extreme(args: Value[], named: Map<string, Value>, sign: number): Value {
  const list = args.length === 1 ? itemsOf(args[0]!) : args;
  const key = keyed(named);
  if (list.length === 0) return named.get("default") ?? null;
  return list.reduce((best, item) => ordered(key(item), key(best)) * sign > 0 ? item : best);
}

function sorted(list: Value[], named: Map<string, Value>): Value[] {
  const key = keyed(named);
  const found = [...list].sort((a, b) => ordered(key(a), key(b)));
  return truth(named.get("reverse") ?? false) ? found.reverse() : found;
}

function distinct(list: Value[]): Value[] {
  return list.filter((item, i) => list.findIndex((other) => equal(other, item)) === i);
}

/** `text.format(…)`. */
function format(text: string, args: Value[], named: Map<string, Value>): string {
  let next = 0;
  return text.replace(
    /\{\{|\}\}|\{(\w*)(?:![rsa])?(?::([^{}]*))?\}/g,
    (all, at: string | undefined, spec: string | undefined) => {
      if (all === "{{" || all === "}}") return all[0]!;
      const value = at === "" || at === undefined
        ? args[next++]
        : /^\d+$/.test(at)
        ? args[Number(at)]
        : named.get(at);
      return formatSpec(value ?? null, spec ?? "");
    },
  );
}

/** The method of a value, or undefined. */
export function methodOf(of: Value, name: string): Value | undefined {
  if (of instanceof Module) return of.members[name];
  if (typeof of === "string") return stringMethod(of, name);
  if (of instanceof Map) return mapMethod(of, name);
  if (Array.isArray(of)) return listMethod(of, name);
  return undefined;
}

function stringMethod(of: string, name: string): Callable | undefined {
  switch (name) {
    case "format":
      return (args, named) => format(of, args, named);
    case "decode":
    case "encode":
      return () => of;
    case "startswith":
      return ([x]) => of.startsWith(String(x));
    case "endswith":
      return ([x]) => of.endsWith(String(x));
    case "join":
      return ([list]) => itemsOf(list!).map(display).join(of);
    case "split":
      return ([by, most]) => {
        const parts = by === undefined ? of.trim().split(/\s+/) : of.split(String(by));
        const count = Number(most ?? -1);
        return count < 0 || parts.length <= count + 1
          ? parts
          : [...parts.slice(0, count), parts.slice(count).join(String(by ?? " "))];
      };
    case "strip":
      return () => of.trim();
    case "lower":
      return () => of.toLowerCase();
    case "upper":
      return () => of.toUpperCase();
    case "replace":
      return ([from, to]) => of.replaceAll(String(from), String(to));
    case "find":
      return ([x]) => of.indexOf(String(x));
    case "count":
      return ([x]) => of.split(String(x)).length - 1;
    case "isdigit":
      return () => /^\d+$/.test(of);
    case "ljust":
      return ([width]) => of.padEnd(Number(width));
    case "rjust":
    case "zfill":
      return ([width]) => of.padStart(Number(width), name === "zfill" ? "0" : " ");
  }
  return undefined;
}

function mapMethod(of: Map<Value, Value>, name: string): Callable | undefined {
  switch (name) {
    case "get":
      return ([key, otherwise]) => of.get(key!) ?? otherwise ?? null;
    case "keys":
      return () => [...of.keys()];
    case "values":
      return () => [...of.values()];
    case "items":
      return () => [...of.entries()];
    case "has_key":
      return ([key]) => of.has(key!);
    case "update":
      return ([other]) => {
        if (other instanceof Map) { for (const [key, value] of other) of.set(key, value); }
        return null;
      };
    case "setdefault":
      return ([key, value]) => {
        if (!of.has(key!)) of.set(key!, value ?? null);
        return of.get(key!)!;
      };
    case "pop":
      return ([key, otherwise]) => {
        const found = of.get(key!) ?? otherwise ?? null;
        of.delete(key!);
        return found;
      };
  }
  return undefined;
}

function listMethod(of: Value[], name: string): Callable | undefined {
  switch (name) {
    case "append":
    case "add":
      return ([item]) => {
        if (name === "append" || !of.some((other) => equal(other, item!))) of.push(item!);
        return null;
      };
    case "extend":
      return ([list]) => (of.push(...itemsOf(list!)), null);
    case "insert":
      return ([at, item]) => (of.splice(Number(at), 0, item!), null);
    case "pop":
      return ([at]) => of.splice(Number(at ?? -1), 1)[0] ?? null;
    case "remove":
      return ([item]) => (of.splice(of.findIndex((other) => equal(other, item!)), 1), null);
    case "index":
      return ([item]) => of.findIndex((other) => equal(other, item!));
    case "count":
      return ([item]) => of.filter((other) => equal(other, item!)).length;
    case "sort":
      return (_args, named) => (of.splice(0, of.length, ...sorted(of, named)), null);
    case "reverse":
      return () => (of.reverse(), null);
  }
  return undefined;
}
