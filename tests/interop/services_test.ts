import assert from "node:assert/strict";
import { requireTools } from "../harness/tools.ts";
import { HOST, Host, randomFile } from "./host.ts";

const MODULE = "examples/services.ts";

Deno.test("services.ts answers a flood of 10,000 pings without losing one", async () => {
  await requireTools("ip", "ping");
  await using host = await Host.start(MODULE);
  const { stdout } = await host.namespace.run("ping", ["-q", "-f", "-c", "10000", HOST], {
    deadline: 60_000,
  });
  assert.match(stdout, /10000 packets transmitted, 10000 received, 0% packet loss/);
  // Up to the largest IPv4 datagram, in fragments, is for a later issue: what fits one frame must come back whole.
  await host.namespace.run("ping", ["-q", "-c", "2", "-i", "0.01", "-s", "1472", "-p", "a5", HOST]);
});

Deno.test("services.ts echoes datagrams to nc -u", async () => {
  await requireTools("ip", "nc");
  await using host = await Host.start(MODULE);
  await using client = host.namespace.spawn("nc", ["-u", HOST, "7"], { input: "piped" });
  for (const word of ["first", "second", "x".repeat(1400)]) {
    await client.write(`${word}\n`);
    await client.printed(new RegExp(`^${word}$`, "m"));
  }
});

Deno.test("services.ts echoes a stream, and closes after the peer has", async () => {
  await requireTools("ip", "nc");
  await using host = await Host.start(MODULE);
  await using file = await randomFile(3_000_000);
  await using back = await randomFile(0);
  await host.namespace.run("sh", [
    "-c",
    'nc -N -w 20 "$1" 7 <"$2" >"$3" && cmp "$2" "$3"',
    "sh",
    HOST,
    file.path,
    back.path,
  ]);
});

Deno.test("services.ts discards on port 9, and generates characters on port 19", async () => {
  await requireTools("ip", "nc");
  await using host = await Host.start(MODULE);
  await using file = await randomFile(1_000_000);
  const discarded = await host.namespace.run("sh", ["-c", 'nc -N -w 20 "$1" 9 <"$2"', "sh", HOST, file.path]);
  assert.equal(discarded.stdout, "");
  const { stdout } = await host.namespace.run("sh", [
    "-c",
    'nc -w 20 "$1" 19 </dev/null | head -c 7400',
    "sh",
    HOST,
  ]);
  const lines = stdout.split("\r\n").slice(0, -1);
  assert.ok(lines.length >= 100);
  // RFC 864: 72 of the 95 printing characters a line, each line one character further.
  lines.slice(1).forEach((line, index) => {
    assert.equal(line.length, 72);
    assert.equal(line.slice(0, 71), lines[index]?.slice(1));
  });
});

Deno.test("services.ts refuses a port that nobody listens on, and says so for datagrams", async () => {
  await requireTools("ip", "nc");
  await using host = await Host.start(MODULE);
  const stream = await host.namespace.attempt("nc", ["-v", "-w", "3", HOST, "4444"]);
  assert.equal(stream.code, 1);
  assert.match(stream.stderr, /refused/);
  // An ICMP error reaches nc as a failure of its next write.
  await using client = host.namespace.spawn("nc", ["-u", "-v", HOST, "4444"], { input: "piped" });
  await client.write("one\n");
  await host.namespace.run("ping", ["-c", "1", "-W", "10", HOST]);
  await client.write("two\n").catch(() => {});
  const { code } = await client.ended;
  assert.equal(code, 1);
});

Deno.test("services.ts is seen by arping, and by the kernel as a reachable neighbour", async () => {
  await requireTools("ip", "arping", "ping");
  await using host = await Host.start(MODULE);
  const { stdout } = await host.namespace.run("arping", ["-c", "2", "-i", "tap0", HOST]);
  assert.match(stdout, /0% unanswered/);
  await host.namespace.run("ping", ["-c", "1", "-W", "10", HOST]);
  assert.match(await host.namespace.ip("neighbour", "show", HOST), /REACHABLE/);
});
