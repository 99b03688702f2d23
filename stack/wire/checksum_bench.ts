/**
 * What the Internet checksum costs: `deno bench stack/wire/checksum_bench.ts`.
 *
 * @module
 */

import { Region } from "../packet.ts";
import { sum } from "./checksum.ts";

// As much as a ring holds, and each range only once in a while: a processor that has learnt the data by heart predicts
// every branch, which no real data lets it do.
const region = new Region(new ArrayBuffer(4 << 20));
region.bytes.forEach((_, i) =>
  region.bytes[i] = Math.imul(Math.imul(i + 1, 0x9e3779b1) >>> 11, 0x85ebca6b) >>> 24
);
let at = 0;

for (const length of [20, 1460, 65536]) {
  for (const offset of [0, 2]) {
    Deno.bench({
      name: `${length} bytes from offset ${offset}`,
      group: String(length),
      baseline: offset === 0,
      fn() {
        at = at + length & ((4 << 20) - (128 << 10) - 1) & ~3;
        sum(region, at + offset, length);
      },
    });
  }
}
