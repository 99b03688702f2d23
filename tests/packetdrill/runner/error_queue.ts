/**
 * What a socket tells of data it has sent: MSG_ZEROCOPY's completions and SO_TIMESTAMPING's times, in the order in which
 * MSG_ERRQUEUE gives them.
 *
 * @module
 */

import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { CONSTANTS as K } from "./constants.ts";
import { ERRNO } from "./errno.ts";
import type { Control } from "./control.ts";

/** Most entries of a queue. */
const MOST = 1024;

/** A write that asked for a notice, until it is given. */
interface Pending {
  /** Bytes written when it ended. */
  end: number;
  /** Number of the zero-copy call, or -1. */
  call: number;
  /** What time of it is still to be told: scheduled, sent, acknowledged. */
  stamps: number;
  /** The same of each time that its last byte is sent, and when that was, in µs; -1 before. */
  each: number;
  sentAt: number;
}

/** When a byte in flight was sent last, in µs of the stack's clock; -1 for none. @param offset From the first in flight. */
function lastSent(c: TcpConnection, offset: number): number {
  const { records } = c.tcp;
  const sequence = c.sendBase + offset | 0;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    if ((records.end[r]! - sequence | 0) > 0) return records.sentAt[r]!;
  }
  return -1;
}

/** The error queue of one socket. */
export class ErrorQueue {
  readonly #v6: boolean;
  readonly #pending: Pending[] = [];
  readonly #queue: { error: Control; stamp: number | null }[] = [];
  #calls = 0;
  /** Bytes written, and written before timestamps were numbered. */
  #written = 0;
  #numberedFrom = 0;
  #numbered = false;
  /** Whether times come without the packet that they are of. */
  #bare = false;

  /** @param v6 Whether the socket is one of IPv6. */
  constructor(v6: boolean) {
    this.#v6 = v6;
  }

  /** Whether something waits. */
  get full(): boolean {
    return this.#queue.length > 0;
  }

  /** SO_TIMESTAMPING was set. */
  stampingSet(flags: number): void {
    if (flags & K.SOF_TIMESTAMPING_OPT_ID! && !this.#numbered) this.#numberedFrom = this.#written;
    this.#bare = (flags & K.SOF_TIMESTAMPING_OPT_TSONLY!) !== 0;
    this.#numbered = (flags & K.SOF_TIMESTAMPING_OPT_ID!) !== 0;
  }

  /** `length` bytes were written. @param stamping What SO_TIMESTAMPING asks for. @param zeroCopy MSG_ZEROCOPY counts. */
  wrote(length: number, stamping: number, zeroCopy: boolean): void {
    this.#written += length;
    const stamps = stamping &
      (K.SOF_TIMESTAMPING_TX_SCHED! | K.SOF_TIMESTAMPING_TX_SOFTWARE! | K.SOF_TIMESTAMPING_TX_ACK!);
    const call = zeroCopy ? this.#calls++ : -1;
    const told = stamps !== 0 && (stamping & K.SOF_TIMESTAMPING_SOFTWARE!) !== 0;
    if ((call < 0 && !told) || this.#pending.length >= MOST) return;
    const each = told ? stamps & ~K.SOF_TIMESTAMPING_TX_ACK! : 0;
    this.#pending.push({ end: this.#written, call, stamps: told ? stamps : 0, each, sentAt: -1 });
  }

  /** Looks at what has happened to what was written. @param now In µs from the start of the script. */
  update(c: TcpConnection, now: number): void {
    if (this.#pending.length === 0) return;
    const acked = c.bytesAcked;
    const sent = acked + Math.max(0, c.sndNxt - c.sendBase | 0);
    for (let i = 0; i < this.#pending.length; i++) {
      const one = this.#pending[i]!;
      const id = this.#numbered ? one.end - this.#numberedFrom - 1 : 0;
      const at = one.each === 0 || acked >= one.end || sent < one.end ? -1 : lastSent(c, one.end - acked - 1);
      // Sent again, it is told of again.
      if (at >= 0 && one.sentAt >= 0 && at !== one.sentAt) one.stamps |= one.each;
      if (at >= 0) one.sentAt = at;
      if (sent >= one.end) {
        this.#stamp(one, K.SOF_TIMESTAMPING_TX_SCHED!, K.SCM_TSTAMP_SCHED!, id, now);
        this.#stamp(one, K.SOF_TIMESTAMPING_TX_SOFTWARE!, K.SCM_TSTAMP_SND!, id, now);
      }
      if (acked < one.end) continue;
      this.#stamp(one, K.SOF_TIMESTAMPING_TX_ACK!, K.SCM_TSTAMP_ACK!, id, now);
      if (one.call >= 0) this.#complete(one.call);
      this.#pending.splice(i--, 1);
    }
  }

  #control(origin: number, code: number, info: number, data: number, errno: number): Control {
    return {
      level: this.#v6 ? K.SOL_IPV6! : K.SOL_IP!,
      type: this.#v6 ? K.IPV6_RECVERR! : K.IP_RECVERR!,
      values: [errno, origin, 0, code, info, data],
      stamp: null,
    };
  }

  #stamp(one: Pending, bit: number, kind: number, id: number, now: number): void {
    if ((one.stamps & bit) === 0) return;
    one.stamps &= ~bit;
    const error = this.#control(K.SO_EE_ORIGIN_TIMESTAMPING!, 0, kind, id, ERRNO.ENOMSG![0]);
    this.#queue.push({ error, stamp: now });
  }

  /** Calls that follow each other share a notice. The device has copied what it was given. */
  #complete(call: number): void {
    const last = this.#queue.at(-1)?.error.values;
    if (last && last[1] === K.SO_EE_ORIGIN_ZEROCOPY && last[5] === call - 1) {
      last[5] = call;
    } else {
      const { SO_EE_ORIGIN_ZEROCOPY: origin, SO_EE_CODE_ZEROCOPY_COPIED: code } = K;
      this.#queue.push({ error: this.#control(origin!, code!, call, call, 0), stamp: null });
    }
  }

  /** The next entry: its control messages and msg_flags; null when there is none. */
  take(): { control: Control[]; flags: number } | null {
    const entry = this.#queue.shift();
    if (entry === undefined) return null;
    const { stamp, error } = entry;
    if (stamp === null) return { control: [error], flags: K.MSG_ERRQUEUE! };
    const time = { level: K.SOL_SOCKET!, type: K.SCM_TIMESTAMPING!, values: null, stamp };
    // Nobody gives room for the packet.
    return { control: [time, error], flags: K.MSG_ERRQUEUE! | (this.#bare ? 0 : K.MSG_TRUNC!) };
  }
}
