import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { open } from "./conn.ts";
import { fetchOver } from "./fetch.ts";
import { TcpListener } from "./listener.ts";
import { TcpDuplex } from "./node_stream.ts";
import { HttpServer, type ServeHandler, type ServeOptions } from "./serve.ts";
import { FakeTcp } from "./testing/fake_tcp.ts";

const BASE = "http://10.0.0.3";

function serve(handler: ServeHandler, options: ServeOptions = {}) {
  const tcp = new FakeTcp();
  const server = new HttpServer(tcp, tcp, { port: 80, onListen: () => {}, ...options }, handler);
  const stream = (hostname: string, port: number, signal: AbortSignal | null): Promise<Duplex> =>
    open(
      tcp,
      tcp,
      signal === null ? { hostname, port } : { hostname, port, signal },
      (connection) => new TcpDuplex(connection, tcp, { allowHalfOpen: false }),
    );
  const fetch = (path: string, init?: RequestInit) =>
    fetchOver(stream, path.startsWith("http") ? path : BASE + path, init);
  return { tcp, server, fetch };
}

Deno.test("fetchOver() gives status, headers and body", async () => {
  const { tcp, server, fetch } = serve((request) =>
    new Response(`${request.method} ${request.url} ${request.headers.get("x-one")}`, {
      status: 201,
      statusText: "Made",
      headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]],
    })
  );
  const response = await fetch("/path?query", { headers: { "x-one": "1" } });
  assert.equal(response.status, 201);
  assert.equal(response.statusText, "Made");
  assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
  assert.equal(response.url, `${BASE}/path?query`);
  assert.equal(await response.text(), `GET ${BASE}/path?query 1`);
  await server.shutdown();
  tcp[Symbol.dispose]();
});

Deno.test("fetchOver() sends a body, and streams both ways", async () => {
  const { tcp, server, fetch } = serve((request) => new Response(request.body));
  assert.equal(await (await fetch("/", { method: "POST", body: "some text" })).text(), "some text");
  const chunk = new Uint8Array(50_000).fill(7);
  let left = 100;
  const body = new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(chunk.slice());
      else controller.close();
    },
  });
  const response = await fetch("/", { method: "PUT", body, duplex: "half" } as RequestInit);
  let count = 0;
  for await (const part of response.body!) count += part.length;
  assert.equal(count, 5_000_000);
  await server.shutdown();
  tcp[Symbol.dispose]();
});

Deno.test("fetchOver() follows redirects as the standard says", async () => {
  const seen: string[] = [];
  const { tcp, server, fetch } = serve((request) => {
    const { pathname } = new URL(request.url);
    seen.push(`${request.method} ${pathname} ${request.headers.get("content-type")}`);
    if (pathname === "/loop") return Response.redirect(request.url, 302);
    return pathname === "/end" ? new Response("end") : Response.redirect(`${BASE}/end`, 303);
  });
  const response = await fetch("/start", { method: "POST", body: "x" });
  assert.equal(await response.text(), "end");
  assert.deepEqual(seen, ["POST /start text/plain;charset=UTF-8", "GET /end null"]);
  assert.equal((await fetch("/start", { redirect: "manual" })).status, 303);
  await assert.rejects(fetch("/start", { redirect: "error" }), /Redirected to/);
  await assert.rejects(fetch("/loop"), /Too many redirects/);
  await server.shutdown();
  tcp[Symbol.dispose]();
});

Deno.test("fetchOver() fails when it is aborted, before and after the header", async () => {
  let cancelled = 0;
  const { tcp, server, fetch } = serve((request) => {
    if (request.url.endsWith("/never")) return new Promise(() => {});
    return new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(new Uint8Array(1)),
        cancel: () => void cancelled++,
      }),
    );
  });
  const first = new AbortController();
  const never = fetch("/never", { signal: first.signal });
  setTimeout(() => first.abort(), 5);
  await assert.rejects(never, { name: "AbortError" });
  const second = new AbortController();
  const response = await fetch("/stream", { signal: second.signal });
  const reader = response.body!.getReader();
  assert.equal((await reader.read()).value?.length, 1);
  second.abort();
  await assert.rejects(reader.read());
  await server.shutdown();
  tcp[Symbol.dispose]();
  assert.equal(cancelled, 1);
});

Deno.test("fetchOver() tells the length of a body that is there at once", async () => {
  const { tcp, server, fetch } = serve((request) =>
    new Response(`${request.headers.get("content-length")} ${request.headers.get("transfer-encoding")}`)
  );
  const post = async (body: BodyInit | null) => await (await fetch("/", { method: "POST", body })).text();
  assert.equal(await post("some text"), "9 null");
  assert.equal(await post(new Uint8Array(100_000)), "100000 null");
  assert.equal(await post(""), "0 null");
  assert.equal(await post(null), "0 null");
  const stream = new Blob(["abc"]).stream();
  const response = await fetch("/", { method: "POST", body: stream, duplex: "half" } as RequestInit);
  assert.match(await response.text(), /^(3 null|null chunked)$/);
  await server.shutdown();
  tcp[Symbol.dispose]();
});

Deno.test("fetchOver() rejects, and nothing else fails, when the answer is none", async () => {
  for (
    const answer of [
      "HTTP/1.1 700 Odd\r\n\r\n",
      "HTTP/1.1 101 Odd\r\n\r\n",
      "HTTP/1.1 200 A\u00ff\u0001\r\n\r\n",
      "no",
    ]
  ) {
    const { tcp, server, fetch } = serve(() => new Response("x"));
    const listener = new TcpListener(tcp, { port: 81 });
    const served = (async () => {
      using connection = await listener.accept();
      await connection.read(new Uint8Array(1000));
      await connection.write(new TextEncoder().encode(answer));
      await connection.closeWrite();
      await connection.read(new Uint8Array(1000)).catch(() => null);
    })();
    await assert.rejects(fetch("http://10.0.0.3:81/"), Error, answer);
    await served;
    listener.close();
    await server.shutdown();
    tcp[Symbol.dispose]();
  }
});

Deno.test("fetchOver() says clearly what it cannot do", async () => {
  const { tcp, server, fetch } = serve(() => new Response("x"));
  await assert.rejects(fetch("https://10.0.0.3/"), /only http: URLs/);
  await assert.rejects(fetch("http://example.com/"), /"example\.com".*IP address/);
  await assert.rejects(fetch("http://10.0.0.3:81/"), Deno.errors.ConnectionRefused);
  await server.shutdown();
  tcp[Symbol.dispose]();
});
