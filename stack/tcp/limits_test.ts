import assert from "node:assert/strict";
import fc from "fast-check";
import { Recording, TcpPair } from "../testing/tcp_pair.ts";
import { type Connection, type ListenOptions, State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { deferRetries, type TcpListener } from "./listener.ts";
import { SentRecords } from "./sent.ts";

const DATA = new Uint8Array(5000).fill(7);

function setUp(options: Partial<ListenOptions> = {}) {
  let silent = false;
  const pair = new TcpPair({ fate: (s) => !(silent && s.from === 1) });
  const accepted: TcpConnection[] = [];
  const listener = pair.tcp(1).listen({ port: 80, ...options }, {
    ready: (l) => {
      const c = l.take() as TcpConnection;
      accepted.push(c);
      c.handler = new Recording();
      c.resume();
    },
  }) as TcpListener;
  const connect = () => {
    const handler = new Recording();
    const c = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, handler) as TcpConnection;
    return { c, handler };
  };
  return { pair, listener, accepted, connect, silence: (on: boolean) => silent = on };
}

Deno.test("Connection.close() resets at once when linger is 0", () => {
  const { pair, accepted, connect } = setUp();
  const { c, handler } = connect();
  pair.run(100_000);
  c.write(DATA, 0, 5000);
  c.linger = 0;
  c.close();
  pair.run(100_000);
  assert.equal(handler.events.at(-1), "closed");
  assert.equal((accepted[0]!.handler as Recording).events.at(-1), "closed ConnectionReset");
  assert.equal(pair.tcp(0).size + pair.tcp(1).size, 0);
});

Deno.test("Connection.close() resets after linger when the peer has not taken everything", () => {
  const { pair, connect, silence } = setUp();
  const { c } = connect();
  pair.run(100_000);
  silence(true);
  c.write(DATA, 0, 5000);
  c.linger = 3_000_000;
  c.close();
  pair.run(2_900_000);
  assert.equal(c.state, State.FinWait1);
  assert.equal(pair.tcp(0).orphans, 1);
  pair.run(200_000);
  assert.equal(c.state, State.Closed);
  assert.equal(pair.tcp(0).counters.lingerTimeouts, 1);
  assert.equal(pair.log.at(-1)!.flags, "R.");
  assert.equal(pair.tcp(0).orphans, 0);
});

Deno.test("Connection.close() hands everything over within linger, and then waits for FIN as usual", () => {
  const { pair, accepted, connect } = setUp();
  const { c } = connect();
  pair.run(100_000);
  c.write(DATA, 0, 5000);
  c.linger = 3_000_000;
  c.close();
  pair.run(10_000_000);
  assert.equal(c.state, State.FinWait2);
  assert.equal((accepted[0]!.handler as Recording).received, 5000);
  accepted[0]!.close();
  pair.run(1_000_000);
  assert.equal(c.state, State.TimeWait);
  assert.equal(pair.tcp(0).orphans, 0);
});

Deno.test("Connection.finTimeout bounds FIN-WAIT-2 of one connection", () => {
  const { pair, connect } = setUp();
  const open = (finTimeout: number) => {
    const { c } = connect();
    pair.run(100_000);
    c.finTimeout = finTimeout;
    c.close();
    pair.run(100_000);
    return c;
  };
  const none = open(-1), short = open(5_000_000), usual = open(60_000_000);
  assert.equal(none.state, State.Closed);
  assert.equal(short.state, State.FinWait2);
  pair.run(5_000_000);
  assert.equal(short.state, State.Closed);
  assert.equal(usual.state, State.FinWait2);
  pair.run(56_000_000);
  assert.equal(usual.state, State.Closed);
});

