import assert from "node:assert/strict";
import fc from "fast-check";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4 } from "../device.ts";
import { CHECKSUM_PARTIAL, GSO_NONE, GSO_TCPV4, GSO_UDP, type Packet, Region } from "../packet.ts";
import { IpAddress } from "../ip/address.ts";
import type { Path } from "../ip/path.ts";
import { fold, sum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import { Host } from "../testing/pair.ts";
import type { SentFrame, TestDeviceOptions } from "../testing/test_device.ts";

const PEER = IpAddress.parse("10.0.0.2");
const TCP_HEADER = 32;

function hostWithPeer(device: TestDeviceOptions): Host {
  const host = new Host(1, "10.0.0.1/24", device);
  host.interface.arp.neighbours.setPermanent(PEER, 0x0200, 2);
  host.device.take();
  return host;
}

/** A TCP segment over slot and ring, with FIN, PSH, ACK and CWR, and 12 bytes of options. */
function superSegment(
  path: Path,
  payload: Uint8Array,
  inSlot: number,
  wrap: number,
  gsoSize: number,
): Packet {
  const packet = path.reserve()!;
  packet.bytes.set(payload.subarray(0, inSlot), packet.offset);
  packet.end = packet.offset + inSlot;
  const ring = new Region(new ArrayBuffer(payload.length + 10));
  const rest = payload.subarray(inSlot);
  const first = Math.min(wrap, rest.length);
  ring.bytes.set(rest.subarray(0, first), ring.bytes.length - first);
  ring.bytes.set(rest.subarray(first), 0);
  if (first > 0) packet.append(ring, ring.bytes.length - first, first);
  if (rest.length > first) packet.append(ring, 0, rest.length - first);
  const at = packet.push(TCP_HEADER);
  packet.bytes.fill(1, at, at + TCP_HEADER);
  packet.view.setInt32(at + 4, 0xfffffff0 | 0);
  packet.view.setUint8(at + 12, TCP_HEADER / 4 << 4);
  packet.view.setUint8(at + 13, 0x99);
  packet.view.setUint16(at + 16, fold(path.addressSum + ipv4.TCP + packet.length));
  packet.flags = CHECKSUM_PARTIAL;
  packet.checksumStart = at;
  packet.checksumOffset = 16;
  if (gsoSize > 0) {
    packet.gsoType = GSO_TCPV4;
    packet.gsoSize = gsoSize;
  }
  return packet;
}

/** Checks every sum of a frame as a receiver does. */
function checkFrame(frame: SentFrame, protocol: number): void {
  const region = new Region(frame.bytes.buffer);
  const { view, bytes } = region;
  assert.equal(view.getUint16(16), bytes.length - 14);
  assert.equal(ipv4.checksumOk(view, 14, 20), true);
  const length = bytes.length - 34;
  assert.equal(fold(sum(region, 26, 8) + protocol + length + sum(region, 34, length)), 0xffff);
}

Deno.test("Interface.output() cuts a TCP super-segment into segments that a receiver puts together", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 5000 }),
      fc.nat(100),
      fc.nat(4000),
      fc.integer({ min: 1, max: 1448 }),
      fc.boolean(),
      (payload, inSlot, wrap, gsoSize, offload) => {
        gsoSize = Math.max(gsoSize, Math.ceil(payload.length / 40));
        const host = hostWithPeer({ offloads: offload ? OFFLOAD_CHECKSUM : 0 });
        const path = host.stack.path(PEER)!;
        const packet = superSegment(path, payload, Math.min(inSlot, payload.length), wrap, gsoSize);
        assert.equal(path.send(packet, ipv4.TCP, 0, 0), true);
        const frames = host.device.take();
        assert.equal(frames.length, Math.ceil(payload.length / gsoSize));
        const got: number[] = [];
        frames.forEach((frame, i) => {
          const view = new DataView(frame.bytes.buffer);
          const last = i === frames.length - 1;
          assert.equal(view.getInt32(38), (0xfffffff0 + i * gsoSize) | 0);
          assert.equal(view.getUint8(47), (last ? 0x19 : 0x10) | (i === 0 ? 0x80 : 0));
          assert.equal(frame.gsoType, GSO_NONE);
          assert.equal(frame.flags, offload ? CHECKSUM_PARTIAL : 0);
          if (offload) {
            assert.equal(view.getUint16(50), fold(path.addressSum + ipv4.TCP + frame.bytes.length - 34));
          } else checkFrame(frame, ipv4.TCP);
          got.push(...frame.bytes.subarray(34 + TCP_HEADER));
        });
        assert.deepEqual(new Uint8Array(got), payload);
        assert.equal(host.device.free, 64);
        assert.equal(host.device.faults, 0);
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("Interface.output() leaves a super-segment whole when the device cuts it", () => {
  const host = hostWithPeer({ offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4 });
  const path = host.stack.path(PEER)!;
  assert.equal(path.send(superSegment(path, new Uint8Array(4000), 0, 100, 1448), ipv4.TCP, 0, 0), true);
  const [frame] = host.device.take();
  assert.equal(frame!.gsoType, GSO_TCPV4);
  assert.equal(frame!.gsoSize, 1448);
  assert.equal(frame!.bytes.length, 14 + 20 + TCP_HEADER + 4000);
});

Deno.test("Interface.output() counts what is lost when slots run out while it cuts", () => {
  const host = hostWithPeer({ slots: 3 });
  const path = host.stack.path(PEER)!;
  const packet = superSegment(path, new Uint8Array(4000), 0, 100, 1000);
  // The test device takes its slot back at once, so two are held to make it run out.
  const held = [host.device.reserve()!, host.device.reserve()!];
  assert.equal(path.send(packet, ipv4.TCP, 0, 0), false);
  assert.equal(host.interface.counters.segmentExhausted, 1);
  for (const other of held) other.discard();
  assert.equal(host.device.free, 3);
});

Deno.test("Interface.output() completes the checksum over slot and pieces", () => {
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 1400 }),
    fc.nat(200),
    fc.nat(1400),
    (payload, inSlot, wrap) => {
      const host = hostWithPeer({});
      const path = host.stack.path(PEER)!;
      path.send(superSegment(path, payload, Math.min(inSlot, payload.length), wrap, 0), ipv4.TCP, 0, 0);
      checkFrame(host.device.take()[0]!, ipv4.TCP);
    },
  ));
});

