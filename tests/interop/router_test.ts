import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";
import { requireTools } from "../harness/tools.ts";

const LEFT = { v4: "10.90.0.2", v6: "fd00:90::2" }, RIGHT = { v4: "10.91.0.2", v6: "fd00:91::2" };
/** Our addresses. */
const NEAR = { v4: "10.90.0.1", v6: "fd00:90::1" }, FAR = { v4: "10.91.0.1", v6: "fd00:91::1" };

/** Two hosts in namespaces of their own, and `examples/router.ts` in a third one between their TAPs. */
class Triple implements AsyncDisposable {
  private constructor(
    readonly left: Namespace,
    readonly right: Namespace,
    readonly middle: Namespace,
    readonly program: Process,
  ) {}

  /** @param args Of the router; with `--advertise`, hosts are given no addresses. */
  static async start(...args: string[]): Promise<Triple> {
    await using made = new AsyncDisposableStack();
    const [left, right, middle] = [
      made.use(await Namespace.create()),
      made.use(await Namespace.create()),
      made.use(await Namespace.create()),
    ];
    for (const name of ["left", "right"]) await middle.tap(name);
    const program = middle.deno("examples/router.ts", [
      ...["--device", "tap:left", "--address", `${NEAR.v4}/24`, "--address", `${NEAR.v6}/64`],
      ...["--to", "tap:right", "--to-address", `${FAR.v4}/24,${FAR.v6}/64`, "--interval", "1", ...args],
    ], { deadline: 180_000 });
    await program.printed(/Listening/);
    // The program keeps what it has opened, wherever the kernel's side goes.
    const told = args.includes("--advertise");
    await place(middle, "left", left, told ? null : LEFT, NEAR);
    await place(middle, "right", right, told ? null : RIGHT, FAR);
    made.move();
    return new Triple(left, right, middle, program);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop();
    for (const one of [this.left, this.right, this.middle]) await one[Symbol.asyncDispose]();
  }
}

/** Gives an end of the router to a host, with its addresses and routes; without `own` to one that finds them by itself. */
async function place(
  from: Namespace,
  name: string,
  to: Namespace,
  own: typeof LEFT | null,
  router: typeof LEFT,
): Promise<void> {
  await to.sysctl("net.ipv6.conf.default.disable_ipv6", "0");
  await from.ip("link", "set", name, "netns", to.name);
  if (own === null) await to.sysctl(`net.ipv6.conf.${name}.accept_ra`, "1");
  await to.ip("link", "set", name, "up");
  if (own === null) return;
  await to.ip("address", "add", `${own.v4}/24`, "dev", name);
  await to.ip("address", "add", `${own.v6}/64`, "dev", name, "nodad");
  await to.ip("route", "add", "default", "via", router.v4);
  await to.ip("-6", "route", "add", "default", "via", router.v6);
}

/** Pings until the other side answers: IPv6 addresses are used a second or two after a start. */
async function reach(from: Namespace, address: string): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) {
    if ((await from.attempt("ping", ["-q", "-c", "1", "-W", "1", address])).code === 0) return;
  }
  assert.fail(`${address} does not answer`);
}

Deno.test("router.ts carries TCP and UDP between two networks, over both versions and both ways", async () => {
  await requireTools("ip", "ping", "iperf3");
  await using triple = await Triple.start();
  const { left, right, program } = triple;
  await using server = right.spawn("iperf3", ["-s", "--forceflush"], { deadline: 120_000 });
  await server.printed(/listening/);
  for (const address of [RIGHT.v4, RIGHT.v6]) {
    await reach(left, address);
    for (const how of [[], ["-R"], ["-u", "-b", "20M", "-l", "1200"]]) {
      const { stdout } = await left.run("iperf3", ["-J", "-c", address, "-t", "1", ...how], {
        deadline: 90_000,
      });
      const { end } = JSON.parse(stdout);
      const received = end.sum_received ?? end.sum;
      assert.ok(received.bytes > 100_000, `${address} ${how}: ${received.bytes} bytes`);
    }
  }
  await program.printed(/IPv4 \d+ forwarded.*; IPv6 \d+ forwarded/);
});

