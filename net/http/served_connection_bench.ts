/**
 * What HTTP costs on top of TCP, with requests that lie in memory and responses that are only looked at:
 * `deno bench -A net/http/served_connection_bench.ts`.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import type { Bytes } from "../../stack/packet.ts";
import type { Connection, ConnectionHandler } from "../../stack/tcp/api.ts";
import { TimerWheel } from "../../stack/timer_wheel.ts";
import type { ServeHandler } from "./engine.ts";
import { StackHttpEngine } from "./stack_engine.ts";

/** Requests of one iteration. */
const REQUESTS = 1000;
const encoder = new TextEncoder();

/** A connection that takes everything, and keeps the last response. */
class Sink {
  handler: ConnectionHandler | null = null;
  noDelay = false;
  readable = 0;
  readonly local = IpAddress.parse("10.0.0.1");
  readonly remote = IpAddress.parse("10.0.0.2");
  readonly localPort = 80;
  readonly remotePort = 1024;
  readonly last = new Uint8Array(64 * 1024);
  writes = 0;
  length = 0;

  write(bytes: Bytes, offset: number, length: number): number {
    this.last.set(bytes.subarray(offset, offset + length));
    this.length = length;
    this.writes++;
    return length;
  }

  resume(): void {}
  close(): void {}
  closeWrite(): void {}
}

let now = 0;
const clock = { timers: new TimerWheel(), time: () => now, turn: () => now, wake() {} };

function bench(name: string, requests: readonly string[], handler: ServeHandler, expected: RegExp): void {
  const connections: Sink[] = [];
  const engine = new StackHttpEngine(clock, {
    handler,
    onError: (error) => new Response(String(error), { status: 500 }),
    onClosed() {},
    limits: { headerTimeout: 0, keepAliveTimeout: 0, stallTimeout: 0, headerSize: 16_384, connections: 100 },
  });
  for (let i = 0; i < 64; i++) {
    const sink = new Sink();
    engine.accept(sink as unknown as Connection);
    connections.push(sink);
  }
  const bytes = requests.map((request) => encoder.encode(request));
  Deno.bench(name, () => {
    now += 1000;
    for (let i = 0; i < REQUESTS; i++) {
      const sink = connections[i & 63]!;
      const request = bytes[i % bytes.length]!;
      const taken = sink.handler!.receive(sink as unknown as Connection, request, 0, request.length);
      if (taken !== request.length) throw new Error(`${taken} of ${request.length} bytes were taken`);
    }
    const text = new TextDecoder().decode(connections[0]!.last.subarray(0, connections[0]!.length));
    if (!expected.test(text)) throw new Error(`Wrong response: ${text}`);
  });
}

const headers = { "content-type": "text/plain" };
const hello = () => new Response("Hello, World!", { headers });
const expected = /^HTTP\/1\.1 200 OK\r\n[^]*content-length: 13\r\n[^]*\r\n\r\nHello, World!$/;
const browser = (path: string) =>
  `GET ${path} HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n` +
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n" +
  "Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef\r\n\r\n";

bench(
  `${REQUESTS} small requests, all the same`,
  ["GET / HTTP/1.1\r\nHost: 10.70.1.2\r\n\r\n"],
  hello,
  expected,
);
bench(
  `${REQUESTS} small requests, 100 paths`,
  Array.from({ length: 100 }, (_, i) => `GET /item/${i} HTTP/1.1\r\nHost: 10.70.1.2\r\n\r\n`),
  hello,
  expected,
);
bench(
  `${REQUESTS} requests of a browser, 100 paths`,
  Array.from({ length: 100 }, (_, i) => browser(`/item/${i}`)),
  hello,
  expected,
);
bench(
  `${REQUESTS} requests whose handler reads a field and answers in JSON`,
  Array.from({ length: 100 }, (_, i) => browser(`/item/${i}`)),
  (request) => Response.json({ url: request.url, agent: request.headers.get("user-agent") }),
  /^HTTP\/1\.1 200 OK\r\n[^]*content-type: application\/json\r\n[^]*\r\n\r\n\{"url":"http:\/\/example.org\/item\/\d+"/,
);
