/**
 * Writes the frames of a simulated world to a capture file.
 *
 * @module
 */

import { Direction, PcapngWriter } from "../../drivers/pcapng.ts";
import type { Device } from "../../stack/device.ts";
import { type Bytes, Packet, Region } from "../../stack/packet.ts";
import type { Frame } from "./link.ts";

const LARGEST = 65_600;

/** A pcapng file. Time stamps are virtual: seconds since the world began, as if that was 1970. */
export class CaptureFile {
  readonly #file: Deno.FsFile;
  readonly #writer: PcapngWriter;
  readonly #packet: Packet;

  /** @param path The file; what was in it is lost. */
  constructor(path: string) {
    this.#file = Deno.openSync(path, { write: true, create: true, truncate: true });
    const sink = (bytes: Bytes) => {
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    };
    const about = { name: "link", mac: new Uint8Array(6) };
    this.#writer = new PcapngWriter(sink, about, LARGEST, 1 << 20);
    const region = new Region(new ArrayBuffer(LARGEST));
    this.#packet = new Packet(null as unknown as Device, region, 0, 0, LARGEST);
  }

  /** Frames written. */
  get frames(): number {
    return this.#writer.frames;
  }

  /** Adds a frame. @param time In µs. */
  add(frame: Frame, time: number): void {
    const packet = this.#packet;
    packet.bytes.set(frame.bytes.subarray(0, frame.length));
    packet.reset(0, frame.length);
    packet.flags = frame.flags;
    packet.checksumStart = frame.checksumStart;
    packet.checksumOffset = frame.checksumOffset;
    this.#writer.prepare();
    this.#writer.write(packet, frame.bytes[11] === 1 ? Direction.Outbound : Direction.Inbound, time);
  }

  /** Writes what is left, and closes the file. */
  close(): void {
    this.#writer.drain();
    this.#file.close();
    if (this.#writer.failure !== null) throw this.#writer.failure;
  }
}
