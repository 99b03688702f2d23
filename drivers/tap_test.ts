import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 } from "../stack/device.ts";
import { Namespace } from "../tests/harness/namespace.ts";
import { deviceConformance, type DevicePair, passable } from "./device_conformance.ts";
import { Collector, fillFrame } from "./device_conformance_frames.ts";
import { EBADFD, EIO, ENOENT } from "./ffi/errno.ts";
import { type Libc, libc } from "./ffi/libc.ts";
import type { Packet } from "../stack/packet.ts";
import { formatLinkAddress } from "./link_address.ts";
import { TapDevice, type TapDeviceOptions } from "./tap.ts";

// Loaded once for the whole process, and not by the test that happens to be the first.
libc();

/** Two TAP devices on a bridge of the kernel. */
async function bridged(options: TapDeviceOptions, mtu = 1500): Promise<DevicePair> {
  const namespace = await Namespace.create();
  try {
    await namespace.ip("link", "add", "bridge0", "type", "bridge", "mcast_snooping", "0");
    for (const name of ["left", "right"]) {
      await namespace.tap(name, { mtu });
      await namespace.ip("link", "set", name, "master", "bridge0");
    }
    await namespace.ip("link", "set", "bridge0", "up");
    const a = TapDevice.open({ ...options, name: "left", namespace: namespace.name });
    const b = TapDevice.open({ ...options, name: "right", namespace: namespace.name });
    // A port forwards once its carrier has come up; until then what is sent is lost.
    await passable({ a, b });
    return { a, b, dispose: () => namespace[Symbol.asyncDispose]() };
  } catch (error) {
    await namespace[Symbol.asyncDispose]();
    throw error;
  }
}

deviceConformance("TapDevice", () => bridged({ slots: 32 }));
deviceConformance("TapDevice without offloads", () => bridged({ slots: 32, offloads: "none" }, 9000));
deviceConformance(
  "TapDevice without offloads and without a thread of the kernel's",
  () => bridged({ slots: 32, offloads: "none", delivery: "direct" }, 9000),
);
deviceConformance(
  "TapDevice with a thread of the kernel's",
  () => bridged({ slots: 32, offloads: "none", delivery: "threaded" }),
);
deviceConformance("TapDevice that waits in a thread", () => bridged({ slots: 32, wait: "poll" }));

Deno.test("TapDevice.open() takes the kernel's MTU and offloads, and a link address of its own", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tap7", { mtu: 4321 });
  const device = TapDevice.open({ name: "tap7", namespace: namespace.name });
  try {
    assert.equal(device.name, "tap7");
    assert.equal(device.mtu, 4321);
    const least = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6;
    assert.equal(device.offloads & least, least);
    const [link] = JSON.parse(await namespace.ip("-json", "link", "show", "tap7")) as { address: string }[];
    assert.notEqual(formatLinkAddress(device.mac), link!.address);
  } finally {
    device.close();
  }
});

