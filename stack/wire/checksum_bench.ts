/**
 * What the Internet checksum costs: `deno bench stack/wire/checksum_bench.ts`.
 *
 * @module
 */

import { allocateArena } from "../arena.ts";
import { Region } from "../packet.ts";
import { sum } from "./checksum.ts";

// As much as a ring holds, and each range only once in a while: a processor that has learnt the data by heart predicts
// every branch, which no real data lets it do.
const arena = allocateArena(4 << 20), plain = new Region(new ArrayBuffer(4 << 20));
plain.bytes.forEach((_, i) =>
  plain.bytes[i] = Math.imul(Math.imul(i + 1, 0x9e3779b1) >>> 11, 0x85ebca6b) >>> 24
);
arena.bytes.set(plain.bytes);
let at = 0;

for (const length of [20, 1460, 65536]) {
  for (const [kind, region] of [["words", plain], ["vectors", arena]] as const) {
    Deno.bench({
      name: `${length} bytes by ${kind}`,
      group: String(length),
      baseline: kind === "words",
      fn() {
        at = at + length & ((4 << 20) - (128 << 10) - 1) & ~3;
        sum(region, at + 2, length);
      },
    });
  }
}
