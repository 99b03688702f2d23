import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { HOST, Host, KERNEL, randomFile } from "./host.ts";

/** Lines of `tcpdump -vv` that complain of a checksum; as a word, since a checksum may be 0x0bad. */
function complaints(text: string): string[] {
  return text.split("\n").filter((line) => /\bbad\b|incorrect|wrong/i.test(line)).slice(0, 10);
}

Deno.test("tcpdump finds no bad checksum on a TAP without offloads", async () => {
  await requireTools("ip", "curl", "nc", "ping", "tcpdump");
  await using host = await Host.start("examples/services.ts", ["--offloads", "none"]);
  const { namespace } = host;
  const args = ["-i", "tap0", "-n", "-vv", "-l", "--immediate-mode", "-B", "65536", "ip"];
  await using capture = namespace.spawn("tcpdump", args, { deadline: 120_000 });
  await capture.printed(/listening on/);
  await namespace.run("ping", ["-c", "3", "-i", "0.05", HOST]);
  await namespace.attempt("nc", ["-u", "-w", "1", HOST, "7"], { input: "datagram\n" });
  await using file = await randomFile(300_000);
  await namespace.run("sh", ["-c", 'nc -N -w 10 "$1" 7 <"$2" | cmp - "$2"', "sh", HOST, file.path]);
  const { stdout } = await capture.stop("SIGINT");
  assert.deepEqual(complaints(stdout), []);
  assert.ok((stdout.match(/cksum 0x[0-9a-f]{4} \(correct\)/g)?.length ?? 0) >= 200, stdout.slice(0, 4000));
});

/**
 * With offloads on, the kernel completes our checksums and cuts our segments. So our host stands behind a router whose
 * far link has no offloads: what is captured there is what would be on a wire, and each checksum covers what we
 * claimed about it.
 */
Deno.test("tcpdump finds no bad checksum in what our host sends through a router", async () => {
  await requireTools("ip", "curl", "nc", "ping", "tcpdump");
  await using far = await Namespace.create();
  const router = await Namespace.create();
  await using _host = await Host.start("examples/services.ts", [], router);
  await router.sysctl("net.ipv4.ip_forward", "1");
  await router.veth("veth0", "10.81.0.1/24", far, "veth0", "10.81.0.2/24");
  await far.ip("route", "add", "default", "via", "10.81.0.1");
  // Both ends: an ICMP error quotes what came.
  for (const namespace of [router, far]) {
    const { code, stderr } = await namespace.deno("tests/harness/programs/disable_offloads.ts", ["veth0"])
      .ended;
    assert.equal(code, 0, stderr);
  }

  const args = ["-i", "veth0", "-n", "-vv", "-l", "--immediate-mode", "-B", "65536", "src", "host", HOST];
  await using capture = far.spawn("tcpdump", args, { deadline: 120_000 });
  await capture.printed(/listening on/);
  await far.run("ping", ["-c", "3", "-i", "0.05", HOST]);
  await far.attempt("nc", ["-u", "-w", "1", HOST, "7"], { input: "datagram\n" });
  await far.attempt("nc", ["-u", "-w", "1", HOST, "4444"], { input: "datagram\n" });
  await far.attempt("nc", ["-w", "3", HOST, "4444"]);
  await far.run("curl", ["-sS", "--max-time", "10", `http://${HOST}/`]);
  await using file = await randomFile(300_000);
  await far.run("sh", ["-c", 'nc -N -w 10 "$1" 7 <"$2" | cmp - "$2"', "sh", HOST, file.path]);
  await far.attempt("ping", ["-t", "1", "-c", "1", "-W", "1", KERNEL]);
  const { stdout, stderr } = await capture.stop("SIGINT");

  assert.match(stderr, /\b0 packets dropped by kernel/);
  assert.deepEqual(complaints(stdout), []);
  const count = (pattern: RegExp) => stdout.match(pattern)?.length ?? 0;
  assert.ok(count(/ICMP echo reply/g) >= 3, stdout);
  assert.ok(count(/\[udp sum ok\]/g) >= 1, stdout);
  assert.ok(count(/udp port 4444 unreachable/g) >= 1, stdout);
  assert.ok(count(/cksum 0x[0-9a-f]{4} \(correct\)/g) >= 200, stdout.slice(0, 4000));
  assert.ok(count(/Flags \[R/g) >= 1, "No reset was seen");
});
