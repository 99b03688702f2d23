import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import http2 from "node:http2";
import tls from "node:tls";
import { MemoryDevice } from "../drivers/memory.ts";
import { connect, open } from "./conn.ts";
import { Network } from "./network.ts";
import { TcpDuplex } from "./node_stream.ts";
import { CERTIFICATE, KEY } from "./testing/certificate.ts";
import { FakeTcp, RING } from "./testing/fake_tcp.ts";

/** Two ends of one connection. */
async function pair(tcp: FakeTcp): Promise<[near: TcpDuplex, far: TcpDuplex]> {
  const { promise, resolve } = Promise.withResolvers<TcpDuplex>();
  const listener = tcp.listen({ port: 7 }, { ready: (one) => resolve(new TcpDuplex(one.take()!, tcp)) });
  const near = await open(
    tcp,
    tcp,
    { hostname: "10.0.0.3", port: 7 },
    (connection) => new TcpDuplex(connection, tcp, { allowHalfOpen: false }),
  );
  const far = await promise;
  listener.close();
  return [near, far];
}

async function collect(stream: TcpDuplex): Promise<Uint8Array[]> {
  return await Array.fromAsync(stream);
}

Deno.test("TcpDuplex carries chunks of all sizes both ways, and ends", async () => {
  using tcp = new FakeTcp();
  const [near, far] = await pair(tcp);
  far.pipe(far);
  const sizes = [1, 100, 4000, 5000, 70_000, 3 * RING, 1];
  const chunks = sizes.map((size, i) => new Uint8Array(size).fill(i));
  for (const chunk of chunks) near.write(chunk);
  near.end();
  const back = new Uint8Array(await new Blob(await collect(near) as BlobPart[]).arrayBuffer());
  const sent = new Uint8Array(await new Blob(chunks).arrayBuffer());
  assert.deepEqual(back, sent);
  assert.equal(near.bytesWritten, sent.length);
  assert.equal(near.bytesRead, sent.length);
  assert.equal(far.remoteAddress, "10.0.0.2");
  assert.equal(near.address().family, "IPv4");
});

Deno.test("TcpDuplex writes strings in their encoding, whether there is room or not", async () => {
  using tcp = new FakeTcp();
  const [near, far] = await pair(tcp);
  const written: Uint8Array[] = [];
  for (let i = 0; i < 40; i++) {
    const encoding = (["latin1", "utf8", "hex"] as const)[i % 3]!;
    const text = encoding === "hex"
      ? "00ff7f".repeat(2000 + i)
      : "h\u00e9\u00ff".repeat(i === 7 ? 30_000 : 4000 + i);
    written.push(Buffer.from(text, encoding));
    near.write(text, encoding);
  }
  near.end();
  const back = await new Blob(await collect(far) as BlobPart[]).bytes();
  assert.deepEqual(back, await new Blob(written as BlobPart[]).bytes());
  far.destroy();
});

Deno.test("TcpDuplex holds the peer up while nobody reads", async () => {
  using tcp = new FakeTcp();
  const [near, far] = await pair(tcp);
  let handed = 0;
  const chunk = new Uint8Array(10_000);
  const write = () => near.write(chunk, () => (handed += chunk.length, handed < 5_000_000 && write()));
  write();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(handed < 6 * RING, `${handed} bytes were handed over`);
  let received = 0;
  far.on("data", (data: Uint8Array) => received += data.length);
  while (handed < 5_000_000) await new Promise((resolve) => setTimeout(resolve, 5));
  near.end();
  await once(far, "end");
  assert.equal(received, handed);
  far.end();
  await once(near.resume(), "close");
});

Deno.test("TcpDuplex.destroySoon() and destroy() let go only after what was written", async () => {
  using tcp = new FakeTcp();
  for (const way of ["destroySoon", "destroy"] as const) {
    const [near, far] = await pair(tcp);
    near.write(new Uint8Array(3 * RING));
    near[way]();
    const chunks = await collect(far);
    assert.equal(chunks.reduce((sum, chunk) => sum + chunk.length, 0), 3 * RING, way);
    far.destroy();
  }
});

