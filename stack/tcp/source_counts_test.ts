import assert from "node:assert/strict";
import fc from "fast-check";
import { KeyedHash } from "../hash.ts";
import { IpAddress } from "../ip/address.ts";
import { SourceCounts } from "./source_counts.ts";

Deno.test("SourceCounts counts as a map does, whatever comes and goes", () => {
  const source = fc.oneof(
    fc.nat({ max: 60 }).map((n) => IpAddress.v4(0x0a000000 + n)),
    fc.nat({ max: 60 }).map((n) => IpAddress.parse(`2001:db8:${n}::${n % 3}`)),
  );
  fc.assert(fc.property(fc.array(fc.tuple(source, fc.nat({ max: 2 })), { maxLength: 400 }), (steps) => {
    const counts = new SourceCounts(new KeyedHash(() => 7), { connections: 3, halfOpen: 2 });
    const model = new Map<string, { all: number; half: number; source: IpAddress }>();
    for (const [address, step] of steps) {
      const key = address.version === 4 ? `${address}` : `${address.a} ${address.b}`;
      const entry = model.get(key) ?? { all: 0, half: 0, source: address };
      if (step === 0) {
        counts.add(address);
        entry.all++;
        entry.half++;
        model.set(key, entry);
      } else if (step === 1 && entry.half > 0) {
        counts.established(address);
        entry.half--;
      } else if (step === 2 && entry.all > 0) {
        const half = entry.half === entry.all;
        counts.remove(address, half);
        entry.all--;
        if (half) entry.half--;
        if (entry.all === 0) model.delete(key);
      }
      assert.equal(counts.size, model.size);
    }
    for (const { all, half, source } of model.values()) {
      assert.equal(counts.hasRoom(source), all < 3);
      assert.equal(counts.hasHalfOpenRoom(source), half < 2);
    }
  }));
});

Deno.test("SourceCounts takes the /64 of an IPv6 address for one source", () => {
  const counts = new SourceCounts(new KeyedHash(() => 7), { connections: 1 });
  counts.add(IpAddress.parse("2001:db8:1:2::1"));
  assert.equal(counts.hasRoom(IpAddress.parse("2001:db8:1:2:ffff::9")), false);
  assert.equal(counts.hasRoom(IpAddress.parse("2001:db8:1:3::1")), true);
  assert.equal(counts.hasHalfOpenRoom(IpAddress.parse("2001:db8:1:2::1")), true);
});
