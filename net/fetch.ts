/**
 * An HTTP client over the stack, in the shape of `fetch`.
 *
 * @module
 */

import type { ClientRequest, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { bodyStream, gone, pump, soon } from "./http/body.ts";

/** Opens a connection for a request. */
export type OpenStream = (hostname: string, port: number, signal: AbortSignal | null) => Promise<Duplex>;

/** Redirects that are followed (fetch standard, section 4.4). */
const REDIRECTS = 20;

/**
 * Fetches one resource on a connection of its own: `http:` and IP addresses only.
 *
 * @param open Opens the connection.
 * @param input What to fetch.
 * @param init As for `fetch`.
 * @returns The response, as soon as its header is there; its body is read as it is asked for.
 * @throws {TypeError} The URL is not of a kind that is supported, or there were too many redirects.
 * @throws {Deno.errors.InvalidData} The server's answer can't be made a Response, such as one with status 700.
 */
export async function fetchOver(
  open: OpenStream,
  input: string | URL | Request,
  init?: RequestInit,
): Promise<Response> {
  let request = new Request(input, init);
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    const response = await once(open, request);
    const location = response.headers.get("location");
    const redirected = [301, 302, 303, 307, 308].includes(response.status) && location !== null;
    if (!redirected || request.redirect === "manual") return response;
    await response.body?.cancel();
    if (request.redirect === "error") {
      throw new TypeError(`Redirected to "${location}", and redirects are errors here`);
    }
    request = redirect(request, response.status, new URL(location, request.url));
  }
  throw new TypeError(`Too many redirects: gave up after ${REDIRECTS}, the last was to "${request.url}"`);
}

/** The request that follows a redirect. */
function redirect(request: Request, status: number, url: URL): Request {
  const { method, signal } = request;
  const headers = new Headers(request.headers);
  if (new URL(request.url).origin !== url.origin) {
    for (const name of ["authorization", "cookie", "proxy-authorization"]) headers.delete(name);
  }
  const get = status === 303 ? method !== "HEAD" : status < 303 && method === "POST";
  if (!get && request.body !== null) {
    throw new TypeError(`Cannot follow the redirect to "${url}": the body was sent already`);
  }
  if (get) { for (const name of ["content-length", "content-type"]) headers.delete(name); }
  return new Request(url, { method: get ? "GET" : method, headers, signal });
}

async function once(open: OpenStream, request: Request): Promise<Response> {
  const url = new URL(request.url);
  if (url.protocol !== "http:") {
    throw new TypeError(`Cannot fetch "${request.url}": only http: URLs are supported`);
  }
  const { signal } = request;
  signal.throwIfAborted();
  // Loaded with the first request: it is most of what Deno has of Node, and a server needs none of it.
  const { default: http } = await import("node:http");
  const stream = await open(url.hostname, url.port === "" ? 80 : Number(url.port), signal);
  const headers: Record<string, string> = { host: url.host };
  for (const [name, value] of request.headers) headers[name] = value;
  headers.accept ??= "*/*";
  headers.connection = "close";
  const message = http.request({
    method: request.method,
    path: url.pathname + url.search,
    headers,
    setHost: false,
    createConnection: () => stream,
  });
  const aborted = () => message.destroy(reasonOf(signal));
  signal.addEventListener("abort", aborted);
  message.on("close", () => signal.removeEventListener("abort", aborted));
  const answer = responseOf(message, request);
  send(message, request).catch((error) => message.destroy(error));
  return await answer;
}

function reasonOf(signal: AbortSignal): Error {
  const { reason } = signal;
  return reason instanceof Error ? reason : new DOMException(String(reason), "AbortError");
}

async function send(message: ClientRequest, request: Request): Promise<void> {
  if (request.body === null) {
    message.end();
    return;
  }
  const reader = request.body.getReader();
  const pending = reader.read();
  // A body that was made of a string or of bytes is there at once, and ends at once: written by `end` alone, it gets a
  // Content-Length, which servers understand that know no chunks.
  const first = await soon(pending);
  if (first === null || message.hasHeader("content-length")) return await pump(reader, pending, message);
  if (first.done) return void message.end();
  const next = reader.read();
  const second = await soon(next);
  if (second?.done) return void message.end(first.value);
  message.write(first.value);
  await pump(reader, next, message);
}

function responseOf(message: ClientRequest, request: Request): Promise<Response> {
  return new Promise((resolve, reject) => {
    message.on("error", reject);
    message.on("close", () => reject(gone()));
    message.on("response", (incoming: IncomingMessage) => {
      try {
        resolve(toResponse(incoming, request));
      } catch (error) {
        // Node's parser lets statuses and headers pass which a Response can't have.
        const { url } = request;
        reject(new Deno.errors.InvalidData(`Cannot understand the answer from "${url}"`, { cause: error }));
        message.destroy();
      }
    });
  });
}

function toResponse(incoming: IncomingMessage, request: Request): Response {
  const headers = new Headers();
  const raw = incoming.rawHeaders;
  for (let i = 0; i < raw.length; i += 2) headers.append(raw[i]!, raw[i + 1]!);
  const status = incoming.statusCode!;
  const bare = request.method === "HEAD" || status === 204 || status === 205 || status === 304;
  const init = { status, statusText: incoming.statusMessage ?? "", headers };
  const response = new Response(bare ? null : bodyStream(incoming, null), init);
  if (bare) incoming.resume();
  Object.defineProperty(response, "url", { value: request.url });
  return response;
}
