import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";
import { requireTools } from "../harness/tools.ts";
import { randomFile } from "./host.ts";

/** Address of the kernel at one end of a veth pair, and ours at the other. */
const KERNEL = "10.81.0.1", HOST = "10.81.0.2";

/** A kernel and, by a packet socket on the other end of a veth pair, one of our programs. */
class VethHost implements AsyncDisposable {
  private constructor(readonly kernel: Namespace, readonly ours: Namespace, readonly program: Process) {}

  static async start(module: string, args: readonly string[] = [], plain = false): Promise<VethHost> {
    await using stack = new AsyncDisposableStack();
    const kernel = stack.use(await Namespace.create()), ours = stack.use(await Namespace.create());
    await kernel.veth("veth0", `${KERNEL}/24`, ours, "veth0", null);
    if (plain) {
      for (const end of [kernel, ours]) {
        const { stderr } = await end.deno("tests/harness/programs/disable_offloads.ts", ["veth0"]).ended;
        assert.equal(stderr, "");
      }
    }
    const program = ours.deno(
      module,
      ["--device", "packet:veth0", "--address", `${HOST}/24`, "--gateway", KERNEL, ...args],
      { deadline: 180_000 },
    );
    await program.printed(/listening|serving/i);
    stack.move();
    return new VethHost(kernel, ours, program);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kernel[Symbol.asyncDispose]();
    await this.ours[Symbol.asyncDispose]();
  }
}

for (const offloads of ["all", "none"]) {
  Deno.test(`a kernel talks over veth with a host on a packet socket, offloads ${offloads}`, async () => {
    await requireTools("ip", "nc", "ping");
    await using host = await VethHost.start("examples/services.ts", ["--offloads", offloads]);
    const { kernel } = host;
    const { stdout } = await kernel.run("ping", ["-c", "200", "-i", "0.002", HOST]);
    assert.match(stdout, /200 received, 0% packet loss/);
    await kernel.run("ping", ["-c", "3", "-i", "0.05", "-s", "20000", HOST]);
    await using file = await randomFile(20_000_000);
    await kernel.run("sh", ["-c", 'nc -N -w 20 "$1" 7 <"$2" | cmp - "$2"', "sh", HOST, file.path]);
    // The kernel of our side has not seen that anybody spoke with it.
    const neighbours = await host.ours.ip("neighbour", "show");
    assert.equal(neighbours, "");
  });
}

Deno.test("curl gets what a host on a packet socket serves", async () => {
  await requireTools("ip", "curl");
  await using host = await VethHost.start("examples/http_echo.ts");
  const { stdout } = await host.kernel.run("curl", [
    ...["--silent", "--show-error", "--fail", "--max-time", "20", "--data", "Hello"],
    `http://${HOST}/`,
  ]);
  assert.match(stdout, /Hello/);
});

Deno.test("tcpdump finds no bad checksum between a kernel and a packet socket without offloads", async () => {
  await requireTools("ip", "nc", "ping", "tcpdump");
  await using host = await VethHost.start("examples/services.ts", ["--offloads", "none"], true);
  const { kernel } = host;
  const args = ["-i", "veth0", "-n", "-vv", "-l", "--immediate-mode", "-B", "65536", "ip"];
  await using capture = kernel.spawn("tcpdump", args, { deadline: 120_000 });
  await capture.printed(/listening on/);
  await kernel.run("ping", ["-c", "3", "-i", "0.05", HOST]);
  await kernel.attempt("nc", ["-u", "-w", "1", HOST, "7"], { input: "datagram\n" });
  await using file = await randomFile(300_000);
  await kernel.run("sh", ["-c", 'nc -N -w 10 "$1" 7 <"$2" | cmp - "$2"', "sh", HOST, file.path]);
  const { stdout } = await capture.stop("SIGINT");
  const bad = stdout.split("\n").filter((line) => /\bbad\b|incorrect|wrong/i.test(line)).slice(0, 10);
  assert.deepEqual(bad, []);
  assert.ok((stdout.match(/cksum 0x[0-9a-f]{4} \(correct\)/g)?.length ?? 0) >= 200, stdout.slice(0, 4000));
});

Deno.test("a host on a packet socket ends with one line when its interface is deleted", async () => {
  await using host = await VethHost.start("examples/services.ts");
  await host.kernel.ip("link", "delete", "veth0");
  const { code, stderr } = await host.program.ended;
  assert.equal(code, 1);
  assert.match(stderr.trim(), /^services: Interface "veth0" was deleted.*$/);
});

Deno.test("a host on a packet socket says in one line that there is no such interface", async () => {
  await using namespace = await Namespace.create();
  const { code, stderr } = await namespace.deno("examples/services.ts", [
    ...["--device", "packet:absent0", "--address", `${HOST}/24`],
  ]).ended;
  assert.equal(code, 1);
  assert.match(stderr.trim(), /^services: There is no interface "absent0"; .*$/);
});
