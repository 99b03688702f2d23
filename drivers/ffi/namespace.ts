/**
 * Work in another network namespace.
 *
 * @module
 */

import { EACCES, ENOENT, EPERM, errnoText } from "./errno.ts";
import { CLONE_NEWNET, cString, errno, libc, O_CLOEXEC, O_RDONLY } from "./libc.ts";

/**
 * Runs `work` on this thread in another network namespace, and comes back. What `work` opens (a TAP, a socket) stays
 * in that namespace. Synchronous, so that nothing else runs there.
 * @param namespace A name as `ip netns` knows it, or a path such as `/proc/42/ns/net`.
 * @throws {Deno.errors.NotFound} If there is no such namespace.
 * @throws {Deno.errors.PermissionDenied} Without CAP_SYS_ADMIN.
 */
export function inNamespace<Result>(namespace: string, work: () => Result): Result {
  const calls = libc();
  const path = namespace.includes("/") ? namespace : `/run/netns/${namespace}`;
  const there = calls.open(cString(path), O_RDONLY | O_CLOEXEC, 0);
  if (there < 0) throw failure(namespace, errno());
  const here = calls.open(cString("/proc/thread-self/ns/net"), O_RDONLY | O_CLOEXEC, 0);
  try {
    if (here < 0) throw failure(namespace, errno());
    if (calls.setns(there, CLONE_NEWNET) < 0) throw failure(namespace, errno());
    try {
      return work();
    } finally {
      if (calls.setns(here, CLONE_NEWNET) < 0) {
        // deno-lint-ignore no-unsafe-finally -- a thread that is stuck in the wrong network must not go on
        throw new Error(`Cannot leave the network namespace "${namespace}": ${errnoText(errno())}`);
      }
    }
  } finally {
    calls.close(there);
    if (here >= 0) calls.close(here);
  }
}

function failure(namespace: string, number: number): Error {
  const what = `Cannot enter the network namespace "${namespace}": ${errnoText(number)}`;
  if (number === ENOENT) return new Deno.errors.NotFound(`${what}; create it with "ip netns add"`);
  if (number === EPERM || number === EACCES) return new Deno.errors.PermissionDenied(`${what}; run as root`);
  return new Error(what);
}
