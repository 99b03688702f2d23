/**
 * Heap growth while frames are echoed: two stacks on a cable of memory, a client that sends datagrams and a server
 * whose callback answers each in its own slot. Each answer is checked. Run with `--v8-flags=--expose-gc`; prints JSON.
 *
 * @module
 */

import { MemoryDevice } from "../drivers/memory.ts";
import { Cidr, IpAddress } from "../stack/ip/address.ts";
import type { Packet } from "../stack/packet.ts";
import { Stack } from "../stack/stack.ts";
import { heapInUse } from "./heap.ts";

/** Echoed frames, and frames of a turn. */
const FRAMES = 10_000_000, BATCH = 64;
/** Bytes of a datagram's payload. */
const LENGTH = 64;
/** Milliseconds before it is given up. */
const DEADLINE = 240_000;

const random = () => (Math.random() * 2 ** 32) | 0;
const [near, far] = MemoryDevice.pair();
const client = new Stack({ random });
const server = new Stack({ random });
const clientInterface = client.addInterface(near, { addresses: [Cidr.parse("10.0.0.1/24")] });
const serverInterface = server.addInterface(far, { addresses: [Cidr.parse("10.0.0.2/24")] });
server.udp.bind({ port: 7 }, {
  receive(packet, socket) {
    socket.answer(packet, packet.length);
  },
});

let sent = 0, echoed = 0, wrong = 0, now = 0;
const socket = client.udp.bind({}, {
  receive(packet: Packet) {
    if (packet.length !== LENGTH || packet.view.getInt32(packet.offset) !== echoed) wrong++;
    echoed++;
  },
});
const target = IpAddress.parse("10.0.0.2");

function turn(): void {
  now += 10;
  near.poll(clientInterface, 2 * BATCH, now);
  client.poll(now);
  far.poll(serverInterface, 2 * BATCH, now);
  server.poll(now);
}

function echo(count: number): void {
  for (const end = sent + count; sent < end;) {
    for (let i = 0; i < BATCH; i++) {
      const packet = socket.reserve(target, 7);
      if (packet === null) throw new Error("No slot is free");
      packet.view.setInt32(packet.offset, sent++);
      packet.end = packet.offset + LENGTH;
      if (!socket.transmit(packet)) throw new Error(`Datagram ${sent} was dropped`);
    }
    client.poll(now);
    turn();
  }
  turn();
  if (echoed !== sent || wrong !== 0) throw new Error(`Sent ${sent}, echoed ${echoed}, wrong ${wrong}`);
}

// The neighbours find each other, and the compiler finds the hot path.
for (let i = 0; i < 10; i++) turn();
socket.send(new Uint8Array(LENGTH), 0, LENGTH, target, 7);
for (let i = 0; i < 10; i++) turn();
if (echoed !== 1) throw new Error("The server does not answer");
sent = 1;
echo(64 * 10_000);

const before = heapInUse();
const start = performance.now();
for (let done = 0; done < FRAMES; done += 640_000) {
  echo(Math.min(640_000, FRAMES - done));
  if (performance.now() - start > DEADLINE) throw new Error(`Echoed only ${echoed} frames in ${DEADLINE} ms`);
}
const seconds = (performance.now() - start) / 1000;
const after = heapInUse();
console.log(JSON.stringify({
  "Heap growth over 10 million echoed frames, bytes": after - before,
  "Echoed frames a second, both ends in one thread": FRAMES / seconds,
}));
