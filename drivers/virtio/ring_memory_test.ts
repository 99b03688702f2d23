import assert from "node:assert/strict";
import { RingMemory } from "./ring_memory.ts";
import { SimulatedMemory } from "./simulated.ts";

const CHUNK = 2 ** 21;

Deno.test("RingMemory.block() gives aligned blocks that do not overlap, until there is no more", () => {
  const rings = RingMemory.of(new SimulatedMemory(2 * CHUNK));
  const starts: number[] = [];
  for (const bytes of [65536, 131072, CHUNK, 65536]) {
    const block = rings.block(bytes);
    if (block === null) {
      starts.push(-1);
      continue;
    }
    assert.equal(block.bytes.byteOffset % bytes, 0);
    assert.equal(block.bytes.length, bytes);
    assert.equal(block.lent, true);
    assert.equal(rings.has(block), true);
    starts.push(block.bytes.byteOffset);
  }
  assert.deepEqual(starts, [0, 131072, CHUNK, -1]);
});

Deno.test("RingMemory.of() is the same for the same memory, and has no block of another", () => {
  const memory = new SimulatedMemory(CHUNK);
  assert.equal(RingMemory.of(memory), RingMemory.of(memory));
  const other = RingMemory.of(new SimulatedMemory(CHUNK));
  assert.equal(RingMemory.of(memory).has(other.block(65536)!), false);
});

Deno.test("RingMemory tells the device's addresses, which go on at another place after each chunk", () => {
  const memory = new SimulatedMemory(3 * CHUNK);
  const rings = RingMemory.of(memory);
  for (const offset of [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 4096]) {
    assert.equal(rings.high(offset) * 2 ** 32 + (rings.low(offset) >>> 0), memory.physical(offset));
  }
  assert.equal(rings.contiguous(0, 100), 100);
  assert.equal(rings.contiguous(CHUNK - 10, 100), 10);
  assert.equal(rings.contiguous(CHUNK, 3 * CHUNK), CHUNK);
});
