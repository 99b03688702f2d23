/**
 * Which routers a packet passes on its way: probes with growing hop limits, and who complains about them.
 *
 * @module
 */

import type { IpAddress } from "../stack/ip/address.ts";
import { IcmpError } from "../stack/ip/path.ts";
import type { Interface } from "../stack/link/interface.ts";
import { reporterOf, sourceOf } from "../stack/udp/datagram.ts";
import { Alarm, type Clock } from "./clock.ts";
import { lookup } from "./dns/lookup.ts";
import { toDenoError } from "./errors.ts";
import type { PingNetwork } from "./ping.ts";

/** What `traceroute` takes. */
export interface TracerouteOptions {
  /** What is sent: UDP datagrams to ports that nobody uses, or echo requests. Default `udp`. */
  mode?: "udp" | "icmp";
  /** Hop limit to begin with. Default 1. */
  firstHop?: number;
  /** Hop limit to end with, up to 255. Default 30. */
  maxHops?: number;
  /** Probes of each hop limit, sent together. Default 3. */
  probes?: number;
  /** Milliseconds to wait for the answers to the probes of one hop limit. Default 1000. */
  timeout?: number;
  /** Bytes of data in each probe. Default 32. */
  size?: number;
  /** First port of UDP probes; each goes to the next one. Default 33434. */
  port?: number;
  /** Ends it. */
  signal?: AbortSignal;
}

/** What became of one probe. */
export interface ProbeReply {
  /** Who has answered, or null when nobody has in time. */
  address: string | null;
  /** Milliseconds until the answer came, or null. */
  rtt: number | null;
  /** What a router has said other than that the hop limit is used up, as `HostUnreachable`; otherwise null. */
  error: string | null;
}

/** What became of the probes of one hop limit. */
export interface Hop {
  /** The hop limit. */
  hop: number;
  /** One for each probe. */
  replies: ProbeReply[];
  /** Whether the destination itself has answered. */
  reached: boolean;
}

