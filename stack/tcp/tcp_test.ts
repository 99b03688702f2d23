import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import fc from "fast-check";
import { Recording, TcpPair, type TcpPairOptions } from "../testing/tcp_pair.ts";
import * as wire from "../wire/tcp.ts";
import { type Connection, State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";

function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 17 + (i >>> 16) * 7 + seed) & 255;
  return bytes;
}

/** Opens a connection from side 0 to side 1. */
function open(options: TcpPairOptions & { ecn?: boolean } = {}) {
  const pair = new TcpPair(options);
  pair.tcp(0).ecn = options.ecn ?? false;
  const client = new Recording(), server = new Recording();
  let accepted: Connection | null = null;
  const listener = pair.tcp(1).listen({ port: 80 }, {
    ready: (l) => {
      accepted = l.take();
      accepted!.handler = server;
    },
  });
  const a = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, client) as TcpConnection;
  pair.run(120_000_000, () => accepted !== null);
  assert(accepted !== null, "not accepted");
  return { pair, client, server, a, b: accepted as TcpConnection, listener };
}

/** Microseconds in a day: where one segment in five is lost each way, and so are ACKs, 300 kB can take more than an hour. */
const DAY = 86_400_000_000;

/** Writes all of `bytes` as room comes, then closes the writing side. */
function pump(
  pair: TcpPair,
  c: TcpConnection,
  bytes: Uint8Array<ArrayBuffer>,
  done: () => boolean,
  limit = DAY,
) {
  let at = 0;
  const feed = () => {
    at += c.write(bytes, at, bytes.length - at);
    if (at === bytes.length) c.closeWrite();
    return done();
  };
  return pair.run(limit, feed);
}

Deno.test("Tcp completes the handshake of figure 6 of RFC 9293", () => {
  const { pair, client, a, b } = open();
  pair.run(100_000);
  assert.deepEqual(pair.log.map((s) => [s.from, s.flags, s.sequence, s.acknowledgment]), [
    [0, "S", 0, 0],
    [1, "S.", 0, 1],
    [0, ".", 1, 1],
  ]);
  assert.equal(a.state, State.Established);
  assert.equal(b.state, State.Established);
  assert.deepEqual(client.events, ["connected"]);
  assert(a.timestamps && b.sackPermitted && a.windowScaling);
  assert.equal(a.mss, 1448);
});

Deno.test("Tcp closes in order, with half-close in between, and leaves TIME-WAIT after 60 s", () => {
  const { pair, client, server, a, b } = open();
  a.write(pattern(10), 0, 10);
  a.closeWrite();
  pair.run(100_000);
  assert.deepEqual(server.events, ["finished"]);
  assert.equal(a.state, State.FinWait2);
  assert.equal(b.state, State.CloseWait);
  b.write(pattern(3000), 0, 3000);
  pair.run(100_000);
  assert.deepEqual(client.bytes, pattern(3000));
  b.closeWrite();
  pair.run(100_000);
  assert.equal(a.state, State.TimeWait);
  assert.equal(b.state, State.Closed);
  assert.deepEqual(client.events, ["connected", "finished", "closed"]);
  assert.deepEqual(server.events, ["finished", "closed"]);
  assert.equal(pair.tcp(0).size, 1);
  pair.run(61_000_000);
  assert.equal(pair.tcp(0).size, 0);
  for (const side of [0, 1] as const) {
    assert.equal(pair.tcp(side).pool.used, 0);
    assert.equal(pair.tcp(side).records.size, 0);
    assert.equal(pair.hosts[side].timers.size, 0);
  }
});

