import assert from "node:assert/strict";
import { Recording, TcpPair } from "../testing/tcp_pair.ts";
import type { Connection } from "./api.ts";
import type { TcpSettings } from "./settings.ts";

/** Moves 4 MB over a link of 10 ms that loses one segment in fifty. @returns ACKs that came back, a segment of data. */
function acksPerSegment(settings: Partial<TcpSettings>): number {
  let data = 0;
  const pair = new TcpPair({ fate: (segment) => segment.length === 0 || ++data % 50 !== 0 });
  // It does not give way to so few losses: there is much in flight behind a gap.
  pair.tcp(0).settings.congestion = "bbr";
  Object.assign(pair.tcp(1).settings, settings);
  const server = new Recording();
  pair.tcp(1).listen({ port: 80 }, {
    ready(listener) {
      const accepted: Connection = listener.take()!;
      accepted.handler = server;
    },
  });
  const sender = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, new Recording());
  const bytes = new Uint8Array(4_000_000);
  let written = 0;
  assert.ok(pair.run(600_000_000, () => {
    written += sender.write(bytes, written, bytes.length - written);
    return server.received === bytes.length;
  }));
  return pair.log.filter((segment) => segment.from === 1).length / data;
}

Deno.test("Tcp tells of many segments behind a gap with one ACK", () => {
  const each = acksPerSegment({ compressedSacks: 0 }), few = acksPerSegment({});
  assert.ok(each > 0.9, `${each} ACKs a segment where each is told of`);
  assert.ok(few < 0.15, `${few} ACKs a segment`);
});
