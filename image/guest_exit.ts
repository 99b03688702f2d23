/**
 * How a guest ends: whatever way its program ends, the exit status is the console's last line and the machine is
 * switched off.
 *
 * @module
 */

import { drain, POWER_OFF, restart } from "../drivers/ffi/system.ts";

/** What the last line of the console begins with; the exit status follows. */
export const EXIT_MARKER = "[ethox] exit status ";

/** Switches the machine off. */
export function powerOff(status: number): never {
  console.log(EXIT_MARKER + status);
  drain(1);
  restart(POWER_OFF);
  throw new Error("Still running after power off");
}

/** Prints an error with its stack trace and its causes, and switches the machine off with status 1. */
export function fail(what: string, error: unknown): never {
  console.error(`error: ${what} ${error instanceof Error ? Deno.inspect(error) : Deno.inspect(error)}`);
  powerOff(1);
}

/**
 * Ends the machine with the program: when its event loop has nothing left to do, when it calls `Deno.exit`, or
 * when an exception or a rejection reaches the top and no listener of the program prevents it.
 */
export function endWithProgram(): void {
  last("unload", () => new Event("unload"), () => powerOff(Deno.exitCode));
  last(
    "error",
    (event: ErrorEvent) => new ErrorEvent("error", { ...eventInit(event), cancelable: true }),
    (event) => fail("Uncaught", event.error),
  );
  last(
    "unhandledrejection",
    (event: PromiseRejectionEvent) =>
      new PromiseRejectionEvent("unhandledrejection", {
        promise: event.promise,
        reason: event.reason,
        cancelable: true,
      }),
    (event) => fail("Uncaught (in promise)", event.reason),
  );
}

function eventInit(event: ErrorEvent): ErrorEventInit {
  const { message, filename, lineno, colno, error } = event;
  return { message, filename, lineno, colno, error };
}

/**
 * Listens to `type` after every other listener, although it registers first: it stops the event, sends a copy to
 * the others, and acts when none of them prevented the default.
 */
function last<T extends Event>(type: string, copy: (event: T) => T, act: (event: T) => void): void {
  const listener = (event: Event) => {
    event.stopImmediatePropagation();
    globalThis.removeEventListener(type, listener);
    const second = copy(event as T);
    if (globalThis.dispatchEvent(second)) act(event as T);
    event.preventDefault();
    globalThis.addEventListener(type, listener);
  };
  globalThis.addEventListener(type, listener);
}
