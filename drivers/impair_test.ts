import assert from "node:assert/strict";
import fc from "fast-check";
import type { Packet } from "../stack/packet.ts";
import { deviceConformance, type DevicePair } from "./device_conformance.ts";
import { Collector, fillFrame } from "./device_conformance_frames.ts";
import { ImpairDevice, type ImpairOptions } from "./impair.ts";
import type { Impairment } from "./impairment.ts";
import { MemoryDevice } from "./memory.ts";

/** Two bad links in a row, on a clock that goes on by 50 µs whenever somebody waits. */
function pair(impairment: Impairment): DevicePair {
  const [left, right] = MemoryDevice.pair();
  let clock = 0;
  return {
    a: new ImpairDevice(left, { send: impairment, receive: impairment, slots: 256 }),
    b: new ImpairDevice(right, { send: impairment, receive: impairment, slots: 256, seed: 2 }),
    settle: async () => {
      clock += 50;
      await new Promise<void>((resolve) => setImmediate(resolve));
    },
    now: () => clock,
  };
}

deviceConformance("ImpairDevice that does nothing", () => pair({}));
deviceConformance("ImpairDevice with delay and jitter", () => pair({ delay: 300, jitter: 250 }));
deviceConformance("ImpairDevice with a limited rate", () => pair({ rate: 1e9, delay: 100 }));

interface Arrival {
  sequence: number;
  time: number;
  bytes: Uint8Array;
}

/**
 * Sends `count` frames, one every `interval` µs, through the impaired direction, and moves the clock from deadline to
 * deadline until all have come.
 */
function through(
  impairment: Impairment,
  count: number,
  interval = 10,
  options: ImpairOptions & { length?: number } = {},
) {
  const [inner, peer] = MemoryDevice.pair({ queue: 4096 });
  const device = new ImpairDevice(inner, { ...options, send: impairment });
  const arrivals: Arrival[] = [];
  let now = 0;
  const receiver = {
    receive(packet: Packet): void {
      const bytes = packet.bytes.slice(packet.offset, packet.end);
      arrivals.push({ sequence: packet.view.getUint32(packet.offset + 16), time: now, bytes });
    },
  };
  const turn = () => {
    device.poll(receiver, 64, now);
    device.flush();
    while (peer.poll(receiver, 64, now) > 0);
  };
  for (let sequence = 0; sequence < count; sequence++) {
    const next = sequence * interval;
    while (device.deadline < next) {
      now = device.deadline;
      turn();
    }
    now = next;
    turn();
    const packet = device.reserve()!;
    fillFrame(packet, peer.mac, device.mac, sequence, options.length ?? 125);
    assert.equal(device.transmit(packet), true);
    device.flush();
    while (peer.poll(receiver, 64, now) > 0);
  }
  while (device.deadline !== Infinity) {
    now = device.deadline;
    turn();
  }
  return { arrivals, counters: device.send.counters, device };
}

const sequences = (arrivals: Arrival[]) => arrivals.map((arrival) => arrival.sequence);

Deno.test("ImpairDevice passes every frame at once and in order by default", () => {
  const { arrivals } = through({}, 100);
  assert.deepEqual(
    arrivals.map(({ sequence, time }) => [sequence, time]),
    Array.from({ length: 100 }, (_, i) => [i, i * 10]),
  );
});

Deno.test("ImpairDevice does the same with the same seed, and something else with another", () => {
  const everything: Impairment = {
    loss: 0.1,
    burst: { enter: 0.02, leave: 0.3 },
    delay: 500,
    jitter: 400,
    reorder: 0.1,
    duplicate: 0.1,
    corrupt: 0.1,
    rate: 90e6,
    queueFrames: 20,
  };
  const run = (seed: number) => {
    const { arrivals, counters } = through(everything, 1000, 10, { seed });
    return JSON.stringify([
      arrivals.map(({ sequence, time, bytes }) => [sequence, time, [...bytes]]),
      counters,
    ]);
  };
  assert.equal(run(1), run(1));
  assert.notEqual(run(1), run(2));
});

Deno.test("ImpairDevice loses the share of frames that it is told to", () => {
  const { arrivals, counters } = through({ loss: 0.05 }, 20_000);
  assert.equal(arrivals.length + counters.lost, 20_000);
  assert.ok(Math.abs(counters.lost - 1000) < 160, `lost ${counters.lost}`);
  assert.equal(through({ loss: 1 }, 100).arrivals.length, 0);
});

Deno.test("ImpairDevice loses in bursts of the length that it is told to", () => {
  const { arrivals, counters } = through({ burst: { enter: 0.01, leave: 0.2 } }, 40_000);
  const got = new Set(sequences(arrivals));
  let bursts = 0;
  for (let sequence = 1; sequence < 40_000; sequence++) {
    if (!got.has(sequence) && got.has(sequence - 1)) bursts++;
  }
  const mean = counters.lost / bursts;
  assert.ok(mean > 4.3 && mean < 5.7, `mean length of a burst is ${mean}`);
  // The share of time in the bad state is enter / (enter + leave).
  const share = counters.lost / 40_000;
  assert.ok(Math.abs(share - 0.01 / 0.21) < 0.012, `share of loss is ${share}`);
});

