import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { IpAddress } from "../ip/address.ts";
import { Pair } from "../testing/pair.ts";
import { Recording } from "../testing/tcp_pair.ts";
import type { Connection } from "./api.ts";

function transfer(pair: Pair, length: number) {
  const server = new Recording(), client = new Recording();
  let accepted: Connection | null = null;
  pair.b.stack.tcp.listen({ port: 7 }, {
    ready: (listener) => {
      accepted = listener.take();
      accepted!.handler = server;
    },
  });
  const connection = pair.a.stack.tcp.connect({ address: IpAddress.parse("10.0.0.2"), port: 7 }, client);
  const bytes = new Uint8Array(length).map((_, i) => i * 7 + (i >> 8));
  let at = 0;
  for (let turn = 0; turn < 5000 && server.events.length === 0; turn++) {
    at += connection.write(bytes, at, length - at);
    if (at === length) connection.closeWrite();
    pair.pass(1000);
  }
  assert.deepEqual(server.events, ["finished"]);
  assert(Buffer.compare(server.bytes, bytes) === 0);
  (accepted as Connection | null)!.closeWrite();
  pair.pass(61_000_000);
  assert.deepEqual(client.events, ["connected", "finished", "closed"]);
  assert.deepEqual(server.events, ["finished", "closed"]);
  assert.equal(pair.a.stack.tcp.size + pair.b.stack.tcp.size, 0);
  for (const { stack } of [pair.a, pair.b]) {
    assert.equal(stack.tcp.counters.badChecksum, 0);
    assert.equal(stack.tcp.counters.retransmittedSegments, 0);
  }
}

Deno.test("Tcp moves a megabyte between two stacks whose devices offload nothing", () => {
  transfer(new Pair(), 1 << 20);
});

Deno.test("Tcp moves bytes over a loopback connection of one stack", () => {
  const pair = new Pair();
  const { stack } = pair.a;
  const server = new Recording();
  stack.tcp.listen({ port: 7 }, { ready: (listener) => listener.take()!.handler = server });
  for (const host of ["127.0.0.1", "10.0.0.1"]) {
    const client = new Recording();
    const connection = stack.tcp.connect({ address: IpAddress.parse(host), port: 7 }, client);
    connection.write(new Uint8Array(5000).fill(1), 0, 5000);
    connection.closeWrite();
    pair.pass(1_000_000);
    assert.deepEqual(client.events, ["connected"]);
  }
  assert.equal(server.received, 10_000);
});
