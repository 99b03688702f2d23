import assert from "node:assert/strict";
import { MemoryDevice } from "../drivers/memory.ts";
import { Network } from "./network.ts";

const bytes = (words: string) => new TextEncoder().encode(words);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const IPV6 = { duplicates: "off", routers: false } as const;

/** Two hosts on two cables: 10.0.0.x and 10.0.1.x. */
function hosts(): [Network, Network] & AsyncDisposable {
  const cables = [MemoryDevice.pair(), MemoryDevice.pair()];
  const networks = [0, 1].map((side) =>
    Network.create({
      interfaces: cables.map((cable, i) => ({
        device: cable[side]!,
        name: `eth${i}`,
        addresses: [`10.0.${i}.${side + 1}/24`],
        ipv6: IPV6,
      })),
    })
  ) as [Network, Network];
  return Object.assign(networks, {
    async [Symbol.asyncDispose]() {
      for (const network of networks) await network[Symbol.asyncDispose]();
    },
  });
}

Deno.test("Network.connectDatagram() hears its peer alone, and is told when nobody listens", async () => {
  await using pair = hosts();
  const [a, b] = pair;
  using refused = await a.connectDatagram({ hostname: "10.0.0.2", port: 9 });
  assert.deepEqual(refused.remoteAddr, { transport: "udp", hostname: "10.0.0.2", port: 9 });
  await refused.send(bytes("x"));
  await assert.rejects(refused.receive(), { name: "ConnectionRefused", code: "ECONNREFUSED" });
  using six = await a.connectDatagram({ hostname: `${linkLocal(b, 0)}%eth0`, port: 9 });
  await six.send(bytes("x"));
  await assert.rejects(six.receive(), Deno.errors.ConnectionRefused);

  using server = b.listenDatagram({ port: 7 });
  using stranger = b.listenDatagram({ port: 8 });
  using client = await a.connectDatagram({ hostname: "10.0.0.2", port: 7 });
  await client.send(bytes("hello"));
  const [, from] = await server.receive();
  await stranger.send(bytes("wrong"), from);
  await server.send(bytes("right"), from);
  assert.equal(text((await client.receive())[0]), "right");
  await assert.rejects(server.send(bytes("x")), Deno.errors.NotConnected);
});

Deno.test("DatagramConn tells an unconnected socket's errors to who asks for them", async () => {
  await using pair = hosts();
  const [a] = pair;
  const told = Promise.withResolvers<string>();
  using conn = a.listenDatagram({
    port: 0,
    onError: (error, addr) => told.resolve(`${error.name} ${addr.hostname}:${addr.port}`),
  });
  await conn.send(bytes("x"), { hostname: "10.0.1.2", port: 99 });
  assert.equal(await told.promise, "ConnectionRefused 10.0.1.2:99");
  assert.equal(conn.socket.counters.errors, 1);
});

Deno.test("DatagramConn tells how a datagram came, and sends one as it is told", async () => {
  await using pair = hosts();
  const [a, b] = pair;
  using server = b.listenDatagram({ port: 7 });
  using client = a.listenDatagram({ port: 0, trafficClass: 8 });
  await client.send(bytes("x"), { hostname: "10.0.1.2", port: 7 }, { hopLimit: 9, trafficClass: 0x20 });
  const [, , info] = await server.receive();
  assert.deepEqual([info.localAddress, info.interface.name, info.hopLimit, info.trafficClass], [
    "10.0.1.2",
    "eth1",
    9,
    0x20,
  ]);
  await client.send(bytes("y"), { hostname: "10.0.0.2", port: 7 }, { source: "10.0.0.1" });
  const [, addr, second] = await server.receive();
  assert.deepEqual([addr.hostname, second.trafficClass, second.hopLimit], ["10.0.0.1", 8, 64]);
  await assert.rejects(
    client.send(bytes("x"), { hostname: "10.0.0.2", port: 7 }, { source: "10.9.9.9" }),
    /Cannot send to 10\.0\.0\.2 from 10\.9\.9\.9: no route leads there/,
  );
  await assert.rejects(
    client.send(bytes("x"), { hostname: "10.0.0.2", port: 7 }, { hopLimit: 0 }),
    RangeError,
  );
});

