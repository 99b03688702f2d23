import assert from "node:assert/strict";
import fc from "fast-check";
import { connect } from "../conn.ts";
import { HttpServer, type ServeHandler, type ServeOptions } from "../serve.ts";
import { FakeTcp } from "../testing/fake_tcp.ts";

const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** Sends pieces on one connection. @returns Everything that comes back until the server ends the connection. */
async function talk(
  pieces: readonly string[],
  handler: ServeHandler,
  limits: ServeOptions["limits"] = {},
  network = new FakeTcp(),
): Promise<string> {
  using tcp = network;
  const server = new HttpServer(tcp, tcp, {
    port: 80,
    onListen() {},
    onError: (error) => new Response(String(error), { status: 500 }),
    limits: { keepAliveTimeout: 5, headerTimeout: 300, ...limits },
  }, handler);
  const conn = await connect(tcp, tcp, { hostname: "10.0.0.3", port: 80 });
  const sending = (async () => {
    for (const piece of pieces) await conn.write(latin1(piece));
  })().catch(() => {});
  let text = "";
  const buffer = new Uint8Array(65536);
  try {
    for (let n; (n = await conn.read(buffer)) !== null;) {
      text += String.fromCharCode(...buffer.subarray(0, n));
    }
  } catch (error) {
    text += `\n${(error as Error).name}`;
  }
  await sending;
  conn.close();
  await server.shutdown();
  return text;
}

const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map((match) => Number(match[1]));

