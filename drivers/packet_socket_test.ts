import assert from "node:assert/strict";
import { Namespace } from "../tests/harness/namespace.ts";
import { deviceConformance, type DevicePair, passable } from "./device_conformance.ts";
import type { Handler, Packet } from "../stack/packet.ts";
import { Collector, ETHERTYPE, fillFrame } from "./device_conformance_frames.ts";
import { libc } from "./ffi/libc.ts";
import { uptime } from "./ffi/system.ts";
import { formatLinkAddress } from "./link_address.ts";
import { PacketSocketDevice, type PacketSocketOptions } from "./packet_socket.ts";

// Loaded once for the whole process, and not by the test that happens to be the first.
libc();
uptime();

/** Both ends of a veth pair of the kernel. */
async function joined(options: Omit<PacketSocketOptions, "name"> = {}, mtu = 1500): Promise<DevicePair> {
  const namespace = await Namespace.create();
  try {
    await namespace.ip("link", "add", "left", "type", "veth", "peer", "name", "right");
    for (const name of ["left", "right"]) await namespace.ip("link", "set", name, "mtu", String(mtu), "up");
    const open = (name: string) => PacketSocketDevice.open({ ...options, name, namespace: namespace.name });
    const a = open("left"), b = open("right");
    await passable({ a, b });
    return { a, b, dispose: () => namespace[Symbol.asyncDispose]() };
  } catch (error) {
    await namespace[Symbol.asyncDispose]();
    throw error;
  }
}

deviceConformance("PacketSocketDevice", () => joined({ slots: 32 }));
deviceConformance("PacketSocketDevice without offloads", () => joined({ slots: 32, offloads: "none" }, 9000));
deviceConformance(
  "PacketSocketDevice with a short ring",
  () => joined({ slots: 32, ring: 16, bypass: true }),
);
deviceConformance("PacketSocketDevice that waits in a thread", () => joined({ slots: 32, wait: "poll" }));

/** A namespace with both ends of a veth pair, up. */
async function pair(): Promise<Namespace> {
  const namespace = await Namespace.create();
  await namespace.ip("link", "add", "left", "type", "veth", "peer", "name", "right");
  for (const name of ["left", "right"]) await namespace.ip("link", "set", name, "up");
  return namespace;
}

Deno.test("PacketSocketDevice.open() says what to do when it can't be opened", async () => {
  await using namespace = await pair();
  const open = (name: string, options = {}) =>
    PacketSocketDevice.open({ name, namespace: namespace.name, ...options });
  assert.throws(() => open("absent0"), { name: "NotFound", message: /no interface "absent0"/ });
  assert.throws(() => open("lo"), { name: "NotSupported", message: /"lo" is of type 772, not Ethernet/ });
  assert.throws(() => open("a-name-too-long-0"), { name: "TypeError", message: /has 17 bytes/ });
  assert.throws(() => open(""), { name: "TypeError", message: /has 0 bytes/ });
  assert.throws(() => open("left", { ring: 3 }), { name: "RangeError", message: /ring is "3"/ });
  assert.throws(() => open("left", { mac: new Uint8Array([3, 0, 0, 0, 0, 7]) }), /is not that of a host/);
  const script = `
    import { PacketSocketDevice } from "${new URL("./packet_socket.ts", import.meta.url)}";
    try { PacketSocketDevice.open({ name: "left" }); console.log("opened"); }
    catch (error) { console.log(error.name + ": " + error.message); }`;
  const { stdout } = await namespace.run("setpriv", [
    ...["--inh-caps=-all", "--bounding-set=-all", "--reuid=0"],
    ...[Deno.execPath(), "eval", "--no-check", script],
  ]);
  assert.match(stdout, /^PermissionDenied: .*"left".*run as root/);
});

