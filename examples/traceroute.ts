/**
 * Finds the routers on the way to a host, and prints who they are and how far away.
 *
 *     deno task example traceroute --device tap:tap0 --address 10.0.0.2/24 --gateway 10.0.0.1 192.0.2.1
 *
 * @module
 */

import { main, numberOption, UsageError } from "./options.ts";

await main({
  name: "traceroute",
  summary: "Sends probes with growing hop limits and prints who complains about them.",
  positionals: "HOST",
  options: {
    icmp: { type: "boolean", help: "sends echo requests instead of UDP datagrams" },
    "max-hops": { type: "string", value: "N", help: "how far to look; 30 by default" },
    probes: { type: "string", value: "N", help: "of each hop limit; 3 by default" },
    timeout: { type: "string", value: "MS", help: "to wait for answers; 1000 by default" },
  },
}, async (run) => {
  const { network, positionals: [host, ...more], signal } = run;
  if (host === undefined || more.length > 0) throw new UsageError("Give one host");
  const maxHops = numberOption(run, "max-hops", 1, 255, 30);
  const probes = numberOption(run, "probes", 1, 100, 3);
  const timeout = numberOption(run, "timeout", 1, 3_600_000, 1000);
  const mode = run.values["icmp"] === true ? "icmp" : "udp";
  let reached = false;
  for await (const hop of network.traceroute(host, { mode, maxHops, probes, timeout, signal })) {
    reached = hop.reached;
    let last = "";
    const words = hop.replies.map(({ address, rtt, error }) => {
      if (address === null || rtt === null) return "*";
      const who = address === last ? "" : `${address} `;
      last = address;
      return `${who}${rtt.toFixed(3)} ms${error === null ? "" : ` (${error})`}`;
    });
    console.log(`${String(hop.hop).padStart(2)}  ${words.join("  ")}`);
  }
  return reached ? 0 : 1;
});
