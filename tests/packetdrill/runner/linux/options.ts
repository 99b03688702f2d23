/**
 * Socket options and ioctl requests, laid out for the kernel.
 *
 * @module
 */

import type { Expression } from "../ast.ts";
import { CONSTANTS as K } from "../constants.ts";
import { ERRNO } from "../errno.ts";
import { isOpen, number, optional, show } from "../values.ts";
import { SIGNATURE_SIZE, signatureKey } from "../signatures.ts";
import type { Arena } from "./arena.ts";
import { decodeInfo, TCP_INFO_SIZE } from "./info.ts";
import type { Made } from "./marshal.ts";

const SETSOCKOPT = 54, GETSOCKOPT = 55, IOCTL = 16;
/** Options of SOL_SOCKET that hold a struct timeval. */
const TIMES = [K.SO_RCVTIMEO!, K.SO_SNDTIMEO!];

/** `[x]` and `x` are the same. */
function unwrap(e: Expression): Expression {
  return e.kind === "list" && e.items.length === 1 ? e.items[0]! : e;
}

/** Lays out options. */
export class Options {
  readonly #arena: Arena;
  readonly #address: (e: Expression | undefined, remote: boolean) => { at: number; length: number } | null;

  /** @param address Lays out a struct sockaddr. */
  constructor(
    arena: Arena,
    address: (e: Expression | undefined, remote: boolean) => { at: number; length: number } | null,
  ) {
    this.#arena = arena;
    this.#address = address;
  }

