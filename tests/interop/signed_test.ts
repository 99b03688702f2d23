import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";
import { requireTools } from "../harness/tools.ts";

const KERNEL4 = "10.86.0.1", OURS4 = "10.86.0.2";
const KERNEL6 = "fd00:86::1", OURS6 = "fd00:86::2";
const KEY = "correct-horse", OTHER = "battery-staple";
const PROGRAM = "tests/harness/programs/signed.ts";
/** More than a window, so that many segments are under way. */
const BYTES = 300_000;
/** EAGAIN of a socket with a time-out, EINPROGRESS of its connect. */
const TIMED_OUT = [11, 115];

async function setUp(): Promise<{ namespace: Namespace; host: Process }> {
  await requireTools("ip", "ping");
  const namespace = await Namespace.create();
  try {
    // A machine may have it switched off.
    await namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "0");
    await namespace.tap("tap0", { addresses: [`${KERNEL4}/24`] });
    await namespace.ip("address", "add", `${KERNEL6}/64`, "dev", "tap0", "nodad");
    const args = ["tap0", `${OURS4}/24`, `${OURS6}/64`, KEY, KERNEL4, KERNEL6];
    const host = namespace.deno("tests/interop/signed_host.ts", args, { input: "piped", deadline: 120_000 });
    await host.printed(/listening/);
    // Its IPv6 address is its own once it answers.
    await namespace.run("ping", ["-c", "1", "-w", "20", OURS6]);
    return { namespace, host };
  } catch (error) {
    await namespace[Symbol.asyncDispose]();
    throw error;
  }
}

Deno.test("Tcp takes signed connections of the kernel, and drops those without or with another key", async () => {
  const { namespace, host } = await setUp();
  await using _ = namespace;
  const ask = async (address: string, key: string) => {
    const program = namespace.deno(PROGRAM, ["connect", address, "7", key, String(BYTES)], {
      deadline: 60_000,
    });
    return JSON.parse((await program.ended).stdout);
  };
  assert.deepEqual(await ask(OURS4, KEY), { back: BYTES });
  assert.deepEqual(await ask(OURS6, KEY), { back: BYTES });
  await host.write("counters\n");
  await host.printed(/^\{"badSignatures":0,"missingSignatures":0,"unexpectedSignatures":0\}$/m);
  assert(TIMED_OUT.includes((await ask(OURS4, OTHER)).errno));
  assert(TIMED_OUT.includes((await ask(OURS6, "")).errno));
  await host.write("counters\n");
  await host.printed(/^\{"badSignatures":[1-9]\d*,"missingSignatures":[1-9]\d*,"unexpectedSignatures":0\}$/m);
});

Deno.test("Tcp opens signed connections to the kernel, which drops those without or with another key", async () => {
  const { namespace, host } = await setUp();
  await using _ = namespace;
  for (const [kernel, ours, port] of [[KERNEL4, OURS4, 7], [KERNEL6, OURS6, 8]] as const) {
    const server = namespace.deno(PROGRAM, ["serve", kernel, String(port), KEY, ours], { deadline: 60_000 });
    await server.printed(/listening/);
    await host.write(`${kernel} ${port} ${KEY} ${BYTES + port}\n`);
    await host.printed(new RegExp(`^\\{"back":${BYTES + port}\\}$`, "m"));
  }
  await host.write(`${KERNEL4} 7 ${OTHER} 10\n`);
  await host.printed(/^\{"error":"TimedOut"\}$/m);
});
