import assert from "node:assert/strict";
import fc from "fast-check";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../stack/device.ts";
import { CHECKSUM_PARTIAL, GSO_TCPV4, GSO_UDP, type Packet, Region } from "../stack/packet.ts";
import { deviceConformance } from "./device_conformance.ts";
import { fillFrame } from "./device_conformance_frames.ts";
import { NET_HEADER } from "./virtio/header.ts";
import { SimulatedMemory, type SimulatedOptions, SimulatedVirtioNet } from "./virtio/simulated.ts";
import { VirtioNet } from "./virtio_net.ts";

const EVENT_IDX = 1 << 29;
const MAC = 1 << 5, MTU = 1 << 3, STATUS = 1 << 16;
const CHECKSUMS = 1 << 0 | 1 << 1;
const SEGMENTATION = 1 << 7 | 1 << 8 | 1 << 11 | 1 << 12;
/** A control queue, and commands that say which frames are wanted. */
const CONTROL = 1 << 17 | 1 << 18;
/** VERSION_1, and USO both ways: bits 32, and 54 to 56. */
const HIGH_USO = 1 | 1 << 22 | 1 << 23 | 1 << 24;
/** VERSION_1 and IN_ORDER: bits 32 and 35. */
const HIGH_IN_ORDER = 1 | 1 << 3;
const USUAL = MAC | STATUS | EVENT_IDX;

function pair(options: SimulatedOptions) {
  const first = new SimulatedVirtioNet({ mac: [0x52, 0x54, 0, 0, 0, 1], ...options });
  const second = new SimulatedVirtioNet({ mac: [0x52, 0x54, 0, 0, 0, 2], ...options });
  SimulatedVirtioNet.join(first, second);
  return {
    a: new VirtioNet(first),
    b: new VirtioNet(second, { name: "virtio1" }),
    dispose() {
      for (const device of [first, second]) {
        assert.equal(device.closed, true);
        assert.equal(device.status, 0, "not reset");
        assert.equal(device.memory.released, true);
      }
    },
  };
}

deviceConformance("VirtioNet", () => pair({ features: USUAL }));
deviceConformance("VirtioNet without event indices", () => pair({ features: MAC }));
deviceConformance(
  "VirtioNet with offloads and small queues",
  () => pair({ features: USUAL | MTU | CHECKSUMS | SEGMENTATION, mtu: 9000, queueSize: 64 }),
);
deviceConformance(
  "VirtioNet with every offload, that of UDP too",
  () => pair({ features: USUAL | CHECKSUMS | SEGMENTATION, featuresHigh: HIGH_USO }),
);

deviceConformance(
  "VirtioNet on a device that keeps to the order",
  () => pair({ features: USUAL | CONTROL, featuresHigh: HIGH_IN_ORDER }),
);

deviceConformance("VirtioNet with a control queue", () => pair({ features: USUAL | CONTROL }));

function one(options: SimulatedOptions = {}): { device: VirtioNet; simulated: SimulatedVirtioNet } {
  const simulated = new SimulatedVirtioNet({ features: USUAL, ...options });
  return { device: new VirtioNet(simulated), simulated };
}

/** A header of zeros and a frame of `length` bytes. */
function frame(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(NET_HEADER + length);
}

class Counting {
  frames = 0;
  receive(_packet: Packet): void {
    this.frames++;
  }
}

Deno.test("VirtioNet takes only the features whose conditions hold", () => {
  const segmentation = one({ features: SEGMENTATION });
  assert.equal(segmentation.simulated.accepted & SEGMENTATION, 0);
  assert.equal(segmentation.device.offloads, 0);
  const all = one({ features: ~0 });
  assert.equal(all.device.offloads, OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6);
  // Merged buffers, several queues and what depends on the control queue but the filter are not this driver's.
  assert.equal(all.simulated.accepted & (1 << 15 | 1 << 22 | 1 << 19 | 1 << 20 | 1 << 23), 0);
  assert.equal(all.simulated.accepted & CONTROL, CONTROL);
  const half = one({ features: CONTROL & -CONTROL });
  assert.equal(half.simulated.accepted & CONTROL, 0);
  half.device.close();
  const limited = new VirtioNet(new SimulatedVirtioNet({ features: ~0 }), { offloads: 0 });
  assert.equal(limited.offloads, 0);
  for (const device of [segmentation.device, all.device, limited]) device.close();
});

