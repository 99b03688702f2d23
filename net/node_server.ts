/**
 * Feeds servers written for Node with our connections: `node:http`, `node:tls`, `node:http2`, `ws`, Express, Fastify, …
 *
 * @module
 */

import type { EventEmitter } from "node:events";
import type { Listener, TcpApi } from "../stack/tcp/api.ts";
import type { Clock } from "./clock.ts";
import type { TcpAddr } from "./conn.ts";
import { openListener, takeLive, type TcpListenOptions } from "./listener.ts";
import { TcpDuplex } from "./node_stream.ts";

/** Connections of a port that go to a server of Node's. */
export class NodeListener implements Disposable {
  /** Where it listens. */
  readonly addr: TcpAddr;
  /** @internal Called once, when it is closed. */
  onclosed: (() => void) | null = null;
  readonly #listener: Listener;
  readonly #signal: AbortSignal | undefined;
  #closed = false;

  /**
   * Listens on a stack; `Network.serveNode` is this with the network's own.
   *
   * @param server Gets a `connection` event for each connection. It must not listen itself.
   * @throws {Deno.errors.AddrInUse} The port is taken.
   */
  constructor(tcp: TcpApi, clock: Clock, server: EventEmitter, options: TcpListenOptions) {
    pretendToListen(server);
    this.#listener = openListener(tcp, options, {
      ready(listener) {
        for (let c = takeLive(listener); c !== null; c = takeLive(listener)) {
          server.emit("connection", new TcpDuplex(c, clock));
        }
      },
    });
    const { local, port } = this.#listener;
    this.addr = { transport: "tcp", hostname: local.toString(), port };
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** Stops listening. Connections live on. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#listener.close();
    this.onclosed?.();
  }

  /** As {@link close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #abort = (): void => this.close();
}

/** Node's HTTP server closes a connection after one response unless it looks as if it listened. */
export function pretendToListen(server: EventEmitter): void {
  Object.assign(server, {
    _handle: { close: (callback?: () => void) => callback?.(), getsockname: () => 0, ref() {}, unref() {} },
  });
}
