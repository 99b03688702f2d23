/**
 * Waiting for a descriptor that is not to be read when it becomes ready: a packet socket whose frames lie in shared memory
 * has nothing to read. A request of asynchronous I/O (io_submit(2), IOCB_CMD_POLL) rings an eventfd when it is ready, and
 * the eventfd joins the event loop. Where there is no such thing, a thread waits in `poll(2)`.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import { libc, O_CLOEXEC, O_NONBLOCK, POLLIN } from "./libc.ts";
import { pointerTo } from "./memory.ts";
import { openPollWaiter, openWaiter, type Waiter, type WaitMethod } from "./waiter.ts";

const SYS_IO_SETUP = 206, SYS_IO_DESTROY = 207, SYS_IO_SUBMIT = 209;
/** `struct iocb`: its size, and where its fields are. */
const IOCB = 64, OPCODE = 16, DESCRIPTOR = 20, EVENTS = 24, FLAGS = 56, BELL = 60;
const IOCB_CMD_POLL = 5, IOCB_FLAG_RESFD = 1;
/** `struct aio_ring`, at the address that names the context: words of its head and its tail. */
const HEAD = 2, TAIL = 3, RING_HEADER = 32;

/** Takes over `fd`, which is closed with the waiter. @param method `poll` always takes the thread. */
export function openReadinessWaiter(fd: number, method: WaitMethod = "auto"): Waiter {
  if (method === "poll") return openPollWaiter(fd);
  const calls = libc();
  const context = new BigUint64Array(1);
  if (calls.ioSetup(SYS_IO_SETUP, 1, new Uint8Array(context.buffer)) < 0) return openPollWaiter(fd);
  const bell = calls.eventfd(0, O_CLOEXEC | O_NONBLOCK);
  const pointer = Deno.UnsafePointer.create(context[0]!)!;
  if (bell < 0) {
    calls.ioDestroy(SYS_IO_DESTROY, pointer);
    return openPollWaiter(fd);
  }
  return new BellWaiter(fd, bell, pointer);
}

class BellWaiter implements Waiter {
  pending = 0;
  readonly #fd: number;
  readonly #bell: number;
  readonly #context: Deno.PointerObject;
  readonly #completions: Int32Array<ArrayBuffer>;
  readonly #request: Bytes = new Uint8Array(new ArrayBuffer(IOCB));
  readonly #requests: Deno.PointerObject;
  readonly #requestAddress = new BigUint64Array(1);
  readonly #count: Bytes = new Uint8Array(new ArrayBuffer(8));
  readonly #countPointer = pointerTo(this.#count);
  readonly #inner: Waiter;
  /** A request is with the kernel, or has rung the bell and nobody has looked yet. */
  #asked = false;
  #wake: (() => void) | null = null;
  #closed = false;
  readonly #rang = (): void => {
    if (this.#closed) return;
    this.#silence();
    this.#takeAnswer();
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  };

  constructor(fd: number, bell: number, context: Deno.PointerObject) {
    this.#fd = fd;
    this.#bell = bell;
    this.#context = context;
    this.#completions = new Int32Array(
      Deno.UnsafePointerView.getArrayBuffer(context, RING_HEADER) as ArrayBuffer,
    );
    const view = new DataView(this.#request.buffer);
    view.setUint16(OPCODE, IOCB_CMD_POLL, true);
    view.setInt32(DESCRIPTOR, fd, true);
    view.setUint32(EVENTS, POLLIN, true);
    view.setUint32(FLAGS, IOCB_FLAG_RESFD, true);
    view.setInt32(BELL, bell, true);
    this.#requestAddress[0] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#request));
    this.#requests = Deno.UnsafePointer.of(this.#requestAddress)!;
    this.#inner = openWaiter(bell, new Uint8Array(new ArrayBuffer(8)));
  }

  start(wake: () => void): void {
    this.#wake = wake;
    // It may have rung while nobody waited for it.
    if (this.#asked) {
      this.#takeAnswer();
      if (!this.#asked) this.#silence();
    }
    if (!this.#asked) {
      if (libc().ioSubmit(SYS_IO_SUBMIT, this.#context, 1, this.#requests) === 1) this.#asked = true;
      // Rather awake for nothing than asleep for ever.
      else setImmediate(this.#rang);
    }
    this.#inner.start(this.#rang);
  }

  stop(): void {
    this.#wake = null;
    this.#inner.stop();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake = null;
    libc().ioDestroy(SYS_IO_DESTROY, this.#context);
    this.#inner.close();
    libc().close(this.#fd);
  }

  /**
   * Looks whether the kernel has answered the request. The bell does not tell: it may have been read by the pipe after it
   * was stopped, or ring a moment later than the answer is there.
   */
  #takeAnswer(): void {
    const tail = Atomics.load(this.#completions, TAIL);
    if (tail === Atomics.load(this.#completions, HEAD)) return;
    Atomics.store(this.#completions, HEAD, tail);
    this.#asked = false;
  }

  /** Silences the bell, unless the pipe has read it already. */
  #silence(): void {
    if (this.#inner.pending === 0) libc().read(this.#bell, this.#countPointer, 8);
    this.#inner.pending = 0;
  }
}