/** A super-frame of TCP over IPv4 whose payload lies in a block of the device's, from `offset` on. */
function superFrame(device: VirtioNet, block: Region, offset: number, lengths: readonly number[]): Packet {
  const packet = device.reserve()!;
  packet.end = packet.offset + 14 + 20 + 20;
  packet.bytes[packet.offset + 34 + 12] = 5 << 4;
  packet.flags = CHECKSUM_PARTIAL;
  packet.checksumStart = packet.offset + 34;
  packet.checksumOffset = 16;
  packet.gsoType = GSO_TCPV4;
  packet.gsoSize = 1000;
  for (const length of lengths) {
    packet.append(block, offset, length);
    offset = (offset + length) % block.bytes.length;
  }
  return packet;
}

Deno.test("VirtioNet sends payload out of its own blocks, in several parts and without a copy", () => {
  const chunk = 2 ** 21;
  const shared = new SimulatedMemory(3 * chunk, 3 * 4095);
  const { device, simulated } = one({ features: ~0, shared });
  const block = device.block(2 * chunk)!;
  for (let at = 0; at < block.bytes.length; at++) block.bytes[at] = at * 7;
  const frames: Uint8Array[] = [];
  simulated.onFrame = (bytes) => frames.push(bytes);
  const cases = [
    { offset: 5000, lengths: [30_000], parts: 2 },
    // Over the end of a chunk, where the next one is elsewhere for the device.
    { offset: chunk - 100, lengths: [30_000], parts: 3 },
    // Over the end of the ring.
    { offset: 2 * chunk - 1000, lengths: [1000, 20_000], parts: 3 },
    // So few that a copy is cheaper.
    { offset: 0, lengths: [1000], parts: 1 },
  ];
  for (const { offset, lengths, parts } of cases) {
    const packet = superFrame(device, block, offset, lengths);
    assert.equal(device.transmit(packet), true);
    assert.equal(block.loans, parts === 1 ? 0 : lengths.length);
    device.flush();
    device.poll(new Counting(), 1, 0);
    assert.equal(block.loans, 0);
    assert.equal(simulated.partsOfLast, parts);
    const payload = frames.pop()!.subarray(NET_HEADER + 54);
    assert.equal(payload.length, lengths.reduce((sum, length) => sum + length));
    for (const [i, byte] of payload.entries()) {
      assert.equal(byte, (offset + i) % block.bytes.length * 7 & 255, `byte ${i}`);
    }
  }
  device.close();
});

Deno.test("VirtioNet copies pieces that the device does not reach, and those with sums that are made already", () => {
  const { device, simulated } = one({ features: ~0, shared: new SimulatedMemory(2 ** 21, 3 * 4095) });
  const block = device.block(65536)!;
  const elsewhere = new Region(new ArrayBuffer(65536));
  const packets = [superFrame(device, elsewhere, 0, [20_000]), superFrame(device, block, 0, [1400])];
  packets[1]!.flags = packets[1]!.gsoType = 0;
  for (const packet of packets) {
    assert.equal(device.transmit(packet), true);
    device.flush();
    assert.equal(simulated.partsOfLast, 1);
  }
  assert.equal(block.loans, 0);
  device.close();
});

Deno.test("VirtioNet gives no blocks where the bus has no memory for them, and ends loans when it is closed", () => {
  const without = one({ features: ~0 }).device;
  assert.equal(without.block(65536), null);
  without.close();
  const { device, simulated } = one({ features: ~0, shared: new SimulatedMemory(2 ** 21, 3 * 4095) });
  const block = device.block(65536)!;
  simulated.onFrame = () => assert.fail("The device was told");
  assert.equal(device.transmit(superFrame(device, block, 0, [20_000])), true);
  assert.equal(block.loans, 1);
  device.close();
  assert.equal(block.loans, 0);
  assert.equal(device.block(65536), null);
});

Deno.test("VirtioNet keeps a descriptor for each slot that somebody has", () => {
  const shared = new SimulatedMemory(2 ** 21, 3 * 4095);
  const { device } = one({ features: ~0, shared, queueSize: 16 });
  const block = device.block(65536)!;
  let sent = 0;
  for (const packets = Array.from({ length: 8 }, () => device.reserve()); packets.length > 0;) {
    const packet = packets.pop()!;
    if (packet === null) continue;
    device.release(packet);
    assert.equal(device.transmit(superFrame(device, block, 0, [20_000])), true, `after ${sent}`);
    sent++;
  }
  assert.ok(sent > 4);
  device.close();
});

