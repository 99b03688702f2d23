import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_USO } from "../device.ts";
import { StackError } from "../errors.ts";
import { IpAddress } from "../ip/address.ts";
import { IcmpError } from "../ip/path.ts";
import { GSO_UDP, type Packet } from "../packet.ts";
import { checksumsOk, icmpFrame, udpFrame } from "../testing/frames.ts";
import { udpFrameV6 } from "../testing/frames_v6.ts";
import { Host, Pair } from "../testing/pair.ts";
import type { BindOptions } from "./udp.ts";

const B = IpAddress.parse("10.0.0.2"), C = IpAddress.parse("10.0.0.3");
const IPV6 = { duplicates: "off", routers: false } as const;

function host(offloads = 0): Host {
  const made = new Host(1, "10.0.0.1/24", { offloads, slotSize: 66000, slots: 200 }, {}, IPV6);
  made.interface.arp.neighbours.setPermanent(B, 0x0200, 2);
  made.stack.poll(0);
  made.device.take();
  return made;
}

Deno.test("Udp prefers a socket connected to the sender, and keeps others' datagrams from it", () => {
  const made = host();
  const got: string[] = [];
  const bind = (name: string, options: BindOptions = {}) =>
    made.stack.udp.bind({ port: 7, reuse: true, ...options }, { receive: () => void got.push(name) });
  bind("any");
  bind("own", { address: IpAddress.parse("10.0.0.1") });
  bind("connected").connect(B, 99);
  const deliver = (source: string, port: number) =>
    made.device.deliver(made.interface, udpFrame(port, 7, [1], { source }));
  deliver("10.0.0.2", 99);
  deliver("10.0.0.2", 98);
  deliver("10.0.0.3", 99);
  assert.deepEqual(got, ["connected", "own", "own"]);
});

Deno.test("Udp tells ICMP errors to the socket that is connected to whom they are about, and learns the path's MTU", () => {
  const made = host();
  const told: string[] = [];
  const bind = (name: string) =>
    made.stack.udp.bind({ port: 7, reuse: true }, {
      receive: () => {},
      error: (kind, remote, port, mtu) => told.push(`${name} ${IcmpError[kind]} ${remote}:${port} ${mtu}`),
    });
  const connected = bind("connected");
  connected.connect(B, 9);
  bind("any");
  const quote = (destination: string) => udpFrame(7, 9, [], { source: "10.0.0.1", destination }).subarray(14);
  const error = (type: number, code: number, rest: number, destination: string) =>
    made.device.deliver(made.interface, icmpFrame(type, code, rest, quote(destination)));
  error(3, 3, 0, "10.0.0.2");
  error(3, 3, 0, "10.0.0.3");
  error(3, 4, 1000, "10.0.0.2");
  assert.deepEqual(told, [
    "connected PortUnreachable 10.0.0.2:9 0",
    "any PortUnreachable 10.0.0.3:9 0",
    "connected PacketTooBig 10.0.0.2:9 1000",
  ]);
  assert.equal(connected.mtu(B, 9), 972);
  connected.dontFragment = true;
  assert.throws(
    () => connected.send(new Uint8Array(973), 0, 973, B, 9),
    (thrown) => thrown instanceof StackError && thrown.code === "MessageTooLong",
  );
  assert.equal(connected.mtu(C, 9), 1472);
});

Deno.test("UdpSocket.sendSegments() makes super-datagrams for a device that cuts them, and cuts them for one that does not", () => {
  for (const offloads of [0, OFFLOAD_CHECKSUM | OFFLOAD_USO]) {
    const made = host(offloads);
    const socket = made.stack.udp.bind({}, { receive: () => {} });
    const payload = Uint8Array.from({ length: 150 * 1000 + 7 }, (_, i) => i % 251);
    assert.equal(socket.sendSegments(payload, 0, payload.length, 1000, B, 9), 151);
    const sent = made.device.take();
    if (offloads === 0) {
      assert.equal(sent.length, 151);
      assert.ok(sent.every(({ bytes }) => checksumsOk(bytes)));
      const joined = sent.flatMap(({ bytes }) => [...bytes.subarray(42)]);
      assert.deepEqual(Uint8Array.from(joined), payload);
    } else {
      assert.deepEqual(sent.map((one) => [one.gsoType, one.gsoSize]), new Array(3).fill([GSO_UDP, 1000]));
      assert.deepEqual(sent.map(({ bytes }) => bytes.length - 42), [64_000, 64_000, 22_007]);
    }
    assert.equal(made.device.free, 200);
  }
});

Deno.test("UdpSocket.sendSegments() sends what does not fit the path one by one, in fragments", () => {
  const pair = new Pair();
  const got: number[] = [];
  pair.b.stack.udp.bind({ port: 9 }, { receive: (packet) => void got.push(packet.length) });
  const socket = pair.a.stack.udp.bind({}, { receive: () => {} });
  socket.send(new Uint8Array(1), 0, 1, B, 9);
  pair.run();
  assert.equal(socket.sendSegments(new Uint8Array(7000), 0, 7000, 3000, B, 9), 3);
  pair.run();
  assert.deepEqual(got, [1, 3000, 3000, 1000]);
  assert.throws(() => socket.sendSegments(new Uint8Array(1), 0, 1, 0, B, 9), RangeError);
});

Deno.test("Udp drops datagrams without checksum over IPv6, but for ports that say so", () => {
  const made = host();
  const unsummed = () => {
    const frame = udpFrameV6(1, 7, [1], { destination: "fe80::ff:fe00:1", source: "fe80::2" });
    frame[60] = frame[61] = 0;
    return frame;
  };
  let got = 0;
  const receive = (_packet: Packet) => void got++;
  const strict = made.stack.udp.bind({ port: 7 }, { receive });
  made.device.deliver(made.interface, unsummed());
  assert.deepEqual([got, made.stack.udp.counters.dropped.badChecksum], [0, 1]);
  strict.close();
  const socket = made.stack.udp.bind({ port: 7, zeroChecksum: true }, { receive });
  made.device.deliver(made.interface, unsummed());
  assert.equal(got, 1);
  made.interface.nd!.neighbours.setPermanent(IpAddress.parse("fe80::2"), 0x0200, 2);
  socket.send(new Uint8Array(1), 0, 1, IpAddress.parse("fe80::2"), 9);
  const { bytes } = made.device.take().at(-1)!;
  assert.deepEqual([...bytes.subarray(60, 62)], [0, 0]);
});

Deno.test("UdpSocket keeps to its interface and IP version", () => {
  const made = host();
  let got = 0;
  const receive = () => void got++;
  made.stack.udp.bind({ port: 7, interface: made.stack.loopback }, { receive });
  made.stack.udp.bind({ port: 8, version: 6 }, { receive });
  made.stack.udp.bind({ port: 8, version: 4 }, { receive });
  for (const port of [7, 8]) made.device.deliver(made.interface, udpFrame(1, port, [1]));
  assert.equal(got, 1);
  assert.throws(() => made.stack.udp.bind({ port: 8 }, { receive }), StackError);
});
