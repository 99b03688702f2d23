/**
 * Sends frames from one end of a veth pair, `left`, to the other, `right`, which answers each in its slot, and prints how many bytes
 * of the heap a frame took in the end. Needs `--v8-flags=--expose-gc`.
 *
 * @module
 */

import { PacketSocketDevice } from "../../../drivers/packet_socket.ts";
import type { Packet } from "../../../stack/packet.ts";

const BATCH = 32, WARM_UP = 10_000, ROUNDS = 1000;

const left = PacketSocketDevice.open({ name: "left" }), right = PacketSocketDevice.open({ name: "right" });
for (const device of [left, right]) device.filterGroups([]);

function address(packet: Packet, to: Uint8Array, from: Uint8Array): void {
  const { bytes, offset } = packet;
  for (let i = 0; i < 6; i++) {
    bytes[offset + i] = to[i]!;
    bytes[offset + 6 + i] = from[i]!;
  }
}

const answering = {
  receive(packet: Packet): void {
    address(packet, left.mac, right.mac);
    right.transmit(packet);
  },
};
let answers = 0;
const counting = { receive: () => void answers++ };

function round(): void {
  for (let i = 0; i < BATCH; i++) {
    const packet = left.reserve()!;
    packet.end = packet.offset + 64;
    address(packet, right.mac, left.mac);
    packet.view.setUint16(packet.offset + 12, 0x88b5);
    left.transmit(packet);
  }
  left.flush();
  while (right.poll(answering, 64, 0) > 0);
  right.flush();
  while (left.poll(counting, 64, 0) > 0);
}

for (let i = 0; i < WARM_UP; i++) round();
(globalThis as unknown as { gc(): void }).gc();
const before = Deno.memoryUsage().heapUsed;
for (let i = 0; i < ROUNDS; i++) round();
const bytes = (Deno.memoryUsage().heapUsed - before) / (2 * ROUNDS * BATCH);
console.log(JSON.stringify({ answers, expected: BATCH * (WARM_UP + ROUNDS), bytes }));
left.close();
right.close();
