/**
 * The web streams of a connection.
 *
 * @module
 */

import type { Bytes } from "../stack/packet.ts";
import type { Socket } from "./socket.ts";

/** Tells when both directions have ended, so that the connection can be closed. */
export class Halves {
  readonly #close: () => void;
  #open = 2;

  /** @param close Called once, when both are done. */
  constructor(close: () => void) {
    this.#close = close;
  }

  /** One direction has ended. */
  done(): void {
    if (--this.#open === 0) this.#close();
  }
}

/** A byte stream of what arrives. It reads only when asked, so the peer's window closes with the reader. */
export function readableOf(socket: Socket, halves: Halves): ReadableStream<Bytes> {
  const source: UnderlyingByteSource = {
    type: "bytes",
    async pull(controller) {
      const request = controller.byobRequest;
      if (request !== null) {
        const { buffer, byteOffset, byteLength } = request.view!;
        const count = await socket.read(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
        if (count === null) {
          controller.close();
          halves.done();
        }
        request.respond(count ?? 0);
        return;
      }
      const chunk = await socket.readChunk();
      if (chunk === null) {
        controller.close();
        halves.done();
      } else {
        controller.enqueue(chunk);
      }
    },
    cancel() {
      if (!socket.ended) socket.discard();
      halves.done();
    },
  };
  return new ReadableStream(source, { highWaterMark: 0 }) as ReadableStream<Bytes>;
}

/** A stream whose chunks are sent. A chunk counts as written when the connection has taken all of it. */
export function writableOf(socket: Socket, halves: Halves): WritableStream<Bytes> {
  return new WritableStream<Bytes>({
    async write(chunk) {
      await socket.write(chunk);
    },
    close() {
      socket.closeWrite();
      halves.done();
    },
    abort(reason) {
      socket.abort(reason instanceof Error ? reason : new Error("Connection was aborted", { cause: reason }));
    },
  });
}
