/**
 * Waiting for a descriptor without burning the CPU.
 *
 * Deno has no public way to put a descriptor that it did not open into its event loop. Its Node layer has an
 * internal one, `pipe_wrap`, which costs nothing while idle and wakes in 2 µs. Where that is missing, a thread of
 * Deno's pool blocks in `poll(2)` instead, at 10 to 30 µs a wake-up.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import { libc, O_CLOEXEC, O_NONBLOCK, POLLIN } from "./libc.ts";
import { pointerTo } from "./memory.ts";

/** Waits until a descriptor is readable. */
export interface Waiter {
  /**
   * Bytes that the wake-up has read into the buffer already: they come before anything that is read later. A
   * negative number is an errno. The owner sets it back to 0.
   */
  pending: number;
  /** Calls `wake` once, from the event loop, when there is something to read; holds the event loop open. */
  start(wake: () => void): void;
  /** No wake-up any more, and nothing is read behind the owner's back. */
  stop(): void;
  /** Closes the descriptor as well. */
  close(): void;
}

/** Which way of waiting to take. */
export type WaitMethod = "auto" | "poll";

/**
 * Takes over `fd`, which must be non-blocking.
 * @param buffer Where a wake-up may put what it reads; as long as the longest read.
 * @param method `auto` takes the internal pipe if it is there; `poll` always the thread.
 */
export function openWaiter(fd: number, buffer: Bytes, method: WaitMethod = "auto"): Waiter {
  const wraps = method === "auto" ? pipeWraps() : null;
  if (wraps !== null) {
    const pipe = new wraps.Pipe(0);
    // Until `open` succeeds the pipe has no descriptor, so nothing is lost by not closing it.
    if (pipe.open(fd) === 0) return new PipeWaiter(pipe, wraps.streamBaseState, buffer);
  }
  return new PollWaiter(fd);
}

/** Takes over `fd` and waits for it in a thread: it need not be one that has something to read. */
export function openPollWaiter(fd: number): Waiter {
  return new PollWaiter(fd);
}

/** What is used of Node's internal `Pipe`. */
interface Pipe {
  open(fd: number): number;
  useUserBuffer(buffer: Uint8Array): void;
  onread: () => void;
  readStart(): number;
  readStop(): number;
  /** An open pipe holds the event loop, reading or not, until it is told otherwise. */
  ref(): void;
  unref(): void;
  close(): void;
}

interface PipeWraps {
  Pipe: new (type: number) => Pipe;
  /** Index 0: bytes of the last read, or a negative errno. */
  streamBaseState: Int32Array;
}

/** The internals, or null where they are missing or look different. */
function pipeWraps(): PipeWraps | null {
  try {
    const { process } = globalThis as unknown as {
      process?: { binding?(name: string): Record<string, unknown> };
    };
    const Pipe = process?.binding?.("pipe_wrap")?.["Pipe"] as PipeWraps["Pipe"] | undefined;
    const streamBaseState = process?.binding?.("stream_wrap")?.["streamBaseState"];
    if (typeof Pipe !== "function" || typeof streamBaseState !== "object" || streamBaseState === null) {
      return null;
    }
    // The methods may sit on a base class; an unopened instance tells whether they are there.
    const sample = new Pipe(0) as unknown as Record<string, unknown>;
    const methods = ["open", "useUserBuffer", "readStart", "readStop", "ref", "unref", "close"];
    if (!methods.every((method) => typeof sample[method] === "function")) return null;
    return { Pipe, streamBaseState: streamBaseState as Int32Array };
  } catch {
    return null;
  }
}

class PipeWaiter implements Waiter {
  pending = 0;
  readonly #pipe: Pipe;
  #wake: (() => void) | null = null;
  #reading = false;

  constructor(pipe: Pipe, state: Int32Array, buffer: Bytes) {
    this.#pipe = pipe;
    pipe.unref();
    pipe.useUserBuffer(buffer);
    pipe.onread = () => {
      // One read a wake-up: the rest is read by whoever is woken, in larger batches.
      this.#stopReading();
      this.pending = state[0]!;
      const wake = this.#wake;
      this.#wake = null;
      wake?.();
    };
  }

  start(wake: () => void): void {
    this.#wake = wake;
    if (this.#reading) return;
    this.#reading = true;
    this.#pipe.ref();
    this.#pipe.readStart();
  }

  stop(): void {
    this.#wake = null;
    this.#stopReading();
  }

  close(): void {
    this.stop();
    this.#pipe.close();
  }

  #stopReading(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#pipe.readStop();
    this.#pipe.unref();
  }
}

/** Bytes of `struct pollfd`. */
const POLLFD = 8;

class PollWaiter implements Waiter {
  pending = 0;
  readonly #fd: number;
  /** An eventfd that ends the wait of the other thread. */
  readonly #bell: number;
  /** The number that an eventfd reads and writes. */
  readonly #count: Deno.PointerObject;
  readonly #countBytes: Bytes = new Uint8Array(new ArrayBuffer(8));
  readonly #polled: DataView<ArrayBuffer>;
  #wake: (() => void) | null = null;
  #waiting = false;
  #closed = false;

  constructor(fd: number) {
    this.#fd = fd;
    this.#bell = libc().eventfd(0, O_CLOEXEC | O_NONBLOCK);
    if (this.#bell < 0) throw new Error("Cannot make an eventfd to wait with; raise the limit of open files");
    this.#countBytes[0] = 1;
    this.#count = pointerTo(this.#countBytes);
    this.#polled = new DataView(new ArrayBuffer(2 * POLLFD));
    for (const [at, descriptor] of [[0, fd], [POLLFD, this.#bell]] as const) {
      this.#polled.setInt32(at, descriptor, true);
      this.#polled.setInt16(at + 4, POLLIN, true);
    }
  }

  start(wake: () => void): void {
    this.#wake = wake;
    if (!this.#waiting) this.#wait();
  }

  stop(): void {
    this.#wake = null;
    if (this.#waiting) libc().write(this.#bell, this.#count, 8);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stop();
    if (!this.#waiting) this.#closeDescriptors();
  }

  #wait(): void {
    this.#waiting = true;
    libc().poll(this.#polled, 2, -1).then(() => {
      this.#waiting = false;
      if (this.#closed) return this.#closeDescriptors();
      if (this.#polled.getInt16(POLLFD + 6, true) !== 0) {
        libc().read(this.#bell, this.#count, 8);
        this.#countBytes.fill(0);
        this.#countBytes[0] = 1;
      }
      const wake = this.#wake;
      if (wake === null) return;
      if (this.#polled.getInt16(6, true) === 0) return this.#wait();
      this.#wake = null;
      wake();
    });
  }

  #closeDescriptors(): void {
    libc().close(this.#fd);
    libc().close(this.#bell);
  }
}