Deno.test("TapDevice goes on when errno is not that of its read any more", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tap0");
  const calls: { read: Libc["read"] } = libc();
  const errno = new Int32Array(
    Deno.UnsafePointerView.getArrayBuffer(libc().__errno_location()!, 4) as ArrayBuffer,
  );
  const { read } = calls;
  let changed = 0;
  // As V8 does it now and then, when it compiles or collects garbage right there.
  calls.read = (fd, pointer, length) => {
    const result = read(fd, pointer, length);
    if (result < 0 && changed++ % 7 !== 6) errno[0] = [ENOENT, EIO, EBADFD][changed % 3]!;
    return result;
  };
  const device = TapDevice.open({ name: "tap0", namespace: namespace.name });
  const frames = new Collector();
  try {
    await namespace.ip("address", "add", "10.0.0.1/24", "dev", "tap0");
    // Somebody who has to be asked for by ARP.
    const ping = namespace.run("ping", ["-c", "1", "-W", "1", "10.0.0.2"]).catch(() => {});
    const end = performance.now() + 60_000;
    while (frames.seen === 0 || changed < 50) {
      device.poll(frames, 64, 0);
      assert.ok(performance.now() < end, `${frames.seen} frames after ${changed} failures`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.equal(device.failure, null);
    assert.ok(device.linkUp);
    await ping;
    await namespace.ip("link", "delete", "tap0");
    while (!device.closed) {
      device.poll(frames, 64, 0);
      assert.ok(performance.now() < end, "the device that was deleted is not closed");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.match(String(device.failure), /tap0/);
  } finally {
    calls.read = read;
    device.close();
  }
});

Deno.test("TapDevice.open() has a thread of the kernel's take what is sent, or not", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tap0");
  const setting = async () => (await namespace.run("cat", ["/sys/class/net/tap0/threaded"])).stdout.trim();
  const threaded = TapDevice.open({ name: "tap0", namespace: namespace.name, delivery: "threaded" });
  assert.equal(await setting(), "1");
  threaded.close();
  const direct = TapDevice.open({ name: "tap0", namespace: namespace.name, delivery: "direct" });
  assert.equal(direct.failure, null);
  direct.close();
});

Deno.test("TapDevice.open() takes a thread of the kernel's by default when it has no offloads", async () => {
  await using namespace = await Namespace.create();
  const taken = (options: TapDeviceOptions) => {
    const device = TapDevice.open({ namespace: namespace.name, ...options });
    device.close();
    return device.delivery;
  };
  assert.equal(taken({}), "direct");
  assert.equal(taken({ offloads: "none" }), "threaded");
  assert.equal(taken({ offloads: "none", delivery: "direct" }), "direct");
  assert.equal(taken({ offloads: "all", delivery: "threaded" }), "threaded");
});

Deno.test("TapDevice.open() does without a thread of the kernel's when there is no such thing", async () => {
  await using namespace = await Namespace.create();
  const calls: { ioctl: Libc["ioctl"] } = libc();
  const { ioctl } = calls;
  // A kernel that does not know IFF_NAPI.
  calls.ioctl = (fd, request, buffer) => {
    const flags = new DataView((buffer as Uint8Array<ArrayBuffer>).buffer);
    const unknown = request === 0x400454ca && (flags.getUint16(16, true) & 0x10) !== 0;
    return unknown ? -1 : ioctl(fd, request, buffer);
  };
  try {
    const device = TapDevice.open({ namespace: namespace.name, offloads: "none" });
    assert.equal(device.delivery, "direct");
    device.close();
    assert.throws(() => TapDevice.open({ namespace: namespace.name, delivery: "threaded" }), /Cannot open/);
  } finally {
    calls.ioctl = ioctl;
  }
  assert.deepEqual(await namespace.interfaces(), ["lo"]);
});

Deno.test("TapDevice.open() does without a thread of the kernel's for a user who may not have one", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tap0", { user: "0" });
  const script = (delivery: string) => `
    import { TapDevice } from "${new URL("./tap.ts", import.meta.url)}";
    try {
      const device = TapDevice.open({ name: "tap0", offloads: "none"${delivery} });
      console.log(device.delivery);
      device.close();
    } catch (error) { console.log(error.name + ": " + error.message); }`;
  const run = async (delivery: string) =>
    (await namespace.run("setpriv", [
      ...["--inh-caps=-all", "--bounding-set=-all", "--reuid=0"],
      ...[Deno.execPath(), "eval", "--no-check", script(delivery)],
    ])).stdout.trim();
  assert.equal(await run(""), "direct");
  assert.match(
    await run(`, delivery: "threaded"`),
    /^PermissionDenied: Cannot have "tap0" served by a thread/,
  );
});

Deno.test("TapDevice.open() makes a device that goes away when it is closed", async () => {
  await using namespace = await Namespace.create();
  const device = TapDevice.open({ namespace: namespace.name });
  assert.match(device.name, /^tap\d+$/);
  assert.ok((await namespace.interfaces()).includes(device.name));
  device.close();
  assert.deepEqual(await namespace.interfaces(), ["lo"]);
});

Deno.test("TapDevice.open() says what to do when the name can't be used", async () => {
  await using namespace = await Namespace.create();
  const open = (name: string) => TapDevice.open({ name, namespace: namespace.name });
  assert.throws(() => open("a-name-too-long-0"), /"a-name-too-long-0" has 17 bytes; Linux allows 15/);
  assert.throws(() => open("a/b"), /"a\/b" is not valid/);
  assert.throws(() => open("lo"), /Cannot open the TAP device "lo": .*use another name/);
  const holder = open("busy0");
  try {
    assert.throws(() => open("busy0"), {
      name: "Busy",
      message: /"busy0": in use \(EBUSY\); another program/,
    });
  } finally {
    holder.close();
  }
  open("busy0").close();
});

Deno.test("TapDevice.open() refuses the kernel's own link address and that of a group", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tap0");
  await namespace.ip("link", "set", "tap0", "address", "02:00:00:00:00:07");
  const open = (mac: Uint8Array) => TapDevice.open({ name: "tap0", mac, namespace: namespace.name });
  assert.throws(() => open(new Uint8Array([2, 0, 0, 0, 0, 7])), /"02:00:00:00:00:07" belongs to the kernel/);
  assert.throws(() => open(new Uint8Array([3, 0, 0, 0, 0, 7])), /is not that of a host/);
  const device = open(new Uint8Array([2, 0, 0, 0, 0, 8]));
  assert.equal(formatLinkAddress(device.mac), "02:00:00:00:00:08");
  device.close();
});

Deno.test("TapDevice.open() says so when the namespace does not exist", () => {
  assert.throws(() => TapDevice.open({ namespace: "ethox-absent" }), {
    name: "NotFound",
    message: /namespace "ethox-absent".*ip netns add/,
  });
});

