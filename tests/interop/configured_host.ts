/**
 * `configured_host.ts TAP [OPTIONS]`: a host that is given no addresses, and prints a line of JSON whenever its link has told it
 * something else: its addresses with how far they may be used, its routers and servers, and which source it takes for a
 * destination far away. OPTIONS are those of the interface, as JSON.
 *
 * @module
 */

import { Network } from "../../net/mod.ts";
import type { InterfaceSpec } from "../../net/interface_spec.ts";
import { IpAddress } from "../../stack/ip/address.ts";
import { AddressOrigin, AddressState } from "../../stack/ip/own_address.ts";

/** One line of what it prints, behind `state `. */
export interface Told {
  /** Each IPv6 address: `preferred 2001:db8::1 router`, for example. */
  addresses: string[];
  /** Each IPv4 address with its prefix. */
  v4: string[];
  /** Default routers over IPv6. */
  routers: string[];
  /** Routes that do not lead to a network of the link. */
  routes: string[];
  nameServers: string[];
  searchDomains: string[];
  timeServers: string[];
  /** Prefixes that were delegated. */
  prefixes: string[];
  /** The source for 2001:db8:ffff::1; null without a way. */
  source: string | null;
  /** Largest IPv6 packet. */
  mtu: number;
  /** Largest IPv4 packet. */
  mtuV4: number;
}

const FAR = IpAddress.parse("2001:db8:ffff::1");

/** The last line that a process of this program has printed for which `test` holds, or the first that it prints. */
export async function told(
  program: { readonly stdout: string; printed(pattern: RegExp): Promise<unknown> },
  test: (state: Told) => boolean,
): Promise<Told> {
  for (let seen = 0;;) {
    const lines = [...program.stdout.matchAll(/^state (.*)$/gm)].map(([, json]) => JSON.parse(json!) as Told);
    const last = lines.at(-1);
    if (last !== undefined && test(last)) return last;
    seen = lines.length;
    await program.printed(new RegExp(`(^state .*\\n[^]*){${seen + 1}}`, "m"));
  }
}

function describe(network: Network): Told {
  const { configuration, interface: by, stack } = network;
  const { addresses, routers, mtu } = by.nd!;
  return {
    addresses: addresses.map(({ state, address, origin }) =>
      `${AddressState[state]} ${address} ${AddressOrigin[origin]}`.toLowerCase()
    ),
    v4: by.addresses.filter(({ address }) => address.version === 4).map(String),
    routers: routers.routers.map(String),
    routes: stack.routes.routes.filter(({ gateway }) => gateway !== null).map(String),
    nameServers: configuration.nameServers,
    searchDomains: configuration.searchDomains,
    timeServers: configuration.timeServers,
    prefixes: configuration.prefixes,
    source: stack.path(FAR)?.source.toString() ?? null,
    mtu,
    mtuV4: by.mtuV4,
  };
}

if (import.meta.main) {
  const [tap = "", options = "{}"] = Deno.args;
  const spec = JSON.parse(options) as Omit<InterfaceSpec, "device">;
  await using network = await Network.open({
    interfaces: [{ device: `tap:${tap}`, configure: true, ...spec }],
    patience: 0,
  });
  let before = "";
  const timer = setInterval(() => {
    const now = JSON.stringify(describe(network));
    if (now !== before) console.log(`state ${before = now}`);
  }, 50);
  await new Promise<void>((resolve) => Deno.addSignalListener("SIGTERM", resolve));
  clearInterval(timer);
}
