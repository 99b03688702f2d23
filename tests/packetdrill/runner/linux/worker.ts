/**
 * The thread that makes the script's system calls, one at a time: a call that blocks does not stop the script's packets.
 * It is handed a number and six arguments in shared memory, and tells its end through an eventfd.
 *
 * @module
 */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import {
  ARGUMENTS,
  BUSY,
  DONE,
  ERRNO,
  IDLE,
  NUMBER,
  RESULT,
  STATE,
  type WorkerMemory,
} from "./worker_memory.ts";

const { symbols: libc } = Deno.dlopen("libc.so.6", {
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64", "i64", "i64"], result: "i64" },
  eventfd_write: { parameters: ["i32", "u64"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
});
// Of this thread.
const errno = new Deno.UnsafePointerView(libc.__errno_location()!);

self.onmessage = ({ data }: MessageEvent<WorkerMemory>) => {
  const words = new Int32Array(data.words);
  const longs = new BigInt64Array(data.longs);
  const argument = (i: number) => longs[ARGUMENTS + i]!;
  postMessage("ready");
  for (;;) {
    Atomics.wait(words, STATE, IDLE);
    if (Atomics.load(words, STATE) !== BUSY) continue;
    const result = libc.syscall(
      BigInt(words[NUMBER]!),
      argument(0),
      argument(1),
      argument(2),
      argument(3),
      argument(4),
      argument(5),
    );
    words[ERRNO] = result === -1n ? errno.getInt32() : 0;
    longs[RESULT] = BigInt(result);
    Atomics.store(words, STATE, DONE);
    libc.eventfd_write(data.eventfd, 1n);
    Atomics.wait(words, STATE, DONE);
  }
};
