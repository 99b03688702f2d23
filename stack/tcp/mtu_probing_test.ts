import assert from "node:assert/strict";
import fc from "fast-check";
import { Recording, TcpPair, type Told } from "../testing/tcp_pair.ts";
import type { Connection } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import type { TcpSettings } from "./settings.ts";

/** Two hosts, a connection between them, and a path that drops segments with more payload than `hole`. */
function open(hole: number, mtuProbing: TcpSettings["mtuProbing"]) {
  const path = { hole };
  const pair = new TcpPair({ fate: (segment: Told) => segment.length <= path.hole });
  const server = new Recording();
  let accepted: Connection | null = null;
  pair.tcp(0).settings.mtuProbing = mtuProbing;
  pair.tcp(1).listen({ port: 80 }, {
    ready(listener) {
      accepted = listener.take();
      accepted!.handler = server;
    },
  });
  const client = new Recording();
  const a = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, client) as TcpConnection;
  pair.run(100_000);
  assert.ok(accepted);
  return { path, pair, a, server, counters: pair.tcp(0).counters };
}

/** Sends `length` bytes, as the connection takes them, and checks what came. */
function send({ pair, a, server }: ReturnType<typeof open>, length: number, micros: number): boolean {
  const data = Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8));
  const start = server.received;
  let written = 0;
  const done = pair.run(micros, () => {
    written += a.write(data, written, length - written);
    return server.received - start === length;
  });
  if (done) assert.ok(Buffer.compare(server.bytes.subarray(start), data) === 0);
  return done;
}

Deno.test("Tcp gets through a path that drops large packets and never says so, and finds how large they may be", () => {
  const world = open(1200, 1);
  assert.equal(world.a.mss, 1448);
  assert.ok(send(world, 1_000_000, 120_000_000));
  assert.ok(world.counters.mtuBlackHoles >= 1);
  assert.ok(world.a.mss > 1200 - 8 && world.a.mss <= 1200, `${world.a.mss}`);
  assert.ok(world.counters.mtuProbesDelivered > 0 && world.counters.mtuProbesLost > 0);
});

Deno.test("Tcp does not get through such a path without probing", () => {
  const world = open(1200, 0);
  assert.equal(send(world, 10_000, 60_000_000), false);
  assert.equal(world.counters.mtuBlackHoles, 0);
});

Deno.test("Tcp searches from the base size up to what the path takes, and loses nothing on the way", () => {
  const world = open(Infinity, 2);
  assert.ok(send(world, 2_000_000, 60_000_000));
  assert.ok(world.a.mss > 1448 - 8 && world.a.mss <= 1448, `${world.a.mss}`);
  assert.equal(world.a.retransmissions, 0);
  assert.ok(world.counters.mtuProbes >= 3);
  assert.equal(world.counters.mtuProbesDelivered, world.counters.mtuProbes);
});

Deno.test("Tcp does not take a lost probe for congestion", () => {
  const world = open(1300, 2);
  assert.ok(send(world, 2_000_000, 60_000_000));
  assert.ok(world.a.mss > 1300 - 8 && world.a.mss <= 1300, `${world.a.mss}`);
  assert.ok(world.counters.mtuProbesLost > 0);
  assert.equal(world.counters.fastRecoveries, 0);
  assert.equal(world.counters.retransmissionTimeouts, 0);
});

Deno.test("Tcp looks again after ten minutes whether the path takes more", () => {
  const world = open(1200, 1);
  assert.ok(send(world, 1_000_000, 120_000_000));
  world.path.hole = Infinity;
  assert.ok(send(world, 1_000_000, 60_000_000));
  assert.ok(world.a.mss <= 1200, `${world.a.mss}`);
  world.pair.run(600_000_000);
  assert.ok(send(world, 2_000_000, 60_000_000));
  assert.ok(world.a.mss > 1448 - 8, `${world.a.mss}`);
});

Deno.test("Tcp gets through a hole of any size that appears at any time", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 1500 }),
      fc.integer({ min: 0, max: 300_000 }),
      fc.constantFrom(1 as const, 2 as const),
      (hole, before, mode) => {
        const world = open(Infinity, mode);
        assert.ok(send(world, before, 60_000_000));
        world.path.hole = hole;
        assert.ok(send(world, 100_000, 600_000_000), `${world.a.mss}`);
        // The last probe may have arrived before the hole appeared.
        assert.ok(send(world, 100_000, 600_000_000), `${world.a.mss}`);
        assert.ok(world.a.mss <= Math.min(hole, 1448));
      },
    ),
    { numRuns: 60 },
  );
});