Deno.test("PacketSocketDevice.open() takes a link address of its own, or the one it is given", async () => {
  await using namespace = await pair();
  const link = async () => JSON.parse(await namespace.ip("-json", "link", "show", "left"))[0] as Link;
  const theirs = (await link()).address;
  const mac = Uint8Array.from(theirs.split(":"), (byte) => parseInt(byte, 16));
  for (const given of [undefined, mac]) {
    const device = PacketSocketDevice.open({
      name: "left",
      namespace: namespace.name,
      ...given && { mac: given },
    });
    assert.equal(formatLinkAddress(device.mac) === theirs, given !== undefined);
    device.close();
  }
});

interface Link {
  address: string;
}

/** Polls until `done`; fails after a while. */
async function until(device: PacketSocketDevice, frames: Handler, done: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!done()) {
    device.poll(frames, 64, 0);
    assert.ok(performance.now() < end, "waited for 10 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

Deno.test("PacketSocketDevice is closed, with its failure, when the interface is deleted", async () => {
  for (const armed of [false, true]) {
    await using namespace = await pair();
    const device = PacketSocketDevice.open({ name: "left", namespace: namespace.name });
    const woken = Promise.withResolvers<void>();
    if (armed) assert.equal(device.arm(woken.resolve), true);
    await namespace.ip("link", "delete", "right");
    // What wakes first may be that it went down.
    if (armed) await woken.promise;
    await until(device, new Collector(), () => (device.arm(() => {}), device.closed));
    assert.equal(device.closed, true);
    assert.match(device.failure!.message, /"left" was deleted/);
    assert.equal(device.reserve(), null);
    device.close();
  }
});

Deno.test("PacketSocketDevice knows when its interface or the other end is down, and comes back", async () => {
  await using namespace = await pair();
  const device = PacketSocketDevice.open({ name: "left", namespace: namespace.name });
  try {
    const send = () => {
      const packet = device.reserve()!;
      fillFrame(packet, new Uint8Array(6).fill(255), device.mac, 0, 60);
      assert.equal(device.transmit(packet), true);
      const { transmitErrors } = device.counters;
      device.flush();
      return device.counters.transmitErrors === transmitErrors;
    };
    assert.equal(device.linkUp, true);
    assert.equal(send(), true);
    await namespace.ip("link", "set", "left", "down");
    assert.equal(send(), false);
    assert.equal(device.linkUp, false);
    assert.equal(device.closed, false);
    await namespace.ip("link", "set", "left", "up");
    assert.equal(device.linkUp, true);
    assert.equal(send(), true);
    const woken = Promise.withResolvers<void>();
    // The news of the link may come one by one.
    const arm = (): void => void (device.arm(() => device.linkUp ? arm() : woken.resolve()) || arm());
    arm();
    await namespace.ip("link", "set", "right", "down");
    await woken.promise;
    assert.equal(device.linkUp, false);
  } finally {
    device.close();
  }
});

Deno.test("PacketSocketDevice does not hold the process open after disarm()", async () => {
  await using namespace = await pair();
  for (const wait of ["auto", "poll"]) {
    const script = `
      import { PacketSocketDevice } from "${new URL("./packet_socket.ts", import.meta.url)}";
      const device = PacketSocketDevice.open({ name: "left", wait: "${wait}" });
      device.arm(() => {});
      await new Promise((resolve) => setTimeout(resolve, 20));
      device.disarm();
      console.log("disarmed");`;
    const { stdout } = await namespace.run("timeout", ["5", Deno.execPath(), "eval", "--no-check", script]);
    assert.equal(stdout.trim(), "disarmed");
  }
});

/** Sends frames to some addresses from one device, and tells which of them came to another. */
async function heard(from: PacketSocketDevice, to: PacketSocketDevice, targets: string[]): Promise<string[]> {
  const seen = new Set<string>();
  const receiver = {
    receive: ({ bytes, offset }: Packet) =>
      void seen.add(formatLinkAddress(bytes.subarray(offset, offset + 6))),
  };
  for (const target of [...targets, formatLinkAddress(to.mac)]) {
    const packet = from.reserve()!;
    const mac = Uint8Array.from(target.split(":"), (byte) => parseInt(byte, 16));
    fillFrame(packet, mac, from.mac, 0, 60);
    from.transmit(packet);
  }
  from.flush();
  // The one to itself comes last, and always.
  await until(to, receiver, () => seen.has(formatLinkAddress(to.mac)));
  return targets.filter((target) => seen.has(target));
}

Deno.test("PacketSocketDevice.filterGroups() has the kernel drop what is not wanted before it takes a slot", async () => {
  await using namespace = await pair();
  const open = (name: string) => PacketSocketDevice.open({ name, namespace: namespace.name });
  const from = open("left"), to = open("right");
  try {
    const broadcast = "ff:ff:ff:ff:ff:ff", stranger = "02:00:00:00:00:99";
    const one = "01:00:5e:00:00:03", other = "01:00:5e:00:00:05";
    const all = [broadcast, stranger, one, other];
    assert.deepEqual(await heard(from, to, all), all);
    to.filterGroups([0x100, 0x5e000003]);
    assert.deepEqual(await heard(from, to, all), [broadcast, one]);
    to.filterGroups([]);
    assert.deepEqual(await heard(from, to, all), [broadcast]);
    to.filterGroups(Array.from({ length: 200 }, (_, index) => [0x100, 0x5e000005 + index]).flat());
    assert.deepEqual(await heard(from, to, all), [broadcast, one, other]);
    to.filterGroups(null);
    assert.deepEqual(await heard(from, to, all), all);
  } finally {
    from.close();
    to.close();
  }
});

Deno.test("PacketSocketDevice puts VLAN tags back that the kernel has taken out", async () => {
  await using namespace = await pair();
  const open = (name: string) => PacketSocketDevice.open({ name, namespace: namespace.name });
  const from = open("left"), to = open("right");
  try {
    const packet = from.reserve()!;
    fillFrame(packet, to.mac, from.mac, 7, 100);
    packet.view.setUint32(packet.offset + 12, 0x8100_6042);
    packet.view.setUint16(packet.offset + 16, ETHERTYPE);
    const sent = packet.bytes.slice(packet.offset, packet.end);
    let came: Uint8Array | null = null;
    from.transmit(packet);
    from.flush();
    const receiver = {
      receive({ bytes, view, offset, end }: Packet): void {
        if (view.getUint16(offset + 12) === 0x8100) came = bytes.slice(offset, end);
      },
    };
    await until(to, receiver, () => came !== null);
    assert.deepEqual(came, sent);
  } finally {
    from.close();
    to.close();
  }
});

Deno.test("PacketSocketDevice counts what finds no free slot, and goes on", async () => {
  await using namespace = await pair();
  const from = PacketSocketDevice.open({ name: "left", namespace: namespace.name });
  const to = PacketSocketDevice.open({ name: "right", namespace: namespace.name, ring: 16 });
  try {
    const frames = new Collector();
    const send = (count: number) => {
      for (let sequence = 0; sequence < count; sequence++) {
        const packet = from.reserve()!;
        fillFrame(packet, to.mac, from.mac, sequence, 60);
        from.transmit(packet);
        from.flush();
      }
    };
    send(1000);
    while (to.poll(frames, 64, 0) > 0);
    const slots = frames.frames.length;
    assert.ok(slots >= 16 && slots < 1000, `${slots} frames came`);
    assert.deepEqual(frames.sequences(), Array.from({ length: slots }, (_, index) => index));
    // The kernel tells of them with the next frame.
    send(1);
    await until(to, frames, () => frames.frames.length === slots + 1);
    assert.equal(to.counters.receiveErrors, 1000 - slots);
  } finally {
    from.close();
    to.close();
  }
});

Deno.test("PacketSocketDevice allocates nothing a frame, sent, received or answered in place", async () => {
  await using namespace = await pair();
  const program = new URL("../tests/harness/programs/packet_socket_garbage.ts", import.meta.url).pathname;
  const { stdout } = await namespace.run(Deno.execPath(), [
    ...["run", "-A", "--no-check", "--v8-flags=--expose-gc", program],
  ], { deadline: 60_000 });
  const { answers, expected, bytes } = JSON.parse(stdout);
  assert.equal(answers, expected);
  assert.ok(bytes < 2, `${bytes} bytes a frame`);
});