Deno.test("VirtioNet has UDP segmented where the device offers it, checksums included", () => {
  const { device, simulated } = one({ features: CHECKSUMS, featuresHigh: HIGH_USO });
  assert.equal(device.offloads, OFFLOAD_CHECKSUM | OFFLOAD_USO);
  assert.equal(simulated.acceptedHigh, HIGH_USO);
  const packet = device.reserve()!;
  // Ethernet, IPv4 and UDP headers, and three datagrams of 1,000 bytes.
  packet.end = packet.offset + 14 + 20 + 8 + 3000;
  packet.flags = CHECKSUM_PARTIAL;
  packet.checksumStart = packet.offset + 34;
  packet.checksumOffset = 6;
  packet.gsoType = GSO_UDP;
  packet.gsoSize = 1000;
  const sent: Uint8Array[] = [];
  simulated.onFrame = (bytes) => sent.push(bytes);
  assert.equal(device.transmit(packet), true);
  device.flush();
  assert.equal(sent.length, 1);
  const view = new DataView(sent[0]!.buffer);
  assert.deepEqual([...sent[0]!.subarray(0, 2)], [1, 5]);
  assert.deepEqual([2, 4, 6, 8].map((at) => view.getUint16(at, true)), [42, 1000, 34, 6]);
  assert.equal(sent[0]!.length, NET_HEADER + 3042);
  device.close();
  for (const options of [{ features: 0, featuresHigh: HIGH_USO }, { features: CHECKSUMS, featuresHigh: 1 }]) {
    const without = one(options);
    assert.equal(without.device.offloads & OFFLOAD_USO, 0);
    assert.equal(without.simulated.acceptedHigh, 1);
    without.device.close();
  }
});

Deno.test("VirtioNet reads MAC and MTU, and makes a MAC when the device has none", () => {
  const { device } = one({ features: MAC | MTU, mtu: 1400, mac: [2, 4, 6, 8, 10, 12] });
  assert.deepEqual([...device.mac], [2, 4, 6, 8, 10, 12]);
  assert.equal(device.mtu, 1400);
  device.close();
  const own = one({ features: 0, mtu: 1400 }).device;
  assert.equal(own.mac[0]! & 3, 2);
  assert.equal(own.mtu, 1500);
  own.close();
  const tiny = one({ features: MTU, mtu: 67 });
  assert.equal(tiny.simulated.accepted & MTU, 0);
  assert.equal(tiny.device.mtu, 1500);
  tiny.device.close();
});

Deno.test("VirtioNet says what is wrong with a device and gives it back", () => {
  const cases: [SimulatedOptions, RegExp][] = [
    [{ featuresHigh: 0 }, /older than virtio 1\.0/],
    [{ features: USUAL, refused: MAC }, /refuses the features/],
    [{ queueSize: 0 }, /has no queue 0/],
    [{ memory: 16384 }, /too small/],
  ];
  for (const [options, message] of cases) {
    const simulated = new SimulatedVirtioNet(options);
    assert.throws(() => new VirtioNet(simulated), message);
    assert.equal(simulated.closed, true);
    assert.equal(simulated.status, 0);
    assert.equal(simulated.memory.released, true);
  }
});

Deno.test("VirtioNet.linkUp follows the device and wakes the loop", async () => {
  const { device, simulated } = one();
  for (const up of [false, true]) {
    let wakes = 0;
    assert.equal(device.arm(() => wakes++), true);
    simulated.setLink(up);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(wakes, 1);
    assert.equal(device.linkUp, up);
  }
  device.close();
});

Deno.test("VirtioNet fails when the device asks for a reset", async () => {
  const { device, simulated } = one();
  let wakes = 0;
  device.arm(() => wakes++);
  simulated.break();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(wakes, 1);
  assert.equal(device.closed, true);
  assert.match(String(device.failure), /needs a reset/);
});

Deno.test("VirtioNet raises no interrupts while it is polled", async () => {
  const { device, simulated } = one();
  const counting = new Counting();
  for (let i = 0; i < 1000; i++) {
    assert.equal(simulated.send(frame(60)), true);
    device.poll(counting, 64, i);
  }
  assert.equal(counting.frames, 1000);
  assert.equal(simulated.raised, 0);
  assert.equal(device.arm(() => {}), true);
  simulated.send(frame(60));
  simulated.send(frame(60));
  assert.equal(simulated.raised, 1);
  await new Promise((resolve) => setImmediate(resolve));
  device.close();
});

