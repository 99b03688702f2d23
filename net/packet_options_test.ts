import assert from "node:assert/strict";
import { MemoryDevice } from "../drivers/memory.ts";
import { Network } from "./network.ts";

Deno.test("Network.connect() and listen() send with the TTL and DSCP that they are given, from the first segment on", async () => {
  const [left, right] = MemoryDevice.pair();
  await using server = await Network.open({ device: left, addresses: ["10.0.0.1/24"] });
  await using client = await Network.open({ device: right, addresses: ["10.0.0.2/24"] });
  const seen = { server: new Set<string>(), client: new Set<string>() };
  for (const [name, network] of [["server", client], ["client", server]] as const) {
    network.stack.ipv4.tap("in", {
      receive({ view, network }) {
        // The two bits of ECN are the connection's own.
        seen[name].add(`${view.getUint8(network + 8)} ${view.getUint8(network + 1) >> 2}`);
        return false;
      },
    });
  }
  using listener = server.listen({ port: 7, hopLimit: 30, trafficClass: 10 << 2 });
  using connection = await client.connect({
    hostname: "10.0.0.1",
    port: 7,
    hopLimit: 9,
    trafficClass: 46 << 2,
  });
  using accepted = await listener.accept();
  await connection.write(new Uint8Array(5));
  assert.equal(await accepted.read(new Uint8Array(9)), 5);
  await accepted.write(new Uint8Array(5));
  assert.equal(await connection.read(new Uint8Array(9)), 5);
  assert.deepEqual([...seen.client], ["9 46"]);
  assert.deepEqual([...seen.server], ["30 10"]);
  const wrong = { hostname: "10.0.0.1", port: 7 };
  await assert.rejects(client.connect({ ...wrong, hopLimit: 0 }), RangeError);
  await assert.rejects(client.connect({ ...wrong, trafficClass: 256 }), RangeError);
});
