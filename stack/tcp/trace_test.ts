import assert from "node:assert/strict";
import { Recording, TcpPair, type TcpPairOptions } from "../testing/tcp_pair.ts";
import type { TcpConnection } from "./connection.ts";
import type { TraceEvent } from "./trace.ts";

const DATA = new Uint8Array(60_000).map((_, i) => i);

/** A connection both of whose ends are traced from the first segment on. */
function traced(options: TcpPairOptions = {}) {
  const pair = new TcpPair(options);
  const events: [TraceEvent[], TraceEvent[]] = [[], []];
  for (const side of [0, 1] as const) {
    pair.tcp(side).tracer = () => (event) => events[side].push(event);
  }
  let accepted: TcpConnection | null = null;
  const server = new Recording();
  pair.tcp(1).listen({ port: 80 }, {
    ready: (l) => {
      accepted = l.take() as TcpConnection;
      accepted.handler = server;
      accepted.resume();
    },
  });
  const c = pair.tcp(0).connect(
    { address: pair.hosts[1].address, port: 80 },
    new Recording(),
  ) as TcpConnection;
  pair.run(100_000);
  return { pair, c, accepted: accepted! as TcpConnection, server, sent: events[0], received: events[1] };
}

const named = <N extends TraceEvent["name"]>(events: TraceEvent[], name: N) =>
  events.filter((event): event is TraceEvent & { name: N } => event.name === name);

Deno.test("Tcp.tracer sees a connection from its SYN to its end", () => {
  const { pair, c, accepted, sent, received } = traced();
  c.write(DATA, 0, 1000);
  c.close();
  pair.run(100_000);
  accepted.close();
  pair.run(70_000_000);
  assert.deepEqual(named(sent, "state").map(({ from, to }) => `${from} ${to}`), [
    "closed syn_sent",
    "syn_sent established",
    "established fin_wait_1",
    "fin_wait_1 fin_wait_2",
    "fin_wait_2 time_wait",
    "time_wait closed",
  ]);
  assert.deepEqual(named(received, "state").map(({ to }) => to), [
    "established",
    "close_wait",
    "last_ack",
    "closed",
  ]);
  for (const events of [sent, received]) {
    assert.equal(events[0]!.name, "started");
    assert.deepEqual(events.at(-1), { time: events.at(-1)!.time, name: "ended", error: null });
    // One line of JSON says all of an event, and time does not go back.
    assert.deepEqual(events.map((event) => JSON.parse(JSON.stringify(event))), events);
    assert(events.every((event, i) => i === 0 || event.time >= events[i - 1]!.time));
  }
  assert.deepEqual(named(sent, "sent").map((s) => [s.flags, s.sequence, s.acknowledgment, s.length]), [
    ["S", 0, 0, 0],
    [".", 1, 1, 0],
    ["FP.", 1, 1, 1000],
    [".", 1002, 2, 0],
  ]);
  // What one side says it sent is what the other says it got.
  const got = named(received, "received").map(({ flags, sequence, length, window }) => ({
    flags,
    sequence,
    length,
    window,
  }));
  const gave = named(sent, "sent").map(({ flags, sequence, length, window }) => ({
    flags,
    sequence,
    length,
    window,
  }));
  assert.deepEqual(got, gave);
  assert(named(sent, "rtt").every(({ latest }) => latest >= 20_000));
  assert.equal(named(sent, "cwnd")[0]!.cwnd, 10);
});

Deno.test("Connection.trace() tells of a loss, its repair, and the window", () => {
  let lost = false;
  const { pair, c, sent, server } = traced({
    fate: (s) => lost || s.from === 1 || s.sequence < 5000 || !(lost = true),
  });
  c.write(DATA, 0, 60_000);
  pair.run(5_000_000);
  assert.equal(server.received, 60_000);
  const again = named(sent, "retransmitted");
  assert.equal(again.length, 1);
  assert.equal(again[0]!.reason, "loss");
  assert.deepEqual(named(sent, "recovery").map(({ from, to }) => `${from} ${to}`), [
    "open fast",
    "fast open",
  ]);
  assert(named(sent, "received").some(({ sack }) => sack.length > 0 && sack[0]![0] > again[0]!.sequence));
  assert(named(sent, "cwnd").some(({ ssthresh }) => ssthresh < 1000));
});

Deno.test("Connection.trace() tells of time-outs, probes, and recoveries that were needless", () => {
  let late = 0;
  const { pair, c, sent, server } = traced({ fate: () => late === 0 || late });
  c.write(DATA, 0, 1000);
  pair.run(1_000_000);
  // Everything is late by more than the timer waits.
  late = 2_000_000;
  c.write(DATA, 0, 5000);
  pair.run(3_000_000);
  late = 0;
  pair.run(10_000_000);
  assert.equal(server.received, 6000);
  assert(named(sent, "probe").length > 0);
  assert(named(sent, "timeout").length > 0);
  assert(named(sent, "retransmitted").some(({ reason }) => reason === "timeout"));
  assert(named(sent, "retransmitted").some(({ reason }) => reason === "probe"));
  assert(named(sent, "undone").length > 0);
});

Deno.test("Connection.trace() tells of windows that close and open", () => {
  const { pair, c, accepted, server, sent, received } = traced();
  server.appetite = 0;
  const bytes = new Uint8Array(1 << 20);
  let written = 0;
  pair.run(5_000_000, () => {
    written += c.write(bytes, 0, bytes.length - written);
    return false;
  });
  assert(named(sent, "zero_window").some(({ side }) => side === "peer"));
  assert(named(received, "zero_window").some(({ side }) => side === "own"));
  server.appetite = Infinity;
  accepted.resume();
  pair.run(10_000_000);
  assert(named(sent, "window").at(-1)!.window > 0);
  assert.equal(server.received, written);
});

Deno.test("Connection.trace() begins and ends at any time, and survives a handler that throws", () => {
  const { pair, c, accepted, server } = traced();
  const events: TraceEvent[] = [];
  c.trace((event) => events.push(event));
  assert.deepEqual(events.map(({ name }) => name), ["started"]);
  c.write(DATA, 0, 1000);
  pair.run(100_000);
  assert(named(events, "sent").length > 0);
  c.trace(null);
  const { length } = events;
  c.trace(null);
  let calls = 0;
  accepted.trace(() => {
    if (++calls > 1) throw new Error("Enough");
  });
  c.write(DATA, 0, 1000);
  pair.run(100_000);
  assert.equal(events.length, length);
  assert.equal(server.received, 2000);
  assert.equal(calls, 2);
  assert.equal(accepted.tracer, null);
  assert.equal(pair.hosts[1].errors.length, 1);
  assert.equal(pair.tcp(1).counters.handlerErrors, 1);
});
