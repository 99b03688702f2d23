/**
 * Routes between two networks, over IPv4 and IPv6, and says every few seconds what it has done.
 *
 *     ip tuntap add dev left mode tap vnet_hdr && ip tuntap add dev right mode tap vnet_hdr
 *     deno task example router --device tap:left --address 10.0.0.1/24 --address fd00::1/64 \
 *       --to tap:right --to-address 10.0.1.1/24,fd01::1/64
 *
 * Each TAP's other end is a host of its network, in a network namespace of its own for example, with this router
 * as its gateway.
 *
 * @module
 */

import { openDevice } from "../drivers/open.ts";
import type { Device } from "../stack/device.ts";
import { type ForwardHook, Verdict } from "../stack/ip/forwarding.ts";
import * as ipv4 from "../stack/wire/ipv4.ts";
import * as ipv6 from "../stack/wire/ipv6.ts";
import { main, numberOption, UsageError } from "./options.ts";

/** A firewall of one rule: lets nothing through to one TCP port. */
class Firewall implements ForwardHook {
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  forward(
    { view, network, transport, end }: Parameters<ForwardHook["forward"]>[0],
    _to: unknown,
    version: 4 | 6,
  ) {
    const protocol = version === 4 ? ipv4.protocol(view, network) : ipv6.nextHeader(view, network);
    const tcp = protocol === ipv4.TCP && transport + 4 <= end &&
      (version === 6 || (ipv4.fragment(view, network) & 0x1fff) === 0);
    return tcp && view.getUint16(transport + 2) === this.#port ? Verdict.Reject : Verdict.Accept;
  }
}

async function openOther(name: string): Promise<Device> {
  try {
    return await openDevice(name);
  } catch (error) {
    throw new UsageError(`Option --to ${name}: ${(error as Error).message}`);
  }
}

await main({
  name: "router",
  summary: "Routes between two networks, over IPv4 and IPv6.",
  options: {
    to: { type: "string", value: "DEVICE", help: "the other network's device" },
    "to-address": { type: "string", value: "CIDR[,CIDR]", help: "addresses in the other network" },
    "to-mtu": { type: "string", value: "BYTES", help: "largest packet of the other network" },
    reject: { type: "string", value: "PORT", help: "lets nothing through to this TCP port" },
    advertise: { type: "boolean", help: "tells IPv6 hosts of both networks to come here (RFC 4861)" },
    redirects: { type: "boolean", help: "tells hosts of better routers" },
    interval: { type: "string", value: "SECONDS", help: "between two lines of figures (5)" },
  },
}, async (run) => {
  const { network, values, signal } = run;
  const { forwarding } = network.stack;
  if (typeof values["to"] !== "string") throw new UsageError("No other device is given: add --to tap:NAME");
  const interval = numberOption(run, "interval", 1, 3600, 5);
  const port = numberOption(run, "reject", 0, 65535, 0);
  if (port !== 0) forwarding.hook = new Firewall(port);
  forwarding.redirects = values["redirects"] === true;
  const device = await openOther(values["to"]);
  const addresses = ((values["to-address"] ?? "") as string).split(",").filter((text) => text !== "");
  const mtu = numberOption(run, "to-mtu", 68, device.mtu, device.mtu);
  // A router makes no addresses of what other routers say.
  const other = network.addInterface({ device, addresses, mtu, ipv6: { routers: false }, forwarding: true });
  network.interface.forwarding = true;
  if (values["advertise"] === true) {
    for (const { nd } of [network.interface, other]) nd?.advertiser.start({ interval: 60 });
  }
  const names = [network.interface, other].map((one) => `${one.name} (${one.addresses.join(", ")})`);
  console.log(`Listening: routing between ${names.join(" and ")}`);
  let before = "";
  const timer = setInterval(() => {
    const line = Object.entries({ IPv4: forwarding.ipv4, IPv6: forwarding.ipv6 }).map(([name, counters]) => {
      const dropped = Object.entries(counters.dropped).filter(([, count]) => count > 0);
      const reasons = dropped.map(([reason, count]) => `, ${count} ${reason}`).join("");
      return `${name} ${counters.forwarded} forwarded${reasons}`;
    }).join("; ");
    if (line !== before) console.log(before = line);
  }, interval * 1000);
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  clearInterval(timer);
});
