import assert from "node:assert/strict";
import fc from "fast-check";
import { arpFrame, icmpFrame, ipv4Frame, udpFrame } from "./testing/frames.ts";
import { Host } from "./testing/pair.ts";

/** Sum of the numbers of an object of counters. */
function total(dropped: object): number {
  return Object.values(dropped).reduce((sum: number, count: number) => sum + count, 0);
}

/** Every layer has delivered or dropped all that it received, and every slot is back. */
function checkBooks(host: Host): void {
  const { stack, device } = host;
  const layers = [
    host.interface.counters,
    host.interface.arp.counters,
    stack.ipv4.counters,
    stack.icmp.counters,
    stack.udp.counters,
  ];
  for (const counters of layers) {
    assert.equal(counters.received, counters.delivered + total(counters.dropped));
  }
  assert.deepEqual(host.errors, []);
  assert.equal(device.faults, 0);
  let waiting = 0;
  for (const entry of host.interface.arp.neighbours.entries()) waiting += entry.queued;
  assert.equal(device.free + waiting, 64);
}

function host(): Host {
  const made = new Host(1, "10.0.0.1/24");
  made.stack.udp.bind({ port: 7 }, {
    receive: (packet, socket) => socket.answer(packet, packet.length),
    error: () => {},
  });
  made.stack.icmp.echo({ destination: made.stack.interfaces[0]!.addresses[0]!.address, identifier: 1 }, {
    reply: () => {},
  });
  return made;
}

const quote = udpFrame(7, 9, [1, 2, 3], { source: "10.0.0.1", destination: "10.0.0.2" }).subarray(14);
const VALID = [
  udpFrame(9, 7, [1, 2, 3, 4, 5]),
  udpFrame(9, 8, [1, 2, 3, 4, 5], { options: [1, 1, 1, 0] }),
  udpFrame(68, 67, [1], {
    source: "0.0.0.0",
    destination: "255.255.255.255",
    to: [255, 255, 255, 255, 255, 255],
  }),
  icmpFrame(8, 0, 1 << 16 | 1, [1, 2, 3]),
  icmpFrame(0, 0, 1 << 16 | 1, [1, 2, 3]),
  icmpFrame(3, 3, 0, quote),
  icmpFrame(3, 4, 1400, quote),
  ipv4Frame(200, [1, 2, 3]),
  ipv4Frame(17, [1, 2, 3, 4, 5, 6, 7, 8], { fragment: 0x2001 }),
  arpFrame(1, 2, "10.0.0.2", 0, "10.0.0.1"),
  arpFrame(2, 2, "10.0.0.2", 1, "10.0.0.1"),
];

/** Makes the IP and transport checksums of a frame right again, so that a change gets past them. */
function repair(frame: Uint8Array): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (frame.length < 34) return;
  const header = (frame[14]! & 15) * 4;
  if (header < 20 || 14 + header > frame.length) return;
  view.setUint16(24, 0);
  let sum = 0;
  for (let i = 14; i < 14 + header; i += 2) sum += view.getUint16(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(24, ~sum);
  if (frame[23] === 17 && frame.length >= 14 + header + 8) view.setUint16(14 + header + 6, 0);
  if (frame[23] === 1 && frame.length >= 14 + header + 8) {
    const end = Math.min(frame.length, 14 + view.getUint16(16));
    view.setUint16(14 + header + 2, 0);
    sum = 0;
    for (let i = 14 + header; i < end; i++) sum += frame[i]! << ((i - header) & 1 ? 0 : 8);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(14 + header + 2, ~sum);
  }
}

Deno.test("Stack counts every frame of random bytes once and never throws", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (frames) => {
      const made = host();
      for (const frame of frames) {
        if (frame.length >= 6) frame.set([2, 0, 0, 0, 0, 1]);
        if (frame.length >= 14) frame.set([8, frame[13]! & 6], 12);
        made.device.deliver(made.interface, frame);
      }
      made.stack.poll(1000);
      checkBooks(made);
    }),
    { numRuns: 500 },
  );
});

Deno.test("Stack counts every mutation of a valid frame once and never throws", () => {
  const mutation = fc.record({
    frame: fc.nat(VALID.length - 1),
    changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
    length: fc.option(fc.nat(80)),
    repaired: fc.boolean(),
    elapsed: fc.nat(2_000_000),
  });
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 30 }), (mutations) => {
      const made = host();
      let now = 0;
      for (const { frame, changes, length, repaired, elapsed } of mutations) {
        const bytes = VALID[frame]!.slice(0, length ?? undefined);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        if (repaired) repair(bytes);
        made.device.deliver(made.interface, bytes);
        made.stack.poll(now += elapsed);
        checkBooks(made);
      }
      made.stack.removeInterface(made.interface);
      assert.equal(made.device.free, 64);
    }),
    { numRuns: 1000 },
  );
});