Deno.test("ImpairDevice delays every frame, and jitter keeps the order", () => {
  const fixed = through({ delay: 12_345 }, 50, 100).arrivals;
  for (const { sequence, time } of fixed) assert.equal(time, sequence * 100 + 12_345);
  const { arrivals } = through({ delay: 1000, jitter: 1000 }, 2000, 10);
  assert.deepEqual(sequences(arrivals), Array.from({ length: 2000 }, (_, index) => index));
  const delays = arrivals.map(({ sequence, time }) => time - sequence * 10);
  assert.ok(Math.min(...delays) >= 0 && Math.max(...delays) <= 2000);
  assert.ok(new Set(delays).size > 20);
});

Deno.test("ImpairDevice lets later frames overtake those that it reorders", () => {
  const { arrivals, counters } = through({ reorder: 0.02, reorderDelay: 35 }, 5000, 10);
  assert.equal(arrivals.length, 5000);
  assert.ok(Math.abs(counters.reordered - 100) < 45, `reordered ${counters.reordered}`);
  const late = arrivals.filter(({ sequence, time }) => time === sequence * 10 + 35).length;
  assert.equal(late, counters.reordered);
  assert.ok(
    sequences(arrivals).some((sequence, index) => index > 0 && sequence < arrivals[index - 1]!.sequence),
  );
});

Deno.test("ImpairDevice duplicates frames, whole", () => {
  const { arrivals, counters } = through({ duplicate: 0.1 }, 5000);
  assert.equal(arrivals.length, 5000 + counters.duplicated);
  assert.ok(Math.abs(counters.duplicated - 500) < 110, `duplicated ${counters.duplicated}`);
  assert.equal(new Set(sequences(arrivals)).size, 5000);
});

Deno.test("ImpairDevice flips one bit of the frames that it corrupts, never of the link header", () => {
  const clean = through({}, 3000).arrivals;
  const { arrivals, counters } = through({ corrupt: 0.2 }, 3000);
  let flipped = 0;
  for (const [index, { bytes }] of arrivals.entries()) {
    let bits = 0;
    for (const [at, byte] of bytes.entries()) {
      for (let xor = byte ^ clean[index]!.bytes[at]!; xor !== 0; xor &= xor - 1) {
        bits++;
        assert.ok(at >= 14);
      }
    }
    assert.ok(bits <= 1, `${bits} bits of a frame were flipped`);
    flipped += bits;
  }
  assert.equal(flipped, counters.corrupted);
  assert.ok(Math.abs(flipped - 600) < 110, `corrupted ${flipped}`);
});

Deno.test("ImpairDevice limits the rate, and loses what its queue can't hold", () => {
  // 125 bytes at 10 Mbit/s take 100 µs each; they come every 10 µs.
  const { arrivals, counters } = through({ rate: 10e6, queueFrames: 9 }, 1000, 10);
  for (let index = 1; index < arrivals.length; index++) {
    const gap = arrivals[index]!.time - arrivals[index - 1]!.time;
    assert.ok(Math.abs(gap - 100) < 1e-6, `a gap of ${gap} µs`);
  }
  assert.equal(arrivals[0]!.time, 100);
  assert.equal(arrivals.length + counters.queueFull, 1000);
  assert.ok(
    Math.abs(arrivals.length - 110) <= 2,
    `${arrivals.length} frames got through in 10 ms and a queue of 10`,
  );
  const bytes = through({ rate: 10e6, queueBytes: 1250 }, 1000, 10);
  assert.ok(Math.abs(bytes.arrivals.length - 109) <= 2, `${bytes.arrivals.length} frames by bytes`);
});

Deno.test("ImpairDevice loses frames longer than the link's MTU", () => {
  const { arrivals, counters } = through({ mtu: 1000 }, 10, 10, { length: 1015 });
  assert.deepEqual([arrivals.length, counters.tooLong], [0, 10]);
  assert.equal(through({ mtu: 1001 }, 10, 10, { length: 1015 }).arrivals.length, 10);
});

Deno.test("ImpairDevice lets nothing in during a blackout, and what is on its way arrives", () => {
  const [inner, peer] = MemoryDevice.pair();
  const device = new ImpairDevice(inner, { send: { delay: 100 } });
  const collector = new Collector();
  const send = (sequence: number, now: number) => {
    device.poll(collector, 64, now);
    const packet = device.reserve()!;
    fillFrame(packet, peer.mac, device.mac, sequence, 60);
    device.transmit(packet);
    device.flush();
    peer.poll(collector, 64, now);
  };
  send(0, 0);
  device.send.change({ blackout: true });
  send(1, 50);
  send(2, 150);
  device.send.change({ blackout: false });
  send(3, 200);
  send(4, 300);
  assert.deepEqual(collector.sequences(), [0, 3]);
  assert.equal(device.send.counters.blackedOut, 2);
});

