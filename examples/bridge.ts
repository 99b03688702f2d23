/**
 * Bridges networks at the link, is a host on them itself, and says every few seconds who is behind which port.
 *
 *     ip tuntap add dev left mode tap vnet_hdr && ip tuntap add dev right mode tap vnet_hdr
 *     deno task example bridge --device bridge:tap:left,tap:right --address 10.0.0.1/24
 *
 * Each TAP's other end is a host, in a network namespace of its own for example, or a port of another bridge.
 *
 * @module
 */

import { BridgeDevice } from "../drivers/bridge.ts";
import { main, numberOption, UsageError } from "./options.ts";

await main({
  name: "bridge",
  summary: "Bridges networks, and is a host on them that serves HTTP.",
  options: {
    isolate: { type: "string", value: "NAME[,NAME]", help: "ports that exchange nothing with each other" },
    interval: { type: "string", value: "SECONDS", help: "between two lines of figures (5)" },
  },
}, async (run) => {
  const { network, values, signal } = run;
  const { device } = network.interface;
  if (!(device instanceof BridgeDevice)) {
    throw new UsageError(`Device ${device.name} is no bridge: give --device bridge:tap:left,tap:right`);
  }
  for (const name of ((values["isolate"] ?? "") as string).split(",").filter((text) => text !== "")) {
    const port = device.ports.find((one) => one.device.name === name);
    if (port === undefined) throw new UsageError(`Option --isolate: there is no port "${name}"`);
    port.isolated = true;
  }
  const interval = numberOption(run, "interval", 1, 3600, 5);
  const headers = { "content-type": "text/plain" };
  const server = network.serve(
    { port: 80, onListen: () => {} },
    () => new Response(`${stations()}\n`, { headers }),
  );
  const stations = () => {
    const lines = device.addresses.map(({ mac, port }) => `${port.device.name} has ${mac}`);
    return lines.length === 0 ? "nobody was heard yet" : lines.sort().join(", ");
  };
  console.log(`Listening: bridging ${device.ports.map((port) => port.device.name).join(", ")}`);
  let before = "";
  const timer = setInterval(() => {
    const ports = device.ports.map(({ device: { name }, counters, out }) => {
      const dropped = Object.entries(counters.dropped).filter(([, count]) => count > 0);
      const reasons = dropped.map(([reason, count]) => `, ${count} ${reason}`).join("");
      return `${name} ${counters.received} in${reasons}, ${out.counters.sent} out`;
    });
    const line = `${ports.join("; ")}; ${stations()}`;
    if (line !== before) console.log(before = line);
  }, interval * 1000);
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  clearInterval(timer);
  server.close();
  await server.finished;
});