Deno.test("Tcp resets what is closed beyond the limit of orphans, and counts every orphan once", () => {
  const { pair, accepted, connect, silence } = setUp();
  pair.tcp(0).settings.orphans = 2;
  const connections = Array.from({ length: 4 }, () => connect().c);
  pair.run(100_000);
  silence(true);
  for (const c of connections) {
    c.write(DATA, 0, 5000);
    c.close();
    c.close();
  }
  pair.run(10_000);
  assert.deepEqual(connections.map((c) => c.state), [
    State.FinWait1,
    State.FinWait1,
    State.Closed,
    State.Closed,
  ]);
  assert.equal(pair.tcp(0).orphans, 2);
  assert.equal(pair.tcp(0).counters.tooManyOrphans, 2);
  silence(false);
  pair.run(10_000_000);
  for (const c of accepted) c.close();
  pair.run(100_000);
  assert.equal(pair.tcp(0).orphans, 0);
});

Deno.test("Tcp drops SYNs of a source that has as many connections as the listener lets it", () => {
  const { pair, listener, accepted, connect } = setUp({ perSource: { connections: 2 } });
  const first = connect(), second = connect(), third = connect();
  pair.run(500_000);
  assert.deepEqual([first, second, third].map(({ c }) => c.state), [
    State.Established,
    State.Established,
    State.SynSent,
  ]);
  assert(pair.tcp(1).counters.tooManyFromSource > 0);
  accepted[0]!.abort();
  pair.run(10_000_000);
  assert.equal(third.c.state, State.Established);
  for (const { c } of [first, second, third]) c.close();
  for (const c of accepted) c.close();
  pair.run(1_000_000);
  assert.equal(listener.sources!.size, 0);
});

Deno.test("Tcp answers handshakes of a source beyond its limit with cookies", () => {
  const { pair, listener, accepted, connect, silence } = setUp({ perSource: { halfOpen: 3 } });
  silence(true);
  const connections = Array.from({ length: 8 }, () => connect().c);
  pair.run(100_000);
  assert.equal(listener.halfOpen, 3);
  assert.equal(pair.tcp(1).counters.halfOpenFromSource, 5);
  silence(false);
  pair.run(10_000_000);
  assert.equal(accepted.length, 8);
  assert(connections.every((c) => c.state === State.Established));
  assert.equal(listener.halfOpen, 0);
  assert.equal(listener.sources!.hasHalfOpenRoom(pair.hosts[0].address), true);
});

Deno.test("Tcp hands a connection over with its first data when the listener waits for it, or when the time is over", () => {
  const { pair, listener, accepted, connect } = setUp({ deferAccept: 3_000_000 });
  assert.equal(listener.deferRetries, 2);
  const speaks = connect().c, keepsSilent = connect().c;
  pair.run(500_000);
  assert.equal(accepted.length, 0);
  assert.equal(pair.tcp(1).counters.deferredAccepts, 2);
  speaks.write(DATA, 0, 10);
  pair.run(100_000);
  assert.equal(accepted.length, 1);
  assert.equal(accepted[0]!.remotePort, speaks.localPort);
  pair.run(5_000_000);
  assert.equal(accepted.length, 2);
  assert.equal(accepted[1]!.remotePort, keepsSilent.localPort);
  assert.equal(keepsSilent.state, State.Established);
});

Deno.test("deferRetries() counts time-outs as Linux does", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 7, 8, 60].map((seconds) => deferRetries(seconds * 1e6)), [
    0,
    1,
    2,
    2,
    3,
    3,
    4,
    6,
  ]);
});

Deno.test("Tcp.connect() tries its SYN again when no transmission record was free", () => {
  const { pair, connect } = setUp();
  const tcp = pair.tcp(0);
  const records = new SentRecords(1);
  (tcp as { records: SentRecords }).records = records;
  const held = records.take();
  const { c, handler } = connect();
  // What it writes meanwhile does not make it try more often.
  pair.run(2_500_000, () => (c.write(DATA, 0, 1), false));
  assert.equal(c.state, State.SynSent);
  assert.equal(tcp.counters.noRecords, 3);
  records.give(held);
  pair.run(1_000_000);
  assert.deepEqual(handler.events, ["connected"]);
  assert.equal(pair.log.filter((s) => s.flags === "S").length, 1);
});