Deno.test("TcpDuplex.destroy() throws away what comes while it lingers, and ends when that takes too long", async () => {
  class Lingering extends TcpDuplex {
    protected override get linger(): number {
      return 50_000;
    }
  }
  using tcp = new FakeTcp();
  const { promise, resolve } = Promise.withResolvers<TcpDuplex>();
  const listener = tcp.listen({ port: 7 }, { ready: (one) => resolve(new Lingering(one.take()!, tcp)) });
  const client = await connect(tcp, tcp, { hostname: "10.0.0.3", port: 7 });
  const far = await promise;
  listener.close();
  await client.write(new Uint8Array(100));
  far.write("answer");
  far.destroy();
  assert.equal(await client.read(new Uint8Array(100)), 6);
  assert.equal(await client.read(new Uint8Array(100)), null);
  await client.write(new Uint8Array(3 * RING));
  await new Promise((resolve) => setTimeout(resolve, 100));
  await assert.rejects(async () => {
    for (;;) await client.write(new Uint8Array(RING));
  }, { name: /ConnectionReset|BrokenPipe/ });
  client.close();
});

Deno.test("TcpDuplex tells a reset as an error with Node's code", async () => {
  using tcp = new FakeTcp();
  const [near, far] = await pair(tcp);
  const failed = once(far, "error");
  near.resetAndDestroy();
  const [error] = await failed;
  assert.equal(error.code, "ECONNRESET");
  assert.ok(error instanceof Deno.errors.ConnectionReset);
  assert.ok(far.destroyed);
});

Deno.test("TcpDuplex.setTimeout() tells of idleness, and of that alone", async () => {
  using tcp = new FakeTcp();
  const [near, far] = await pair(tcp);
  let told = 0;
  near.setTimeout(30, () => told++);
  far.resume();
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 15));
    near.write("x");
  }
  assert.equal(told, 0);
  await once(near, "timeout");
  assert.equal(told, 1);
  near.setTimeout(0);
  near.destroy();
  far.destroy();
});

function hosts(): [Network, Network] & AsyncDisposable {
  const [a, b] = MemoryDevice.pair();
  const client = Network.create({ device: a, addresses: ["10.0.0.1/24"] });
  const server = Network.create({ device: b, addresses: ["10.0.0.2/24"] });
  return Object.assign([client, server] as [Network, Network], {
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  });
}

// Node's TLS and HTTP/2 keep timers and resources of their own, beyond the end of a test.
const LAX = { sanitizeOps: false, sanitizeResources: false };

Deno.test("TcpDuplex carries TLS of node:tls, both ends", LAX, async () => {
  await using both = hosts();
  const [client, host] = both;
  const server = tls.createServer({ key: KEY, cert: CERTIFICATE }, (socket) => socket.pipe(socket));
  using _listener = host.serveNode(server, { port: 443 });
  const stream = await client.connectNode({ hostname: "10.0.0.2", port: 443 });
  const socket = tls.connect({ socket: stream as never, ca: CERTIFICATE, servername: "test.invalid" });
  await once(socket, "secureConnect");
  assert.equal(socket.getProtocol(), "TLSv1.3");
  const data = crypto.getRandomValues(new Uint8Array(50_000));
  socket.end(data);
  const back = new Uint8Array(await new Blob(await Array.fromAsync(socket) as BlobPart[]).arrayBuffer());
  assert.deepEqual(back, data);
});

Deno.test("TcpDuplex carries HTTP/2 of node:http2, both ends", LAX, async () => {
  await using both = hosts();
  const [client, host] = both;
  const server = http2.createServer();
  server.on("stream", (stream, headers) => {
    stream.respond({ ":status": 200 });
    stream.end(`path ${headers[":path"]}`);
  });
  using _listener = host.serveNode(server, { port: 80 });
  const stream = await client.connectNode({ hostname: "10.0.0.2", port: 80 });
  const session = http2.connect("http://10.0.0.2", { createConnection: () => stream as never });
  const texts = await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      const request = session.request({ ":path": `/${i}` });
      request.setEncoding("utf8");
      return (await Array.fromAsync(request)).join("");
    }),
  );
  assert.deepEqual(texts, Array.from({ length: 10 }, (_, i) => `path /${i}`));
  session.close();
  server.close();
});
