import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 } from "../stack/device.ts";
import { GSO_TCPV4, type Packet } from "../stack/packet.ts";
import { BridgeDevice, type BridgeOptions } from "./bridge.ts";
import { deviceConformance } from "./device_conformance.ts";
import {
  checksumState,
  Collector,
  fillFrame,
  fillSegment,
  segmentPayload,
} from "./device_conformance_frames.ts";
import { formatLinkAddress, numberedLinkAddress } from "./link_address.ts";
import { MemoryDevice, type MemoryOptions } from "./memory.ts";

const TSO = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6;
const EVERYONE = new Uint8Array(6).fill(255);
const IGNORE = { receive(): void {} };

let cables = 0;

/** A cable: its port's end, and that of a station with an address of its own. */
function cable(options: MemoryOptions = {}): [MemoryDevice, MemoryDevice] {
  const macs = [numberedLinkAddress(0x10000 + cables++), numberedLinkAddress(0x20000 + cables++)];
  return MemoryDevice.pair({ slots: 64, macs, ...options });
}

deviceConformance("BridgeDevice", () => {
  const [port, b] = cable();
  return { a: new BridgeDevice([port], { slots: 32 }), b };
});

deviceConformance("BridgeDevice with more ports, one of which has offloads", () => {
  const [other] = cable({ offloads: TSO, queue: 1024 }), [port, b] = cable({ offloads: TSO, slots: 32 });
  return { a: new BridgeDevice([other, port], { slots: 32, floodRate: Infinity }), b };
});

deviceConformance("A station behind a BridgeDevice", () => {
  const [left, a] = cable({ queue: 1024 }), [right, b] = cable({ queue: 1024, offloads: TSO });
  const bridge = new BridgeDevice([left, right], { floodRate: Infinity });
  return {
    a,
    b,
    async settle() {
      bridge.poll(IGNORE, 64, performance.now() * 1000);
      bridge.flush();
      await new Promise<void>((resolve) => setImmediate(resolve));
    },
    dispose: () => bridge.close(),
  };
});

/** A bridge of some ports with a station behind each. */
class Lan {
  readonly ports: MemoryDevice[] = [];
  readonly stations: MemoryDevice[] = [];
  readonly bridge: BridgeDevice;
  readonly own = new Collector();
  now = 0;

  constructor(ports: number | MemoryOptions[], options: BridgeOptions = {}) {
    const list = typeof ports === "number" ? new Array<MemoryOptions>(ports).fill({}) : ports;
    for (const each of list) {
      const [port, station] = cable(each);
      this.ports.push(port);
      this.stations.push(station);
    }
    this.bridge = new BridgeDevice(this.ports, { secret: 1, ...options });
  }

  /** Sends a frame from one station. */
  send(from: number, to: Uint8Array, sequence = 0, source = this.stations[from]!.mac): void {
    const station = this.stations[from]!;
    const packet = station.reserve()!;
    fillFrame(packet, to, source, sequence, 60);
    station.transmit(packet);
    station.flush();
  }

  /** Lets the bridge work, and tells which numbers came where: for each station, and last for ourselves. */
  run(): number[][] {
    const before = this.own.frames.length;
    while (this.bridge.poll(this.own, 64, this.now) > 0);
    this.bridge.flush();
    const seen = this.stations.map((station) => {
      const collector = new Collector();
      while (station.poll(collector, 64, this.now) > 0);
      assert.deepEqual(collector.faults, []);
      return collector.sequences();
    });
    return [...seen, this.own.sequences().slice(before)];
  }

  mac(index: number): Uint8Array {
    return this.stations[index]!.mac;
  }
}

