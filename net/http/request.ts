/**
 * Requests that are built as far as they are looked at. A `Request` of Deno's own costs more than parsing and answering
 * a small request; most handlers need its method and URL only.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import type { RequestHead } from "./head.ts";
import type { RequestBody } from "./request_body.ts";

/** Hosts and paths that a URL parser would leave as they are; everything else is left to it. */
const PLAIN_HOST =
  /^(?:(?!.*xn--)[a-z][a-z0-9-]*(?:\.[a-z][a-z0-9-]*)*|(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?=\d)|(?=:|$))){4})(?::(?!80$)[1-9]\d{0,3})?$/;
const PLAIN_PATH = /^\/(?![/.])(?:[\w\-.~!$&*+,;=:@]|\/(?!\.))*(?:\?[\w\-.~!$&()*+,;=:@/?%]*)?$/;

/** The host that was last found plain: most clients of a server name the same one. */
let knownHost = "";

function isPlainHost(host: string): boolean {
  if (host === knownHost) return true;
  if (!PLAIN_HOST.test(host)) return false;
  knownHost = host;
  return true;
}

/**
 * The URL that a request is about (RFC 9112, section 3.3).
 * @param target The request target. @param host The Host field, or what stands in for it.
 * @returns null when what the client sent makes none.
 */
export function requestUrl(target: string, host: string): string | null {
  if (target === "/" || PLAIN_PATH.test(target)) {
    // Some clients name the port even if it is the scheme's own.
    const short = host.endsWith(":80") ? host.slice(0, -3) : host;
    if (isPlainHost(short)) return "http://" + short + target;
  }
  if (target.startsWith("/")) return normalized(`http://${host}${target}`, host);
  return target === "*" ? normalized(`http://${host}/`, host) : normalized(target, null);
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
  readonly #head: RequestHead;
  readonly #body: RequestBody | null;
  readonly method: string;
  readonly url: string;
  #headers: Headers | null = null;
  #streamed = false;
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

  constructor(head: RequestHead, url: string, body: RequestBody | null) {
    this.#head = head;
    this.method = head.method;
    this.url = url;
    // Fetch knows no body of these.
    this.#body = head.method === "GET" || head.method === "HEAD" ? null : body;
  }

  get headers(): Headers {
    if (this.#headers !== null) return this.#headers;
    const headers = this.#headers = new Headers();
    const list = this.#head.list();
    for (let i = 0; i < list.length; i += 2) headers.append(list[i]!, list[i + 1]!);
    return headers;
  }

  get body(): ReadableStream<Bytes> | null {
    if (this.#body === null) return null;
    this.#streamed = true;
    return this.#body.stream;
  }

  get bodyUsed(): boolean {
    if (this.#request !== null) return this.#request.bodyUsed;
    return this.#body !== null && this.#body.used;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  async bytes(): Promise<Bytes> {
    if (this.#body === null) return new Uint8Array(0);
    // Once there is a stream it is the stream that says who may read.
    if (this.#streamed || this.#body.used) return await this.#whole().bytes();
    return await this.#body.collect();
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const { buffer, byteOffset, byteLength } = await this.bytes();
    return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
  }

  async text(): Promise<string> {
    return decoder.decode(await this.bytes());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
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

const decoder = new TextDecoder();

/**
 * Makes a request.
 *
 * @param head Its header. @param url As {@link requestUrl} gives it. @param body Its body, or null.
 */
export function makeRequest(head: RequestHead, url: string, body: RequestBody | null): Request {
  return new ServedRequest(head, url, body) as unknown as Request;
}

/** Aborts the signal of a request made by {@link makeRequest}. */
export function abortRequest(request: Request, reason: Error): void {
  ServedRequest.abort(request as unknown as ServedRequest, reason);
}
