import assert from "node:assert/strict";
import { requireTools } from "../harness/tools.ts";
import { HOST, Host, randomFile } from "./host.ts";

const MODULE = "examples/http_echo.ts";

Deno.test("http_echo.ts answers curl with what was posted, of any size", async () => {
  await requireTools("ip", "curl");
  await using host = await Host.start(MODULE);
  for (const size of [0, 1, 1_000_000, 100_000_000]) {
    await using file = await randomFile(size);
    await using back = await randomFile(0);
    await host.namespace.run(
      "curl",
      [
        "-sS",
        "--fail",
        "--max-time",
        "60",
        "--data-binary",
        `@${file.path}`,
        "-o",
        back.path,
        `http://${HOST}/`,
      ],
      { deadline: 70_000 },
    );
    await host.namespace.run("cmp", [file.path, back.path]);
  }
  assert.ok(host.program.alive, host.program.stderr);
});

Deno.test("http_echo.ts answers 200 requests on one keep-alive connection", async () => {
  await requireTools("ip", "curl");
  await using host = await Host.start(MODULE);
  const urls = Array.from({ length: 200 }, (_, index) => `http://${HOST}/?request=${index}`);
  const { stdout } = await host.namespace.run("curl", [
    "-sS",
    "--fail",
    "--max-time",
    "60",
    "-w",
    "\n%{num_connects} %{http_code} %{local_port}\n",
    ...urls,
  ]);
  const lines = stdout.split("\n").filter((line) => /^\d+ \d{3} \d+$/.test(line)).map((line) =>
    line.split(" ")
  );
  assert.equal(lines.length, 200);
  assert.ok(lines.every(([, code]) => code === "200"));
  assert.equal(
    lines.reduce((sum, [connects]) => sum + Number(connects), 0),
    1,
    "More than one connection was made",
  );
  for (const index of [0, 199]) {
    assert.ok(stdout.includes(`request=${index}`), `Request ${index} is not shown`);
  }
});

Deno.test("http_echo.ts serves wrk over 64 connections without an error", async () => {
  await requireTools("ip", "wrk");
  await using host = await Host.start(MODULE);
  // With its port: a machine without /etc/services does not know what "http" is.
  const url = `http://${HOST}:80/`;
  const { stdout } = await host.namespace.run("wrk", ["-t1", "-c64", "-d5s", "--latency", url]);
  assert.doesNotMatch(stdout, /Socket errors|Non-2xx/, stdout);
  assert.ok(Number(/(\d+) requests in/.exec(stdout)?.[1]) > 1000, stdout);
  assert.ok(host.program.alive, host.program.stderr);
});

Deno.test("http_echo.ts ends within seconds of SIGINT while connections are open", async () => {
  await requireTools("ip", "nc");
  await using host = await Host.start(MODULE);
  await using client = host.namespace.spawn("nc", ["-v", HOST, "80"], { input: "piped" });
  await client.printed(/succeeded|open/);
  const { code } = await host.program.stop("SIGINT");
  assert.notEqual(code, 137, "It had to be killed");
});
