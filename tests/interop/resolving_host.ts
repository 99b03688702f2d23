/**
 * A host of ours that resolves what its arguments say, and prints an array of what came of each, as JSON.
 *
 * A server of "" stands for those that the network tells.
 *
 *     deno run -A tests/interop/resolving_host.ts DEVICE ADDRESS,ADDRESS '[["10.0.0.1", "www.example", "A"]]'
 *
 * @module
 */

import { type DnsType, Network } from "../../net/mod.ts";

const [device, addresses, questions] = Deno.args as [string, string, string];
await using network = await Network.open({
  device,
  addresses: addresses.split(",").filter((text) => text !== ""),
});
// Addresses of IPv6 can be used once it is known that nobody has them.
await new Promise((resolve) => setTimeout(resolve, 2500));
const answers = await Promise.all(
  (JSON.parse(questions) as [string, string, DnsType][]).map(async ([ipAddr, name, type]) => {
    try {
      return await network.resolveDns(name, type, ipAddr === "" ? {} : { nameServer: { ipAddr } });
    } catch (error) {
      return (error as { code?: string }).code ?? String(error);
    }
  }),
);
console.log(JSON.stringify(answers));
console.error(JSON.stringify(network.resolver.counters));