Deno.test("TapDevice.open() tells a user without rights what root has to do", async () => {
  const script = `
    import { TapDevice } from "${new URL("./tap.ts", import.meta.url)}";
    try { TapDevice.open({ name: "ethoxperm0" }); console.log("opened"); }
    catch (error) { console.log(error.name + ": " + error.message); }`;
  const { stdout, stderr } = await new Deno.Command("setpriv", {
    args: [
      "--inh-caps=-all",
      "--bounding-set=-all",
      "--reuid=0",
      Deno.execPath(),
      "eval",
      "--no-check",
      script,
    ],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.match(text, /^PermissionDenied: .*(run as root|let root)/, text + new TextDecoder().decode(stderr));
});

Deno.test("TapDevice is closed, with its failure, when the interface is deleted", async () => {
  await using namespace = await Namespace.create();
  for (const armed of [false, true]) {
    const device = TapDevice.open({ name: "gone0", namespace: namespace.name });
    const woken = Promise.withResolvers<void>();
    if (armed) assert.equal(device.arm(woken.resolve), true);
    await namespace.ip("link", "delete", "gone0");
    if (armed) await woken.promise;
    assert.equal(device.poll(new Collector(), 64, 0), 0);
    assert.equal(device.closed, true);
    assert.match(device.failure!.message, /"gone0" failed: the device was deleted \(EBADFD\)/);
    assert.equal(device.reserve(), null);
    device.close();
  }
});

Deno.test("TapDevice knows when the kernel's side is down, and comes back", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tap0");
  const device = TapDevice.open({ name: "tap0", namespace: namespace.name });
  try {
    const send = () => {
      const packet = device.reserve()!;
      fillFrame(packet, new Uint8Array(6).fill(255), device.mac, 0, 60);
      return device.transmit(packet);
    };
    assert.equal(device.linkUp, true);
    assert.equal(send(), true);
    await namespace.ip("link", "set", "tap0", "down");
    assert.equal(send(), false);
    assert.equal(device.linkUp, false);
    assert.equal(device.closed, false);
    await namespace.ip("link", "set", "tap0", "up");
    assert.equal(device.linkUp, true);
    assert.equal(send(), true);
  } finally {
    device.close();
  }
});

Deno.test("TapDevice does not hold the process open after disarm()", async () => {
  await using namespace = await Namespace.create();
  for (const wait of ["auto", "poll"]) {
    const script = `
      import { TapDevice } from "${new URL("./tap.ts", import.meta.url)}";
      const device = TapDevice.open({ wait: "${wait}" });
      device.arm(() => {});
      await new Promise((resolve) => setTimeout(resolve, 20));
      device.disarm();
      console.log("disarmed");`;
    const { stdout } = await namespace.run("timeout", ["5", Deno.execPath(), "eval", "--no-check", script]);
    assert.equal(stdout.trim(), "disarmed");
  }
});

/** Which of the groups 239.0.0.1 to 239.0.0.9 come to a device when each is sent a frame. */
async function heard(namespace: Namespace, device: TapDevice): Promise<number[]> {
  const seen = new Set<number>();
  const receiver = {
    receive({ view, offset }: Packet): void {
      if (view.getInt32(offset + 2) >>> 24 === 0x5e) seen.add(view.getUint8(offset + 5));
    },
  };
  for (let group = 1; group <= 9; group++) {
    await namespace.attempt("ping", ["-c", "1", "-W", "0.01", `239.0.0.${group}`]);
    while (device.poll(receiver, 64, 0) > 0);
  }
  return [...seen];
}

/** Waits until all come: the kernel's side sends nothing until it has noticed its carrier. */
async function allCome(namespace: Namespace, device: TapDevice): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) if ((await heard(namespace, device)).length === 9) return;
  assert.fail("frames to groups do not come");
}

Deno.test("TapDevice.filterGroups() has the kernel drop frames to groups that are not wanted", async () => {
  await using namespace = await Namespace.create();
  const device = TapDevice.open({ name: "tap0", namespace: namespace.name });
  try {
    await namespace.ip("address", "add", "10.0.0.1/24", "dev", "tap0");
    await namespace.ip("link", "set", "tap0", "up");
    await namespace.ip("route", "add", "224.0.0.0/4", "dev", "tap0");
    await allCome(namespace, device);
    device.filterGroups([0x100, 0x5e000003, 0x100, 0x5e000005]);
    assert.deepEqual(await heard(namespace, device), [3, 5]);
    device.filterGroups([]);
    assert.deepEqual(await heard(namespace, device), []);
    device.filterGroups(null);
    assert.equal((await heard(namespace, device)).length, 9);
    // Beyond what the kernel tells apart exactly, it still passes all that is wanted.
    device.filterGroups(Array.from({ length: 20 }, (_, index) => [0x100, 0x5e000005 + index]).flat());
    const some = await heard(namespace, device);
    assert.ok([5, 6, 7, 8, 9].every((group) => some.includes(group)), `${some}`);
  } finally {
    device.close();
  }
});

Deno.test("TapDevice.filterGroups() leaves a device alone that others may open after us", async () => {
  await using namespace = await Namespace.create();
  await namespace.tap("tap0", { addresses: ["10.0.0.1/24"] });
  await namespace.ip("route", "add", "224.0.0.0/4", "dev", "tap0");
  const device = TapDevice.open({ name: "tap0", namespace: namespace.name });
  try {
    await allCome(namespace, device);
    device.filterGroups([]);
    assert.equal((await heard(namespace, device)).length, 9);
  } finally {
    device.close();
  }
});
