/**
 * Asks a host whether it is there, and prints how long the answers take.
 *
 *     deno task example ping --device tap:tap0 --address 10.0.0.2/24 --count 3 10.0.0.1
 *
 * @module
 */

import { main, numberOption, UsageError } from "./options.ts";

await main({
  name: "ping",
  summary: "Sends ICMP echo requests and prints the round trips.",
  positionals: "HOST",
  options: {
    count: { type: "string", value: "N", help: "how many; without end by default" },
    interval: { type: "string", value: "MS", help: "from one to the next; 1000 by default" },
    timeout: { type: "string", value: "MS", help: "to wait for each answer; 1000 by default" },
    size: { type: "string", value: "BYTES", help: "of data in each; 56 by default" },
  },
}, async (run) => {
  const { network, positionals: [host, ...more], signal } = run;
  if (host === undefined || more.length > 0) throw new UsageError("Give the name or IP address of one host");
  const count = numberOption(run, "count", 1, 1e9, Infinity);
  const interval = numberOption(run, "interval", 0, 3_600_000, 1000);
  const timeout = numberOption(run, "timeout", 1, 3_600_000, 1000);
  const size = numberOption(run, "size", 0, 65507, 56);
  const times: number[] = [];
  let sent = 0;
  try {
    for await (const result of network.ping(host, { count, interval, timeout, size, signal })) {
      sent++;
      const { sequence, rtt, bytes, hopLimit, error } = result;
      if (rtt === null) {
        console.log(`${host}: seq=${sequence} ${error ?? "no answer"}`);
      } else {
        times.push(rtt);
        console.log(`${bytes} bytes from ${host}: seq=${sequence} ttl=${hopLimit} time=${rtt.toFixed(3)} ms`);
      }
    }
  } catch (error) {
    // What the host is called, or a size that fits no packet.
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
  const lost = sent === 0 ? 0 : 100 * (1 - times.length / sent);
  console.log(`${sent} sent, ${times.length} received, ${lost.toFixed(0)}% lost`);
  if (times.length === 0) return 1;
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
  console.log(
    `min/mean/max ${Math.min(...times).toFixed(3)}/${mean.toFixed(3)}/${Math.max(...times).toFixed(3)} ms`,
  );
  return 0;
});
