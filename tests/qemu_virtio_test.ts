/** The virtio-net driver on real devices: two of them in one guest, joined by QEMU or by a bridge of the host. */

import assert from "node:assert/strict";
import { conformanceCases } from "../drivers/device_conformance.ts";
import { Guest } from "../image/run.ts";
import { TestImage } from "./harness/guest.ts";
import { Namespace } from "./harness/namespace.ts";
import { requireTools } from "./harness/tools.ts";

/** QEMU's arguments for two devices on these two back ends. */
function devices(...backends: [string, string]): string[] {
  return backends.flatMap((backend, i) => [
    "-netdev",
    backend,
    "-device",
    `virtio-net-pci,netdev=${/id=(\w+)/.exec(backend)![1]},disable-legacy=on,romfile=,mac=52:54:00:00:00:0${
      i + 1
    }`,
  ]);
}

function check(lines: readonly string[], offloads: string): void {
  const cases = lines.filter((line) => line.startsWith("case "));
  assert.deepEqual(cases.filter((line) => !line.endsWith(": ok")), [], lines.join("\n"));
  assert.equal(cases.length, conformanceCases.length, lines.join("\n"));
  assert.ok(lines.includes(`offloads ${offloads}`), lines.join("\n"));
  assert.ok(lines.some((line) => line.endsWith("network interfaces of the kernel: lo")));
}

Deno.test("VirtioNet passes the device suite in a guest", async (t) => {
  await requireTools("qemu-system-x86_64", "ip");
  await using image = await TestImage.build("tests/guest/conformance.ts");

  await t.step("on a hub of QEMU, without offloads", async () => {
    const extra = devices("hubport,id=a,hubid=0", "hubport,id=b,hubid=0");
    const { status, console } = await image.run({ extra });
    check(console, "0 0");
    assert.equal(status, 0);
  });

  await t.step("on TAPs of a bridge, with offloads", async () => {
    await using namespace = await Namespace.create();
    await namespace.ip("link", "add", "bridge0", "type", "bridge");
    await namespace.ip("link", "set", "bridge0", "up");
    for (const name of ["tap0", "tap1"]) {
      await namespace.tap(name);
      await namespace.ip("link", "set", name, "master", "bridge0");
    }
    const tap = (id: string, name: string) => `tap,id=${id},ifname=${name},script=no,downscript=no`;
    const extra = devices(tap("a", "tap0"), tap("b", "tap1")).map((argument) => `--qemu=${argument}`);
    // QEMU has to be started where the TAPs are.
    const { code, stdout } = await namespace.deno(
      "image/main.ts",
      ["run", image.directory, "--net", "none", ...extra],
      { deadline: 120_000 },
    ).ended;
    check(stdout.split("\n"), "7 7");
    assert.equal(code, 0);
  });
});

/** Says something to QEMU's monitor (QMP), which answers each command with a line. @returns The last answer. */
async function monitor(path: string, ...commands: unknown[]): Promise<unknown> {
  using connection = await Deno.connect({ transport: "unix", path });
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let text = "";
  const line = async (pattern: RegExp) => {
    while (!pattern.test(text) || !text.endsWith("\n")) {
      const count = await connection.read(buffer);
      assert.notEqual(count, null, text);
      text += decoder.decode(buffer.subarray(0, count!));
    }
    assert.doesNotMatch(text, /"error"/);
    const [answer] = text.split("\n").filter((one) => pattern.test(one));
    text = "";
    return JSON.parse(answer!);
  };
  let answer = await line(/"QMP"/);
  for (const command of commands) {
    await connection.write(new TextEncoder().encode(JSON.stringify(command) + "\n"));
    answer = await line(/"return"/);
  }
  return answer.return;
}

Deno.test("VirtioNet.linkUp follows the cable, asleep, by interrupt", async () => {
  await requireTools("qemu-system-x86_64");
  await using image = await TestImage.build("tests/guest/link.ts");
  const path = `${image.directory}/monitor`;
  const setLink = (up: boolean) =>
    monitor(path, { execute: "qmp_capabilities" }, { execute: "set_link", arguments: { name: "net0", up } });
  const lines: string[] = [];
  const problems: unknown[] = [];
  await using guest = await Guest.start({
    image: image.directory,
    network: { kind: "user", forwards: [] },
    extra: ["-qmp", `unix:${path},server=on,wait=off`],
    console(line) {
      lines.push(line);
      if (line === "link true" && lines.filter((known) => known === line).length === 1) {
        setLink(false).catch((error) => problems.push(error));
      } else if (line === "link false") setLink(true).catch((error) => problems.push(error));
    },
  });
  const timer = setTimeout(() => guest.stop(), 60_000);
  const status = await guest.status;
  clearTimeout(timer);
  assert.deepEqual(problems, []);
  assert.deepEqual(lines.filter((line) => line.startsWith("link ")), [
    "link true",
    "link false",
    "link true",
  ]);
  assert.equal(status, 0, lines.join("\n"));
});

Deno.test("VirtioNet tells a real device which groups are wanted, as its monitor shows", async () => {
  await requireTools("qemu-system-x86_64");
  await using image = await TestImage.build("tests/guest/groups.ts");
  const path = `${image.directory}/monitor`;
  const lines: string[] = [];
  const joined = Promise.withResolvers<void>();
  await using guest = await Guest.start({
    image: image.directory,
    network: { kind: "user", forwards: [] },
    extra: ["-qmp", `unix:${path},server=on,wait=off`],
    console(line) {
      lines.push(line);
      if (line === "joined") joined.resolve();
    },
  });
  const timer = setTimeout(() => guest.stop(), 120_000);
  try {
    await Promise.race([joined.promise, guest.status]);
    let filter: { promiscuous: boolean; "multicast-table": string[] } | undefined;
    for (let attempt = 0; attempt < 100; attempt++) {
      [filter] = await monitor(path, { execute: "qmp_capabilities" }, { execute: "query-rx-filter" }) as [
        typeof filter,
      ];
      if (filter?.promiscuous === false) break;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assert.equal(filter!.promiscuous, false, lines.join("\n"));
    const table = filter!["multicast-table"];
    for (const group of ["01:00:5e:00:00:01", "01:00:5e:01:02:03", "33:33:00:00:00:01"]) {
      assert.ok(table.includes(group), `${group} is not in ${table}`);
    }
    // It still answers: to broadcasts, to its own address, and to the groups of its addresses.
    assert.ok(lines.includes("answered"), lines.join("\n"));
  } finally {
    clearTimeout(timer);
    await guest.stop();
  }
});
