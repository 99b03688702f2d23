import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fc from "fast-check";
import { Recording, TcpPair, type TcpPairOptions } from "../testing/tcp_pair.ts";
import { type Connection, State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { FastOpenFailure } from "./fast_open.ts";
import type { TcpListener } from "./listener.ts";

function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => i * 31 + (i >>> 8) * 17);
}

/** Microseconds. */
const LOSSY = 20_000_000;

interface Accepted {
  connection: TcpConnection;
  handler: Recording;
  /** Bytes that waited when it was taken, and in which state. */
  waiting: number;
  state: State;
}

/** A server that takes Fast Open, and a client that has its cookie. */
function warm(options: TcpPairOptions & { limit?: number } = {}) {
  const pair = new TcpPair(options);
  const accepted: Accepted[] = [];
  const listener = pair.tcp(1).listen({ port: 80, fastOpen: options.limit ?? 8 }, {
    ready: (l) => {
      const connection = l.take() as TcpConnection;
      const handler = new Recording();
      accepted.push({ connection, handler, waiting: connection.readable, state: connection.state });
      connection.handler = handler;
      connection.resume();
    },
  }) as TcpListener;
  const connect = (data = 0): { c: TcpConnection; handler: Recording } => {
    const handler = new Recording();
    const c = pair.tcp(0).connect(
      { address: pair.hosts[1].address, port: 80, fastOpen: true },
      handler,
    ) as TcpConnection;
    assert.equal(c.write(pattern(data), 0, data), data);
    return { c, handler };
  };
  return { pair, listener, accepted, connect };
}

function close(pair: TcpPair, ...connections: Connection[]): void {
  pair.run(100_000);
  for (const c of connections) c.close();
  pair.run(1_000_000);
}

Deno.test("Tcp carries data with a SYN once it has the server's cookie, and an answer before the handshake's end", () => {
  const { pair, listener, accepted, connect } = warm();
  const first = connect(100);
  pair.run(1_000_000);
  assert.equal(accepted[0]!.state, State.Established);
  assert.equal(first.c.fastOpen!.failure, FastOpenFailure.NoCookie);
  assert.equal(accepted[0]!.handler.received, 100);
  close(pair, first.c, accepted[0]!.connection);

  pair.log.length = 0;
  const second = connect(2000);
  pair.run(15_000);
  // One way, and the server has it.
  assert.equal(accepted[1]!.state, State.SynReceived);
  assert.equal(accepted[1]!.waiting, 1420);
  assert.equal(listener.fastOpenPending, 1);
  assert.equal(accepted[1]!.connection.write(pattern(500), 0, 500), 500);
  pair.run(1_000_000);
  assert.deepEqual(
    pair.log.slice(0, 3).map((s) => [s.from, s.flags, s.sequence, s.acknowledgment, s.length]),
    [[0, "S", 0, 0, 1420], [1, "S.", 0, 1421, 0], [1, "P.", 1, 1421, 500]],
  );
  assert.deepEqual(accepted[1]!.handler.bytes, pattern(2000));
  assert.deepEqual(second.handler.bytes, pattern(500));
  assert.equal(accepted[1]!.connection.state, State.Established);
  assert.equal(listener.fastOpenPending, 0);
  assert.equal(listener.halfOpen, 0);
  for (const c of [second.c, accepted[1]!.connection]) {
    assert.equal(c.info().options & 32, 32);
    assert.equal(c.packetsOut, 0);
  }
  assert.equal(pair.tcp(0).counters.fastOpenActive, 1);
  assert.equal(pair.tcp(1).counters.fastOpenPassive, 1);
  assert.equal(pair.tcp(1).counters.passiveOpens, 2);
});

Deno.test("Tcp sends a SYN's data again when the server's key is gone, and has the new cookie next time", () => {
  const { pair, accepted, connect } = warm();
  close(pair, connect().c);
  pair.tcp(1).fastOpen.server.rotate();
  pair.tcp(1).fastOpen.server.rotate();
  const second = connect(900);
  pair.run(200_000);
  assert.equal(second.c.fastOpen!.failure, FastOpenFailure.NotAcknowledged);
  assert.deepEqual(accepted.at(-1)!.handler.bytes, pattern(900));
  assert.equal(second.c.cwnd >= 10, true);
  assert.equal(pair.tcp(1).counters.fastOpenPassiveFailed, 1);
  assert.equal(pair.tcp(0).counters.retransmissionTimeouts, 0);
  close(pair, second.c, accepted.at(-1)!.connection);
  connect(900);
  pair.run(15_000);
  assert.equal(accepted.at(-1)!.waiting, 900);
});

