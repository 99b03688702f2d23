import assert from "node:assert/strict";
import { connect, type TcpConn } from "./conn.ts";
import { TcpListener } from "./listener.ts";
import { FakeTcp, RING } from "./testing/fake_tcp.ts";

/** Two ends of one connection. */
async function pair(): Promise<{ tcp: FakeTcp; near: TcpConn; far: TcpConn }> {
  const tcp = new FakeTcp();
  using listener = new TcpListener(tcp, { port: 7 });
  const [near, far] = await Promise.all([
    connect(tcp, tcp, { hostname: "10.0.0.3", port: 7 }),
    listener.accept(),
  ]);
  return { tcp, near, far };
}

function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 255);
}

Deno.test("TcpConn.read() gives what was written, in pieces that fit, and null at the end", async () => {
  const { near, far } = await pair();
  assert.equal(await near.write(new TextEncoder().encode("hello")), 5);
  await near.closeWrite();
  const buffer = new Uint8Array(3);
  assert.equal(await far.read(buffer), 3);
  assert.equal(new TextDecoder().decode(buffer), "hel");
  assert.equal(await far.read(new Uint8Array(0)), 0);
  assert.equal(await far.read(buffer), 2);
  assert.equal(await far.read(buffer), null);
  assert.equal(await far.read(buffer), null);
  far.close();
  assert.equal(await near.read(buffer), null);
  near.close();
});

Deno.test("TcpConn.read() takes data that comes while it waits", async () => {
  const { near, far } = await pair();
  const buffer = new Uint8Array(4);
  for (let round = 0; round < 3; round++) {
    const read = far.read(buffer);
    await near.write(Uint8Array.of(round, 1, 2, 3, 4, 5));
    assert.equal(await read, 4);
    assert.equal(buffer[0], round);
    assert.equal(await far.read(buffer), 2);
    assert.equal(buffer[0], 4);
  }
  near.close();
  far.close();
});

