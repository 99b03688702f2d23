/**
 * Sends a web `Response`.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import { gone, soon } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import type { Output } from "./output.ts";
import { latin1, type ResponseHead, responseHead } from "./response_head.ts";
import { takeStaticBody } from "./static_body.ts";

const CRLF = new Uint8Array([13, 10]);
const CHUNKED = "transfer-encoding: chunked\r\n";
const LAST_CHUNK = new TextEncoder().encode("0\r\n\r\n");

/** Tells whether a server takes no more requests. */
export interface Closing {
  /** Whether connections end with the response under way. */
  readonly closing: boolean;
}

/**
 * Sends the response of an exchange. `exchange.keepAlive` is final when it returns, or when its promise resolves.
 *
 * @returns A promise if the body has to be read first; otherwise all is handed to `output`.
 * @throws {TypeError} A response that can't be sent; its header was if `exchange.answered`.
 */
export function respond(
  exchange: Exchange,
  response: Response,
  output: Output,
  server: Closing,
): Promise<void> | null {
  if (!(response instanceof Response)) {
    throw new TypeError(`Handler returned ${typeof response} "${response}": return a Response`);
  }
  if (response.bodyUsed) throw new TypeError("Response was used before: make a new one for each request");
  const body = takeStaticBody(response);
  if (exchange.over) {
    if (body === undefined) response.body!.cancel(gone()).catch(() => {});
    return null;
  }
  const head = responseHead(response);
  const { status } = response;
  const bodiless = status === 204 || status === 304;
  if (exchange.head.method === "HEAD" || bodiless) {
    const length = head.length >= 0 ? head.length : bodiless || body === null ? -1 : staticLength(body);
    const keepAlive = begin(exchange, head, server);
    output.bytes(length < 0 ? head.framed("", keepAlive) : head.sized(length, keepAlive));
    if (body === undefined) response.body!.cancel().catch(() => {});
    return null;
  }
  if (body === undefined) return stream(exchange, response.body!, head, output, server);
  const keepAlive = begin(exchange, head, server);
  if (head.length >= 0 && head.length !== staticLength(body)) {
    output.bytes(head.sized(head.length, keepAlive));
    throw wrongLength(head.length);
  }
  if (typeof body === "string") {
    output.text(head, keepAlive, body);
  } else {
    output.bytes(head.sized(body === null ? 0 : body.length, keepAlive));
    if (body !== null) output.bytes(body);
  }
  return null;
}

/** Decides what becomes of the connection. @returns Whether it is kept. */
function begin(exchange: Exchange, head: ResponseHead, server: Closing): boolean {
  exchange.answered = true;
  // A client that still waits for "100 Continue" may send its body or not: the connection can't be used again.
  if (server.closing || head.close || !exchange.continued) exchange.keepAlive = false;
  return exchange.keepAlive;
}

function staticLength(body: string | Uint8Array | null | undefined): number {
  if (body === undefined) return -1;
  if (body === null) return 0;
  return typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
}

/** The beginning of a streamed body, as far as it is there without waiting. */
interface Opening {
  /** Chunks that were read. */
  chunks: Uint8Array[];
  /** The read under way; null if the body has ended. */
  pending: Promise<ReadableStreamReadResult<Uint8Array>> | null;
}

/** Reads up to two chunks' worth ahead: what ends at once tells its length. */
async function open(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Opening> {
  const chunks: Uint8Array[] = [];
  let pending = reader.read();
  for (;;) {
    const result = await soon(pending);
    if (result === null) return { chunks, pending };
    if (result.done) return { chunks, pending: null };
    chunks.push(checked(result.value));
    pending = reader.read();
    // Its failure belongs to whoever awaits it.
    pending.catch(() => {});
    if (chunks.length === 2) return { chunks, pending };
  }
}

/** Sends a body as it comes, as fast as the client takes it. */
async function stream(
  exchange: Exchange,
  body: ReadableStream<Uint8Array>,
  head: ResponseHead,
  output: Output,
  server: Closing,
): Promise<void> {
  const reader = exchange.reader = body.getReader();
  const { chunks, pending } = await open(reader);
  if (exchange.over) return;
  let { length } = head;
  if (length < 0 && pending === null) length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  // HTTP/1.0 knows no chunks: there the end of the connection is the end of the body.
  const chunked = length < 0 && exchange.head.minor > 0;
  if (length < 0 && !chunked) exchange.keepAlive = false;
  const keepAlive = begin(exchange, head, server);
  output.bytes(length < 0 ? head.framed(chunked ? CHUNKED : "", keepAlive) : head.sized(length, keepAlive));
  let left = length < 0 ? Infinity : length;
  const send = (chunk: Uint8Array) => {
    if (chunk.length > left) throw wrongLength(length);
    if (chunk.length === 0) return;
    left -= chunk.length;
    if (chunked) output.bytes(latin1(chunk.length.toString(16) + "\r\n"));
    output.bytes(chunk as Bytes);
    if (chunked) output.bytes(CRLF);
  };
  chunks.forEach(send);
  if (pending !== null) {
    for (let next = await pending; !next.done; next = await reader.read()) {
      if (exchange.over) return;
      send(checked(next.value));
      if (output.blocked) await output.drained();
    }
  }
  if (exchange.over) return;
  exchange.reader = null;
  if (chunked) output.bytes(LAST_CHUNK);
  else if (left > 0 && left !== Infinity) throw wrongLength(length);
}

/** A body of another length than was told would be taken for a part of the next response, or waited for. */
function wrongLength(length: number): TypeError {
  return new TypeError(
    `Cannot send a body that is not as long as its content-length "${length}": leave the field out`,
  );
}

function checked(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`Cannot send a chunk of type ${typeof chunk}: a body consists of Uint8Array`);
}
