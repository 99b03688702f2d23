/** The main job: an HTTP server in a guest, where Deno is process 1 and every frame goes through our own stack. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { Guest } from "../image/run.ts";
import { TestImage } from "./harness/guest.ts";
import { Namespace } from "./harness/namespace.ts";
import { attempt, type Process } from "./harness/process.ts";
import { requireTools } from "./harness/tools.ts";

/** A port of this machine that nobody listens on. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** Posts `bytes` bytes with curl, in a namespace or not. @returns Whether the same came back. */
async function echoes(url: string, bytes: number, namespace?: Namespace): Promise<boolean> {
  const directory = await Deno.makeTempDir();
  try {
    const [sent, received] = [join(directory, "sent"), join(directory, "received")];
    const data = new Uint8Array(bytes);
    for (let i = 0; i < bytes; i += 65536) crypto.getRandomValues(data.subarray(i, i + 65536));
    await Deno.writeFile(sent, data);
    const args = ["-sS", "--max-time", "60", "--data-binary", `@${sent}`, "-o", received, url];
    const { code, stderr } = await (namespace?.attempt("curl", args, { deadline: 70_000 }) ??
      attempt("curl", args, { deadline: 70_000 }));
    assert.equal(code, 0, stderr);
    return Buffer.compare(await Deno.readFile(received), data) === 0;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Two hundred requests. @returns How many connections they took, and the statuses. */
const keepAlive = (url: string) => [
  "-sS",
  "--max-time",
  "60",
  "-w",
  "%{num_connects} %{http_code}\n",
  ...Array.from({ length: 200 }, () => ["-o", "/dev/null", url]).flat(),
];

function checkKeepAlive(stdout: string): void {
  const lines = stdout.trim().split("\n");
  assert.deepEqual(lines.filter((line) => line === "0 200").length, 199, stdout);
  assert.equal(lines.filter((line) => line === "1 200").length, 1, stdout);
}

Deno.test("A guest answers HTTP through its own stack", async (t) => {
  await requireTools("qemu-system-x86_64", "ip", "curl", "ping");
  await using image = await TestImage.build("examples/http_echo.ts");

  await t.step("behind QEMU's user network", async () => {
    const listening = Promise.withResolvers<void>();
    const console: string[] = [];
    const port = freePort();
    await using guest = await Guest.start({
      image: image.directory,
      network: { kind: "user", forwards: [{ protocol: "tcp", host: port, guest: 80 }] },
      console(line) {
        console.push(line);
        if (/listening/i.test(line)) listening.resolve();
      },
    });
    await Promise.race([listening.promise, guest.status]);
    const url = `http://127.0.0.1:${port}/`;
    for (const bytes of [1, 1_000_000, 10_000_000]) assert.ok(await echoes(url, bytes), `${bytes} bytes`);
    checkKeepAlive((await attempt("curl", keepAlive(url), { deadline: 70_000 })).stdout);
    assert.ok(
      console.some((line) => line.endsWith("network interfaces of the kernel: lo")),
      console.join("\n"),
    );
  });

  await t.step("on a TAP of the host's kernel, with another address", async () => {
    await using namespace = await Namespace.create();
    await namespace.tap("tap0", { addresses: ["10.77.0.1/24"] });
    const config = ["--address", "10.77.0.2/24", "--gateway", "10.77.0.1", "--mac", "52:54:00:77:00:02"];
    const running: Process = namespace.deno(
      "image/main.ts",
      ["run", image.directory, "--net", "tap:tap0", ...config],
      { deadline: 150_000 },
    );
    await running.printed(/listening/i, 90_000);
    const url = "http://10.77.0.2/";
    for (const bytes of [1, 1_000_000, 50_000_000]) {
      assert.ok(await echoes(url, bytes, namespace), `${bytes} bytes`);
    }
    checkKeepAlive((await namespace.run("curl", keepAlive(url), { deadline: 70_000 })).stdout);
    const { stdout } = await namespace.run("ping", ["-c", "500", "-i", "0.002", "-s", "1000", "10.77.0.2"]);
    assert.match(stdout, /500 received, 0% packet loss/);
    assert.match(await namespace.ip("neighbour"), /10\.77\.0\.2 dev tap0 lladdr 52:54:00:77:00:02/);
    assert.equal((await running.stop("SIGINT")).code, 130);
  });
});
