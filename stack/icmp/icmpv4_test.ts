import assert from "node:assert/strict";
import fc from "fast-check";
import { StackError } from "../errors.ts";
import { IpAddress } from "../ip/address.ts";
import { IcmpError } from "../ip/path.ts";
import { checksumsOk, icmpFrame, ipv4Frame, udpFrame } from "../testing/frames.ts";
import { Host, Pair } from "../testing/pair.ts";

const BROADCAST = [255, 255, 255, 255, 255, 255];
const PEER = IpAddress.parse("10.0.0.2");

function host(limits = {}, mtu = 1500): Host {
  const made = new Host(1, "10.0.0.1/24", { mtu }, { limits });
  made.interface.arp.neighbours.setPermanent(PEER, 0x0200, 2);
  made.stack.poll(0);
  made.device.take();
  return made;
}

Deno.test("Icmpv4 answers an echo in place: same data, right checksums, no router alert", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1400 }), fc.integer(), fc.boolean(), (data, rest, options) => {
      const made = host();
      made.device.deliver(
        made.interface,
        icmpFrame(8, 0, rest, data, { options: options ? [148, 4, 0, 0] : [], padding: 6 }),
      );
      const { bytes } = made.device.take()[0]!;
      assert.ok(checksumsOk(bytes));
      assert.deepEqual([...bytes.subarray(0, 12)], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
      assert.equal(bytes[14], 0x45);
      assert.equal(bytes[34], 0);
      assert.equal(new DataView(bytes.buffer).getInt32(38), rest | 0);
      assert.deepEqual(new Uint8Array(bytes.subarray(42)), data);
      assert.equal(String(IpAddress.read(4, new DataView(bytes.buffer), 26)), "10.0.0.1");
      assert.equal(String(IpAddress.read(4, new DataView(bytes.buffer), 30)), "10.0.0.2");
    }),
  );
});

Deno.test("Icmpv4 answers an echo of 64 KiB over a device that takes it", () => {
  const made = host({}, 65535);
  const data = new Uint8Array(65507).map((_, i) => i * 7);
  made.device.deliver(made.interface, icmpFrame(8, 0, 1, data));
  const { bytes } = made.device.take()[0]!;
  assert.ok(checksumsOk(bytes));
  assert.equal(bytes.length, 14 + 65535);
});

Deno.test("Icmpv4 drops a bad checksum, a broadcast echo, what is short and what is unknown", () => {
  const made = host();
  const { dropped } = made.stack.icmp.counters;
  const bad = icmpFrame(8, 0, 1, [1, 2, 3]);
  bad[44]! ^= 1;
  made.device.deliver(made.interface, bad);
  made.device.deliver(made.interface, icmpFrame(8, 0, 1, [], { destination: "10.0.0.255", to: BROADCAST }));
  made.device.deliver(made.interface, ipv4Frame(1, [8, 0, 0, 0]));
  made.device.deliver(made.interface, icmpFrame(13, 0, 1, []));
  made.device.deliver(made.interface, icmpFrame(0, 0, 1, []));
  assert.deepEqual({ ...dropped }, {
    truncated: 1,
    badChecksum: 1,
    broadcastEcho: 1,
    unexpectedReply: 1,
    badQuote: 0,
    unknownType: 1,
    answerFailed: 0,
  });
  assert.equal(made.device.take().length, 0);
});

Deno.test("Icmpv4 says that nobody listens to a port or a protocol, quoting what came", () => {
  const made = host();
  const datagram = udpFrame(1000, 9, new Uint8Array(700));
  made.device.deliver(made.interface, datagram);
  made.device.deliver(made.interface, ipv4Frame(200, [1, 2, 3]));
  const [port, protocol] = made.device.take().map((frame) => frame.bytes);
  assert.ok(checksumsOk(port!));
  assert.deepEqual([port![34], port![35]], [3, 3]);
  assert.equal(port!.length, 14 + 576);
  assert.deepEqual(port!.subarray(42), datagram.subarray(14, 14 + 548));
  assert.ok(checksumsOk(protocol!));
  assert.deepEqual([protocol![34], protocol![35]], [3, 2]);
  assert.equal(made.device.free, 64);
});

Deno.test("Icmpv4 sends no error about broadcasts, fragments and errors (RFC 1122, 3.2.2)", () => {
  const made = host();
  const quote = udpFrame(1, 2, [], { source: "10.0.0.1", destination: "10.0.0.2" }).subarray(14);
  made.stack.attach(1, null);
  made.device.deliver(made.interface, icmpFrame(3, 3, 0, quote));
  made.device.deliver(made.interface, udpFrame(1, 9, [], { destination: "10.0.0.255", to: BROADCAST }));
  made.device.deliver(
    made.interface,
    udpFrame(1, 9, [], { destination: "224.0.0.1", to: [1, 0, 0x5e, 0, 0, 1] }),
  );
  assert.equal(made.device.take().length, 0);
  assert.equal(made.stack.icmp.counters.errorsForbidden, 3);
  made.device.deliver(made.interface, icmpFrame(8, 0, 0, quote));
  assert.equal(made.device.take().length, 1, "but about an echo request it does");
});

