import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";

Deno.test("A host asks dnsmasq for an IPv6 address when its router advertisement says so", async () => {
  await requireTools("ip", "ping", "dnsmasq");
  const directory = await Deno.makeTempDir();
  try {
    await using namespace = await Namespace.create();
    await namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "0");
    await namespace.tap("tap0", { addresses: ["10.88.0.1/24"] });
    await namespace.ip("address", "add", "2001:db8:88::1/64", "dev", "tap0", "nodad");
    const server = namespace.spawn("dnsmasq", [
      ...["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null", "--port=0"],
      ...["--user=root", `--pid-file=${directory}/pid`, `--dhcp-leasefile=${directory}/leases`],
      ...["--interface=tap0", "--enable-ra", "--dhcp-range=10.88.0.50,10.88.0.60,2m"],
      ...[
        "--dhcp-range=2001:db8:88::100,2001:db8:88::1ff,64,2m",
        "--dhcp-option=option6:dns-server,[2001:db8:88::1]",
      ],
    ]);
    await server.printed(/DHCPv6/);
    await using _program = namespace.deno("examples/http_echo.ts", ["--device", "tap:tap0"], {
      deadline: 120_000,
    });
    const [, address] = await server.printed(/DHCPREPLY.* (2001:db8:88::1[0-9a-f]{2})/, 60_000);
    // The address is used a second or two later, when it is known that nobody has it.
    await namespace.run("ping", ["-6", "-q", "-c", "1", "-w", "20", address!]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
