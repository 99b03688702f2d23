/**
 * struct msghdr with its vectors and control messages, laid out for the kernel.
 *
 * @module
 */

import type { Expression } from "../ast.ts";
import { CONSTANTS as K } from "../constants.ts";
import { type Control, messageMismatch } from "../control.ts";
import { field, isOpen, number, optional, Unsupported } from "../values.ts";
import type { Arena } from "./arena.ts";

/** Bytes of struct iovec, msghdr, cmsghdr. */
const IOVEC = 16, MSGHDR = 56, CMSGHDR = 16;
/** Room for what comes back. */
const CONTROL = 1024;
/** How far a timestamp may be from what a script says, in µs. */
const STAMP_TOLERANCE = 30_000;

type FindAddress = (
  e: Expression | undefined,
  remote: boolean,
) => { at: number; length: number; port: number } | null;

/** Lays out messages. */
export class Messages {
  readonly #arena: Arena;
  readonly #address: FindAddress;
  readonly #start: () => number;

  /** @param start When the script began, in µs of the system's clock. */
  constructor(arena: Arena, address: FindAddress, start: () => number) {
    this.#arena = arena;
    this.#address = address;
    this.#start = start;
  }

  /** An array of struct iovec. */
  vector(e: Expression | undefined): { at: number; count: number } {
    if (e?.kind !== "list") throw new Unsupported("Expected a list of {base, length}");
    const at = this.#arena.take(IOVEC * e.items.length);
    for (const [i, item] of e.items.entries()) {
      const length = number(field(item, "iov_len", 1) ?? { kind: "ellipsis" });
      this.#arena.point(at + IOVEC * i, this.#arena.take(Math.max(1, length)));
      this.#arena.view.setBigUint64(at + IOVEC * i + 8, BigInt(length), true);
    }
    return { at, count: e.items.length };
  }

  #header(message: Expression | undefined): number {
    const at = this.#arena.take(MSGHDR);
    const vector = field(message, "msg_iov", 1);
    if (vector !== undefined && !isOpen(vector)) {
      const laid = this.vector(vector);
      this.#arena.point(at + 16, laid.at);
      this.#arena.view.setBigUint64(at + 24, BigInt(laid.count), true);
    }
    return at;
  }

  /** What sendmsg takes. @param connected Whether `...` is the peer that the socket has. @returns Its place, and the port of the address in it. */
  outgoing(message: Expression | undefined, connected: boolean): { at: number; port: number | null } {
    const at = this.#header(message);
    const { view } = this.#arena;
    const name = field(message, "msg_name", 0);
    const address = name === undefined || connected ? null : this.#address(name, true);
    if (address !== null) {
      this.#arena.point(at, address.at);
      view.setUint32(at + 8, address.length, true);
    }
    const control = field(message, "msg_control", 3);
    if (control?.kind === "list") {
      const room = this.#arena.take(CONTROL);
      let used = 0;
      for (const item of control.items) used += this.#control(room + used, item);
      this.#arena.point(at + 32, room);
      view.setBigUint64(at + 40, BigInt(used), true);
    }
    return { at, port: address?.port ?? null };
  }

  /** Writes one control message. @returns Its length, padded. */
  #control(at: number, e: Expression): number {
    const { view } = this.#arena;
    const data = field(e, "cmsg_data", 2);
    view.setBigUint64(at, BigInt(CMSGHDR + 4), true);
    view.setInt32(at + 8, number(field(e, "cmsg_level", 0)!), true);
    view.setInt32(at + 12, number(field(e, "cmsg_type", 1)!), true);
    view.setUint32(at + 16, optional(data, 0), true);
    return CMSGHDR + 8;
  }

  /** What recvmsg fills. */
  incoming(message: Expression | undefined): { at: number; check: () => string | null } {
    const at = this.#header(message);
    const { view } = this.#arena;
    this.#arena.point(at, this.#arena.take(128));
    view.setUint32(at + 8, 128, true);
    const room = this.#arena.take(CONTROL);
    this.#arena.point(at + 32, room);
    view.setBigUint64(at + 40, BigInt(CONTROL), true);
    return {
      at,
      check: () => {
        const used = Number(view.getBigUint64(at + 40, true));
        const got = this.#received(room, used);
        return messageMismatch(message, got, view.getInt32(at + 48, true), STAMP_TOLERANCE);
      },
    };
  }

  #received(room: number, used: number): Control[] {
    const { view } = this.#arena;
    const found: Control[] = [];
    for (let at = room; at + CMSGHDR <= room + used;) {
      const length = Number(view.getBigUint64(at, true));
      if (length < CMSGHDR) break;
      const level = view.getInt32(at + 8, true), type = view.getInt32(at + 12, true);
      const data = at + CMSGHDR, size = length - CMSGHDR;
      const values: number[] = [];
      const error = (level === K.SOL_IP && type === K.IP_RECVERR) ||
        (level === K.SOL_IPV6 && type === K.IPV6_RECVERR);
      if (error) {
        // struct sock_extended_err.
        values.push(view.getUint32(data, true));
        for (let i = 4; i < 7; i++) values.push(view.getUint8(data + i));
        values.push(view.getUint32(data + 8, true), view.getUint32(data + 12, true));
      } else if (size < 4) values.push(view.getUint8(data));
      else if (size <= 16) {
        for (let i = 0; i + 4 <= size; i += 4) values.push(view.getInt32(data + i, true));
      }
      const scale = type === K.SCM_TIMESTAMP
        ? 1
        : type === K.SCM_TIMESTAMPNS || type === K.SCM_TIMESTAMPING
        ? 1000
        : 0;
      const stamp = level === K.SOL_SOCKET && scale > 0
        ? Number(view.getBigInt64(data, true)) * 1e6 + Number(view.getBigInt64(data + 8, true)) / scale -
          this.#start()
        : null;
      found.push({ level, type, values, stamp });
      at += (length + 7) & ~7;
    }
    return found;
  }
}
