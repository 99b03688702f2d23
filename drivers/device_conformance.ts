/**
 * What every {@link Device} must do, as one suite that all of them run.
 *
 * The suite drives two devices which see each other's frames: the two ends of a memory pair, two TAPs on a bridge,
 * a virtio device and the socket behind it. It sends frames of an EtherType for experiments (IEEE 802, 0x88b5), or IPv4
 * packets of a protocol for experiments where there is no link header, and ignores everything else that comes, so that a host which talks on its own does not disturb it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Device, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../stack/device.ts";
import {
  CHECKSUM_PARTIAL,
  FREE,
  GSO_NONE,
  GSO_TCPV4,
  HEADROOM,
  type Packet,
  RECEIVED,
  Region,
  RESERVED,
} from "../stack/packet.ts";
import {
  checksumState,
  Collector,
  fillFrame,
  fillSegment,
  isTestFrame,
  segmentPayload,
  sequenceOf,
} from "./device_conformance_frames.ts";
import { FRAME_OVERHEAD, linkHeader } from "./frame.ts";

/** Two devices that see each other's frames. */
export interface DevicePair {
  /** The one. */
  a: Device;
  /** The other. */
  b: Device;
  /**
   * Waits a little for what is on the way; called again and again until the frames are there. By default it lets
   * the event loop go round once. A simulated device moves its clock here.
   */
  settle?(): Promise<void> | void;
  /** The time that `poll` gets, in µs; the time since the start by default. */
  now?(): number;
  /** Gives back what the devices stand on. Both were closed before. */
  dispose?(): Promise<void> | void;
}

/** Makes the devices for one case. */
export type MakePair = () => DevicePair | Promise<DevicePair>;

/** One case of the suite, for a place where there is no test runner. */
export interface ConformanceCase {
  /** What the device does, and when. */
  name: string;
  /** Runs it; throws when the device does something else. */
  run(pair: DevicePair): Promise<void>;
}

/** Longest time until a frame that was sent must have come, in ms. */
const PATIENCE = 5000;

/** Registers the whole suite with the test runner. */
export function deviceConformance(name: string, makePair: MakePair): void {
  for (const { name: what, run } of conformanceCases) {
    Deno.test(`${name} ${what}`, async () => {
      const pair = await makePair();
      try {
        await run(pair);
      } finally {
        pair.a.close();
        pair.b.close();
        await pair.dispose?.();
      }
    });
  }
}

function now(pair: DevicePair): number {
  return pair.now?.() ?? performance.now() * 1000;
}

async function settle(pair: DevicePair): Promise<void> {
  if (pair.settle !== undefined) await pair.settle();
  else await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Goes on until `done` says so; fails when that takes too long. */
async function until(pair: DevicePair, done: () => boolean, what: () => string): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!done()) {
    assert.ok(performance.now() < end, `Waited ${PATIENCE} ms for ${what()}`);
    await settle(pair);
  }
}

/** Polls `device` until `collector` has `count` frames. */
async function collect(pair: DevicePair, device: Device, collector: Collector, count: number): Promise<void> {
  await until(pair, () => {
    const budget = 64;
    const delivered = device.poll(collector, budget, now(pair));
    assert.ok(delivered >= 0 && delivered <= budget, `poll() delivered ${delivered} of at most ${budget}`);
    pump(pair, device);
    return collector.frames.length >= count;
  }, () => `${count} frames, got ${collector.frames.length}`);
}

const IGNORE = { receive(): void {} };

/** Gives the device at the other end a turn: one that holds frames back sends them when it is polled. */
function pump(pair: DevicePair, device: Device): void {
  const other = device === pair.a ? pair.b : pair.a;
  if (other.closed) return;
  other.poll(IGNORE, 64, now(pair));
  other.flush();
}

