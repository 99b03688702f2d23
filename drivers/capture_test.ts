import assert from "node:assert/strict";
import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4 } from "../stack/device.ts";
import { run } from "../tests/harness/process.ts";
import { requireTools } from "../tests/harness/tools.ts";
import { CaptureDevice, type CaptureOptions } from "./capture.ts";
import { deviceConformance } from "./device_conformance.ts";
import { Collector, fillFrame, fillSegment } from "./device_conformance_frames.ts";
import { MemoryDevice } from "./memory.ts";

const TSO = OFFLOAD_CHECKSUM | OFFLOAD_TSO4;

deviceConformance("CaptureDevice", () => {
  const [inner, b] = MemoryDevice.pair({ slots: 32 });
  const [a, other] = [new CaptureDevice(inner, () => {}), new CaptureDevice(b, () => {}, { buffer: 4096 })];
  return { a, b: other };
});

deviceConformance("CaptureDevice over a device with offloads", () => {
  const [a, b] = MemoryDevice.pair({ slots: 32, offloads: TSO });
  return { a: new CaptureDevice(a, () => {}), b: new CaptureDevice(b, () => {}) };
});

/** A capture in memory. */
function capturing(options: CaptureOptions = {}, offloads = 0) {
  const chunks: Uint8Array[] = [];
  const [inner, peer] = MemoryDevice.pair({ offloads, name: "cap" });
  const device = new CaptureDevice(inner, (bytes) => void chunks.push(bytes.slice()), {
    epoch: 0,
    ...options,
  });
  const file = async (): Promise<string> => {
    const path = await Deno.makeTempFile({ suffix: ".pcapng" });
    await Deno.writeFile(path, new Blob(chunks.map((chunk) => chunk.slice())).stream());
    return path;
  };
  return { device, peer, chunks, file };
}

function send(
  from: CaptureDevice | MemoryDevice,
  to: { mac: Uint8Array },
  sequence: number,
  length = 60,
): boolean {
  const packet = from.reserve()!;
  fillFrame(packet, to.mac, from.mac, sequence, length);
  const sent = from.transmit(packet);
  from.flush();
  return sent;
}

Deno.test("CaptureDevice writes what tshark reads: times, lengths, directions and the interface", async () => {
  await requireTools("tshark");
  const { device, peer, file } = capturing({ epoch: 1_700_000_000_000_000 });
  const collector = new Collector();
  send(peer, device, 0, 61);
  device.poll(collector, 64, 1_500_000.7);
  device.flush();
  send(device, peer, 1, 62);
  const path = await file();
  const fields = ["frame.time_epoch", "frame.len", "frame.packet_flags_direction", "frame.interface_name"];
  const { stdout } = await run("tshark", [
    "-r",
    path,
    "-T",
    "fields",
    ...fields.flatMap((name) => ["-e", name]),
  ]);
  const rows = stdout.trim().split("\n").map((line) => line.split("\t"));
  assert.deepEqual(rows.map((row) => [Number(row[0]), ...row.slice(1)]), [
    [1_700_000_001.5, "61", "0x00000001", "cap0"],
    [1_700_000_001.5, "62", "0x00000002", "cap0"],
  ]);
  await Deno.remove(path);
});

Deno.test("CaptureDevice completes checksums in the copy, and leaves the frame as it was", async () => {
  await requireTools("tcpdump");
  const { device, peer, file } = capturing({}, TSO);
  for (const payload of [0, 1, 333, 30_000]) {
    const packet = device.reserve()!;
    fillSegment(packet, peer.mac, device.mac, 0, payload);
    if (payload > 1460) {
      packet.gsoType = 1;
      packet.gsoSize = 1448;
    }
    device.transmit(packet);
  }
  device.flush();
  const collector = new Collector();
  peer.poll(collector, 64, 0);
  assert.deepEqual(collector.frames.map((frame) => frame.flags & 1), [1, 1, 1, 1]);
  const path = await file();
  const { stdout } = await run("tcpdump", ["-r", path, "-nn", "-vv"]);
  assert.equal(stdout.match(/cksum 0x[0-9a-f]{4} \(correct\)/g)?.length, 4, stdout);
  assert.doesNotMatch(stdout, /incorrect|bad cksum/);
  await Deno.remove(path);
});

Deno.test("CaptureDevice keeps the first bytes of each frame when told so", async () => {
  await requireTools("tshark");
  const { device, peer, file } = capturing({ snapLength: 33 });
  send(device, peer, 0, 1000);
  send(device, peer, 0, 20);
  const path = await file();
  const { stdout } = await run("tshark", [
    "-r",
    path,
    "-T",
    "fields",
    "-e",
    "frame.len",
    "-e",
    "frame.cap_len",
  ]);
  assert.deepEqual(stdout.trim().split("\n"), ["1000\t33", "20\t20"]);
  await Deno.remove(path);
});

Deno.test("CaptureDevice leaves out what the device refuses", () => {
  const { device, peer } = capturing();
  assert.equal(send(device, peer, 0, 2000), false);
  assert.equal(device.captured, 0);
  assert.equal(send(device, peer, 0, 100), true);
  assert.equal(device.captured, 1);
});

Deno.test("CaptureDevice writes once a turn, and earlier when its buffer is full", () => {
  const { device, peer, chunks } = capturing({ snapLength: 1000, buffer: 4096 });
  for (let sequence = 0; sequence < 3; sequence++) {
    const packet = device.reserve()!;
    fillFrame(packet, peer.mac, device.mac, sequence, 900);
    device.transmit(packet);
  }
  assert.equal(chunks.length, 0);
  for (let sequence = 0; sequence < 3; sequence++) {
    const packet = device.reserve()!;
    fillFrame(packet, peer.mac, device.mac, sequence, 900);
    device.transmit(packet);
  }
  assert.equal(chunks.length, 1);
  device.flush();
  assert.equal(chunks.length, 2);
  device.flush();
  assert.equal(chunks.length, 2);
});

Deno.test("CaptureDevice goes on without the capture when the sink throws", () => {
  const [inner, peer] = MemoryDevice.pair();
  const device = new CaptureDevice(inner, () => {
    throw new Error("No space left on the device");
  });
  const collector = new Collector();
  for (let sequence = 0; sequence < 3; sequence++) assert.equal(send(device, peer, sequence), true);
  peer.poll(collector, 64, 0);
  assert.deepEqual(collector.sequences(), [0, 1, 2]);
  assert.equal(device.captureFailure!.message, "No space left on the device");
});

Deno.test("CaptureDevice writes a file, and says so when it can't", async () => {
  const directory = await Deno.makeTempDir();
  const [inner, peer] = MemoryDevice.pair();
  const device = new CaptureDevice(inner, `${directory}/frames.pcapng`);
  send(device, peer, 0);
  device.close();
  const { size } = await Deno.stat(`${directory}/frames.pcapng`);
  assert.ok(size > 60 + 100);
  assert.throws(() => new CaptureDevice(inner, `${directory}/absent/frames.pcapng`), {
    name: "NotFound",
    message: /^Cannot write the capture ".*absent\/frames.pcapng": /,
  });
  await Deno.remove(directory, { recursive: true });
});
