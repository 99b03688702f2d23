import assert from "node:assert/strict";
import { Namespace } from "../namespace.ts";
import { requireTools } from "../tools.ts";

Deno.test("inject.ts sends frames exactly as given", async () => {
  await requireTools("tcpdump");
  await using left = await Namespace.create();
  await using right = await Namespace.create();
  await left.veth("veth0", "10.5.0.1/24", right, "veth0", "10.5.0.2/24");
  await using capture = right.spawn("tcpdump", [
    "-i",
    "veth0",
    "-n",
    "-XX",
    "-l",
    "--immediate-mode",
    "ether",
    "proto",
    "0x88b5",
  ]);
  await capture.printed(/listening on/);
  // A frame that lies about nothing is cut short by nothing: 14 bytes of header and 4 of payload.
  const frame = "ffffffffffff02000000000188b5deadbeef";
  const { stdout } = await left.deno("tests/harness/programs/inject.ts", ["veth0"], {
    input: `${frame}\n${frame}`,
  }).ended;
  assert.equal(stdout, "sent 2\n");
  await capture.printed(/ffff ffff ffff 0200 0000 0001 88b5 dead\s.*\n\s*0x0010:\s+beef/);
});

Deno.test("disable_offloads.ts makes the kernel complete checksums before a frame leaves", async () => {
  await requireTools("tcpdump", "nc");
  await using left = await Namespace.create();
  await using right = await Namespace.create();
  await left.veth("veth0", "10.5.1.1/24", right, "veth0", "10.5.1.2/24");
  const transfer = async () => {
    const args = [
      "-i",
      "veth0",
      "-n",
      "-vv",
      "-l",
      "--immediate-mode",
      "udp",
      "and",
      "src",
      "host",
      "10.5.1.1",
    ];
    await using capture = right.spawn("tcpdump", args);
    await capture.printed(/listening on/);
    await left.attempt("nc", ["-u", "-w", "1", "10.5.1.2", "9"], { input: "some datagram\n" });
    await capture.printed(/udp (sum ok|length)|bad udp cksum/);
    return capture.stdout;
  };
  assert.match(await transfer(), /bad udp cksum/);
  const { code, stderr } = await left.deno("tests/harness/programs/disable_offloads.ts", ["veth0"]).ended;
  assert.equal(code, 0, stderr);
  assert.match(await transfer(), /udp sum ok/);
});