Deno.test("BridgeDevice floods to whom it does not know, and sends to whom it knows, never back", () => {
  const lan = new Lan(3);
  lan.send(0, lan.mac(2), 1);
  assert.deepEqual(lan.run(), [[], [1], [1], []], "unknown: to all, but not to ourselves");
  lan.send(2, lan.mac(0), 2);
  assert.deepEqual(lan.run(), [[2], [], [], []]);
  lan.send(0, lan.mac(2), 3);
  assert.deepEqual(lan.run(), [[], [], [3], []]);
  lan.send(1, EVERYONE, 4);
  assert.deepEqual(lan.run(), [[4], [], [4], [4]]);
  lan.send(1, Uint8Array.of(1, 0, 0x5e, 1, 2, 3), 5);
  assert.deepEqual(lan.run(), [[5], [], [5], [5]]);
  // Two stations behind one port: what one says to the other goes nowhere.
  const second = numberedLinkAddress(99);
  lan.send(0, EVERYONE, 6, second);
  lan.run();
  lan.send(0, second, 7);
  assert.deepEqual(lan.run(), [[], [], [], []]);
  assert.equal(lan.bridge.ports[0]!.counters.dropped.samePort, 1);
  assert.deepEqual(
    lan.bridge.addresses.map(({ mac, port }) => [mac, port.number]).sort(),
    [[lan.mac(0), 0], [second, 0], [lan.mac(1), 1], [lan.mac(2), 2]].map(([mac, port]) => [
      formatLinkAddress(mac as Uint8Array),
      port,
    ]).sort(),
  );
});

Deno.test("BridgeDevice gives us what is for us, and our answers go to one port in the slot they came in", () => {
  const lan = new Lan(3);
  lan.send(1, lan.bridge.mac, 1);
  assert.deepEqual(lan.run(), [[], [], [], [1]]);
  lan.send(1, lan.bridge.mac, 2);
  const echo = {
    receive(packet: Packet): void {
      fillFrame(packet, lan.mac(1), lan.bridge.mac, 9, packet.length);
      assert.equal(lan.bridge.transmit(packet), true);
    },
  };
  const exhausted = lan.ports[1]!.free;
  lan.bridge.poll(echo, 64, 0);
  assert.equal(lan.ports[1]!.free, exhausted);
  assert.deepEqual(lan.run(), [[], [9], [], []]);
  // To somebody behind another port it is copied.
  lan.send(0, EVERYONE, 3);
  lan.run();
  lan.send(1, lan.bridge.mac, 4);
  const redirect = {
    receive(packet: Packet): void {
      fillFrame(packet, lan.mac(0), lan.bridge.mac, 10, packet.length);
      assert.equal(lan.bridge.transmit(packet), true);
    },
  };
  lan.bridge.poll(redirect, 64, 0);
  assert.deepEqual(lan.run(), [[10], [], [], []]);
});

Deno.test("BridgeDevice forgets who is silent, who has moved, and whose link is down", () => {
  const lan = new Lan(3, { ageing: 1000 });
  lan.send(0, EVERYONE);
  lan.run();
  lan.now = 999;
  lan.send(1, lan.mac(0), 1);
  assert.deepEqual(lan.run(), [[1], [], [], []]);
  lan.now = 1000;
  lan.send(1, lan.mac(0), 2);
  assert.deepEqual(lan.run(), [[2], [], [2], []], "silent for too long");
  lan.send(0, EVERYONE);
  lan.run();
  lan.send(2, EVERYONE, 3, lan.mac(0));
  lan.run();
  lan.send(1, lan.mac(0), 4);
  assert.deepEqual(lan.run(), [[], [], [4], []], "moved to port 2");
  assert.equal(lan.bridge.table.moved, 1);
  lan.stations[2]!.close();
  lan.send(1, lan.mac(0), 5);
  assert.deepEqual(lan.run(), [[5], [], [], []], "port 2 has no link");
});

Deno.test("BridgeDevice forwards nothing that is for the bridge alone", () => {
  const lan = new Lan(2);
  for (let last = 0; last < 16; last++) lan.send(0, Uint8Array.of(1, 0x80, 0xc2, 0, 0, last), last);
  assert.deepEqual(lan.run(), [[], [], Array.from({ length: 16 }, (_, last) => last)]);
  lan.send(0, Uint8Array.of(1, 0x80, 0xc2, 0, 0, 16), 16);
  assert.deepEqual(lan.run(), [[], [16], [16]]);
});

