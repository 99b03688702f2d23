import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";
import { requireTools } from "../harness/tools.ts";

const OWN = { v4: "10.95.0.1", v6: "fd00:95::1" };
const HOSTS = [{ v4: "10.95.0.2", v6: "fd00:95::2" }, { v4: "10.95.0.3", v6: "fd00:95::3" }] as const;

/** Kernels in namespaces of their own, and `examples/bridge.ts` in another one, which bridges their TAPs. */
class Lan implements AsyncDisposable {
  private constructor(
    readonly hosts: readonly Namespace[],
    readonly home: Namespace,
    readonly program: Process,
  ) {}

  static async start(args: readonly string[] = [], mtus: readonly number[] = [1500, 1500]): Promise<Lan> {
    await using made = new AsyncDisposableStack();
    const hosts: Namespace[] = [];
    for (const _ of mtus) hosts.push(made.use(await Namespace.create()));
    const home = made.use(await Namespace.create());
    const names = mtus.map((_, index) => `port${index}`);
    for (const [index, mtu] of mtus.entries()) await home.tap(names[index]!, { mtu });
    const program = home.deno("examples/bridge.ts", [
      ...["--device", `bridge:${names.map((name) => `tap:${name}`).join()}`, "--interval", "1"],
      ...["--address", `${OWN.v4}/24`, "--address", `${OWN.v6}/64`, ...args],
    ], { deadline: 180_000 });
    await program.printed(/Listening/);
    // The program keeps what it has opened, wherever the kernel's side goes.
    for (const [index, host] of hosts.entries()) {
      const name = names[index]!;
      await host.sysctl("net.ipv6.conf.default.disable_ipv6", "0");
      await home.ip("link", "set", name, "netns", host.name);
      await host.ip("link", "set", name, "up");
      await host.ip("address", "add", `${HOSTS[index]!.v4}/24`, "dev", name);
      await host.ip("address", "add", `${HOSTS[index]!.v6}/64`, "dev", name, "nodad");
    }
    made.move();
    return new Lan(hosts, home, program);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop();
    for (const one of [...this.hosts, this.home]) await one[Symbol.asyncDispose]();
  }
}

/** Pings until the other side answers: links and addresses take a second or two to come up. */
async function reach(from: Namespace, address: string): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) {
    if ((await from.attempt("ping", ["-q", "-c", "1", "-W", "1", address])).code === 0) return;
  }
  assert.fail(`${address} does not answer`);
}

Deno.test("bridge.ts joins two networks: ping and iperf3 pass, over both versions and both ways", async () => {
  await requireTools("ip", "ping", "iperf3");
  await using lan = await Lan.start();
  const [left, right] = lan.hosts as [Namespace, Namespace];
  await using server = right.spawn("iperf3", ["-s", "--forceflush"], { deadline: 120_000 });
  await server.printed(/listening/);
  for (const address of [HOSTS[1].v4, HOSTS[1].v6]) {
    await reach(left, address);
    const { stdout } = await left.run("ping", [
      "-q",
      "-c",
      "20",
      "-i",
      "0.01",
      "-W",
      "5",
      "-s",
      "1400",
      address,
    ]);
    assert.match(stdout, /20 received/);
    for (const how of [[], ["-R"], ["-u", "-b", "20M", "-l", "1200"]]) {
      const { stdout } = await left.run("iperf3", ["-J", "-c", address, "-t", "1", ...how], {
        deadline: 90_000,
      });
      const { end } = JSON.parse(stdout);
      const received = end.sum_received ?? end.sum;
      assert.ok(received.bytes > 100_000, `${address} ${how}: ${received.bytes} bytes`);
    }
  }
  // The two are neighbours: nobody is between them who counts hops.
  const { stdout } = await left.run("ping", ["-c", "1", "-t", "1", "-W", "5", HOSTS[1].v4]);
  assert.match(stdout, /ttl=64/);
  await lan.program.printed(/port0 \d+ in.*port0 has .*port1 has/);
});

Deno.test("bridge.ts is a host on the networks that it joins", async () => {
  await requireTools("ip", "ping", "curl");
  await using lan = await Lan.start();
  for (const [index, host] of lan.hosts.entries()) {
    for (const address of [OWN.v4, OWN.v6]) {
      await reach(host, address);
      const url = address.includes(":") ? `http://[${address}]/` : `http://${address}/`;
      const { stdout } = await host.run("curl", ["-gsS", "--max-time", "20", url]);
      assert.match(stdout, new RegExp(`port${index} has`));
    }
  }
});

Deno.test("bridge.ts keeps isolated ports apart", async () => {
  await requireTools("ip", "ping");
  await using lan = await Lan.start(["--isolate", "port0,port1"]);
  for (const host of lan.hosts) await reach(host, OWN.v4);
  const { code } = await lan.hosts[0]!.attempt("ping", ["-q", "-c", "2", "-W", "1", HOSTS[1].v4]);
  assert.notEqual(code, 0);
});

Deno.test("bridge.ts joins networks of MTU 9000, and drops what is too long for a smaller one", async () => {
  await requireTools("ip", "ping");
  const ping = (lan: Lan, bytes: number, wait: string) =>
    lan.hosts[0]!.attempt("ping", [
      "-q",
      "-c",
      "1",
      "-W",
      wait,
      "-M",
      "do",
      "-s",
      `${bytes - 28}`,
      HOSTS[1].v4,
    ]);
  {
    await using lan = await Lan.start([], [9000, 9000]);
    await reach(lan.hosts[0]!, HOSTS[1].v4);
    assert.equal((await ping(lan, 9000, "10")).code, 0);
  }
  await using lan = await Lan.start([], [9000, 1500]);
  await reach(lan.hosts[0]!, HOSTS[1].v4);
  assert.equal((await ping(lan, 1500, "10")).code, 0);
  assert.notEqual((await ping(lan, 1600, "1")).code, 0);
});
