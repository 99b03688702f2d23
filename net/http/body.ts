/**
 * Bodies: from Node's streams to web streams and back, with backpressure.
 *
 * @module
 */

import type { Buffer } from "node:buffer";
import type { IncomingMessage, OutgoingMessage } from "node:http";

/**
 * A body as a web stream. It reads only when asked, so a slow reader slows the sender down.
 *
 * @param message Whose body. @param beforeRead Called once, before the first read; or null.
 */
export function bodyStream(
  message: IncomingMessage,
  beforeRead: (() => void) | null,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let started = false;
  let over = false;
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (!started) {
        started = true;
        beforeRead?.();
        message.on("data", (chunk: Buffer) => {
          if (over) return;
          controller.enqueue(new Uint8Array(chunk.buffer as ArrayBuffer, chunk.byteOffset, chunk.byteLength));
          if ((controller.desiredSize ?? 0) <= 0) message.pause();
        });
        message.on("end", () => {
          if (over) return;
          over = true;
          controller.close();
        });
        const failed = (error?: Error) => {
          if (over) return;
          over = true;
          controller.error(
            error ??
              new Deno.errors.ConnectionReset("The peer closed the connection before the end of the body"),
          );
        };
        message.on("error", failed);
        message.on("aborted", failed);
        message.on("close", () => failed());
        if (message.destroyed) failed(message.errored ?? undefined);
      } else {
        message.resume();
      }
    },
    cancel() {
      over = true;
      // The rest is read and thrown away, so that the connection can be used again.
      message.resume();
    },
  }, { highWaterMark: 0 });
}

/** What `promise` gives, if it does so without waiting for anything outside; otherwise null. Leaves failures to others. */
export async function soon<T>(promise: Promise<T>): Promise<T | null> {
  let value: T | null = null;
  promise.then((result) => value = result, () => {});
  for (let turn = 0; turn < 4 && value === null; turn++) await null;
  return value;
}

/** Resolves when `sink` has room again, or is closed. */
function room(sink: OutgoingMessage): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      sink.off("drain", done);
      sink.off("close", done);
      resolve();
    };
    sink.on("drain", done);
    sink.on("close", done);
  });
}

/**
 * Writes a web stream into a message, as fast as the connection takes it, and ends the message.
 *
 * @param reader Of the stream; its first chunk may be read already. It is cancelled when the message is closed early.
 * @param pending A read that is under way.
 * @throws What the stream fails with; the message is then not ended.
 */
export async function pump(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  pending: Promise<ReadableStreamReadResult<Uint8Array>>,
  sink: OutgoingMessage,
): Promise<void> {
  if (sink.destroyed) return await reader.cancel(gone());
  sink.once("close", () => sink.writableFinished || reader.cancel(gone()).catch(() => {}));
  for (let next = await pending; !next.done; next = await reader.read()) {
    if (!sink.write(next.value)) await room(sink);
  }
  sink.end();
}

/** @returns The reason that a response's stream is cancelled with when nobody reads it any more. */
export function gone(): Error {
  return new Deno.errors.ConnectionReset("The peer closed the connection before the end of the response");
}