Deno.test("Tcp gives an ordinary handshake to Fast Opens beyond the listener's limit", () => {
  let hold = false;
  const { pair, listener, accepted, connect } = warm({ limit: 2, fate: (s) => !(hold && s.from === 1) });
  close(pair, connect().c);
  hold = true;
  const before = accepted.length;
  for (let i = 0; i < 5; i++) connect(10);
  pair.run(100_000);
  assert.equal(accepted.length - before, 2);
  assert.equal(listener.fastOpenPending, 2);
  assert.equal(listener.halfOpen, 3);
  assert.equal(pair.tcp(1).counters.fastOpenQueueFull, 3);
  hold = false;
  pair.run(10_000_000);
  assert.equal(accepted.length - before, 5);
  for (const { handler } of accepted.slice(before)) assert.deepEqual(handler.bytes, pattern(10));
  assert.equal(listener.fastOpenPending + listener.halfOpen, 0);
});

Deno.test("Tcp keeps a Fast Open that was reset in its listener's count for a minute", () => {
  let hold = false;
  const { pair, listener, accepted, connect } = warm({ limit: 1, fate: (s) => !(hold && s.from === 1) });
  close(pair, connect().c);
  hold = true;
  const c = connect(10).c;
  pair.run(15_000);
  assert.equal(accepted.at(-1)!.waiting, 10);
  // The peer that its address belongs to knows nothing of it.
  const reset = new Uint8Array(20);
  const view = new DataView(reset.buffer);
  view.setUint32(0, c.localPort << 16 | 80);
  view.setInt32(4, accepted.at(-1)!.connection.rcvNxt);
  view.setUint16(12, 0x5004);
  pair.inject(0, reset);
  assert.equal(accepted.at(-1)!.handler.events.at(-1), "closed ConnectionReset");
  assert.equal(listener.fastOpenPending, 0);
  assert.equal(listener.fastOpenRoom(pair.now), false);
  assert.equal(listener.fastOpenRoom(pair.now + 60_000_001), true);
});

Deno.test("Listener.close() forgets Fast Opens that nobody took, and keeps those that were", () => {
  let hold = false;
  const { pair, listener, accepted, connect } = warm({ fate: (s) => !(hold && s.from === 1) });
  close(pair, connect().c);
  close(pair, accepted[0]!.connection);
  hold = true;
  connect(10);
  pair.run(15_000);
  const taken = accepted.at(-1)!.connection;
  (listener as { handler: unknown }).handler = { ready: () => {} };
  connect(10);
  pair.run(15_000);
  listener.close();
  pair.run(1_000);
  assert.equal(taken.state, State.SynReceived);
  hold = false;
  pair.run(3_000_000);
  assert.equal(taken.state, State.Established);
  assert.equal(pair.tcp(1).size, 1);
});

Deno.test("Tcp moves every byte once through any loss of Fast Open's handshake, and leaves nothing behind", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.nat({ max: 4000 }),
      fc.nat({ max: 4000 }),
      fc.boolean(),
      (seed, out, back, early) => {
        let state = seed, lossyUntil = 0;
        const { pair, accepted, connect, listener } = warm({
          fate: () => {
            state = Math.imul(state, 1103515245) + 12345 | 0;
            return pair.now >= lossyUntil || (state >>> 8) % 100 >= 30;
          },
        });
        close(pair, connect().c);
        close(pair, accepted[0]!.connection);
        // The loss ends before anyone may give up, which the first to do is a listener: 63 s after its SYN-ACK.
        lossyUntil = pair.now + LOSSY;
        const { c, handler } = connect(out);
        if (early) c.closeWrite();
        pair.run(100_000_000, () => accepted.length > 1);
        assert.equal(accepted.length, 2);
        lossyUntil = pair.now + LOSSY;
        const server = accepted[1]!;
        assert.equal(server.connection.write(pattern(back), 0, back), back);
        server.connection.closeWrite();
        c.closeWrite();
        pair.run(3600_000_000, () => pair.tcp(0).size + pair.tcp(1).size === 0);
        assert(Buffer.compare(server.handler.bytes, pattern(out)) === 0, "request differs");
        assert(Buffer.compare(handler.bytes, pattern(back)) === 0, "answer differs");
        assert.equal(accepted.length, 2);
        assert.deepEqual([listener.halfOpen, listener.fastOpenPending], [0, 0]);
        for (const side of [0, 1] as const) {
          assert.equal(pair.tcp(side).records.size, 0);
          assert.equal(pair.tcp(side).pool.used, 0);
          assert.equal(pair.hosts[side].timers.size, 0);
        }
      },
    ),
    // In the example, the client's only ACK and then every SYN-ACK are lost for 20 seconds.
    { numRuns: 100, examples: [[-419522023, 0, 0, false]] },
  );
});
