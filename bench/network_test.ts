import assert from "node:assert/strict";
import { readPing, readWrk } from "./network.ts";

const OUTPUT = `Running 1s test @ http://10.0.0.1/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.38ms  123.00us   2.10ms   77.00%
    Req/Sec    11.60k     1.20k   13.10k    70.00%
  Latency Distribution
     50%  950.00us
     75%    1.20ms
     90%    1.60ms
     99%    1.02s
  11580 requests in 1.00s, 1.64MB read
Requests/sec:  11575.33
Transfer/sec:      1.64MB
`;

Deno.test("readWrk() reads rate and latencies in µs", () => {
  assert.deepEqual(readWrk(OUTPUT), {
    requests_per_second: 11575.33,
    p50_us: 950,
    p99_us: 1_020_000,
    requests: 11580,
  });
});

Deno.test("readWrk() throws on errors, and when nothing was measured", () => {
  assert.throws(
    () => readWrk(OUTPUT + "  Socket errors: connect 0, read 3, write 0, timeout 0\n"),
    /Socket errors: connect 0, read 3/,
  );
  assert.throws(() => readWrk(OUTPUT + "  Non-2xx or 3xx responses: 5\n"), /Non-2xx/);
  assert.throws(() => readWrk("unable to connect"), /measured nothing/);
});

Deno.test("readPing() reads round trips in µs, and throws when an answer is missing", () => {
  const line = (time: string) => `64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=${time} ms\n`;
  const lines = line("0.020") + line("0.022") + line("1.50");
  const end = (received: number) =>
    `\n--- 10.0.0.1 ping statistics ---\n3 packets transmitted, ${received} received`;
  assert.deepEqual(readPing(lines + end(3)), { p50_us: 22, p99_us: 1500, requests: 3 });
  assert.throws(() => readPing(lines + end(2)), /lost answers/);
});