Deno.test("VirtioNet notifies once a flush", () => {
  const { device, simulated } = one();
  const before = simulated.notifications;
  for (let i = 0; i < 10; i++) {
    const packet = device.reserve()!;
    fillFrame(packet, device.mac, device.mac, i, 60);
    device.transmit(packet);
  }
  assert.equal(simulated.notifications, before);
  device.flush();
  device.flush();
  assert.equal(simulated.notifications, before + 1);
  device.close();
});

Deno.test("VirtioNet wakes whoever waits for a free slot", async () => {
  const simulated = new SimulatedVirtioNet({ features: USUAL, queueSize: 16 });
  // This device sends only when it is told to.
  const deliver = simulated.notify.bind(simulated);
  simulated.notify = () => {};
  const device = new VirtioNet(simulated);
  for (let packet = device.reserve(); packet !== null; packet = device.reserve()) {
    fillFrame(packet, device.mac, device.mac, 0, 60);
    device.transmit(packet);
  }
  let wakes = 0;
  assert.equal(device.arm(() => wakes++), true);
  deliver(1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(wakes, 1);
  assert.notEqual(device.reserve(), null);
  device.close();
});

Deno.test("VirtioNet counts used lengths that can't be true", () => {
  const { device, simulated } = one();
  const counting = new Counting();
  for (const length of [0, 11, 12, 25, 1531, 65535, 0x7fffffff, 0xffffffff]) {
    simulated.send(frame(60), length);
    assert.equal(device.poll(counting, 64, 0), 0, String(length));
  }
  assert.equal(device.counters.receiveErrors, 8);
  for (const length of [26, 1530]) {
    simulated.send(frame(60), length);
    assert.equal(device.poll(counting, 64, 0), 1, String(length));
  }
  device.close();
});

Deno.test("VirtioNet drops frames whose header can't be true", () => {
  const { device, simulated } = one({ features: USUAL | CHECKSUMS | SEGMENTATION });
  const collector = new Counting();
  const header = (...bytes: number[]) => {
    const all = frame(60);
    all.set(bytes);
    simulated.send(all);
    return device.poll(collector, 64, 0);
  };
  assert.equal(header(1, 0, 0, 0, 0, 0, 34, 0, 16, 0), 1, "a partial checksum");
  assert.equal(header(1, 0, 0, 0, 0, 0, 42, 0, 16, 0), 1, "a partial checksum at the very end");
  assert.equal(header(1, 0, 0, 0, 0, 0, 43, 0, 16, 0), 0, "beyond the end");
  assert.equal(header(1, 0, 0, 0, 0, 0, 255, 255, 255, 255), 0, "far beyond the end");
  assert.equal(header(0, 1, 54, 0, 0, 1, 0, 0, 0, 0), 1, "segments of 256 bytes");
  assert.equal(header(0, 1, 54, 0, 0, 0, 0, 0, 0, 0), 0, "segments of no bytes");
  assert.equal(header(0, 3, 54, 0, 0, 1, 0, 0, 0, 0), 0, "an unknown kind");
  assert.equal(device.counters.receiveErrors, 4);
  device.close();
});

Deno.test("VirtioNet survives whatever the device writes, and counts it", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("frame" as const),
      length: fc.integer({ min: 0, max: 1514 }),
      header: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    }),
    fc.record({ kind: fc.constant("length" as const), length: fc.nat(0xffffffff) }),
    fc.record({
      kind: fc.constant("used" as const),
      queue: fc.integer({ min: 0, max: 1 }),
      id: fc.nat(0xffffffff),
      small: fc.boolean(),
    }),
    fc.record({ kind: fc.constant("transmit" as const), length: fc.integer({ min: 0, max: 1600 }) }),
    fc.record({
      kind: fc.constant("index" as const),
      queue: fc.integer({ min: 0, max: 1 }),
      index: fc.nat(0xffff),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, eventIndex) => {
      const features = MAC | STATUS | CHECKSUMS | SEGMENTATION | (eventIndex ? EVENT_IDX : 0);
      const simulated = new SimulatedVirtioNet({ features, queueSize: 8, memory: 2 * 2 ** 20 });
      const device = new VirtioNet(simulated);
      for (const queue of simulated.queues) queue.strict = false;
      let answers = 0;
      const receiver = {
        receive(packet: Packet): void {
          assert.ok(packet.offset >= packet.base && packet.end <= packet.limit && packet.length >= 14);
          if (answers++ % 3 === 0) device.transmit(packet);
        },
      };
      for (const action of steps) {
        if (device.closed) break;
        if (action.kind === "frame") {
          const bytes = frame(action.length);
          bytes.set(action.header);
          simulated.send(bytes);
        } else if (action.kind === "length") {
          simulated.send(frame(60), action.length);
        } else if (action.kind === "used") {
          simulated.queues[action.queue]!.give(action.small ? action.id % 8 : action.id, 100);
        } else if (action.kind === "index") {
          simulated.queues[action.queue]!.lie(action.index);
        } else {
          const packet = device.reserve();
          if (packet !== null) {
            packet.offset = packet.base + 128;
            packet.end = packet.offset + action.length;
            device.transmit(packet);
          }
        }
        device.flush();
        device.poll(receiver, 4, 0);
      }
      const [receive, transmit] = device.faults;
      if (device.closed) {
        assert.equal(receive.badIndices + transmit.badIndices, 1);
        assert.match(String(device.failure), /than it had/);
      }
      device.close();
    }),
    { numRuns: 300 },
  );
});

