import assert from "node:assert/strict";
import fc from "fast-check";
import { Region } from "../packet.ts";
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

/** A device with `most` bytes for what is sent. */
class Source {
  closed = false;
  given = 0;
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  block(bytes: number): Region | null {
    if (this.given + bytes > this.#most) return null;
    this.given += bytes;
    const region = new Region(new ArrayBuffer(bytes));
    region.lent = true;
    return region;
  }
}

Deno.test("RingPool takes large blocks for what is sent from its source, and any others where that has none", () => {
  const pool = new RingPool(0);
  const source = pool.source = new Source(1 << 18);
  assert.equal(pool.take(1 << 17).lent, false);
  assert.equal(pool.take(4096, true).lent, false);
  const lent = pool.take(100_000, true);
  assert.deepEqual([lent.lent, lent.bytes.length, source.given], [true, 1 << 17, 1 << 17]);
  assert.equal(pool.take(1 << 18, true).lent, false);
  pool.give(lent);
  assert.equal(pool.retained, 0);
  assert.equal(pool.take(1 << 17, true), lent);
});

Deno.test("RingPool gives no block again out of which a frame is under way", () => {
  const pool = new RingPool();
  pool.source = new Source(1 << 18);
  const [first, second] = [pool.take(1 << 17, true), pool.take(1 << 17, true)];
  first.loans++;
  pool.give(second);
  pool.give(first);
  assert.equal(pool.take(1 << 17, true), second);
  assert.equal(pool.take(1 << 17, true).lent, false);
  first.loans--;
  assert.equal(pool.take(1 << 17, true), first);
});

Deno.test("Ring keeps what it sends in blocks of the source, once it is large enough", () => {
  const pool = new RingPool();
  pool.source = new Source(1 << 18);
  const ring = new Ring(pool, true);
  ring.grow(4096, 0);
  ring.put(0, Uint8Array.from({ length: 4096 }, (_, i) => i), 0, 4096);
  assert.equal(ring.region!.lent, false);
  ring.grow(1 << 17, 4096);
  assert.equal(ring.region!.lent, true);
  assert.deepEqual(ring.region!.bytes.slice(0, 4096), Uint8Array.from({ length: 4096 }, (_, i) => i));
  const receiving = new Ring(pool);
  receiving.grow(1 << 17, 0);
  assert.equal(receiving.region!.lent, false);
});

Deno.test("Ring.grow() of a pool's empty ring takes another one, and free() gives it back for the next", () => {
  const pool = new RingPool();
  const sending = pool.emptySend.grow(10, 0), receiving = pool.emptyReceive.grow(10, 0);
  assert.notEqual(sending, pool.emptySend);
  assert.deepEqual([sending.sending, receiving.sending, sending.capacity], [true, false, 4096]);
  assert.deepEqual([pool.emptySend.capacity, pool.emptyReceive.capacity], [0, 0]);
  assert.equal(sending.grow(5000, 10), sending);
  assert.equal(sending.free(), pool.emptySend);
  assert.equal(receiving.free(), pool.emptyReceive);
  assert.equal(pool.emptySend.free(), pool.emptySend);
  assert.equal(pool.used, 0);
  const next = pool.emptyReceive.grow(1, 0);
  assert.equal(next, receiving);
  assert.equal(pool.emptyReceive.grow(1, 0), sending);
  assert.equal(sending.sending, false);
});
