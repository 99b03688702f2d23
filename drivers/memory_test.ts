import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../stack/device.ts";
import type { Packet } from "../stack/packet.ts";
import { deviceConformance } from "./device_conformance.ts";
import { Collector, fillFrame, fillSegment } from "./device_conformance_frames.ts";
import { MemoryDevice, MemoryHub } from "./memory.ts";

const ALL = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO;

deviceConformance("MemoryDevice", () => {
  const [a, b] = MemoryDevice.pair();
  return { a, b };
});

deviceConformance("MemoryDevice with offloads and a large MTU", () => {
  const [a, b] = MemoryDevice.pair({ mtu: 9000, offloads: ALL, slots: 16, queue: 64 });
  return { a, b };
});

deviceConformance("MemoryDevice without link header", () => {
  const [a, b] = MemoryDevice.pair({ medium: "ip", offloads: ALL, slots: 16 });
  return { a, b };
});

deviceConformance("MemoryHub", () => {
  const hub = new MemoryHub({ ports: 3, slots: 32 });
  return { a: hub.port(0), b: hub.port(2) };
});

deviceConformance("MemoryHub that learns", () => {
  const hub = new MemoryHub({ ports: 3, slots: 32, learn: true });
  return { a: hub.port(2), b: hub.port(1) };
});

function send(from: MemoryDevice, to: Uint8Array, sequence: number): boolean {
  const packet = from.reserve()!;
  fillFrame(packet, to, from.mac, sequence, 60);
  const sent = from.transmit(packet);
  from.flush();
  return sent;
}

Deno.test("MemoryDevice keeps checksum and segmentation as metadata across the pair", () => {
  const [a, b] = MemoryDevice.pair({ offloads: ALL });
  const packet = a.reserve()!;
  fillSegment(packet, b.mac, a.mac, 0, 40_000);
  packet.gsoType = 1;
  packet.gsoSize = 1448;
  assert.equal(a.transmit(packet), true);
  a.flush();
  const collector = new Collector();
  assert.equal(b.poll(collector, 64, 0), 1);
  const [frame] = collector.frames;
  assert.deepEqual([frame!.flags, frame!.gsoType, frame!.gsoSize], [3, 1, 1448]);
  assert.deepEqual([frame!.checksumStart, frame!.checksumOffset], [34, 16]);
});

Deno.test("MemoryDevice shows frames only after flush()", () => {
  const [a, b] = MemoryDevice.pair();
  const packet = a.reserve()!;
  fillFrame(packet, b.mac, a.mac, 0, 60);
  a.transmit(packet);
  assert.equal(b.waiting, 0);
  assert.equal(b.poll(new Collector(), 64, 0), 0);
  a.flush();
  assert.equal(b.waiting, 1);
  assert.equal(b.poll(new Collector(), 64, 0), 1);
});

Deno.test("MemoryDevice refuses frames when the peer's queue is full, and takes them again later", () => {
  const [a, b] = MemoryDevice.pair({ queue: 3, slots: 2 });
  const collector = new Collector();
  for (let round = 0; round < 5; round++) {
    for (let index = 0; index < 3; index++) assert.equal(send(a, b.mac, round * 3 + index), true);
    assert.equal(send(a, b.mac, 99), false);
    assert.equal(b.waiting, 3);
    b.poll(collector, 64, 0);
  }
  assert.equal(a.counters.transmitErrors, 5);
  assert.deepEqual(collector.sequences(), Array.from({ length: 15 }, (_, index) => index));
});

Deno.test("MemoryDevice loses its link when the peer closes", () => {
  const [a, b] = MemoryDevice.pair();
  b.close();
  assert.equal(a.linkUp, false);
  assert.equal(a.closed, false);
  assert.equal(send(a, b.mac, 0), false);
});

Deno.test("MemoryDevice.pair() throws when an option is out of range", () => {
  assert.throws(() => MemoryDevice.pair({ mtu: 67 }), /Option mtu is "67"/);
  assert.throws(() => MemoryDevice.pair({ queue: 0 }), RangeError);
});

Deno.test("MemoryDevice survives a receiver that throws", () => {
  const [a, b] = MemoryDevice.pair();
  send(a, b.mac, 0);
  send(a, b.mac, 1);
  const thrower = {
    receive(): void {
      throw new Error("The receiver fails");
    },
  };
  assert.throws(() => b.poll(thrower, 64, 0), /receiver fails/);
  const collector = new Collector();
  assert.equal(b.poll(collector, 64, 0), 1);
  assert.deepEqual(collector.sequences(), [1]);
});

Deno.test("MemoryHub floods to every other port", () => {
  const hub = new MemoryHub({ ports: 4, slots: 4 });
  send(hub.port(1), hub.port(0).mac, 5);
  assert.deepEqual(hub.ports.map((port) => port.waiting), [1, 0, 1, 1]);
});

Deno.test("MemoryHub that learns sends to the one port which is known", () => {
  const hub = new MemoryHub({ ports: 4, slots: 4, learn: true });
  const waiting = () => hub.ports.map((port) => port.waiting);
  send(hub.port(0), hub.port(3).mac, 0);
  assert.deepEqual(waiting(), [0, 1, 1, 1], "an unknown address is flooded");
  send(hub.port(3), hub.port(0).mac, 1);
  assert.deepEqual(waiting(), [1, 1, 1, 1], "a known one is not");
  send(hub.port(0), new Uint8Array(6).fill(255), 2);
  assert.deepEqual(waiting(), [1, 2, 2, 2], "broadcast is always flooded");
  hub.port(0).close();
  send(hub.port(3), hub.port(0).mac, 3);
  assert.deepEqual(waiting(), [0, 3, 3, 2], "the address of a closed port is forgotten");
});

Deno.test("MemoryHub counts what a full port loses, and carries on with the others", () => {
  const hub = new MemoryHub({ ports: 3, slots: 4, queue: 2 });
  for (let sequence = 0; sequence < 5; sequence++) {
    assert.equal(send(hub.port(0), hub.port(1).mac, sequence), true);
    hub.port(2).poll({ receive(_packet: Packet) {} }, 64, 0);
  }
  assert.equal(hub.port(1).counters.receiveErrors, 3);
  assert.equal(hub.port(2).counters.receivedFrames, 5);
  assert.equal(hub.port(2).counters.receiveErrors, 0);
});

Deno.test("MemoryHub.port() throws when there is no such port", () => {
  assert.throws(() => new MemoryHub({ ports: 2, slots: 2 }).port(2), /Port 2 does not exist/);
});
