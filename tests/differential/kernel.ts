/**
 * What the kernel of this machine answers to odd packets, in a namespace of its own.
 *
 * @module
 */

import { Namespace } from "../harness/namespace.ts";
import type { Case } from "./cases.ts";
import type { Answer } from "./describe.ts";

/** Settings of the namespace: no limit to what is told, nothing said of its own accord, fragments wait for long. */
const SETTINGS: [string, string][] = [
  ["net.ipv4.icmp_ratelimit", "0"],
  ["net.ipv4.icmp_ratemask", "0"],
  ["net.ipv6.icmp.ratelimit", "0"],
  // Of types that no error has.
  ["net.ipv6.icmp.ratemask", "255"],
  ["net.ipv4.ipfrag_time", "600"],
  ["net.ipv6.ip6frag_time", "600"],
  ["net.ipv4.conf.all.rp_filter", "0"],
  ["net.ipv4.conf.default.rp_filter", "0"],
  ["net.ipv4.conf.all.send_redirects", "0"],
  ["net.ipv4.conf.default.send_redirects", "0"],
  ["net.ipv4.conf.all.accept_source_route", "0"],
  ["net.ipv6.conf.default.disable_ipv6", "0"],
  ["net.ipv6.conf.default.accept_ra", "0"],
  ["net.ipv6.conf.default.addr_gen_mode", "1"],
  ["net.ipv6.conf.default.router_solicitations", "0"],
];

/** What the kernel answers to each case. */
export async function answersOfKernel(cases: readonly Case[], forwarding: boolean): Promise<Answer[][]> {
  await using namespace = await Namespace.create();
  for (const [key, value] of SETTINGS) await namespace.sysctl(key, value);
  await namespace.sysctl("net.ipv4.ip_forward", forwarding ? "1" : "0");
  await namespace.sysctl("net.ipv6.conf.all.forwarding", forwarding ? "1" : "0");
  const addresses = [["10.9.0.1/24", "fd09::1/64", "fe80::1/64"], [
    "10.9.1.1/24",
    "fd09:1::1/64",
    "fe80::1:1/64",
  ]];
  const neighbours = [["10.9.0.2", "fd09::2", "fe80::2"], ["10.9.1.2", "fd09:1::2"]];
  for (const i of [0, 1]) {
    const name = `k${i}`;
    await namespace.tap(name, { mtu: i === 0 ? 1500 : 1280 });
    await namespace.ip("link", "set", name, "address", `02:00:00:00:00:0${i + 1}`);
    for (const address of addresses[i]!) {
      const how = address.includes(":") ? ["nodad"] : ["broadcast", "+"];
      await namespace.ip("address", "add", address, ...how, "dev", name);
    }
    for (const address of neighbours[i]!) {
      await namespace.ip(
        "neighbour",
        "replace",
        address,
        "lladdr",
        `02:00:00:00:00:0${"ab"[i]}`,
        "dev",
        name,
      );
    }
  }
  await namespace.ip("route", "add", "192.0.2.0/24", "via", "10.9.0.2");
  await namespace.ip("-6", "route", "add", "2001:db8::/64", "via", "fd09::2");
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(
      file,
      JSON.stringify(cases.map(({ frames }) => frames.map((frame) => frame.toHex()))),
    );
    const { code, stderr } = await namespace.deno("tests/differential/kernel_program.ts", [file], {
      deadline: 180_000,
    }).ended;
    if (code !== 0) throw new Error(`The program that asks the kernel has failed: ${stderr}`);
    const answers = JSON.parse(await Deno.readTextFile(file)) as [number, string][][];
    return answers.map((list) => list.map(([port, hex]) => ({ port, frame: Uint8Array.fromHex(hex) })));
  } finally {
    await Deno.remove(file);
  }
}
