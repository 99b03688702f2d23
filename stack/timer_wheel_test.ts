import assert from "node:assert/strict";
import fc from "fast-check";
import { Timer, TimerWheel } from "./timer_wheel.ts";

class Recorder {
  readonly fired: [Timer, number][] = [];
  expire(timer: Timer, now: number) {
    this.fired.push([timer, now]);
  }
}

Deno.test("TimerWheel expires each timer once, never early, at the first advance after it", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1e13 }), { maxLength: 40 }),
      fc.array(fc.integer({ min: 0, max: 1e12 }), { maxLength: 60 }),
      (deadlines, steps) => {
        const wheel = new TimerWheel();
        const recorder = new Recorder();
        const timers = deadlines.map((deadline) => {
          const timer = new Timer(recorder);
          wheel.arm(timer, deadline);
          return timer;
        });
        const due = new Map(timers.map((timer, i) => [timer, deadlines[i]!]));
        let now = 0;
        for (const step of steps) {
          const bound = wheel.next();
          const earliest = Math.min(Infinity, ...due.values());
          assert(
            bound <= earliest + 15 || bound <= now + 16,
            `next ${bound} is after the earliest ${earliest}`,
          );
          now += step;
          const before = recorder.fired.length;
          wheel.advance(now);
          for (const [timer] of recorder.fired.slice(before)) {
            assert(due.get(timer)! <= now, "fired early");
            due.delete(timer);
          }
          // A tick is 16 µs: what was due a tick ago has fired.
          for (const deadline of due.values()) assert(deadline > now - 16, "fired late");
        }
        assert.equal(wheel.size, due.size);
      },
    ),
  );
});

Deno.test("TimerWheel.next() reaches every deadline when the caller sleeps until it", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 ** 40 }), { minLength: 1, maxLength: 30 }),
      (deadlines) => {
        const wheel = new TimerWheel();
        const recorder = new Recorder();
        for (const deadline of deadlines) wheel.arm(new Timer(recorder), deadline);
        let turns = 0;
        for (let next = wheel.next(); next !== Infinity; next = wheel.next()) {
          wheel.advance(next);
          assert(++turns < 20 * deadlines.length + 20, "the wheel asks for too many turns");
        }
        assert.equal(recorder.fired.length, deadlines.length);
        recorder.fired.map(([, now]) => now).sort((x, y) => x - y).forEach((now, i) => {
          const deadline = deadlines.toSorted((x, y) => x - y)[i]!;
          assert(now >= deadline && now < deadline + 17, `fired at ${now} instead of ${deadline}`);
        });
      },
    ),
  );
});

Deno.test("TimerWheel expires in time what is armed, armed again and cancelled while it turns", () => {
  // Short and long steps between timers of every level: slots lie ahead of the wheel's own, or have come around.
  const delay = fc.oneof(fc.nat(2000), fc.nat(200_000), fc.nat(5_000_000), fc.nat(500_000_000));
  const act = fc.record({ step: delay, timer: fc.nat(5), delay: fc.option(delay) });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
      const wheel = new TimerWheel();
      const recorder = new Recorder();
      const timers = Array.from({ length: 6 }, () => new Timer(recorder));
      const due = new Map<Timer, number>();
      let now = 0;
      for (const { step, timer: index, delay } of acts) {
        const bound = wheel.next();
        const earliest = Math.min(Infinity, ...due.values());
        assert(
          bound <= earliest + 15 || bound <= now + 16,
          `next ${bound} is after the earliest ${earliest}`,
        );
        now += step;
        const before = recorder.fired.length;
        wheel.advance(now);
        for (const [timer] of recorder.fired.slice(before)) {
          assert(due.get(timer)! <= now, "fired early");
          due.delete(timer);
        }
        for (const deadline of due.values()) {
          assert(deadline > now - 32, `due at ${deadline}, waits at ${now}`);
        }
        const timer = timers[index]!;
        if (delay === null) {
          wheel.cancel(timer);
          due.delete(timer);
        } else {
          wheel.arm(timer, now + delay);
          due.set(timer, now + delay);
        }
      }
      assert.equal(wheel.size, due.size);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("TimerWheel lets an owner cancel and arm timers while it expires others", () => {
  const wheel = new TimerWheel();
  const log: string[] = [];
  const second = new Timer({ expire: () => log.push("second") });
  const again: Timer = new Timer({
    expire: (timer, now) => (log.push("again"), wheel.arm(timer, now + 100)),
  });
  const first = new Timer({
    expire: () => {
      log.push("first");
      wheel.cancel(second);
    },
  });
  wheel.arm(again, 200);
  wheel.arm(second, 100);
  wheel.arm(first, 100);
  wheel.advance(112);
  wheel.advance(224);
  wheel.advance(10_000);
  assert.equal(log.filter((x) => x === "first").length, 1);
  assert.equal(log.filter((x) => x === "again").length, 2);
  assert.equal(wheel.size, 1);
});

Deno.test("TimerWheel.arm() replaces the former deadline", () => {
  const wheel = new TimerWheel();
  const recorder = new Recorder();
  const timer = new Timer(recorder);
  wheel.arm(timer, 1000);
  wheel.arm(timer, 5000);
  wheel.advance(4000);
  assert.equal(recorder.fired.length, 0);
  wheel.advance(5008);
  assert.equal(recorder.fired.length, 1);
  assert.equal(timer.armed, false);
});

Deno.test("TimerWheel.next() names a time that expires a timer armed for the past", () => {
  const wheel = new TimerWheel();
  const recorder = new Recorder();
  wheel.arm(new Timer(recorder), 1_000_000);
  wheel.advance(160);
  wheel.arm(new Timer(recorder), 150);
  wheel.advance(wheel.next());
  assert.equal(recorder.fired.length, 1);
});
