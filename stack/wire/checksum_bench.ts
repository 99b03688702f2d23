/**
 * What the Internet checksum costs: `deno bench stack/wire/checksum_bench.ts`.
 *
 * @module
 */

import { Region } from "../packet.ts";
import { sum } from "./checksum.ts";

for (const length of [20, 1460, 65536]) {
  const region = new Region(new ArrayBuffer(length + 64));
  region.bytes.forEach((_, i) => region.bytes[i] = Math.imul(i + 1, 0x9e3779b1) >>> 24);
  for (const offset of [0, 2]) {
    Deno.bench({
      name: `${length} bytes from offset ${offset}`,
      group: String(length),
      baseline: offset === 0,
      fn() {
        sum(region, offset, length);
      },
    });
  }
}
