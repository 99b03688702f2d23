import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { told } from "./configured_host.ts";

const RADVD = `interface tap0 {
  AdvSendAdvert on; AdvManagedFlag on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;
  prefix 2001:db8:89::/64 { AdvAutonomous off; };
};\n`;

/** Lifetimes in seconds: renewed after 5, the least that the host takes, asked of every server after 6, deprecated after 8 and gone after 9. */
const DHCPD =
  `default-lease-time 9; preferred-lifetime 8; option dhcp-renewal-time 5; option dhcp-rebinding-time 6;
option dhcp6.name-servers 2001:db8:89::53; option dhcp6.domain-search "lan.example"; option dhcp6.sntp-servers 2001:db8:89::123;
subnet6 2001:db8:89::/64 { range6 2001:db8:89::100 2001:db8:89::1ff; prefix6 2001:db8:8900:: 2001:db8:89ff:: /56; }\n`;

Deno.test("A host renews a short DHCPv6 lease of dhcpd, with a delegated prefix, and gives it up when the server is gone", async () => {
  await requireTools("ip", "ping", "radvd", "dhcpd");
  const directory = await Deno.makeTempDir();
  try {
    await using namespace = await Namespace.create();
    for (const which of ["all", "default"]) {
      await namespace.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, "0");
    }
    await namespace.sysctl("net.ipv6.conf.all.forwarding", "1");
    await namespace.tap("tap0");
    await namespace.ip("address", "add", "2001:db8:89::1/64", "dev", "tap0", "nodad");
    await using program = namespace.deno("tests/interop/configured_host.ts", [
      "tap0",
      JSON.stringify({ configure: { dhcpv6: { prefixes: true } } }),
    ], { deadline: 120_000 });
    await program.printed(/^state/m);
    // The server wants a link-local address that is sure.
    let addresses = "";
    for (let i = 0; i < 600 && (addresses === "" || addresses.includes("tentative")); i++) {
      addresses = await namespace.ip("-6", "address", "show", "dev", "tap0", "scope", "link");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await Deno.writeTextFile(`${directory}/radvd.conf`, RADVD);
    await Deno.writeTextFile(`${directory}/dhcpd.conf`, DHCPD);
    await Deno.writeTextFile(`${directory}/leases`, "");
    // A copy: where AppArmor guards the packaged one, it may read no files of ours.
    await namespace.run("sh", ["-c", 'cp "$(command -v dhcpd)" "$1"', "sh", `${directory}/dhcpd`]);
    await using server = namespace.spawn(`${directory}/dhcpd`, [
      ...[
        "-6",
        "-d",
        "-f",
        "--no-pid",
        "-cf",
        `${directory}/dhcpd.conf`,
        "-lf",
        `${directory}/leases`,
        "tap0",
      ],
    ], { deadline: 120_000 });
    await using _router = namespace.spawn("radvd", [
      ...["-n", "-m", "stderr", "-p", `${directory}/pid`, "-C", `${directory}/radvd.conf`],
    ], { deadline: 120_000 });

    const given = ({ addresses }: { addresses: string[] }) =>
      addresses.find((line) => /^preferred 2001:db8:89::1[0-9a-f]{2} /.test(line))?.split(" ")[1];
    const bound = await told(program, (state) => given(state) !== undefined && state.prefixes.length > 0);
    const address = given(bound)!;
    assert.match(bound.prefixes[0]!, /^2001:db8:89[0-9a-f]{2}::\/56$/);
    assert.deepEqual([bound.nameServers, bound.searchDomains], [["2001:db8:89::53"], ["lan.example"]]);
    await namespace.run("ping", ["-6", "-q", "-c", "1", "-w", "20", address]);
    await server.printed(/Renew message[^]*Reply NA: address[^]*Reply PD: address/);
    await told(program, (state) => given(state) === address);

    await server.stop("SIGKILL");
    await told(
      program,
      ({ addresses, prefixes }) => prefixes.length === 0 && !addresses.some((line) => line.includes(address)),
    );
    assert.ok(program.stdout.includes(`deprecated ${address} `), "it was deprecated first");
    assert.equal(program.stderr, "");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
