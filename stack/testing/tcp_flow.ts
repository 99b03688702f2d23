/**
 * A stream of data from side 0 to side 1 of a {@link TcpPair}, and links for it to cross: for tests of what a sender
 * makes of a network.
 *
 * @module
 */

import type { TcpConnection } from "../tcp/connection.ts";
import type { TcpSettings } from "../tcp/settings.ts";
import { type Fate, Recording, TcpPair, type TcpPairOptions } from "./tcp_pair.ts";

/** Bytes that frames are longer than what {@link Fate} sees of them: Ethernet, IPv4, TCP with timestamps. */
const OVERHEAD = 14 + 20 + 32;

/** A link of `rate` bits a second, with room for `queue` frames, from side 0 to side 1. */
export function bottleneck(clock: () => number, rate: number, queue: number, loss = () => false): Fate {
  let free = 0;
  return (segment) => {
    if (segment.from !== 0) return true;
    const now = clock();
    const time = (segment.length + OVERHEAD) * 8e6 / rate;
    const start = Math.max(now, free);
    if (start - now > queue * time) return false;
    free = start + time;
    return loss() ? false : free - now;
  };
}

/** One flow: the sender is side 0. */
export class Flow {
  readonly pair: TcpPair;
  readonly sender: TcpConnection;
  readonly receiver: TcpConnection;
  readonly server: Recording = new Discarding();
  readonly #chunk = new Uint8Array(1 << 16);

  /** Opens a connection with `settings` on both sides. */
  constructor(
    options: Omit<TcpPairOptions, "fate"> & { fate?: (clock: () => number) => Fate } = {},
    settings: Partial<TcpSettings> = {},
  ) {
    let pair: TcpPair | null = null;
    const { fate, ...rest } = options;
    this.pair = pair = new TcpPair(
      fate === undefined ? rest : { ...rest, fate: fate(() => pair?.now ?? 0) },
    );
    let accepted: TcpConnection | null = null;
    for (const side of [0, 1] as const) Object.assign(pair.tcp(side).settings, settings);
    pair.tcp(1).listen({ port: 80 }, {
      ready: (listener) => {
        accepted = listener.take() as TcpConnection;
        accepted.handler = this.server;
      },
    });
    const remote = { address: pair.hosts[1].address, port: 80 };
    this.sender = pair.tcp(0).connect(remote, new Recording()) as TcpConnection;
    pair.run(120_000_000, () => accepted !== null);
    if (accepted === null) throw new Error("The connection was not accepted");
    this.receiver = accepted;
  }

  /** Sends as much as goes for `duration` µs. @returns Bits a second that arrived. */
  saturate(duration: number): number {
    const before = this.server.received;
    const { sender, pair } = this;
    pair.run(duration, () => {
      while (sender.write(this.#chunk, 0, this.#chunk.length) === this.#chunk.length);
      return false;
    });
    return (this.server.received - before) * 8e6 / duration;
  }
}

/** Counts what comes, and keeps nothing of it. */
class Discarding extends Recording {
  override receive(_connection: unknown, _bytes: Uint8Array, _offset: number, length: number): number {
    this.received += length;
    return length;
  }
}
