/**
 * Writes a web `Response` as an HTTP response.
 *
 * @module
 */

import { type ServerResponse, STATUS_CODES } from "node:http";
import { gone, pump } from "./body.ts";

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
 * @throws What the response's body fails with; the header may have been sent by then.
 */
export async function writeResponse(
  message: ServerResponse,
  response: Response,
  head: boolean,
): Promise<void> {
  if (response.bodyUsed) throw new TypeError("Response was used before: make a new one for each request");
  const { body, status } = response;
  message.sendDate = false;
  const text = response.statusText || (STATUS_CODES[status] ?? "");
  const headers = headerList(response);
  if (message.destroyed) {
    await body?.cancel(gone());
    return;
  }
  if (body === null || head || status === 204 || status === 304) {
    if (
      body === null && status !== 204 && status !== 304 && !head && !response.headers.has("content-length")
    ) {
      headers.push("content-length", "0");
    }
    message.writeHead(status, text, headers);
    message.end();
    await body?.cancel();
    return;
  }
  const reader = body.getReader();
  if (response.headers.has("content-length")) {
    message.writeHead(status, text, headers);
    return await pump(reader, reader.read(), message);
  }
  // A body that was made of a string or of bytes ends at once, which tells its length. A stream does not: its first
  // chunk goes out without waiting for a second.
  const early = () => void reader.cancel(gone()).catch(() => {});
  message.once("close", early);
  const first = await reader.read();
  message.off("close", early);
  if (message.destroyed) return;
  if (first.done) {
    message.writeHead(status, text, [...headers, "content-length", "0"]);
    message.end();
    return;
  }
  const second = reader.read();
  let ended = false;
  second.then((next) => ended = next.done, () => {});
  await null;
  await null;
  if (ended) {
    headers.push("content-length", String(first.value.length));
    message.writeHead(status, text, headers);
    message.end(first.value);
    return;
  }
  message.writeHead(status, text, headers);
  message.write(first.value);
  await pump(reader, second, message);
}
