import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { CaptureDevice } from "../../drivers/capture.ts";
import { ImpairDevice } from "../../drivers/impair.ts";
import type { Impairment } from "../../drivers/impairment.ts";
import { MemoryDevice } from "../../drivers/memory.ts";
import { Network } from "../../net/network.ts";
import { IpAddress } from "../../stack/ip/address.ts";
import type { Bytes } from "../../stack/packet.ts";
import type { Connection, ConnectionHandler } from "../../stack/tcp/api.ts";

/** 32-bit words from a seed (Marsaglia's xorshift). */
function words(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    return state ^= state << 5;
  };
}

/** A megabyte that repeats nowhere within itself. */
function block(): Bytes {
  const random = words(99);
  const data = new Int32Array(1 << 18);
  for (let i = 0; i < data.length; i++) data[i] = random();
  return new Uint8Array(data.buffer);
}

const BLOCK = block();

class Sender implements ConnectionHandler {
  readonly #total: number;
  #sent = 0;
  closedWith: unknown = undefined;

  constructor(total: number) {
    this.#total = total;
  }

  connected(connection: Connection): void {
    this.writable(connection);
  }

  writable(connection: Connection): void {
    while (this.#sent < this.#total) {
      const at = this.#sent % BLOCK.length;
      const length = Math.min(BLOCK.length - at, this.#total - this.#sent);
      const taken = connection.write(BLOCK, at, length);
      this.#sent += taken;
      if (taken < length) return;
    }
    connection.closeWrite();
  }

  receive(_connection: Connection, _bytes: Bytes, _offset: number, length: number): number {
    return length;
  }

  finished(connection: Connection): void {
    connection.close();
  }

  closed(_connection: Connection, error: unknown): void {
    this.closedWith = error;
  }
}

class Receiver implements ConnectionHandler {
  received = 0;
  wrong = 0;
  ended = false;

  connected(): void {}
  writable(): void {}
  closed(): void {}

  receive(_connection: Connection, bytes: Bytes, offset: number, length: number): number {
    for (let i = 0; i < length; i++) {
      if (bytes[offset + i] !== BLOCK[this.received++ % BLOCK.length]) this.wrong++;
    }
    return length;
  }

  finished(connection: Connection): void {
    this.ended = true;
    connection.close();
  }
}

/** What one run came to; two runs are the same if these are. */
interface Outcome {
  received: number;
  wrong: number;
  ended: boolean;
  closedWith: unknown;
  /** Simulated µs. */
  time: number;
  retransmitted: number;
  /** SHA-256 of the capture at the sender: every frame, and when. */
  frames: string;
}

/** Moves `total` bytes from one network to another over a bad link, in simulated time. */
function transfer(total: number, seed: number, impairment: Impairment): Outcome {
  const frames = createHash("sha256");
  const [left, right] = MemoryDevice.pair();
  const link = new ImpairDevice(left, { seed, send: impairment, receive: impairment });
  const capture = new CaptureDevice(link, (bytes) => void frames.update(bytes), { epoch: 0, snapLength: 96 });
  using near = Network.create({
    device: capture,
    addresses: ["10.0.0.1/24"],
    random: words(seed),
    loop: false,
  });
  using far = Network.create({
    device: right,
    addresses: ["10.0.0.2/24"],
    random: words(seed + 1),
    loop: false,
  });
  const receiver = new Receiver();
  far.stack.tcp.listen({ port: 9 }, {
    ready(listener) {
      const connection = listener.take();
      if (connection !== null) connection.handler = receiver;
    },
  });
  const sender = new Sender(total);
  near.stack.tcp.connect({ address: IpAddress.parse("10.0.0.2"), port: 9 }, sender);

  let now = 0;
  const limit = 3600e6;
  while (sender.closedWith === undefined && now < limit) {
    const next = Math.min(near.step(now), far.step(now), near.step(now));
    now = Math.max(now + 1, Math.min(next, limit));
  }
  capture.flush();
  return {
    received: receiver.received,
    wrong: receiver.wrong,
    ended: receiver.ended,
    closedWith: sender.closedWith,
    time: now,
    retransmitted: near.stack.tcp.counters.retransmittedSegments,
    frames: frames.digest("hex"),
  };
}

Deno.test("Two networks move 100 MB byte for byte over a link that loses 5%, twice the same with the same seed", () => {
  const total = 100_000_000;
  const impairment = { loss: 0.05, delay: 1000 };
  const first = transfer(total, 7, impairment);
  assert.deepEqual({ ...first, time: 0, retransmitted: 0, frames: "" }, {
    received: total,
    wrong: 0,
    ended: true,
    closedWith: null,
    time: 0,
    retransmitted: 0,
    frames: "",
  });
  assert.ok(
    first.retransmitted > total / 1460 * 0.04,
    `Only ${first.retransmitted} segments were sent again`,
  );
  assert.deepEqual(transfer(total, 7, impairment), first);
});

Deno.test("Two networks move 10 MB over a link that loses, reorders, duplicates, corrupts and delays", () => {
  const total = 10_000_000;
  const impairment: Impairment = {
    loss: 0.01,
    burst: { enter: 0.001, leave: 0.2 },
    delay: 3000,
    jitter: 1000,
    reorder: 0.02,
    duplicate: 0.02,
    corrupt: 0.01,
    rate: 200e6,
  };
  const outcomes = [11, 12].map((seed) => transfer(total, seed, impairment));
  for (const { received, wrong, ended, closedWith } of outcomes) {
    assert.deepEqual({ received, wrong, ended, closedWith }, {
      received: total,
      wrong: 0,
      ended: true,
      closedWith: null,
    });
  }
  assert.notEqual(outcomes[0]?.frames, outcomes[1]?.frames, "Another seed must make another run");
});
