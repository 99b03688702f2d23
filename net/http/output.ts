/**
 * What a server sends on one connection: into the connection's ring while it has room, and from memory of its own
 * after that.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import type { Connection } from "../../stack/tcp/api.ts";

/** Bytes of the memory in which headers are put together. */
const SCRATCH = 64 * 1024;

const scratch = new Uint8Array(SCRATCH);
const encoder = new TextEncoder();

/** The sending direction of a connection. */
export class Output {
  /** Bytes handed to the connection. */
  sent = 0;
  readonly #connection: Connection;
  #waiting: Bytes[] = [];
  /** Bytes of the first chunk that were handed over. */
  #offset = 0;
  #drained: (() => void)[] = [];
  #over = false;

  /** @param connection Where to. */
  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Whether something waits for the client to take what was sent before. */
  get blocked(): boolean {
    return this.#waiting.length > 0;
  }

  /** Sends ASCII text and, behind it, a body whose length in UTF-8 may be unknown to the text. */
  text(head: (length: number) => string, body: string): void {
    const text = head(body.length) + body;
    // One call encodes both, as long as every character is one byte.
    if (text.length <= SCRATCH / 3) {
      const { written } = encoder.encodeInto(text, scratch);
      if (written === text.length) return this.#scratch(written);
    }
    const bytes = encoder.encode(body);
    this.head(head(bytes.length));
    this.bytes(bytes);
  }

  /** Sends a header: Latin-1, as the bytes of fields may be. */
  head(text: string): void {
    const target = text.length <= SCRATCH ? scratch : new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) target[i] = text.charCodeAt(i);
    if (target === scratch) this.#scratch(text.length);
    else this.bytes(target);
  }

  /** Sends bytes, which must stay as they are from now on. */
  bytes(bytes: Bytes): void {
    if (this.#over || bytes.length === 0) return;
    const count = this.blocked ? 0 : this.#connection.write(bytes, 0, bytes.length);
    this.sent += count;
    if (count === bytes.length) return;
    if (!this.blocked) this.#offset = count;
    this.#waiting.push(bytes);
  }

  /** Goes on after the connection had no room. */
  resume(): void {
    const waiting = this.#waiting;
    while (waiting.length > 0) {
      const chunk = waiting[0]!;
      const left = chunk.length - this.#offset;
      const count = this.#connection.write(chunk, this.#offset, left);
      this.sent += count;
      this.#offset += count;
      if (count < left) return;
      this.#offset = 0;
      waiting.shift();
    }
    this.#release();
  }

  /** Resolves when nothing waits any more, or never will be sent. */
  drained(): Promise<void> {
    if (!this.blocked) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** Calls `done` when nothing waits any more, or never will be sent; at once if that is so now. */
  whenDrained(done: () => void): void {
    if (this.blocked) this.#drained.push(done);
    else done();
  }

  /** The connection is over: what waits is forgotten. */
  end(): void {
    this.#over = true;
    this.#waiting = [];
    this.#release();
  }

  #scratch(length: number): void {
    if (this.#over) return;
    const count = this.blocked ? 0 : this.#connection.write(scratch, 0, length);
    this.sent += count;
    if (count < length) this.#waiting.push(scratch.slice(count, length));
  }

  #release(): void {
    if (this.#drained.length === 0) return;
    const drained = this.#drained;
    this.#drained = [];
    for (let i = 0; i < drained.length; i++) drained[i]!();
  }
}
