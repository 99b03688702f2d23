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
const asked = JSON.parse(questions) as [string, string, DnsType][];
const told = asked.some(([ipAddr]) => ipAddr === "");

/** Addresses of IPv6 can be used once it is known that nobody has them; what a router tells comes with one. */
function ready(): boolean {
  const { ipv6 } = network.stack;
  const own = network.interface.addresses.filter(({ address }) => address.version === 6);
  return own.every(({ address }) => ipv6.own(address)?.usable) &&
    (!told || (network.nameServers.length > 0 && own.some(({ address }) => !address.isLinkLocal)));
}

for (let i = 0; i < 600 && !ready(); i++) await new Promise((resolve) => setTimeout(resolve, 50));
const answers = await Promise.all(
  asked.map(async ([ipAddr, name, type]) => {
    try {
      return await network.resolveDns(name, type, ipAddr === "" ? {} : { nameServer: { ipAddr } });
    } catch (error) {
      return (error as { code?: string }).code ?? String(error);
    }
  }),
);
console.log(JSON.stringify(answers));
console.error(JSON.stringify(network.resolver.counters));
