import assert from "node:assert/strict";
import fc from "fast-check";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 } from "../device.ts";
import { StackError } from "../errors.ts";
import { Cidr, IpAddress } from "../ip/address.ts";
import { AddressState } from "../ip/own_address.ts";
import { GSO_TCPV4 } from "../packet.ts";
import { Stack } from "../stack.ts";
import { checksumsOk, icmpFrame, ipv4Frame } from "../testing/frames.ts";
import { bytesOf, icmpv6Frame } from "../testing/frames_v6.ts";
import { Host, Pair, xorshift } from "../testing/pair.ts";
import { Recording } from "../testing/tcp_pair.ts";
import { TestDevice } from "../testing/test_device.ts";
import * as ethernet from "../wire/ethernet.ts";

// Hosts on links of bare IP packets: two ends without link addresses, as TUN devices have them.

const bare = (frame: Uint8Array) => frame.slice(14);

/** Puts an Ethernet header in front, for what looks at frames. */
function dressed(packet: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...new Uint8Array(12),
    ...(packet[0]! >> 4 === 4 ? [8, 0] : [0x86, 0xdd]),
    ...packet,
  ]);
}

function versions(host: Host): number[] {
  return host.device.take().map(({ bytes }) => bytes[0]! >> 4);
}

function host(address = "10.0.0.1/24", ipv6 = false): Host {
  const made = new Host(1, address, { medium: "ip" }, {}, ipv6);
  made.stack.poll(0);
  return made;
}

Deno.test("Interface without link addresses announces and resolves nothing", () => {
  const made = host();
  made.stack.poll(10_000_000);
  assert.deepEqual(made.device.take(), []);
  const path = made.stack.path(IpAddress.parse("10.0.0.77"), null)!;
  assert.equal(path.mtu, 1500);
  const packet = path.reserve()!;
  packet.end += 8;
  assert.equal(path.send(packet, 253, 0, 0), true);
  const [sent] = made.device.take();
  assert.deepEqual([sent!.bytes.length, sent!.bytes[0]], [28, 0x45]);
  assert.equal(made.interface.arp.neighbours.size, 0);
  assert.equal(made.interface.arp.counters.requested, 0);
});

Deno.test("Interface without link addresses answers in place, over both versions", () => {
  const made = host("10.0.0.1/24", true);
  made.interface.addAddress(Cidr.parse("fd00::1/64"));
  assert.equal(made.stack.ipv6.own(IpAddress.parse("fd00::1"))!.state, AddressState.Preferred);
  made.device.take();
  const request = icmpFrame(8, 0, 0x10001, [1, 2, 3], { destination: "10.0.0.1", source: "10.0.0.2" });
  made.device.deliver(made.interface, bare(request));
  const [answer] = made.device.take();
  assert.equal(answer!.bytes.length, request.length - 14);
  assert.deepEqual([...answer!.bytes.subarray(12, 21)], [10, 0, 0, 1, 10, 0, 0, 2, 0]);
  assert.ok(checksumsOk(dressed(answer!.bytes)));
  const sixth = icmpv6Frame(128, 0, [0, 1, 0, 1, 9], { destination: "fd00::1", source: "fd00::2" });
  made.device.deliver(made.interface, bare(sixth));
  const [reply] = made.device.take();
  assert.deepEqual([...reply!.bytes.subarray(8, 40)], [...bytesOf("fd00::1"), ...bytesOf("fd00::2")]);
  assert.equal(reply!.bytes[40], 129);
  assert.equal(made.device.faults, 0);
});

Deno.test("Interface without link addresses counts what is no IP packet", () => {
  const made = host();
  const { counters } = made.interface;
  for (const bytes of [[], [0x15, 0], [0x65, 1], [0xff]]) {
    made.device.deliver(made.interface, Uint8Array.from(bytes));
  }
  assert.equal(counters.dropped.truncated, 1);
  assert.equal(counters.dropped.unknownEthertype, 3);
  assert.deepEqual(made.device.take(), []);
  const packet = made.interface.reserve()!;
  assert.equal(made.interface.send(packet, 0xffff, -1, ethernet.ARP), false);
  assert.equal(counters.sendRefused, 1);
  assert.equal(made.device.free, 64);
});

