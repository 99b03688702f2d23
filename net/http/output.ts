/**
 * What a server sends on one connection: into the connection's ring while it has room, and from memory of its own
 * after that.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import type { Connection } from "../../stack/tcp/api.ts";
import type { ResponseHead } from "./response_head.ts";

/** Bytes of the memory in which a header and a short body are put together. */
const SCRATCH = 64 * 1024;
/** Where in it the body is: the header ends there. */
const BODY = 16 * 1024;
/** Characters up to which a loop is faster than the encoder. */
const SHORT = 64;

const scratch = new Uint8Array(SCRATCH);
const scratchBody = scratch.subarray(BODY);
const encoder = new TextEncoder();
/** The header that lies in front of the body. */
let placed: Bytes | null = null;

/** Puts a text into {@link scratchBody}, as UTF-8. @returns Its bytes; -1 if it is too long. */
function encodeBody(text: string): number {
  const { length } = text;
  if (length * 3 > SCRATCH - BODY) return -1;
  if (length > SHORT) return encoder.encodeInto(text, scratchBody).written;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 128) return encoder.encodeInto(text, scratchBody).written;
    scratchBody[i] = code;
  }
  return length;
}

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

  /** Sends a text, and in front of it the header that belongs to its length in UTF-8. */
  text(head: ResponseHead, keepAlive: boolean, text: string): void {
    const length = encodeBody(text);
    if (length >= 0) {
      const bytes = head.sized(length, keepAlive);
      const start = BODY - bytes.length;
      if (start >= 0) {
        if (placed !== bytes) scratch.set(bytes, start);
        placed = bytes;
        return this.#scratch(start, BODY + length);
      }
    }
    const body = encoder.encode(text);
    this.bytes(head.sized(body.length, keepAlive));
    this.bytes(body);
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

  #scratch(start: number, end: number): void {
    if (this.#over) return;
    const count = this.blocked ? 0 : this.#connection.write(scratch, start, end - start);
    this.sent += count;
    if (start + count < end) this.#waiting.push(scratch.slice(start + count, end));
  }

  #release(): void {
    if (this.#drained.length === 0) return;
    const drained = this.#drained;
    this.#drained = [];
    for (let i = 0; i < drained.length; i++) drained[i]!();
  }
}
