/**
 * Waits for the interrupts of a UIO device without burning the processor.
 *
 * @module
 */

import { O_CLOEXEC, O_NONBLOCK, O_RDWR, openFile, readDescriptor } from "../ffi/system.ts";
import { openWaiter, type Waiter } from "../ffi/waiter.ts";

/** A read of a UIO device takes exactly the 4 bytes of its interrupt counter; any other length is an error. */
const COUNTER_BYTES = 4;

/** The interrupts of one UIO device. */
export class UioInterrupt {
  readonly #counter: Uint8Array<ArrayBuffer> = new Uint8Array(new ArrayBuffer(COUNTER_BYTES));
  readonly #fd: number;
  readonly #waiter: Waiter;
  readonly #woken = (): void => this.#take();
  #listener: (() => void) | null = null;
  #closed = false;

  /** @param path The device: `/dev/uio0`. @throws {Error} When it can't be opened. */
  constructor(path: string) {
    this.#fd = openFile(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    this.#waiter = openWaiter(this.#fd, this.#counter);
  }

  /** Calls `listener` once, with the next interrupt, and keeps the event loop alive until then, or {@link stop}. */
  start(listener: () => void): void {
    if (this.#closed) return;
    this.#listener = listener;
    this.#waiter.start(this.#woken);
  }

  #take(): void {
    // Woken without having read, the counter is still there and would wake again.
    if (this.#waiter.pending === 0) readDescriptor(this.#fd, this.#counter);
    this.#waiter.pending = 0;
    const listener = this.#listener;
    this.#listener = null;
    listener?.();
  }

  /** Ends {@link start}. */
  stop(): void {
    if (this.#closed) return;
    this.#listener = null;
    this.#waiter.stop();
  }

  /** Closes the device. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.stop();
    this.#closed = true;
    this.#waiter.close();
  }
}
