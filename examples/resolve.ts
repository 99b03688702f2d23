/**
 * Asks the DNS, and prints the records.
 *
 *     deno task example resolve --device tap:tap0 --address 10.0.0.2/24 --dns 10.0.0.1 www.example AAAA
 *
 * @module
 */

import type { DnsType } from "../net/mod.ts";
import { main, UsageError } from "./options.ts";

await main({
  name: "resolve",
  summary: "Prints what the DNS says about a name.",
  positionals: "NAME [A|AAAA|CAA|CNAME|MX|NAPTR|NS|PTR|SOA|SRV|TXT]",
  options: {
    all: {
      type: "boolean",
      help: "prints the addresses of both versions in the order in which they are tried",
    },
    counters: { type: "boolean", help: "prints what the resolver has counted" },
  },
}, async ({ network, values, positionals: [name, type = "A", ...more], signal }) => {
  if (name === undefined || more.length > 0) throw new UsageError("Give one name, and a type of record");
  try {
    const results = values["all"]
      ? await network.lookup(name, { signal })
      : await network.resolveDns(name, type.toUpperCase() as DnsType, { signal });
    for (const result of results) console.log(typeof result === "string" ? result : JSON.stringify(result));
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  } finally {
    if (values["counters"]) console.error(JSON.stringify(network.resolver.counters));
  }
  return 0;
});
