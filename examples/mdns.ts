/**
 * Finds hosts and services of the link by multicast DNS, and is found.
 *
 *     deno task example mdns --device tap:tap0 --address 10.0.0.2/24 browse _http._tcp
 *     deno task example mdns --device tap:tap0 --address 10.0.0.2/24 resolve printer.local
 *     deno task example mdns --device tap:tap0 --address 10.0.0.2/24 --hostname ethox advertise "Our web" _http._tcp 80 path=/
 *
 * @module
 */

import type { Network } from "../net/mod.ts";
import { main, type Run, UsageError } from "./options.ts";

async function browse({ network, signal }: Run, type: string): Promise<number> {
  console.log(`Listening for ${type}`);
  for await (const { kind, service } of network.browse(type, { signal })) {
    const { name, hostname, port, txt } = service;
    const addresses = kind === "lost" ? [] : await network.lookup(hostname, { signal }).catch(() => []);
    console.log(
      `${kind} "${name}" at ${hostname}:${port} ${JSON.stringify(txt)} ${addresses.join(" ")}`.trimEnd(),
    );
  }
  return 0;
}

async function advertise({ network, signal }: Run, name: string, type: string, port: string, txt: string[]) {
  const entries = txt.map((text): [string, string | true] => {
    const at = text.indexOf("=");
    return at < 0 ? [text, true] : [text.slice(0, at), text.slice(at + 1)];
  });
  const options = { name, type, port: Number(port), txt: Object.fromEntries(entries), signal };
  using service = await network.advertise(options);
  await named(network, signal);
  console.log(`Listening as "${service.name}" of ${network.mdns.hostname}`);
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  return 0;
}

/** Waits until the host's name is known to be its own. */
async function named(network: Network, signal: AbortSignal): Promise<void> {
  while (!network.mdns.established && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

await main({
  name: "mdns",
  summary: "Finds hosts and services of the link, and is found.",
  positionals: "browse TYPE | resolve NAME | advertise NAME TYPE PORT [KEY=VALUE...]",
}, async (run) => {
  const { network, positionals: [verb, first, second, third, ...more], signal } = run;
  try {
    if (verb === "browse" && first !== undefined && second === undefined) return await browse(run, first);
    if (verb === "resolve" && first !== undefined && second === undefined) {
      for (const address of await network.lookup(first, { signal })) console.log(address);
      return 0;
    }
    if (verb === "advertise" && first !== undefined && second !== undefined && third !== undefined) {
      return await advertise(run, first, second, third, more);
    }
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
  throw new UsageError("Give browse TYPE, resolve NAME, or advertise NAME TYPE PORT");
});
