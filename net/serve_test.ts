import assert from "node:assert/strict";
import { connect, type TcpConn } from "./conn.ts";
import { HttpServer, type ServeHandler, type ServeOptions } from "./serve.ts";
import { FakeTcp, RING } from "./testing/fake_tcp.ts";

const decoder = new TextDecoder();

/** A client that writes and reads text. */
class Client {
  readonly conn: TcpConn;
  text = "";

  constructor(conn: TcpConn) {
    this.conn = conn;
  }

  send(text: string): Promise<number> {
    return this.conn.write(new TextEncoder().encode(text));
  }

  /** Reads until `pattern` matches and removes what it matched; fails at the end of the stream. */
  async expect(pattern: RegExp): Promise<RegExpExecArray> {
    const buffer = new Uint8Array(65536);
    for (;;) {
      const match = pattern.exec(this.text);
      if (match !== null) {
        this.text = this.text.slice(match.index + match[0].length);
        return match;
      }
      const count = await this.conn.read(buffer);
      if (count === null) throw new Error(`Ended without ${pattern}: ${JSON.stringify(this.text)}`);
      this.text += decoder.decode(buffer.subarray(0, count));
    }
  }

  /** The rest, to the end of the stream. */
  async rest(): Promise<string> {
    const buffer = new Uint8Array(65536);
    for (let n; (n = await this.conn.read(buffer)) !== null;) {
      this.text += decoder.decode(buffer.subarray(0, n));
    }
    return this.text;
  }
}

class Fixture implements AsyncDisposable {
  readonly tcp = new FakeTcp();
  readonly server: HttpServer;
  readonly errors: unknown[] = [];

  constructor(handler: ServeHandler, options: ServeOptions = {}) {
    const onError = (error: unknown) => {
      this.errors.push(error);
      return new Response("failed", { status: 500 });
    };
    this.server = new HttpServer(
      this.tcp,
      this.tcp,
      { port: 80, onListen: () => {}, onError, ...options },
      handler,
    );
  }