Deno.test("BridgeDevice drops what cannot be, and counts it", () => {
  const lan = new Lan(2);
  lan.send(0, EVERYONE, 1, Uint8Array.of(3, 0, 0, 0, 0, 1));
  lan.send(0, EVERYONE, 2, lan.bridge.mac);
  assert.deepEqual(lan.run(), [[], [], []]);
  const { counters } = lan.bridge.ports[0]!;
  assert.deepEqual([counters.dropped.badSource, counters.dropped.looped], [1, 1]);
  assert.equal(counters.received, 2);
  assert.equal(lan.bridge.addresses.length, 0);
});

Deno.test("BridgeDevice floods no more than its rate, and the rest is not harmed", () => {
  const lan = new Lan(3, { floodRate: 1000 });
  lan.send(1, EVERYONE);
  lan.send(2, EVERYONE);
  lan.run();
  let flooded = 0;
  for (let round = 0; round < 10; round++) {
    for (let index = 0; index < 50; index++) lan.send(0, EVERYONE, index);
    flooded += lan.run()[1]!.length;
  }
  assert.equal(flooded, 100, "a tenth of a second's worth at once");
  assert.equal(lan.bridge.ports[0]!.counters.dropped.floodLimit, 400);
  lan.send(0, lan.mac(2), 7);
  lan.send(1, EVERYONE, 8);
  assert.deepEqual(lan.run(), [[8], [], [7, 8], [8]]);
  lan.now += 10_000;
  for (let index = 0; index < 50; index++) lan.send(0, EVERYONE, index);
  assert.equal(lan.run()[1]!.length, 10, "a hundredth of a second later");
});

Deno.test("BridgeDevice survives a loop: the storm stays within the rate", () => {
  const [left, right] = cable({ queue: 1024, slots: 1024 });
  const [port, station] = cable({ queue: 4096 });
  // Both ends of one cable are ports.
  const bridge = new BridgeDevice([left, right, port], { floodRate: 1000 });
  const packet = station.reserve()!;
  fillFrame(packet, EVERYONE, station.mac, 0, 60);
  station.transmit(packet);
  station.flush();
  const collector = new Collector();
  for (let turn = 0; turn < 1000; turn++) {
    bridge.poll(IGNORE, 64, turn * 1000);
    bridge.flush();
    station.poll(collector, 64, 0);
  }
  assert.ok(collector.frames.length > 0 && collector.frames.length <= 2 * 1100, `${collector.frames.length}`);
});

Deno.test("BridgeDevice keeps isolated ports apart, but not from others and from us", () => {
  const lan = new Lan(3);
  lan.bridge.ports[0]!.isolated = lan.bridge.ports[1]!.isolated = true;
  for (const index of [0, 1, 2]) lan.send(index, EVERYONE, index);
  assert.deepEqual(lan.run().map((list) => list.sort()), [[2], [2], [0, 1], [0, 1, 2]]);
  lan.send(0, lan.mac(1), 5);
  lan.send(0, lan.mac(2), 6);
  lan.send(0, lan.bridge.mac, 7);
  assert.deepEqual(lan.run(), [[], [], [6], [7]]);
  assert.equal(lan.bridge.ports[0]!.counters.dropped.isolated, 1);
});

Deno.test("BridgeDevice cuts super-frames for the port that takes none, and passes them to the one that does", () => {
  const lan = new Lan([{ offloads: TSO }, { offloads: TSO }, {}]);
  for (const [to, expected] of [[1, 1], [2, 21]] as const) {
    lan.send(to, EVERYONE);
    lan.run();
    const station = lan.stations[0]!;
    const packet = station.reserve()!;
    fillSegment(packet, lan.mac(to), station.mac, 0, 20_001);
    packet.gsoType = GSO_TCPV4;
    packet.gsoSize = 1000;
    station.transmit(packet);
    station.flush();
    lan.bridge.poll(IGNORE, 64, 0);
    lan.bridge.flush();
    const collector = new Collector();
    lan.stations[to]!.poll(collector, 64, 0);
    assert.equal(collector.frames.length, expected);
    assert.deepEqual(segmentPayload(collector.frames), { bytes: 20_001, faults: 0 });
    for (const frame of collector.frames) assert.equal(checksumState(frame), "good");
  }
  assert.equal(lan.bridge.ports[2]!.out.counters.cut, 1);
});

