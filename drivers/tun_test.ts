import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 } from "../stack/device.ts";
import { Namespace } from "../tests/harness/namespace.ts";
import { CaptureDevice } from "./capture.ts";
import { deviceConformance, type DevicePair, passable } from "./device_conformance.ts";
import { Collector, fillFrame } from "./device_conformance_frames.ts";
import { libc } from "./ffi/libc.ts";
import { ImpairDevice } from "./impair.ts";
import { MemoryDevice } from "./memory.ts";
import { openDevice } from "./open.ts";
import { TunDevice, type TunDeviceOptions } from "./tun.ts";
import { joinDevices } from "./wire.ts";

// Loaded once for the whole process, and not by the test that happens to be the first.
libc();

/** Two TUN devices; the kernel between them forwards whatever comes in on one to the other. */
async function routed(options: TunDeviceOptions, mtu = 1500): Promise<DevicePair> {
  const namespace = await Namespace.create();
  try {
    for (const which of ["all", "default"]) {
      await namespace.sysctl(`net.ipv4.conf.${which}.rp_filter`, "0");
    }
    await namespace.sysctl("net.ipv4.ip_forward", "1");
    for (const name of ["left", "right"]) await namespace.tap(name, { mtu, mode: "tun" });
    for (const [table, from, to] of [["11", "left", "right"], ["12", "right", "left"]] as const) {
      await namespace.ip("rule", "add", "iif", from, "table", table);
      await namespace.ip("route", "add", "default", "dev", to, "table", table);
    }
    const [a, b] = ["left", "right"].map((name) =>
      TunDevice.open({ ...options, name, namespace: namespace.name })
    ) as [TunDevice, TunDevice];
    // The kernel forwards once the carriers have come up; until then what is sent is lost.
    await passable({ a, b });
    return { a, b, dispose: () => namespace[Symbol.asyncDispose]() };
  } catch (error) {
    await namespace[Symbol.asyncDispose]();
    throw error;
  }
}

deviceConformance("TunDevice", () => routed({ slots: 32 }));
deviceConformance("TunDevice without offloads", () => routed({ slots: 32, offloads: "none" }, 9000));
deviceConformance("ImpairDevice without link header", () => {
  const [a, b] = MemoryDevice.pair({ medium: "ip", slots: 32 });
  return { a: new ImpairDevice(a), b: new ImpairDevice(b) };
});
deviceConformance("CaptureDevice without link header", () => {
  const [a, b] = MemoryDevice.pair({ medium: "ip", slots: 32 });
  return { a: new CaptureDevice(a, () => {}), b: new CaptureDevice(b, () => {}) };
});

Deno.test("TunDevice.open() takes the kernel's MTU, up to 65,535, and offloads", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tun7", { mtu: 65535, mode: "tun" });
  const device = await openDevice("tun:tun7", { namespace: namespace.name });
  try {
    assert.deepEqual([device.name, device.medium, device.mtu], ["tun7", "ip", 65535]);
    const least = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6;
    assert.equal(device.offloads & least, least);
  } finally {
    device.close();
  }
});

Deno.test("TunDevice.open() makes a device that goes away when it is closed", async () => {
  await using namespace = await Namespace.create();
  const device = TunDevice.open({ namespace: namespace.name });
  assert.match(device.name, /^tun\d+$/);
  assert.ok((await namespace.interfaces()).includes(device.name));
  device.close();
  assert.deepEqual(await namespace.interfaces(), ["lo"]);
});

Deno.test("TunDevice.open() says so when the name is that of a TAP device", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tap0");
  assert.throws(
    () => TunDevice.open({ name: "tap0", namespace: namespace.name }),
    /Cannot open the TUN device "tap0": .*no TUN device/,
  );
});

Deno.test("TunDevice is closed, with its failure, when the interface is deleted", async () => {
  await using namespace = await Namespace.create();
  const device = TunDevice.open({ name: "gone0", namespace: namespace.name });
  await namespace.ip("link", "delete", "gone0");
  assert.equal(device.poll(new Collector(), 64, 0), 0);
  assert.equal(device.closed, true);
  assert.match(device.failure!.message, /TUN device "gone0" failed: the device was deleted/);
});

Deno.test("CaptureDevice marks what it records of a device without link header as IP packets", () => {
  const [a, b] = MemoryDevice.pair({ medium: "ip" });
  const file: number[] = [];
  const device = new CaptureDevice(a, (bytes) => void file.push(...bytes));
  const packet = device.reserve()!;
  fillFrame(packet, b.mac, a.mac, 3, 60);
  device.transmit(packet);
  device.close();
  const view = new DataView(new Uint8Array(file).buffer);
  // The second block describes the interface; LINKTYPE_RAW is 101.
  assert.equal(view.getUint16(view.getUint32(4, true) + 8, true), 101);
});

Deno.test("joinDevices() refuses devices with and without link headers", () => {
  const [one] = MemoryDevice.pair(), [other] = MemoryDevice.pair({ medium: "ip" });
  assert.throws(() => joinDevices(one, other), /Cannot join "memory0" and "memory0"/);
});