Deno.test("Tcp sends no SYN after the handshake, though one still waited for a slot", () => {
  const { pair, accepted, connect } = setUp();
  const { c } = connect();
  pair.run(100_000);
  pair.log.length = 0;
  for (const end of [c, accepted[0]!]) {
    end.synDue = true;
    end.write(DATA, 0, 100);
  }
  pair.run(1_000_000);
  assert(pair.log.every((s) => !s.flags.includes("S")));
  assert.equal((accepted[0]!.handler as Recording).received, 100);
  assert.deepEqual([c.synDue, c.head, accepted[0]!.head], [false, -1, -1]);
});

Deno.test("Tcp.connect() gives up when no transmission record comes free", () => {
  const { pair, connect } = setUp();
  const records = new SentRecords(1);
  (pair.tcp(0) as { records: SentRecords }).records = records;
  records.take();
  const { handler } = connect();
  pair.run(30_000_000);
  assert.equal(handler.events.at(-1), "closed TooMany");
  assert.equal(pair.hosts[0].timers.size, 0);
});

Deno.test("Tcp drops a SYN for which no transmission record is free: the peer sends it again", () => {
  const { pair, listener, accepted, connect } = setUp();
  const records = new SentRecords(1);
  (pair.tcp(1) as { records: SentRecords }).records = records;
  const held = records.take();
  const { c } = connect();
  pair.run(500_000);
  assert.equal(pair.tcp(1).size, 0);
  assert.equal(listener.halfOpen, 0);
  records.give(held);
  pair.run(3_000_000);
  assert.equal(c.state, State.Established);
  assert.equal(accepted.length, 1);
});

Deno.test("Tcp.connect() picks ports by RFC 6056: in range, each once a destination, and not to be foretold", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65535 }), (port) => {
      const pair = new TcpPair();
      const open = (to: number): Connection =>
        pair.tcp(0).connect({ address: pair.hosts[1].address, port: to }, new Recording());
      const ports = Array.from({ length: 50 }, () => open(port).localPort);
      assert.equal(new Set(ports).size, 50);
      assert(ports.every((local) => local >= 32768 && local < 61000));
      const last = ports.at(-1)!;
      // Others begin elsewhere: who sees the ports of one destination knows nothing of another's.
      const others = Array.from({ length: 20 }, (_, i) => open((port + i) % 65535 + 1).localPort);
      assert(others.some((local) => Math.abs(local - last) > 1000));
      assert((open(port).localPort - last + 28232) % 28232 <= 30);
    }),
    { numRuns: 20 },
  );
});

Deno.test("Listener drops what has come further than leastHops lets, and connections do so after it", () => {
  const { pair, accepted, connect } = setUp({ leastHops: 255 });
  pair.hopLimit = 254;
  const { c } = connect();
  pair.run(500_000);
  assert.equal(accepted.length, 0);
  assert.equal(pair.tcp(1).counters.tooFar, 1);
  pair.hopLimit = 255;
  pair.run(2_000_000);
  assert.equal(accepted.length, 1);
  pair.hopLimit = 64;
  c.write(DATA, 0, 10);
  pair.run(100_000);
  assert.equal(accepted[0]!.bytesReceived, 0);
  assert(pair.tcp(1).counters.tooFar > 1);
  pair.hopLimit = 255;
  pair.run(2_000_000);
  assert.equal(accepted[0]!.bytesReceived, 10);
});

Deno.test("Listener resets who ends a handshake while its queue is full when abortOnOverflow is set", () => {
  const pair = new TcpPair();
  pair.tcp(1).settings.abortOnOverflow = true;
  pair.tcp(1).listen({ port: 80, backlog: 1 }, { ready: () => {} });
  const open = () => {
    const handler = new Recording();
    pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, handler);
    return handler;
  };
  const first = open(), second = open();
  pair.run(500_000);
  assert.deepEqual(first.events, ["connected"]);
  assert.deepEqual(second.events, ["connected", "closed ConnectionReset"]);
  assert.deepEqual([pair.tcp(1).size, pair.tcp(1).counters.acceptQueueFull], [1, 1]);
});
