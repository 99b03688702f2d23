import assert from "node:assert/strict";
import fc from "fast-check";
import { StackError } from "../errors.ts";
import { Cidr, IpAddress } from "../ip/address.ts";
import { checksumsOk, icmpFrame } from "../testing/frames.ts";
import { Host, Pair } from "../testing/pair.ts";
import { Recording } from "../testing/tcp_pair.ts";
import type { VlanOptions } from "./vlan.ts";

const OPTIONS = { ipv6: false, announce: false } as const;

/** Puts tags behind the link addresses of a frame: pairs of ethertype and control information. */
function tagged(frame: Uint8Array, ...tags: [number, number][]): Uint8Array<ArrayBuffer> {
  const bytes = tags.flatMap(([ethertype, control]) => [
    ethertype >> 8,
    ethertype & 255,
    control >> 8,
    control & 255,
  ]);
  return Uint8Array.from([...frame.subarray(0, 12), ...bytes, ...frame.subarray(12)]);
}

const echo = (destination: string, source: string) =>
  icmpFrame(8, 0, 0x10001, [1, 2, 3], { destination, source });

function host(): Host {
  const made = new Host(1, "10.0.0.1/24");
  made.stack.poll(0);
  made.device.take();
  return made;
}

function add(made: Host, options: VlanOptions & { address: string }) {
  const { address, ...rest } = options;
  return made.stack.addVlan(made.interface, { ...OPTIONS, addresses: [Cidr.parse(address)], ...rest });
}

Deno.test("VlanDevice answers in place with the same tag, and leaves other VLANs alone", () => {
  const made = host();
  add(made, { id: 5, address: "10.5.0.1/24" });
  const deliver = (bytes: Uint8Array) => {
    made.device.deliver(made.interface, bytes);
    return made.device.take();
  };
  const [answer, ...none] = deliver(tagged(echo("10.5.0.1", "10.5.0.2"), [0x8100, 0xa005]));
  assert.equal(none.length, 0);
  assert.deepEqual([...answer!.bytes.subarray(0, 18)], [
    2,
    0,
    0,
    0,
    0,
    2,
    2,
    0,
    0,
    0,
    0,
    1,
    0x81,
    0,
    0,
    5,
    8,
    0,
  ]);
  assert.equal(
    checksumsOk(Uint8Array.from([...answer!.bytes.subarray(0, 12), ...answer!.bytes.subarray(16)])),
    true,
  );
  assert.deepEqual(deliver(tagged(echo("10.5.0.1", "10.5.0.2"), [0x8100, 6])), []);
  assert.deepEqual(deliver(tagged(echo("10.5.0.1", "10.5.0.2"), [0x88a8, 5])), []);
  assert.deepEqual(deliver(tagged(echo("10.5.0.1", "10.5.0.2"), [0x8100, 0xfff])), []);
  const { received, delivered, dropped } = made.interface.vlans.counters;
  assert.deepEqual([received, delivered, { ...dropped }], [4, 1, {
    truncated: 0,
    malformed: 1,
    unknownVlan: 2,
  }]);
  assert.equal(made.device.faults, 0);
  assert.equal(made.device.free, 64);
});

Deno.test("Vlans gives frames that have a priority and no VLAN to the interface itself", () => {
  const made = host();
  made.device.deliver(made.interface, tagged(echo("10.0.0.1", "10.0.0.2"), [0x8100, 0xe000]));
  const [answer] = made.device.take();
  assert.deepEqual([...answer!.bytes.subarray(12, 14)], [8, 0]);
  made.device.deliver(made.interface, tagged(echo("10.0.0.1", "10.0.0.2"), [0x8100, 0], [0x8100, 0]));
  assert.equal(made.interface.vlans.counters.dropped.malformed, 1);
  assert.equal(made.interface.vlans.counters.priorityTagged, 1);
});

Deno.test("Stack.addVlan() puts one VLAN into another: service tags around customers' tags", () => {
  const made = host();
  const outer = add(made, { id: 100, protocol: "802.1ad", address: "10.100.0.1/24" });
  const inner = made.stack.addVlan(outer, {
    ...OPTIONS,
    id: 7,
    addresses: [Cidr.parse("10.7.0.1/24")],
    priority: 3,
  });
  assert.deepEqual([outer.mtu, inner.mtu, inner.name], [1500, 1496, "test.100.7"]);
  made.device.deliver(made.interface, tagged(echo("10.7.0.1", "10.7.0.2"), [0x88a8, 100], [0x8100, 7]));
  const [answer] = made.device.take();
  assert.deepEqual([...answer!.bytes.subarray(12, 22)], [0x88, 0xa8, 0, 100, 0x81, 0, 0x60, 7, 8, 0]);
  made.stack.removeInterface(outer);
  assert.deepEqual([inner.active, made.stack.interfaces.length], [false, 1]);
  made.device.deliver(made.interface, tagged(echo("10.7.0.1", "10.7.0.2"), [0x88a8, 100], [0x8100, 7]));
  assert.equal(made.interface.vlans.counters.dropped.unknownVlan, 1);
});

