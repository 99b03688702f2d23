/**
 * The seam between `serve` and whatever speaks HTTP: connections go in, requests come out.
 *
 * @module
 */

import type { Connection } from "../../stack/tcp/api.ts";
import type { TcpAddr } from "../conn.ts";

/** What a handler is told beside the request. */
export interface ServeInfo {
  /** The peer. */
  readonly remoteAddr: TcpAddr;
  /** Our end of the connection. */
  readonly localAddr: TcpAddr;
  /** One level down: the connection on which the request came. Look at it, but leave it to the server. */
  readonly connection: Connection;
  /** Resolves when the response was handed over whole; rejects when it could not be. */
  readonly completed: Promise<void>;
}

/** Answers requests. */
export type ServeHandler = (request: Request, info: ServeInfo) => Response | Promise<Response>;

/** How long a client may take, and how much it may send. 0 stands for no limit. */
export interface ServeLimits {
  /** Milliseconds from the connection, or from a request's first byte, to the end of its header. Default 60,000. */
  headerTimeout?: number;
  /** Milliseconds that an idle connection is kept for its next request. Default 5,000. */
  keepAliveTimeout?: number;
  /** Milliseconds without progress while a body is wanted from the client or not taken by it. Default 120,000. */
  stallTimeout?: number;
  /** Most bytes of a request's header; more is answered with 431. Default 16,384. */
  headerSize?: number;
  /** Most connections at a time; more wait in the listener's backlog. Default 65,536. */
  connections?: number;
}

/** Speaks HTTP on connections. */
export interface HttpEngine {
  /** Connections at present. */
  readonly size: number;
  /** Takes over an established connection. */
  accept(connection: Connection): void;
  /** Closes idle connections now and the others after their response. Resolves when none is left. */
  shutdown(): Promise<void>;
  /** Closes every connection now. */
  close(): void;
}

/** What an engine is made with. */
export interface EngineOptions {
  /** Answers requests. */
  handler: ServeHandler;
  /** Answers for a handler that threw. */
  onError: (error: unknown) => Response | Promise<Response>;
  /** Called when a connection has ended. */
  onClosed: () => void;
  /** Limits, with their defaults filled in. */
  limits: Required<ServeLimits>;
}
