import assert from "node:assert/strict";
import fc from "fast-check";
import { virtioCapabilities } from "./pci.ts";

/** A configuration space with one capability a row: place, next, type, BAR, offset, length. */
function space(first: number, rows: readonly (readonly number[])[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint16(6, 0x10, true);
  bytes[0x34] = first;
  for (const [at, next, type, bar, offset, length] of rows as readonly number[][]) {
    bytes.set([9, next!, 20, type!, bar!], at!);
    view.setUint32(at! + 8, offset!, true);
    view.setUint32(at! + 12, length!, true);
    if (type === 2) view.setUint32(at! + 16, 4, true);
  }
  return bytes;
}

Deno.test("virtioCapabilities() finds what QEMU's virtio-net-pci lists", () => {
  const bytes = space(0x98, [
    [0x84, 0x70, 5, 0, 0, 0],
    [0x70, 0x60, 2, 4, 0x3000, 0x1000],
    [0x60, 0x50, 4, 4, 0x2000, 0x1000],
    [0x50, 0x40, 3, 4, 0x1000, 0x1000],
    [0x40, 0x00, 1, 4, 0x0000, 0x1000],
  ]);
  // MSI-X comes first there.
  bytes.set([0x11, 0x84], 0x98);
  assert.deepEqual(virtioCapabilities(bytes).filter(({ type }) => type <= 4), [
    { type: 2, bar: 4, offset: 0x3000, length: 0x1000, multiplier: 4 },
    { type: 4, bar: 4, offset: 0x2000, length: 0x1000, multiplier: 0 },
    { type: 3, bar: 4, offset: 0x1000, length: 0x1000, multiplier: 0 },
    { type: 1, bar: 4, offset: 0x0000, length: 0x1000, multiplier: 0 },
  ]);
});

Deno.test("virtioCapabilities() takes the first of a type and skips BARs that do not exist", () => {
  const found = virtioCapabilities(space(0x40, [
    [0x40, 0x54, 1, 6, 0, 56],
    [0x54, 0x68, 1, 2, 64, 56],
    [0x68, 0x00, 1, 3, 128, 56],
  ]));
  assert.deepEqual(found.map(({ bar, offset }) => [bar, offset]), [[2, 64]]);
});

Deno.test("virtioCapabilities() ends in a list that goes round in circles, or leads out", () => {
  assert.equal(virtioCapabilities(space(0x40, [[0x40, 0x40, 1, 4, 0, 56]])).length, 1);
  assert.deepEqual(virtioCapabilities(space(0xf4, [])), []);
  assert.deepEqual(virtioCapabilities(space(0x10, [])), []);
  assert.deepEqual(virtioCapabilities(new Uint8Array(10)), []);
});

Deno.test("virtioCapabilities() takes any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 0, maxLength: 256 }), (bytes) => {
    for (const { bar } of virtioCapabilities(new Uint8Array(bytes))) assert.ok(bar <= 5);
  }));
});
