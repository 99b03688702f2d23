import assert from "node:assert/strict";
import { connect } from "./conn.ts";
import { TcpListener } from "./listener.ts";
import { FakeTcp } from "./testing/fake_tcp.ts";

Deno.test("TcpListener.accept() gives connections in the order in which they came", async () => {
  const tcp = new FakeTcp();
  using listener = new TcpListener(tcp, { port: 0 });
  const { port } = listener.addr;
  assert.ok(port > 0);
  const first = listener.accept();
  const ports = [];
  for (let i = 0; i < 3; i++) {
    const conn = await connect(tcp, tcp, { hostname: "10.0.0.3", port });
    ports.push(conn.localAddr.port);
    conn.close();
  }
  const accepted = [await first, await listener.accept(), await listener.accept()];
  assert.deepEqual(accepted.map((conn) => conn.remoteAddr.port), ports);
  for (const conn of accepted) conn.close();
});

Deno.test("TcpListener[Symbol.asyncIterator]() ends when the listener is closed", async () => {
  const tcp = new FakeTcp();
  const controller = new AbortController();
  const listener = new TcpListener(tcp, { port: 7, hostname: "0.0.0.0", signal: controller.signal });
  let count = 0;
  const serving = (async () => {
    for await (const conn of listener) {
      conn.close();
      if (++count === 2) controller.abort();
    }
  })();
  for (let i = 0; i < 2; i++) (await connect(tcp, tcp, { hostname: "10.0.0.3", port: 7 })).close();
  await serving;
  assert.equal(count, 2);
  await assert.rejects(connect(tcp, tcp, { hostname: "10.0.0.3", port: 7 }), Deno.errors.ConnectionRefused);
});

Deno.test("TcpListener.close() fails what waits in accept() with BadResource", async () => {
  const tcp = new FakeTcp();
  const listener = new TcpListener(tcp, { port: 7 });
  const accepting = listener.accept();
  listener.close();
  listener.close();
  await assert.rejects(accepting, { name: "BadResource", message: /0\.0\.0\.0:7/ });
  await assert.rejects(listener.accept(), Deno.errors.BadResource);
});

Deno.test("TcpListener says which port is in use", () => {
  const tcp = new FakeTcp();
  using _first = new TcpListener(tcp, { port: 7 });
  assert.throws(() => new TcpListener(tcp, { port: 7 }), { name: "AddrInUse", message: /port 7/ });
  assert.throws(() => new TcpListener(tcp, { port: -1 }), RangeError);
  assert.throws(() => new TcpListener(tcp, { port: 7, hostname: "localhost" }), TypeError);
});
