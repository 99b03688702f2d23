import assert from "node:assert/strict";
import { GSO_TCPV4, type Packet, RECEIVED, Region } from "../packet.ts";
import { LoopbackDevice } from "./loopback.ts";

function payload(packet: Packet): number[] {
  return [...packet.bytes.subarray(packet.offset, packet.end)];
}

function send(device: LoopbackDevice, ...bytes: number[]): boolean {
  const packet = device.reserve();
  if (packet === null) return false;
  packet.bytes.set(bytes, packet.offset);
  packet.end += bytes.length;
  return device.transmit(packet);
}

Deno.test("LoopbackDevice delivers what was sent, in order, with its offloads, in one place", () => {
  const device = new LoopbackDevice(4);
  const ring = new Region(new ArrayBuffer(8));
  ring.bytes.set([1, 2, 3, 4, 5, 6, 7, 8]);
  const packet = device.reserve()!;
  packet.bytes[packet.offset] = 9;
  packet.end++;
  packet.append(ring, 6, 2);
  packet.append(ring, 0, 3);
  packet.gsoType = GSO_TCPV4;
  packet.gsoSize = 2;
  assert.equal(device.transmit(packet), true);
  ring.bytes.fill(0);
  send(device, 10);
  const got: unknown[] = [];
  assert.equal(
    device.poll({
      receive: (came) => got.push(payload(came), came.gsoType, came.gsoSize, came.state === RECEIVED),
    }, 10),
    2,
  );
  assert.deepEqual(got, [[9, 7, 8, 1, 2, 3], GSO_TCPV4, 2, true, [10], 0, 0, true]);
  assert.equal(device.free, 4);
});

Deno.test("LoopbackDevice keeps an answer in place for the next poll, and the budget", () => {
  const device = new LoopbackDevice(4);
  send(device, 1);
  send(device, 2);
  const got: number[] = [];
  const receiver = {
    receive: (packet: Packet) => {
      got.push(packet.bytes[packet.offset]!);
      packet.bytes[packet.offset]! += 10;
      if (got.length < 4) device.transmit(packet);
    },
  };
  assert.equal(device.poll(receiver, 1), 1);
  assert.equal(device.poll(receiver, 10), 2);
  assert.deepEqual(got, [1, 2, 11]);
  assert.equal(device.poll(receiver, 10), 2);
  assert.deepEqual(got, [1, 2, 11, 12, 21]);
  assert.equal(device.free, 4);
});

Deno.test("LoopbackDevice refuses when its slots are used up, and when it is closed", () => {
  const device = new LoopbackDevice(2);
  assert.equal(send(device, 1), true);
  assert.equal(send(device, 2), true);
  assert.equal(send(device, 3), false);
  assert.equal(device.counters.transmitExhausted, 1);
  let woken = 0;
  assert.equal(device.arm(() => woken++), false);
  device.poll({ receive: () => {} }, 10);
  assert.equal(device.arm(() => woken++), true);
  send(device, 1);
  send(device, 2);
  assert.equal(woken, 1);
  device.close();
  device.close();
  assert.equal(device.waiting, 0);
  assert.equal(device.free, 2);
  assert.equal(send(device, 1), false);
});
