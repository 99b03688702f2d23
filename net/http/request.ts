/**
 * Requests that are built as far as they are looked at. A `Request` of Deno's own costs more than parsing and answering
 * a small request; most handlers need its method and URL only.
 *
 * @module
 */

import type { IncomingMessage } from "node:http";
import { formatHostPort } from "../address.ts";
import { bodyStream } from "./body.ts";

/** Hosts and paths that a URL parser would leave as they are; everything else is left to it. */
const PLAIN_HOST =
  /^(?:(?!.*xn--)[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*|(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?=\d)|(?=:|$))){4})(?::(?!80$)[1-9]\d{0,3})?$/;
const PLAIN_PATH = /^\/(?![/.])(?:[\w\-.~!$&*+,;=:@]|\/(?!\.))*(?:\?[\w\-.~!$&()*+,;=:@/?%]*)?$/;

/**
 * The URL that a request is about.
 * @returns null when what the client sent makes none.
 */
export function requestUrl(message: IncomingMessage): string | null {
  const { socket, url = "/" } = message;
  const host = message.headers.host ?? formatHostPort(socket.localAddress ?? "", socket.localPort ?? 80);
  if (PLAIN_PATH.test(url) && PLAIN_HOST.test(host)) return `http://${host}${url}`;
  if (url.startsWith("/")) return normalized(`http://${host}${url}`, host);
  return url === "*" ? normalized(`http://${host}/`, host) : normalized(url, null);
}

function normalized(text: string, host: string | null): string | null {
  // What ends an authority, or names a user, must not come from the Host header.
  if (host !== null && (host === "" || /[/?#@\\\s]/.test(host))) return null;
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) return null;
  url.hash = "";
  return url.href;
}

/** Looks and behaves as a `Request`, and becomes one when something needs it whole. */
class ServedRequest {
  readonly #message: IncomingMessage;
  readonly #beforeBody: (() => void) | null;
  readonly method: string;
  readonly url: string;
  #headers: Headers | null = null;
  #stream: ReadableStream<Uint8Array<ArrayBuffer>> | null | undefined;
  #controller: AbortController | null = null;
  #reason: unknown;
  #request: Request | null = null;

  static {
    // `instanceof Request`, and every method that is not below: they look for Deno's own fields, which are those of
    // the request that is made for them.
    Object.setPrototypeOf(ServedRequest.prototype, Request.prototype);
    for (const key of Object.getOwnPropertySymbols(new Request("http://localhost/"))) {
      Object.defineProperty(ServedRequest.prototype, key, {
        get(this: ServedRequest) {
          return Reflect.get(this.#whole(), key);
        },
        set(this: ServedRequest, value: unknown) {
          Reflect.set(this.#whole(), key, value);
        },
      });
    }
  }

  constructor(message: IncomingMessage, url: string, beforeBody: (() => void) | null) {
    this.#message = message;
    this.#beforeBody = beforeBody;
    this.method = message.method!;
    this.url = url;
  }

  get headers(): Headers {
    if (this.#headers !== null) return this.#headers;
    const headers = this.#headers = new Headers();
    const raw = this.#message.rawHeaders;
    for (let i = 0; i < raw.length; i += 2) headers.append(raw[i]!, raw[i + 1]!);
    return headers;
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.#stream === undefined) {
      const { headers } = this.#message;
      const some = this.method !== "GET" && this.method !== "HEAD" &&
        (headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0");
      this.#stream = some ? bodyStream(this.#message, this.#beforeBody) : null;
    }
    return this.#stream;
  }

  get bodyUsed(): boolean {
    if (this.#request !== null) return this.#request.bodyUsed;
    if (this.#stream === undefined || this.#stream === null) return false;
    try {
      return this.#whole().bodyUsed;
    } catch {
      // A request can't be made of a stream that was read from.
      return true;
    }
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  static abort(request: ServedRequest, reason: Error): void {
    request.#reason = reason;
    request.#controller?.abort(reason);
  }

  #whole(): Request {
    if (this.#request !== null) return this.#request;
    const { method, headers, signal, body } = this;
    const init: RequestInit = { method, headers, signal };
    if (body !== null) Object.assign(init, { body, duplex: "half" });
    return this.#request = new Request(this.url, init);
  }
}

/**
 * Makes a request of what Node's parser has read.
 *
 * @param message The header; its body is read when the request's is.
 * @param url As {@link requestUrl} gives it.
 * @param beforeBody Called once, before the body is first read; or null.
 * @returns The request.
 */
export function makeRequest(message: IncomingMessage, url: string, beforeBody: (() => void) | null): Request {
  return new ServedRequest(message, url, beforeBody) as unknown as Request;
}

/** Aborts the signal of a request made by {@link makeRequest}. */
export function abortRequest(request: Request, reason: Error): void {
  ServedRequest.abort(request as unknown as ServedRequest, reason);
}
