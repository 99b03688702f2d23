/**
 * Waits for the interrupts of a UIO device without burning the processor.
 *
 * @module
 */

import process from "node:process";
import {
  closeFile,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  openFile,
  readDescriptor,
  waitReadable,
} from "../ffi/system.ts";

/** What we use of Node's internal pipe handle, with which any descriptor joins Deno's event loop. */
interface PipeHandle {
  open(fd: number): number;
  useUserBuffer(buffer: Uint8Array): void;
  onread: ((buffer: unknown) => void) | null;
  readStart(): number;
  readStop(): number;
  close(): void;
}

/** A read of a UIO device takes exactly the 4 bytes of its interrupt counter. */
const COUNTER_BYTES = 4;
/** Without the pipe handle: longest wait of one call, in ms, and so the longest time after which a stop takes effect. */
const WAIT = 200;

/** The interrupts of one UIO device. */
export class UioInterrupt {
  readonly #counter: Uint8Array<ArrayBuffer> = new Uint8Array(new ArrayBuffer(COUNTER_BYTES));
  readonly #fd: number;
  readonly #pipe: PipeHandle | null;
  #listener: (() => void) | null = null;
  #reading = false;
  #closed = false;

  /** @param path The device: `/dev/uio0`. @throws {Error} When it can't be opened. */
  constructor(path: string) {
    this.#fd = openFile(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    this.#pipe = this.#openPipe();
  }

  #openPipe(): PipeHandle | null {
    try {
      const binding =
        (process as unknown as { binding(name: string): { Pipe: new (type: number) => PipeHandle } })
          .binding("pipe_wrap");
      const pipe = new binding.Pipe(0);
      if (pipe.open(this.#fd) !== 0) return null;
      pipe.useUserBuffer(this.#counter);
      pipe.onread = () => this.#listener?.();
      return pipe;
    } catch {
      // Not in this version of Deno: a thread waits instead.
      return null;
    }
  }

  /** Calls `listener` with each interrupt, and keeps the event loop alive, until {@link stop}. */
  start(listener: () => void): void {
    this.#listener = listener;
    if (this.#reading || this.#closed) return;
    this.#reading = true;
    if (this.#pipe !== null) this.#pipe.readStart();
    else void this.#wait();
  }

  async #wait(): Promise<void> {
    while (this.#listener !== null && !this.#closed) {
      if (!await waitReadable(this.#fd, WAIT) || this.#closed) continue;
      // Left in the descriptor when nobody listens any more: the next start gets it.
      if (this.#listener !== null && readDescriptor(this.#fd, this.#counter) === COUNTER_BYTES) {
        this.#listener();
      }
    }
    this.#reading = false;
    if (this.#closed) closeFile(this.#fd);
  }

  /** Ends {@link start}. */
  stop(): void {
    this.#listener = null;
    if (this.#pipe !== null && this.#reading) {
      this.#pipe.readStop();
      this.#reading = false;
    }
  }

  /** Closes the device. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.stop();
    this.#closed = true;
    if (this.#pipe !== null) this.#pipe.close();
    else if (!this.#reading) closeFile(this.#fd);
  }
}
