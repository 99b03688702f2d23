import assert from "node:assert/strict";
import { MemoryDevice } from "../drivers/memory.ts";
import { Network } from "./network.ts";

/** A host, a router and a host, in a row. */
function row(): [Network, Network, Network] & AsyncDisposable {
  const [left, near] = MemoryDevice.pair(), [far, right] = MemoryDevice.pair();
  const ipv6 = { duplicates: "off", routers: false } as const;
  const end = (device: typeof left, side: number, host: number, router: number) =>
    Network.create({
      interfaces: [{ device, addresses: [`10.0.${side}.${host}/24`, `fd00:${side}::${host}/64`], ipv6 }],
      routes: [
        { destination: "0.0.0.0/0", gateway: `10.0.${side}.${router}` },
        { destination: "::/0", gateway: `fd00:${side}::${router}` },
      ],
    });
  const router = Network.create({
    forwarding: true,
    interfaces: [
      { device: near, name: "eth0", addresses: ["10.0.1.9/24", "fd00:1::9/64"], ipv6 },
      { device: far, name: "eth1", addresses: ["10.0.2.9/24", "fd00:2::9/64"], ipv6 },
    ],
  });
  const networks = [end(left, 1, 1, 9), router, end(right, 2, 1, 9)] as [Network, Network, Network];
  return Object.assign(networks, {
    async [Symbol.asyncDispose]() {
      for (const network of networks) await network[Symbol.asyncDispose]();
    },
  });
}

Deno.test("Network.traceroute() names the router and the host, by UDP and ICMP, over both versions", async () => {
  await using hosts = row();
  for (const [target, router] of [["10.0.2.1", "10.0.1.9"], ["fd00:2::1", "fd00:1::9"]] as const) {
    for (const mode of ["udp", "icmp"] as const) {
      const hops = await Array.fromAsync(hosts[0].traceroute(target, { mode, timeout: 20_000 }));
      assert.deepEqual(
        hops.map((
          { hop, replies, reached },
        ) => [hop, replies.map((one) => [one.address, one.error]), reached]),
        [[1, new Array(3).fill([router, null]), false], [2, new Array(3).fill([target, null]), true]],
      );
      assert.ok(hops.every(({ replies }) => replies.every(({ rtt }) => rtt !== null && rtt >= 0)));
    }
  }
});

Deno.test("Network.traceroute() ends where a router knows no way, and goes on where nobody answers", async () => {
  await using hosts = row();
  const gone = await Array.fromAsync(hosts[0].traceroute("192.0.2.1", { probes: 1, timeout: 20_000 }));
  assert.deepEqual(gone.at(-1)!.replies[0]!.error, "NetworkUnreachable");
  const silent = await Array.fromAsync(
    hosts[0].traceroute("10.0.1.77", { maxHops: 2, probes: 1, timeout: 10 }),
  );
  assert.deepEqual(silent.map(({ hop, replies }) => [hop, replies[0]!.address]), [[1, null], [2, null]]);
  await assert.rejects(Array.fromAsync(hosts[0].traceroute("10.0.2.1", { maxHops: 256 })), RangeError);
});

Deno.test("Network.ping() says which router has told what", async () => {
  await using hosts = row();
  const [result] = await Array.fromAsync(
    hosts[0].ping("10.0.2.1", { count: 1, hopLimit: 1, timeout: 20_000 }),
  );
  assert.deepEqual([result!.error, result!.from, result!.rtt], ["TimeExceeded", "10.0.1.9", null]);
  const [answer] = await Array.fromAsync(hosts[0].ping("fd00:2::1", { count: 1, timeout: 20_000 }));
  assert.deepEqual([answer!.error, answer!.from], [null, "fd00:2::1"]);
});
