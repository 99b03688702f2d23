import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../ip/address.ts";
import { SourceFilter } from "./source_filter.ts";

const SOURCES = Array.from({ length: 6 }, (_, i) => IpAddress.v4(0x0a000001 + i));

function admits(filter: SourceFilter, source: IpAddress): boolean {
  return filter.exclude !== filter.names(source);
}

const anyFilter = fc.tuple(fc.boolean(), fc.subarray(SOURCES)).map(([exclude, sources]) =>
  new SourceFilter(exclude, sources)
);

Deno.test("SourceFilter.merge() lets through exactly whom somebody wants", () => {
  fc.assert(fc.property(fc.array(anyFilter, { maxLength: 5 }), (filters) => {
    const merged = SourceFilter.merge(filters);
    assert.equal(merged.exclude, filters.some((one) => one.exclude));
    for (const source of SOURCES) {
      assert.equal(admits(merged, source), filters.some((one) => admits(one, source)), `${merged} ${source}`);
    }
  }));
});

Deno.test("SourceFilter.merge() of nothing lets nobody through", () => {
  assert.equal(SourceFilter.merge([]).isEmpty, true);
  assert.equal(SourceFilter.merge([]).equals(SourceFilter.NOBODY), true);
});

Deno.test("SourceFilter counts a source once, and compares whatever the order", () => {
  const [a, b] = SOURCES as [IpAddress, IpAddress];
  assert.equal(new SourceFilter(true, [a, b, a]).sources.length, 2);
  assert.equal(new SourceFilter(true, [a, b]).equals(new SourceFilter(true, [b, a])), true);
  assert.equal(new SourceFilter(true, [a]).equals(new SourceFilter(false, [a])), false);
  assert.equal(String(SourceFilter.NOBODY.with(a).with(b).without(a)), "only {10.0.0.2}");
});
