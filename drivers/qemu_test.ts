import assert from "node:assert/strict";
import type { Packet } from "../stack/packet.ts";
import { Process } from "../tests/harness/process.ts";
import { requireTools } from "../tests/harness/tools.ts";
import { deviceConformance, type DevicePair } from "./device_conformance.ts";
import { Collector, fillFrame } from "./device_conformance_frames.ts";
import { QemuDevice, type QemuDeviceOptions } from "./qemu.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function until(done: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!done()) {
    assert.ok(performance.now() < end, "Waited for 5 s");
    await turn();
  }
}

/** Two devices on the two ends of one socket. */
async function socketPair(
  options: QemuDeviceOptions = {},
): Promise<DevicePair & { a: QemuDevice; b: QemuDevice }> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  const listening = QemuDevice.listen(path, options);
  const b = await QemuDevice.connect(path, options);
  const a = await listening;
  const dispose = async (): Promise<void> => {
    // The reads that close() has cancelled end in the next turn.
    await turn();
    await Deno.remove(directory, { recursive: true });
  };
  return { a, b, dispose };
}

/** A plain socket on the other end. */
async function against(options: QemuDeviceOptions = {}) {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  const listener = Deno.listen({ transport: "unix", path });
  const [device, peer] = await Promise.all([QemuDevice.connect(path, options), listener.accept()]);
  listener.close();
  return {
    device,
    peer,
    async [Symbol.asyncDispose]() {
      device.close();
      try {
        peer.close();
      } catch {
        // The test has closed it.
      }
      await turn();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

deviceConformance("QemuDevice", () => socketPair({ slots: 32 }));
deviceConformance("QemuDevice with a large MTU", () => socketPair({ slots: 32, mtu: 9000 }));

Deno.test("QemuDevice stops reading while its buffer is full, and loses nothing", async () => {
  const { a, b, dispose } = await socketPair({ buffer: 131072 });
  let sent = 0;
  const fill = () => {
    for (let index = 0; index < 20; index++) {
      const packet = a.reserve()!;
      fillFrame(packet, b.mac, a.mac, sent, 1000);
      if (!a.transmit(packet)) break;
      sent++;
    }
    a.flush();
  };
  // Until both buffers and the socket's own are full.
  for (let round = 0; round < 500; round++) {
    fill();
    await turn();
  }
  assert.ok(sent > 250 && sent < 5000, `sent ${sent}`);
  assert.ok(a.counters.transmitErrors > 0, "the sender was never refused");
  const collector = new Collector();
  await until(() => {
    b.poll(collector, 64, 0);
    return collector.frames.length === sent;
  });
  assert.deepEqual(collector.faults, []);
  assert.deepEqual(collector.sequences(), Array.from({ length: sent }, (_, index) => index));
  a.close();
  b.close();
  await dispose?.();
});

Deno.test("QemuDevice puts frames together from any pieces of the stream", async () => {
  await using pair = await against();
  const { device, peer } = pair;
  const stream = new Uint8Array(3 * (4 + 60));
  for (let index = 0; index < 3; index++) {
    const view = new DataView(stream.buffer, index * 64);
    view.setUint32(0, 60);
    view.setUint16(4 + 12, 0x88b5);
    view.setUint16(4 + 14, 60);
    view.setUint32(4 + 16, index);
  }
  const collector = new Collector();
  for (const byte of stream) {
    await peer.write(new Uint8Array([byte]));
    await turn();
    device.poll(collector, 64, 0);
  }
  await until(() => (device.poll(collector, 64, 0), collector.frames.length === 3));
  assert.deepEqual(collector.sequences(), [0, 1, 2]);
});

Deno.test("QemuDevice counts frames that are none, and goes on", async () => {
  await using pair = await against();
  const { device, peer } = pair;
  const stream = new Uint8Array(4 + 4 + 13 + 4 + 20);
  const view = new DataView(stream.buffer);
  view.setUint32(0, 0);
  view.setUint32(4, 13);
  view.setUint32(21, 20);
  view.setUint16(25 + 12, 0x88b5);
  await peer.write(stream);
  const collector = new Collector();
  await until(() => (device.poll(collector, 64, 0), collector.frames.length === 1));
  assert.equal(device.counters.receiveErrors, 2);
  assert.equal(device.counters.receivedFrames, 1);
});

Deno.test("QemuDevice is closed, with its failure, when a length makes no sense", async () => {
  await using pair = await against();
  const { device, peer } = pair;
  const woken = Promise.withResolvers<void>();
  device.arm(woken.resolve);
  await peer.write(new Uint8Array([0x7f, 0xff, 0xff, 0xff]));
  await woken.promise;
  assert.equal(device.poll(new Collector(), 64, 0), 0);
  assert.equal(device.closed, true);
  assert.match(device.failure!.message, /announced a frame of "2147483647" bytes/);
});

Deno.test("QemuDevice delivers what came before the end, then is closed with its failure", async () => {
  await using pair = await against();
  const { device, peer } = pair;
  const stream = new Uint8Array(64);
  const view = new DataView(stream.buffer);
  view.setUint32(0, 60);
  view.setUint16(16, 0x88b5);
  await peer.write(stream);
  peer.close();
  const woken = Promise.withResolvers<void>();
  if (device.arm(woken.resolve)) await woken.promise;
  const collector = new Collector();
  await until(() => {
    device.poll(collector, 64, 0);
    return device.closed;
  });
  assert.equal(collector.frames.length, 1);
  assert.match(device.failure!.message, /^Connection of "qemu:.*" ended: .*; start QEMU and connect again$/);
  assert.equal(device.linkUp, false);
});

Deno.test("QemuDevice wakes when the other side goes away", async () => {
  await using pair = await against();
  const woken = Promise.withResolvers<void>();
  assert.equal(pair.device.arm(woken.resolve), true);
  pair.peer.close();
  await woken.promise;
  assert.equal(pair.device.closed, true);
});

Deno.test("QemuDevice says what to do when the socket can't be used", async () => {
  const directory = await Deno.makeTempDir();
  await assert.rejects(QemuDevice.connect(`${directory}/absent`), {
    name: "NotFound",
    message: /Cannot connect to QEMU at ".*absent": .*-netdev stream,id=n0,server=on/,
  });
  await Deno.writeTextFile(`${directory}/file`, "");
  await assert.rejects(
    QemuDevice.listen(`${directory}/file`),
    /Cannot listen at ".*file": .*; remove the file/,
  );
  const waiting = QemuDevice.listen(`${directory}/socket`, { signal: AbortSignal.timeout(20) });
  await assert.rejects(waiting, { name: "TimeoutError" });
  assert.deepEqual([...Deno.readDirSync(directory)].map((entry) => entry.name), ["file"]);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("QemuDevice talks to QEMU's user network, in both roles", async () => {
  await requireTools("qemu-system-x86_64");
  for (const server of [true, false]) {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/socket`;
    const start = () =>
      new Process("qemu-system-x86_64", [
        ...["-machine", "none", "-display", "none", "-monitor", "none"],
        ...["-netdev", `stream,id=s,server=${server ? "on" : "off"},addr.type=unix,addr.path=${path}`],
        ...["-netdev", "user,id=u"],
        ...["-netdev", "hubport,id=a,hubid=0,netdev=s", "-netdev", "hubport,id=b,hubid=0,netdev=u"],
      ]);
    const listening = server ? null : QemuDevice.listen(path);
    await using _qemu = start();
    const device = listening === null ? await connectSoon(path) : await listening;
    let answer: number[] = [];
    const receiver = {
      receive({ bytes, view, offset }: Packet): void {
        if (view.getUint16(offset + 12) === 0x0806) answer = [...bytes.subarray(offset + 20, offset + 42)];
      },
    };
    const packet = device.reserve()!;
    packet.offset = packet.base + 242;
    packet.end = packet.offset + 60;
    packet.bytes.fill(0, packet.offset, packet.end);
    // Who has 10.0.2.2, tell 10.0.2.15 (RFC 826).
    packet.bytes.set([255, 255, 255, 255, 255, 255, ...device.mac, 8, 6], packet.offset);
    packet.bytes.set([0, 1, 8, 0, 6, 4, 0, 1, ...device.mac, 10, 0, 2, 15], packet.offset + 14);
    packet.bytes.set([10, 0, 2, 2], packet.offset + 38);
    assert.equal(device.transmit(packet), true);
    device.flush();
    await until(() => (device.poll(receiver, 64, 0), answer.length > 0));
    assert.deepEqual(answer.slice(0, 2), [0, 2], "no answer to the request");
    assert.deepEqual(answer.slice(8, 12), [10, 0, 2, 2]);
    assert.deepEqual(answer.slice(12, 18), [...device.mac]);
    device.close();
    await turn();
    await Deno.remove(directory, { recursive: true });
  }
});

/** QEMU needs a moment until its socket is there. */
async function connectSoon(path: string): Promise<QemuDevice> {
  const end = performance.now() + 10_000;
  for (;;) {
    try {
      return await QemuDevice.connect(path);
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
