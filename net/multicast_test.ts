import assert from "node:assert/strict";
import { MemoryDevice } from "../drivers/memory.ts";
import { Network } from "./network.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (words: string) => new TextEncoder().encode(words);

Deno.test("DatagramConn.joinMulticastV4() and joinMulticastV6() receive from other hosts, and from this one", async () => {
  const [left, right] = MemoryDevice.pair();
  const ipv6 = { duplicates: "off", routers: false } as const;
  await using a = Network.create({ interfaces: [{ device: left, addresses: ["10.0.0.1/24"], ipv6 }] });
  await using b = Network.create({ interfaces: [{ device: right, addresses: ["10.0.0.2/24"], ipv6 }] });
  using sender = a.listenDatagram({ port: 0 });
  using first = b.listenDatagram({ port: 5000, reuseAddress: true });
  using second = b.listenDatagram({ port: 5000, reuseAddress: true });
  const { name, index } = b.stack.interfaces[0]!;
  const membership = await first.joinMulticastV4("239.7.7.7", "10.0.0.2");
  await second.joinMulticastV4("239.7.7.7", name, { source: "10.0.0.1" });
  await sender.send(bytes("four"), { hostname: "239.7.7.7", port: 5000 });
  for (const conn of [first, second]) {
    const [data, from] = await conn.receive();
    assert.deepEqual([text(data), from.hostname], ["four", "10.0.0.1"]);
  }
  await membership.leave();
  await assert.rejects(membership.leave(), Deno.errors.AddrNotAvailable);
  await first.joinMulticastV6("ff02::7:7", index);
  await second.joinMulticastV6("ff02::7:7");
  await assert.rejects(second.joinMulticastV6("ff02::7:7"), Deno.errors.AddrInUse);
  await first.send(bytes("six"), { hostname: "ff02::7:7", port: 5000 });
  assert.equal(text((await second.receive())[0]), "six");
  assert.equal(text((await first.receive())[0]), "six");
});

Deno.test("DatagramConn.joinMulticastV4() says what is wrong with a group, an interface and a hop limit", async () => {
  await using host = Network.create({ device: MemoryDevice.pair()[0], addresses: ["10.0.0.1/24"] });
  using conn = host.listenDatagram({ port: 0 });
  await assert.rejects(conn.joinMulticastV4("10.0.0.9"), /Cannot join 10\.0\.0\.9: it is no multicast/);
  await assert.rejects(conn.joinMulticastV4("ff02::1"), /Cannot parse "ff02::1": expected an IPv4 address/);
  await assert.rejects(
    conn.joinMulticastV4("239.0.0.1", "eth7"),
    /No interface is called or numbered "eth7"/,
  );
  const membership = await conn.joinMulticastV4("239.0.0.1");
  await assert.rejects(membership.setTTL(256), RangeError);
  conn.close();
  await assert.rejects(conn.joinMulticastV4("239.0.0.1"), Deno.errors.BadResource);
});