Deno.test("Icmpv4 limits how many errors it sends", () => {
  const made = host({ icmpRate: 10, icmpBurst: 3 });
  const errors = (now: number, count: number) => {
    made.stack.poll(now);
    for (let i = 0; i < count; i++) made.device.deliver(made.interface, udpFrame(1, 9, []));
    return made.device.take().length;
  };
  assert.equal(errors(0, 10), 3);
  assert.equal(errors(100_000, 10), 1);
  assert.equal(errors(100_000_000, 10), 3);
  assert.equal(made.stack.icmp.counters.errorsLimited, 7 + 9 + 7);
});

Deno.test("Icmpv4 hands errors to the transport that sent the packet", () => {
  const made = host();
  const got: unknown[] = [];
  const socket = made.stack.udp.bind({ port: 5000 }, {
    receive: () => {},
    error: (kind, remote, port, mtu) => got.push([IcmpError[kind], String(remote), port, mtu]),
  });
  const quote = udpFrame(5000, 53, [1, 2], { source: "10.0.0.1", destination: "192.0.2.1" }).subarray(14);
  const short = quote.subarray(0, 28);
  made.device.deliver(made.interface, icmpFrame(3, 3, 0, short));
  made.device.deliver(made.interface, icmpFrame(3, 4, 1400, quote));
  made.device.deliver(made.interface, icmpFrame(3, 4, 0, quote));
  made.device.deliver(made.interface, icmpFrame(3, 13, 0, quote));
  made.device.deliver(made.interface, icmpFrame(11, 0, 0, quote));
  assert.deepEqual(got, [
    ["PortUnreachable", "192.0.2.1", 53, 0],
    ["PacketTooBig", "192.0.2.1", 53, 1400],
    ["PacketTooBig", "192.0.2.1", 53, 22],
    ["Prohibited", "192.0.2.1", 53, 0],
    ["TimeExceeded", "192.0.2.1", 53, 0],
  ]);
  const { dropped } = made.stack.icmp.counters;
  made.device.deliver(made.interface, icmpFrame(3, 3, 0, quote.subarray(0, 27)));
  assert.equal(dropped.truncated, 1);
  made.device.deliver(
    made.interface,
    icmpFrame(3, 3, 0, udpFrame(5000, 53, [], { source: "10.0.0.9", destination: "192.0.2.1" }).subarray(14)),
  );
  assert.equal(dropped.badQuote, 1, "a packet that we can't have sent");
  assert.equal(got.length, 5);
  socket.close();
});

Deno.test("Icmpv4.echo() gets answers from who was asked only, until it is closed", () => {
  const pair = new Pair();
  const got: number[] = [];
  const session = pair.a.stack.icmp.echo({ destination: PEER, identifier: 77 }, {
    reply: (_session, sequence, packet) => got.push(sequence, packet.length),
  });
  assert.throws(
    () => pair.a.stack.icmp.echo({ destination: PEER, identifier: 77 }, session.handler),
    (error: unknown) => error instanceof StackError && error.code === "AddressInUse",
  );
  session.send(1, new Uint8Array([9, 8, 7]), 1, 2);
  pair.run();
  pair.a.device.deliver(pair.a.interface, icmpFrame(0, 0, 77 << 16 | 5, [], { source: "10.0.0.7" }));
  assert.deepEqual(got, [1, 2]);
  session.close();
  session.send(2, new Uint8Array(1));
  pair.run();
  assert.deepEqual(got, [1, 2]);
  assert.equal(pair.a.stack.icmp.counters.dropped.unexpectedReply, 2);
});

Deno.test("Icmpv4.echo() refuses a destination without a route", () => {
  const made = host();
  assert.throws(
    () => made.stack.icmp.echo({ destination: IpAddress.parse("192.0.2.1") }, { reply: () => {} }),
    (error: unknown) => error instanceof StackError && error.code === "NetworkUnreachable",
  );
});

Deno.test("Icmpv4 reports what an echo handler throws", () => {
  const pair = new Pair();
  pair.a.stack.icmp.echo({ destination: PEER }, {
    reply: () => {
      throw new Error("mine");
    },
  }).send(1, new Uint8Array(4));
  pair.run();
  assert.equal((pair.a.errors[0] as Error).message, "mine");
  assert.equal(pair.a.device.free, 64);
});
