import assert from "node:assert/strict";
import { Namespace, ownNamespaces, sweep } from "./namespace.ts";
import { Process, run } from "./process.ts";

Deno.test("Namespace.create() makes a namespace with TAP and veth, and disposing leaves nothing", async () => {
  {
    await using left = await Namespace.create();
    await using right = await Namespace.create();
    await left.tap("tap0", { addresses: ["10.1.0.1/24"], mtu: 9000 });
    await left.veth("veth0", "10.2.0.1/24", right, "veth0", "10.2.0.2/24");
    assert.deepEqual((await left.interfaces()).sort(), ["lo", "tap0", "veth0"]);
    await left.run("ping", ["-c", "1", "-W", "10", "10.2.0.2"]);
    assert.equal((await ownNamespaces()).length, 2);
  }
  assert.deepEqual(await ownNamespaces(), []);
});

Deno.test("Namespace disposes of programs and interfaces when the test throws", async () => {
  let pid = 0;
  const failing = async () => {
    await using namespace = await Namespace.create();
    await namespace.tap("tap0");
    // The shell detaches a child which is not ours to wait for; it must go as well.
    const process = namespace.spawn("sh", ["-c", "sleep 60 >/dev/null 2>&1 & echo child $!; wait"]);
    pid = Number((await process.printed(/child (\d+)/))[1]);
    throw new Error("The test fails here");
  };
  await assert.rejects(failing, /fails here/);
  assert.deepEqual(await ownNamespaces(), []);
  const state = await Deno.readTextFile(`/proc/${pid}/stat`).then((text) => text.split(" ")[2], () => "gone");
  assert.ok(state === "gone" || state === "Z", `The child is still there, in state ${state}`);
});

Deno.test("Namespace is removed when a signal ends the process that made it", async () => {
  const script = `
    import { Namespace } from ${JSON.stringify(import.meta.resolve("./namespace.ts"))};
    const namespace = await Namespace.create();
    console.log("made", namespace.name);
    setInterval(() => {}, 1000);`;
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(path, script);
    await using process = new Process(Deno.execPath(), ["run", "-A", "--no-check", "--no-config", path]);
    const name = (await process.printed(/made (\S+)/))[1] ?? "";
    assert.ok((await run("ip", ["netns", "list"])).stdout.includes(name));
    assert.equal((await process.stop("SIGTERM")).code, 130);
    assert.ok(!(await run("ip", ["netns", "list"])).stdout.includes(name));
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("sweep() removes what a killed process left, and nothing else", async () => {
  await using process = new Process("true", []);
  const orphan = `ethox-${process.pid}-0`;
  await process.ended;
  await using mine = await Namespace.create();
  await run("ip", ["netns", "add", orphan]);
  assert.ok((await sweep()).includes(orphan));
  const { stdout } = await run("ip", ["netns", "list"]);
  assert.ok(!stdout.includes(orphan));
  assert.ok(stdout.includes(mine.name));
});
