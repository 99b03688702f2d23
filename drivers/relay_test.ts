import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../stack/device.ts";
import { GSO_TCPV4, GSO_UDP, type Packet } from "../stack/packet.ts";
import {
  checksumState,
  Collector,
  fillFrame,
  fillSegment,
  segmentPayload,
} from "./device_conformance_frames.ts";
import { MemoryDevice, type MemoryOptions } from "./memory.ts";
import { Relay } from "./relay.ts";

const ALL = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO;

/** A packet of one device, and a relay to another with these options. */
function between(options: MemoryOptions = {}, medium: "ethernet" | "ip" = "ethernet") {
  const [source] = MemoryDevice.pair({ offloads: ALL, medium });
  const [to, far] = MemoryDevice.pair({ ...options, medium });
  const relay = new Relay(to);
  const seen = () => {
    to.flush();
    const collector = new Collector();
    far.poll(collector, 1000, 0);
    return collector;
  };
  return { packet: source.reserve()!, source, to, far, relay, seen };
}

for (const medium of ["ethernet", "ip"] as const) {
  Deno.test(`Relay completes checksums and cuts super-frames for a device that does not, on ${medium}`, () => {
    const { packet, source, far, relay, seen } = between({}, medium);
    fillSegment(packet, far.mac, source.mac, 0, 20_001);
    packet.gsoType = GSO_TCPV4;
    packet.gsoSize = 1000;
    assert.equal(relay.send(packet), true);
    const { frames } = seen();
    assert.equal(frames.length, 21);
    assert.deepEqual(segmentPayload(frames), { bytes: 20_001, faults: 0 });
    for (const frame of frames) {
      assert.equal(frame.flags, 0);
      assert.equal(checksumState(frame), "good");
    }
    assert.equal(relay.counters.cut, 1);
    assert.equal(relay.counters.sent, 21);
    fillSegment(packet, far.mac, source.mac, 0, 333);
    packet.gsoType = packet.gsoSize = 0;
    assert.equal(relay.send(packet), true);
    assert.equal(checksumState(seen().frames[0]!), "good");
    assert.equal(relay.counters.checksummed, 1);
  });
}

Deno.test("Relay leaves to a device what it does", () => {
  const { packet, source, far, relay, seen } = between({ offloads: ALL });
  fillSegment(packet, far.mac, source.mac, 0, 20_001);
  packet.gsoType = GSO_TCPV4;
  packet.gsoSize = 1000;
  assert.equal(relay.send(packet), true);
  const [frame, ...more] = seen().frames;
  assert.equal(more.length, 0);
  assert.deepEqual([frame!.gsoType, frame!.gsoSize, frame!.flags], [GSO_TCPV4, 1000, 3]);
  assert.equal(checksumState(frame!), "good");
  assert.equal(relay.counters.cut + relay.counters.checksummed, 0);
});

Deno.test("Relay cuts behind the tags of VLANs", () => {
  const { packet, source, far, to, relay } = between();
  fillSegment(packet, far.mac, source.mac, 0, 5000);
  packet.gsoType = GSO_TCPV4;
  packet.gsoSize = 1000;
  const at = packet.push(8);
  packet.bytes.copyWithin(at, at + 8, at + 20);
  packet.bytes.set([0x88, 0xa8, 0, 7, 0x81, 0, 0, 5], at + 12);
  assert.equal(relay.send(packet), true);
  to.flush();
  const lengths: number[] = [];
  far.poll(
    {
      receive(part) {
        lengths.push(part.length);
        assert.equal(part.view.getInt32(part.offset + 12), 0x88a80007 | 0);
        assert.equal(part.view.getUint16(part.offset + 24), 1040, "the length in the IP header");
      },
    },
    64,
    0,
  );
  assert.deepEqual(lengths, new Array(5).fill(14 + 8 + 1040));
});

Deno.test("Relay counts why frames are lost", () => {
  const { packet, source, far, relay, seen } = between({ slots: 4, queue: 4 });
  const super4 = (change: (packet: Packet) => unknown) => {
    fillSegment(packet, far.mac, source.mac, 0, 3000);
    packet.gsoType = GSO_TCPV4;
    packet.gsoSize = 1000;
    change(packet);
    return relay.send(packet);
  };
  const { counters } = relay;
  // What whoever sent it says about it cannot be.
  const lies: ((packet: Packet) => unknown)[] = [
    (it) => it.flags = 0,
    (it) => it.checksumStart = it.offset + 5,
    (it) => it.checksumStart = it.end - 4,
    (it) => it.gsoSize = 0,
    (it) => it.gsoType = 77,
    (it) => it.view.setUint16(it.offset + 12, 0x88b5),
    (it) => it.bytes.fill(0x81, it.offset + 12, it.offset + 60),
    (it) => it.end = it.offset + 20,
    (it) => {
      it.view.setUint8(it.checksumStart + 12, 0xf0);
      it.end = it.checksumStart + 40;
    },
  ];
  for (const [index, lie] of lies.entries()) {
    assert.equal(super4(lie), false, `lie ${index}`);
    assert.equal(counters.malformed, index + 1, `lie ${index}`);
  }
  assert.equal(super4((it) => it.gsoSize = 2000), false);
  assert.equal(counters.tooLong, 1);
  packet.gsoType = packet.gsoSize = packet.flags = 0;
  fillFrame(packet, far.mac, source.mac, 0, 1519, packet.base + 200);
  assert.equal(relay.send(packet), false);
  assert.equal(counters.tooLong, 2);
  assert.equal(seen().frames.length, 0);
  // A full queue at the other end.
  for (let sequence = 0; sequence < 6; sequence++) {
    fillFrame(packet, far.mac, source.mac, sequence, 60, packet.base + 200);
    assert.equal(relay.send(packet), sequence < 4);
  }
  assert.equal(counters.refused, 2);
  assert.deepEqual(seen().sequences(), [0, 1, 2, 3]);
});

Deno.test("Relay cuts UDP super-frames into datagrams", () => {
  const { packet, source, far, to, relay } = between();
  fillSegment(packet, far.mac, source.mac, 0, 2500);
  // The same bytes as UDP: a header of 8 bytes, and what was the rest of TCP's belongs to the payload.
  const udp = packet.checksumStart;
  packet.view.setUint8(udp - 11, 17);
  packet.checksumOffset = 6;
  packet.gsoType = GSO_UDP;
  packet.gsoSize = 1000;
  assert.equal(relay.send(packet), true);
  to.flush();
  const lengths: number[] = [];
  far.poll({ receive: (part) => void lengths.push(part.view.getUint16(part.offset + 38)) }, 64, 0);
  assert.deepEqual(lengths, [1008, 1008, 520]);
});
