/**
 * Writes a web `Response` as an HTTP response.
 *
 * @module
 */

import { type ServerResponse, STATUS_CODES } from "node:http";
import { gone, pump, soon } from "./body.ts";

let dateSecond = 0;
let dateText = "";

/** The Date header, made anew each second. Node's own sets a timer for that, which would keep an idle host awake. */
function date(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

/** Header names and values, one after the other, as Node takes them. */
function headerList(response: Response): string[] {
  const list: string[] = [];
  let dated = false;
  for (const [name, value] of response.headers) {
    // The framing of the connection is the server's.
    if (name === "connection" || name === "transfer-encoding" || name === "keep-alive") continue;
    if (name === "date") dated = true;
    list.push(name, value);
  }
  if (!dated) list.push("date", date());
  return list;
}

/**
 * Writes `response`. Resolves when all of it was handed over.
 *
 * @param head True for a HEAD request: the header is sent alone.
 * @param beforeHead Called when the header is about to be written; the body's first chunk was asked for by then.
 * @throws What the response's body fails with, also when it is not as long as its header says; the header may have been
 *   sent by then.
 */
export async function writeResponse(
  message: ServerResponse,
  response: Response,
  head: boolean,
  beforeHead: () => void,
): Promise<void> {
  if (response.bodyUsed) throw new TypeError("Response was used before: make a new one for each request");
  const { body, status } = response;
  const headers = headerList(response);
  const writeHead = (...more: string[]) => {
    beforeHead();
    message.sendDate = false;
    message.writeHead(status, response.statusText || (STATUS_CODES[status] ?? ""), [...headers, ...more]);
  };
  if (message.destroyed) {
    await body?.cancel(gone());
    return;
  }
  const sized = response.headers.has("content-length");
  const bodiless = status === 204 || status === 304;
  if (body === null || head || bodiless) {
    if (body === null && !bodiless && !head && !sized) writeHead("content-length", "0");
    else writeHead();
    message.end();
    await body?.cancel();
    return;
  }
  // A body of another length than was told would be taken for a part of the next response, or waited for.
  message.strictContentLength = sized;
  const reader = body.getReader();
  const pending = reader.read();
  // A body that was made of a string or of bytes is there at once, and ends at once, which tells its length. A stream's
  // header and chunks go out as they come.
  const first = await soon(pending);
  if (first === null || sized || message.destroyed) {
    writeHead();
    if (first === null) message.flushHeaders();
    return await pump(reader, pending, message);
  }
  if (first.done) {
    writeHead("content-length", "0");
    message.end();
    return;
  }
  const next = reader.read();
  const second = await soon(next);
  if (second?.done) {
    writeHead("content-length", String(first.value.length));
    message.end(first.value);
    return;
  }
  writeHead();
  message.write(first.value);
  await pump(reader, next, message);
}