Deno.test("Tcp moves every byte through loss, reordering and duplication of any kind", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 300_000 }),
      fc.integer({ min: 0, max: 20 }),
      fc.integer({ min: 0, max: 20 }),
      (seed, length, loss, reorder) => {
        let state = seed;
        const chance = (percent: number) => {
          state = Math.imul(state, 1103515245) + 12345 | 0;
          return (state >>> 8) % 100 < percent;
        };
        // The handshake has tests of its own, and may fail where one segment in five is lost.
        let opened = false;
        const { pair, a, b, client, server } = open({
          fate: () => !opened || !chance(loss) && (chance(reorder) ? 3_000 + (state >>> 16) % 20_000 : true),
        });
        opened = true;
        const bytes = pattern(length, seed);
        assert(
          pump(pair, a, bytes, () => server.events.includes("finished")),
          `stalled at ${server.received} of ${length}`,
        );
        assert(Buffer.compare(server.bytes, bytes) === 0, "bytes differ");
        b.closeWrite();
        pair.run(DAY, () => pair.tcp(0).size + pair.tcp(1).size === 0);
        assert.equal(client.events.at(-1), "closed");
        assert.equal(pair.tcp(0).size + pair.tcp(1).size, 0);
        assert.equal(pair.tcp(0).pool.used + pair.tcp(1).pool.used, 0);
        assert.equal(pair.tcp(0).records.size + pair.tcp(1).records.size, 0);
        for (const c of [a, b]) {
          assert.deepEqual([c.packetsOut, c.sackedOut, c.lostOut, c.retransOut], [0, 0, 0, 0]);
        }
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("Tcp repairs one loss in the middle of a window by SACK, without a time-out", () => {
  let lost = false;
  const { pair, a, server } = open({
    fate: (s) => {
      if (!lost && s.from === 0 && s.length > 0 && s.sequence > 5000) return !(lost = true);
      return true;
    },
  });
  assert(pump(pair, a, pattern(60_000), () => server.received === 60_000, 5_000_000));
  assert.equal(pair.tcp(0).counters.retransmissionTimeouts, 0);
  assert.equal(pair.tcp(0).counters.retransmittedSegments, 1);
  assert.equal(pair.tcp(0).counters.fastRecoveries, 1);
});

Deno.test("Tcp repairs the loss of a flight's end with a tail loss probe", () => {
  const lost = new Set<number>();
  const { pair, a, server } = open({
    fate: (s) =>
      s.from === 1 || s.sequence < 2000 || s.length === 0 || lost.has(s.sequence) || !lost.add(s.sequence),
  });
  a.write(pattern(5000), 0, 5000);
  assert(pair.run(200_000, () => server.received === 5000), `received ${server.received}`);
  assert.equal(lost.size, 2);
  assert.equal(pair.tcp(0).counters.retransmissionTimeouts, 0);
  assert.equal(pair.tcp(0).counters.tailLossProbes, 1);
});

Deno.test("Tcp backs off its retransmission timer exponentially, and gives up", () => {
  let dead = false;
  const { pair, a, client } = open({ fate: () => !dead });
  pair.run(1_000_000);
  dead = true;
  const times: number[] = [];
  a.write(pattern(100), 0, 100);
  let seen = pair.log.length;
  pair.run(2_000_000_000, () => {
    if (pair.log.length > seen) {
      seen = pair.log.length;
      times.push(pair.now);
    }
    return client.error !== undefined;
  });
  assert.equal(client.error?.code, "TimedOut");
  const gaps = times.slice(3).map((time, i) => time - times[i + 2]!);
  for (let i = 1; i < 6; i++) {
    const ratio = gaps[i]! / gaps[i - 1]!;
    assert(ratio > 1.9 && ratio < 2.1, `gap ${i} is ${ratio} times the one before: ${gaps}`);
  }
  assert(Math.max(...gaps) <= 120_000_100);
});

Deno.test("Tcp retransmits SYN every second four times and six times more, then reports TimedOut", () => {
  const pair = new TcpPair({ fate: () => false });
  const client = new Recording();
  pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, client);
  pair.run(300_000_000);
  assert.equal(pair.log.filter((s) => s.flags === "S").length, 11);
  assert.deepEqual(client.events, ["closed TimedOut"]);
  assert.equal(pair.tcp(0).size, 0);
});

Deno.test("Tcp answers a SYN to a closed port with RST, and the opener is refused", () => {
  const pair = new TcpPair();
  const client = new Recording();
  pair.tcp(0).connect({ address: pair.hosts[1].address, port: 81 }, client);
  pair.run(1_000_000);
  assert.deepEqual(client.events, ["closed ConnectionRefused"]);
  assert.deepEqual(pair.log.map((s) => s.flags), ["S", "R."]);
});

Deno.test("Tcp opens simultaneously (RFC 9293, figure 7)", () => {
  const pair = new TcpPair();
  const left = new Recording(), right = new Recording();
  const a = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 2000, localPort: 1000 }, left);
  const b = pair.tcp(1).connect({ address: pair.hosts[0].address, port: 1000, localPort: 2000 }, right);
  pair.run(1_000_000);
  assert.deepEqual(left.events, ["connected"]);
  assert.deepEqual(right.events, ["connected"]);
  assert.equal(a.state, State.Established);
  a.write(pattern(10), 0, 10);
  pair.run(1_000_000);
  assert.equal(right.received, 10);
  assert.equal(b.state, State.Established);
});

