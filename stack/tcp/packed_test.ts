import assert from "node:assert/strict";
import { packed } from "./packed.ts";

const flags = Object.fromEntries(Array.from({ length: 59 }, (_, i) => [`flag${i}`, false as const]));
const Sample = packed({ time: -Infinity, total: 3 }, { limit: Infinity, retries: 5 }, flags);
type Flags = Record<string, boolean>;

Deno.test("packed() gives every object numbers of its own", () => {
  const a = new Sample(), b = new Sample();
  a.time = 0.5;
  a.total += 2 ** 40;
  assert.deepEqual([a.time, a.total, b.time, b.total], [0.5, 3 + 2 ** 40, -Infinity, 3]);
});

Deno.test("packed() shares rare numbers until one is changed", () => {
  const a = new Sample(), b = new Sample();
  a.limit = Infinity;
  assert.equal(a.rareNumbers, b.rareNumbers);
  a.limit = 7;
  a.retries++;
  assert.deepEqual([a.limit, a.retries, b.limit, b.retries], [7, 6, Infinity, 5]);
  const { rareNumbers } = a;
  a.limit = 8;
  assert.equal(a.rareNumbers, rareNumbers, "Takes memory once");
});

Deno.test("share() hands on rare numbers as they are, and a change after it is nobody else's", () => {
  const a = new Sample();
  a.retries = 9;
  const shared = a.shared();
  const b = new Sample();
  b.share(shared);
  assert.deepEqual([b.retries, b.rareNumbers === a.rareNumbers], [9, true]);
  a.retries = 1;
  b.limit = 2;
  const c = new Sample();
  c.share(shared);
  assert.deepEqual([a.retries, a.limit], [1, Infinity]);
  assert.deepEqual([b.retries, b.limit], [9, 2]);
  assert.deepEqual([c.retries, c.limit], [9, Infinity]);
});

Deno.test("packed() keeps each of 59 flags apart from the others and from whose the rare numbers are", () => {
  const object = new Sample() as Flags & InstanceType<typeof Sample>;
  for (const name of Object.keys(flags)) {
    assert.equal(object[name], false);
    object[name] = true;
    for (const other of Object.keys(flags)) assert.equal(object[other], other === name, `${name}, ${other}`);
    object[name] = false;
  }
  for (const name of Object.keys(flags)) object[name] = true;
  assert.equal(object.rareNumbers, new Sample().rareNumbers);
  object.limit = 1;
  assert.ok(Object.keys(flags).every((name) => object[name]));
  assert.equal(new Sample().limit, Infinity);
});

Deno.test("packed() refuses more flags than it has bits for", () => {
  assert.throws(() => packed({}, {}, { ...flags, another: false }), /Flags must be less than 60, got 60/);
});