Deno.test("ImpairDevice impairs what it receives by settings of its own", () => {
  const [inner, peer] = MemoryDevice.pair();
  const device = new ImpairDevice(inner, { receive: { delay: 500 }, send: { loss: 1 } });
  const packet = peer.reserve()!;
  fillFrame(packet, device.mac, peer.mac, 7, 60);
  peer.transmit(packet);
  peer.flush();
  const collector = new Collector();
  assert.equal(device.poll(collector, 64, 1000), 0);
  assert.equal(device.deadline, 1500);
  assert.equal(device.poll(collector, 64, 1499), 0);
  assert.equal(device.poll(collector, 64, 1500), 1);
  assert.equal(device.deadline, Infinity);
});

Deno.test("ImpairDevice loses frames when more are on their way than it has slots for", () => {
  const { arrivals, counters } = through({ delay: 1000 }, 100, 10, { slots: 8 });
  assert.equal(arrivals.length, 8);
  assert.equal(counters.slotsFull, 92);
});

Deno.test("ImpairDevice keeps its books: every frame is passed, or lost for one reason", () => {
  const probability = fc.double({ min: 0, max: 1, noNaN: true });
  const settings = fc.record({
    loss: probability,
    delay: fc.nat(5000),
    duplicate: probability,
    reorder: probability,
    corrupt: probability,
    rate: fc.integer({ min: 1_000_000, max: 1_000_000_000 }),
    queueFrames: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(settings, fc.integer(), fc.integer({ min: 1, max: 64 }), (impairment, seed, slots) => {
      const { arrivals, counters, device } = through(impairment, 60, 20, { seed, slots });
      const { offered, passed, lost, queueFull, slotsFull, duplicated } = counters;
      assert.equal(offered, 60);
      assert.equal(arrivals.length, passed);
      // A duplicate that finds no slot is counted there, too.
      assert.ok(passed - duplicated + lost + queueFull <= offered);
      assert.ok(passed - duplicated + lost + queueFull + slotsFull >= offered);
      assert.equal(device.send.held, 0);
    }),
    { numRuns: 60 },
  );
});

Deno.test("ImpairDevice throws when a setting is out of range, and keeps the former ones", () => {
  const [inner, peer] = MemoryDevice.pair();
  const device = new ImpairDevice(inner);
  assert.throws(() => device.send.change({ loss: 1.5 }), /Option loss is "1.5"; give a probability/);
  assert.throws(() => device.send.change({ delay: 10, jitter: 20 }), /Option jitter is "20", more than/);
  assert.throws(() => device.send.change({ rate: 0 }), /Option rate is "0"/);
  assert.throws(() => device.send.change({ loss: 1, queueFrames: 0 }), /Option queueFrames is "0"/);
  const collector = new Collector();
  const packet = device.reserve()!;
  fillFrame(packet, peer.mac, device.mac, 0, 60);
  device.transmit(packet);
  device.flush();
  assert.equal(peer.poll(collector, 64, 0), 1);
  const [offloading] = MemoryDevice.pair({ offloads: 1 });
  assert.throws(() => new ImpairDevice(offloading), /"memory0" has offloads; open it without/);
});

Deno.test("ImpairDevice counts by how much frames went out late, for want of somebody who asked", () => {
  const [inner, peer] = MemoryDevice.pair();
  const device = new ImpairDevice(inner, { send: { delay: 1000 } });
  const nobody = { receive() {} };
  for (const [sent, polled] of [[0, 1000], [2000, 3700], [5000, 6100]] as const) {
    device.poll(nobody, 64, sent);
    const packet = device.reserve()!;
    fillFrame(packet, peer.mac, device.mac, 0, 125);
    device.transmit(packet);
    device.flush();
    device.poll(nobody, 64, polled);
  }
  const { passed, lateness, latest } = device.send.counters;
  assert.deepEqual({ passed, lateness, latest }, { passed: 3, lateness: 800, latest: 700 });
  device.close();
  peer.close();
});

Deno.test("ImpairDevice takes the time from its clock, if it has one, when a frame comes: none is out before its delay", () => {
  const [inner, peer] = MemoryDevice.pair();
  let time = 0;
  const device = new ImpairDevice(inner, {
    send: { delay: 1000 },
    receive: { delay: 500 },
    clock: () => time,
  });
  device.poll({ receive() {} }, 64, 0);
  // The turn is held up.
  time = 400;
  const packet = device.reserve()!;
  fillFrame(packet, peer.mac, device.mac, 0, 125);
  device.transmit(packet);
  assert.equal(device.send.next, 1400);
  const other = peer.reserve()!;
  fillFrame(other, device.mac, peer.mac, 0, 125);
  peer.transmit(other);
  peer.flush();
  device.poll({ receive() {} }, 64, 300);
  assert.equal(device.receive.next, 900);
  device.close();
  peer.close();
});