Deno.test("TcpConn.read() takes all that one batch of frames brings, as far as its buffer goes", async () => {
  const { near, far } = await pair();
  const buffer = new Uint8Array(10);
  const read = far.read(buffer);
  // Two writes without a turn of the event loop between them.
  const writes = [
    near.write(Uint8Array.of(1, 2, 3, 4)),
    near.write(Uint8Array.of(5, 6, 7, 8, 9, 10, 11, 12)),
  ];
  assert.equal(await read, 10);
  assert.deepEqual([...buffer], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await Promise.all(writes);
  assert.equal(await far.read(buffer), 2);
  assert.deepEqual([...buffer.subarray(0, 2)], [11, 12]);
  near.close();
  far.close();
});

Deno.test("TcpConn.read() keeps what came before the connection was closed or reset", async () => {
  for (const end of ["close", "abort"] as const) {
    const { near, far } = await pair();
    const buffer = new Uint8Array(10);
    const read = far.read(buffer);
    // The end comes after a frame, and before the read is told of it.
    assert.equal(far.connection.handler!.receive(far.connection, Uint8Array.of(1, 2, 3), 0, 3), 3);
    far[end]();
    assert.equal(await read, 3);
    assert.deepEqual([...buffer.subarray(0, 3)], [1, 2, 3]);
    await assert.rejects(far.read(buffer), Deno.errors.BadResource);
    near.close();
  }
});

Deno.test("TcpConn.write() resolves only when the connection has taken everything", async () => {
  const { near, far } = await pair();
  const data = pattern(5 * RING);
  let written = false;
  const write = near.write(data).then((count) => {
    written = true;
    return count;
  });
  const received = new Uint8Array(data.length);
  let at = 0;
  while (at < RING) at += (await far.read(received.subarray(at, at + 1000)))!;
  assert.equal(written, false);
  const fin = near.closeWrite();
  for (let n; (n = await far.read(received.subarray(at))) !== null && at < data.length;) at += n;
  assert.equal(await write, data.length);
  await fin;
  assert.deepEqual(received, data);
  await assert.rejects(near.write(data), Deno.errors.BrokenPipe);
  near.close();
  far.close();
});

Deno.test("TcpConn.close() fails what waits with BadResource, and is idempotent", async () => {
  const { near, far } = await pair();
  const read = near.read(new Uint8Array(1));
  await assert.rejects(near.read(new Uint8Array(1)), Deno.errors.Busy);
  near.close();
  near.close();
  await assert.rejects(read, Deno.errors.BadResource);
  await assert.rejects(near.read(new Uint8Array(1)), Deno.errors.BadResource);
  await assert.rejects(near.write(new Uint8Array(1)), Deno.errors.BadResource);
  await assert.rejects(near.closeWrite(), Deno.errors.BadResource);
  assert.equal(await far.read(new Uint8Array(1)), null);
  far[Symbol.dispose]();
});

Deno.test("TcpConn.abort() resets the peer", async () => {
  const { near, far } = await pair();
  const read = far.read(new Uint8Array(1));
  const write = far.write(new Uint8Array(3 * RING));
  near.abort();
  const reset = { name: "ConnectionReset", code: "ECONNRESET" };
  await Promise.all([assert.rejects(read, reset), assert.rejects(write, reset)]);
  await assert.rejects(far.read(new Uint8Array(1)), reset);
  far.close();
});

Deno.test("TcpConn has both addresses, and options that reach the stack", async () => {
  const { near, far } = await pair();
  assert.deepEqual(near.remoteAddr, { transport: "tcp", hostname: "10.0.0.3", port: 7 });
  assert.deepEqual(near.localAddr, far.remoteAddr);
  near.setNoDelay();
  near.setKeepAlive();
  assert.equal(near.connection.noDelay, true);
  assert.equal(near.connection.keepAlive, 7200e6);
  near.setKeepAlive(false);
  assert.equal(near.connection.keepAlive, 0);
  near.close();
  far.close();
});

Deno.test("TcpConn.readable piped into TcpConn.writable echoes, and both ends close", async () => {
  const { tcp, near, far } = await pair();
  const echo = far.readable.pipeTo(far.writable);
  const data = pattern(10 * RING + 3);
  const sent = new Blob([data]).stream().pipeTo(near.writable);
  const back = await new Response(near.readable).bytes();
  await Promise.all([echo, sent]);
  assert.deepEqual(back, data);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(tcp.size, 0);
});

Deno.test("TcpConn.readable reads nothing before it is asked", async () => {
  const { near, far } = await pair();
  const stream = far.readable;
  await near.write(pattern(RING));
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(far.connection.readable, RING);
  const reader = stream.getReader({ mode: "byob" });
  const { value } = await reader.read(new Uint8Array(10));
  assert.deepEqual(value, pattern(10));
  assert.equal(far.connection.readable, RING - 10);
  await reader.cancel();
  // Nobody reads any more, but the peer is not held up.
  assert.equal(await near.write(pattern(4 * RING)), 4 * RING);
  near.close();
  far.close();
});

Deno.test("TcpConn.writable.abort() resets the connection", async () => {
  const { near, far } = await pair();
  await near.writable.abort();
  await assert.rejects(far.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  far.close();
});

Deno.test("connect() fails with the class that fits", async () => {
  const tcp = new FakeTcp();
  await assert.rejects(connect(tcp, tcp, { hostname: "10.0.0.3", port: 81 }), {
    name: "ConnectionRefused",
    code: "ECONNREFUSED",
  });
  await assert.rejects(
    connect(tcp, tcp, { hostname: "example.com", port: 80 }),
    /"example\.com".*IP address/,
  );
  await assert.rejects(connect(tcp, tcp, { hostname: "10.0.0.3", port: 70000 }), /70000/);
  await assert.rejects(connect(tcp, tcp, { hostname: "192.0.2.1", port: 80, timeout: 20 }), {
    name: "TimedOut",
    message: /192\.0\.2\.1:80.*20 ms/,
  });
  const controller = new AbortController();
  const opening = connect(tcp, tcp, { hostname: "192.0.2.1", port: 80, signal: controller.signal });
  controller.abort(new Error("No more"));
  await assert.rejects(opening, /No more/);
  await assert.rejects(
    connect(tcp, tcp, { hostname: "10.0.0.3", port: 7, signal: controller.signal }),
    /No more/,
  );
});
