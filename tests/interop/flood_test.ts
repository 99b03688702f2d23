import assert from "node:assert/strict";
import { DEFAULT_LIMITS } from "../../stack/limits.ts";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { FLOODS, type Victim } from "./flood_frames.ts";

const HOST = { v4: "10.83.0.2", v6: "fd00:83::2" };
const KERNEL = { v4: "10.83.0.1", v6: "fd00:83::1" };

/** What the host holds, and what its layers have counted. */
interface Counted {
  sizes: Record<"routers" | "prefixes" | "addresses" | "nameServers" | "routes", number> & {
    neighbours: number;
    arp: number;
    reassemblies: number;
  };
  v6: Record<string, { received: number; delivered: number; dropped: Record<string, number> }>;
  handlerErrors: number;
}

Deno.test("A host on a TAP holds no more than its limits through floods, and answers after each as before", async () => {
  await requireTools("ip", "nc", "ping");
  await using namespace = await Namespace.create();
  for (const which of ["all", "default"]) await namespace.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, "0");
  await namespace.tap("tap0", { addresses: [`${KERNEL.v4}/16`] });
  await namespace.ip("address", "add", `${KERNEL.v6}/64`, "dev", "tap0", "nodad");
  const addresses = [`${HOST.v4}/16`, `${HOST.v6}/64`];
  await using host = namespace.deno("tests/interop/counting_host.ts", ["tap0", ...addresses], {
    input: "piped",
    deadline: 180_000,
  });
  await host.printed(/^listening$/m);
  // The rest of a flood may still fill the kernel's queue in front of the TAP, which drops what does not fit.
  const ping = async (what: string) => {
    for (const address of [HOST.v4, HOST.v6]) {
      let stdout = "";
      for (let i = 0; i < 20 && !stdout.includes(" 0% packet loss"); i++) {
        ({ stdout } = await namespace.attempt("ping", ["-q", "-c", "5", "-i", "0.01", "-W", "3", address]));
      }
      assert.match(stdout, / 0% packet loss/, `${what}: ${address}`);
    }
  };
  for (let i = 0; i < 20; i++) {
    const { code } = await namespace.attempt("ping", ["-q", "-c", "1", "-W", "1", HOST.v6]);
    if (code === 0) break;
  }
  await ping("before");
  const [known] = JSON.parse(await namespace.ip("-json", "neighbour", "show", HOST.v4)) as {
    lladdr: string;
  }[];
  const victim: Victim = { ...HOST, mac: known!.lladdr.split(":").map((part) => parseInt(part, 16)) };

  let asked = 0;
  for (const { name, frames } of FLOODS) {
    let input = "", count = 0;
    for (const frame of frames(victim)) {
      input += `${frame.toHex()}\n`;
      count++;
    }
    const sent = await namespace.deno("tests/harness/programs/inject.ts", ["tap0"], { input }).ended;
    assert.equal(sent.stdout, `sent ${count}\n`, sent.stderr);
    await ping(name);
    await host.write("\n");
    const [, json = ""] = await host.printed(new RegExp(`(?:^counters (.*)$[^]*){${++asked}}`, "m"));
    const { sizes, v6, handlerErrors } = JSON.parse(json) as Counted;
    assert.equal(handlerErrors, 0, name);
    const limits: [number, number][] = [
      [sizes.neighbours, DEFAULT_LIMITS.neighbours],
      [sizes.arp, DEFAULT_LIMITS.neighbours],
      [sizes.routers, DEFAULT_LIMITS.routers],
      [sizes.prefixes, DEFAULT_LIMITS.prefixes],
      [sizes.nameServers, DEFAULT_LIMITS.nameServers],
      [sizes.addresses, DEFAULT_LIMITS.addresses + addresses.length],
      [sizes.reassemblies, DEFAULT_LIMITS.reassemblies],
    ];
    for (const [size, limit] of limits) assert.ok(size <= limit, `${name}: ${JSON.stringify(sizes)}`);
    for (const [layer, { received, delivered, dropped }] of Object.entries(v6)) {
      const reasons = Object.values(dropped).reduce((total, one) => total + one, 0);
      assert.equal(received, delivered + reasons, `${name}: ${layer} ${JSON.stringify(dropped)}`);
    }
  }
  await host.write("\n");
  const [, json = ""] = await host.printed(new RegExp(`(?:^counters (.*)$[^]*){${asked + 1}}`, "m"));
  const { v6: { ipv6, fragments, nd }, sizes } = JSON.parse(json) as Counted;
  // Every flood has got where it was meant to go.
  assert.equal(sizes.routers, DEFAULT_LIMITS.routers);
  for (const reason of ["badExtension", "tooManyExtensions", "badOption"]) {
    assert.ok((ipv6?.dropped[reason] ?? 0) > 0, `${reason}: ${json}`);
  }
  for (const reason of ["contradiction", "tooLong"]) assert.ok((fragments?.dropped[reason] ?? 0) > 0, json);
  assert.ok(nd!.received > 10_000, json);
  const echo = await namespace.run("nc", ["-N", "-w", "5", HOST.v6, "7"], { input: "still here\n" });
  assert.equal(echo.stdout, "still here\n");
  assert.equal(host.stderr, "");
});
