import assert from "node:assert/strict";
import { Recording, TcpPair } from "../testing/tcp_pair.ts";
import type { Connection } from "./api.ts";
import type { TcpConnection } from "./connection.ts";

/** Moves bytes over a link of 10 ms on which one segment in ten is up to 9 ms late. @returns The sender. */
function transfer(length: number): TcpConnection {
  let state = 1;
  const fate = () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return (state >>> 8) % 10 === 0 ? 4000 + (state >>> 16) % 5000 : true;
  };
  const pair = new TcpPair({ fate });
  const server = new Recording();
  pair.tcp(1).listen({ port: 80 }, {
    ready(listener) {
      const accepted: Connection = listener.take()!;
      accepted.handler = server;
    },
  });
  const sender = pair.tcp(0).connect(
    { address: pair.hosts[1].address, port: 80 },
    new Recording(),
  ) as TcpConnection;
  const data = new Uint8Array(length);
  let written = 0;
  assert.ok(pair.run(600_000_000, () => {
    written += sender.write(data, written, length - written);
    return server.received === length;
  }));
  return sender;
}

Deno.test("Tcp learns by how much segments overtake each other, and stops to send them again (RFC 8985, 6.2.1)", () => {
  const sender = transfer(8_000_000);
  assert.ok(sender.reorderSteps > 1, `${sender.reorderSteps} steps`);
  // Segments: 5,525, of which 550 are late.
  assert.ok(sender.retransmissions < 100, `${sender.retransmissions} retransmissions`);
});
