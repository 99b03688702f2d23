import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";
import { requireTools } from "../harness/tools.ts";

const KERNEL = "10.85.0.1", OURS = "10.85.0.2";
const PROGRAM = "tests/harness/programs/fast_open.ts";

async function setUp(): Promise<{ namespace: Namespace; host: Process }> {
  await requireTools("ip");
  const namespace = await Namespace.create();
  try {
    await namespace.tap("tap0", { addresses: [`${KERNEL}/24`] });
    await namespace.sysctl("net.ipv4.tcp_fastopen", "3");
    const host = namespace.deno("tests/interop/fast_open_host.ts", ["tap0", `${OURS}/24`], {
      input: "piped",
      deadline: 120_000,
    });
    await host.printed(/listening/);
    return { namespace, host };
  } catch (error) {
    await namespace[Symbol.asyncDispose]();
    throw error;
  }
}

Deno.test("Tcp takes data from the SYN of a kernel that has our cookie", async () => {
  const { namespace, host } = await setUp();
  await using _ = namespace;
  const ask = async (text: string) => {
    const { stdout } = await namespace.deno(PROGRAM, ["connect", OURS, "7", text], { deadline: 90_000 })
      .ended;
    return JSON.parse(stdout);
  };
  assert.deepEqual(await ask("one"), { answer: "ethox got one", synData: false });
  await host.printed(/^\{"request":"one","synData":false\}$/m);
  assert.deepEqual(await ask("two"), { answer: "ethox got two", synData: true });
  await host.printed(/^\{"request":"two","synData":true\}$/m);
});

Deno.test("Tcp sends data with its SYN to a kernel that gave it a cookie", async () => {
  const { namespace, host } = await setUp();
  await using _ = namespace;
  const server = namespace.deno(PROGRAM, ["serve", KERNEL, "7"], { deadline: 60_000 });
  await server.printed(/listening/);
  await host.write(`${KERNEL} 7 one\n`);
  await host.printed(/^\{"answer":"kernel got one","synData":false\}$/m);
  await server.printed(/^\{"request":"one","synData":false\}$/m);
  await host.write(`${KERNEL} 7 two\n`);
  await host.printed(/^\{"answer":"kernel got two","synData":true\}$/m);
  await server.printed(/^\{"request":"two","synData":true\}$/m);
});
