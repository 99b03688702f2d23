/**
 * Connections to hosts by name: all their addresses, side by side, until one answers (RFC 8305).
 *
 * @module
 */

import { StackError } from "../stack/errors.ts";
import type { Stack } from "../stack/stack.ts";
import type { Connection } from "../stack/tcp/api.ts";
import { checkPort, formatHostPort, zoneOf } from "./address.ts";
import { Alarm, type Clock } from "./clock.ts";
import { open, type TcpConnectOptions } from "./conn.ts";
import { type HostAddress, interleave, sortDestinations } from "./dns/destinations.ts";
import { literalHost, lookupInto } from "./dns/lookup.ts";
import type { Resolver } from "./dns/resolver.ts";

/** µs to wait for IPv6 addresses when those of IPv4 are there (RFC 8305, section 8). */
const RESOLUTION_DELAY = 50_000;
/** µs from one attempt to the next (section 8). */
const ATTEMPT_DELAY = 250_000;
/** Addresses of one host that are tried; a name with more is somebody's joke. */
const MOST_ADDRESSES = 32;

/** What dialling needs. */
export interface Dialler {
  /** The stack. */
  readonly stack: Stack;
  /** Its time. */
  readonly clock: Clock;
  /** Its resolver. */
  readonly resolver: Resolver;
}

/**
 * Opens a connection to a host.
 *
 * @param from The network's parts. @param options To whom: a name or an address.
 * @param wrap Takes the established connection over, within the callback that says so.
 * @internal
 */
export async function dial<T>(
  from: Dialler,
  options: TcpConnectOptions,
  wrap: (connection: Connection) => T,
): Promise<T> {
  const { stack, clock } = from;
  if (literalHost(stack, options.hostname) !== null) {
    const zone = zoneOf(options.hostname, stack.interfaces);
    return await open(stack.tcp, clock, zone === null ? options : { ...options, interface: zone }, wrap);
  }
  checkPort(options.port, 1);
  options.signal?.throwIfAborted();
  return await new Promise<T>((resolve, reject) => new Race(from, options, wrap, resolve, reject).start());
}

/** One name, and the attempts to reach it. */
class Race<T> {
  readonly #from: Dialler;
  readonly #options: TcpConnectOptions;
  readonly #wrap: (connection: Connection) => T;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: unknown) => void;
  /** Ends the attempts, and the look-up, that are under way when one has won or all is lost. */
  readonly #losers = new AbortController();
  readonly #next: Alarm;
  readonly #resolution: Alarm;
  readonly #limit: Alarm | null;
  /** Addresses that were not tried yet, best first. */
  #waiting: HostAddress[] = [];
  #known = 0;
  /** Version of the address that was tried last. */
  #last: 4 | 6 | undefined;
  #running = 0;
  #started = false;
  #lookedUp = false;
  #over = false;
  readonly #errors: Error[] = [];

  constructor(
    from: Dialler,
    options: TcpConnectOptions,
    wrap: (connection: Connection) => T,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.#from = from;
    this.#options = options;
    this.#wrap = wrap;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#next = new Alarm(from.clock, () => this.#attempt());
    this.#resolution = new Alarm(from.clock, () => this.#begin());
    this.#limit = options.timeout === undefined ? null : new Alarm(from.clock, () => this.#timedOut());
  }

  start(): void {
    const { stack, resolver } = this.#from;
    const { hostname, signal, timeout } = this.#options;
    signal?.addEventListener("abort", this.#aborted, { once: true });
    if (timeout !== undefined) this.#limit!.set(timeout * 1000);
    lookupInto(
      stack,
      resolver,
      hostname,
      this.#losers.signal,
      (version, found) => this.#found(version, found),
    )
      .then(() => this.#complete(), (error) => this.#complete(error));
  }

  /** Addresses of one version have come. */
  #found(version: 4 | 6, addresses: readonly HostAddress[]): void {
    if (this.#over || addresses.length === 0) return;
    const fresh = addresses.slice(0, MOST_ADDRESSES - this.#known);
    this.#known += fresh.length;
    this.#waiting = interleave(sortDestinations(this.#from.stack, [...this.#waiting, ...fresh]), this.#last);
    if (this.#started) {
      if (!this.#next.armed) this.#attempt();
    } else if (version === 6) this.#begin();
    else if (!this.#resolution.armed) this.#resolution.set(RESOLUTION_DELAY);
  }

  /** Nothing more comes from the resolver. */
  #complete(error?: unknown): void {
    if (this.#over) return;
    this.#lookedUp = true;
    if (error !== undefined) this.#errors.push(error as Error);
    if (this.#known === 0) this.#fail(error);
    else if (!this.#started) this.#begin();
    else this.#check();
  }

  #begin(): void {
    this.#resolution.cancel();
    if (this.#started || this.#over) return;
    this.#started = true;
    this.#attempt();
  }

  /** Tries the next address. */
  #attempt(): void {
    const target = this.#waiting.shift();
    if (this.#over || target === undefined) return;
    this.#running++;
    this.#last = target.address.version;
    const { stack, clock } = this.#from;
    const { timeout: _timeout, ...rest } = this.#options;
    const options: TcpConnectOptions = {
      ...rest,
      hostname: target.address.toString(),
      signal: this.#losers.signal,
      ...(target.interface === null ? {} : { interface: target.interface }),
    };
    this.#next.set(ATTEMPT_DELAY);
    open(stack.tcp, clock, options, (connection) => {
      if (this.#over) {
        connection.abort();
        return null;
      }
      const value = this.#wrap(connection);
      this.#finish();
      this.#resolve(value);
      return null;
    }).catch((error) => {
      this.#running--;
      if (this.#over) return;
      this.#errors.push(error);
      if (this.#waiting.length > 0) this.#attempt();
      else this.#check();
    });
  }

  /** Whether all is lost. */
  #check(): void {
    if (this.#running > 0 || this.#waiting.length > 0 || !this.#lookedUp) return;
    this.#fail(this.#summary());
  }

  /** The first failure stands for all: its address was the best. */
  #summary(): Error {
    const { hostname, port } = this.#options;
    const first = this.#errors[0]!;
    if (this.#errors.length === 1) return first;
    const type = first.constructor as new (message: string, options: ErrorOptions) => Error;
    const reasons = this.#errors.map(({ message }) => message).join("; ");
    const error = new type(`Cannot connect to ${formatHostPort(hostname, port)}: ${reasons}`, {
      cause: new AggregateError(this.#errors),
    });
    return Object.assign(error, "code" in first ? { code: first.code } : {});
  }

  #timedOut(): void {
    const { hostname, port, timeout } = this.#options;
    const peer = formatHostPort(hostname, port);
    const error = new Deno.errors.TimedOut(`Cannot connect to ${peer}: no answer within ${timeout} ms`);
    this.#fail(Object.assign(error, { code: "ETIMEDOUT" }));
  }

  #aborted = (): void => this.#fail(this.#options.signal!.reason);

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#finish();
    this.#reject(error);
  }

  #finish(): void {
    this.#over = true;
    this.#next.cancel();
    this.#resolution.cancel();
    this.#limit?.cancel();
    this.#options.signal?.removeEventListener("abort", this.#aborted);
    // Within a callback of the stack, in which no other connection may be ended.
    queueMicrotask(() => this.#losers.abort(lost()));
  }
}

/** Made when it is needed: the first error of a program costs the reading of its source map. */
function lost(): StackError {
  return new StackError("ConnectionAborted", "Another address has answered first");
}
