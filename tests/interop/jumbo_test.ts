import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";

for (const mtu of [1500, 9000, 9216, 65521]) {
  Deno.test(`Echoes of all sizes pass a link with an MTU of ${mtu}`, async () => {
    await requireTools("ip", "ping");
    await using namespace = await Namespace.create();
    for (const which of ["all", "default"]) {
      await namespace.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, "0");
    }
    await namespace.tap("tap0", { addresses: ["10.88.0.1/24"], mtu });
    await namespace.ip("address", "add", "fd88::1/64", "dev", "tap0", "nodad");
    const options = ["--device", "tap:tap0", "--address", "10.88.0.2/24", "--address", "fd88::2/64"];
    const host = namespace.deno("examples/services.ts", options, { deadline: 60_000 });
    await host.printed(/listening/i);
    const ping = async (address: string, size: number, ...more: string[]) => {
      const args = ["-c", "3", "-i", "0.1", "-W", "10", "-s", String(size), ...more, address];
      const { stdout } = await namespace.attempt("ping", args, { deadline: 50_000 });
      assert.match(stdout, / 3 received/, stdout);
    };
    // The first makes sure that both are there: the address of ours is used when nobody has objected to it.
    await ping("10.88.0.2", 56);
    await namespace.run("ping", ["-c", "1", "-w", "20", "fd88::2"], { deadline: 90_000 });
    await ping("10.88.0.2", mtu - 28, "-M", "do");
    await ping("fd88::2", mtu - 48, "-M", "do");
    await ping("10.88.0.2", 65507);
    await ping("fd88::2", 65487);
  });
}
