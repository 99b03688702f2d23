/**
 * Records the frames of any device in a file that tcpdump and Wireshark read.
 *
 * @module
 */

import type { Device, DeviceCounters, Medium } from "../stack/device.ts";
import { FREE, type Handler, type Packet, RECEIVED, RESERVED } from "../stack/packet.ts";
import { MAX_SUPER_FRAME } from "./frame.ts";
import { copyMetadata, type MirrorPacket, Mirrors } from "./mirror.ts";
import { type CaptureSink, Direction, PcapngWriter } from "./pcapng.ts";
import { misused } from "./slot_pool.ts";

/** Options of a {@link CaptureDevice}. */
export interface CaptureOptions {
  /** Bytes kept of each frame, 14 at least; by default all of them. */
  snapLength?: number;
  /**
   * µs from 1970 to the zero of the times that `poll` gets. By default that of the event loop's clock, the start of
   * the process; a simulation gives a number of its own, so that the file is the same in every run.
   */
  epoch?: number;
  /** Bytes gathered before they are written, besides once a turn; 1 MiB by default. */
  buffer?: number;
}

/**
 * Passes everything on to the device it wraps, and writes a copy of each frame that was received or accepted for
 * sending. Checksums which are left to the device are complete in the copy, and super-frames are one packet. When
 * the file cannot be written the capture ends, with {@link captureFailure}; the traffic goes on.
 */
export class CaptureDevice implements Device {
  readonly #inner: Device;
  readonly #writer: PcapngWriter;
  readonly #file: Deno.FsFile | null;
  readonly #epoch: number;
  readonly #mirrors: Mirrors;
  readonly #relay: Handler = { receive: (packet) => this.#receive(packet) };
  #receiver: Handler | null = null;
  #now = 0;
  #closed = false;

  /**
   * Starts a capture.
   * @param inner The device, which is closed with this one. @param sink A path (an existing file is replaced), or a
   *   function that writes. @param options What to keep.
   * @throws {RangeError} If an option is out of range. @throws {Error} If the file can't be made.
   */
  constructor(inner: Device, sink: string | CaptureSink, options: CaptureOptions = {}) {
    const { snapLength = MAX_SUPER_FRAME, epoch = performance.timeOrigin * 1000, buffer = 1 << 20 } = options;
    if (!Number.isInteger(snapLength) || snapLength < 14) {
      throw new RangeError(`Option snapLength is "${snapLength}"; give a whole number of bytes, 14 at least`);
    }
    this.#inner = inner;
    this.#epoch = epoch;
    this.#mirrors = new Mirrors(this);
    this.#file = typeof sink === "string" ? createFile(sink) : null;
    const write = typeof sink === "string" ? writerTo(this.#file!) : sink;
    this.#writer = new PcapngWriter(write, inner, Math.min(snapLength, MAX_SUPER_FRAME), buffer);
  }

  get name(): string {
    return this.#inner.name;
  }

  get medium(): Medium {
    return this.#inner.medium ?? "ethernet";
  }

  get mac(): Uint8Array {
    return this.#inner.mac;
  }

  get mtu(): number {
    return this.#inner.mtu;
  }

  get offloads(): number {
    return this.#inner.offloads;
  }

  get linkUp(): boolean {
    return this.#inner.linkUp;
  }

  get closed(): boolean {
    return this.#closed || this.#inner.closed;
  }

  get failure(): Error | null {
    return this.#inner.failure;
  }

  get counters(): DeviceCounters {
    return this.#inner.counters;
  }

  get deadline(): number {
    return this.#inner.deadline;
  }

  get free(): number {
    return this.#inner.free;
  }

  /** Frames written so far. */
  get captured(): number {
    return this.#writer.frames;
  }

  /** Why the capture has ended, if it has. */
  get captureFailure(): Error | null {
    return this.#writer.failure;
  }

  poll(receiver: Handler, budget: number, now: number): number {
    this.#now = now;
    this.#receiver = receiver;
    try {
      return this.#inner.poll(this.#relay, budget, now);
    } finally {
      this.#receiver = null;
    }
  }

  reserve(): Packet | null {
    const inner = this.#inner.reserve();
    if (inner === null) return null;
    const packet = this.#mirrors.of(inner);
    packet.state = RESERVED;
    return packet;
  }

  transmit(packet: Packet): boolean {
    if (this.closed) return false;
    const state = packet.state;
    if (packet.device !== this || (state !== RESERVED && state !== RECEIVED)) {
      misused("transmit", this, packet);
    }
    const { inner } = packet as MirrorPacket;
    copyMetadata(packet, inner);
    // The copy is made first: what the device has sent is not ours to look at any more.
    const writer = this.#writer;
    writer.prepare();
    const mark = writer.mark;
    const length = packet.length;
    const whole = length >= 0 && packet.offset >= packet.base;
    if (whole) writer.write(packet, Direction.Outbound, this.#time());
    packet.state = FREE;
    if (packet.piece0Length !== 0) packet.dropPieces();
    const sent = this.#inner.transmit(inner);
    if (!sent && whole) writer.rewind(mark);
    return sent;
  }

  release(packet: Packet): void {
    if (this.closed) return;
    if (packet.device !== this || packet.state !== RESERVED) misused("release", this, packet);
    packet.state = FREE;
    this.#inner.release((packet as MirrorPacket).inner);
  }

  flush(): void {
    if (this.#closed) return;
    this.#inner.flush();
    this.#writer.drain();
  }

  arm(wake: () => void): boolean {
    return this.#inner.arm(wake);
  }

  disarm(): void {
    this.#inner.disarm();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#writer.drain();
    this.#file?.close();
    this.#inner.close();
  }

  #receive(inner: Packet): void {
    const packet = this.#mirrors.of(inner);
    this.#writer.prepare();
    this.#writer.write(packet, Direction.Inbound, this.#time());
    packet.state = RECEIVED;
    try {
      this.#receiver!.receive(packet);
    } finally {
      packet.state = FREE;
    }
  }

  #time(): number {
    return Math.floor(this.#epoch + this.#now);
  }
}

function createFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, create: true, truncate: true });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    error.message = `Cannot write the capture "${path}": ${error.message}`;
    throw error;
  }
}

function writerTo(file: Deno.FsFile): CaptureSink {
  return (bytes) => {
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  };
}
