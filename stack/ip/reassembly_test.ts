import assert from "node:assert/strict";
import fc from "fast-check";
import { checksumsOk, ipv4Frame } from "../testing/frames.ts";
import { checksumOkV6, describeV6, ipv6Frame } from "../testing/frames_v6.ts";
import { Host, Pair } from "../testing/pair.ts";
import { Cidr, IpAddress } from "./address.ts";

const SECOND = 1_000_000;
const PROTOCOL = 253;

interface Cut {
  offset: number;
  end: number;
}

/** A host with both versions that listens to protocol 253. */
function host(limits = {}): { made: Host; received: Uint8Array[] } {
  const made = new Host(1, "10.0.0.1/24", {}, { limits }, { duplicates: "off", routers: false });
  made.interface.addAddress(Cidr.parse("fd00::1/64"));
  made.interface.arp.neighbours.setPermanent(IpAddress.parse("10.0.0.2"), 0x0200, 2);
  made.interface.nd!.neighbours.setPermanent(IpAddress.parse("fd00::2"), 0x0200, 2);
  // Which groups it listens to is told twice.
  for (const now of [0, 2 * SECOND]) made.stack.poll(now);
  made.device.take();
  const received: Uint8Array[] = [];
  made.stack.attach(PROTOCOL, {
    receive: (packet) => received.push(packet.bytes.slice(packet.offset, packet.end)),
    error: () => {},
  });
  return { made, received };
}

/** One fragment of a payload, over either version. */
function piece(
  version: 4 | 6,
  payload: Uint8Array,
  { offset, end }: Cut,
  identification = 1,
): Uint8Array<ArrayBuffer> {
  const more = end < payload.length;
  const part = payload.subarray(offset, end);
  if (version === 4) {
    const frame = ipv4Frame(PROTOCOL, part, { fragment: (more ? 0x2000 : 0) | offset >> 3 });
    // The identification is under the header's checksum, which is summed anew.
    const view = new DataView(frame.buffer);
    view.setUint16(18, identification);
    view.setUint16(24, 0);
    let sum = 0;
    for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
    sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(24, ~((sum & 0xffff) + (sum >>> 16)));
    return frame;
  }
  const header = [
    PROTOCOL,
    0,
    offset >> 8,
    (offset & 0xf8) | Number(more),
    0,
    0,
    identification >> 8,
    identification & 255,
  ];
  return ipv6Frame(PROTOCOL, part, { extensions: { first: 44, bytes: header } });
}

function deliver(made: Host, frame: Uint8Array): void {
  made.device.deliver(made.interface, frame);
}

for (const version of [4, 6] as const) {
  Deno.test(`Reassembler puts IPv${version} fragments together in whatever order they come, each as often as it may`, () => {
    const { made, received } = host();
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 17, maxLength: 2000 }),
        fc.integer({ min: 1, max: 30 }),
        fc.infiniteStream(fc.nat(1000)),
        (payload, units, random) => {
          received.length = 0;
          const size = Math.max(units * 8, Math.ceil(payload.length / 25 / 8) * 8);
          const cuts: Cut[] = [];
          for (let offset = 0; offset < payload.length; offset += size) {
            cuts.push({ offset, end: Math.min(offset + size, payload.length) });
          }
          if (cuts.length < 2) return;
          const order = cuts.map((cut) => ({ cut, rank: random.next().value as number }));
          order.sort((one, other) => one.rank - other.rank);
          order.forEach(({ cut, rank }, i) => {
            deliver(made, piece(version, payload, cut));
            if (rank % 2 === 0 && i < order.length - 1) deliver(made, piece(version, payload, cut));
          });
          assert.equal(received.length, 1);
          assert.deepEqual(received[0], payload);
          assert.equal(made.stack.reassembler.size, 0);
        },
      ),
      { numRuns: 200 },
    );
  });

  Deno.test(`Reassembler gives an IPv${version} packet up when its fragments overlap or contradict each other`, () => {
    const payload = Uint8Array.from({ length: 64 }, (_, i) => i);
    const shorter = payload.subarray(0, 48), longer = new Uint8Array(72);
    const cases: [string, Uint8Array[]][] = [
      ["overlap at the end", [
        piece(version, payload, { offset: 0, end: 32 }),
        piece(version, payload, { offset: 24, end: 64 }),
        piece(version, payload, { offset: 32, end: 64 }),
      ]],
      ["overlap at the start", [
        piece(version, payload, { offset: 32, end: 64 }),
        piece(version, payload, { offset: 0, end: 40 }),
        piece(version, payload, { offset: 0, end: 32 }),
      ]],
      ["teardrop: an end inside another", [
        piece(version, payload, { offset: 0, end: 40 }),
        piece(version, payload.subarray(0, 32), { offset: 24, end: 32 }),
        piece(version, payload, { offset: 40, end: 64 }),
      ]],
      ["two ends", [
        piece(version, payload, { offset: 40, end: 64 }),
        piece(version, shorter, { offset: 24, end: 48 }),
        piece(version, payload, { offset: 0, end: 40 }),
      ]],
      ["beyond the end", [
        piece(version, payload, { offset: 40, end: 64 }),
        piece(version, longer, { offset: 64, end: 72 }),
        piece(version, payload, { offset: 0, end: 40 }),
      ]],
    ];
    for (const [name, frames] of cases) {
      const { made, received } = host();
      for (const frame of frames) deliver(made, frame);
      assert.deepEqual(received, [], name);
      assert.ok(made.stack.reassembler.counters.dropped.contradiction > 0, name);
      made.stack.poll(63 * SECOND);
      assert.equal(made.stack.reassembler.size, 0);
      assert.deepEqual(made.device.take(), [], "nobody is told");
    }
  });

  Deno.test(`Reassembler tells the sender of an IPv${version} packet when the rest does not come`, () => {
    const { made } = host();
    const payload = new Uint8Array(64);
    deliver(made, piece(version, payload, { offset: 0, end: 16 }, 1));
    deliver(made, piece(version, payload, { offset: 16, end: 32 }, 2));
    made.stack.poll(63 * SECOND);
    const frames = made.device.take().map(({ bytes }) => bytes);
    assert.equal(frames.length, 1, "only of the packet whose beginning is there");
    if (version === 4) {
      assert.deepEqual([...frames[0]!.subarray(34, 36)], [11, 1]);
      assert.equal(checksumsOk(frames[0]!), true);
    } else {
      assert.equal(describeV6(frames[0]!), "fd00::1 > fd00::2 time exceeded");
      assert.equal(frames[0]![55], 1);
      assert.equal(checksumOkV6(frames[0]!), true);
    }
    assert.equal(made.stack.reassembler.counters.timedOut, 2);
    assert.equal(made.device.free, 64);
  });
}

