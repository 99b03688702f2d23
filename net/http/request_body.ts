/**
 * The body of a request on its way from the connection to whoever reads it: a web stream, or memory for all of it.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";

/** Most bytes of one chunk: larger blocks come from the system page by page, which costs more than the copy. */
const CHUNK = 128 * 1024;

/** A body that arrives. Nothing is taken from the connection before somebody wants it. */
export class RequestBody {
  /** Whether more would be taken now. */
  wanted = false;
  /** Whether the rest is thrown away. */
  discarding = false;
  /** Whether somebody reads, or has read. */
  used = false;
  readonly #want: () => void;
  #stream: ReadableStream<Bytes> | null = null;
  #controller: ReadableStreamDefaultController<Bytes> | null = null;
  #chunks: Bytes[] | null = null;
  #collected: PromiseWithResolvers<Bytes> | null = null;
  #ended = false;
  #error: Error | null = null;

  /** @param want Called whenever {@link wanted} or {@link discarding} has become true. */
  constructor(want: () => void) {
    this.#want = want;
  }

  /** The body as a stream; the same one each time. */
  get stream(): ReadableStream<Bytes> {
    if (this.#stream !== null) return this.#stream;
    const stream = this.#stream = new ReadableStream<Bytes>({
      start: (controller) => void (this.#controller = controller),
      pull: () => {
        this.used = true;
        if (this.#error !== null) this.#controller!.error(this.#error);
        else if (this.#ended) this.#controller!.close();
        else this.#ask();
      },
      cancel: () => {
        this.used = true;
        this.#controller = null;
        this.discard();
      },
    }, { highWaterMark: 0 });
    // Whoever looks at it after all was read without it finds a stream that is in use.
    if (this.#collected !== null) stream.getReader();
    return stream;
  }

  /** All of it. To be called once, and only if {@link stream} was not. */
  collect(): Promise<Bytes> {
    this.used = true;
    this.#chunks = [];
    const collected = this.#collected = Promise.withResolvers<Bytes>();
    if (this.#error !== null) collected.reject(this.#error);
    else if (this.#ended) collected.resolve(new Uint8Array(0));
    else this.#ask();
    return collected.promise;
  }

  /** Has the rest thrown away, so that the connection can be used again. */
  discard(): void {
    this.wanted = false;
    if (this.discarding || this.#ended) return;
    this.discarding = true;
    this.#want();
  }

  /** Takes some bytes of it. @returns How many, 0 to `length`. */
  deliver(bytes: Bytes, offset: number, length: number): number {
    if (this.discarding) return length;
    let taken = 0;
    while (taken < length && this.wanted) {
      const count = Math.min(length - taken, CHUNK);
      this.push(bytes.slice(offset + taken, offset + taken + count));
      taken += count;
    }
    return taken;
  }

  /** Takes a chunk of it, for good. */
  push(chunk: Bytes): void {
    if (this.discarding || chunk.length === 0) return;
    if (this.#chunks !== null) {
      this.#chunks.push(chunk);
      return;
    }
    this.wanted = false;
    this.#controller?.enqueue(chunk);
  }

  /** It is complete. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.wanted = false;
    if (this.#collected !== null) this.#collected.resolve(joined(this.#chunks!));
    else if (this.used && this.#error === null) this.#controller?.close();
    this.#chunks = null;
    // A stream that is not read yet finds out when it is.
    if (this.used) this.#controller = null;
  }

  /** The rest will not come. */
  fail(error: Error): void {
    if (this.#ended || this.#error !== null) return;
    this.#error = error;
    this.wanted = false;
    this.#chunks = null;
    if (this.#collected !== null) this.#collected.reject(error);
    else if (this.used) this.#controller?.error(error);
  }

  #ask(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.#want();
  }
}

function joined(chunks: readonly Bytes[]): Bytes {
  if (chunks.length === 1) return chunks[0]!;
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