  /** struct tcp_md5sig. */
  #signature(value: Expression): { at: number; length: number } {
    const key = signatureKey(value, SIGNATURE_SIZE);
    const { bytes, view } = this.#arena;
    const peer = this.#address(key.peer, true);
    const at = this.#arena.take(SIGNATURE_SIZE);
    bytes.fill(0, at, at + SIGNATURE_SIZE);
    if (peer !== null) bytes.copyWithin(at, peer.at, peer.at + peer.length);
    view.setUint8(at + 128, key.flags);
    view.setUint8(at + 129, key.prefix);
    view.setUint16(at + 130, key.length, true);
    bytes.set(key.key.subarray(0, 80), at + 136);
    return { at, length: SIGNATURE_SIZE };
  }

  #integers(values: number[], size: 4 | 8): { at: number; length: number } {
    const at = this.#arena.take(size * values.length);
    for (const [i, value] of values.entries()) {
      if (size === 8) this.#arena.view.setBigInt64(at + 8 * i, BigInt(value), true);
      else this.#arena.view.setInt32(at + 4 * i, value | 0, true);
    }
    return { at, length: size * values.length };
  }

  #layOut(level: number, name: number, value: Expression): { at: number; length: number } | null {
    const e = unwrap(value);
    if (e.kind === "symbol" && e.name === "NULL") return null;
    if (e.kind === "ellipsis") return this.#integers([0], 4);
    if (e.kind === "string") {
      const bytes = new TextEncoder().encode(e.value);
      const at = this.#arena.take(bytes.length + 1);
      this.#arena.bytes.set(bytes, at);
      return { at, length: bytes.length };
    }
    if (level === K.SOL_TCP && (name === K.TCP_MD5SIG || name === K.TCP_MD5SIG_EXT)) {
      return this.#signature(e);
    }
    if (e.kind === "struct") {
      const parts = (...names: string[][]) =>
        names.map((keys, place) => {
          const found = keys.map((key) => e.fields.get(key)).find((part) => part !== undefined);
          return optional(found ?? (e.fields.size === 0 ? e.items[place] : undefined), 0);
        });
      if (level === K.SOL_SOCKET && TIMES.includes(name)) {
        return this.#integers(parts(["tv_sec"], ["tv_usec"]), 8);
      }
      if (level === K.SOL_SOCKET && name === K.SO_LINGER) {
        return this.#integers(parts(["onoff", "l_onoff"], ["linger", "l_linger"]), 4);
      }
      return this.#integers(e.items.map(number), 4);
    }
    return this.#integers([number(e)], 4);
  }

  set(fd: number, level: Expression, name: Expression, value: Expression, size?: Expression): Made {
    const args = [number(level), number(name)] as const;
    if (value.kind === "number" && value.value > 0xffff) {
      // An address where nothing is.
      return { number: SETSOCKOPT, args: [fd, ...args, value.value, optional(size, 4)] };
    }
    const laid = this.#layOut(...args, value);
    const at = laid === null ? 0 : this.#arena.address(laid.at);
    return { number: SETSOCKOPT, args: [fd, ...args, at, optional(size, laid?.length ?? 0)] };
  }

  get(fd: number, level: Expression, name: Expression, value?: Expression, size?: Expression): Made {
    const at = this.#arena.take(TCP_INFO_SIZE), length = this.#arena.take(4);
    const { view, bytes } = this.#arena;
    const [l, n] = [number(level), number(name)];
    const wide = l === K.SOL_SOCKET ? (TIMES.includes(n) ? 16 : n === K.SO_LINGER ? 8 : 4) : 4;
    const room = l === K.SOL_TCP && (n === K.TCP_INFO || n === K.TCP_CONGESTION) ? TCP_INFO_SIZE : wide;
    view.setUint32(length, Math.max(optional(size, room), room), true);
    return {
      number: GETSOCKOPT,
      args: [fd, l, n, this.#arena.address(at), this.#arena.address(length)],
      ended: () => {
        if (value === undefined || isOpen(value)) return null;
        const e = unwrap(value);
        if (isOpen(e)) return null;
        const got = view.getUint32(length, true);
        if (l === K.SOL_TCP && n === K.TCP_INFO) return compare(e, decodeInfo(view, at, got), "tcpi_");
        if (e.kind === "string") {
          const text = new TextDecoder().decode(bytes.slice(at, at + got)).replace(/\0.*$/s, "");
          return text === e.value.replace(/\0.*$/s, "") ? null : `"${e.value}" got "${text}"`;
        }
        if (e.kind === "struct") {
          if (wide === 16) {
            const part = (offset: number) => Number(view.getBigInt64(at + offset, true));
            return compare(e, { tv_sec: part(0), tv_usec: part(8) });
          }
          const [on, seconds] = [view.getInt32(at, true), view.getInt32(at + 4, true)];
          return compare(e, { onoff: on, l_onoff: on, linger: seconds, l_linger: seconds });
        }
        const known = e.kind === "symbol" ? ERRNO[e.name] : undefined;
        const wanted = known === undefined ? number(e) : known[0];
        const actual = view.getInt32(at, true);
        return wanted === actual || wanted >>> 0 === actual >>> 0 ? null : `${show(e)} got ${actual}`;
      },
    };
  }

  ioctl(fd: number, request: number, value: Expression | undefined): Made {
    const inward = request === K.FIONBIO;
    const at = this.#arena.take(8);
    if (inward) this.#arena.view.setInt32(at, optional(value, 0), true);
    return {
      number: IOCTL,
      args: [fd, request, this.#arena.address(at)],
      ended: () => {
        if (inward || isOpen(value)) return null;
        const wanted = number(value!), got = this.#arena.view.getInt32(at, true);
        return wanted === got ? null : `${wanted} got ${got}`;
      },
    };
  }
}

/** What differs between a struct and what the kernel gave. */
function compare(e: Expression, got: Record<string, number>, prefix = ""): string | null {
  if (e.kind !== "struct") return null;
  const names = Object.keys(got);
  const entries: [string, Expression][] = e.fields.size > 0
    ? [...e.fields]
    : e.items.map((item, i) => [names[2 * i] ?? "", item]);
  for (const [name, expected] of entries) {
    const actual = got[name.startsWith(prefix) ? name.slice(prefix.length) : name];
    if (actual === undefined || isOpen(expected)) continue;
    if (number(expected) !== actual) return `${name}=${number(expected)} got ${actual}`;
  }
  return null;
}
