import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4 } from "../stack/device.ts";
import { Namespace } from "../tests/harness/namespace.ts";
import { requireTools } from "../tests/harness/tools.ts";
import { checksumState, Collector, fillFrame, fillSegment } from "./device_conformance_frames.ts";
import { libc } from "./ffi/libc.ts";
import { ImpairDevice } from "./impair.ts";
import { MemoryDevice } from "./memory.ts";
import { TapDevice } from "./tap.ts";
import { joinDevices } from "./wire.ts";

// Loaded once for the whole process, and not by the test that happens to be the first.
libc();

async function until(done: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!done()) {
    assert.ok(performance.now() < end, "Waited for 5 s");
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

Deno.test("joinDevices() carries frames both ways, with what is left to the device", async () => {
  const offloads = OFFLOAD_CHECKSUM | OFFLOAD_TSO4;
  const [a, left] = MemoryDevice.pair({ offloads });
  const [right, b] = MemoryDevice.pair({ offloads });
  using _loop = joinDevices(left, right);
  const toB = new Collector(), toA = new Collector();
  const packet = a.reserve()!;
  fillSegment(packet, b.mac, a.mac, 0, 5000);
  packet.gsoType = 1;
  packet.gsoSize = 1000;
  a.transmit(packet);
  a.flush();
  const answer = b.reserve()!;
  fillFrame(answer, a.mac, b.mac, 7, 99);
  b.transmit(answer);
  b.flush();
  await until(() => {
    b.poll(toB, 64, 0);
    a.poll(toA, 64, 0);
    return toB.frames.length === 1 && toA.frames.length === 1;
  });
  assert.deepEqual(toA.sequences(), [7]);
  assert.deepEqual(toA.faults, []);
  assert.equal(checksumState(toB.frames[0]!), "good");
  assert.deepEqual([toB.frames[0]!.gsoType, toB.frames[0]!.gsoSize, toB.frames[0]!.flags & 1], [1, 1000, 1]);
});

Deno.test("joinDevices() joins two kernels by a link that takes its time", async () => {
  await requireTools("ping");
  await using near = await Namespace.create();
  await using far = await Namespace.create();
  await near.tap("tap0", { addresses: ["10.7.0.1/24"] });
  await far.tap("tap0", { addresses: ["10.7.0.2/24"] });
  const [one, other] = [near, far].map((namespace) =>
    TapDevice.open({ name: "tap0", namespace: namespace.name, offloads: "none" })
  );
  const delay = 7000;
  using _loop = joinDevices(new ImpairDevice(one!, { send: { delay }, receive: { delay } }), other!);
  const { stdout } = await near.run("ping", ["-c", "20", "-i", "0.02", "-W", "2", "10.7.0.2"]);
  assert.match(stdout, /20 received, 0% packet loss/);
  // The fastest of twenty says what the link does; the others, how busy this machine is.
  const least = Number(stdout.match(/= ([\d.]+)\//)![1]);
  assert.ok(least >= 14 && least < 18, `the fastest round trip took ${least} ms`);
});
