import assert from "node:assert/strict";
import { ForwardingTable } from "./forwarding_table.ts";

const HIGH = 0x0200;

Deno.test("ForwardingTable.find() knows an address until it was silent for too long", () => {
  const table = new ForwardingTable(64, 1000, 7);
  table.learn(HIGH, 1, 3, 0);
  assert.equal(table.find(HIGH, 1, 999), 3);
  assert.equal(table.find(HIGH, 1, 1000), -1);
  assert.equal(table.find(HIGH, 2, 0), -1);
  assert.equal(table.find(HIGH + 2, 1, 0), -1);
  table.learn(HIGH, 1, 3, 900);
  assert.equal(table.find(HIGH, 1, 1899), 3);
  assert.deepEqual(table.entries(1899), [{ high: HIGH, low: 1, port: 3, age: 999 }]);
  assert.deepEqual(table.entries(1900), []);
});

Deno.test("ForwardingTable.learn() follows an address that moves", () => {
  const table = new ForwardingTable(64, 1000, 7);
  table.learn(HIGH, -1, 0, 0);
  table.learn(HIGH, -1, 1, 10);
  assert.equal(table.find(HIGH, -1, 10), 1);
  assert.equal(table.moved, 1);
  // Whoever comes back after it was forgotten has not moved.
  table.learn(HIGH, -1, 0, 5000);
  assert.equal(table.moved, 1);
});

Deno.test("ForwardingTable.forget() forgets one port", () => {
  const table = new ForwardingTable(64, 1000, 7);
  for (let low = 0; low < 8; low++) table.learn(HIGH, low, low & 1, 0);
  table.forget(1);
  const known = Array.from({ length: 8 }, (_, low) => table.find(HIGH, low, 0));
  assert.deepEqual(known, [0, -1, 0, -1, 0, -1, 0, -1]);
});

Deno.test("ForwardingTable holds no more than its capacity, and no port drives out another's addresses", () => {
  const table = new ForwardingTable(1000, 1_000_000, 12345);
  assert.equal(table.capacity, 1024);
  for (let low = 0; low < 100; low++) table.learn(HIGH, low, 0, low);
  for (let low = 1000; low < 101_000; low++) table.learn(HIGH, low, 1, 200);
  assert.ok(table.entries(200).length <= 1024);
  for (let low = 0; low < 100; low++) assert.equal(table.find(HIGH, low, 200), 0, `address ${low}`);
  assert.ok(table.crowded > 90_000);
  // A newcomer of the crowded port takes the place of an old one of that port.
  table.learn(HIGH, 999_999, 1, 300);
  assert.equal(table.find(HIGH, 999_999, 300), 1);
  // When all have aged there is room for everybody again.
  table.learn(HIGH, 5_000_000, 2, 2_000_000);
  assert.equal(table.find(HIGH, 5_000_000, 2_000_000), 2);
});

Deno.test("ForwardingTable spreads addresses of one maker", () => {
  const table = new ForwardingTable(4096, 1_000_000, 99);
  for (let low = 0; low < 1500; low++) table.learn(HIGH, low, 0, 0);
  // Four places each: with a third of the room in use, hardly anybody is left out.
  assert.ok(table.crowded < 100, `${table.crowded} of 1500 found no place`);
});