Deno.test("Reassembler holds no more than allowed, whatever never ends", () => {
  const { made, received } = host({ reassemblies: 4 });
  const payload = Uint8Array.from({ length: 2000 }, (_, i) => i);
  for (let i = 0; i < 1000; i++) {
    deliver(made, piece(i % 2 === 0 ? 4 : 6, payload, { offset: 8 * (i % 50), end: 8 * (i % 50) + 8 }, i));
  }
  const { reassembler } = made.stack;
  assert.equal(reassembler.size, 4);
  assert.equal(reassembler.counters.evicted, 996);
  // A packet of more gaps than anybody makes goes; others still come together.
  for (let i = 0; i < 40; i++) deliver(made, piece(4, payload, { offset: 16 * i, end: 16 * i + 8 }, 5000));
  assert.ok(reassembler.counters.dropped.contradiction > 0);
  deliver(made, piece(6, payload, { offset: 1000, end: 2000 }, 6000));
  deliver(made, piece(6, payload, { offset: 0, end: 1000 }, 6000));
  assert.deepEqual(received, [payload]);
  const { received: all, delivered, dropped } = reassembler.counters;
  assert.equal(all, delivered + Object.values(dropped).reduce((total, count) => total + count, 0));
});

Deno.test("Reassembler drops fragments of impossible lengths, and says so over IPv6", () => {
  const { made } = host();
  const { dropped } = made.stack.reassembler.counters;
  const fragment = (offset: number, length: number) =>
    ipv6Frame(PROTOCOL, new Uint8Array(length), {
      extensions: { first: 44, bytes: [PROTOCOL, 0, offset >> 8, offset & 255, 0, 0, 0, 1] },
    });
  deliver(made, fragment(1, 9));
  deliver(made, fragment(8, 0));
  deliver(made, fragment(65528, 8));
  deliver(made, ipv4Frame(PROTOCOL, new Uint8Array(9), { fragment: 0x2000 }));
  deliver(made, ipv4Frame(PROTOCOL, new Uint8Array(16), { fragment: 0x1fff }));
  assert.deepEqual([dropped.badLength, dropped.tooLong], [3, 2]);
  const pointers = made.device.take().map(({ bytes }) => new DataView(bytes.buffer).getUint32(58));
  // One without payload is worth no word, as Linux sees it.
  assert.deepEqual(pointers, [4, 42]);
  assert.equal(made.stack.reassembler.size, 0);
});

Deno.test("Stack answers echoes of 64 KiB and carries datagrams of 65,507 bytes in fragments", () => {
  const addresses = [["10.0.0.1/24", "10.0.0.2/24"], ["fd00::1/64", "fd00::2/64"]] as const;
  for (const pair of addresses) {
    const wire = new Pair({ slots: 256 }, {}, pair, { duplicates: "off", routers: false });
    const to = IpAddress.parse(pair[1].slice(0, pair[1].indexOf("/")));
    const replies: number[] = [];
    const session = wire.a.stack.echoes.open({ destination: to }, {
      reply: (_session, _sequence, packet) => replies.push(packet.length),
    });
    const data = new Uint8Array(65507).map((_, i) => i * 7);
    session.send(1, data, 0, 8);
    wire.run();
    session.send(2, data, 0, 65507);
    session.send(3, data, 0, 3000);
    wire.run();
    assert.deepEqual(replies, [8, 65507, 3000]);
    const heard: Uint8Array[] = [];
    wire.b.stack.udp.bind({ port: 7 }, { receive: (packet, socket) => socket.answer(packet, packet.length) });
    const client = wire.a.stack.udp.bind({}, {
      receive: (packet) => heard.push(packet.bytes.slice(packet.offset, packet.end)),
    });
    client.send(data, 0, data.length, to, 7);
    wire.run();
    assert.deepEqual(heard, [data]);
    for (const one of [wire.a, wire.b]) {
      assert.deepEqual(one.errors, []);
      assert.deepEqual([one.device.faults, one.device.free, one.stack.reassembler.size], [0, 256, 0]);
    }
  }
});