Deno.test("Interface without link addresses takes packets to groups and to all", () => {
  const made = host();
  const received: string[] = [];
  made.stack.udp.bind({ port: 9 }, { receive: (packet) => void received.push(`${packet.cast}`) });
  const listener = made.stack.groups.join(IpAddress.parse("239.1.2.3"), made.interface);
  const datagram = [0, 9, 0, 9, 0, 8, 0, 0];
  for (const destination of ["10.0.0.1", "239.1.2.3", "255.255.255.255", "10.0.0.255"]) {
    made.device.deliver(made.interface, bare(ipv4Frame(17, datagram, { destination, source: "10.0.0.2" })));
  }
  assert.deepEqual(received, ["0", "2", "1", "1"]);
  listener.leave();
  made.device.deliver(
    made.interface,
    bare(ipv4Frame(17, datagram, { destination: "239.1.2.3", source: "10.0.0.2" })),
  );
  assert.equal(made.stack.ipv4.counters.dropped.notForUs, 1);
});

Deno.test("Two hosts without link addresses make link-local addresses of their own, without asking", () => {
  const device = { medium: "ip", offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 } as const;
  const a = new Host(1, "10.0.0.1/32", device, { random: xorshift(3) }, true);
  const b = new Host(2, "10.0.0.2/32", device, { random: xorshift(4) }, true);
  const [one, other] = [a, b].map((end) => end.interface.nd!.addresses[0]!);
  assert.ok(one!.address.isLinkLocal && one!.usable && !one!.address.equals(other!.address));
  // Nothing was asked for, but for routers and for groups to listen to.
  a.stack.poll(5_000_000);
  const types = a.device.take().filter(({ bytes }) => bytes[0] === 0x60).map(({ bytes }) => bytes[40]);
  assert.ok(types.length > 0 && !types.includes(135) && !types.includes(136), `${types}`);
});

Deno.test("TCP carries much between two hosts without link addresses", () => {
  const pair = new Pair({ medium: "ip", slots: 256 });
  const server = new Recording();
  pair.b.stack.tcp.listen({ port: 80 }, {
    ready(listener) {
      listener.take()!.handler = server;
    },
  });
  const connection = pair.a.stack.tcp.connect(
    { address: IpAddress.parse("10.0.0.2"), port: 80 },
    new Recording(),
  );
  pair.run();
  const bytes = Uint8Array.from({ length: 30_000 }, (_, index) => index % 251);
  assert.equal(connection.write(bytes, 0, bytes.length), bytes.length);
  pair.run();
  assert.deepEqual(Uint8Array.from(server.bytes), bytes);
});

Deno.test("Interface without link addresses leaves super-frames to a device that cuts them", () => {
  const made = new Host(1, "10.0.0.1/24", {
    medium: "ip",
    offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4,
    slotSize: 66_000,
    slots: 4,
  });
  const path = made.stack.path(IpAddress.parse("10.0.0.2"), null)!;
  const packet = path.reserve()!;
  packet.view.setUint8(packet.offset + 12, 0x50);
  packet.end = packet.offset + 20 + 5000;
  packet.gsoType = GSO_TCPV4;
  packet.gsoSize = 1000;
  assert.equal(path.send(packet, 6, 0, 0), true);
  const [sent] = made.device.take();
  assert.deepEqual([sent!.bytes.length, sent!.gsoType, sent!.gsoSize], [5040, GSO_TCPV4, 1000]);
});

