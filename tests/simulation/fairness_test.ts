/**
 * Two flows of ours through one bottleneck, in virtual time.
 *
 * @module
 */

import assert from "node:assert/strict";
import { ImpairDevice } from "../../drivers/impair.ts";
import { MemoryDevice } from "../../drivers/memory.ts";
import { SeededRandom } from "../../drivers/random.ts";
import { Cidr, IpAddress } from "../../stack/ip/address.ts";
import type { Bytes } from "../../stack/packet.ts";
import { Stack } from "../../stack/stack.ts";
import type { Connection, ConnectionHandler } from "../../stack/tcp/api.ts";

/** Bits a second of the bottleneck; its queue holds what is in flight on it. */
const RATE = 50e6;
/** µs after which the second flow starts. */
const SECOND_START = 2_000_000;
/** Share of the time at the end that is measured. */
const MEASURED = 0.6;

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

/** Runs both flows for `seconds` of virtual time. @returns The bits a second of each, when both were there. */
function share(roundTrip: number, seconds: number, seed: number): [number, number] {
  const queueFrames = Math.ceil(RATE * roundTrip / 8e6 / 1514);
  const [near, far] = MemoryDevice.pair({ queue: 65536, slots: 1024 });
  const link = new ImpairDevice(near, {
    seed,
    slots: 16384,
    send: { delay: roundTrip / 2, rate: RATE, queueFrames },
    receive: { delay: roundTrip / 2 },
  });
  const random = new SeededRandom(seed);
  const sender = new Stack({ random: () => random.next() });
  const receiver = new Stack({ random: () => random.next() });
  const left = sender.addInterface(link, { addresses: [Cidr.parse("10.0.0.1/24")] });
  const right = receiver.addInterface(far, { addresses: [Cidr.parse("10.0.0.2/24")] });
  const sinks = [new Sink(), new Sink()] as const;
  sinks.forEach((sink, i) =>
    receiver.tcp.listen({ port: 80 + i }, { ready: (listener) => listener.take()!.handler = sink })
  );
  const flows: Connection[] = [];
  const data = new Uint8Array(65536);
  const end = seconds * 1e6, begin = end * (1 - MEASURED);
  let before: [number, number] | null = null;
  for (let now = 0; now < end;) {
    if (flows.length === 0 || (flows.length === 1 && now >= SECOND_START)) {
      flows.push(
        sender.tcp.connect({ address: IpAddress.parse("10.0.0.2"), port: 80 + flows.length }, new Sink()),
      );
    }
    if (before === null && now >= begin) before = [sinks[0].received, sinks[1].received];
    sender.advance(now);
    receiver.advance(now);
    let next: number, moved: number;
    do {
      moved = link.poll(left, 64, now) + far.poll(right, 64, now);
      for (const flow of flows) while (flow.write(data, 0, data.length) === data.length);
      next = Math.min(sender.poll(now), receiver.poll(now), link.deadline, far.deadline);
    } while (moved > 0);
    now = next > now ? Math.min(next, now + 1000) : now + 1;
  }
  const bits = (i: 0 | 1) => (sinks[i].received - before![i]) * 8 / (seconds * MEASURED);
  return [bits(0), bits(1)];
}

for (const [roundTrip, seconds] of [[10_000, 30], [50_000, 100], [200_000, 250]] as const) {
  Deno.test(`Two CUBIC flows share a bottleneck fairly at a round trip of ${roundTrip / 1000} ms`, () => {
    const [one, other] = share(roundTrip, seconds, 7);
    // Jain's index: 1 when both have the same, 0.5 when one has all.
    const fairness = (one + other) ** 2 / (2 * (one ** 2 + other ** 2));
    assert(fairness >= 0.95, `fairness ${fairness.toFixed(3)}: ${one} and ${other} bit/s`);
    assert((one + other) / RATE > 0.9, `the link was used to ${((one + other) / RATE * 100).toFixed(0)}%`);
  });
}
