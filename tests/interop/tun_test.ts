import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { randomFile } from "./host.ts";

const KERNEL = "10.83.0.1", KERNEL6 = "fd00:83::1", HOST = "10.83.0.2", HOST6 = "fd00:83::2";

/** A namespace whose kernel has both addresses on a TUN device. */
async function home(mtu = 1500): Promise<Namespace> {
  const namespace = await Namespace.create();
  for (const which of ["all", "default"]) {
    await namespace.sysctl(`net.ipv6.conf.${which}.disable_ipv6`, "0");
  }
  await namespace.tap("tun0", { addresses: [`${KERNEL}/24`], mtu, mode: "tun" });
  await namespace.ip("address", "add", `${KERNEL6}/64`, "dev", "tun0", "nodad");
  return namespace;
}

const OPTIONS = ["--device", "tun:tun0", "--address", `${HOST}/24`, "--address", `${HOST6}/64`];

for (const mtu of [1500, 65535]) {
  Deno.test(`A host on a TUN device with an MTU of ${mtu} answers echoes of all sizes, over both versions`, async () => {
    await requireTools("ip", "ping");
    await using namespace = await home(mtu);
    await using program = namespace.deno("examples/services.ts", OPTIONS, { deadline: 120_000 });
    await program.printed(/listening/i);
    const ping = async (address: string, size: number, ...more: string[]) => {
      const args = ["-q", "-c", "3", "-i", "0.05", "-W", "10", "-s", String(size), ...more, address];
      const { stdout } = await namespace.attempt("ping", args, { deadline: 50_000 });
      assert.match(stdout, / 3 received/, `${address}, ${size} bytes: ${stdout}`);
    };
    // The kernel sends once its side has come up; until then what it would send is lost.
    for (const address of [HOST, HOST6]) {
      await namespace.run("ping", ["-q", "-c", "1", "-w", "20", address], { deadline: 90_000 });
    }
    for (const [address, header, most] of [[HOST, 28, 65507], [HOST6, 48, 65487]] as const) {
      await ping(address, 0);
      await ping(address, 56);
      await ping(address, mtu - header, "-M", "do");
      await ping(address, most);
    }
    // Nothing was looked for at the link: there is nobody to ask.
    assert.equal((await namespace.ip("neighbour", "show", "dev", "tun0")).trim(), "");
  });
}

Deno.test("A host on a TUN device serves HTTP, in bulk, over both versions, and UDP", async () => {
  await requireTools("ip", "curl", "nc");
  await using namespace = await home();
  await using program = namespace.deno("examples/http_echo.ts", OPTIONS, { deadline: 180_000 });
  await program.printed(/listening/i);
  for (const address of [HOST, `[${HOST6}]`]) {
    for (const size of [0, 1, 30_000_000]) {
      await using file = await randomFile(size);
      await using back = await randomFile(0);
      const args = ["-gsS", "--fail", "--max-time", "60", "--data-binary", `@${file.path}`, "-o", back.path];
      await namespace.run("curl", [...args, `http://${address}/`], { deadline: 70_000 });
      await namespace.run("cmp", [file.path, back.path]);
    }
  }
  // A port without a listener is told at once, over both versions.
  for (const address of [HOST, HOST6]) {
    const refused = await namespace.attempt("nc", ["-n", "-v", "-w", "5", address, "9"]);
    assert.match(refused.stderr, /refused/);
  }
  await program.stop();
  await using services = namespace.deno("examples/services.ts", OPTIONS, { deadline: 120_000 });
  await services.printed(/listening/i);
  for (const address of [HOST, HOST6]) {
    const text = "x".repeat(1400);
    const { stdout } = await namespace.run("nc", ["-n", "-u", "-w", "5", "-W", "1", address, "7"], {
      input: text,
    });
    assert.equal(stdout, text);
  }
});

Deno.test("ping.ts and arp.ts know what a TUN device is", async () => {
  await requireTools("ip");
  await using namespace = await home();
  for (const [address, own] of [[KERNEL, `${HOST}/24`], [KERNEL6, `${HOST6}/64`]] as const) {
    const args = ["--device", "tun:tun0", "--address", own];
    const { stdout } = await namespace.deno("examples/ping.ts", [...args, "--count", "3", address]).ended;
    assert.match(stdout, /3 received/);
  }
  const { code, stderr } = await namespace.deno("examples/arp.ts", OPTIONS).ended;
  assert.match(stderr, /tun0 has no link addresses/);
  assert.equal(code, 2);
});

Deno.test("debug.ts prints the packets of a TUN device", async () => {
  await requireTools("ip", "ping");
  await using namespace = await home();
  await using program = namespace.deno("examples/debug.ts", OPTIONS);
  await program.printed(/listening/i);
  await namespace.run("ping", ["-q", "-c", "1", "-W", "10", HOST]);
  await namespace.run("ping", ["-q", "-c", "1", "-W", "10", HOST6]);
  await program.printed(/in {2}10\.83\.0\.1 > 10\.83\.0\.2: ICMP echo request/);
  await program.printed(/out fd00:83::2 > fd00:83::1: ICMPv6 echo reply/);
});

Deno.test("router.ts routes between a TUN and a TAP device", async () => {
  await requireTools("ip", "ping", "iperf3");
  await using namespace = await home();
  await using far = await Namespace.create();
  await namespace.tap("tap0");
  await using program = namespace.deno("examples/router.ts", [
    ...OPTIONS,
    ...["--to", "tap:tap0", "--to-address", "10.84.0.1/24"],
  ], { deadline: 120_000 });
  await program.printed(/Listening/);
  // The program keeps what it has opened, wherever the kernel's side goes.
  await namespace.ip("link", "set", "tap0", "netns", far.name);
  await far.ip("link", "set", "tap0", "up");
  await far.ip("address", "add", "10.84.0.2/24", "dev", "tap0");
  await far.ip("route", "add", "default", "via", "10.84.0.1");
  await namespace.ip("route", "add", "10.84.0.0/24", "dev", "tun0");
  await using server = far.spawn("iperf3", ["-s", "--forceflush"], { deadline: 120_000 });
  await server.printed(/listening/);
  await namespace.run("ping", ["-q", "-c", "2", "-W", "10", "10.84.0.2"]);
  for (const how of [[], ["-R"], ["-u", "-b", "20M", "-l", "1200"]]) {
    const { stdout } = await namespace.run("iperf3", ["-J", "-c", "10.84.0.2", "-t", "1", ...how], {
      deadline: 90_000,
    });
    const { end } = JSON.parse(stdout);
    const received = end.sum_received ?? end.sum;
    assert.ok(received.bytes > 100_000, `${how}: ${received.bytes} bytes`);
  }
});