Deno.test("A router passes packets between a link with and one without link addresses, and none back", () => {
  const stack = new Stack({ random: xorshift(1), forwarding: true });
  const tun = new TestDevice({ medium: "ip" }), tap = new TestDevice({ mac: 2 });
  const options = { announce: false, ipv6: { duplicates: "off", routers: false, linkLocal: false } } as const;
  const addresses = (...texts: string[]) => texts.map((text) => Cidr.parse(text));
  const inner = stack.addInterface(tun, { ...options, addresses: addresses("10.0.0.1/24", "fd00::1/64") });
  const outer = stack.addInterface(tap, { ...options, addresses: addresses("10.0.1.1/24", "fd01::1/64") });
  outer.arp.neighbours.setPermanent(IpAddress.parse("10.0.1.2"), 0x0200, 11);
  outer.nd!.neighbours.setPermanent(IpAddress.parse("fd01::2"), 0x0200, 11);
  stack.poll(0);
  tun.take(), tap.take();
  const datagram = [0, 9, 0, 9, 0, 8, 0, 0];
  tun.deliver(inner, bare(ipv4Frame(17, datagram, { source: "10.0.0.2", destination: "10.0.1.2" })));
  const [out] = tap.take();
  assert.deepEqual([...out!.bytes.subarray(0, 15)], [2, 0, 0, 0, 0, 11, 2, 0, 0, 0, 0, 2, 8, 0, 0x45]);
  tap.deliver(
    outer,
    ipv4Frame(17, datagram, { source: "10.0.1.2", destination: "10.0.0.2", to: [2, 0, 0, 0, 0, 2] }),
  );
  const [back] = tun.take();
  assert.deepEqual([back!.bytes.length, back!.bytes[0], back!.bytes[8]], [28, 0x45, 63]);
  // Nobody at the other end has 10.0.0.77, or it would not have come here (RFC 4443, section 3.1).
  tun.deliver(inner, bare(ipv4Frame(17, datagram, { source: "10.0.0.2", destination: "10.0.0.77" })));
  const [told] = tun.take();
  assert.deepEqual([told!.bytes[9], told!.bytes[20], told!.bytes[21]], [1, 3, 1]);
  tun.deliver(
    inner,
    bare(icmpv6Frame(128, 0, [0, 1, 0, 1], { source: "fd00::2", destination: "fd00::77" })),
  );
  const [toldV6] = tun.take();
  assert.deepEqual([toldV6!.bytes[6], toldV6!.bytes[40], toldV6!.bytes[41]], [58, 1, 3]);
  assert.equal(stack.forwarding.ipv4.dropped.backwards, 1);
  assert.equal(stack.forwarding.ipv6.dropped.backwards, 1);
});

Deno.test("Stack.addVlan() refuses an interface without link addresses", () => {
  const made = host();
  assert.throws(
    () => made.stack.addVlan(made.interface, { id: 5 }),
    (error) => error instanceof StackError && error.code === "AddressNotAvailable",
  );
  assert.deepEqual(versions(made), []);
});

Deno.test("Interface without link addresses survives whatever comes, and counts each packet once", () => {
  const made = host("10.0.0.1/24", true);
  made.stack.udp.bind({ port: 7 }, {
    receive: (packet, socket) => void socket.answer(packet, packet.length),
  });
  const valid = [
    bare(icmpFrame(8, 0, 1, [1, 2, 3])),
    bare(ipv4Frame(17, [0, 9, 0, 7, 0, 8, 0, 0])),
    bare(ipv4Frame(17, [0, 9, 0, 7, 0, 8, 0, 0], { fragment: 0x2000 })),
    bare(icmpv6Frame(135, 0, [0, 0, 0, 0, ...bytesOf("fe80::1")], { destination: "ff02::1", hopLimit: 255 })),
    bare(icmpv6Frame(134, 0, new Array(12).fill(1), { destination: "ff02::1", hopLimit: 255 })),
  ];
  fc.assert(
    fc.property(
      fc.nat(valid.length - 1),
      fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 5 }),
      fc.nat(90),
      (which, changes, length) => {
        const bytes = valid[which]!.slice(0, length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        made.device.deliver(made.interface, bytes);
        const { received, delivered, dropped } = made.interface.counters;
        assert.equal(received, delivered + Object.values(dropped).reduce((sum, count) => sum + count, 0));
      },
    ),
    { numRuns: 2000 },
  );
  assert.deepEqual(made.errors, []);
  assert.equal(made.device.faults, 0);
  for (const { bytes } of made.device.take()) assert.ok([4, 6].includes(bytes[0]! >> 4));
});