Deno.test("Tcp closes its window when nobody reads, probes it, and goes on when there is room", () => {
  const { pair, a, b, server } = open();
  server.appetite = 0;
  const bytes = pattern(9 << 20);
  let at = 0;
  pair.run(20_000_000, () => {
    at += a.write(bytes, at, bytes.length - at);
    return false;
  });
  // The window is said in units of its shift, rounded up where an edge has been offered.
  assert(b.readable > b.receiveLimit - 2 * 1448 && b.readable <= b.receiveLimit + (1 << b.rcvShift));
  assert(at < bytes.length, "the sender was not held back");
  assert(pair.tcp(0).counters.windowProbes >= 2, "no window probes");
  pair.run(600_000_000);
  assert.equal(a.state, State.Established, "a shut window must not end the connection");
  server.appetite = Infinity;
  b.resume();
  assert(
    pump(
      pair,
      a,
      bytes.subarray(at) as Uint8Array<ArrayBuffer>,
      () => server.received === bytes.length,
      60_000_000,
    ),
  );
  assert(Buffer.compare(server.bytes, bytes) === 0);
  assert(server.events.length === 0 || server.events[0] === "finished");
});

Deno.test("Connection.read() gives what waits in the ring after the peer has closed", () => {
  const { pair, a, b, server } = open();
  server.appetite = 0;
  a.write(pattern(5000), 0, 5000);
  a.closeWrite();
  pair.run(1_000_000);
  assert.deepEqual(server.events, []);
  b.closeWrite();
  pair.run(1_000_000);
  const target = new Uint8Array(6000);
  assert.equal(b.read(target, 0, 6000), 5000);
  assert.deepEqual(target.subarray(0, 5000), pattern(5000));
  pair.run(1_000_000);
  assert.deepEqual(server.events, ["finished", "closed"]);
  assert.equal(pair.tcp(1).pool.used, 0);
});

Deno.test("Connection.close() resets the peer when data was not read", () => {
  const { pair, a, b, server, client } = open();
  server.appetite = 0;
  a.write(pattern(100), 0, 100);
  pair.run(1_000_000);
  b.close();
  pair.run(1_000_000);
  assert.deepEqual(client.events, ["connected", "closed ConnectionReset"]);
  assert.deepEqual(server.events, ["closed"]);
  assert.equal(pair.tcp(0).size + pair.tcp(1).size, 0);
});

Deno.test("Connection.abort() sends RST, and both sides hear why", () => {
  const { pair, a, client, server } = open();
  a.abort();
  pair.run(1_000_000);
  assert.deepEqual(client.events, ["connected", "closed ConnectionAborted"]);
  assert.deepEqual(server.events, ["closed ConnectionReset"]);
});

Deno.test("Tcp ends only the connection whose handler throws, and reports the error", () => {
  const { pair, a, client, server } = open();
  const boom = new Error("boom");
  server.receive = () => {
    throw boom;
  };
  a.write(pattern(10), 0, 10);
  pair.run(1_000_000);
  assert.deepEqual(pair.hosts[1].errors, [boom]);
  assert.deepEqual(server.events, ["closed ConnectionAborted"]);
  assert.equal(client.error?.code, "ConnectionReset");
});

Deno.test("Tcp ignores a blind RST and a blind SYN, but for a challenge ACK (RFC 5961)", () => {
  const { pair, a, b } = open();
  pair.run(1_000_000);
  const forge = (sequence: number, flags: number) => {
    const bytes = new Uint8Array(20);
    wire.writeHeader(
      new DataView(bytes.buffer),
      0,
      a.localPort,
      80,
      sequence,
      b.sndNxt,
      20,
      flags,
      1000,
    );
    pair.inject(0, bytes);
  };
  const count = pair.log.length;
  forge(b.rcvNxt + 1000 | 0, wire.RST);
  forge(b.rcvNxt - 1000 | 0, wire.RST);
  forge(b.rcvNxt + 10 | 0, wire.SYN);
  assert.equal(b.state, State.Established);
  assert.equal(pair.log.length - count, 1, "one challenge ACK, the next is held back");
  assert.equal(pair.tcp(1).counters.challengeAcks, 1);
  assert.equal(pair.tcp(1).counters.challengeAcksLimited, 1);
  forge(b.rcvNxt, wire.RST);
  assert.equal(b.state, State.Closed);
});

