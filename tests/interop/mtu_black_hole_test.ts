import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { HOST, Host, randomFile } from "./host.ts";

/** Packets between the two routers. */
const MTU = 1300;

Deno.test("A host sends through a router that drops large packets and never says so", async () => {
  await requireTools("ip", "curl");
  // Our host's kernel is the first router; behind it are a second one and a host.
  await using host = await Host.start("examples/http_echo.ts");
  const near = host.namespace;
  await using far = await Namespace.create();
  await using end = await Namespace.create();
  await near.veth("far", "10.95.0.1/24", far, "near", "10.95.0.2/24");
  await far.veth("end", "10.96.0.1/24", end, "far", "10.96.0.2/24");
  await near.ip("link", "set", "far", "mtu", String(MTU));
  await far.ip("link", "set", "near", "mtu", String(MTU));
  for (const router of [near, far]) {
    await router.sysctl("net.ipv4.ip_forward", "1");
    // ICMP of the router itself finds no way out.
    await router.ip("rule", "add", "pref", "10", "iif", "lo", "ipproto", "icmp", "blackhole");
  }
  await near.ip("route", "add", "10.96.0.0/24", "via", "10.95.0.2");
  await far.ip("route", "add", "10.80.0.0/24", "via", "10.95.0.1");
  await end.ip("route", "add", "default", "via", "10.96.0.1");
  await end.sysctl("net.ipv4.tcp_mtu_probing", "1");

  await using file = await randomFile(300_000);
  const back = await Deno.makeTempFile();
  try {
    // Both ends are in the hole: curl's kernel for the request, our host for the response.
    await end.run("curl", [
      ...["-sS", "--fail", "--max-time", "100"],
      ...["--data-binary", `@${file.path}`, "-o", back, `http://${HOST}/`],
    ], { deadline: 110_000 });
    assert.ok(Buffer.compare(await Deno.readFile(back), await Deno.readFile(file.path)) === 0);
  } finally {
    await Deno.remove(back);
  }
  for (const router of [near, far]) {
    // What needed to be fragmented, and was not to be.
    const [names, values] = (await router.run("grep", ["^Ip:", "/proc/net/snmp"])).stdout.trim().split("\n");
    const column = names!.split(" ").indexOf("FragFails");
    assert.ok(Number(values!.split(" ")[column]) > 0, values);
  }
});