Deno.test("Interface.output() cuts UDP super-datagrams", () => {
  const host = hostWithPeer({ slotSize: 8192 });
  const path = host.stack.path(PEER)!;
  const packet = path.reserve()!;
  packet.bytes.fill(9, packet.offset, packet.offset + 2500);
  packet.end = packet.offset + 2500;
  const at = packet.push(8);
  packet.view.setInt32(at, 5 << 16 | 6);
  packet.view.setInt32(at + 4, 2508 << 16);
  packet.flags = CHECKSUM_PARTIAL;
  packet.checksumStart = at;
  packet.checksumOffset = 6;
  packet.gsoType = GSO_UDP;
  packet.gsoSize = 1000;
  assert.equal(path.send(packet, ipv4.UDP, 0, 0), true);
  const frames = host.device.take();
  assert.deepEqual(frames.map((frame) => frame.bytes.length - 42), [1000, 1000, 500]);
  for (const frame of frames) {
    checkFrame(frame, ipv4.UDP);
    assert.equal(new DataView(frame.bytes.buffer).getUint16(38), frame.bytes.length - 34);
  }
});

Deno.test("Interface.output() drops and counts a super-frame that contradicts itself", () => {
  const host = hostWithPeer({});
  const path = host.stack.path(PEER)!;
  const packet = superSegment(path, new Uint8Array(100), 10, 0, 50);
  packet.view.setUint8(packet.offset + 12, 0x20);
  assert.equal(path.send(packet, ipv4.TCP, 0, 0), false);
  assert.equal(host.interface.counters.segmentMalformed, 1);
  assert.equal(host.device.free, 64);
});