const HOST = "Host: h\r\n";
/** What an attacker wants a server to take for a request of its own. */
const SMUGGLED = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`;

const MALFORMED: Record<string, string> = {
  "Content-Length beside Transfer-Encoding":
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "Transfer-Encoding beside Content-Length":
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`,
  "two Content-Lengths": `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 5\r\n\r\n`,
  "the same Content-Length twice": `POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\nContent-Length: 0\r\n\r\n`,
  "a list of lengths": `POST / HTTP/1.1\r\n${HOST}Content-Length: 0, 0\r\n\r\n`,
  "a signed length": `POST / HTTP/1.1\r\n${HOST}Content-Length: +0\r\n\r\n`,
  "a negative length": `POST / HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`,
  "a hexadecimal length": `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x0\r\n\r\n`,
  "an empty length": `POST / HTTP/1.1\r\n${HOST}Content-Length: \r\n\r\n`,
  "a length that overflows": `POST / HTTP/1.1\r\n${HOST}Content-Length: 18446744073709551616\r\n\r\n`,
  "a length beyond what a number holds": `POST / HTTP/1.1\r\n${HOST}Content-Length: 9007199254740993\r\n\r\n`,
  "an unknown coding": `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n`,
  "chunked, but not last": `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  "chunked twice": `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
  "two Transfer-Encodings":
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "Transfer-Encoding in HTTP/1.0": `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "a coding behind a vertical tab":
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
  "a space before the colon": `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
  "a tab before the colon": `POST / HTTP/1.1\r\n${HOST}Content-Length\t: 0\r\n\r\n`,
  "a folded field": `POST / HTTP/1.1\r\n${HOST}X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "a folded coding": `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`,
  "a field that starts with a space": `GET / HTTP/1.1\r\n Host: h\r\n\r\n`,
  "a bare LF behind a field": `GET / HTTP/1.1\r\nX: a\n${HOST}\r\n`,
  "a bare LF behind the request line": `GET / HTTP/1.1\n${HOST}\r\n`,
  "a bare LF at the end of the header": `GET / HTTP/1.1\r\n${HOST}\n`,
  "a bare CR in a value": `GET / HTTP/1.1\r\n${HOST}X: a\rY: b\r\n\r\n`,
  "a NUL in a value": `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`,
  "a NUL in a name": `GET / HTTP/1.1\r\n${HOST}X\0: a\r\n\r\n`,
  "a name outside of ASCII": `GET / HTTP/1.1\r\n${HOST}X\xe9: a\r\n\r\n`,
  "an empty name": `GET / HTTP/1.1\r\n${HOST}: a\r\n\r\n`,
  "a field without a colon": `GET / HTTP/1.1\r\n${HOST}Nonsense\r\n\r\n`,
  "two Hosts": `GET / HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`,
  "no Host": `GET / HTTP/1.1\r\nX: y\r\n\r\n`,
  "a Host with a path": `GET / HTTP/1.1\r\nHost: h/smuggled?\r\n\r\n`,
  "a Host with a user": `GET / HTTP/1.1\r\nHost: a@h\r\n\r\n`,
  "a space in the target": `GET /a b HTTP/1.1\r\n${HOST}\r\n`,
  "no version": `GET /\r\n${HOST}\r\n`,
  "a version that does not exist": `GET / HTTP/1.2\r\n${HOST}\r\n`,
  "another protocol": `GET / ICE/1.0\r\n${HOST}\r\n`,
  "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "a method in lower case": `get / HTTP/1.1\r\n${HOST}\r\n`,
  "an unknown expectation": `POST / HTTP/1.1\r\n${HOST}Content-Length: 1\r\nExpect: more\r\n\r\nx`,
};

for (const [what, text] of Object.entries(MALFORMED)) {
  Deno.test(`HttpServer refuses ${what}, and takes nothing behind it for a request`, async () => {
    const seen: string[] = [];
    const answer = await talk([text + SMUGGLED], (request) => {
      seen.push(request.url);
      return new Response("answered");
    });
    assert.deepEqual(seen, []);
    assert.equal(statuses(answer).length, 1, answer);
    assert.match(answer, /^HTTP\/1\.1 (400|417|501|505) [^]*connection: close/);
  });
}

const BAD_CHUNKS: Record<string, string> = {
  "a size that is no number": "x\r\n",
  "a size with 0x": "0x1\r\na\r\n0\r\n\r\n",
  "a negative size": "-1\r\na\r\n0\r\n\r\n",
  "a size behind a space": " 1\r\na\r\n0\r\n\r\n",
  "a size before a space": "1 \r\na\r\n0\r\n\r\n",
  "a size that overflows": "10000000000000001\r\na\r\n0\r\n\r\n",
  "a bare LF behind the size": "1\na\r\n0\r\n\r\n",
  "a bare LF in an extension": "1;a\nb\r\na\r\n0\r\n\r\n",
  "data longer than its size": "1\r\nab\r\n0\r\n\r\n",
  "data that ends with a bare LF": "1\r\na\n0\r\n\r\n",
  "a bare LF at the end": "0\r\n\n",
};

for (const [what, text] of Object.entries(BAD_CHUNKS)) {
  Deno.test(`HttpServer ends a connection on which a chunk has ${what}`, async () => {
    const seen: string[] = [];
    const head = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;
    const answer = await talk([head + text + SMUGGLED], async (request) => {
      seen.push(new URL(request.url).pathname);
      return new Response(await request.text());
    });
    assert.deepEqual(seen, ["/"]);
    assert.match(answer, /^HTTP\/1\.1 500 [^]*connection: close[^]*malformed/);
    assert.equal(statuses(answer).length, 1);
    // The same when nobody reads the body: it has to be read over to find the next request.
    seen.length = 0;
    const unread = await talk([head + text + SMUGGLED], (request) => {
      seen.push(new URL(request.url).pathname);
      return new Response("unread");
    });
    assert.deepEqual(seen, ["/"]);
    assert.deepEqual(statuses(unread), [200]);
  });
}

Deno.test("HttpServer bounds what comes between the bytes of a chunked body", async () => {
  const head = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;
  const text = async (request: Request) => new Response(await request.text());
  for (
    const rest of [`1;${"x".repeat(200_000)}\r\na\r\n0\r\n\r\n`, `0\r\n${"X: y\r\n".repeat(40_000)}\r\n`]
  ) {
    assert.match(await talk([head + rest], text), /^HTTP\/1\.1 500 [^]*connection: close/);
  }
  const fine = "1;name=value\r\na\r\n".repeat(5000);
  assert.match(
    await talk([`${head}${fine}0\r\nTrailer: ignored\r\n\r\n`], text),
    /^HTTP\/1\.1 200 [^]*a{5000}$/,
  );
});

const REQUESTS =
  `\r\nGET /one?x=1 HTTP/1.1\r\n${HOST}X-Empty:\r\nX-Space: \t a b \t\r\nX-Latin: \xe9\r\n\r\n` +
  `POST /two HTTP/1.1\r\n${HOST}Content-Length: 11\r\n\r\nhello world` +
  `PUT /three HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-T: z\r\n\r\n` +
  `GET /four HTTP/1.1\r\n${HOST}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n` +
  `DELETE /five HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;

