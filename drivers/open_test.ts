import assert from "node:assert/strict";
import { Namespace } from "../tests/harness/namespace.ts";
import { libc } from "./ffi/libc.ts";
import type { BridgeDevice } from "./bridge.ts";
import { openDevice } from "./open.ts";

// Loaded once for the whole process, and not by the test that happens to be the first.
libc();

Deno.test("openDevice() opens a TAP device by its name", async () => {
  await using namespace = await Namespace.create();
  const device = await openDevice("tap:some0", { namespace: namespace.name, offloads: "none" });
  assert.equal(device.name, "some0");
  assert.equal(device.offloads, 0);
  device.close();
});

Deno.test("openDevice() quotes what it does not know, and says what it does", async () => {
  for (const spec of ["", "tap", "eth0", "tun", "packet", "packet:", "bridge:", "qemu:", "qemu:listen:"]) {
    await assert.rejects(openDevice(spec), {
      name: "TypeError",
      message:
        `Device "${spec}" is not known; write tap:NAME | tun:NAME | packet:NAME | qemu:PATH | virtio:auto | bridge:DEVICE,DEVICE`,
    });
  }
});

Deno.test("openDevice() makes a bridge, and closes what it has opened when a part of it can't be", async () => {
  await using namespace = await Namespace.create();
  const options = { namespace: namespace.name, mac: new Uint8Array([2, 0, 0, 0, 0, 9]) };
  await assert.rejects(openDevice("bridge:tap:one,tap", options), /Device "tap" is not known/);
  const device = await openDevice("bridge:tap:one,tap:two", options) as BridgeDevice;
  assert.deepEqual(device.ports.map((port) => port.device.name), ["one", "two"]);
  assert.deepEqual([...device.mac], [2, 0, 0, 0, 0, 9]);
  device.close();
  assert.deepEqual(await namespace.interfaces(), ["lo"]);
});
