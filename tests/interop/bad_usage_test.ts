import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { HOST, Host } from "./host.ts";

const MODULE = "examples/services.ts";
const ROOT = new URL("../../", import.meta.url).pathname;

/** One line, not a stack trace, that quotes the value; and a status that a script can see. */
function assertOneClearLine(result: { code: number; stdout: string; stderr: string }, pattern: RegExp): void {
  assert.notEqual(result.code, 0);
  const lines = result.stderr.trim().split("\n");
  assert.equal(lines.length, 1, result.stderr);
  assert.match(lines[0] ?? "", pattern);
}

Deno.test("services.ts says in one line what is wrong with its arguments", async () => {
  await requireTools("ip");
  await using namespace = await Namespace.create();
  await namespace.tap("tap0");
  const attempt = (...args: string[]) => namespace.deno(MODULE, args, { deadline: 90_000 }).ended;
  assertOneClearLine(await attempt("--device", "tap:tap0", "--address", "10.0.0.2/33"), /10\.0\.0\.2\/33/);
  assertOneClearLine(await attempt("--device", "tap:tap0", "--address", "10.0.0.256/24"), /10\.0\.0\.256/);
  assertOneClearLine(
    await attempt("--device", "tap:tap0", "--address", "10.0.0.2/24", "--gateway", "nowhere"),
    /nowhere/,
  );
  assertOneClearLine(await attempt("--device", "carrier:pigeon", "--address", "10.0.0.2/24"), /carrier/);
  assertOneClearLine(
    await attempt("--device", "qemu:/nowhere/socket", "--address", "10.0.0.2/24"),
    /\/nowhere\/socket/,
  );
  assertOneClearLine(await attempt("--device", "tap:tap0", "--address", "10.0.0.0/24"), /10\.0\.0\.0\/24/);
  assertOneClearLine(
    await attempt("--device", "tap:a-name-of-twenty-bytes", "--address", "10.0.0.2/24"),
    /a-name-of-twenty-bytes/,
  );
  assertOneClearLine(await attempt("--device", "tap:tap0", "--offloads", "some"), /"some"/);
  assertOneClearLine(await attempt("--device", "tap:tap0", "--delivery", "later"), /"later"/);
  assert.deepEqual((await namespace.interfaces()).sort(), ["lo", "tap0"]);
});

Deno.test("services.ts says who may open a TAP when it may not, and leaves nothing behind", async () => {
  await requireTools("ip");
  await using namespace = await Namespace.create();
  await namespace.tap("tap0", { user: "54321" });
  // Root without this capability may neither make a device nor attach to another user's, and can still read this checkout.
  const unprivileged = [
    "--bounding-set=-net_admin",
    "--inh-caps=-net_admin",
    Deno.execPath(),
    "run",
    "-A",
    "--no-check",
  ];
  for (const name of ["tap0", "tap1"]) {
    const args = [...unprivileged, "--quiet", MODULE, "--device", `tap:${name}`, "--address", "10.0.0.2/24"];
    const result = await namespace.attempt("setpriv", args, { deadline: 90_000, cwd: ROOT });
    assertOneClearLine(result, new RegExp(`${name}.*(root|owner|permission|permitted)`, "i"));
  }
  assert.deepEqual((await namespace.interfaces()).sort(), ["lo", "tap0"]);
});

Deno.test("services.ts says so when the TAP is in use", async () => {
  await requireTools("ip", "ping");
  await using host = await Host.start(MODULE);
  const args = ["--device", "tap:tap0", "--address", "10.80.0.3/24"];
  assertOneClearLine(await host.namespace.deno(MODULE, args, { deadline: 90_000 }).ended, /tap0/);
  await host.namespace.run("ping", ["-c", "1", "-W", "10", HOST]);
});

Deno.test("services.ts ends with one line when its TAP is deleted", async () => {
  await requireTools("ip");
  await using host = await Host.start(MODULE);
  const { ended } = host.program;
  await host.namespace.ip("link", "delete", "tap0");
  assertOneClearLine(await ended, /TAP device "tap0" failed/);
});
