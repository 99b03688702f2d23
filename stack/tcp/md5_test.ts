import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Md5 } from "./md5.ts";

function digestOf(pieces: Uint8Array[]): string {
  const md5 = new Md5();
  md5.begin();
  for (const piece of pieces) md5.update(piece, 0, piece.length);
  const target = new Uint8Array(20);
  md5.digest(target, 2);
  assert.deepEqual([target[0], target[1], target[18], target[19]], [0, 0, 0, 0]);
  return Array.from(target.subarray(2, 18), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

Deno.test("Md5 gives the digests of RFC 1321's test suite", () => {
  const text = (s: string) => digestOf([new TextEncoder().encode(s)]);
  assert.equal(text(""), "d41d8cd98f00b204e9800998ecf8427e");
  assert.equal(text("abc"), "900150983cd24fb0d6963f7d28e17f72");
  assert.equal(text("abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b");
});

Deno.test("Md5 gives what node:crypto gives for every length around a block, in whatever pieces it comes", () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => i * 7 & 255);
  for (let length = 0; length <= 200; length++) {
    const whole = bytes.subarray(0, length);
    const expected = createHash("md5").update(whole).digest("hex");
    const cut = length * 5 % (length + 1);
    assert.equal(digestOf([whole.subarray(0, cut), whole.subarray(cut)]), expected, `${length}`);
  }
});
