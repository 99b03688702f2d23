/**
 * An HTTP server in the shape of `Deno.serve`.
 *
 * @module
 */

import type { Listener, TcpApi } from "../stack/tcp/api.ts";
import { formatHostPort } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { TcpAddr } from "./conn.ts";
import type { HttpEngine, ServeHandler, ServeLimits } from "./http/engine.ts";
import { StackHttpEngine } from "./http/stack_engine.ts";
import { openListener, takeLive } from "./listener.ts";

export type { ServeHandler, ServeInfo, ServeLimits } from "./http/engine.ts";

/** What `serve` takes. */
export interface ServeOptions {
  /** 1 to 65535; 0 picks a free one. Default 8000. */
  port?: number;
  /** Listen on this IP address only. Default: on all of the stack. */
  hostname?: string;
  /** Connections that may wait to be taken. Default 512. */
  backlog?: number;
  /** Closes the server and every connection when aborted. */
  signal?: AbortSignal;
  /** Called once it listens. Default: prints the address. */
  onListen?: (addr: TcpAddr) => void;
  /** Answers for a handler that threw. Default: prints the error and answers with 500. */
  onError?: (error: unknown) => Response | Promise<Response>;
  /** How long a client may take, and how much it may send. */
  limits?: ServeLimits;
}

const LIMITS: Required<ServeLimits> = {
  headerTimeout: 60_000,
  keepAliveTimeout: 5_000,
  stallTimeout: 120_000,
  headerSize: 16_384,
  connections: 65_536,
};

/** A running server. */
export class HttpServer implements AsyncDisposable {
  /** Where it listens. */
  readonly addr: TcpAddr;
  /** Resolves when the server has been closed and its last connection has ended. */
  readonly finished: Promise<void>;
  /** @internal Called once, when it has stopped listening. */
  onclosed: (() => void) | null = null;
  readonly #listener: Listener;
  readonly #engine: HttpEngine;
  readonly #most: number;
  readonly #finish: () => void;
  readonly #signal: AbortSignal | undefined;
  #closed = false;

  /**
   * Serves on a stack; `Network.serve` is this with the network's own.
   *
   * @param tcp The TCP layer. @param clock The stack's time. @param options Where and how. @param handler Answers requests.
   * @throws {Deno.errors.AddrInUse} The port is taken.
   */
  constructor(tcp: TcpApi, clock: Clock, options: ServeOptions, handler: ServeHandler) {
    const limits = { ...LIMITS, ...options.limits };
    this.#most = limits.connections;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = resolve;
    this.#engine = new StackHttpEngine(clock, {
      handler,
      onError: options.onError ?? reportError,
      onClosed: () => this.#take(),
      limits,
    });
    const port = options.port ?? 8000;
    this.#listener = openListener(tcp, { ...options, port }, { ready: () => this.#take() });
    const { local } = this.#listener;
    this.addr = { transport: "tcp", hostname: local.toString(), port: this.#listener.port };
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort, { once: true });
    (options.onListen ?? announce)(this.addr);
  }

  /**
   * Takes no more connections and closes those that are idle; the others end with the response that is under way.
   * @returns Resolves when all of them have ended.
   */
  shutdown(): Promise<void> {
    if (!this.#closed) {
      this.#stop();
      this.#engine.shutdown().then(this.#finish);
    }
    return this.finished;
  }

  /** There for the shape of `Deno.HttpServer`: it is the network that keeps the process alive. */
  ref(): void {}

  /** There for the shape of `Deno.HttpServer`: it is the network that keeps the process alive. */
  unref(): void {}

  /** As {@link shutdown}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  /** Stops listening and resets every connection; a shutdown that is under way is cut short. Idempotent. */
  close(): void {
    this.#stop();
    this.#engine.close();
    this.#engine.shutdown().then(this.#finish);
  }

  #abort = (): void => this.close();

  #stop(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
    this.onclosed?.();
    // The signal stays: it can still end a shutdown that takes too long.
    this.finished.then(() => this.#signal?.removeEventListener("abort", this.#abort));
  }

  #take(): void {
    while (!this.#closed && this.#engine.size < this.#most) {
      const connection = takeLive(this.#listener);
      if (connection === null) return;
      this.#engine.accept(connection);
    }
  }
}

function announce({ hostname, port }: TcpAddr): void {
  console.log(`Listening on http://${formatHostPort(hostname, port)}/`);
}

function reportError(error: unknown): Response {
  console.error("Handler failed:", error);
  return new Response("Internal Server Error", { status: 500 });
}
