/**
 * What a file descriptor stands for.
 *
 * @module
 */

import type { IpAddress } from "../../../stack/ip/address.ts";
import type { Stack } from "../../../stack/stack.ts";
import type { RouteMetrics } from "./route_metrics.ts";
import type { MemorySettings } from "./sysctl.ts";

/** A call that fails with an error number. */
export class SysError extends Error {
  override readonly name = "SysError";
  /** Name of the error number, as in `ERRNO`. */
  readonly errno: string;

  constructor(errno: string) {
    super(errno);
    this.errno = errno;
  }
}

/** What a call returned. */
export interface CallResult {
  value: number;
  errno: string | null;
  /** What a call left in its arguments that the script did not expect; null when all is well. */
  mismatch: string | null;
}

/** A call under way: tried again whenever something happened. */
export interface Attempt {
  /** @returns null while the call has to wait. @throws {SysError} */
  run(): CallResult | null;
  /** When it ends without an event, in µs. */
  deadline: number;
}

/** The host that sockets belong to, with the addresses that scripts leave open. */
export interface Host {
  readonly stack: Stack;
  /** What the route to the peer says of new connections. */
  readonly metrics: RouteMetrics;
  readonly memory: MemorySettings;
  /** Ours, where a script writes `...`. */
  readonly localAddress: IpAddress;
  /** The peer's. */
  readonly remoteAddress: IpAddress;
  /** Port to bind and to connect to, where a script writes `...`. */
  readonly bindPort: number;
  readonly connectPort: number;
}

/** One open file. */
export abstract class OpenFile {
  nonblocking = false;

  /** How it was opened: O_RDONLY, O_WRONLY, O_RDWR. */
  get access(): number {
    return 2;
  }

  /** `EPOLL*` bits that hold now. */
  abstract ready(): number;

  /** Goes up whenever something happened that an edge-triggered waiter hears of. */
  events = 0;

  /** Closes it. @returns null, or an attempt that ends when closing has (SO_LINGER). */
  abstract close(): Attempt | null;
}

/** A result without anything in the arguments. */
export function result(value: number, mismatch: string | null = null): CallResult {
  return { value, errno: null, mismatch };
}

/** An attempt that is over at once. */
export function done(value: number, mismatch: string | null = null): Attempt {
  return { run: () => result(value, mismatch), deadline: Infinity };
}
