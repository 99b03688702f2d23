import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { told } from "./configured_host.ts";

const OLD = "2001:db8:95:", NEW = "2001:db8:96:";

/** What radvd is told: prefixes with their preferred lifetimes in seconds, and further lines. */
function settings(prefixes: Record<string, number>, ...more: string[]): string {
  const parts = Object.entries(prefixes).map(([prefix, preferred]) =>
    `prefix ${prefix}:/64 { AdvValidLifetime 86400; AdvPreferredLifetime ${preferred}; };`
  );
  return `interface tap0 {
    AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 600;
    ${[...parts, ...more].join("\n    ")}
  };\n`;
}

Deno.test("A host follows radvd from one prefix to another: the old deprecated, the new preferred, and goes when it ends", async () => {
  await requireTools("ip", "ping", "radvd");
  const directory = await Deno.makeTempDir();
  try {
    await using namespace = await Namespace.create();
    for (const which of ["all", "default"]) {
      await namespace.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, "0");
    }
    await namespace.sysctl("net.ipv6.conf.all.forwarding", "1");
    await namespace.tap("tap0");
    for (const prefix of [OLD, NEW]) {
      await namespace.ip("address", "add", `${prefix}:1/64`, "dev", "tap0", "nodad");
    }
    const file = `${directory}/radvd.conf`;
    await Deno.writeTextFile(
      file,
      settings(
        { [OLD]: 14400 },
        "AdvLinkMTU 1400;",
        "RDNSS 2001:db8:95::53 { AdvRDNSSLifetime 600; };",
        "DNSSL lan.example { AdvDNSSLLifetime 600; };",
        "route 2001:db8:9900::/40 { AdvRouteLifetime 600; AdvRoutePreference high; };",
      ),
    );
    await using program = namespace.deno("tests/interop/configured_host.ts", [
      "tap0",
      JSON.stringify({ ipv6: { temporary: true } }),
    ], { deadline: 120_000 });
    await program.printed(/^state/m);
    const args = ["-n", "-m", "stderr", "-d", "1", "-p", `${directory}/pid`, "-C", file];
    await using router = namespace.spawn("radvd", args, { deadline: 120_000 });

    const preferred = (prefix: string, origin: string) => new RegExp(`^preferred ${prefix}.* ${origin}$`);
    const has = (list: string[], pattern: RegExp) => list.some((line) => pattern.test(line));
    const joined = await told(
      program,
      ({ addresses, source }) =>
        has(addresses, preferred(OLD, "router")) && has(addresses, preferred(OLD, "temporary")) &&
        source !== null,
    );
    const find = (list: string[], pattern: RegExp) =>
      list.find((line) => pattern.test(line))?.split(" ")[1] ?? "";
    assert.equal(
      joined.source,
      find(joined.addresses, / temporary$/),
      "what we begin is from an address of chance",
    );
    assert.equal(joined.mtu, 1400);
    assert.equal(joined.routers.length, 1);
    assert.deepEqual(joined.nameServers, ["2001:db8:95::53"]);
    assert.deepEqual(joined.searchDomains, ["lan.example"]);
    assert.ok(has(joined.routes, /^2001:db8:9900::\/40 via fe80:/), joined.routes.join(", "));
    const ping = (address: string) => namespace.run("ping", ["-6", "-q", "-c", "1", "-w", "20", address]);
    for (const pattern of [/ router$/, / temporary$/]) await ping(find(joined.addresses, pattern));

    await Deno.writeTextFile(file, settings({ [OLD]: 0, [NEW]: 14400 }));
    await namespace.run("sh", ["-c", 'kill -HUP "$(cat "$1")"', "sh", `${directory}/pid`]);
    const moved = await told(
      program,
      ({ addresses, source }) =>
        has(addresses, preferred(NEW, "router")) && has(addresses, preferred(NEW, "temporary")) &&
        source?.startsWith(NEW) === true,
    );
    for (const line of moved.addresses.filter((line) => line.includes(OLD))) {
      assert.match(line, /^deprecated /);
    }
    // Whoever knows an old address still reaches it.
    for (const line of moved.addresses) if (!line.includes("fe80")) await ping(line.split(" ")[1]!);

    await router.stop();
    const alone = await told(program, ({ routers }) => routers.length === 0);
    assert.equal(alone.source, null);
    assert.equal(program.stderr, "");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
