/**
 * What expressions in the arguments of calls stand for.
 *
 * @module
 */

import { IpAddress } from "../../../stack/ip/address.ts";
import type { Expression } from "./ast.ts";
import { CODE_CONSTANTS, CONSTANTS } from "./constants.ts";
import { ERRNO } from "./errno.ts";

/** A script that asks for what the runner does not have. */
export class Unsupported extends Error {
  override readonly name = "Unsupported";
}

/** Functions that change byte order only: numbers here have none. */
const TRANSPARENT = new Set(["htons", "htonl", "ntohs", "ntohl", "__constant_htons", "__constant_htonl"]);
/** Bytes of what a script may ask the size of. */
const SIZES: Record<string, number> = {
  char: 1,
  short: 2,
  int: 4,
  long: 8,
  size_t: 8,
  socklen_t: 4,
  sockaddr_in: 16,
  sockaddr_in6: 28,
  sockaddr_storage: 128,
  linger: 8,
  timeval: 16,
  timespec: 16,
  pollfd: 8,
  iovec: 16,
  msghdr: 56,
  tcp_info: 248,
};

/** The number of a name. @throws {Unsupported} */
export function constant(name: string): number {
  const value = CONSTANTS[name] ?? CODE_CONSTANTS[name] ?? ERRNO[name]?.[0];
  if (value === undefined) throw new Unsupported(`Unknown name "${name}"`);
  return value;
}

/** The number that an expression stands for. `[n]` stands for n as well. @throws {Unsupported} */
export function number(e: Expression | undefined): number {
  if (e === undefined) throw new Unsupported("Expected a number, found nothing");
  switch (e.kind) {
    case "number":
      return e.value;
    case "symbol":
      return constant(e.name);
    case "unary": {
      const operand = number(e.operand);
      return e.operator === "-" ? -operand : ~operand;
    }
    case "binary": {
      const left = number(e.left), right = number(e.right);
      switch (e.operator) {
        case "|":
          return (left | right) >>> 0;
        case "&":
          return (left & right) >>> 0;
        case "^":
          return (left ^ right) >>> 0;
        case "<<":
          return (left << right) >>> 0;
        case ">>":
          return left >>> right;
        case "+":
          return left + right;
        case "-":
          return left - right;
        case "*":
          return left * right;
        case "/":
          return Math.trunc(left / right);
        case "%":
          return left % right;
      }
      break;
    }
    case "call":
      if (TRANSPARENT.has(e.name) && e.args.length === 1) return number(e.args[0]!);
      if (/^inet_(?:addr|pton|aton)$/.test(e.name)) return addressOf(e).number;
      if (e.name === "sizeof" && e.args[0]?.kind === "symbol") return SIZES[e.args[0].name] ?? 4;
      break;
    case "list":
      if (e.items.length === 1) return number(e.items[0]!);
      break;
  }
  throw new Unsupported(`Expected a number, found ${show(e)}`);
}

/** The number, or `otherwise` for `...` and for nothing at all. */
export function optional(e: Expression | undefined, otherwise: number): number {
  return e === undefined || e.kind === "ellipsis" ? otherwise : number(e);
}

/** Whether anything will do. */
export function isOpen(e: Expression | undefined): boolean {
  if (e?.kind === "call" && e.args.length === 1 && TRANSPARENT.has(e.name)) return isOpen(e.args[0]);
  return e === undefined || e.kind === "ellipsis" ||
    (e.kind === "symbol" && (e.name === "_" || e.name === "NULL"));
}

/** The field of a struct by name, or by its place where the script gives no names. */
export function field(e: Expression | undefined, name: string, place: number): Expression | undefined {
  if (e === undefined || e.kind !== "struct") return undefined;
  return e.fields.size > 0 ? e.fields.get(name) : e.items[place];
}

/** An address and a port in a struct sockaddr; parts that are left open are null. */
export function endpoint(
  e: Expression | undefined,
): { address: IpAddress | null; port: number | null; family: number | null } {
  if (e === undefined || e.kind !== "struct") return { address: null, port: null, family: null };
  const named = (...names: string[]) =>
    names.map((name) => e.fields.get(name)).find((value) => value !== undefined);
  const family = named("sa_family", "sin_family", "sin6_family");
  const port = named("sin_port", "sin6_port");
  const address = named("sin_addr", "sin6_addr", "s_addr") ??
    // strace writes "inet_pton(AF_INET6, "::1", &sin6_addr)" with no name in front.
    e.items.find((item) => item.kind === "call" && /^inet_(?:addr|pton)$/.test(item.name));
  return {
    address: isOpen(address) ? null : addressOf(address!),
    port: isOpen(port) ? null : number(port!),
    family: isOpen(family) ? null : number(family!),
  };
}

function addressOf(e: Expression): IpAddress {
  if (e.kind === "call" && /^inet_(addr|pton)$/.test(e.name)) {
    const text = e.args.find((arg) => arg.kind === "string");
    if (text?.kind === "string") return IpAddress.parse(text.value);
  }
  if (e.kind === "string") return IpAddress.parse(e.value);
  return IpAddress.v4(number(e));
}

/** What differs between the address that a script expects a call to give and the one that it gave. */
export function addressMismatch(
  e: Expression | undefined,
  address: IpAddress | null,
  port: number,
): string | null {
  if (e?.kind !== "struct") return null;
  const wanted = endpoint(e);
  if (wanted.port !== null && wanted.port !== port) return `port ${wanted.port} got ${port}`;
  if (wanted.address === null || address === null || wanted.address.equals(address)) return null;
  return `address ${wanted.address} got ${address}`;
}

/** The file that a struct epoll_event names, in any of its union's members; null for none. */
export function eventFile(e: Expression | undefined): number | null {
  const union = field(e, "data", 1);
  for (const part of [e, union]) {
    for (const name of ["fd", "u32", "u64", "ptr"]) {
      const found = part?.kind === "struct" ? part.fields.get(name) : undefined;
      if (found !== undefined && !isOpen(found)) return number(found);
    }
  }
  return union === undefined || union.kind === "struct" || isOpen(union) ? null : number(union);
}

/** Bytes of all pieces of an iovec array. */
export function vectorLength(e: Expression | undefined): number {
  if (e === undefined || e.kind !== "list") throw new Unsupported("Expected a list of {base, length}");
  return e.items.reduce(
    (total, item) => total + number(field(item, "iov_len", 1) ?? { kind: "ellipsis" }),
    0,
  );
}

/** An expression as the script has it, shortened. */
export function show(e: Expression): string {
  switch (e.kind) {
    case "ellipsis":
      return "...";
    case "number":
      return String(e.value);
    case "symbol":
      return e.name;
    case "string":
      return JSON.stringify(e.value);
    case "list":
      return `[${e.items.map(show).join(", ")}]`;
    case "struct":
      return e.fields.size > 0
        ? `{${[...e.fields].map(([name, value]) => `${name}=${show(value)}`).join(", ")}}`
        : `{${e.items.map(show).join(", ")}}`;
    case "call":
      return `${e.name}(${e.args.map(show).join(", ")})`;
    case "unary":
      return `${e.operator}${show(e.operand)}`;
    case "binary":
      return `${show(e.left)}${e.operator}${show(e.right)}`;
  }
}
