import assert from "node:assert/strict";
import { MemoryDevice } from "../drivers/memory.ts";
import { Network } from "./network.ts";

/** Two hosts on one cable. */
function pair(): [Network, Network] & AsyncDisposable {
  const [a, b] = MemoryDevice.pair();
  const networks: [Network, Network] = [
    Network.create({ device: a, addresses: ["10.0.0.1/24"] }),
    Network.create({ device: b, addresses: ["10.0.0.2/24"] }),
  ];
  return Object.assign(networks, {
    async [Symbol.asyncDispose]() {
      for (const network of networks) await network[Symbol.asyncDispose]();
    },
  });
}

const TO = { hostname: "10.0.0.2", port: 7 };

Deno.test("Network.connect() sends what it opens with in the SYN once the server is known", async () => {
  await using hosts = pair();
  const [client, server] = hosts;
  using listener = server.listen({ port: 7, fastOpen: 8 });
  const request = new TextEncoder().encode("a whole request");
  for (const known of [false, true]) {
    const accepting = listener.accept();
    using conn = await client.connect({ ...TO, fastOpen: request });
    using accepted = await accepting;
    const buffer = new Uint8Array(100);
    assert.equal(await accepted.read(buffer), request.length);
    assert.deepEqual(buffer.subarray(0, request.length), request);
    // Bit 32: the SYN's data was taken.
    assert.equal((conn.connection.info().options & 32) !== 0, known);
    assert.equal((accepted.connection.info().options & 32) !== 0, known);
  }
  assert.equal(client.stack.tcp.counters.fastOpenActive, 1);
  await assert.rejects(client.connect({ ...TO, fastOpen: new Uint8Array(65537) }), /got 65537/);
});

Deno.test("Network.listen() takes connections of one source up to its limit, and waits for data where it is told to", async () => {
  await using hosts = pair();
  const [client, server] = hosts;
  using few = server.listen({ port: 7, perSource: { connections: 1 } });
  using first = await client.connect(TO);
  using _ = await few.accept();
  await assert.rejects(client.connect({ ...TO, timeout: 50 }), Deno.errors.TimedOut);
  assert(server.stack.tcp.counters.tooManyFromSource > 0);
  assert.equal(first.remoteAddr.port, 7);

  using waits = server.listen({ port: 8, deferAccept: 60_000 });
  using conn = await client.connect({ ...TO, port: 8 });
  assert.equal(server.stack.tcp.counters.passiveOpens, 1);
  await conn.write(new Uint8Array(1));
  using accepted = await waits.accept();
  assert.equal(await accepted.read(new Uint8Array(10)), 1);
});

Deno.test("TcpConn.setLinger() makes close() reset at once, or after a time", async () => {
  await using hosts = pair();
  const [client, server] = hosts;
  using listener = server.listen({ port: 7 });
  const conn = await client.connect(TO);
  using accepted = await listener.accept();
  conn.setLinger(0);
  conn.close();
  await assert.rejects(accepted.read(new Uint8Array(10)), Deno.errors.ConnectionReset);
  const other = await client.connect(TO);
  other.setLinger(1500);
  assert.equal(other.connection.linger, 1_500_000);
  other.setLinger(null);
  assert.equal(other.connection.linger, Infinity);
  other.close();
});
