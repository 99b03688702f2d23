import assert from "node:assert/strict";
import fc from "fast-check";
import { RequestHead } from "./head.ts";
import { fingerprint, keepHead, recallHead } from "./known_heads.ts";

const encoder = new TextEncoder();

Deno.test("recallHead() finds a header that is the same byte for byte, and no other", () => {
  const head = new RequestHead();
  const text = "GET /known HTTP/1.1\r\nHost: h\r\n\r\n";
  const around = encoder.encode(`xy${text}GET /next`);
  const { length } = text;
  const print = fingerprint(around, 2, length);
  assert.equal(recallHead(print, around, 2, around.length - 2), null);
  keepHead(print, around, 2, length, head, "http://h/known");
  // What is kept does not lie in memory that others use.
  const again = encoder.encode(`${text}GET /next`);
  around.fill(0);
  assert.equal(recallHead(print, again, 0, again.length)?.head, head);
  assert.equal(recallHead(print, again, 0, length)?.url, "http://h/known");
  assert.equal(recallHead(print, again, 0, length - 1), null);
  fc.assert(fc.property(fc.nat(length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
    const other = again.slice();
    other[at]! ^= change;
    assert.equal(recallHead(print, other, 0, other.length), null);
  }));
});

Deno.test("keepHead() keeps no header that is long", () => {
  const long = encoder.encode(`GET /long HTTP/1.1\r\nX: ${"x".repeat(2000)}\r\n\r\n`);
  const print = fingerprint(long, 0, long.length);
  keepHead(print, long, 0, long.length, new RequestHead(), "http://h/long");
  assert.equal(recallHead(print, long, 0, long.length), null);
});
