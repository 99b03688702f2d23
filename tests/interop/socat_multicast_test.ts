import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";

const GROUP4 = "239.77.0.2", GROUP6 = "ff15::78";

Deno.test("socat and a host hear each other in groups of both versions", async () => {
  await requireTools("ip", "socat");
  await using namespace = await Namespace.create();
  for (const which of ["all", "default"]) await namespace.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, "0");
  await namespace.tap("tap0", { addresses: ["10.87.0.1/24"] });
  await namespace.ip("address", "add", "fd87::1/64", "dev", "tap0", "nodad");
  await namespace.ip("route", "add", "239.0.0.0/8", "dev", "tap0");
  await using host = namespace.deno("tests/interop/multicast_host.ts", [
    ...["tap0", "10.87.0.2/24", GROUP4, GROUP6],
  ], { deadline: 60_000 });
  await host.printed(/listening/);
  // What the host hears it says again to the group, where socat listens as well.
  for (
    const [group, to, join] of [
      [
        GROUP4,
        `UDP4-DATAGRAM:${GROUP4}:7777`,
        `bind=:7779,ip-add-membership=${GROUP4}:tap0,ip-multicast-if=10.87.0.1`,
      ],
      [GROUP6, `UDP6-DATAGRAM:[${GROUP6}]:7777`, `bind=[::]:7779,ipv6-join-group=[${GROUP6}]:tap0`],
    ] as const
  ) {
    await using both = namespace.spawn("socat", ["-", `${to},${join}`], { input: "piped", deadline: 60_000 });
    // Again and again: the first may be lost while a link is new.
    const again = setInterval(() => void both.write("hello\n").catch(() => {}), 200);
    try {
      await both.printed(/^hello\s* back/m);
    } finally {
      clearInterval(again);
    }
    await host.printed(new RegExp(`^hello\\s* to ${group.replaceAll(".", "\\.")}$`, "m"));
  }
});