  async client(): Promise<Client> {
    return new Client(await connect(this.tcp, this.tcp, { hostname: "10.0.0.3", port: 80 }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.shutdown();
    this.tcp[Symbol.dispose]();
    assert.deepEqual(this.errors, []);
  }
}

const GET = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

Deno.test("HttpServer answers many requests on one connection, pipelined ones in order", async () => {
  await using fixture = new Fixture((request) => new Response(new URL(request.url).pathname));
  const client = await fixture.client();
  for (let i = 0; i < 50; i++) {
    await client.send(`GET /${i} HTTP/1.1\r\nHost: h\r\n\r\n`);
    await client.expect(
      new RegExp(`^HTTP/1.1 200 OK\r\n[^]*content-length: ${`/${i}`.length}\r\n[^]*\r\n\r\n/${i}$`),
    );
  }
  await client.send(Array.from({ length: 20 }, (_, i) => `GET /p${i} HTTP/1.1\r\nHost: h\r\n\r\n`).join(""));
  for (let i = 0; i < 20; i++) await client.expect(new RegExp(`^HTTP/1.1 200 [^]*?\r\n\r\n/p${i}(?=HTTP|$)`));
  client.conn.close();
});

Deno.test("HttpServer sends the fields of every kind of response", async () => {
  // Deno keeps some types, where they are the only field, apart from the others.
  const type = { "content-type": "text/plain" };
  const made: Record<string, () => Response> = {
    "/text": () => new Response("a", { headers: type }),
    "/json-text": () => new Response("1", { headers: { "content-type": "application/json" } }),
    "/html": () => new Response("a", { headers: { "content-type": "text/html" } }),
    "/charset": () => new Response("a", { headers: { "content-type": "text/plain; charset=utf-8" } }),
    "/bytes": () => new Response(new Uint8Array(1), { headers: type }),
    "/stream": () => new Response(ReadableStream.from([new Uint8Array(1)]), { headers: type }),
    "/status": () => new Response("a", { headers: type, status: 404 }),
    "/list": () => new Response("a", { headers: [["Content-Type", "text/html"]] }),
    "/headers": () => new Response("a", { headers: new Headers(type) }),
    "/json": () => Response.json(1, { headers: type }),
    "/more": () => new Response("a", { headers: { ...type, "x-more": "1" } }),
    "/looked": () => {
      const response = new Response("a", { headers: type });
      response.headers.append("x-more", "1");
      return response;
    },
  };
  await using fixture = new Fixture((request) => made[new URL(request.url).pathname]!());
  const client = await fixture.client();
  for (const [path, make] of Object.entries(made)) {
    await client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
    const [, status, fields] = await client.expect(/HTTP\/1.1 (\d+) [^]*?\r\n([^]*?)\r\n\r\n./);
    const response = make();
    assert.equal(Number(status), response.status, path);
    const sent = fields!.split("\r\n").filter((field) =>
      !/^(date|content-length|transfer-encoding|connection):/.test(field)
    );
    assert.deepEqual(
      sent.sort(),
      [...response.headers].map(([name, value]) => `${name}: ${value}`).sort(),
      path,
    );
  }
  client.conn.close();
});

Deno.test("HttpServer hands over a Request like any other", async () => {
  const seen: Record<string, unknown>[] = [];
  await using fixture = new Fixture(async (request, info) => {
    const copy = request.clone();
    seen.push({
      instance: request instanceof Request,
      url: request.url,
      method: request.method,
      header: request.headers.get("X-Test"),
      text: await request.text(),
      again: await copy.text(),
      used: request.bodyUsed,
      redone: new Request(request.url, { method: "PUT", headers: request.headers }).headers.get("x-test"),
      remote: info.remoteAddr.hostname,
      local: info.localAddr.port,
    });
    return Response.json({ ok: true });
  });
  const client = await fixture.client();
  await client.send(
    "POST /a/../b?c=d HTTP/1.1\r\nHost: Example.com:80\r\nX-Test: 1\r\nContent-Length: 5\r\n\r\nhello",
  );
  await client.expect(/^HTTP\/1.1 200 OK\r\ncontent-type: application\/json\r\n[^]*\r\n\r\n{"ok":true}$/);
  client.conn.close();
  assert.deepEqual(seen, [{
    instance: true,
    url: "http://example.com/b?c=d",
    method: "POST",
    header: "1",
    text: "hello",
    again: "hello",
    used: true,
    redone: "1",
    remote: "10.0.0.2",
    local: 80,
  }]);
});

Deno.test("HttpServer echoes a streamed body of any size in constant memory", async () => {
  await using fixture = new Fixture((request) => new Response(request.body));
  const client = await fixture.client();
  const length = 20_000_000;
  await client.send(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n`);
  const chunk = Uint8Array.from({ length: 50_000 }, (_, i) => i & 127);
  const sending = (async () => {
    for (let i = 0; i < length / chunk.length; i++) await client.conn.write(chunk);
  })();
  await client.expect(/^HTTP\/1.1 200 (?:[^\r]*\r\n)*transfer-encoding: chunked\r\n(?:[^\r]+\r\n)*\r\n/i);
  // Undo the chunked coding on the fly, and compare.
  let pending = new TextEncoder().encode(client.text) as Uint8Array;
  let at = 0, left = 0, wrong = 0;
  const buffer = new Uint8Array(65536);
  for (let over = false; !over;) {
    if (left === 0) {
      const line = pending.indexOf(10);
      if (line >= 0) {
        const size = decoder.decode(pending.subarray(0, line)).trim();
        pending = pending.subarray(line + 1);
        if (size === "") continue;
        left = parseInt(size, 16);
        over = left === 0;
        continue;
      }
    } else if (pending.length > 0) {
      const count = Math.min(left, pending.length);
      for (let i = 0; i < count; i++) if (pending[i] !== ((at + i) % 50_000 & 127)) wrong++;
      at += count;
      left -= count;
      pending = pending.subarray(count);
      continue;
    }
    const count = await client.conn.read(buffer);
    assert.notEqual(count, null);
    const joined = new Uint8Array(pending.length + count!);
    joined.set(pending);
    joined.set(buffer.subarray(0, count!), pending.length);
    pending = joined;
  }
  await sending;
  assert.equal(at, length);
  assert.equal(wrong, 0);
  client.conn.close();
});

Deno.test("HttpServer does not read a body that nobody wants, and holds a response back that nobody takes", async () => {
  let pulled = 0;
  let release = () => {};
  const held = new Promise<void>((resolve) => release = resolve);
  await using fixture = new Fixture(async (request) => {
    if (request.method === "POST") await held;
    return new Response(
      new ReadableStream({
        pull(controller) {
          if (++pulled > 1000) controller.close();
          else controller.enqueue(new Uint8Array(16384));
        },
      }),
    );
  });
  const upload = await fixture.client();
  await upload.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n");
  let written = 0;
  const writing = (async () => {
    for (; written < 10_000_000; written += 10_000) await upload.conn.write(new Uint8Array(10_000));
  })();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(written < 20 * RING, `${written} bytes were taken`);
  const download = await fixture.client();
  await download.send(GET);
  await download.expect(/^HTTP\/1.1 200 /);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(pulled < 50, `${pulled} chunks were pulled`);
  download.conn.abort();
  release();
  await upload.expect(/^HTTP\/1.1 200 /);
  await Promise.all([upload.rest().catch(() => {}), writing.catch(() => {}), upload.conn.abort()]);
});

Deno.test("HttpServer answers a client that is still sending, and lets it finish before the connection ends", async () => {
  await using fixture = new Fixture(() => new Response("enough"));
  for (
    const [request, status] of [
      ["POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n", 200],
      ["no HTTP at all\r\n\r\n", 400],
    ] as const
  ) {
    const client = await fixture.client();
    await client.send(request);
    for (let written = 0; written < 1_000_000; written += 10_000) {
      await client.conn.write(new Uint8Array(10_000));
    }
    await client.conn.closeWrite();
    assert.match(await client.rest(), new RegExp(`^HTTP/1.1 ${status} `));
    client.conn.close();
  }
});

Deno.test("HttpServer resets a connection whose response failed when nothing else tells that it is not whole", async () => {
  const body = () =>
    new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode("half")),
      async pull() {
        await new Promise((resolve) => setTimeout(resolve, 5));
        throw new Error("Out of data");
      },
    });
  const fixture = new Fixture(() => new Response(body()));
  const old = await fixture.client();
  await old.send("GET / HTTP/1.0\r\n\r\n");
  await assert.rejects(old.rest(), Deno.errors.ConnectionReset);
  old.conn.close();
  const client = await fixture.client();
  await client.send(GET);
  assert.match(await client.rest(), /\r\n4\r\nhalf\r\n$/);
  client.conn.close();
  assert.equal(fixture.errors.splice(0).length, 2);
  await fixture[Symbol.asyncDispose]();
});

Deno.test("HttpServer ends the connection when a body is not as long as the handler said", async () => {
  let body: BodyInit = "";
  const fixture = new Fixture(() => new Response(body, { headers: { "content-length": "5" } }));
  for (
    body of ["short", "shor", "too long", new Blob(["also too long"]).stream(), new Blob(["abcde"]).stream()]
  ) {
    const client = await fixture.client();
    const right = body === "short" || fixture.errors.length === 3;
    await client.send(GET);
    if (right) await client.expect(/\r\n\r\n(short|abcde)$/);
    else assert.doesNotMatch(await client.rest().catch(() => ""), /\r\n\r\n.{5}/);
    client.conn.close();
  }
  assert.equal(fixture.errors.splice(0).filter((error) => /content-length/.test(String(error))).length, 3);
  await fixture[Symbol.asyncDispose]();
});

Deno.test("HttpServer sends the first chunk of a stream without waiting for the second", async () => {
  let next = (_text: string) => {};
  await using fixture = new Fixture(() => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode("one"));
        next = (text) => {
          controller.enqueue(new TextEncoder().encode(text));
          controller.close();
        };
      },
    });
    return new Response(body);
  });
  const client = await fixture.client();
  await client.send(GET);
  await client.expect(/\r\n\r\n3\r\none\r\n/);
  next("two");
  await client.expect(/^3\r\ntwo\r\n0\r\n\r\n$/);
  client.conn.close();
});

Deno.test("HttpServer sends the header of a stream that has nothing to say yet", async () => {
  let end = () => {};
  await using fixture = new Fixture(() =>
    new Response(new ReadableStream({ start: (controller) => void (end = () => controller.close()) }))
  );
  const client = await fixture.client();
  await client.send(GET);
  await client.expect(/^HTTP\/1.1 200 OK\r\n[^]*\r\n\r\n$/);
  end();
  await client.expect(/^0\r\n\r\n$/);
  client.conn.close();
});

Deno.test("HttpServer answers HEAD without a body, and keeps the connection", async () => {
  await using fixture = new Fixture(() => new Response("hello", { headers: { "content-length": "5" } }));
  const client = await fixture.client();
  await client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  await client.expect(/^HTTP\/1.1 200 OK\r\n[^]*content-length: 5\r\n[^]*\r\n\r\n$/);
  await client.send(GET);
  await client.expect(/\r\n\r\nhello$/);
  client.conn.close();
});

Deno.test("HttpServer answers without a body when there must be none", async () => {
  await using fixture = new Fixture((request) =>
    request.url.endsWith("/204") ? new Response(null, { status: 204 }) : new Response(null)
  );
  const client = await fixture.client();
  await client.send("GET /204 HTTP/1.1\r\nHost: h\r\n\r\n");
  const [head] = await client.expect(/^HTTP\/1.1 204 No Content\r\n[^]*?\r\n\r\n/);
  assert.doesNotMatch(head, /content-length|transfer-encoding/i);
  await client.send(GET);
  await client.expect(/^HTTP\/1.1 200 OK\r\n[^]*content-length: 0\r\n[^]*\r\n\r\n$/);
  client.conn.close();
});

Deno.test("HttpServer asks for a body with 100 Continue only when the handler reads it", async () => {
  await using fixture = new Fixture(async (request) =>
    request.url.endsWith("/no")
      ? new Response("no", { status: 413 })
      : request.url.endsWith("/echo")
      ? new Response(request.body, { headers: { "content-length": "4" } })
      : new Response(await request.text())
  );
  const head = "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n";
  const client = await fixture.client();
  await client.send(`POST /yes HTTP/1.1\r\nHost: h\r\n${head}`);
  await client.expect(/^HTTP\/1.1 100 Continue\r\n\r\n$/);
  await client.send("body");
  await client.expect(/^HTTP\/1.1 200 [^]*\r\n\r\nbody$/);
  await client.send(`POST /echo HTTP/1.1\r\nHost: h\r\n${head}`);
  await client.expect(/^HTTP\/1.1 100 Continue\r\n\r\n/);
  await client.send("back");
  await client.expect(/HTTP\/1.1 200 [^]*connection: keep-alive[^]*\r\n\r\nback$/i);
  await client.send(`POST /no HTTP/1.1\r\nHost: h\r\n${head}`);
  assert.match(await client.rest(), /^HTTP\/1.1 413 [^]*connection: close[^]*\r\n\r\nno$/i);
  client.conn.close();
});

Deno.test("HttpServer reports a handler that throws, answers 500 and goes on", async () => {
  await using fixture = new Fixture((request) => {
    if (request.url.endsWith("/sync")) throw new Error("sync");
    if (request.url.endsWith("/async")) return Promise.reject(new Error("async"));
    if (request.url.endsWith("/type")) return "text" as unknown as Response;
    if (request.url.endsWith("/late")) {
      let count = 0;
      const body = new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          if (count++ > 3) throw new Error("late");
          controller.enqueue(new Uint8Array(10));
        },
      });
      return new Response(body);
    }
    return new Response("fine");
  });
  for (const path of ["/sync", "/async", "/type"]) {
    const client = await fixture.client();
    await client.send(`GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
    assert.match(
      await client.rest(),
      /^HTTP\/1.1 500 Internal Server Error\r\n[^]*connection: close[^]*failed$/i,
    );
    client.conn.close();
  }
  const late = await fixture.client();
  await late.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
  const text = await late.rest().catch(() => late.text);
  assert.doesNotMatch(text, /\r\n0\r\n\r\n$/);
  late.conn.close();
  const client = await fixture.client();
  await client.send(GET);
  await client.expect(/fine$/);
  client.conn.close();
  const messages = fixture.errors.splice(0).map((error) => (error as Error).message);
  assert.deepEqual(messages, ["sync", "async", 'Handler returned string "text": return a Response', "late"]);
});

Deno.test("HttpServer aborts the request's signal when the client is gone", async () => {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const completed = Promise.withResolvers<unknown>();
  await using fixture = new Fixture((request, info) => {
    request.signal.addEventListener("abort", () => resolve(request.signal.reason));
    info.completed.catch(completed.resolve);
    return new Promise((done) => request.signal.addEventListener("abort", () => done(new Response("late"))));
  });
  const client = await fixture.client();
  await client.send(GET);
  await new Promise((done) => setTimeout(done, 5));
  client.conn.abort();
  assert.ok(await promise instanceof Deno.errors.ConnectionReset);
  assert.ok(await completed.promise instanceof Deno.errors.ConnectionReset);
});

Deno.test("HttpServer refuses what is no HTTP, and headers that are too large", async () => {
  await using fixture = new Fixture(() => new Response("x"), { limits: { headerSize: 8192 } });
  for (
    const [text, status] of [
      ["nonsense\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\n\r\n", 400],
      ["GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
      ["GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400],
      [`GET / HTTP/1.1\r\nHost: h\r\nX: ${"x".repeat(10_000)}\r\n\r\n`, 431],
      ["TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 501],
      ["CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 501],
      ["POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
    ] as const
  ) {
    const client = await fixture.client();
    await client.send(text);
    assert.match(await client.rest(), new RegExp(`^HTTP/1.1 ${status} `), text.slice(0, 60));
    client.conn.close();
  }
});

Deno.test("HttpServer closes clients that are too slow", async () => {
  const limits = { headerTimeout: 60, keepAliveTimeout: 30, stallTimeout: 60 };
  await using fixture = new Fixture(async (request) => new Response(await request.text()), { limits });
  const silent = await fixture.client();
  assert.match(await silent.rest(), /^HTTP\/1.1 408 /);
  silent.conn.close();
  const drip = await fixture.client();
  await drip.send("GET / HT");
  const dripping = setInterval(() => drip.send("T").catch(() => {}), 10);
  assert.match(await drip.rest(), /^HTTP\/1.1 4\d\d /);
  clearInterval(dripping);
  drip.conn.close();
  const idle = await fixture.client();
  await idle.send(GET);
  assert.match(await idle.rest(), /^HTTP\/1.1 200 /);
  idle.conn.close();
  const stalled = await fixture.client();
  await stalled.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
  await assert.rejects(stalled.rest(), Deno.errors.ConnectionReset);
  stalled.conn.close();
});

Deno.test("HttpServer does no more for a client that pipelines and does not read than its ring holds, and then resets it", async () => {
  let asked = 0;
  const body = "x".repeat(2000);
  await using fixture = new Fixture(() => (asked++, new Response(body)), { limits: { stallTimeout: 60 } });
  const client = await fixture.client();
  const reader = await fixture.client();
  const gone = client.send(GET.repeat(20_000)).then(() => "taken", (error) => error);
  // Others do not notice.
  await reader.send(GET);
  await reader.expect(/x{2000}$/);
  assert.ok(await gone instanceof Deno.errors.ConnectionReset);
  // Both ends' rings are full of responses, and one waits.
  assert.ok(asked <= 2 * RING / body.length + 3, `${asked} requests were answered`);
  client.conn.close();
  reader.conn.close();
});

Deno.test("HttpServer bounds empty lines and fields without end", async () => {
  await using fixture = new Fixture(() => new Response("x"), { limits: { headerSize: 8192 } });
  for (
    const [start, again] of [["", "\r\n"], ["GET / HTTP/1.1\r\nHost: h\r\n", "A: b\r\n"], ["GET /", "a"]]
  ) {
    const client = await fixture.client();
    await client.send(start! + again!.repeat(Math.ceil(20_000 / again!.length)));
    assert.match(await client.rest(), /^HTTP\/1.1 431 /);
    client.conn.close();
  }
});

Deno.test("HttpServer leaves a slow handler alone", async () => {
  const limits = { headerTimeout: 20, keepAliveTimeout: 20, stallTimeout: 20 };
  await using fixture = new Fixture(async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return new Response("slow");
  }, { limits });
  const client = await fixture.client();
  await client.send(GET);
  await client.expect(/slow$/);
  client.conn.close();
});

Deno.test("HttpServer.shutdown() closes idle connections and lets the others end", async () => {
  let answer = () => {};
  const waiting = new Promise<void>((resolve) => answer = resolve);
  const asked = Promise.withResolvers<void>();
  const fixture = new Fixture(async (request) => {
    if (request.url.endsWith("/slow")) {
      asked.resolve();
      await waiting;
    }
    return new Response("done");
  });
  const idle = await fixture.client();
  await idle.send(GET);
  await idle.expect(/done$/);
  const busy = await fixture.client();
  await busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  await asked.promise;
  const ended = fixture.server.shutdown();
  assert.equal(await idle.rest(), "");
  await assert.rejects(fixture.client(), Deno.errors.ConnectionRefused);
  answer();
  assert.match(await busy.rest(), /^HTTP\/1.1 200 [^]*connection: close[^]*done$/i);
  idle.conn.close();
  busy.conn.close();
  await ended;
  await fixture.server.finished;
  fixture.tcp[Symbol.dispose]();
});

Deno.test("HttpServer closes everything when its signal is aborted", async () => {
  const controller = new AbortController();
  const asked = Promise.withResolvers<void>();
  const fixture = new Fixture(() => {
    asked.resolve();
    return new Promise(() => {});
  }, { signal: controller.signal });
  const client = await fixture.client();
  await client.send(GET);
  await asked.promise;
  controller.abort();
  await assert.rejects(client.rest(), Deno.errors.ConnectionReset);
  client.conn.close();
  await fixture.server.finished;
  fixture.tcp[Symbol.dispose]();
});

Deno.test("HttpServer takes no more connections than its limit, until one ends", async () => {
  await using fixture = new Fixture(() => new Response("x"), { limits: { connections: 1 } });
  const first = await fixture.client();
  const second = await fixture.client();
  await second.send(GET);
  await first.send(GET);
  await first.expect(/x$/);
  assert.equal(second.text, "");
  first.conn.close();
  await second.expect(/x$/);
  second.conn.close();
});