Deno.test("DatagramConn keeps the same link-local address on two links apart by its zone", async () => {
  const near = [MemoryDevice.pair(), MemoryDevice.pair()];
  await using a = Network.create({
    interfaces: near.map((cable, i) => ({ device: cable[0], name: `eth${i}`, ipv6: IPV6 })),
  });
  const far = near.map((cable) =>
    Network.create({
      interfaces: [{ device: cable[1], addresses: ["fe80::77/64"], ipv6: { ...IPV6, linkLocal: false } }],
    })
  );
  try {
    using client = a.listenDatagram({ port: 0 });
    for (const [i, network] of far.entries()) {
      const server = network.listenDatagram({ port: 7 });
      await client.send(bytes(`to ${i}`), { hostname: `fe80::77%eth${i}`, port: 7 });
      const [data, from] = await server.receive();
      assert.equal(text(data), `to ${i}`);
      await server.send(bytes("back"), from);
      assert.equal((await client.receive())[1].hostname, `fe80::77%eth${i}`);
      server.close();
    }
    await assert.rejects(
      client.send(bytes("x"), { hostname: "fe80::77", port: 7 }),
      Deno.errors.NetworkUnreachable,
    );
  } finally {
    for (const network of far) network.close();
  }
});

Deno.test("DatagramConn.sendBatch() delivers every datagram of any sizes and peers in order", async () => {
  await using pair = hosts();
  const [a, b] = pair;
  using first = b.listenDatagram({ port: 7, queue: 1000 });
  using second = b.listenDatagram({ port: 8, queue: 1000 });
  using client = a.listenDatagram({ port: 0 });
  const to = (port: number) => ({ hostname: "10.0.0.2", port });
  await client.send(bytes("first"), to(7));
  await first.receive();
  const sizes = [...new Array(100).fill(1000), 3, 1000, 1000, 0, 1, 1, 5000, 5000, 200];
  const batch = sizes.map((size, i) => [new Uint8Array(size).fill(i), to(i === 50 ? 8 : 7)] as const);
  assert.equal(await client.sendBatch(batch), sizes.length);
  for (let i = 0; i < sizes.length; i++) {
    const [data] = await (i === 50 ? second : first).receive();
    assert.deepEqual([data.length, data[0] ?? i], [sizes[i], i]);
  }
});

Deno.test("DatagramConn with dontFragment refuses what the path does not take, and mtu() tells how much that is", async () => {
  await using pair = hosts();
  const [a] = pair;
  using conn = a.listenDatagram({ port: 0, dontFragment: true });
  const peer = { hostname: "10.0.0.2", port: 7 };
  assert.equal(conn.mtu(peer), 1472);
  await conn.send(new Uint8Array(1472), peer);
  await assert.rejects(conn.send(new Uint8Array(1473), peer), {
    code: "EMSGSIZE",
    message:
      "Cannot send 1473 bytes to 10.0.0.2: at most 1472 fit in one packet of 1500 bytes that the path takes",
  });
});

Deno.test("DatagramConn bounds its queue in datagrams and bytes, and counts what finds no room", async () => {
  await using pair = hosts();
  const [a, b] = pair;
  using few = b.listenDatagram({ port: 7, queue: 2 });
  using small = b.listenDatagram({ port: 8, queueBytes: 1500 });
  using client = a.listenDatagram({ port: 0 });
  using last = b.listenDatagram({ port: 9 });
  await client.send(bytes("first"), { hostname: "10.0.0.2", port: 9 });
  await last.receive();
  for (let i = 0; i < 5; i++) {
    for (const port of [7, 8]) await client.send(new Uint8Array(1000), { hostname: "10.0.0.2", port });
  }
  await client.send(bytes("end"), { hostname: "10.0.0.2", port: 9 });
  await last.receive();
  assert.deepEqual([few.dropped, small.dropped], [3, 4]);
  assert.equal(small.socket.counters.queueFullBytes, 4000);
  assert.equal(b.stack.udp.counters.queueFull, 7);
});

Deno.test("Network.listenDatagram() listens to one version alone, or to both", async () => {
  await using pair = hosts();
  const [a, b] = pair;
  using four = b.listenDatagram({ port: 7, hostname: "0.0.0.0" });
  using both = b.listenDatagram({ port: 8, hostname: "::" });
  assert.deepEqual([four.addr.hostname, both.addr.hostname], ["0.0.0.0", "::"]);
  using client = a.listenDatagram({ port: 0 });
  const six = `${linkLocal(b, 1)}%eth1`;
  await client.send(bytes("six"), { hostname: six, port: 7 });
  await client.send(bytes("six"), { hostname: six, port: 8 });
  await client.send(bytes("four"), { hostname: "10.0.0.2", port: 7 });
  assert.equal(text((await both.receive())[0]), "six");
  assert.equal(text((await four.receive())[0]), "four");
});

/** The link-local address of an interface. */
function linkLocal(network: Network, which: number): string {
  return network.stack.interfaces[which]!.nd!.addresses.find((own) => own.address.isLinkLocal)!.address
    .toString();
}
