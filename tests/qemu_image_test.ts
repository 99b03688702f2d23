/** Images: the same inputs give the same bytes, and a guest ends as its program does. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { configure } from "../image/configure.ts";
import { DEFAULT_CONFIG, KERNEL_DEVICE } from "../image/config.ts";
import { inspect } from "../image/inspect.ts";
import { command, Guest, NO_STATUS } from "../image/run.ts";
import { works } from "../image/accelerator.ts";
import { shellLine } from "../image/qemu.ts";
import { TestImage } from "./harness/guest.ts";
import { Process } from "./harness/process.ts";
import { requireTools } from "./harness/tools.ts";

/** The processes of this machine that run a guest of the image in `directory`. */
async function guestsOf(directory: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^[0-9]+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (line.includes("qemu-system-x86_64\0") && line.includes(directory)) found.push(Number(name));
  }
  return found;
}

/** Deno's arguments for a guest that stays. */
function runArguments(image: TestImage): string[] {
  const program = new URL("../image/main.ts", import.meta.url).pathname;
  return [
    "run",
    "-A",
    "--no-check",
    program,
    "run",
    image.directory,
    "--no-network",
    "--net",
    "none",
    "--",
    "stay",
  ];
}

Deno.test("build() writes the same bytes for the same inputs", async () => {
  await using first = await TestImage.build("tests/guest/ending.ts");
  await using second = await TestImage.build("tests/guest/ending.ts");
  for (const name of ["vmlinuz", "initramfs.img"]) {
    const [a, b] = await Promise.all(
      [first, second].map((image) => Deno.readFile(join(image.directory, name))),
    );
    assert.ok(Buffer.compare(a!, b!) === 0, `${name} differs`);
  }
});

