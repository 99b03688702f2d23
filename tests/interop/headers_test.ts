import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";

Deno.test("The kernel takes our IPv4 options and IPv6 extension headers, and tcpdump shows them", async () => {
  await requireTools("ip", "socat", "tcpdump");
  await using namespace = await Namespace.create();
  for (const which of ["all", "default"]) await namespace.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, "0");
  await namespace.tap("tap0", { addresses: ["10.84.0.1/24"] });
  await namespace.ip("address", "add", "fd00:84::1/64", "dev", "tap0", "nodad");
  await using dump = namespace.spawn("tcpdump", ["-i", "tap0", "-n", "-l", "-v", "-Q", "in"], {
    deadline: 60_000,
  });
  await dump.printed(/listening on/);
  await using _echo4 = namespace.spawn("socat", ["UDP4-LISTEN:7777,fork", "SYSTEM:echo got it"]);
  await using _echo6 = namespace.spawn("socat", ["UDP6-LISTEN:7777,ipv6only,fork", "SYSTEM:echo got it"]);
  await using host = namespace.deno("tests/interop/headers_host.ts", [
    ...["tap0", "10.84.0.2/24,fd00:84::2/64", "10.84.0.1", "fd00:84::1"],
  ], { deadline: 60_000 });
  await host.printed(/^10\.84\.0\.1: got it$[^]*^fd00:84::1: got it$/m);
  // The kernel has put its address into the record, as it came and as it left, and we ours.
  await host.printed(/^way: 7 15 16 10 84 0 1 10 84 0 1 10 84 0 2 0$/m);
  await dump.printed(/options \(RR /);
  await dump.printed(/> fd00:84::1: HBH \(rtalert: 0x0000\) .*DSTOPT \(opt_type 0x1e: len=2\).* > 7777/);
});
