/**
 * `kernel_program.ts FILE`: gives the kernel the frames of each case in FILE (JSON: a list of lists of hexadecimal
 * strings) by the TAP `k0`, and writes into FILE what comes out of `k0` and `k1` for each (JSON: lists of
 * `[0 or 1, frame]`).
 *
 * @module
 */

import { openDevice } from "../../drivers/open.ts";
import type { Device } from "../../stack/device.ts";
import { completeChecksum } from "../../stack/link/offload.ts";
import { CHECKSUM_PARTIAL, type Packet } from "../../stack/packet.ts";
import { checksummed, frame, u16 } from "./bytes.ts";

/** ms that the answer to a question that every host answers may take. */
const DEADLINE = 20_000;
/** Identifier of the echo that says that all before it has been answered. */
const BARRIER = 0xbeef;

const [file = ""] = Deno.args;
const devices = [await openDevice("tap:k0"), await openDevice("tap:k1")];
const cases = JSON.parse(await Deno.readTextFile(file)) as string[][];
const answers: [number, string][][] = [];
// The link comes up with the program.
await ask([]);
for (const frames of cases) answers.push(await ask(frames.map((hex) => Uint8Array.fromHex(hex))));
await Deno.writeTextFile(file, JSON.stringify(answers));
for (const device of devices) device.close();

/** Gives frames to the kernel. @returns What it says until it answers an echo that comes after them. */
async function ask(frames: Uint8Array[]): Promise<[number, string][]> {
  const heard: [number, string][] = [];
  let done = false;
  const poll = () => {
    devices.forEach((device, port) => {
      device.poll(
        {
          receive(packet) {
            const bytes = bytesOf(packet);
            if (isBarrier(bytes)) done = true;
            else heard.push([port, bytes.toHex()]);
          },
        },
        256,
        0,
      );
    });
  };
  for (const bytes of frames) {
    send(devices[0]!, bytes);
    poll();
  }
  const until = Date.now() + DEADLINE;
  for (let last = -Infinity; !done;) {
    if (Date.now() > until) throw new Error("The kernel does not answer an echo");
    // Asked again only because a link that has just come up loses the first.
    if (Date.now() > last + 1000) send(devices[0]!, barrier()), last = Date.now();
    poll();
    if (!done) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  poll();
  return heard;
}

function send(device: Device, bytes: Uint8Array): void {
  const packet = device.reserve()!;
  packet.bytes.set(bytes, packet.offset);
  packet.end = packet.offset + bytes.length;
  device.transmit(packet);
  device.flush();
}

function bytesOf(packet: Packet): Uint8Array {
  // TAP is opened with offloads, so the kernel may leave sums to us.
  if ((packet.flags & CHECKSUM_PARTIAL) !== 0) completeChecksum(packet);
  return packet.bytes.slice(packet.offset, packet.end);
}

function barrier(): Uint8Array {
  const echo = checksummed([8, 0, 0, 0, ...u16(BARRIER), 0, 1], 2, []);
  const header = [0x45, 0, ...u16(20 + echo.length), 0, 0, 0x40, 0, 64, 1, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
  return frame(0x0800, [...checksummed(header, 10, []), ...echo]);
}

function isBarrier(bytes: Uint8Array): boolean {
  return bytes[12] === 8 && bytes[13] === 0 && bytes[23] === 1 && bytes[34] === 0 &&
    (bytes[38]! << 8 | bytes[39]!) === BARRIER;
}
