import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";

const HOST = "10.81.0.2";
const KERNEL = "10.81.0.1";
const ARGS = ["--device", "tap:tap0", "--address", `${HOST}/24`];

/** A namespace with a TAP, whose kernel has {@link KERNEL}. */
async function home(): Promise<Namespace> {
  const namespace = await Namespace.create();
  await namespace.tap("tap0", { addresses: [`${KERNEL}/24`] });
  return namespace;
}

Deno.test("ping.ts prints the round trips to the kernel, and fails when nobody answers", async () => {
  await requireTools("ip");
  await using namespace = await home();
  const run = (...args: string[]) =>
    namespace.deno("examples/ping.ts", [...ARGS, ...args], { deadline: 90_000 }).ended;
  const there = await run("--count", "3", "--interval", "10", "--size", "1000", KERNEL);
  assert.equal(there.code, 0, there.stderr);
  assert.equal(
    there.stdout.match(/^1000 bytes from 10\.81\.0\.1: seq=\d ttl=64 time=[\d.]+ ms$/gm)?.length,
    3,
  );
  assert.match(there.stdout, /^3 sent, 3 received, 0% lost$/m);
  // In fragments. Those of the first request are more than wait for one neighbour.
  const large = await run("--count", "3", "--interval", "10", "--timeout", "3000", "--size", "60000", KERNEL);
  const answers = large.stdout.match(/^60000 bytes from 10\.81\.0\.1: seq=\d ttl=64/gm)?.length ?? 0;
  assert.ok(answers >= 2, large.stdout);
  const gone = await run("--count", "1", "--timeout", "50", "10.81.0.99");
  assert.equal(gone.code, 1);
  assert.match(gone.stdout, /no answer/);
  const unreachable = await run("--count", "1", "192.0.2.1");
  assert.equal(unreachable.code, 1);
  assert.match(unreachable.stderr, /192\.0\.2\.1/);
  for (const wrong of [[], ["a..b"], ["--size", "65508", KERNEL]]) {
    const { code, stderr } = await run(...wrong);
    assert.equal(code, 2);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
  }
});

Deno.test("arp.ts finds the kernel, and no one else", async () => {
  await requireTools("ip");
  await using namespace = await home();
  const result = await namespace.deno("examples/arp.ts", [...ARGS, "--timeout", "2000", "10.81.0.0/28"], {
    deadline: 90_000,
  }).ended;
  assert.equal(result.code, 0, result.stderr);
  const mac = /link\/ether ([0-9a-f:]{17})/.exec(await namespace.ip("link", "show", "tap0"))?.[1];
  assert.ok(result.stdout.includes(`${KERNEL} is at ${mac}\n`), result.stdout);
  assert.match(result.stdout, /^1 of 16 addresses answered$/m);
  const own = await namespace.deno("examples/arp.ts", [...ARGS, "--timeout", "2000"], { deadline: 90_000 })
    .ended;
  assert.match(own.stdout, /^1 of 256 addresses answered$/m, own.stderr);
});

Deno.test("curl.ts fetches from a server on the kernel's stack", async () => {
  await requireTools("ip");
  await using namespace = await home();
  const code = `Deno.serve({ port: 8000, hostname: "${KERNEL}" }, async (r) =>
    r.method === "POST" ? new Response(await r.bytes()) : new Response("x".repeat(3_000_000)))`;
  await using server = namespace.spawn(Deno.execPath(), ["eval", code], { deadline: 60_000 });
  await server.printed(/Listening/);
  const run = (...args: string[]) =>
    namespace.deno("examples/curl.ts", [...ARGS, ...args], { deadline: 90_000 }).ended;
  const fetched = await run(`http://${KERNEL}:8000/`);
  assert.equal(fetched.code, 0, fetched.stderr);
  assert.equal(fetched.stdout, "x".repeat(3_000_000));
  const posted = await run("--data", "some text", `${KERNEL}:8000/`);
  assert.equal(posted.stdout, "some text");
  const refused = await run(`http://${KERNEL}:1/`);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /refused/i);
  assert.equal(refused.stderr.trim().split("\n").length, 1);
});

Deno.test("debug.ts prints what passes, one line a frame", async () => {
  await requireTools("ip", "ping");
  await using namespace = await home();
  await using program = namespace.deno("examples/debug.ts", ARGS, { deadline: 90_000 });
  await program.printed(/Listening/);
  await namespace.run("ping", ["-c", "1", "-W", "10", HOST]);
  await program.printed(/in +ARP, who has 10\.81\.0\.2, tell 10\.81\.0\.1/);
  await program.printed(/out ARP, 10\.81\.0\.2 is at/);
  await program.printed(/in +10\.81\.0\.1 > 10\.81\.0\.2: ICMP echo request, id \d+, seq 1, length 64/);
  await program.printed(/out 10\.81\.0\.2 > 10\.81\.0\.1: ICMP echo reply, id \d+, seq 1, length 64/);
  await program.printed(/out \S+ > ff02::\S+: ICMPv6 (who has|router solicitation)/);
  const { code } = await program.stop("SIGTERM");
  assert.equal(code, 143);
});
