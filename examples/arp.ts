/**
 * Asks who has the addresses of a range, and prints who answers.
 *
 *     deno task example arp --device tap:tap0 --address 10.0.0.2/24 10.0.0.0/28
 *
 * The requests are frames of its own, written on the interface's seam: `reserve`, the fields of `stack/wire/arp.ts`, `send`.
 *
 * @module
 */

import { Cidr, formatDotted, IpAddress } from "../stack/ip/address.ts";
import type { Interface } from "../stack/link/interface.ts";
import type { Packet } from "../stack/packet.ts";
import * as arp from "../stack/wire/arp.ts";
import * as ethernet from "../stack/wire/ethernet.ts";
import { main, numberOption, UsageError } from "./options.ts";

/** Most addresses of a range. */
const MOST = 65536;
/** Requests between two pauses. */
const BURST = 32;

/** The addresses of `FIRST-LAST` or of a network, as numbers. */
function parseRange(text: string): { first: number; last: number } {
  const [from, to, ...more] = text.split("-").map((part) => IpAddress.tryParse(part));
  if (from?.version === 4 && to?.version === 4 && more.length === 0) {
    if (to.number < from.number) throw new UsageError(`Range "${text}" ends before it begins`);
    return { first: from.number, last: to.number };
  }
  let network: Cidr;
  try {
    network = Cidr.parse(text).network;
  } catch {
    throw new UsageError(`Range is "${text}": give a network as 10.0.0.0/24, or 10.0.0.1-10.0.0.9`);
  }
  if (network.address.version !== 4) throw new UsageError(`Range is "${text}": ARP is for IPv4 only`);
  const first = network.address.number;
  return { first, last: first + 2 ** (32 - network.prefix) - 1 };
}

function ask(by: Interface, target: number): boolean {
  const packet = by.reserve();
  if (packet === null) return false;
  const at = packet.offset;
  const source = by.sourceV4For(target | 0);
  arp.write(packet.view, at, arp.REQUEST, by.macHigh, by.macLow, source, 0, 0, target | 0);
  packet.end = at + arp.LENGTH;
  return by.send(packet, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW, ethernet.ARP);
}

function formatMac(high: number, low: number): string {
  const hex = high.toString(16).padStart(4, "0") + (low >>> 0).toString(16).padStart(8, "0");
  return hex.match(/../g)!.join(":");
}

await main({
  name: "arp",
  summary: "Asks who has the addresses of a range.",
  positionals: "[RANGE]",
  options: { timeout: { type: "string", value: "MS", help: "to wait for answers; 1000 by default" } },
}, async (run) => {
  const { network, positionals: [text, ...more], signal } = run;
  if (more.length > 0) throw new UsageError("Give one range");
  if (!network.interface.addressed) {
    throw new UsageError(`Device ${network.interface.name} has no link addresses to ask for`);
  }
  const own = network.interface.addresses.find((cidr) => cidr.address.version === 4);
  if (own === undefined) throw new UsageError("No IPv4 address is given to ask from: add --address CIDR");
  const { first, last } = parseRange(text ?? own.network.toString());
  if (last - first >= MOST) {
    throw new UsageError(`Range has ${last - first + 1} addresses: at most ${MOST} are asked`);
  }
  const timeout = numberOption(run, "timeout", 1, 600_000, 1000);
  const found = new Set<number>();
  network.interface.tap("in", {
    receive(packet: Packet): boolean {
      const { view, offset } = packet;
      const at = offset + ethernet.HEADER_LENGTH;
      if (ethernet.ethertype(view, offset) !== ethernet.ARP || packet.end - at < arp.LENGTH) return false;
      const address = arp.senderAddress(view, at) >>> 0;
      if (arp.operation(view, at) !== arp.REPLY || address < first || address > last) return false;
      if (!found.has(address)) {
        found.add(address);
        console.log(
          `${formatDotted(address)} is at ${formatMac(arp.senderHigh(view, at), arp.senderLow(view, at))}`,
        );
      }
      return false;
    },
  });
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  // Whoever missed the first request gets a second one.
  for (let round = 0; round < 2 && !signal.aborted; round++) {
    for (let address = first, burst = 0; address <= last && !signal.aborted; address++) {
      if (found.has(address)) continue;
      ask(network.interface, address);
      if (++burst % BURST === 0) await pause(10);
    }
    for (
      let waited = 0;
      waited < timeout / 2 && !signal.aborted && found.size <= last - first;
      waited += 10
    ) {
      await pause(10);
    }
  }
  console.log(`${found.size} of ${last - first + 1} addresses answered`);
  return found.size > 0 ? 0 : 1;
});
