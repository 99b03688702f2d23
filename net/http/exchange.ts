/**
 * One request and its response.
 *
 * @module
 */

import type { Connection } from "../../stack/tcp/api.ts";
import type { TcpAddr } from "../conn.ts";
import type { ServeInfo } from "./engine.ts";
import type { RequestHead } from "./head.ts";
import type { RequestBody } from "./request_body.ts";
import { abortRequest } from "./request.ts";

/** A request that is under way, and what its handler is told beside it. */
export class Exchange implements ServeInfo {
  /** The connection on which the request came. */
  readonly connection: Connection;
  /** The request's header. */
  readonly head: RequestHead;
  /** The request's body, or null. */
  readonly body: RequestBody | null;
  /** Whether the connection can be used again after it. */
  keepAlive: boolean;
  /** Whether the client has been asked for the body, or did not wait to be. */
  continued: boolean;
  /** Whether the response has begun. */
  answered = false;
  /** Whether all of the response was produced; it may still wait for room. */
  sent = false;
  /** What the handler got. */
  request: Request | null = null;
  /** Reads the response's body, while it is being sent. */
  reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  #outcome: Error | null | undefined;
  #completed: PromiseWithResolvers<void> | null = null;

  /** A request whose header was read. */
  constructor(connection: Connection, head: RequestHead, body: RequestBody | null) {
    this.connection = connection;
    this.head = head;
    this.body = body;
    this.keepAlive = head.keepAlive;
    this.continued = !head.expects;
  }

  get remoteAddr(): TcpAddr {
    const { remote, remotePort } = this.connection;
    return { transport: "tcp", hostname: remote.toString(), port: remotePort };
  }

  get localAddr(): TcpAddr {
    const { local, localPort } = this.connection;
    return { transport: "tcp", hostname: local.toString(), port: localPort };
  }

  get completed(): Promise<void> {
    if (this.#completed === null) {
      this.#completed = Promise.withResolvers();
      // Whoever does not look at it must not be ended by it.
      this.#completed.promise.catch(() => {});
      if (this.#outcome !== undefined) this.#settle(this.#outcome);
    }
    return this.#completed.promise;
  }

  /** Whether it has ended, well or not. */
  get over(): boolean {
    return this.#outcome !== undefined;
  }

  /** The response was handed over whole. */
  done(): void {
    this.#settle(null);
  }

  /** The connection ended first. @param reason What everyone is told who still works for it. */
  lost(reason: Error): void {
    if (this.over) return;
    this.#settle(reason);
    this.body?.fail(reason);
    this.reader?.cancel(reason).catch(() => {});
    if (this.request !== null) abortRequest(this.request, reason);
  }

  #settle(outcome: Error | null): void {
    this.#outcome = outcome;
    if (outcome === null) this.#completed?.resolve();
    else this.#completed?.reject(outcome);
  }
}
