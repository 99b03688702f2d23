import assert from "node:assert/strict";
import fc from "fast-check";
import { Ring, RingPool } from "./ring.ts";

Deno.test("Ring keeps a stream through growth and wrap", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 6000 }), fc.integer({ min: 0, max: 6000 })), {
        maxLength: 30,
      }),
      (steps) => {
        const pool = new RingPool();
        const ring = new Ring(pool);
        let written = 0, read = 0;
        const target = new Uint8Array(200_000);
        for (const [put, take] of steps) {
          const chunk = Uint8Array.from({ length: put }, (_, i) => (written + i) * 7 & 255);
          ring.grow(written - read + put, written - read);
          if (put > 0) ring.put(written - read, chunk, 0, put);
          written += put;
          const n = Math.min(take, written - read);
          if (n > 0) ring.copyTo(0, target, 0, n);
          for (let i = 0; i < n; i++) assert.equal(target[i], (read + i) * 7 & 255);
          ring.advance(n);
          read += n;
        }
        ring.free();
        assert.equal(pool.used, 0);
      },
    ),
  );
});

Deno.test("RingPool gives blocks again, and keeps no more than its limit", () => {
  const pool = new RingPool(8192);
  const [a, b, c] = [pool.take(1), pool.take(4096), pool.take(5000)];
  assert.deepEqual([a.bytes.length, b.bytes.length, c.bytes.length], [4096, 4096, 8192]);
  assert.equal(pool.used, 16384);
  pool.give(a);
  pool.give(b);
  pool.give(c);
  assert.deepEqual([pool.used, pool.retained], [0, 8192]);
  assert.equal(pool.take(4096), b);
  assert.equal(pool.take(4096), a);
});