Deno.test("Tcp holds small segments back while one is in flight, unless noDelay is set", () => {
  const { pair, a, server } = open();
  pair.run(1_000_000);
  const count = () => pair.log.filter((s) => s.from === 0 && s.length > 0).length;
  for (let i = 0; i < 5; i++) {
    a.write(pattern(10), 0, 10);
    pair.run(1000);
  }
  assert.equal(count(), 1);
  pair.run(1_000_000);
  assert.equal(count(), 2);
  assert.equal(server.received, 50);
  a.noDelay = true;
  for (let i = 0; i < 5; i++) {
    a.write(pattern(10), 0, 10);
    pair.run(1000);
  }
  assert.equal(count(), 7);
});

Deno.test("Tcp refuses connections beyond the backlog until one is taken", () => {
  const pair = new TcpPair();
  const listener = pair.tcp(1).listen({ port: 80, backlog: 2 }, { ready: () => {} });
  const clients = [1, 2, 3, 4].map(() => new Recording());
  for (const client of clients) pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, client);
  pair.run(500_000);
  const taken = [listener.take(), listener.take(), listener.take()];
  assert.equal(taken.filter((c) => c !== null).length, 2);
  assert(pair.tcp(1).counters.acceptQueueFull >= 2);
  pair.run(10_000_000);
  assert(listener.take() !== null && listener.take() !== null);
  assert.throws(() => pair.tcp(1).listen({ port: 80 }, { ready: () => {} }), { code: "AddressInUse" });
  listener.close();
  pair.tcp(1).listen({ port: 80 }, { ready: () => {} }).close();
});

Deno.test("Tcp counts and survives segments whose header lies", () => {
  const { pair, a, b } = open();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer(), (bytes, delta) => {
      const copy = Uint8Array.from(bytes);
      if (copy.length >= 20) {
        const view = new DataView(copy.buffer);
        view.setUint16(0, a.localPort);
        view.setUint16(2, 80);
        view.setInt32(4, b.rcvNxt + delta % 100 | 0);
        view.setUint8(13, view.getUint8(13) & ~wire.RST);
      }
      pair.inject(0, copy);
    }),
    { numRuns: 500 },
  );
  assert(pair.tcp(1).counters.badHeader > 0);
  assert.deepEqual(pair.hosts[1].errors, []);
});

Deno.test("Tcp gives the same outputs for the same inputs", () => {
  const run = () => {
    let count = 0;
    const { pair, a, server } = open({ fate: () => ++count % 13 !== 0 });
    pump(pair, a, pattern(200_000), () => server.events.includes("finished"));
    return pair.log;
  };
  assert.deepEqual(run(), run());
});

Deno.test("Connection.keepAlive probes an idle peer and ends the connection when nobody answers", () => {
  let dead = false;
  const { pair, a, client } = open({ fate: () => !dead });
  a.keepAlive = 10_000_000;
  pair.run(60_000_000);
  assert.equal(a.state, State.Established);
  assert(pair.tcp(0).counters.keepAliveProbes >= 4);
  dead = true;
  pair.run(900_000_000);
  assert.equal(client.error?.code, "TimedOut");
});

Deno.test("Tcp takes back what a delay spike cost it (F-RTO, Eifel)", () => {
  let spike = 0;
  const { pair, a, server } = open({
    fate: (s) => s.from === 1 && s.length === 0 && spike > 0 ? spike : true,
  });
  const bytes = pattern(400_000);
  a.write(bytes, 0, 200_000);
  pair.run(300_000, () => server.received === 200_000);
  pair.run(100_000);
  const cwnd = a.cwnd;
  spike = 600_000;
  a.write(bytes, 200_000, 200_000);
  pair.run(400_000);
  spike = 0;
  assert(pair.run(5_000_000, () => server.received === 400_000));
  pair.run(2_000_000);
  assert(pair.tcp(0).counters.retransmissionTimeouts > 0, "no time-out was provoked");
  assert(pair.tcp(0).counters.spuriousRecoveries > 0, "not recognised");
  assert(a.cwnd >= cwnd, `window ${a.cwnd} after, ${cwnd} before`);
});

Deno.test("Tcp takes back a fast recovery that reordering caused", () => {
  let delayed = false;
  const { pair, a, server } = open({
    fate: (s) => !delayed && s.from === 0 && s.sequence > 20_000 ? (delayed = true, 14_000) : true,
  });
  const bytes = pattern(400_000);
  assert(pump(pair, a, bytes, () => server.received === 400_000, 5_000_000));
  pair.run(1_000_000);
  assert(pair.tcp(0).counters.fastRecoveries > 0, "no recovery was provoked");
  assert.equal(pair.tcp(0).counters.spuriousRecoveries, pair.tcp(0).counters.fastRecoveries);
});