Deno.test("BridgeDevice has the least MTU of its ports, and drops what is too long for one", () => {
  const lan = new Lan([{ mtu: 9000 }, { mtu: 1500 }]);
  assert.equal(lan.bridge.mtu, 1500);
  const station = lan.stations[0]!;
  const packet = station.reserve()!;
  fillFrame(packet, EVERYONE, station.mac, 1, 9014);
  station.transmit(packet);
  station.flush();
  assert.deepEqual(lan.run(), [[], [], [1]]);
  assert.equal(lan.bridge.ports[1]!.out.counters.tooLong, 1);
  const [small] = cable({ mtu: 1499 });
  assert.throws(() => lan.bridge.addPort(small), /MTU of 1499 is less than the 1500 of "bridge0"/);
});

Deno.test("BridgeDevice lives without a port that is gone, and with one that is added", () => {
  const lan = new Lan(2);
  lan.send(0, EVERYONE);
  lan.run();
  lan.ports[0]!.close();
  lan.run();
  assert.deepEqual(lan.bridge.ports.map(({ number }) => number), [1]);
  assert.equal(lan.bridge.closed, false);
  assert.equal(lan.bridge.addresses.length, 0);
  const [port, station] = cable();
  let woken = 0;
  assert.equal(lan.bridge.arm(() => woken++), true);
  const added = lan.bridge.addPort(port);
  assert.equal(woken, 1);
  assert.equal(added.number, 2);
  assert.throws(() => lan.bridge.addPort(port), /is a port of "bridge0" already/);
  lan.send(1, EVERYONE, 4);
  lan.run();
  const collector = new Collector();
  station.poll(collector, 64, 0);
  assert.deepEqual(collector.sequences(), [4]);
  lan.bridge.removePort(added);
  lan.bridge.removePort(added);
  assert.equal(port.closed, false);
  lan.bridge.close();
  assert.equal(port.closed, false);
});

Deno.test("BridgeDevice bridges much without anything for us, and asks to be polled again", () => {
  const lan = new Lan([{ queue: 4096, slots: 4096 }, { queue: 4096, slots: 4096 }], { floodRate: Infinity });
  lan.send(1, EVERYONE);
  lan.run();
  for (let sequence = 0; sequence < 1000; sequence++) lan.send(0, lan.mac(1), sequence);
  let turns = 0;
  do {
    assert.equal(lan.bridge.poll(IGNORE, 8, 5), 0);
    turns++;
  } while (lan.bridge.deadline <= 5);
  lan.bridge.flush();
  const collector = new Collector();
  while (lan.stations[1]!.poll(collector, 64, 0) > 0);
  assert.deepEqual(collector.sequences(), Array.from({ length: 1000 }, (_, index) => index));
  assert.ok(turns > 10, `${turns} polls`);
});

Deno.test("BridgeDevice refuses what is no port, and options out of range", () => {
  const [port] = MemoryDevice.pair({ medium: "ip" });
  assert.throws(() => new BridgeDevice([port]), /Cannot bridge "memory0": its packets have no link header/);
  const [one] = cable();
  assert.throws(() => new BridgeDevice([one], { mtu: 1501 }), /Option mtu is "1501"/);
  assert.throws(() => new BridgeDevice([one], { addresses: 3 }), RangeError);
  assert.throws(() => new BridgeDevice([one], { ageing: 0 }), /Option ageing/);
  assert.throws(() => new BridgeDevice([one], { floodRate: 0 }), /Option floodRate/);
  assert.throws(
    () => new BridgeDevice([one], { mac: EVERYONE }),
    /"ff:ff:ff:ff:ff:ff" is not that of a host/,
  );
});