/** What is on its way, and who waits for it. */
class Probes {
  readonly #clock: Clock;
  readonly #alarm: Alarm;
  readonly #under = new Map<number, { reply: ProbeReply; sentAt: number }>();
  #done: (() => void) | null = null;
  /** The destination has answered. */
  reached = false;
  /** Somebody on the way has said that it goes no further. */
  stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#alarm = new Alarm(clock, () => this.stop());
  }

  /** Takes note of a probe that is about to be sent. */
  expect(key: number, reply: ProbeReply): void {
    this.#under.set(key, { reply, sentAt: this.#clock.time() });
  }

  /** Waits until all are answered, or for µs. */
  wait(timeout: number): Promise<void> {
    if (this.#under.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#done = resolve;
      this.#alarm.set(timeout);
    });
  }

  /** Gives up waiting. */
  stop(): void {
    this.#alarm.cancel();
    this.#under.clear();
    const done = this.#done;
    this.#done = null;
    done?.();
  }

  /** Takes an answer. @param kind Null for a reply of the destination. @param quiet What the probes are meant to cause. */
  answered(key: number, by: IpAddress | null, kind: IcmpError | null, quiet: IcmpError | null): void {
    const probe = this.#under.get(key);
    if (probe === undefined) return;
    this.#under.delete(key);
    probe.reply.address = by?.toString() ?? null;
    if (kind !== null && kind !== IcmpError.TimeExceeded && kind !== quiet) {
      probe.reply.error = IcmpError[kind] ?? null;
    }
    if (by !== null) probe.reply.rtt = (this.#clock.time() - probe.sentAt) / 1000;
    if (kind === null || kind === quiet) this.reached = true;
    else if (kind !== IcmpError.TimeExceeded) this.stopped = true;
    if (this.#under.size === 0) this.stop();
  }
}

/** Sends a probe with a hop limit, after telling what its answer is known by. */
type Sender = (hop: number, expect: (key: number) => void) => void;

/**
 * Finds the routers on the way to a host; `Network.traceroute` is this with the network's own.
 *
 * @param from The network's parts. @param hostname The name or IP address. @param options How far, and by what.
 * @returns Yields each hop in turn, up to the destination or to where somebody says that it goes no further.
 * @throws {RangeError} An option out of range. @throws {Deno.errors.NetworkUnreachable} No route leads there.
 * @throws {Deno.errors.NotFound} There is no such name.
 */
export async function* traceroute(
  from: PingNetwork,
  hostname: string,
  options: TracerouteOptions = {},
): AsyncGenerator<Hop, void, void> {
  const firstHop = inRange("firstHop", options.firstHop ?? 1, 1, 255);
  const maxHops = inRange("maxHops", options.maxHops ?? 30, firstHop, 255);
  const count = inRange("probes", options.probes ?? 3, 1, 100);
  const size = inRange("size", options.size ?? 32, 0, 65507);
  const port = inRange("port", options.port ?? 33434, 1, 65535 - 255 * count);
  const { timeout = 1000, mode = "udp", signal } = options;
  const { stack, clock, resolver } = from;
  const [target] = await lookup(stack, resolver, hostname, signal);
  const { address, interface: by } = target!;
  const probes = new Probes(clock);
  const open = mode === "udp" ? openUdp : openEcho;
  let opened: [Sender, Disposable];
  try {
    opened = open(from, address, by, probes, new Uint8Array(size), port);
  } catch (error) {
    throw toDenoError(error);
  }
  const abort = () => probes.stop();
  signal?.addEventListener("abort", abort);
  const [send, handle] = opened;
  try {
    for (
      let hop = firstHop;
      hop <= maxHops && !signal?.aborted && !probes.reached && !probes.stopped;
      hop++
    ) {
      const replies: ProbeReply[] = [];
      for (let i = 0; i < count; i++) {
        const reply: ProbeReply = { address: null, rtt: null, error: null };
        replies.push(reply);
        send(hop, (key) => probes.expect(key, reply));
      }
      await probes.wait(timeout * 1000);
      if (signal?.aborted) return;
      yield { hop, replies, reached: probes.reached };
    }
  } catch (error) {
    throw toDenoError(error);
  } finally {
    signal?.removeEventListener("abort", abort);
    handle[Symbol.dispose]();
  }
}

function openUdp(
  { stack }: PingNetwork,
  destination: IpAddress,
  by: Interface | null,
  probes: Probes,
  data: Uint8Array<ArrayBuffer>,
  port: number,
): [Sender, Disposable] {
  const socket = stack.udp.bind({}, {
    receive: () => {},
    error: (kind, _remote, to, _mtu, _socket, packet) =>
      probes.answered(to, reporterOf(packet), kind, IcmpError.PortUnreachable),
  });
  let next = port;
  const send: Sender = (hopLimit, expect) => {
    expect(next);
    socket.send(data, 0, data.length, destination, next++, { hopLimit, interface: by });
  };
  return [send, { [Symbol.dispose]: () => socket.close() }];
}

function openEcho(
  { stack }: PingNetwork,
  destination: IpAddress,
  by: Interface | null,
  probes: Probes,
  data: Uint8Array<ArrayBuffer>,
): [Sender, Disposable] {
  const session = stack.echoes.open({ destination, ...(by === null ? {} : { interface: by }) }, {
    reply: (_session, sequence, packet) => probes.answered(sequence, sourceOf(packet), null, null),
    error: (_session, sequence, kind, packet) => probes.answered(sequence, reporterOf(packet), kind, null),
  });
  let next = 0;
  const send: Sender = (hopLimit, expect) => {
    expect(next);
    session.send(next++, data, 0, data.length, hopLimit);
  };
  return [send, { [Symbol.dispose]: () => session.close() }];
}

/** @throws {RangeError} When `value` is not a whole number from `least` to `most`. */
function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`Option ${name} must be a whole number from ${least} to ${most}, got ${value}`);
}
