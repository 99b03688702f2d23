import assert from "node:assert/strict";
import fc from "fast-check";
import { DESCRIPTOR_WRITE, QueueLayout, SplitQueue } from "./queue.ts";
import { DeviceQueue, SimulatedMemory } from "./simulated.ts";

function queues(
  size: number,
  eventIndex: boolean,
  inOrder = false,
): { driver: SplitQueue; device: DeviceQueue } {
  const memory = new SimulatedMemory(2 ** 21);
  const layout = new QueueLayout(128, size);
  return {
    driver: new SplitQueue(memory.buffer, layout, size, eventIndex, inOrder),
    device: new DeviceQueue(memory, size, layout, eventIndex),
  };
}

/** The address of offset 0 of the simulated memory. */
const BASE = new SimulatedMemory(0).physical(0);

function add(queue: SplitQueue, length: number): number {
  return queue.add(BASE | 0, Math.floor(BASE / 2 ** 32), length, DESCRIPTOR_WRITE);
}

Deno.test("QueueLayout aligns its parts and overlaps none", () => {
  for (const size of [1, 2, 4, 128, 256, 32768]) {
    const layout = new QueueLayout(64, size);
    assert.equal(layout.descriptors % 16, 0);
    assert.equal(layout.available % 2, 0);
    assert.equal(layout.used % 4, 0);
    assert.ok(layout.descriptors + 16 * size <= layout.available);
    assert.ok(layout.available + 6 + 2 * size <= layout.used);
    assert.ok(layout.used + 6 + 8 * size <= layout.end);
  }
});

Deno.test("SplitQueue refuses sizes that the standard does not know", () => {
  for (const size of [0, 3, 65536]) {
    assert.throws(() => new SplitQueue(new ArrayBuffer(16), new QueueLayout(0, 1), size, false), RangeError);
  }
});

Deno.test("SplitQueue shows nothing to the device before publish()", () => {
  const { driver, device } = queues(4, true);
  add(driver, 100);
  assert.equal(device.take(), null);
  driver.publish();
  assert.equal(device.take()!.length, 100);
});

Deno.test("SplitQueue.add() returns -1 when the queue is full", () => {
  const { driver } = queues(4, false);
  const ids = [1, 2, 3, 4].map((length) => add(driver, length));
  assert.deepEqual([...ids].sort(), [0, 1, 2, 3]);
  assert.equal(add(driver, 5), -1);
  assert.equal(driver.onLoan, 4);
});

for (const eventIndex of [false, true]) {
  const how = eventIndex ? "with event indices" : "with flags";

  Deno.test(`SplitQueue gives back every buffer exactly once, in any order, ${how}`, () => {
    const command = fc.constantFrom("add", "publish", "take", "give", "next");
    fc.assert(
      fc.property(fc.array(command, { maxLength: 400 }), fc.integer({ min: 0, max: 4 }), (commands, bits) => {
        const { driver, device } = queues(1 << bits, eventIndex);
        const lent = new Map<number, number>();
        const taken: { id: number; length: number }[] = [];
        let given = 0;
        for (const [i, what] of commands.entries()) {
          if (what === "add") {
            const id = add(driver, i + 1);
            assert.equal(id < 0, lent.size === 1 << bits);
            if (id >= 0) {
              assert.equal(lent.has(id), false);
              lent.set(id, i + 1);
            }
          } else if (what === "publish") {
            driver.publish();
          } else if (what === "take") {
            const buffer = device.take();
            if (buffer !== null) {
              assert.equal(buffer.length, lent.get(buffer.id));
              taken.push(buffer);
            }
          } else if (what === "give" && taken.length > 0) {
            const [buffer] = taken.splice(i % taken.length, 1);
            device.give(buffer!.id, buffer!.length);
            given++;
          } else if (what === "next") {
            const id = driver.next();
            assert.equal(id < 0, given === 0);
            if (id < 0) continue;
            given--;
            assert.equal(driver.usedLength, lent.get(id));
            lent.delete(id);
          }
        }
        assert.deepEqual([driver.faults.badIds, driver.faults.badIndices], [0, 0]);
      }),
    );
  });

  Deno.test(`SplitQueue never sleeps over a buffer, ${how}`, () => {
    // Over 65,536 rounds every index wraps.
    const { driver, device } = queues(8, eventIndex);
    for (let round = 0; round < 70_000; round++) {
      add(driver, 1);
      driver.publish();
      const asleep = driver.enableInterrupts(1);
      assert.equal(asleep, true);
      const { id } = device.take()!;
      device.give(id, 1);
      if (!device.wantsInterrupt()) assert.fail(`no interrupt in round ${round}`);
      driver.disableInterrupts();
      assert.equal(driver.next(), id);
      add(driver, 1);
      driver.publish();
      device.give(device.take()!.id, 1);
      if (device.wantsInterrupt()) assert.fail(`an interrupt that nobody asked for in round ${round}`);
      assert.equal(driver.enableInterrupts(1), false);
      driver.disableInterrupts();
      driver.next();
    }
  });
}

Deno.test("SplitQueue.publish() asks for a notification only when the device sleeps", () => {
  const { driver, device } = queues(8, true);
  assert.equal(device.take(), null);
  add(driver, 1);
  assert.equal(driver.publish(), true);
  add(driver, 1);
  assert.equal(driver.publish(), false, "the device has not said yet that it sleeps again");
  while (device.take() !== null);
  add(driver, 1);
  assert.equal(driver.publish(), true);
  assert.equal(driver.publish(), false);
});

