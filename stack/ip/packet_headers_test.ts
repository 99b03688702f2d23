import assert from "node:assert/strict";
import type { StackError } from "../errors.ts";
import { type Bytes, Region } from "../packet.ts";
import { checksumsOk } from "../testing/frames.ts";
import { Pair } from "../testing/pair.ts";
import { fold, sum } from "../wire/checksum.ts";
import { IpAddress } from "./address.ts";
import { PacketHeaders } from "./packet_headers.ts";

const V4 = IpAddress.parse("10.0.0.2"), V6 = IpAddress.parse("fd00::2");
const DATA = Uint8Array.of(1, 2, 3, 4, 5);
const BOTH = new PacketHeaders({
  ipv4Options: [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0],
  hopByHop: [5, 2, 0, 0],
  destinationOptions: [0x1e, 3, 9, 9, 9, 0, 0x1e, 0],
});

/** Two hosts of one version, a socket of each, and what the second hears. */
function pair(version: 4 | 6) {
  const addresses = version === 4
    ? ["10.0.0.1/24", "10.0.0.2/24"] as const
    : ["fd00::1/64", "fd00::2/64"] as const;
  const made = new Pair({}, {}, addresses, version === 6 && { duplicates: "off", routers: false });
  made.pass(5_000_000);
  const heard: { payload: number[]; header: number[] }[] = [];
  made.b.stack.udp.bind({ port: 7 }, {
    receive: ({ bytes, offset, end, network, transport }) =>
      heard.push({
        payload: [...bytes.subarray(offset, end)],
        header: [...bytes.subarray(network, transport)],
      }),
  });
  const socket = made.a.stack.udp.bind({ port: 9 }, { receive() {} });
  return { made, socket, heard, to: version === 4 ? V4 : V6 };
}

/** Whether the checksum of UDP behind the extension headers is right. */
function udpOk(frame: Bytes, at: number): boolean {
  const region = new Region(frame.slice().buffer);
  const length = frame.length - at;
  return fold(sum(region, 22, 32) + 17 + length + sum(region, at, length)) === 0xffff;
}

Deno.test("UdpSocket.headers sends options of IPv4, with right checksums", () => {
  const { made, socket, heard, to } = pair(4);
  socket.headers = BOTH;
  socket.send(DATA, 0, 5, to, 7);
  made.run();
  made.a.device.take();
  socket.send(DATA, 0, 5, to, 7);
  const { bytes } = made.a.device.take()[0]!;
  assert.equal(bytes[14], 0x48);
  assert.deepEqual([...bytes.subarray(34, 46)], [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(bytes[17], 32 + 8 + 5);
  assert.equal(checksumsOk(bytes), true);
  assert.deepEqual(heard.map(({ payload }) => payload), [[...DATA]]);
  socket.send(DATA, 0, 5, to, 7, { headers: null });
  assert.equal(made.a.device.take()[0]!.bytes[14], 0x45);
});

Deno.test("UdpSocket.headers sends extension headers of IPv6, in order and padded, with right checksums", () => {
  const { made, socket, heard, to } = pair(6);
  socket.send(DATA, 0, 5, to, 7, { headers: BOTH });
  made.run();
  socket.send(DATA, 0, 5, to, 7, { headers: BOTH });
  const { bytes } = made.a.device.take()[0]!;
  assert.equal(bytes[20], 0);
  assert.equal(new DataView(bytes.buffer).getUint16(18), 8 + 16 + 8 + 5);
  assert.deepEqual([...bytes.subarray(54, 62)], [60, 0, 5, 2, 0, 0, 1, 0]);
  assert.deepEqual([...bytes.subarray(62, 78)], [17, 1, 0x1e, 3, 9, 9, 9, 0, 0x1e, 0, 1, 4, 0, 0, 0, 0]);
  assert.equal(udpOk(bytes, 78), true);
  assert.deepEqual(heard.map(({ payload }) => payload), [[...DATA]]);
  for (
    const [options, next] of [[{ hopByHop: [5, 2, 0, 0] }, 0], [
      { destinationOptions: [0x1e, 0] },
      60,
    ]] as const
  ) {
    socket.send(DATA, 0, 5, to, 7, { headers: new PacketHeaders(options) });
    const [frame] = made.a.device.take();
    assert.deepEqual([frame!.bytes[20], frame!.bytes[54]], [next, 17]);
    made.b.device.deliver(made.b.interface, frame!.bytes);
  }
  assert.equal(heard.length, 3);
});

Deno.test("RawSocket.headers go with its packets, and the echo's way is recorded", () => {
  const { made } = pair(4);
  const answers: number[][] = [];
  const socket = made.a.stack.rawSockets.open({ protocol: 1, version: 4 }, {
    receive: ({ bytes, network, transport }) => answers.push([...bytes.subarray(network + 20, transport)]),
  });
  socket.headers = new PacketHeaders({ ipv4Options: [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0] });
  socket.send(Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0), 0, 8, V4);
  made.run();
  assert.deepEqual(answers, [[7, 11, 12, 10, 0, 0, 2, 10, 0, 0, 2, 0]]);
});

Deno.test("What has PacketHeaders goes in one piece, or not at all", () => {
  for (const version of [4, 6] as const) {
    const { made, socket, heard, to } = pair(version);
    socket.headers = BOTH;
    const most = socket.mtu(to, 7);
    assert.equal(most, 1500 - (version === 4 ? 20 + 12 : 40 + 24) - 8);
    const big = new Uint8Array(most + 1);
    assert.throws(
      () => socket.send(big, 0, most + 1, to, 7),
      (error: StackError) => error.code === "MessageTooLong" && error.message.includes(`at most ${most} fit`),
    );
    assert.equal(socket.send(big, 0, most, to, 7), true);
    assert.equal(socket.sendSegments(big, 0, 1000, 100, to, 7), 10);
    made.run();
    assert.deepEqual(heard.map(({ payload }) => payload.length), [most, ...new Array(10).fill(100)]);
    const raw = made.a.stack.rawSockets.open({ protocol: 253 }, { receive() {} });
    raw.headers = BOTH;
    assert.throws(
      () => raw.send(big, 0, most + 9, to),
      (error: StackError) => error.code === "MessageTooLong",
    );
    assert.equal(made.a.device.free, 64);
  }
});

Deno.test("PacketHeaders refuses what is malformed or too long", () => {
  for (
    const options of [
      { ipv4Options: [7] },
      { ipv4Options: [7, 1] },
      { ipv4Options: [7, 4, 0] },
      { ipv4Options: [256] },
      { ipv4Options: new Array(41).fill(1) },
      { hopByHop: [5] },
      { hopByHop: [5, 2, 0] },
      { destinationOptions: [1, 9, 0] },
      { destinationOptions: new Array(63).fill(0) },
    ]
  ) assert.throws(() => new PacketHeaders(options), RangeError, JSON.stringify(options));
  assert.equal(new PacketHeaders({}).lengthOf(4) + new PacketHeaders({}).lengthOf(6), 0);
  for (let length = 1; length <= 62; length++) {
    assert.equal(new PacketHeaders({ hopByHop: new Array(length).fill(0) }).lengthOf(6) % 8, 0);
  }
});
