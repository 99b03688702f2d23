import assert from "node:assert/strict";
import { MemoryDevice } from "../../drivers/memory.ts";
import { Cidr } from "../../stack/ip/address.ts";
import { Stack } from "../../stack/stack.ts";
import {
  arpRequest,
  echoRequest,
  type End,
  ethernet,
  ipv4,
  malformedFrames,
  mutatedFrames,
  udp,
} from "./malformed_frames.ts";

const IP = Uint8Array.of(10, 0, 0, 2);
const PEER: End = { mac: Uint8Array.of(2, 0, 0, 0, 0, 9), ip: Uint8Array.of(10, 0, 0, 1) };

/** A stack on one end of a cable, and the other end in our hands. */
class Victim {
  readonly stack: Stack;
  readonly end: End;
  readonly errors: unknown[] = [];
  readonly answers: Uint8Array[] = [];
  readonly #device: MemoryDevice;
  readonly #hands: MemoryDevice;
  #now = 1_000_000;

  constructor() {
    [this.#device, this.#hands] = MemoryDevice.pair();
    let state = 1;
    this.stack = new Stack({
      random: () => state = Math.imul(state, 1103515245) + 12345,
      report: (error) => this.errors.push(error),
    });
    this.stack.addInterface(this.#device, { addresses: [Cidr.parse("10.0.0.2/24")] });
    this.stack.udp.bind({ port: 7 }, {
      receive: (packet, socket) => void socket.answer(packet, packet.length),
    });
    this.stack.tcp.listen({ port: 7 }, { ready: (listener) => listener.take()?.abort() });
    this.end = { mac: this.#device.mac, ip: IP };
    // What a host says by itself when it starts is over after a while.
    for (let i = 0; i < 20; i++) this.#turn(1_000_000);
  }

  inject(frame: Uint8Array): void {
    const packet = this.#hands.reserve();
    assert.ok(packet !== null);
    packet.bytes.set(frame, packet.offset);
    packet.end = packet.offset + frame.length;
    assert.ok(this.#hands.transmit(packet));
    this.#hands.flush();
    this.#turn();
  }

  /** Every packet that came into a layer is delivered or dropped for one reason. */
  assertCounted(name: string): void {
    const { stack } = this;
    const face = stack.interfaces[0];
    assert.ok(face !== undefined);
    for (
      const [layer, { received, delivered, dropped }] of Object.entries({
        link: face.counters,
        arp: face.arp.counters,
        ipv4: stack.ipv4.counters,
        icmp: stack.icmp.counters,
        udp: stack.udp.counters,
      })
    ) {
      const reasons = Object.values(dropped).reduce((total: number, count: number) => total + count, 0);
      assert.equal(received, delivered + reasons, `${layer} after "${name}": ${JSON.stringify(dropped)}`);
    }
    assert.deepEqual(this.errors, [], name);
  }

  #turn(micros = 1000): void {
    this.#now += micros;
    this.#device.poll(this.stack.interfaces[0]!, 64, this.#now);
    this.stack.poll(this.#now);
    const receive = (packet: { bytes: Uint8Array; offset: number; end: number }) =>
      void this.answers.push(packet.bytes.slice(packet.offset, packet.end));
    while (this.#hands.poll({ receive }, 64, this.#now) > 0);
  }
}

/** What the victim answers when nothing is wrong. */
function assertAlive(victim: Victim): void {
  const { end } = victim;
  victim.inject(arpRequest(end, PEER));
  for (
    const payload of [
      ipv4(PEER.ip, end.ip, 1, echoRequest()),
      ipv4(PEER.ip, end.ip, 17, udp(PEER.ip, end.ip, 7, IP)),
    ]
  ) {
    victim.answers.length = 0;
    victim.inject(ethernet(end.mac, PEER.mac, 0x0800, payload));
    assert.equal(victim.answers.length, 1, "The host no longer answers");
  }
}

Deno.test("Stack counts every malformed frame as one drop at each layer, and goes on answering", () => {
  const victim = new Victim();
  assertAlive(victim);
  let frames = 0;
  for (const { name, frame } of malformedFrames(victim.end, PEER)) {
    victim.inject(frame);
    victim.assertCounted(name);
    frames++;
  }
  assert.ok(frames > 250);
  const { dropped } = victim.stack.ipv4.counters;
  for (
    const reason of [
      "truncated",
      "badVersion",
      "badHeaderLength",
      "badTotalLength",
      "badChecksum",
      "badSource",
    ] as const
  ) {
    assert.ok(dropped[reason] > 0, `No frame was dropped as ${reason}`);
  }
  assert.ok(dropped.ownSource + dropped.land > 0);
  assert.ok(victim.stack.udp.counters.dropped.badLength > 0);
  assert.ok(victim.stack.udp.counters.dropped.badChecksum > 0);
  assert.ok(victim.stack.icmp.counters.dropped.badChecksum > 0);
  const { badHeader, badChecksum, badPort, badOptions } = victim.stack.tcp.counters;
  assert.ok(badHeader > 0 && badChecksum > 0 && badPort > 0 && badOptions > 0);
  assertAlive(victim);
});

Deno.test("Stack drops malformed frames without an answer, but for what RFCs ask for", () => {
  const victim = new Victim();
  assertAlive(victim);
  for (const { name, frame } of malformedFrames(victim.end, PEER)) {
    if (!/cut to|checksum|version|header of|total length|quotes/.test(name)) continue;
    victim.answers.length = 0;
    victim.inject(frame);
    assert.deepEqual(victim.answers, [], name);
  }
});

Deno.test("Stack survives 200,000 mutated frames, each counted", () => {
  const victim = new Victim();
  assertAlive(victim);
  let count = 0;
  for (const frame of mutatedFrames(victim.end, PEER, 200_000, 20260101)) {
    victim.inject(frame);
    if (++count % 1000 === 0) victim.assertCounted(`mutation ${count}`);
  }
  victim.assertCounted("the last mutation");
  assertAlive(victim);
});
