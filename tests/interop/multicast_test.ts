import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";

const GROUP4 = "239.77.0.1", GROUP6 = "ff15::77";

Deno.test("Groups are joined and left as tcpdump expects, and carry datagrams to and from the kernel", async () => {
  await requireTools("ip", "tcpdump");
  await using namespace = await Namespace.create();
  for (const which of ["all", "default"]) await namespace.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, "0");
  await namespace.tap("tap0", { addresses: ["10.87.0.1/24", "fd87::1/64"] });
  await namespace.ip("route", "add", "239.0.0.0/8", "dev", "tap0");
  const [link] = JSON.parse(await namespace.ip("-json", "link", "show", "tap0")) as { ifindex: number }[];
  const filter = "igmp or (ip6 and ip6[6] == 0)";
  const dump = namespace.spawn("tcpdump", ["-i", "tap0", "-n", "-l", "-v", "-Q", "in", filter], {
    deadline: 60_000,
  });
  await dump.printed(/listening on/);
  const groups = [GROUP4, GROUP6];
  const host = namespace.deno("tests/interop/multicast_host.ts", ["tap0", "10.87.0.2/24", ...groups], {
    deadline: 60_000,
  });
  await host.printed(/listening/);
  const peer = await namespace.run(Deno.execPath(), [
    "run",
    "-A",
    "--no-check",
    "--quiet",
    "--unstable-net",
    new URL("multicast_peer.ts", import.meta.url).pathname,
    "10.87.0.1",
    String(link!.ifindex),
    ...groups,
  ], { deadline: 40_000 });
  assert.match(peer.stdout, /^hello back 239\.77\.0\.1$/m);
  assert.match(peer.stdout, /^hello back ff15::77$/m);
  const { stdout, code } = await host.ended;
  assert.equal(code, 0);
  assert.match(stdout, /^hello to 239\.77\.0\.1$/m);
  assert.match(stdout, /^left$/m);
  for (
    const [name, group] of [["igmp v3 report", GROUP4], ["multicast listener report v2", GROUP6]] as const
  ) {
    for (const what of ["to_ex", "to_in"]) {
      const told = new RegExp(`${name}.*gaddr ${group.replaceAll(".", "\\.")} ${what}\\b`);
      await dump.printed(told);
    }
  }
});
