import assert from "node:assert/strict";
import type { Packet } from "../stack/packet.ts";
import { fillFrame } from "./device_conformance_frames.ts";
import { Loop, type Pollable } from "./loop.ts";
import { MemoryDevice } from "./memory.ts";

/** Stands for a stack: notes when it was called, and asks for what the test says. */
class FakeStack implements Pollable {
  onWork: (() => void) | null = null;
  pauses = 0;
  polls: number[] = [];
  advanced = 0;
  next: (now: number) => number = () => Infinity;

  advance(now: number): void {
    this.advanced = now;
  }

  poll(now: number): number {
    this.polls.push(now);
    return this.next(now);
  }
}

function send(from: MemoryDevice, to: MemoryDevice, count = 1): void {
  for (let sequence = 0; sequence < count; sequence++) {
    const packet = from.reserve()!;
    fillFrame(packet, to.mac, from.mac, sequence, 60);
    from.transmit(packet);
  }
  from.flush();
}

/** Lets the event loop go on until `done`, for 5 s at most. */
async function until(done: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!done()) {
    assert.ok(performance.now() < end, "Waited for 5 s");
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

Deno.test("Loop delivers frames with the time set before", async () => {
  const [a, b] = MemoryDevice.pair();
  const stack = new FakeStack();
  using loop = new Loop(stack);
  let received = 0;
  loop.add(b, {
    receive() {
      assert.ok(stack.advanced > (stack.polls.at(-1) ?? 0));
      received++;
    },
  });
  await until(() => loop.counters.sleeps > 0);
  send(a, b, 3);
  await until(() => received === 3);
  assert.equal(loop.counters.frames, 3);
  a.close();
});

Deno.test("Loop sleeps when there is nothing to do, and wakes for a frame", async () => {
  const [a, b] = MemoryDevice.pair();
  const stack = new FakeStack();
  using loop = new Loop(stack);
  let received = 0;
  loop.add(b, { receive: () => void received++ });
  await until(() => loop.counters.sleeps === 1);
  const turns = loop.counters.turns;
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(loop.counters.turns, turns, "turns while asleep");
  send(a, b);
  await until(() => received === 1);
  await until(() => loop.counters.sleeps === 2);
  a.close();
});

Deno.test("Loop delivers at most the budget a turn, and lets others run in between", async () => {
  const [a, b] = MemoryDevice.pair({ queue: 1024, slots: 1024 });
  using loop = new Loop(new FakeStack(), { budget: 16 });
  const turns: number[] = [];
  let others = 0;
  loop.add(b, { receive: () => void turns.push(loop.counters.turns) });
  send(a, b, 1000);
  const other = (): void => {
    others++;
    if (turns.length < 1000) setImmediate(other);
  };
  setImmediate(other);
  await until(() => turns.length === 1000);
  for (let at = 16; at < 1000; at++) assert.ok(turns[at]! > turns[at - 16]!);
  assert.ok(others > 30, `others ran ${others} times in 63 turns`);
  a.close();
});

Deno.test("Loop ends a turn early when an application can't keep up, and goes on in the next", async () => {
  const [a, b] = MemoryDevice.pair();
  const stack = new FakeStack();
  using loop = new Loop(stack);
  const turns: number[] = [];
  loop.add(b, {
    receive() {
      turns.push(loop.counters.turns);
      if (turns.length === 3) stack.pauses++;
    },
  });
  await until(() => loop.counters.sleeps > 0);
  send(a, b, 40);
  await until(() => turns.length === 40);
  const first = turns.filter((turn) => turn === turns[0]).length;
  assert.ok(first >= 3 && first <= 16, `${first} frames in the first turn`);
  assert.equal(new Set(turns).size, 2, "the others at once");
  a.close();
});

Deno.test("Loop takes no frame more than the application, once that did not keep up", async () => {
  const [a, b] = MemoryDevice.pair();
  const stack = new FakeStack();
  using loop = new Loop(stack);
  const turns: number[] = [];
  loop.add(b, {
    receive() {
      turns.push(loop.counters.turns);
      if (turns.length % 5 === 0) stack.pauses++;
    },
  });
  await until(() => loop.counters.sleeps > 0);
  send(a, b, 40);
  await until(() => turns.length === 40);
  for (let frame = 15; frame < 40; frame += 5) {
    const turn = turns.slice(frame, frame + 5);
    assert.ok(turn.every((one) => one === turn[0] && one > turns[frame - 1]!), turns.join(" "));
  }
  a.close();
});

Deno.test("Loop.now is the time at which the turn began, and that of the clock between turns", async () => {
  const [a, b] = MemoryDevice.pair();
  const stack = new FakeStack();
  let time = 1000;
  using loop = new Loop(stack, { clock: () => time += 10 });
  const seen: number[] = [];
  loop.add(b, { receive: () => void seen.push(loop.now, loop.now, stack.advanced) });
  await until(() => loop.counters.sleeps > 0);
  assert.equal(loop.now, time);
  assert.ok(loop.now < loop.now);
  send(a, b);
  await until(() => seen.length === 3);
  assert.equal(new Set(seen).size, 1);
  a.close();
});

Deno.test("Loop lets timers and promises of the process run while it is busy", async () => {
  const stack = new FakeStack();
  stack.next = (now) => now;
  using loop = new Loop(stack);
  const before = loop.counters.turns;
  await new Promise((resolve) => setTimeout(resolve, 20));
  await Promise.resolve();
  assert.ok(loop.counters.turns > before + 100, "the loop was not busy");
});

Deno.test("Loop.kick() makes one turn soon, however often it is called", async () => {
  const stack = new FakeStack();
  using loop = new Loop(stack, { spin: 0 });
  await until(() => loop.counters.sleeps === 1);
  const polls = stack.polls.length;
  for (let call = 0; call < 100; call++) loop.kick();
  stack.onWork!();
  assert.equal(stack.polls.length, polls, "kick() did the turn itself");
  await until(() => loop.counters.sleeps === 2);
  assert.equal(stack.polls.length, polls + 1);
});

Deno.test("Loop makes another turn when it is kicked within one", async () => {
  const stack = new FakeStack();
  let left = 3;
  using loop = new Loop(stack, { spin: 0 });
  stack.next = () => {
    if (left-- > 0) loop.kick();
    return Infinity;
  };
  await until(() => loop.counters.sleeps === 1);
  assert.equal(stack.polls.length, 4);
});

Deno.test("Loop keeps deadlines: near ones awake, far ones asleep", async () => {
  const stack = new FakeStack();
  let deadline = 0;
  stack.next = (now) => now >= deadline ? Infinity : deadline;
  using loop = new Loop(stack);
  await until(() => loop.counters.sleeps === 1);
  for (const [distance, late] of [[300, 1500], [2000, 1500], [5000, 8000], [20_000, 8000]] as const) {
    const sleeps = loop.counters.sleeps;
    deadline = loop.now + distance;
    loop.kick();
    await until(() => stack.polls.at(-1)! >= deadline);
    // Bounds are generous, since the machine that runs this may be busy.
    assert.ok(stack.polls.at(-1)! < deadline + late * 20, `${distance} µs came too late`);
    const slept = loop.counters.sleeps > sleeps;
    if (distance > 4000) assert.ok(slept, `stayed awake for ${distance} µs`);
    await until(() => loop.counters.sleeps > sleeps);
  }
});

Deno.test("Loop minds the deadline of a device", async () => {
  const [a, b] = MemoryDevice.pair();
  const polls: number[] = [];
  const device = new Proxy(b, {
    get(target, key) {
      if (key === "deadline") return polls.length < 5 ? 0 : Infinity;
      if (key === "poll") return (_: unknown, __: number, now: number) => (polls.push(now), 0);
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  using loop = new Loop(new FakeStack(), { spin: 0 });
  loop.add(device, { receive() {} });
  await until(() => loop.counters.sleeps === 1);
  assert.ok(polls.length >= 5);
  a.close();
});

Deno.test("Loop reports what handlers and the stack throw, and goes on", async () => {
  const [a, b] = MemoryDevice.pair();
  const stack = new FakeStack();
  const errors: string[] = [];
  using loop = new Loop(stack, { spin: 0, onError: (error, where) => errors.push(`${where}: ${error}`) });
  let received = 0;
  loop.add(b, {
    receive(_packet: Packet) {
      if (++received === 2) throw new TypeError("The handler fails");
    },
  });
  let failed = false;
  let failedAt = Infinity;
  stack.next = (now) => {
    if (received < 4 || failed) return Infinity;
    failed = true;
    failedAt = now;
    throw new Error("The stack fails");
  };
  send(a, b, 4);
  await until(() => received === 4 && failed && loop.counters.sleeps > 0);
  assert.deepEqual(errors, ["memory1: TypeError: The handler fails", "stack: Error: The stack fails"]);
  // What was due when it failed is not forgotten: no frame brings the next turn.
  await until(() => stack.polls.at(-1)! >= failedAt + 9000);
  a.close();
});

Deno.test("Loop reports a device that is gone, and goes on without it", async () => {
  const [a, b] = MemoryDevice.pair();
  const errors: unknown[] = [];
  using loop = new Loop(new FakeStack(), { onError: (error) => errors.push(error) });
  const failure = new Error("The medium is gone");
  Object.defineProperty(b, "failure", { value: failure });
  loop.add(a, { receive() {} });
  loop.add(b, { receive() {} });
  b.close();
  await until(() => loop.counters.sleeps > 0);
  assert.deepEqual(errors, [failure]);
  assert.deepEqual(loop.devices, [a]);
});

Deno.test("Loop.close() closes the devices and leaves nothing behind", async () => {
  const [a, b] = MemoryDevice.pair();
  const stack = new FakeStack();
  const loop = new Loop(stack);
  loop.add(a, { receive() {} });
  loop.add(b, { receive() {} });
  loop.remove(b);
  loop.remove(b);
  await until(() => loop.counters.sleeps > 0);
  loop.close();
  loop.close();
  assert.equal(a.closed, true);
  assert.equal(b.closed, false);
  assert.equal(stack.onWork, null);
  const polls = stack.polls.length;
  loop.kick();
  for (let round = 0; round < 3; round++) await new Promise<void>((resolve) => setImmediate(resolve));
  assert.equal(stack.polls.length, polls);
});

Deno.test("Loop throws when an option is out of range", () => {
  assert.throws(() => new Loop(new FakeStack(), { budget: 0 }), /Option budget is "0"/);
  assert.throws(() => new Loop(new FakeStack(), { spin: -1 }), /Option spin is "-1"/);
});

Deno.test("Loop holds the process open until it is closed", async () => {
  const script = `
    import { Loop } from "${new URL("./loop.ts", import.meta.url)}";
    const loop = new Loop({ onWork: null, advance() {}, poll: () => Infinity });
    const timer = setTimeout(() => { console.log("still here"); loop.close(); }, 50);
    Deno.unrefTimer(timer);`;
  const { stdout } = await new Deno.Command("timeout", {
    args: ["10", Deno.execPath(), "eval", "--no-check", script],
  }).output();
  assert.equal(new TextDecoder().decode(stdout).trim(), "still here");
});
