/** What the kernel says (`ss -tio`) of the options that it has negotiated with us. */

import assert from "node:assert/strict";
import { requireTools } from "../harness/tools.ts";
import { HOST, Host, randomFile } from "./host.ts";

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
  assert.match(told, /\bts\b.*\bsack\b|\bsack\b.*\bts\b/s, told);
  for (const word of [/\bwscale:\d+,[1-9]/, /\becn\b/]) assert.match(told, word);
  await upload;
});
