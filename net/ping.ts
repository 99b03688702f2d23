/**
 * Echo requests: who is there, and how far away.
 *
 * @module
 */

import type { EchoHandler, EchoSession } from "../stack/icmp/echo.ts";
import { IcmpError } from "../stack/ip/path.ts";
import type { Packet } from "../stack/packet.ts";
import { reporterOf, sourceOf } from "../stack/udp/datagram.ts";
import { parseHost } from "./address.ts";
import { interfaceOf } from "./multicast.ts";
import type { Stack } from "../stack/stack.ts";
import { Alarm, type Clock } from "./clock.ts";
import { lookup } from "./dns/lookup.ts";
import type { Resolver } from "./dns/resolver.ts";
import { toDenoError } from "./errors.ts";

/** What `ping` takes. */
export interface PingOptions {
  /** How many requests. Default: without end. */
  count?: number;
  /** Milliseconds from one request to the next. Default 1000. */
  interval?: number;
  /** Milliseconds to wait for each answer. Default 1000. */
  timeout?: number;
  /** Bytes of data in each request. Default 56. */
  size?: number;
  /** Hop limit of the requests, 1 to 255. Default: the stack's. */
  hopLimit?: number;
  /** DSCP and ECN (TOS) of the requests, 0 to 255. Default 0. */
  trafficClass?: number;
  /** Our address that they come from. Default: what the route says. */
  source?: string;
  /** Name, number or address of the interface that they leave by. Default: what the route, or the address' zone, says. */
  interface?: string | number;
  /** Ends it. */
  signal?: AbortSignal;
}

/** What became of one request. */
export interface PingResult {
  /** The number of the request, from 0. */
  sequence: number;
  /** Milliseconds until the answer came, or null when none did. */
  rtt: number | null;
  /** Bytes of data that came back. */
  bytes: number;
  /** Hop limit with which the answer arrived. */
  hopLimit: number;
  /** Who has answered, or told why there is no answer; null when nobody did. */
  from: string | null;
  /** Why there was no answer, when somebody told: `HostUnreachable`, `TimeExceeded`, …; otherwise null. */
  error: string | null;
}

/** What pinging uses of a network. */
export interface PingNetwork {
  /** Who asks. */
  readonly stack: Stack;
  /** Its time. */
  readonly clock: Clock;
  /** Resolves the name. */
  readonly resolver: Resolver;
}

/** One request at a time. */
class Probe implements EchoHandler {
  readonly #clock: Clock;
  readonly #alarm: Alarm;
  #result: PingResult | null = null;
  #done: ((result: PingResult) => void) | null = null;
  #sentAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#alarm = new Alarm(clock, () => this.#settle());
  }

  send(
    session: EchoSession,
    sequence: number,
    data: Uint8Array<ArrayBuffer>,
    hopLimit: number,
    trafficClass: number,
    timeout: number,
  ) {
    const result: PingResult = { sequence, rtt: null, bytes: 0, hopLimit: 0, from: null, error: null };
    return new Promise<PingResult>((resolve) => {
      this.#result = result;
      this.#done = resolve;
      this.#sentAt = this.#clock.time();
      this.#alarm.set(timeout * 1000);
      session.send(sequence & 0xffff, data, 0, data.length, hopLimit, trafficClass);
    });
  }

  /** Gives up waiting. */
  stop(): void {
    this.#settle();
  }

  reply(_session: EchoSession, sequence: number, packet: Packet): void {
    const result = this.#result;
    if (result === null || sequence !== (result.sequence & 0xffff)) return;
    result.rtt = (this.#clock.time() - this.#sentAt) / 1000;
    result.from = sourceOf(packet).toString();
    result.bytes = packet.end - packet.offset;
    result.hopLimit = packet.view.getUint8(packet.network + (packet.version === 4 ? 8 : 7));
    this.#settle();
  }

  error(_session: EchoSession, sequence: number, kind: IcmpError, packet: Packet): void {
    const result = this.#result;
    if (result === null || sequence !== (result.sequence & 0xffff)) return;
    result.from = reporterOf(packet)?.toString() ?? null;
    result.error = IcmpError[kind] ?? null;
    this.#settle();
  }

  #settle(): void {
    this.#alarm.cancel();
    const result = this.#result, done = this.#done;
    this.#result = this.#done = null;
    if (result !== null) done?.(result);
  }
}

/**
 * Sends echo requests, one after the other, and yields what became of each; `Network.ping` is this with the network's own.
 *
 * @param from The network's parts. @param hostname The name or IP address that is asked. @param options How often.
 * @throws {Deno.errors.NetworkUnreachable} No route leads there. @throws {Deno.errors.NotFound} There is no such name.
 */
export async function* ping(
  from: PingNetwork,
  hostname: string,
  options: PingOptions = {},
): AsyncGenerator<PingResult, void, void> {
  const {
    count = Infinity,
    interval = 1000,
    timeout = 1000,
    size = 56,
    hopLimit = 0,
    trafficClass = 0,
    signal,
  } = options;
  const { stack, clock, resolver } = from;
  const [target] = await lookup(stack, resolver, hostname, signal);
  const data = Uint8Array.from({ length: size }, (_, i) => i & 255);
  const probe = new Probe(clock);
  let session: EchoSession;
  try {
    const by = interfaceOf(stack, options.interface) ?? target!.interface;
    session = stack.echoes.open({
      destination: target!.address,
      ...(by === null ? {} : { interface: by }),
      ...(options.source === undefined ? {} : { source: parseHost(options.source) }),
    }, probe);
  } catch (error) {
    throw toDenoError(error);
  }
  const most = 65535 - (session.path.version === 4 ? session.path.headerLength : 0) - 8;
  if (size > most) {
    session.close();
    throw new RangeError(`Cannot ping with ${size} bytes: at most ${most} fit in one packet`);
  }
  const abort = () => probe.stop();
  signal?.addEventListener("abort", abort);
  try {
    for (let sequence = 0; sequence < count && !signal?.aborted; sequence++) {
      const sent = clock.time();
      const result = await probe.send(session, sequence, data, hopLimit, trafficClass, timeout);
      if (signal?.aborted && result.rtt === null) return;
      yield result;
      const left = sent + interval * 1000 - clock.time();
      if (sequence + 1 < count && left > 0) await pause(clock, left, signal);
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    session.close();
  }
}

/** Waits for µs, or for the signal. */
function pause(clock: Clock, delay: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      alarm.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const alarm = new Alarm(clock, done);
    alarm.set(delay);
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
}
