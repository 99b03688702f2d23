/**
 * HTTP/1.1 on the stack's callbacks: no streams between the connection and the handler.
 *
 * @module
 */

import type { Connection } from "../../stack/tcp/api.ts";
import type { Clock } from "../clock.ts";
import type { EngineOptions, HttpEngine } from "./engine.ts";
import { type ConnectionOwner, ServedConnection } from "./served_connection.ts";

/** An {@link HttpEngine} on the parser llhttp. */
export class StackHttpEngine implements HttpEngine, ConnectionOwner {
  readonly clock: Clock;
  readonly options: EngineOptions;
  /** Whether connections end with the response under way. */
  closing = false;
  readonly #connections = new Set<ServedConnection>();
  #drained: (() => void)[] = [];

  /** @param clock The stack's time. @param options What to do with requests. */
  constructor(clock: Clock, options: EngineOptions) {
    this.clock = clock;
    this.options = options;
  }

  get size(): number {
    return this.#connections.size;
  }

  accept(connection: Connection): void {
    this.#connections.add(new ServedConnection(connection, this));
  }

  shutdown(): Promise<void> {
    this.closing = true;
    for (const connection of this.#connections) connection.shutdown();
    if (this.#connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  close(): void {
    this.closing = true;
    for (const connection of this.#connections) connection.abort();
  }

  /** @internal */
  ended(connection: ServedConnection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) { for (const drained of this.#drained.splice(0)) drained(); }
    this.options.onClosed();
  }
}
