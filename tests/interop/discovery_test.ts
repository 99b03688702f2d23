import assert from "node:assert/strict";
import { requireTools } from "../harness/tools.ts";
import { eui64, HOST, Ipv6Host } from "./ipv6_host.ts";

const ABSENT = "fd00:80::dead";

Deno.test("ndisc6 finds a host on a TAP at all of its addresses, and nobody at others", async () => {
  await requireTools("ip", "ndisc6", "ping");
  await using host = await Ipv6Host.start("--address", `${HOST}/64`);
  const { namespace } = host;
  await host.reach(HOST);
  const mac = await host.mac();
  const text = mac.map((byte) => byte.toString(16).padStart(2, "0")).join(":").toUpperCase();
  for (const address of [HOST, eui64("fe80:", mac)]) {
    const { stdout } = await namespace.run("ndisc6", ["-1", "-q", "-n", "-r", "10", address, "tap0"]);
    assert.equal(stdout.trim(), text, address);
  }
  // Exactly one answer: who asks twice is told twice, and no more.
  const all = await namespace.run("ndisc6", ["-m", "-n", "-r", "1", "-w", "500", HOST, "tap0"]);
  assert.equal(all.stdout.match(/Target link-layer address/g)?.length, 1, all.stdout);
  assert.match(all.stdout, new RegExp(`from ${HOST}\\b`));
  const nobody = await namespace.attempt("ndisc6", ["-n", "-r", "1", "-w", "300", ABSENT, "tap0"]);
  assert.notEqual(nobody.code, 0, nobody.stdout);
  // It is no router, and does not say that it is one.
  const router = await namespace.attempt("rdisc6", ["-n", "-r", "1", "-w", "300", "tap0"]);
  assert.notEqual(router.code, 0, router.stdout);
});

Deno.test("nmap finds a host on a TAP by neighbour discovery, echo, SYN and datagram, and nobody beside it", async () => {
  await requireTools("ip", "nmap", "ping");
  await using host = await Ipv6Host.start("--address", `${HOST}/64`);
  const { namespace } = host;
  await host.reach(HOST);
  const found = async (...args: string[]) => {
    const { stdout } = await namespace.run("nmap", ["-6", "-sn", "-n", "--reason", "-oG", "-", ...args]);
    return [...stdout.matchAll(/^Host: (\S+) .*Status: Up$/gm)].map(([, address]) => address);
  };
  assert.deepEqual(await found(HOST, ABSENT), [HOST]);
  for (const probe of ["-PE", "-PS80", "-PA80", "-PU9"]) {
    assert.deepEqual(await found("--disable-arp-ping", probe, HOST), [HOST], probe);
  }
  const ports = await namespace.run("nmap", ["-6", "-n", "-oG", "-", "-p", "79-81", HOST]);
  assert.match(ports.stdout, /79\/closed\/tcp.*80\/open\/tcp.*81\/closed\/tcp/);
});