Deno.test("VlanDevice takes its priority from the class of a packet when told so", () => {
  const made = host();
  const by = add(made, { id: 9, priority: "class", address: "10.9.0.1/24" });
  by.arp.neighbours.setPermanent(IpAddress.parse("10.9.0.2"), 0x0200, 2);
  const socket = made.stack.udp.bind({}, { receive: () => {} });
  socket.send(new Uint8Array(1), 0, 1, IpAddress.parse("10.9.0.2"), 9, { trafficClass: 0xb8 });
  assert.deepEqual([...made.device.take().at(-1)!.bytes.subarray(12, 16)], [0x81, 0, 0xa0, 9]);
});

Deno.test("Stack.addVlan() carries TCP between two hosts, cut and summed where the device does neither", () => {
  const pair = new Pair({ slotSize: 66_000 });
  for (const [i, side] of [pair.a, pair.b].entries()) {
    side.stack.addVlan(side.interface, {
      ...OPTIONS,
      id: 5,
      addresses: [Cidr.parse(`10.5.0.${i + 1}/24`)],
    });
  }
  const server = new Recording();
  pair.b.stack.tcp.listen({ port: 7 }, {
    ready: (listener) => {
      listener.take()!.handler = server;
    },
  });
  const data = new Uint8Array(20_000);
  let left = data.length;
  const connection = pair.a.stack.tcp.connect(
    { address: IpAddress.parse("10.5.0.2"), port: 7 },
    new Recording(),
  );
  for (let i = 0; i < 100 && server.received < data.length; i++) {
    left -= connection.write(data, data.length - left, left);
    pair.pass(10_000);
  }
  assert.equal(server.received, data.length);
});

Deno.test("Stack.addVlan() makes itself link-local addresses on each VLAN though their link address is the same", () => {
  const made = new Host(1, "10.0.0.1/24", {}, {}, { duplicates: "off", routers: false });
  const vlan = made.stack.addVlan(made.interface, { id: 5, ipv6: { duplicates: "off", routers: false } });
  const own = [made.interface, vlan].map((one) => String(one.nd!.addresses[0]?.address));
  assert.deepEqual(own, ["fe80::ff:fe00:1", "fe80::ff:fe00:1"]);
});

Deno.test("Stack.addVlan() refuses what is no VLAN, or is there already", () => {
  const made = host();
  for (const id of [0, 4095, 1.5]) {
    assert.throws(() => made.stack.addVlan(made.interface, { id }), RangeError);
  }
  assert.throws(() => made.stack.addVlan(made.interface, { id: 1, priority: 8 }), RangeError);
  made.stack.addVlan(made.interface, { ...OPTIONS, id: 1 });
  assert.throws(() => made.stack.addVlan(made.interface, { ...OPTIONS, id: 1 }), StackError);
  made.stack.addVlan(made.interface, { ...OPTIONS, id: 1, protocol: "802.1ad" });
});

Deno.test("Vlans takes any bytes without harm", () => {
  const made = host();
  add(made, { id: 5, address: "10.5.0.1/24" });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0x8100, 0x88a8), (rest, ethertype) => {
      const frame = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, ethertype >> 8, ethertype & 255, ...rest];
      made.device.deliver(made.interface, Uint8Array.from(frame));
    }),
  );
  made.device.deliver(made.interface, Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0]));
  assert.deepEqual(made.errors, []);
  assert.ok(made.interface.vlans.counters.dropped.truncated > 0);
  assert.deepEqual([made.device.free, made.device.faults], [64, 0]);
});

Deno.test("Interface counts what IEEE 802.3 frames are", () => {
  const made = host();
  const deliver = (length: number, ...payload: number[]) =>
    made.device.deliver(
      made.interface,
      Uint8Array.from([1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 2, length >> 8, length & 255, ...payload]),
    );
  deliver(3, 0x42, 0x42, 3);
  deliver(8, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0);
  deliver(4, 0xff, 0xff, 0, 0);
  deliver(3, 0xe0, 0xe0, 3);
  deliver(9, 0x42, 0x42, 3);
  deliver(2, 0x42, 0x42);
  const { llc, dropped } = made.interface.counters;
  assert.deepEqual({ ...llc }, { spanningTree: 1, snap: 1, rawIpx: 1, other: 1 });
  assert.deepEqual([dropped.notEthernet2, dropped.badLength], [4, 2]);
});
