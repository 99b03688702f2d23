/**
 * What routes cost: `deno bench stack/ip/routes_bench.ts`. The tables have the prefix lengths that full tables have;
 * destinations are random, so that the memory of a large table is not in the processor's caches.
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import { xorshift } from "../testing/pair.ts";
import { Cidr, IpAddress } from "./address.ts";
import { PrefixTrie } from "./prefix_trie.ts";
import { Route, RouteTable } from "./routes.ts";

const LENGTHS_V4 = [24, 24, 24, 24, 24, 24, 23, 22, 22, 21, 20, 19, 18, 16];
const LENGTHS_V6 = [48, 48, 48, 48, 48, 44, 40, 36, 32, 32, 33, 29, 64, 56];
const SIZES = [100, 10_000, 1_000_000];
/** Look-ups of one iteration. */
const BATCH = 1024;
const eth0 = { name: "eth0" } as Interface;

for (const version of [4, 6] as const) {
  for (const size of SIZES) {
    const trie = new PrefixTrie();
    const random = xorshift(size);
    const words: number[] = [];
    while (trie.size < size) {
      const a = version === 4 ? random() : 0x20000000 | (random() & 0x0fffffff);
      const b = version === 4 ? 0 : random();
      words.push(a, b);
      const lengths = version === 4 ? LENGTHS_V4 : LENGTHS_V6;
      trie.set(a, b, 0, 0, lengths[(random() >>> 8) % lengths.length]!, trie.size);
    }
    const asked = new Int32Array(2 * BATCH);
    const per = (trie.bytes / trie.size).toFixed(1);
    Deno.bench({
      name: `${size} prefixes, ${per} bytes each: ${BATCH} look-ups`,
      group: `IPv${version}`,
      baseline: size === SIZES[0]!,
    }, (bench) => {
      for (let i = 0; i < BATCH; i++) {
        const at = ((random() >>> 1) % (words.length / 2)) * 2;
        asked[2 * i] = words[at]!;
        asked[2 * i + 1] = words[at + 1]!;
      }
      let found = 0;
      bench.start();
      for (let i = 0; i < BATCH; i++) found |= trie.lookup(asked[2 * i]!, asked[2 * i + 1]!, 0, 0, 128);
      bench.end();
      if (found === -1) throw new Error("Nothing was found");
    });
  }
}

const before = Deno.memoryUsage();
const table = new RouteTable(2_000_000);
const fill = xorshift(1);
while (table.size < 1_000_000) {
  const destination = new Cidr(IpAddress.v4(fill()), LENGTHS_V4[(fill() >>> 8) % LENGTHS_V4.length]!);
  table.add(new Route({ destination, interface: eth0 }));
}
const after = Deno.memoryUsage();
const bytes = (after.heapUsed + after.external - before.heapUsed - before.external) / table.size;
const name = `RouteTable of 1,000,000, ${bytes.toFixed(0)} bytes each with their objects`;
Deno.bench(`${name}: look-up by words`, () => void table.lookupV4(fill(), 0));
Deno.bench(`${name}: add and remove`, () => {
  const route = new Route({ destination: new Cidr(IpAddress.v4(fill()), 24), interface: eth0 });
  table.add(route);
  table.remove(route);
});
