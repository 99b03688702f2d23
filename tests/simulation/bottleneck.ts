/**
 * Flows through one bottleneck, in virtual time: for what senders make of a link, and of each other.
 *
 * ```text
 * senders ── link: rate, queue, loss ── receiver
 * ```
 *
 * @module
 */

import { ImpairDevice } from "../../drivers/impair.ts";
import type { Impairment } from "../../drivers/impairment.ts";
import { MemoryDevice } from "../../drivers/memory.ts";
import { SeededRandom } from "../../drivers/random.ts";
import { Cidr, IpAddress } from "../../stack/ip/address.ts";
import type { Bytes } from "../../stack/packet.ts";
import { Stack } from "../../stack/stack.ts";
import type { Connection, ConnectionHandler } from "../../stack/tcp/api.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import type { CongestionName } from "../../stack/tcp/settings.ts";

/** What a bottleneck is like. */
export interface BottleneckOptions {
  /** 32 bits from which all that happens by chance follows. */
  seed: number;
  /** µs from a frame to its ACK, without the queue. */
  roundTrip: number;
  /** Bits a second of the way to the receiver. */
  rate: number;
  /** Frames that may wait for it; what is in flight on the link by default. */
  queueFrames?: number;
  /** What else befalls frames on the way to the receiver. */
  impairment?: Impairment;
  /**
   * µs by which the senders' process is late at most, evenly drawn each time that it has something to do, as on a
   * machine that others use: frames, timers and the link itself wait for it. 0 by default.
   */
  lateness?: number;
}

/** Counts what arrives. */
class Sink implements ConnectionHandler {
  received = 0;
  connected(): void {}
  receive(_connection: Connection, _bytes: Bytes, _offset: number, length: number): number {
    this.received += length;
    return length;
  }
  finished(): void {}
  writable(): void {}
  closed(): void {}
}

const CHUNK = new Uint8Array(65536);
/** Seeds of what is by chance elsewhere differ by this. */
const LATENESS = 0x1b873593;

/** The senders' host, the link and the receiver. */
export class Bottleneck {
  /** Virtual time, in µs. */
  now = 0;
  /** The connections, as the senders have them. */
  readonly flows: TcpConnection[] = [];
  readonly #sinks: Sink[] = [];
  readonly #sender: Stack;
  readonly #receiver: Stack;
  readonly #link: ImpairDevice;
  readonly #far: MemoryDevice;
  readonly #left;
  readonly #right;
  readonly #chance: SeededRandom;
  readonly #lateness: number;
  /** When the senders' process runs next. */
  #turn = 0;

  constructor(options: BottleneckOptions) {
    const { seed, roundTrip, rate, impairment, lateness = 0 } = options;
    const inFlight = Math.ceil(rate * roundTrip / 8e6 / 1514);
    const [near, far] = MemoryDevice.pair({ queue: 65536, slots: 1024 });
    this.#far = far;
    this.#link = new ImpairDevice(near, {
      seed,
      slots: 16384,
      send: { delay: roundTrip / 2, rate, queueFrames: options.queueFrames ?? inFlight, ...impairment },
      receive: { delay: roundTrip / 2 },
    });
    const random = new SeededRandom(seed);
    this.#chance = new SeededRandom(seed ^ LATENESS);
    this.#lateness = lateness;
    this.#sender = new Stack({ random: () => random.next() });
    this.#receiver = new Stack({ random: () => random.next() });
    this.#left = this.#sender.addInterface(this.#link, { addresses: [Cidr.parse("10.0.0.1/24")] });
    this.#right = this.#receiver.addInterface(far, { addresses: [Cidr.parse("10.0.0.2/24")] });
  }

  /** Starts a flow that sends as much as it may. */
  start(congestion: CongestionName): void {
    const port = 80 + this.flows.length;
    const sink = new Sink();
    this.#sinks.push(sink);
    this.#receiver.tcp.listen({ port }, { ready: (listener) => listener.take()!.handler = sink });
    this.#sender.tcp.settings.congestion = congestion;
    const remote = { address: IpAddress.parse("10.0.0.2"), port };
    this.flows.push(this.#sender.tcp.connect(remote, new Sink()) as TcpConnection);
  }

  /** Lets `seconds` pass. @returns The bits a second that each flow brought to the receiver meanwhile. */
  run(seconds: number): number[] {
    const before = this.#sinks.map((sink) => sink.received);
    const end = this.now + seconds * 1e6;
    while (this.now < end) {
      const next = Math.min(this.#senders(), this.#receivers());
      this.now = Math.min(Math.max(next, this.now + 1), end);
    }
    return this.#sinks.map((sink, i) => (sink.received - before[i]!) * 8 / seconds);
  }

  /** A turn of the senders' process, if it is time for one. @returns When the next one is. */
  #senders(): number {
    const { now } = this;
    const sender = this.#sender, link = this.#link;
    if (now < this.#turn) return this.#turn;
    sender.advance(now);
    let next: number, moved: number;
    do {
      moved = link.poll(this.#left, 64, now);
      for (const flow of this.flows) while (flow.write(CHUNK, 0, CHUNK.length) === CHUNK.length);
      next = sender.poll(now);
      link.flush();
    } while (moved > 0);
    next = Math.max(Math.min(next, link.deadline), now + 1);
    return this.#turn = next + this.#chance.fraction() * this.#lateness;
  }

  #receivers(): number {
    const { now } = this;
    const { sentFrames } = this.#far.counters;
    this.#receiver.advance(now);
    while (this.#far.poll(this.#right, 64, now) > 0) this.#receiver.poll(now);
    const next = this.#receiver.poll(now);
    // What comes for the senders wakes their process, too.
    if (this.#far.counters.sentFrames !== sentFrames) this.#wake(now);
    return next;
  }

  /** Has the senders' process run, as late as it is, unless it was woken already. */
  #wake(at: number): void {
    if (this.#turn > at + this.#lateness) this.#turn = at + this.#chance.fraction() * this.#lateness;
  }
}

/** Jain's index of what flows got: 1 when all have the same, 1 / their number when one has all. */
export function jain(rates: readonly number[]): number {
  let sum = 0, squares = 0;
  for (const rate of rates) {
    sum += rate;
    squares += rate * rate;
  }
  return sum * sum / (rates.length * squares);
}