Deno.test("Guest ends as its program does", async (t) => {
  await requireTools("qemu-system-x86_64");
  await using image = await TestImage.build("tests/guest/ending.ts");
  const config = (...args: string[]) => ({ ...DEFAULT_CONFIG, device: "", args });
  const has = (lines: string[], pattern: RegExp) =>
    assert.ok(lines.some((line) => pattern.test(line)), `${pattern} is not in:\n${lines.join("\n")}`);

  await t.step("with the status of Deno.exit(), after its unload listeners", async () => {
    const { status, console } = await image.run({ config: config("x, y", "exit") });
    assert.equal(status, 7);
    has(console, /^process 1, main true, arguments \["x, y","exit"\]$/);
    has(console, /^Node's arguments \["x, y","exit"\]$/);
    has(console, /configuration from QEMU: x, y exit$/);
    has(console, /network interfaces of the kernel: lo$/);
    has(console, /no virtio-net device$/);
    has(console, /^unloaded with 7$/);
    has(console, /^\[ethox\] exit status 7$/);
  });

  await t.step("with status 1 and the stack trace after an exception", async () => {
    const { status, console } = await image.run({ config: config("throw") });
    assert.equal(status, 1);
    has(console, /^error: Uncaught RangeError: Broken on purpose$/);
    has(console, /^ +at .*broken .*\(file:\/\/\/app\/tests\/guest\/ending\.ts:11:9\)$/);
    has(console, /Error: the cause$/);
  });

  await t.step("with the configuration that was appended to the image", async () => {
    await configure(image.directory, config("prevent"));
    const { status, console } = await image.run();
    assert.equal(status, 0);
    has(console, /configuration from the image: prevent$/);
    has(console, /^prevented: one$/);
    has(console, /^prevented: two$/);
    has(console, /^still here$/);
    assert.ok((await inspect(image.directory)).some((line) => line.includes('"args":["prevent"]')));
  });

  await t.step("when it is stopped, and leaves no process behind", async () => {
    const staying = Promise.withResolvers<void>();
    const guest = await Guest.start({
      image: image.directory,
      network: { kind: "none" },
      config: config("stay"),
      console: (line) => line === "staying" && staying.resolve(),
    });
    await Promise.race([staying.promise, guest.status]);
    assert.equal((await guestsOf(image.directory)).length, 1);
    await guest.stop();
    assert.equal(await guest.status, NO_STATUS);
    assert.deepEqual(await guestsOf(image.directory), []);
  });

  await t.step("when the command that runs it gets a signal", async () => {
    await using running = new Process(Deno.execPath(), runArguments(image), { deadline: 100_000 });
    await running.printed(/^staying/m, 90_000);
    const { code } = await running.stop("SIGINT");
    assert.equal(code, 130);
    assert.deepEqual(await guestsOf(image.directory), []);
  });

  await t.step("when the command that runs it is killed", async () => {
    await using running = new Process(Deno.execPath(), runArguments(image), { deadline: 100_000 });
    await running.printed(/^staying/m, 90_000);
    await running.stop("SIGKILL");
    const deadline = performance.now() + 10_000;
    while ((await guestsOf(image.directory)).length > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(await guestsOf(image.directory), []);
  });

  await t.step("before it starts, when it can't", async () => {
    await assert.rejects(() => image.run({ memory: 64 }), /too large for 64 MiB of memory/);
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const forwards = [{ protocol: "tcp", host: port, guest: 80 } as const];
    await assert.rejects(
      () => image.run({ network: { kind: "user", forwards } }),
      /is in use on this machine/,
    );
    const socket = { kind: "socket", path: join(image.directory, "none") } as const;
    await assert.rejects(() => image.run({ network: socket }), /Cannot find the socket/);
    const tap = { kind: "tap", name: "ethox-none" } as const;
    await assert.rejects(() => image.run({ network: tap }), /Cannot find the TAP device "ethox-none"/);
    const loopback = { kind: "tap", name: "lo" } as const;
    await assert.rejects(() => image.run({ network: loopback }), /"lo" is not a TAP device/);
    if (!await works("kvm")) {
      await assert.rejects(() => image.run({ accelerator: "kvm" }), /KVM does not work on this machine/);
    }
    await assert.rejects(() => image.run({ extra: ["-frob"] }), /QEMU stopped \(status 1\): .*-frob/);
    assert.deepEqual(await guestsOf(image.directory), []);
  });

  await t.step("at its deadline, which tells what its console says", async () => {
    await assert.rejects(
      () => image.run({ config: config("stay") }, 1),
      /The guest did not end within 0\.001 s; its console is empty/,
    );
  });

  await t.step("as its command line says", async () => {
    const words = await command({
      image: image.directory,
      network: { kind: "none" },
      accelerator: "tcg",
      console() {},
    });
    assert.match(
      shellLine(words),
      /^qemu-system-x86_64 -machine q35 -accel tcg,thread=single .* -append 'console=ttyS0 /,
    );
  });
});

Deno.test("works() tells an accelerator that runs guests from one that does not", async () => {
  await requireTools("qemu-system-x86_64");
  assert.equal(await works("tcg"), true);
});

Deno.test("A guest built with kernelNetwork has its addresses on the kernel's interface", async () => {
  await requireTools("qemu-system-x86_64");
  const config = {
    ...DEFAULT_CONFIG,
    device: KERNEL_DEVICE,
    addresses: ["10.0.2.15/24", "fec0::15/64"],
    gateway: "10.0.2.2",
  };
  await using image = await TestImage.build("tests/guest/kernel_network.ts", config, { kernelNetwork: true });
  const { status, console } = await image.run({ network: { kind: "user", forwards: [] } });
  assert.equal(status, 0, console.join("\n"));
  const interfaces = console.find((line) => line.startsWith("interfaces "))?.slice("interfaces ".length) ??
    "[]";
  const eth0 = (JSON.parse(interfaces) as [string, string][]).filter(([name]) => name === "eth0");
  assert.deepEqual(eth0.map(([, cidr]) => cidr).filter((cidr) => !cidr.startsWith("fe80:")).sort(), [
    "10.0.2.15/24",
    "fec0::15/64",
  ]);
  // The table's line of the default route: destination 0, gateway 10.0.2.2.
  assert.ok(console.some((line) => /^route eth0\t00000000\t0202000A\t/.test(line)), console.join("\n"));
});
