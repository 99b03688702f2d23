/**
 * HTTP/1.1 by `node:http`, fed with our connections.
 *
 * @module
 */

import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { Connection } from "../../stack/tcp/api.ts";
import { Alarm, type Clock } from "../clock.ts";
import type { TcpAddr } from "../conn.ts";
import { pretendToListen } from "../node_server.ts";
import { TcpDuplex } from "../node_stream.ts";
import { gone } from "./body.ts";
import type { EngineOptions, HttpEngine, ServeInfo } from "./engine.ts";
import { abortRequest, makeRequest, requestUrl } from "./request.ts";
import { writeResponse } from "./response.ts";

/** µs that a client gets to send what nobody wants any more, so that it reads the answer (RFC 9112, section 9.6). */
const LINGER = 2_000_000;

/** A connection with requests on it. */
class HttpConnection extends TcpDuplex {
  /** Requests that are not answered yet. */
  active = 0;
  /** The request whose body the client owes us, or null. */
  incoming: IncomingMessage | null = null;
  /** It was refused: what it sends is not looked at. */
  refused = false;
  /** Progress when it was last looked at: bytes of both directions. */
  progress = 0;
  /** When the client has to have done what it has to do, in µs. */
  due: number = Infinity;
  readonly alarm: Alarm;
  readonly #clock: Clock;
  #remoteAddr: TcpAddr | null = null;
  #localAddr: TcpAddr | null = null;

  constructor(connection: Connection, clock: Clock, check: (connection: HttpConnection) => void) {
    super(connection, clock);
    this.#clock = clock;
    this.alarm = new Alarm(clock, () => check(this));
  }

  get remoteAddr(): TcpAddr {
    return this.#remoteAddr ??= { transport: "tcp", hostname: this.remoteAddress, port: this.remotePort };
  }

  get localAddr(): TcpAddr {
    return this.#localAddr ??= { transport: "tcp", hostname: this.localAddress, port: this.localPort };
  }

  protected override get linger(): number {
    return this.refused || (this.incoming !== null && !this.incoming.complete) ? LINGER : 0;
  }

  /** Whether it is the client that everything waits for. */
  get stalled(): boolean {
    return this.blocked || (this.incoming !== null && !this.incoming.complete && this.hungry);
  }

  /** Gives the client `milliseconds` from now on; 0 for all the time it wants. */
  allow(milliseconds: number): void {
    this.progress = this.bytesRead + this.bytesWritten;
    this.due = milliseconds === 0 ? Infinity : this.#clock.time() + milliseconds * 1000;
    // An alarm that rings too early looks again: that is cheaper than to set it twice a request.
    if (this.due < this.alarm.deadline) this.alarm.set(milliseconds * 1000);
  }
}

class Info implements ServeInfo {
  readonly #stream: HttpConnection;
  readonly #message: ServerResponse;
  #completed: Promise<void> | null = null;

  constructor(stream: HttpConnection, message: ServerResponse) {
    this.#stream = stream;
    this.#message = message;
  }

  get remoteAddr(): TcpAddr {
    return this.#stream.remoteAddr;
  }

  get localAddr(): TcpAddr {
    return this.#stream.localAddr;
  }

  get connection(): Connection {
    return this.#stream.connection;
  }

  get completed(): Promise<void> {
    if (this.#completed !== null) return this.#completed;
    const message = this.#message;
    this.#completed = new Promise((resolve, reject) => {
      if (message.writableFinished) resolve();
      else message.once("close", () => message.writableFinished ? resolve() : reject(gone()));
    });
    // Whoever does not look at it must not be ended by it.
    this.#completed.catch(() => {});
    return this.#completed;
  }
}