Deno.test("SplitQueue.enableInterrupts() waits for as many buffers as it is told", () => {
  const { driver, device } = queues(8, true);
  for (let i = 0; i < 4; i++) add(driver, 1);
  driver.publish();
  assert.equal(driver.enableInterrupts(3), true);
  for (const wanted of [false, false, true, false]) {
    device.give(device.take()!.id, 1);
    assert.equal(device.wantsInterrupt(), wanted);
  }
  assert.equal(driver.enableInterrupts(3), false);
});

Deno.test("SplitQueue counts numbers that are not on loan and goes on", () => {
  const { driver, device } = queues(4, true);
  const id = add(driver, 1);
  driver.publish();
  device.take();
  device.give(99, 1);
  device.give(id ^ 1, 1);
  device.give(0xffffffff, 1);
  device.give(id, 7);
  assert.equal(driver.next(), id);
  assert.equal(driver.usedLength, 7);
  assert.equal(driver.faults.badIds, 3);
  device.give(id, 7);
  assert.equal(driver.next(), -1);
  assert.equal(driver.faults.badIds, 4);
});

Deno.test("SplitQueue stops when the device claims more than there is", () => {
  const { driver, device } = queues(4, true);
  add(driver, 1);
  driver.publish();
  device.lie(5);
  assert.equal(driver.next(), -1);
  assert.equal(driver.broken, true);
  assert.equal(driver.faults.badIndices, 1);
  device.lie(1);
  assert.equal(driver.next(), -1);
  assert.equal(driver.faults.badIndices, 1);
});

Deno.test("SplitQueue.extend() makes a buffer of several parts, which comes back as one", () => {
  const { driver, device } = queues(4, true);
  // Over and over, so that chains go over the table's end.
  for (let round = 0; round < 9; round++) {
    const id = add(driver, 10);
    assert.equal(driver.extend(BASE + 64 | 0, Math.floor(BASE / 2 ** 32), 20, DESCRIPTOR_WRITE), true);
    assert.equal(driver.extend(BASE + 128 | 0, Math.floor(BASE / 2 ** 32), 30, DESCRIPTOR_WRITE), true);
    assert.equal(driver.free, 1);
    driver.publish();
    const taken = device.take()!;
    assert.equal(taken.id, id);
    assert.deepEqual(
      taken.parts.map(({ offset, length }) => [offset, length]),
      [[0, 10], [64, 20], [128, 30]],
    );
    device.give(taken.id, 60);
    assert.equal(driver.next(), id);
    assert.equal(driver.free, 4);
    assert.equal(driver.next(), -1);
  }
});

Deno.test("SplitQueue.extend() leaves a buffer as it was when the queue is full", () => {
  const { driver, device } = queues(2, true);
  const id = add(driver, 10);
  assert.equal(driver.extend(BASE | 0, Math.floor(BASE / 2 ** 32), 20, DESCRIPTOR_WRITE), true);
  assert.equal(driver.extend(BASE | 0, Math.floor(BASE / 2 ** 32), 30, DESCRIPTOR_WRITE), false);
  driver.publish();
  assert.equal(device.take()!.parts.length, 2);
  device.give(id, 0);
  assert.equal(driver.next(), id);
  assert.equal(driver.free, 2);
});

Deno.test("SplitQueue takes back all buffers up to the one that an in-order device names", () => {
  const { driver, device } = queues(8, true, true);
  const numbers = fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 })));
  fc.assert(fc.property(numbers, (steps) => {
    for (const [parts, batch] of steps) {
      const ids: number[] = [];
      for (let i = 0; i < batch && driver.free >= parts; i++) {
        ids.push(add(driver, 100 + i));
        for (let more = 1; more < parts; more++) {
          assert.ok(driver.extend(BASE | 0, Math.floor(BASE / 2 ** 32), 1, DESCRIPTOR_WRITE));
        }
      }
      driver.publish();
      for (let i = 0; i < ids.length; i++) assert.equal(device.take()!.id, ids[i]);
      // One entry of the ring for all of them, and room for the others behind it.
      device.giveInOrder(ids.at(-1)!, 7, ids.length);
      for (const [i, id] of ids.entries()) {
        assert.equal(driver.next(), id);
        assert.equal(driver.usedLength, i === ids.length - 1 ? 7 : 100 + i);
      }
      assert.equal(driver.next(), -1);
      assert.equal(driver.free, 8);
    }
  }));
  assert.deepEqual([driver.faults.badIds, driver.faults.badIndices, driver.broken], [0, 0, false]);
});

Deno.test("SplitQueue uses the descriptors in the table's order when the device keeps to it", () => {
  const { driver, device } = queues(4, true, true);
  const used: number[] = [];
  for (let round = 0; round < 6; round++) {
    used.push(add(driver, 1), add(driver, 1));
    driver.publish();
    device.take();
    device.take();
    device.giveInOrder(used.at(-1)!, 1, 2);
    driver.next();
    driver.next();
  }
  assert.deepEqual(used, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
});

Deno.test("SplitQueue stops when an in-order device names a buffer that it does not have, or not yet", () => {
  for (const [id, count] of [[3, 1], [99, 1], [2, 2]] as const) {
    const { driver, device } = queues(4, true, true);
    for (let i = 0; i < 3; i++) add(driver, 1);
    driver.publish();
    device.giveInOrder(id, 1, count);
    assert.equal(driver.next(), -1);
    assert.equal(driver.broken, true);
    assert.equal(driver.faults.badIds, 1);
  }
});