Deno.test("Tcp agrees on ECN, echoes a mark until CWR, and reduces once a round trip (RFC 3168)", () => {
  let mark = false;
  const { pair, a, b, server } = open({
    ecn: true,
    fate: (s) => mark && s.length > 0 ? (mark = false, "mark") : true,
  });
  assert(a.ecn && b.ecn);
  assert.deepEqual(pair.log.slice(0, 2).map((s) => s.flags), ["WES", "ES."]);
  const bytes = pattern(300_000);
  a.write(bytes, 0, bytes.length);
  pair.run(60_000);
  const cwnd = a.cwnd;
  mark = true;
  assert(pair.run(5_000_000, () => server.received === bytes.length));
  pair.run(1_000_000);
  assert.equal(pair.tcp(1).counters.receivedMarks, 1);
  assert.equal(pair.tcp(0).counters.markReductions, 1);
  assert.equal(pair.tcp(0).counters.retransmittedSegments, 0);
  assert.equal(
    pair.log.filter((s) => s.from === 0 && s.flags.startsWith("W") && !s.flags.includes("S")).length,
    1,
  );
  assert(pair.log.some((s) => s.from === 1 && s.flags === "E."));
  assert.equal(pair.log.at(-1)!.flags, ".", "the echo ends with CWR");
  assert(a.ssthresh < 2 * cwnd && a.ssthresh >= 2);
});

Deno.test("Tcp does without ECN when the peer does not ask for it", () => {
  const { a, b } = open();
  assert(!a.ecn && !b.ecn);
});

Deno.test("Tcp answers a SYN flood with cookies, and lets who answers them in, options kept", () => {
  const { pair, a } = open();
  pair.run(1_000_000);
  const syn = new Uint8Array(20);
  const view = new DataView(syn.buffer);
  for (let i = 0; i < 3000; i++) {
    wire.writeHeader(view, 0, 1024 + i, 80, i * 7919, 0, 20, wire.SYN, 1000);
    pair.inject(0, syn);
  }
  assert.equal(pair.tcp(1).size, 1 + 1024);
  assert.equal(pair.tcp(1).counters.sentCookies, 3000 - 1024);
  const client = new Recording();
  const c = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, client) as TcpConnection;
  c.write(pattern(20_000), 0, 20_000);
  pair.run(2_000_000);
  assert.deepEqual(client.events, ["connected"]);
  assert.equal(pair.tcp(1).counters.acceptedCookies, 1);
  assert.equal(c.unacknowledged, 0);
  assert(c.sackPermitted && c.timestamps && c.windowScaling);
  let ours: TcpConnection | null = null;
  pair.tcp(1).forEach((other) => {
    if (other.remotePort === c.localPort) ours = other as TcpConnection;
  });
  assert(ours !== null);
  const { sackPermitted, timestamps, sndShift, rcvShift, mss } = ours as TcpConnection;
  assert.deepEqual([sackPermitted, timestamps, sndShift, rcvShift, mss], [
    true,
    true,
    c.rcvShift,
    c.sndShift,
    1448,
  ]);
  // Who did not get a cookie can't make one up.
  for (let i = 0; i < 1000; i++) {
    wire.writeHeader(view, 0, 5000 + i, 80, 77, i * 104729, 20, wire.ACK, 1000);
    pair.inject(0, syn);
  }
  assert.equal(pair.tcp(1).counters.acceptedCookies, 1);
  assert(pair.tcp(1).counters.badCookies >= 900);
  // The handshakes that nobody completes go away, and the first connection never noticed.
  pair.run(120_000_000);
  assert.equal(pair.tcp(1).size, 2);
  a.write(pattern(10), 0, 10);
  pair.run(1_000_000);
  assert.equal(a.unacknowledged, 0);
});

Deno.test("Tcp gets its FIN through when the window was shut as it was queued", () => {
  const { pair, a, b, server } = open();
  server.appetite = 0;
  // As much as the SYN has offered is taken without a further word.
  b.receiveLimit = b.receiveMost = 4 << 20;
  const length = b.receiveLimit;
  let at = 0;
  const bytes = pattern(length);
  pair.run(30_000_000, () => (at += a.write(bytes, at, length - at)) === length && a.sendQueued === 0);
  a.closeWrite();
  pair.run(10_000_000);
  const end = b.readable;
  assert.equal(end, length);
  server.appetite = Infinity;
  b.resume();
  assert(pair.run(60_000_000, () => server.events.includes("finished")));
});
