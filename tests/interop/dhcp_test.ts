import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";
import { requireTools } from "../harness/tools.ts";
import { told } from "./configured_host.ts";

/** A namespace whose kernel has a TAP, with dnsmasq as DHCP server on it. */
async function served(namespace: Namespace, directory: string, ...args: string[]): Promise<Process> {
  await namespace.tap("tap0", { addresses: ["10.87.0.1/24"] });
  const server = namespace.spawn("dnsmasq", [
    ...["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null", "--port=0"],
    ...[
      "--user=root",
      `--pid-file=${directory}/pid`,
      `--dhcp-leasefile=${directory}/leases`,
      "--interface=tap0",
    ],
    ...args,
  ]);
  await server.printed(/DHCP/);
  return server;
}

Deno.test("A host that is given no addresses joins the network of dnsmasq, and renews its lease", async () => {
  await requireTools("ip", "ping", "dnsmasq", "curl");
  const directory = await Deno.makeTempDir();
  try {
    await using namespace = await Namespace.create();
    const server = await served(
      namespace,
      directory,
      "--dhcp-range=10.87.0.50,10.87.0.60,2m",
      "--dhcp-option=option:T1,3",
      "--dhcp-option=option:T2,90",
      "--dhcp-option=option:dns-server,10.87.0.1",
      "--dhcp-option=option:domain-search,lan.example,example",
      "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.87.0.1,10.99.0.0/16,10.87.0.1",
    );
    await using program = namespace.deno("examples/http_echo.ts", ["--device", "tap:tap0"], {
      deadline: 120_000,
    });
    await program.printed(/listening on http:\/\/10\.87\.0\.5/i);
    const [, address] = /http:\/\/(10\.87\.0\.[0-9]+)/.exec(program.stdout)!;
    await namespace.run("ping", ["-q", "-c", "2", "-W", "5", address!]);
    await namespace.run("curl", ["-gsS", "--fail", "--max-time", "20", `http://${address}/`]);
    // The offer's acknowledgement, and at least two more.
    await server.printed(/(DHCPACK[^]*){3}/, 60_000);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("A host takes routes, MTU, servers of names and time, and search domains of dnsmasq", async () => {
  await requireTools("ip", "dnsmasq");
  const directory = await Deno.makeTempDir();
  try {
    await using namespace = await Namespace.create();
    await served(
      namespace,
      directory,
      "--dhcp-range=10.87.0.50,10.87.0.60,2m",
      "--dhcp-option=option:dns-server,10.87.0.53,10.87.0.54",
      "--dhcp-option=option:ntp-server,10.87.0.123",
      "--dhcp-option=option:domain-search,lan.example,example",
      "--dhcp-option=option:mtu,1400",
      "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.87.0.1,10.99.0.0/16,10.87.0.7",
    );
    await using program = namespace.deno("tests/interop/configured_host.ts", ["tap0"], { deadline: 120_000 });
    const state = await told(program, ({ v4, routes }) => v4.length > 0 && routes.length > 1);
    assert.match(state.v4.join(), /^10\.87\.0\.[56][0-9]\/24$/);
    assert.deepEqual(state.routes.map((route) => route.split(" dev ")[0]).sort(), [
      "0.0.0.0/0 via 10.87.0.1",
      "10.99.0.0/16 via 10.87.0.7",
    ]);
    assert.deepEqual(state.nameServers, ["10.87.0.53", "10.87.0.54"]);
    assert.deepEqual(state.timeServers, ["10.87.0.123"]);
    assert.deepEqual(state.searchDomains, ["lan.example", "example"]);
    assert.equal(state.mtuV4, 1400);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