/** Lets a device send to its driver one frame each to these addresses. @returns Those that came. */
function heard(
  { device, simulated }: { device: VirtioNet; simulated: SimulatedVirtioNet },
  ...to: string[]
): string[] {
  const came: string[] = [];
  for (const address of to) {
    const bytes = frame(60);
    bytes.set(Uint8Array.fromHex(address), NET_HEADER);
    simulated.send(bytes);
  }
  const receiver = {
    receive: ({ bytes, offset }: Packet) => void came.push(bytes.slice(offset, offset + 6).toHex()),
  };
  device.poll(receiver, 64, 0);
  return came;
}

const OWN = "525400000001",
  ALL = "ffffffffffff",
  GROUP = "01005e010203",
  OTHER = "01005e010204",
  STRANGER = "020000000009";

Deno.test("VirtioNet.filterGroups() has the device leave out what is not wanted", () => {
  for (const features of [USUAL | CONTROL, MAC | CONTROL]) {
    const both = one({ features });
    const { device, simulated } = both;
    const everything = [OWN, ALL, GROUP, OTHER, STRANGER];
    assert.deepEqual(heard(both, ...everything), everything);
    device.filterGroups([0x100, 0x5e010203, 0x3333, 1]);
    assert.deepEqual(simulated.groups, [GROUP, "333300000001"]);
    device.poll(new Counting(), 64, 0);
    device.poll(new Counting(), 64, 0);
    assert.deepEqual(heard(both, ...everything), [OWN, ALL, GROUP]);
    device.filterGroups([]);
    device.poll(new Counting(), 64, 0);
    assert.deepEqual(heard(both, ...everything), [OWN, ALL]);
    device.filterGroups(null);
    assert.deepEqual(heard(both, ...everything), everything);
    // More than are told: it had better deliver all.
    for (let round = 0; round < 3; round++) {
      device.filterGroups(Array.from({ length: 257 }, (_, i) => [0x3333, i]).flat());
      device.poll(new Counting(), 64, 0);
      assert.equal(simulated.promiscuous, true);
    }
    device.close();
    device.filterGroups([]);
    assert.equal(simulated.status, 0);
  }
});

Deno.test("VirtioNet waits for no command, and the last wish counts", () => {
  const { device, simulated } = one({ features: USUAL | CONTROL });
  simulated.deaf = true;
  for (let last = 1; last <= 50; last++) {
    device.filterGroups([0x3333, last]);
    if (last % 7 === 0) device.filterGroups(null);
    device.poll(new Counting(), 64, 0);
  }
  assert.equal(simulated.promiscuous, true);
  simulated.deaf = false;
  for (let round = 0; round < 8; round++) {
    simulated.obey();
    device.poll(new Counting(), 64, 0);
  }
  assert.deepEqual([simulated.promiscuous, simulated.groups], [false, ["333300000032"]]);
  device.close();
});

Deno.test("VirtioNet gets everything from a device that does not take its groups", () => {
  const both = one({ features: USUAL | CONTROL, answers: [0, 1] });
  for (let round = 0; round < 4; round++) {
    both.device.filterGroups([0x100, 0x5e010203]);
    for (let turn = 0; turn < 3; turn++) both.device.poll(new Counting(), 64, 0);
    assert.deepEqual(heard(both, GROUP, OTHER), [GROUP, OTHER]);
  }
  both.device.close();
  const none = one({ features: USUAL | CONTROL, queueSize: 1 });
  none.device.filterGroups([]);
  assert.equal(none.simulated.queues.length, 2, "a queue without room for commands is left alone");
  none.device.close();
});