/** Ends a connection with a bare response; for what never becomes a request. */
function refuse(stream: HttpConnection, status: number): void {
  stream.refused = true;
  if (stream.writable && stream.active === 0) {
    stream.write(
      `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
  }
  stream.destroySoon();
}

/** An {@link HttpEngine} on the parser of `node:http`. */
export class NodeHttpEngine implements HttpEngine {
  readonly #clock: Clock;
  readonly #options: EngineOptions;
  readonly #server: http.Server;
  readonly #connections = new Set<HttpConnection>();
  #closing = false;
  #drained: (() => void) | null = null;

  /** @param clock The stack's time. @param options What to do with requests. */
  constructor(clock: Clock, options: EngineOptions) {
    this.#clock = clock;
    this.#options = options;
    const { headerSize, keepAliveTimeout } = options.limits;
    this.#server = http.createServer({ maxHeaderSize: headerSize, keepAliveTimeout, requestTimeout: 0 });
    const server = this.#server;
    server.timeout = 0;
    server.on("request", (message, response) => this.#request(message, response, false));
    server.on("checkContinue", (message, response) => this.#request(message, response, true));
    server.on("connect", (_message, stream) => refuse(stream as unknown as HttpConnection, 501));
    server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
      const status = error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
      if (error.code === "ECONNRESET" || stream.destroyed) stream.destroy();
      else refuse(stream as unknown as HttpConnection, status);
    });
    pretendToListen(server);
  }

  get size(): number {
    return this.#connections.size;
  }

  accept(connection: Connection): void {
    connection.noDelay = true;
    const stream = new HttpConnection(connection, this.#clock, (stream) => this.#check(stream));
    this.#connections.add(stream);
    stream.on("close", () => {
      stream.alarm.cancel();
      this.#connections.delete(stream);
      if (this.#connections.size === 0) this.#drained?.();
      this.#options.onClosed();
    });
    stream.allow(this.#options.limits.headerTimeout);
    this.#server.emit("connection", stream);
  }

  shutdown(): Promise<void> {
    this.#closing = true;
    for (const stream of this.#connections) {
      if (stream.active === 0) stream.destroySoon();
    }
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained = resolve);
  }

  close(): void {
    this.#closing = true;
    for (const stream of this.#connections) stream.resetAndDestroy();
  }

  #request(message: IncomingMessage, response: ServerResponse, expects: boolean): void {
    const stream = message.socket as unknown as HttpConnection;
    stream.active++;
    stream.allow(this.#options.limits.stallTimeout);
    let request: Request | null = null;
    response.on("close", () => {
      stream.active--;
      if (!response.writableFinished) {
        if (request !== null) abortRequest(request, gone());
      } else if (this.#closing && stream.active === 0) {
        stream.destroySoon();
        return;
      }
      const { headerTimeout, keepAliveTimeout } = this.#options.limits;
      stream.allow(headerTimeout === 0 ? 0 : headerTimeout + keepAliveTimeout);
    });
    const url = requestUrl(message);
    const status = url === null ? 400 : message.method === "TRACE" ? 501 : 0;
    if (url === null || status !== 0) {
      stream.refused = true;
      response.writeHead(status, { connection: "close", "content-length": 0 }).end();
      return;
    }
    let continued = !expects;
    if (continued) stream.incoming = message;
    const proceed = expects
      ? () => {
        continued = true;
        stream.incoming = message;
        if (!response.headersSent) response.writeContinue();
      }
      : null;
    request = makeRequest(message, url, proceed);
    const head = message.method === "HEAD";
    const info = new Info(stream, response);
    const send = (result: Response): Promise<void> => {
      if (!(result instanceof Response)) {
        throw new TypeError(`Handler returned ${typeof result} "${result}": return a Response`);
      }
      return writeResponse(response, result, head, () => {
        // A client that still waits for "100 Continue" may send its body or not: the connection can't be used again.
        if (this.#closing || !continued) response.shouldKeepAlive = false;
      });
    };
    try {
      const result = this.#options.handler(request, info);
      const sent = result instanceof Promise ? result.then(send) : send(result);
      sent.catch((error) => this.#failed(error, response, head));
    } catch (error) {
      this.#failed(error, response, head);
    }
  }

  /** A handler or the body of its response has failed: the error is reported, and the client told if it still can be. */
  async #failed(error: unknown, message: ServerResponse, head: boolean): Promise<void> {
    // That the client is gone is no fault of the handler's.
    if (message.destroyed && error instanceof Deno.errors.ConnectionReset) return;
    let response: Response;
    try {
      response = await this.#options.onError(error);
    } catch (again) {
      console.error("Error handler failed:", again);
      response = new Response("Internal Server Error", { status: 500 });
    }
    if (message.headersSent || message.destroyed) {
      // Half a response must not look like a whole one, as it would where the end of the connection is its end.
      if (message.req.httpVersionMinor === 0) (message.socket as HttpConnection | null)?.resetAndDestroy();
      message.destroy();
      return;
    }
    try {
      await writeResponse(message, response, head, () => message.shouldKeepAlive = false);
    } catch (again) {
      console.error("Error handler's response failed:", again);
      message.destroy();
    }
  }

  /** The time that a client had is over, or its alarm rang early. */
  #check(stream: HttpConnection): void {
    if (stream.destroyed) return;
    const now = this.#clock.time();
    if (now < stream.due) {
      if (stream.due !== Infinity) stream.alarm.set(stream.due - now);
      return;
    }
    if (stream.active === 0) {
      refuse(stream, 408);
      return;
    }
    const { stallTimeout } = this.#options.limits;
    const moved = stream.bytesRead + stream.bytesWritten !== stream.progress;
    // A handler may take as long as it likes: only what the client owes counts.
    if (moved || !stream.stalled) stream.allow(stallTimeout);
    else stream.resetAndDestroy();
  }
}
