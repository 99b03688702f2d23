import assert from "node:assert/strict";
import fc from "fast-check";
import { type Device, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../stack/device.ts";
import { Region } from "../stack/packet.ts";
import { BridgeDevice } from "./bridge.ts";
import { fillSegment } from "./device_conformance_frames.ts";
import { numberedLinkAddress } from "./link_address.ts";
import { MemoryDevice } from "./memory.ts";

const ALL = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO;
const OFFLOADS = [ALL, 0, OFFLOAD_CHECKSUM, ALL];

/** Sum of the numbers of an object of counters. */
const total = (counts: object): number =>
  Object.values(counts).reduce((sum: number, count) => sum + count, 0);

/** What whoever sends says about a frame: a valid super-segment with some of it changed. */
const LIE = fc.record({
  from: fc.nat(3),
  to: fc.nat(5),
  payload: fc.nat(6000),
  flags: fc.constantFrom(0, 1, 1, 1),
  gsoType: fc.constantFrom(0, 1, 1, 4, 5, 0x81, 7),
  gsoSize: fc.constantFrom(0, 1, 8, 999, 1000, 1448, 65535),
  checksumStart: fc.constantFrom(34, 34, 34, 0, 14, 33, 53, 74, 2000),
  checksumOffset: fc.constantFrom(16, 16, 6, 0, 3000),
  cut: fc.nat(80),
  changes: fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }),
});

Deno.test("BridgeDevice survives whatever frames say about themselves, and counts each of them", () => {
  fc.assert(
    fc.property(fc.array(LIE, { minLength: 1, maxLength: 30 }), (lies) => {
      const ends = OFFLOADS.map((offloads, index) =>
        MemoryDevice.pair({
          offloads,
          slots: 64,
          queue: 256,
          macs: [numberedLinkAddress(10 + index), numberedLinkAddress(20 + index)],
        })
      );
      const bridge = new BridgeDevice(ends.map(([port]) => port), { secret: 1, slots: 4, addresses: 8 });
      const stations = ends.map(([, station]) => station);
      const targets = [...stations.map(({ mac }) => mac), bridge.mac, new Uint8Array(6).fill(255)];
      let now = 0, sent = 0;
      for (const lie of lies) {
        const station = stations[lie.from]!;
        const packet = station.reserve()!;
        fillSegment(packet, targets[lie.to]!, station.mac, 0, lie.payload);
        const start = packet.offset;
        for (const [at, value] of lie.changes) packet.bytes[start + at] = value;
        packet.end = Math.max(start + 14, packet.end - (lie.cut > 60 ? packet.length - lie.cut : 0));
        packet.flags = lie.flags;
        packet.gsoType = lie.gsoType;
        packet.gsoSize = lie.gsoSize;
        packet.checksumStart = start + lie.checksumStart;
        packet.checksumOffset = lie.checksumOffset;
        if (station.transmit(packet)) sent++;
        station.flush();
        bridge.poll({ receive: () => {} }, 64, now += 1000);
        bridge.flush();
        for (const one of stations) one.poll({ receive: () => {} }, 256, now);
      }
      let received = 0;
      for (const { counters, device } of bridge.ports) {
        received += counters.received;
        assert.equal(counters.received, counters.delivered + total(counters.dropped));
        assert.equal(device.free, 64, "a slot is lost");
      }
      assert.equal(received, sent);
      assert.equal(bridge.free, 4);
      assert.ok(bridge.addresses.length <= 8);
    }),
    { numRuns: 300 },
  );
});

Deno.test("BridgeDevice sends what is in pieces, to whom it knows and to all", () => {
  const ends = OFFLOADS.map((offloads, index) =>
    MemoryDevice.pair({ offloads, macs: [numberedLinkAddress(10 + index), numberedLinkAddress(20 + index)] })
  );
  const bridge: Device = new BridgeDevice(ends.map(([port]) => port));
  const ring = new Region(new ArrayBuffer(100));
  ring.bytes.fill(7);
  const packet = bridge.reserve()!;
  packet.bytes.set([...new Uint8Array(6).fill(255), ...bridge.mac, 0x88, 0xb5], packet.push(14));
  packet.end = packet.offset + 14;
  packet.append(ring, 3, 50);
  packet.append(ring, 60, 30);
  assert.equal(bridge.transmit(packet), true);
  bridge.flush();
  for (const [, station] of ends) {
    let sum = 0;
    station.poll(
      {
        receive: ({ bytes, offset, end }) =>
          void (sum = bytes.subarray(offset + 14, end).reduce((a, b) => a + b, 0)),
      },
      9,
      0,
    );
    assert.equal(sum, 7 * 80);
  }
});
