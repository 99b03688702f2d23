import assert from "node:assert/strict";
import { MemoryDevice } from "../drivers/memory.ts";
import { Network } from "./network.ts";

Deno.test("Network.addRoute(), replaceRoute() and removeRoute() take routes as people write them", () => {
  const [left, right] = MemoryDevice.pair();
  right.close();
  using network = Network.create({
    device: left,
    addresses: ["10.0.0.2/24"],
    routes: [{ destination: "192.0.2.0/24", kind: "unreachable" }],
  });
  const { routes } = network.stack;
  const text = () => routes.routes.map((route) => String(route)).filter((one) => one.includes("192.0.2."));
  assert.deepEqual(text(), ["unreachable 192.0.2.0/24"]);
  const options = { gateway: "10.0.0.1", from: "10.0.0.0/25", mtu: 1400, hopLimit: 9, dscp: 46, metric: 3 };
  const added = network.addRoute({ destination: "192.0.2.0/24", ...options });
  assert.equal(text()[0], `192.0.2.0/24 from 10.0.0.0/25 via 10.0.0.1 dev ${left.name}`);
  assert.deepEqual([added.mtu, added.hopLimit, added.dscp, added.metric], [1400, 9, 46, 3]);
  const replaced = network.replaceRoute({ destination: "192.0.2.0/24", ...options, gateway: "10.0.0.9" });
  assert.equal(text().length, 2);
  assert.equal(String(replaced.gateway), "10.0.0.9");
  assert.equal(network.removeRoute(added), false);
  assert.equal(network.removeRoute(replaced), true);
  assert.deepEqual(text(), ["unreachable 192.0.2.0/24"]);
  assert.throws(() => network.addRoute({ destination: "192.0.2.0/24", gateway: "172.16.0.1" }), TypeError);
  assert.throws(() => network.addRoute({ destination: "192.0.2.0", gateway: "10.0.0.1" }), TypeError);
  assert.throws(() => network.addRoute({ destination: "192.0.2.0/24", dscp: 64 }), RangeError);
});
