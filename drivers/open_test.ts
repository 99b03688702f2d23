import assert from "node:assert/strict";
import { Namespace } from "../tests/harness/namespace.ts";
import { libc } from "./ffi/libc.ts";
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
  for (const spec of ["", "tap", "eth0", "tun", "qemu:", "qemu:listen:"]) {
    await assert.rejects(openDevice(spec), {
      name: "TypeError",
      message: `Device "${spec}" is not known; write tap:NAME | tun:NAME | qemu:PATH | virtio:auto`,
    });
  }
});
