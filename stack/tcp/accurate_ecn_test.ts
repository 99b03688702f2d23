import assert from "node:assert/strict";
import fc from "fast-check";
import { Recording, TcpPair } from "../testing/tcp_pair.ts";
import { TcpOptions, writeAccurateEcn } from "../wire/tcp.ts";
import type { Connection } from "./api.ts";
import type { TcpConnection } from "./connection.ts";

/** Sends `length` bytes over a link that marks as `marks` says. */
function transfer(ecnOption: 0 | 1 | 2, length: number, marks: (count: number) => boolean) {
  const pair = new TcpPair({ fate: (segment, count) => segment.length > 0 && marks(count) ? "mark" : true });
  const server = new Recording();
  let accepted: Connection | null = null;
  for (const i of [0, 1] as const) {
    pair.tcp(i).settings.ecn = 3;
    pair.tcp(i).settings.ecnOption = ecnOption;
  }
  pair.tcp(1).listen({ port: 80 }, {
    ready(listener) {
      accepted = listener.take();
      accepted!.handler = server;
    },
  });
  const client = new Recording();
  const a = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, client) as TcpConnection;
  pair.run(100_000);
  const data = new Uint8Array(length);
  let sent = 0;
  for (let i = 0; i < 2000 && (sent < length || a.unacknowledged > 0); i++) {
    sent += a.write(data, sent, length - sent);
    pair.run(20_000);
  }
  assert.equal(a.unacknowledged, 0);
  return { a, b: accepted! as TcpConnection };
}

Deno.test("AccurateEcn tells the sender of every mark, whichever of its packets are marked", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1, 2),
      fc.integer({ min: 1, max: 120_000 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }),
      (option, length, marks) => {
        const { a, b } = transfer(option, length, (count) => marks[count % marks.length]!);
        assert.ok(a.accurate !== null && b.accurate !== null);
        const { marksTold } = a.accurate, { marksReceived } = b.accurate;
        assert.equal(a.deliveredMarked, marksTold);
        if (option === 2) {
          assert.equal(marksTold, marksReceived);
          assert.deepEqual(a.accurate.bytesTold, b.accurate.bytesReceived);
        } else {
          // An ACK of many without the option may be taken for worse than it is, by whole turns of the count.
          assert.ok(marksTold >= marksReceived && (marksTold - marksReceived) % 8 === 0);
          if (marksReceived === 0) assert.equal(marksTold, 0);
        }
        assert.equal(b.accurate.bytesReceived[2]! + b.accurate.bytesReceived[3]!, length);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("AccurateEcn reduces the window by marks once a round trip, and not at all without", () => {
  const marked = transfer(2, 100_000, () => true).a, unmarked = transfer(2, 100_000, () => false).a;
  assert.ok(marked.tcp.counters.markReductions > 1, `${marked.tcp.counters.markReductions}`);
  assert.ok(marked.tcp.counters.markReductions < marked.accurate!.marksTold);
  assert.equal(unmarked.tcp.counters.markReductions, 0);
  assert.ok(marked.cwnd < unmarked.cwnd);
});

Deno.test("AccurateEcn takes no counters from an option whose first ones are 0, which nobody sends", () => {
  const { a } = transfer(0, 1000, () => false);
  const options = new TcpOptions();
  const view = new DataView(new ArrayBuffer(12));
  writeAccurateEcn(view, 0, 0, 5000, 0);
  assert.ok(options.parse(view, 0, 12));
  assert.equal(a.accurate!.takeOption(a, options), -1);
  assert.equal(a.tcp.counters.mangledEcn, 1);
  writeAccurateEcn(view, 0, 1, 5000, 1);
  assert.ok(options.parse(view, 0, 12));
  // Once broken, it is not believed again.
  assert.equal(a.accurate!.takeOption(a, options), -1);
  assert.equal(a.accurate!.optionSeen, false);
});

Deno.test("TcpOptions reads the counters of both orders, and of those cut short", () => {
  const options = new TcpOptions();
  const read = (...bytes: number[]) => {
    const view = new DataView(Uint8Array.from(bytes).buffer);
    assert.ok(options.parse(view, 0, bytes.length));
    return options.ecnCounters < 0 ? null : [...options.ecnBytes.subarray(1)];
  };
  // ECT(1), ECT(0), marks.
  assert.deepEqual(read(172, 11, 0, 0, 1, 0, 0, 2, 1, 0, 3, 1), [0x10003, 1, 2]);
  assert.deepEqual(read(174, 11, 0, 0, 1, 0, 0, 2, 255, 0, 3, 1), [1, 0xff0003, 2]);
  assert.deepEqual(read(174, 8, 0, 0, 1, 0, 0, 2), [1, -1, 2]);
  assert.deepEqual(read(172, 2, 1, 1), [-1, -1, -1]);
  assert.equal(read(172, 4, 1, 1), null);
  assert.equal(read(1, 1, 1, 1), null);
});