Deno.test("HttpServer reads the same requests however they are cut into pieces", async () => {
  const read = async (pieces: string[], slow: boolean) => {
    const seen: unknown[] = [];
    const answer = await talk(pieces, async (request) => {
      if (slow) await new Promise((resolve) => setTimeout(resolve, 0));
      const headers = ["x-empty", "x-space", "x-latin"].map((name) => request.headers.get(name));
      seen.push([request.method, request.url, ...headers, await request.text()]);
      return new Response(new URL(request.url).pathname);
    });
    assert.deepEqual(statuses(answer), [200, 200, 200, 200, 200], answer);
    assert.deepEqual([...answer.matchAll(/\r\n\r\n(\/[a-z]+)/g)].map((match) => match[1]), [
      "/one",
      "/two",
      "/three",
      "/four",
      "/five",
    ]);
    return seen;
  };
  const expected = [
    ["GET", "http://h/one?x=1", "", "a b", "\xe9", ""],
    ["POST", "http://h/two", null, null, null, "hello world"],
    ["PUT", "http://h/three", null, null, null, "hello world"],
    ["GET", "http://h/four", null, null, null, ""],
    ["DELETE", "http://h/five", null, null, null, ""],
  ];
  assert.deepEqual(await read([REQUESTS], false), expected);
  assert.deepEqual(await read([...REQUESTS], false), expected);
  const cuts = fc.array(fc.integer({ min: 1, max: REQUESTS.length - 1 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(cuts, fc.boolean(), async (places, slow) => {
      const sorted = [0, ...places.sort((a, b) => a - b), REQUESTS.length];
      const pieces = sorted.slice(1).map((end, index) => REQUESTS.slice(sorted[index], end));
      assert.deepEqual(await read(pieces, slow), expected);
    }),
    { numRuns: 40 },
  );
});

Deno.test("HttpServer takes a repeated request for what it says, and its neighbours for what they say", async () => {
  const same = `GET /same HTTP/1.1\r\n${HOST}X-Value: 1\r\n\r\n`;
  const usual = ["GET", "http://h/same", "1", null];
  const others: [string, unknown[]][] = [
    [`GET /same HTTP/1.1\r\n${HOST}X-Value: 2\r\n\r\n`, ["GET", "http://h/same", "2", null]],
    [
      `GET /same HTTP/1.1\r\n${HOST}X-Value: 1\r\nX-More: 1\r\n\r\n`,
      ["GET", "http://h/same", "1", "1"],
    ],
    [`PUT /same HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`, ["PUT", "http://h/same", null, null]],
    [`HEAD /same HTTP/1.1\r\n${HOST}X-Value: 1\r\n\r\n`, ["HEAD", "http://h/same", "1", null]],
    [same, usual],
  ];
  const seen: unknown[] = [];
  const handler = async (request: Request) => {
    seen.push([request.method, request.url, request.headers.get("x-value"), request.headers.get("x-more")]);
    // Whoever changes the fields of one request changes those of no other.
    request.headers.set("x-value", "changed");
    return new Response(`answer ${seen.length} ${await request.text()}`);
  };
  const expected: unknown[] = [];
  let text = "";
  for (const [other, told] of others) {
    text += same + same + same + other + same;
    expected.push(usual, usual, usual, told, usual);
  }
  text += `GET /end HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`;
  for (const pieces of [[text], [...text], text.split(/(?<=\r\n\r\n)/)]) {
    seen.length = 0;
    const answer = await talk(pieces, handler);
    assert.deepEqual(seen.slice(0, -1), expected);
    assert.equal(statuses(answer).length, expected.length + 1);
    assert.ok(answer.includes("answer 14 abc"), answer);
  }
});

Deno.test("HttpServer answers pipelined requests in order, and takes no more than it can answer", async () => {
  let under = 0, most = 0, count = 0;
  const requests = Array.from({ length: 500 }, (_, i) => `GET /${i} HTTP/1.1\r\n${HOST}\r\n`).join("");
  const body = "x".repeat(2000);
  const answer = await talk([requests], async (request) => {
    most = Math.max(most, ++under);
    // Later requests are the faster ones.
    await new Promise((resolve) => setTimeout(resolve, count++ < 5 ? 5 : 0));
    under--;
    return new Response(`${new URL(request.url).pathname} ${body}`);
  });
  assert.equal(most, 1);
  const paths = [...answer.matchAll(/\r\n\r\n\/(\d+) x/g)].map((match) => Number(match[1]));
  assert.deepEqual(paths, Array.from({ length: 500 }, (_, i) => i));
});

Deno.test("HttpServer does not take a client for idle whose next request waits while the event loop is busy", async () => {
  const tcp = new FakeTcp();
  let ahead = 0;
  tcp.time = () => performance.now() * 1000 + ahead;
  const late = async () => {
    // Behind the answer, before the turn that offers the second request.
    for (let i = 0; i < 50; i++) await null;
    ahead = 10_000_000;
    tcp.timers.advance(tcp.time());
  };
  const get = (path: string) => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`;
  const answer = await talk(
    [get("/1") + get("/2")],
    (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/1") late();
      return Promise.resolve(new Response(pathname));
    },
    {},
    tcp,
  );
  assert.deepEqual(statuses(answer), [200, 200]);
  assert.match(answer, /\/2$/);
});

Deno.test("HttpServer goes on behind a body that nobody read", async () => {
  const sized = `POST / HTTP/1.1\r\n${HOST}Content-Length: 300000\r\n\r\n${"a".repeat(300_000)}`;
  const chunked = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n` +
    "1000\r\n".concat("b".repeat(4096), "\r\n").repeat(50) + "0\r\n\r\n";
  const answer = await talk(
    [sized, chunked, sized, `GET /last HTTP/1.1\r\n${HOST}\r\n`],
    (request) => new Response(new URL(request.url).pathname),
  );
  assert.deepEqual(statuses(answer), [200, 200, 200, 200]);
  assert.match(answer, /\/last$/);
});

Deno.test("HttpServer speaks HTTP/1.0 as HTTP/1.0 is spoken", async () => {
  const stream = () =>
    new Response(
      new ReadableStream({
        start: (c) =>
          void (c.enqueue(latin1("a")),
            setTimeout(() => {
              c.enqueue(latin1("b"));
              c.close();
            })),
      }),
    );
  const old = await talk(["GET / HTTP/1.0\r\n\r\n"], stream);
  assert.match(old, /^HTTP\/1\.1 200 [^]*connection: close\r\n\r\nab$/);
  assert.doesNotMatch(old, /transfer-encoding/);
  const kept = await talk(
    ["GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"],
    () => new Response("x"),
  );
  assert.match(kept, /^HTTP[^]*connection: keep-alive\r\n\r\nxHTTP[^]*connection: close\r\n\r\nx$/);
});

Deno.test("HttpServer keeps to the length that a response says", async () => {
  const get = `GET / HTTP/1.1\r\n${HOST}\r\n`;
  const stream = (text: string, length: string) => () =>
    new Response(new Blob([text]).stream(), { headers: { "content-length": length } });
  const long = await talk([get + get], stream("hello", "3"));
  assert.doesNotMatch(long, /hel/);
  const short = await talk([get + get], stream("hello", "9"));
  assert.ok(statuses(short).length <= 1);
  assert.doesNotMatch(short, /hello.*HTTP/s);
  const fixed = await talk(
    [get],
    () => new Response("h\u00e9llo \u20ac", { headers: { "x-l": "\xe9" } }),
  );
  assert.match(fixed, /x-l: \xe9\r\n[^]*content-length: 10\r\n[^]*\r\n\r\nh\xc3\xa9llo \xe2\x82\xac$/);
});
