import assert from "node:assert/strict";
import fc from "fast-check";
import { HEADROOM, Region } from "./packet.ts";
import { TestDevice } from "./testing/test_device.ts";

Deno.test("Packet.copyInto() copies what copyTo() copies, and stays in the slot", () => {
  const from = new TestDevice({ slotSize: 8192, slots: 2 }),
    to = new TestDevice({ slotSize: 8192, slots: 3 });
  const ring = new Region(new ArrayBuffer(4096));
  ring.bytes.forEach((_, i) => ring.bytes[i] = i * 3);
  const source = from.reserve()!;
  source.bytes.forEach((_, i) => source.bytes[i] = i * 7);
  const length = fc.oneof(fc.nat(300), fc.constantFrom(1500, 1792, 1793, 2048, 2049, 7000));
  fc.assert(fc.property(length, fc.constantFrom(0, 14, 242), fc.nat(100), (length, back, piece) => {
    source.reset(HEADROOM - back, HEADROOM - back + length);
    if (piece > 50) source.append(ring, 5, piece);
    const target = to.reserve()!;
    target.bytes.fill(0xee, 0, target.base);
    target.bytes.fill(0xee, target.limit);
    const fits = target.offset + source.length <= target.limit;
    assert.equal(source.copyInto(target), fits);
    if (fits) {
      const expected = new Uint8Array(source.length);
      source.copyTo(expected, 0);
      assert.deepEqual(target.bytes.slice(target.offset, target.end), expected);
    }
    const outside = [...target.bytes.subarray(0, target.base), ...target.bytes.subarray(target.limit)];
    assert.ok(outside.every((byte) => byte === 0xee));
    source.dropPieces();
    to.release(target);
  }));
});