Deno.test("traceroute names router.ts, over both versions and with every kind of probe", async () => {
  await requireTools("ip", "ping", "traceroute");
  await using triple = await Triple.start();
  for (const [near, far] of [[NEAR.v4, RIGHT.v4], [NEAR.v6, RIGHT.v6]] as const) {
    await reach(triple.left, far);
    for (const kind of ["-U", "-I", "-T"]) {
      const { stdout } = await triple.left.run("traceroute", [
        "-n",
        kind,
        "-q",
        "1",
        "-m",
        "4",
        "-w",
        "5",
        far,
      ], {
        deadline: 90_000,
      });
      const hops = stdout.trim().split("\n").slice(1).map((line) => line.trim().split(/\s+/)[1]);
      assert.deepEqual(hops, [near, far], `${kind}: ${stdout}`);
    }
  }
});

Deno.test("router.ts tells its hosts the MTU of a smaller link, so that nothing vanishes there", async () => {
  await requireTools("ip", "ping", "iperf3");
  await using triple = await Triple.start("--to-mtu", "1300");
  const { left, right } = triple;
  await using server = right.spawn("iperf3", ["-s", "--forceflush"], { deadline: 120_000 });
  await server.printed(/listening/);
  for (const address of [RIGHT.v4, RIGHT.v6]) {
    await reach(left, address);
    // Segments of 1,500 bytes are offered, since both ends have links that take them.
    const { stdout } = await left.run("iperf3", ["-J", "-c", address, "-n", "3M"], { deadline: 60_000 });
    assert.equal(JSON.parse(stdout).end.sum_sent.bytes >= 3 << 20, true);
    assert.match(await left.ip("route", "get", address), /mtu 1300/);
    // What must not be cut is refused once, and the size that is told gets through.
    const size = (bytes: number) => String(bytes - (address === RIGHT.v4 ? 28 : 48));
    const ping = (bytes: number, wait: string) =>
      left.attempt("ping", ["-q", "-c", "1", "-W", wait, "-M", "do", "-s", size(bytes), address]);
    assert.equal((await ping(1300, "10")).code, 0);
    assert.notEqual((await ping(1301, "1")).code, 0);
  }
  // Over IPv4 a packet that may be cut is cut by the router.
  const whole = await left.run("ping", ["-q", "-c", "2", "-W", "5", "-M", "dont", "-s", "1400", RIGHT.v4]);
  assert.match(whole.stdout, / 0% packet loss/);
});

Deno.test("router.ts says why packets go no further", async () => {
  await requireTools("ip", "nc", "ping");
  await using triple = await Triple.start("--reject", "81");
  const { left } = triple;
  for (const [address, nowhere] of [[RIGHT.v4, "192.0.2.1"], [RIGHT.v6, "2001:db8::1"]] as const) {
    await reach(left, address);
    const { stdout } = await left.attempt("ping", ["-n", "-c", "1", "-W", "5", nowhere]);
    assert.match(stdout, /Destination Net Unreachable|No route/);
    const hidden = await left.attempt("nc", ["-n", "-v", "-w", "5", address, "81"]);
    assert.match(hidden.stderr, /No route to host|Permission denied|prohibited/i);
  }
});

Deno.test("router.ts --advertise answers rdisc6, and hosts that are given nothing reach each other through it", async () => {
  await requireTools("ip", "ping", "rdisc6");
  await using triple = await Triple.start("--advertise");
  const { left, right, program } = triple;
  const address = async (host: Namespace, name: string) => {
    for (let i = 0; i < 600; i++) {
      const [link] = JSON.parse(await host.ip("-6", "-json", "address", "show", "dev", name)) as {
        addr_info?: { local: string; scope: string; tentative?: boolean }[];
      }[];
      const own = link?.addr_info?.find(({ scope, tentative }) => scope === "global" && tentative !== true);
      if (own !== undefined) return own.local;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.fail(`No address on ${name}: ${program.stdout}`);
  };
  const [own, other] = [await address(left, "left"), await address(right, "right")];
  assert.match(own, /^fd00:90:/);
  assert.match(other, /^fd00:91:/);
  const { stdout } = await left.run("rdisc6", ["-1", "-n", "-r", "30", "left"]);
  for (
    const line of [
      /Hop limit +: +64 /,
      /Router lifetime +: +180 /,
      /Prefix +: fd00:90::\/64/,
      /On-link +: +Yes/,
      /Autonomous address conf\.: +Yes/,
      /Source link-layer address: 0?[0-9A-F]+:/,
    ]
  ) assert.match(stdout, line);
  await reach(left, other);
  assert.match(await left.ip("-6", "route", "show", "default"), /via fe80:.* proto ra /);
  // A router that ends says so: nobody waits for it.
  await program.stop();
  for (let i = 0; i < 600 && (await left.ip("-6", "route", "show", "default")) !== ""; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(await left.ip("-6", "route", "show", "default"), "");
});
