/** What the kernel says (`ss -tio`) of the options that it has negotiated with us. */

import assert from "node:assert/strict";
import { requireTools } from "../harness/tools.ts";
import { Namespace } from "../harness/namespace.ts";
import { HOST, Host, KERNEL, randomFile } from "./host.ts";

/** What `ss -tio` says of a socket with SACK, timestamps, window scaling and ECN. */
function assertNegotiated(told: string): void {
  assert.match(told, /\bts\b.*\bsack\b|\bsack\b.*\bts\b/s, told);
  for (const word of [/\bwscale:\d+,[1-9]/, /\becn\b/]) assert.match(told, word, told);
}

Deno.test("The kernel's socket to us has SACK, timestamps, window scaling and ECN", async () => {
  await requireTools("ip", "curl");
  await using host = await Host.start("examples/http_echo.ts");
  const { namespace } = host;
  await namespace.run("sh", ["-c", "echo 1 > /proc/sys/net/ipv4/tcp_ecn"]);
  await using file = await randomFile(300_000);
  // Slow enough to be looked at; killed with the namespace at the latest.
  const upload = namespace.run("curl", [
    ...["-sS", "--max-time", "60", "--limit-rate", "100k", "--data-binary", `@${file.path}`],
    ...["-o", "/dev/null", `http://${HOST}/`],
  ], { deadline: 70_000 });
  let told = "";
  let over = false;
  upload.catch(() => {}).finally(() => over = true);
  while (!over && !/ESTAB.*\n.*bytes_acked:\d{4}/.test(told)) {
    told = (await namespace.run("ss", ["-Htino", "dst", HOST])).stdout;
  }
  assertNegotiated(told);
  await upload;
});

Deno.test("A socket that the kernel accepts from us has SACK, timestamps, window scaling and ECN", async () => {
  await requireTools("ip", "socat");
  await using namespace = await Namespace.create();
  await namespace.tap("tap0", { addresses: [`${KERNEL}/24`] });
  await namespace.sysctl("net.ipv4.tcp_ecn", "2");
  namespace.spawn("socat", ["-u", "TCP4-LISTEN:9", "OPEN:/dev/null"]);
  while ((await namespace.run("ss", ["-Hltn", "sport", "9"])).stdout === "");
  await using client = namespace.deno(
    "tests/interop/asking_host.ts",
    ["tap0", `${HOST}/24`, KERNEL, "9"],
    { input: "piped" },
  );
  await client.printed(/^sent$/m);
  let told = "";
  while (!/bytes_received:100000\b/.test(told)) {
    assert.ok(client.alive, told);
    told = (await namespace.run("ss", ["-Htino", "src", KERNEL, "sport", "9"])).stdout;
  }
  assertNegotiated(told);
  await client.closeInput();
  assert.equal((await client.ended).code, 0);
});