/** Sends until frames come through both ways, where what lies between two devices takes its time to come up. */
export async function passable(pair: DevicePair): Promise<void> {
  const { a, b } = pair;
  for (let round = 0; round < 1000; round++) {
    for (const [from, to] of [[a, b], [b, a]] as const) {
      await send(pair, from, to, 0, 60);
      from.flush();
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
    const seen = new Collector(), back = new Collector();
    while (b.poll(seen, 64, now(pair)) > 0);
    while (a.poll(back, 64, now(pair)) > 0);
    if (seen.frames.length > 0 && back.frames.length > 0) return;
  }
  assert.fail("Nothing comes through between the devices");
}

/** Takes a slot, waiting for one while the device is still busy with former frames. */
async function reserve(pair: DevicePair, device: Device): Promise<Packet> {
  let packet = device.reserve();
  if (packet === null) {
    await until(pair, () => (packet = device.reserve()) !== null, () => "a free slot");
  }
  return packet!;
}

/** Sends one frame of `length` bytes from `from` to `to`, numbered. */
async function send(
  pair: DevicePair,
  from: Device,
  to: Device,
  sequence: number,
  length: number,
): Promise<void> {
  const packet = await reserve(pair, from);
  fillFrame(packet, to.mac, from.mac, sequence, length);
  assert.equal(from.transmit(packet), true, `transmit() refused frame ${sequence} of ${length} bytes`);
}

/** The cases, in the order in which they make sense to a reader. */
export const conformanceCases: readonly ConformanceCase[] = [
  {
    name: "describes itself",
    run({ a, b }) {
      for (const device of [a, b]) {
        assert.ok(device.name.length > 0);
        assert.equal(device.mac.length, 6);
        assert.equal(device.mac[0]! & 1, 0, "mac is the address of a group");
        assert.ok(device.mtu >= 68 && device.mtu <= 65535, `mtu is ${device.mtu}`);
        const known = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO;
        assert.equal(device.offloads & ~known, 0);
        if (device.offloads !== 0) {
          assert.ok((device.offloads & OFFLOAD_CHECKSUM) !== 0, "segmentation needs checksums");
        }
        assert.equal(device.closed, false);
        assert.equal(device.failure, null);
        assert.equal(device.linkUp, true);
        assert.ok(device.free >= 1);
      }
      assert.equal(a.medium ?? "ethernet", b.medium ?? "ethernet");
      // Without link addresses there is nothing to tell them apart by.
      if (a.medium === "ip") assert.deepEqual([...a.mac, ...b.mac], new Array(12).fill(0));
      else assert.notDeepEqual(a.mac, b.mac);
      return Promise.resolve();
    },
  },
  {
    name: "delivers frames in order, with their bytes, both ways",
    async run(pair) {
      const { a, b } = pair;
      for (const [from, to] of [[a, b], [b, a]] as const) {
        const collector = new Collector();
        for (let first = 0; first < 200; first += 20) {
          for (let sequence = first; sequence < first + 20; sequence++) {
            await send(pair, from, to, sequence, 60 + (sequence * 37) % (to.mtu + linkHeader(to) - 60 + 1));
          }
          from.flush();
          await collect(pair, to, collector, first + 20);
        }
        assert.deepEqual(collector.sequences(), Array.from({ length: 200 }, (_, index) => index));
        assert.deepEqual(collector.faults, []);
      }
    },
  },
  {
    name: "delivers the shortest and the longest frames",
    async run(pair) {
      const { a, b } = pair;
      const collector = new Collector();
      const longest = b.mtu + linkHeader(b);
      const lengths = [60, 61, 63, 64, 65, longest - 1, longest];
      for (const [sequence, length] of lengths.entries()) await send(pair, a, b, sequence, length);
      a.flush();
      await collect(pair, b, collector, lengths.length);
      assert.deepEqual(collector.frames.map((frame) => frame.length), lengths);
      assert.deepEqual(collector.faults, []);
    },
  },
  {
    name: "refuses frames that are too short or too long, and counts them",
    async run(pair) {
      const { a, b } = pair;
      const header = linkHeader(a);
      const tooLong = a.mtu + (header === 0 ? 0 : FRAME_OVERHEAD) + 1;
      for (const length of [0, 1, header === 0 ? 19 : 13, tooLong]) {
        const free = a.free;
        const errors = a.counters.transmitErrors;
        const packet = await reserve(pair, a);
        packet.offset = packet.base + HEADROOM - 14;
        packet.end = packet.offset + length;
        if (packet.end > packet.limit) packet.end = packet.limit;
        assert.equal(a.transmit(packet), false, `transmit() took ${length} bytes`);
        assert.equal(a.counters.transmitErrors, errors + 1);
        await until(pair, () => a.free === free, () => "the refused slot");
      }
      const collector = new Collector();
      await send(pair, a, b, 7, 100);
      a.flush();
      await collect(pair, b, collector, 1);
      assert.deepEqual(collector.sequences(), [7]);
    },
  },
  {
    name: "delivers at most the budget of a poll",
    async run(pair) {
      const { a, b } = pair;
      const collector = new Collector();
      for (let sequence = 0; sequence < 12; sequence++) await send(pair, a, b, sequence, 90);
      a.flush();
      let polls = 0;
      await until(pair, () => {
        pump(pair, b);
        const before = collector.seen;
        const delivered = b.poll(collector, 5, now(pair));
        assert.equal(collector.seen - before, delivered, "poll() returned another number than it delivered");
        assert.ok(delivered <= 5, `poll() delivered ${delivered} of at most 5`);
        if (delivered > 0) polls++;
        return collector.frames.length >= 12;
      }, () => "12 frames");
      assert.ok(polls >= 3);
      assert.deepEqual(collector.sequences(), Array.from({ length: 12 }, (_, index) => index));
    },
  },
  {
    name: "lends a received packet with a fresh cursor until receive() returns",
    async run(pair) {
      const { a, b } = pair;
      let lent: Packet | null = null;
      let rounds = 0;
      const receiver = {
        receive(packet: Packet): void {
          if (!isTestFrame(packet)) return;
          lent = packet;
          rounds++;
          assert.equal(packet.device, b);
          assert.equal(packet.state, RECEIVED);
          assert.equal(packet.bytes, packet.region.bytes);
          assert.ok(packet.base <= packet.offset && packet.end <= packet.limit);
          assert.equal(packet.gsoType, GSO_NONE);
          assert.equal(packet.flags & CHECKSUM_PARTIAL, 0);
          for (const field of ["version", "protocol", "cast", "piece0Length", "piece1Length"] as const) {
            assert.equal(packet[field], 0, `${field} is left over from the last frame`);
          }
          assert.equal(packet.interface, null);
          assert.equal(packet.next, null);
          // What a careless layer leaves behind must not reach the next frame.
          packet.pull(20);
          packet.version = 4;
          packet.protocol = 6;
          packet.cast = 1;
          packet.gsoType = GSO_TCPV4;
          packet.flags = CHECKSUM_PARTIAL;
          packet.interface = { name: "test0" } as unknown as typeof packet.interface;
        },
      };
      for (let round = 1; round <= 3; round++) {
        await send(pair, a, b, round, 100);
        a.flush();
        await until(pair, () => {
          pump(pair, b);
          b.poll(receiver, 64, now(pair));
          return rounds >= round;
        }, () => "a frame");
        assert.notEqual(lent!.state, RECEIVED);
      }
    },
  },
  {
    name: "sends an answer in place, also when it grows in front or gets a piece",
    async run(pair) {
      const { a, b } = pair;
      const tail = new Region(new ArrayBuffer(64));
      tail.bytes.fill(0x5a);
      let answered = 0;
      const echo = {
        receive(packet: Packet): void {
          if (!isTestFrame(packet)) return;
          const sequence = sequenceOf(packet);
          if (sequence % 3 === 0) fillFrame(packet, a.mac, b.mac, sequence, packet.length);
          else if (sequence % 3 === 1) {
            packet.push(28);
            fillFrame(packet, a.mac, b.mac, sequence, packet.length, packet.offset);
          } else {
            packet.end -= 31;
            packet.append(tail, 7, 31);
            fillFrame(packet, a.mac, b.mac, sequence, packet.length, packet.offset);
          }
          assert.equal(b.transmit(packet), true);
          assert.notEqual(packet.state, RECEIVED);
          answered++;
        },
      };
      const collector = new Collector();
      for (let first = 0; first < 96; first += 8) {
        for (let sequence = first; sequence < first + 8; sequence++) await send(pair, a, b, sequence, 200);
        a.flush();
        await until(pair, () => {
          b.poll(echo, 3, now(pair));
          b.flush();
          a.poll(collector, 64, now(pair));
          a.flush();
          return answered >= first + 8;
        }, () => "8 answers");
      }
      await collect(pair, a, collector, 96);
      assert.deepEqual(collector.sequences(), Array.from({ length: 96 }, (_, index) => index));
      assert.deepEqual(collector.faults, []);
      assert.deepEqual(
        collector.frames.slice(0, 3).map((frame) => frame.length),
        [200, 228, 200],
      );
    },
  },
  {
    name: "gathers pieces of any length and alignment",
    async run(pair) {
      const { a, b } = pair;
      const ring = new Region(new ArrayBuffer(4096 + 64), 64, 4096);
      const lengths = [0, 1, 2, 3, 7, 8, 31, 255, 600];
      let sequence = 0;
      const collector = new Collector();
      for (const first of lengths) {
        for (const second of lengths) {
          if (first === 0 && second !== 0) continue;
          const packet = await reserve(pair, a);
          fillFrame(packet, b.mac, a.mac, sequence, 77 + first + second);
          // The frame was laid out in one; its last bytes move into the ring.
          const offset0 = sequence % 17, offset1 = 2000 + sequence % 13;
          const split = packet.end - first - second;
          ring.bytes.set(packet.bytes.subarray(split, split + first), offset0);
          ring.bytes.set(packet.bytes.subarray(split + first, packet.end), offset1);
          packet.bytes.fill(0xee, split, packet.end);
          packet.end = split;
          if (first > 0) packet.append(ring, offset0, first);
          if (second > 0) packet.append(ring, offset1, second);
          assert.equal(packet.length, 77 + first + second);
          assert.equal(a.transmit(packet), true);
          a.flush();
          await collect(pair, b, collector, ++sequence);
        }
      }
      assert.deepEqual(collector.faults, []);
      assert.deepEqual(collector.sequences(), Array.from({ length: sequence }, (_, index) => index));
    },
  },
  {
    name: "reserves slots that are clear, runs out of them, and takes them back",
    async run(pair) {
      const { a, b } = pair;
      const free = a.free;
      const taken: Packet[] = [];
      for (let packet = a.reserve(); packet !== null; packet = a.reserve()) {
        assert.equal(packet.device, a);
        assert.equal(packet.state, RESERVED);
        assert.equal(packet.offset, packet.base + HEADROOM);
        assert.equal(packet.end, packet.offset);
        assert.equal(packet.length, 0);
        assert.ok(packet.limit - packet.offset >= a.mtu, "a slot has no room for the MTU");
        assert.equal(packet.flags | packet.gsoType | packet.gsoSize | packet.version | packet.protocol, 0);
        assert.equal(packet.next, null);
        // Dirt that the next holder must not see.
        packet.version = 6;
        packet.gsoType = GSO_TCPV4;
        packet.append(packet.region, 0, 5);
        taken.push(packet);
        assert.ok(taken.length <= free, "more slots than were free");
      }
      assert.equal(taken.length, free);
      assert.equal(new Set(taken).size, free);
      assert.equal(a.free, 0);
      assert.equal(a.counters.transmitExhausted, 1);
      for (const packet of taken) a.release(packet);
      assert.equal(a.free, free);
      const packet = a.reserve()!;
      assert.equal(packet.length, 0);
      assert.equal(packet.version | packet.gsoType, 0);
      a.release(packet);
      const collector = new Collector();
      await send(pair, a, b, 1, 60);
      a.flush();
      await collect(pair, b, collector, 1);
    },
  },
  {
    name: "rejects a packet that is handed in twice or belongs to another device",
    async run(pair) {
      const { a, b } = pair;
      const packet = await reserve(pair, a);
      assert.throws(() => b.transmit(packet), TypeError);
      assert.throws(() => b.release(packet), TypeError);
      assert.equal(packet.state, RESERVED);
      a.release(packet);
      assert.equal(packet.state, FREE);
      assert.throws(() => a.release(packet), TypeError);
      assert.throws(() => a.transmit(packet), TypeError);
    },
  },
  {
    name: "recycles slots for ever",
    async run(pair) {
      const { a, b } = pair;
      const collector = new Collector();
      const rounds = Math.min(2 * a.free + 20, 600);
      for (let sequence = 0; sequence < rounds; sequence++) {
        await send(pair, a, b, sequence, 64);
        if (sequence % 8 === 7 || sequence === rounds - 1) {
          a.flush();
          await collect(pair, b, collector, sequence + 1);
        }
      }
      assert.equal(collector.frames.length, rounds);
      assert.deepEqual(collector.faults, []);
    },
  },
  {
    name: "counts frames and bytes",
    async run(pair) {
      const { a, b } = pair;
      const collector = new Collector();
      const { sentFrames, sentBytes } = a.counters;
      const { receivedFrames, receivedBytes } = b.counters;
      for (let sequence = 0; sequence < 10; sequence++) await send(pair, a, b, sequence, 100 + sequence);
      a.flush();
      await collect(pair, b, collector, 10);
      assert.equal(a.counters.sentFrames - sentFrames, 10);
      assert.equal(a.counters.sentBytes - sentBytes, 1045);
      assert.equal(b.counters.receivedFrames - receivedFrames, collector.seen);
      assert.equal(b.counters.receivedBytes - receivedBytes, collector.seenBytes);
      assert.equal(a.counters.transmitErrors + b.counters.receiveErrors, 0);
    },
  },
  {
    name: "wakes whoever armed it, once, and loses nothing",
    async run(pair) {
      const { a, b } = pair;
      const collector = new Collector();
      let wakes = 0, replaced = 0;
      for (let sequence = 0; sequence < 40; sequence++) {
        while (b.poll(collector, 64, now(pair)) > 0);
        if (!b.arm(() => replaced++)) continue;
        const before = wakes;
        if (!b.arm(() => wakes++)) continue;
        const count = 1 + sequence % 4;
        const first = collector.frames.length;
        for (let index = 0; index < count; index++) await send(pair, a, b, first + index, 80);
        a.flush();
        await until(pair, () => {
          pump(pair, b);
          return wakes > before;
        }, () => "the wake-up");
        await collect(pair, b, collector, first + count);
        assert.equal(wakes, before + 1);
      }
      assert.equal(replaced, 0, "a callback that was replaced was called");
      assert.ok(wakes >= 10, `armed only ${wakes} times of 40`);
      assert.deepEqual(collector.sequences(), collector.frames.map((_, index) => index));
      assert.deepEqual(collector.faults, []);
    },
  },
  {
    name: "says so, or wakes, when armed while frames wait",
    async run(pair) {
      const { a, b } = pair;
      const collector = new Collector();
      for (let sequence = 0; sequence < 6; sequence++) await send(pair, a, b, sequence, 80);
      a.flush();
      for (let round = 1; round <= 6; round++) {
        while (collector.frames.length < round) {
          pump(pair, b);
          if (b.poll(collector, 1, now(pair)) > 0) continue;
          let woken = false;
          if (b.arm(() => woken = true)) {
            await until(pair, () => {
              pump(pair, b);
              return woken || b.deadline <= now(pair);
            }, () => "the wake-up for a waiting frame");
          }
        }
      }
      b.disarm();
      assert.deepEqual(collector.sequences(), [0, 1, 2, 3, 4, 5]);
    },
  },
  {
    name: "stays silent after disarm() and loses nothing",
    async run(pair) {
      const { a, b } = pair;
      const collector = new Collector();
      let wakes = 0;
      for (let sequence = 0; sequence < 60; sequence++) {
        const before = wakes;
        b.arm(() => wakes++);
        if (sequence % 3 === 1) await settle(pair);
        b.disarm();
        const silent = wakes;
        assert.ok(silent - before <= 1);
        await send(pair, a, b, sequence, 70 + sequence);
        a.flush();
        await collect(pair, b, collector, sequence + 1);
        assert.equal(wakes, silent, "woken after disarm()");
      }
      b.disarm();
      assert.deepEqual(collector.sequences(), Array.from({ length: 60 }, (_, index) => index));
      assert.deepEqual(collector.faults, []);
    },
  },
  {
    name: "carries partial checksums to whoever completes them",
    async run(pair) {
      const { a, b } = pair;
      const packet = await reserve(pair, a);
      fillSegment(packet, b.mac, a.mac, 0, 333);
      const refused = a.counters.transmitErrors;
      if ((a.offloads & OFFLOAD_CHECKSUM) === 0) {
        assert.equal(a.transmit(packet), false, "transmit() took a partial checksum without offering it");
        assert.equal(a.counters.transmitErrors, refused + 1);
        return;
      }
      assert.equal(a.transmit(packet), true);
      a.flush();
      const collector = new Collector();
      await collect(pair, b, collector, 1);
      assert.equal(checksumState(collector.frames[0]!), "good");
      assert.deepEqual(segmentPayload(collector.frames), { bytes: 333, faults: 0 });
    },
  },
  {
    name: "carries super-frames whole, or cut as they ask for",
    async run(pair) {
      const { a, b } = pair;
      const packet = await reserve(pair, a);
      const length = 20_001;
      if (packet.limit - packet.base - HEADROOM < length) {
        a.release(packet);
        assert.equal(a.offloads & OFFLOAD_TSO4, 0, "a slot has no room for a super-frame");
        return;
      }
      fillSegment(packet, b.mac, a.mac, 0, length);
      packet.gsoType = GSO_TCPV4;
      packet.gsoSize = Math.min(1000, a.mtu - 40);
      const refused = a.counters.transmitErrors;
      if ((a.offloads & OFFLOAD_TSO4) === 0) {
        assert.equal(a.transmit(packet), false, "transmit() took a super-frame without offering it");
        assert.equal(a.counters.transmitErrors, refused + 1);
        return;
      }
      assert.equal(a.transmit(packet), true);
      a.flush();
      const collector = new Collector();
      await until(pair, () => {
        pump(pair, b);
        b.poll(collector, 64, now(pair));
        return segmentPayload(collector.frames).bytes >= length;
      }, () => `${length} bytes of payload, got ${segmentPayload(collector.frames).bytes}`);
      assert.deepEqual(segmentPayload(collector.frames), { bytes: length, faults: 0 });
      for (const frame of collector.frames) {
        assert.equal(checksumState(frame), "good");
        if (frame.length > b.mtu + frame.header) {
          assert.equal(frame.gsoType, GSO_TCPV4, "a long frame is not marked");
        }
      }
    },
  },
  {
    name: "delivers nothing more when the receiver closes it",
    async run(pair) {
      const { a, b } = pair;
      for (let sequence = 0; sequence < 5; sequence++) await send(pair, a, b, sequence, 60);
      a.flush();
      let seen = 0;
      const receiver = {
        receive(packet: Packet): void {
          if (!isTestFrame(packet)) return;
          seen++;
          b.close();
        },
      };
      await until(pair, () => {
        pump(pair, b);
        b.poll(receiver, 64, now(pair));
        return seen > 0;
      }, () => "a frame");
      assert.equal(seen, 1);
      assert.equal(b.poll(receiver, 64, now(pair)), 0);
    },
  },
  {
    name: "does nothing after close(), however often it is called",
    async run(pair) {
      const { a, b } = pair;
      const packet = await reserve(pair, b);
      const other = await reserve(pair, b);
      await send(pair, a, b, 0, 60);
      a.flush();
      let wakes = 0;
      b.arm(() => wakes++);
      b.close();
      b.close();
      assert.equal(b.closed, true);
      assert.equal(b.linkUp, false);
      assert.equal(b.failure, null);
      assert.equal(b.reserve(), null);
      assert.equal(b.transmit(packet), false);
      b.release(other);
      b.flush();
      assert.equal(b.arm(() => wakes++), true);
      b.disarm();
      assert.equal(b.deadline, Infinity);
      assert.equal(
        b.poll({ receive: () => assert.fail("a frame after close()") }, 64, now(pair)),
        0,
      );
      for (let round = 0; round < 5; round++) await settle(pair);
      assert.equal(wakes, 0, "woken after close()");
      b.close();
    },
  },
];
