import assert from "node:assert/strict";
import { sipHash } from "./siphash.ts";

const KEY = Uint8Array.from({ length: 16 }, (_, i) => i);

Deno.test("sipHash() gives the result of the paper's example", () => {
  const message = Uint8Array.from({ length: 15 }, (_, i) => i);
  assert.deepEqual([...sipHash(KEY, message)], [0xe5, 0x45, 0xbe, 0x49, 0x61, 0xca, 0x29, 0xa1]);
});

Deno.test("sipHash() takes every length and tells inputs and keys apart", () => {
  const seen = new Set<string>();
  for (let length = 0; length < 40; length++) seen.add(String(sipHash(KEY, new Uint8Array(length))));
  for (let i = 0; i < 16; i++) {
    seen.add(String(sipHash(KEY.map((byte, at) => at === i ? byte ^ 1 : byte), new Uint8Array(3))));
  }
  assert.equal(seen.size, 56);
  assert.throws(() => sipHash(new Uint8Array(8), KEY), RangeError);
});
