import assert from "node:assert/strict";
import { Assembler } from "../stack/tcp/assembler.ts";
import { Ring } from "../stack/tcp/ring.ts";
import { retell, simulate } from "./simulation/main.ts";
import { type Outcome, World } from "./simulation/world.ts";

/** Milliseconds for the slice that CI runs. */
const TIME = 45_000;
/** Worlds that this must be enough for, on a slow machine too. */
const LEAST = 500;

Deno.test("Stacks keep every promise of TCP in thousands of random worlds", () => {
  const end = performance.now() + TIME;
  const failures: Outcome[] = [];
  const late = () => failures.length > 0 || performance.now() > end;
  const totals = simulate(1, 10_000, {}, (outcome) => failures.push(outcome), late);
  for (const { seed } of failures) assert.fail(retell(seed, {}, 200));
  assert(totals.passed >= LEAST, `${totals.passed} worlds in ${TIME} ms`);
  // Nearly all that were to connect have, however bad their links.
  assert(totals.unconnected < totals.connections / 20);
});

Deno.test("World gives the same frames at the same times for the same seed", () => {
  for (const seed of [3, 17, 4711]) {
    const one = new World(seed).run(), two = new World(seed, { story: 10 }).run();
    assert.deepEqual(one, two);
  }
  assert.notEqual(new World(3).run().digest, new World(4).run().digest);
});

/** Runs worlds until one fails. @returns What it says of it. */
function firstFailure(runs: number): string | null {
  for (let seed = 1; seed <= runs; seed++) {
    const { failure } = new World(seed).run();
    if (failure !== null) return failure;
  }
  return null;
}

Deno.test("World notices a byte that is changed, a byte that is lost, and memory that is not given back", () => {
  const { copyTo, free } = Ring.prototype;
  const { take } = Assembler.prototype;
  try {
    Ring.prototype.copyTo = function (at, target, offset, length) {
      copyTo.call(this, at, target, offset, length);
      if (length > 900) target[offset + 900]! ^= 1;
    };
    assert.match(firstFailure(100) ?? "", /Received a wrong byte/);
    Ring.prototype.copyTo = copyTo;

    Assembler.prototype.take = function (next) {
      const taken = take.call(this, next);
      return taken === next ? next : taken + 1 | 0;
    };
    assert.match(firstFailure(100) ?? "", /Received a wrong byte|records|Acknowledged|holds/i);
    Assembler.prototype.take = take;

    Ring.prototype.free = function () {
      this.region = null;
      return this;
    };
    assert.match(firstFailure(100) ?? "", /Left behind: .* bytes of rings/);
  } finally {
    Ring.prototype.copyTo = copyTo;
    Ring.prototype.free = free;
    Assembler.prototype.take = take;
  }
});
