import assert from "node:assert/strict";
import { MemoryDevice } from "../drivers/memory.ts";
import { Network } from "./network.ts";

const IPV6 = { duplicates: "off", routers: false } as const;
const bytes = (...values: number[]) => Uint8Array.from(values);

function pair(): [Network, Network] & AsyncDisposable {
  const devices = MemoryDevice.pair();
  const networks = devices.map((device, i) =>
    Network.create({
      interfaces: [{
        device,
        name: "eth0",
        addresses: [`10.0.0.${i + 1}/24`, `fd00::${i + 1}/64`],
        ipv6: IPV6,
      }],
    })
  ) as [Network, Network];
  return Object.assign(networks, {
    async [Symbol.asyncDispose]() {
      for (const network of networks) await network[Symbol.asyncDispose]();
    },
  });
}

Deno.test("Network.listenRaw() sends and receives packets of its protocol, over both versions, each socket all of them", async () => {
  await using hosts = pair();
  const [a, b] = hosts;
  using sender = a.listenRaw({ protocol: 253, hopLimit: 5 });
  using first = b.listenRaw({ protocol: 253 });
  using second = b.listenRaw({ protocol: 253, headerIncluded: true });
  await sender.send(bytes(1, 2, 3), "10.0.0.2");
  const [data, from, info] = await first.receive();
  assert.deepEqual([data, from, info.hopLimit], [bytes(1, 2, 3), "10.0.0.1", 5]);
  assert.deepEqual((await second.receive())[0].subarray(20), bytes(1, 2, 3));
  await sender.send(bytes(9), "fd00::2");
  assert.equal((await first.receive())[1], "fd00::1");
  assert.equal((await second.receive())[0].length, 41);
  assert.equal(b.stack.icmp.counters.errorsSent, 0);
});

Deno.test("RawConn sends packets with a header of its own, and sees ICMP beside the stack", async () => {
  await using hosts = pair();
  const [a, b] = hosts;
  using sender = a.listenRaw({ protocol: 255, headerIncluded: true });
  using watcher = b.listenRaw({ protocol: 1, version: 4 });
  using answers = a.listenRaw({ protocol: 1, version: 4, hostname: "10.0.0.1" });
  const echo = [8, 0, 0xe5, 0xfd, 0x12, 0, 0, 2];
  const header = [0x45, 0, 0, 0, 0, 7, 0, 0, 33, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
  await sender.send(bytes(...header, ...echo));
  const [request, from, info] = await watcher.receive();
  assert.deepEqual([request, from, info.hopLimit], [bytes(...echo), "10.0.0.1", 33]);
  assert.equal((await answers.receive())[0][0], 0);
  await assert.rejects(sender.send(bytes(1, 2)), TypeError);
  await assert.rejects(sender.send(bytes(...header, ...new Array(2000).fill(0))), { code: "EMSGSIZE" });
});

Deno.test("RawConn bounds its queue, fails what waits when it closes, and says what is wrong", async () => {
  await using hosts = pair();
  const [a, b] = hosts;
  using conn = b.listenRaw({ protocol: 253, queue: 2 });
  using marker = b.listenRaw({ protocol: 254 });
  using sender = a.listenRaw({ protocol: 253 });
  using other = a.listenRaw({ protocol: 254 });
  for (let i = 0; i < 5; i++) await sender.send(bytes(i), "10.0.0.2");
  await other.send(bytes(9), "10.0.0.2");
  await marker.receive();
  assert.equal(conn.dropped, 3);
  const waits = marker.receive();
  marker.close();
  await assert.rejects(waits, Deno.errors.BadResource);
  assert.throws(() => a.listenRaw({ protocol: 256 }), RangeError);
  assert.throws(() => a.listenRaw({ protocol: 1, hostname: "10.9.9.9" }), Deno.errors.AddrNotAvailable);
  await assert.rejects(sender.send(bytes(1)), TypeError);
  await assert.rejects(sender.send(bytes(1), "192.0.2.1"), Deno.errors.NetworkUnreachable);
});
