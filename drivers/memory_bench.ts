/**
 * What a packet costs through all layers of two stacks on a cable of memory, version by version and protocol by
 * protocol: `deno bench -A drivers/memory_bench.ts`. One process does both ends and every layer.
 *
 * @module
 */

import { Cidr, IpAddress } from "../stack/ip/address.ts";
import type { Packet } from "../stack/packet.ts";
import { Stack } from "../stack/stack.ts";
import { type Connection, type ConnectionHandler, State } from "../stack/tcp/api.ts";
import { MemoryDevice } from "./memory.ts";

/** Exchanges of one iteration. */
const BATCH = 32;
/** Bytes of one iteration in bulk. */
const BULK = 4 << 20;

let state = 1;
const random = () => state = Math.imul(state, 1664525) + 1013904223 | 0;

for (const version of [4, 6] as const) {
  const [near, far] = MemoryDevice.pair({ queue: 1024 });
  const client = new Stack({ random });
  const server = new Stack({ random });
  const [own, target] = version === 4 ? ["10.0.0.1", "10.0.0.2"] : ["fd00::1", "fd00::2"];
  const prefix = version === 4 ? 24 : 64;
  const options = (address: string) => ({ addresses: [Cidr.parse(`${address}/${prefix}`)] });
  const clientInterface = client.addInterface(near, options(own!));
  const serverInterface = server.addInterface(far, options(target!));
  const address = IpAddress.parse(target!);
  let now = 0;
  const turn = (micros = 10) => {
    now += micros;
    client.poll(now);
    far.poll(serverInterface, 1024, now);
    server.poll(now);
    near.poll(clientInterface, 1024, now);
    client.poll(now);
  };
  // Addresses are probed and neighbours found.
  for (let i = 0; i < 100; i++) turn(50_000);

  let answers = 0;
  server.udp.bind({ port: 7 }, { receive: (packet, socket) => void socket.answer(packet, packet.length) });
  const socket = client.udp.bind({}, { receive: (_packet: Packet) => void answers++ });
  const datagram = new Uint8Array(64);
  const expect = (count: number, what: string) => {
    if (answers !== count) throw new Error(`${answers} of ${count} ${what} were answered`);
    answers = 0;
  };

  Deno.bench({
    name: `UDP: ${BATCH} datagrams of 64 bytes there and back`,
    group: `IPv${version}`,
    fn() {
      for (let i = 0; i < BATCH; i++) socket.send(datagram, 0, 64, address, 7);
      turn();
      turn();
      expect(BATCH, "datagrams");
    },
  });

  let taken = 0;
  const service: ConnectionHandler = {
    connected() {},
    receive(connection, bytes, offset, length) {
      if (length < 64) return connection.write(bytes, offset, length);
      taken += length;
      return length;
    },
    finished() {},
    writable() {},
    closed() {},
  };
  server.tcp.listen({ port: 7 }, {
    ready(listener) {
      for (let connection; (connection = listener.take()) !== null;) connection.handler = service;
    },
  });
  const connections: Connection[] = Array.from(
    { length: BATCH },
    () =>
      client.tcp.connect({ address, port: 7 }, {
        connected() {},
        receive(_connection, _bytes, _offset, length) {
          answers++;
          return length;
        },
        finished() {},
        writable() {},
        closed() {},
      }),
  );
  for (let i = 0; i < 500; i++) turn(10_000);
  if (connections.some((connection) => connection.state !== State.Established)) {
    throw new Error("The connections are not established");
  }
  const byte = new Uint8Array(1);

  Deno.bench({
    name: `TCP: a byte there and back on ${BATCH} connections`,
    group: `IPv${version}`,
    fn() {
      for (const connection of connections) connection.write(byte, 0, 1);
      turn();
      turn();
      expect(BATCH, "bytes");
    },
  });

  const [first] = connections;
  const block = new Uint8Array(256 << 10);
  Deno.bench({
    name: `TCP: ${BULK >> 20} MiB in bulk`,
    group: `IPv${version}`,
    fn() {
      taken = 0;
      for (let sent = 0, turns = 0; taken < BULK; turns++) {
        if (turns > 10_000) throw new Error(`Only ${taken} of ${BULK} bytes have arrived`);
        while (sent < BULK) {
          const written = first!.write(block, 0, Math.min(block.length, BULK - sent));
          sent += written;
          if (written === 0) break;
        }
        turn(100);
      }
    },
  });
}
