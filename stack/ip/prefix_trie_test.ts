import assert from "node:assert/strict";
import fc from "fast-check";
import { PrefixTrie } from "./prefix_trie.ts";

type Words = readonly [number, number, number, number];

/** What the trie is measured by: every prefix looked at, one after another. */
class Oracle {
  readonly prefixes = new Map<string, { words: Words; length: number; value: number }>();

  lookup(words: Words, longest: number): { value: number; length: number } {
    let best = { value: -1, length: -1 };
    for (const prefix of this.prefixes.values()) {
      if (prefix.length > longest || prefix.length <= best.length) continue;
      if (masked(words, prefix.length) === masked(prefix.words, prefix.length)) best = prefix;
    }
    return best;
  }
}

function masked(words: Words, length: number): string {
  return words.map((word) => (word >>> 0).toString(2).padStart(32, "0")).join("").slice(0, length);
}

const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
/** Few different bits, so that prefixes lie in each other. */
const crowded = fc.constantFrom(
  0,
  -1,
  0x0a000000,
  0x0a010000,
  0x0a010200,
  0x0a010203,
  0x20010db8,
  1,
  0x80000000 | 0,
);
const words = fc.tuple(fc.oneof(crowded, word), fc.oneof(crowded, word), crowded, fc.oneof(crowded, word));
const change = fc.record({
  words,
  length: fc.oneof(fc.nat(128), fc.constantFrom(0, 1, 4, 5, 8, 24, 28, 29, 32, 33, 64, 124, 125, 128)),
  value: fc.nat(0x7fffffff),
  keep: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
});

Deno.test("PrefixTrie gives what looking at every prefix gives, through any changes", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 80 }), fc.array(words, { maxLength: 10 }), (changes, asked) => {
      const trie = new PrefixTrie();
      const oracle = new Oracle();
      const known: Words[] = [...asked];
      for (const { words, length, value, keep } of changes) {
        const key = `${masked(words, length)}/${length}`;
        // Taking out what was entered before is more telling than what never was there.
        const old = keep ? undefined : [...oracle.prefixes.values()][value % (oracle.prefixes.size || 1)];
        if (old !== undefined) {
          assert.equal(trie.delete(...old.words, old.length), true);
          assert.equal(trie.delete(...old.words, old.length), false);
          oracle.prefixes.delete(`${masked(old.words, old.length)}/${old.length}`);
        } else {
          trie.set(...words, length, value);
          oracle.prefixes.set(key, { words, length, value });
          assert.equal(trie.get(...words, length), value);
        }
        assert.equal(trie.size, oracle.prefixes.size);
        known.push(words);
      }
      for (const target of known) {
        for (const longest of [128, 127, 64, 33, 32, 24, 5, 4, 3, 1, 0, -1]) {
          const expected = oracle.lookup(target, longest);
          assert.equal(trie.lookup(...target, longest), expected.value);
          if (expected.value >= 0) assert.equal(trie.matched, expected.length);
        }
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("PrefixTrie takes memory back when prefixes come and go", () => {
  const trie = new PrefixTrie();
  const churn = () => {
    for (let i = 0; i < 2000; i++) trie.set(Math.imul(i, 0x9e3779b1), 0, 0, 0, 8 + i % 25, i);
    for (let i = 0; i < 2000; i++) trie.delete(Math.imul(i, 0x9e3779b1), 0, 0, 0, 8 + i % 25);
    assert.equal(trie.size, 0);
  };
  churn();
  const before = trie.bytes;
  for (let round = 0; round < 20; round++) churn();
  assert.equal(trie.bytes, before);
});

Deno.test("PrefixTrie holds a million prefixes in less than 24 bytes each", () => {
  const trie = new PrefixTrie();
  fillLikeTheInternet(trie, 1_000_000);
  assert.equal(trie.size, 1_000_000);
  assert.ok(trie.bytes / trie.size < 24, `${trie.bytes / trie.size} bytes a prefix`);
  assert.equal(trie.get(Math.imul(1, 256) + 0x01000000, 0, 0, 0, 24), 1);
});

/** Prefixes of the lengths that full tables have: most of them of 24 bits, side by side in the same blocks. */
function fillLikeTheInternet(trie: PrefixTrie, size: number): void {
  const lengths = [24, 24, 24, 24, 24, 24, 23, 22, 22, 21, 20, 19, 18, 16];
  for (let i = 0; trie.size < size; i++) {
    trie.set((0x01000000 + i * 256) | 0, 0, 0, 0, i % 3 === 1 ? 24 : lengths[i % lengths.length]!, i);
  }
}
