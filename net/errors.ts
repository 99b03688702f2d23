/**
 * Turns failures of the stack into the error classes that Deno's users know.
 *
 * @module
 */

import { StackError, type StackErrorCode } from "../stack/errors.ts";

/** For each failure: Deno's class, and the code that Node's streams carry. */
const CLASSES: Record<
  StackErrorCode,
  readonly [new (message: string, options?: ErrorOptions) => Error, string]
> = {
  AddressInUse: [Deno.errors.AddrInUse, "EADDRINUSE"],
  AddressNotAvailable: [Deno.errors.AddrNotAvailable, "EADDRNOTAVAIL"],
  ConnectionRefused: [Deno.errors.ConnectionRefused, "ECONNREFUSED"],
  ConnectionReset: [Deno.errors.ConnectionReset, "ECONNRESET"],
  ConnectionAborted: [Deno.errors.ConnectionAborted, "ECONNABORTED"],
  NotConnected: [Deno.errors.NotConnected, "ENOTCONN"],
  BrokenPipe: [Deno.errors.BrokenPipe, "EPIPE"],
  TimedOut: [Deno.errors.TimedOut, "ETIMEDOUT"],
  NetworkUnreachable: [Deno.errors.NetworkUnreachable, "ENETUNREACH"],
  HostUnreachable: [Deno.errors.NetworkUnreachable, "EHOSTUNREACH"],
  MessageTooLong: [Deno.errors.InvalidData, "EMSGSIZE"],
  TooMany: [Deno.errors.Busy, "ENOBUFS"],
  Closed: [Deno.errors.BadResource, "EBADF"],
};

/**
 * The error of Deno's own class for a failure of the stack, with the `code` that Node uses and the stack's error as
 * `cause`. Everything else is returned as it is.
 *
 * @param error What was thrown or told.
 * @returns What to throw to users of `net/`.
 */
export function toDenoError(error: unknown): Error {
  if (!(error instanceof StackError)) return error instanceof Error ? error : new Error(String(error));
  const [type, code] = CLASSES[error.code];
  const result = new type(error.message, { cause: error });
  return Object.assign(result, { code });
}

/** @returns The error for an operation on something that was closed here. */
export function closedError(what: string): Error {
  return toDenoError(new StackError("Closed", `${what} is closed`));
}
