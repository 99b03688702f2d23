/**
 * Writes capture files in the pcapng format (draft-ietf-opsawg-pcapng), as tcpdump and Wireshark read them.
 *
 * @module
 */

import type { Medium } from "../stack/device.ts";
import { CHECKSUM_PARTIAL, type Packet, Region } from "../stack/packet.ts";
import { sumPacket } from "../stack/wire/checksum.ts";

/** Takes bytes that are valid until it returns, and writes all of them. What it throws ends the capture. */
export type CaptureSink = (bytes: Uint8Array<ArrayBuffer>) => void;

/** Which way a frame went; values are those of `epb_flags` (section 4.3.1). */
export enum Direction {
  Inbound = 1,
  Outbound = 2,
}

/** What the interface description says (section 4.2). */
export interface CaptureInterface {
  /** Its name. */
  name: string;
  /** Its link address, 6 bytes. */
  mac: Uint8Array;
  /** What its frames are; `ethernet` by default. */
  medium?: Medium;
}

const SECTION_HEADER = 0x0a0d0d0a, INTERFACE_DESCRIPTION = 1, ENHANCED_PACKET = 6;
const BYTE_ORDER = 0x1a2b3c4d;
/** Frames of Ethernet, and IP packets of either version. */
const LINKTYPE_ETHERNET = 1, LINKTYPE_RAW = 101;
const OPTION_END = 0, IF_NAME = 2, EPB_FLAGS = 2, USER_APPLICATION = 4, IF_MAC = 6, IF_TSRESOL = 9;
/** Time stamps count 10⁻⁶ s. */
const MICROSECONDS = 6;
/** Bytes of an enhanced packet block beside the frame: before it, and behind it. */
const EPB_HEAD = 28, EPB_TAIL = 16;
/** Where the UDP checksum lies in its header. */
const UDP_CHECKSUM = 6;

/** Gathers blocks in a buffer of fixed size and hands them to a sink. */
export class PcapngWriter {
  /** Frames written. */
  frames = 0;
  /** What the sink threw; nothing is written after that. */
  failure: Error | null = null;
  readonly #sink: CaptureSink;
  readonly #snapLength: number;
  readonly #buffer: Region;
  #length = 0;

  /**
   * Writes the headers into the buffer.
   * @param sink Gets the bytes. @param about The interface. @param snapLength Bytes kept of each frame, at most.
   * @param size Bytes of the buffer. It is made large enough for one frame.
   */
  constructor(sink: CaptureSink, about: CaptureInterface, snapLength: number, size: number) {
    this.#sink = sink;
    this.#snapLength = snapLength;
    this.#buffer = new Region(new ArrayBuffer(Math.max(size, snapLength + 512)));
    this.#writeHeaders(about);
  }

  /** Position in the buffer, for {@link rewind}. */
  get mark(): number {
    return this.#length;
  }

  /** Takes back the frame that was written after {@link mark} was read. */
  rewind(mark: number): void {
    if (this.failure !== null) return;
    this.#length = mark;
    this.frames--;
  }

  /** Makes room for one more frame, so that {@link write} only appends. */
  prepare(): void {
    if (this.#buffer.bytes.length - this.#length < this.#snapLength + EPB_HEAD + EPB_TAIL) this.drain();
  }

  /** Adds a frame, its checksum complete. Call {@link prepare} before. @param time µs since 1970. */
  write(packet: Packet, direction: Direction, time: number): void {
    if (this.failure !== null) return;
    const { bytes, view } = this.#buffer;
    const start = this.#length;
    const length = packet.length;
    const kept = Math.min(length, this.#snapLength);
    const padded = (kept + 3) & ~3;
    const total = EPB_HEAD + padded + EPB_TAIL;
    view.setUint32(start, ENHANCED_PACKET, true);
    view.setUint32(start + 4, total, true);
    view.setUint32(start + 8, 0, true);
    view.setUint32(start + 12, time / 0x1_0000_0000, true);
    view.setUint32(start + 16, time >>> 0, true);
    view.setUint32(start + 20, kept, true);
    view.setUint32(start + 24, length, true);
    const data = start + EPB_HEAD;
    copyStart(packet, kept, bytes, data);
    if ((packet.flags & CHECKSUM_PARTIAL) !== 0) {
      const field = packet.checksumStart - packet.offset + packet.checksumOffset;
      if (field + 2 <= kept) {
        const sum = ~sumPacket(packet, packet.checksumStart) & 0xffff;
        view.setUint16(data + field, sum === 0 && packet.checksumOffset === UDP_CHECKSUM ? 0xffff : sum);
      }
    }
    let at = data + kept;
    while (at < data + padded) bytes[at++] = 0;
    view.setUint16(at, EPB_FLAGS, true);
    view.setUint16(at + 2, 4, true);
    view.setUint32(at + 4, direction, true);
    view.setUint32(at + 8, OPTION_END, true);
    view.setUint32(at + 12, total, true);
    this.#length = at + EPB_TAIL;
    this.frames++;
  }

  /** Hands what was gathered to the sink. */
  drain(): void {
    const length = this.#length;
    if (length === 0) return;
    this.#length = 0;
    if (this.failure !== null) return;
    try {
      this.#sink(this.#buffer.bytes.subarray(0, length));
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error(String(error));
    }
  }

  #writeHeaders({ name, mac, medium }: CaptureInterface): void {
    this.#block(SECTION_HEADER, (body) => {
      body.word(BYTE_ORDER);
      body.half(1);
      body.half(0);
      // The length of the section is not known in advance.
      body.word(0xffffffff);
      body.word(0xffffffff);
      body.option(USER_APPLICATION, new TextEncoder().encode("Ethox"));
      body.half(OPTION_END);
      body.half(0);
    });
    this.#block(INTERFACE_DESCRIPTION, (body) => {
      body.half(medium === "ip" ? LINKTYPE_RAW : LINKTYPE_ETHERNET);
      body.half(0);
      body.word(this.#snapLength);
      body.option(IF_NAME, new TextEncoder().encode(name.slice(0, 64)));
      if (medium !== "ip") body.option(IF_MAC, mac);
      body.option(IF_TSRESOL, new Uint8Array([MICROSECONDS]));
      body.half(OPTION_END);
      body.half(0);
    });
  }

  #block(type: number, fill: (body: BlockBody) => void): void {
    const { bytes, view } = this.#buffer;
    const start = this.#length;
    const body = new BlockBody(bytes, view, start + 8);
    fill(body);
    const total = body.at + 4 - start;
    view.setUint32(start, type, true);
    view.setUint32(start + 4, total, true);
    view.setUint32(body.at, total, true);
    this.#length = start + total;
  }
}

/** Appends fields to a block that is being written. */
class BlockBody {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, view: DataView, at: number) {
    this.#bytes = bytes;
    this.#view = view;
    this.at = at;
  }

  word(value: number): void {
    this.#view.setUint32(this.at, value, true);
    this.at += 4;
  }

  half(value: number): void {
    this.#view.setUint16(this.at, value, true);
    this.at += 2;
  }

  option(code: number, value: Uint8Array): void {
    this.half(code);
    this.half(value.length);
    this.#bytes.set(value, this.at);
    this.at += (value.length + 3) & ~3;
  }
}

/** Copies the first `count` bytes of a packet, pieces included. */
function copyStart(packet: Packet, count: number, target: Uint8Array, at: number): void {
  const own = Math.min(count, packet.end - packet.offset);
  target.set(packet.bytes.subarray(packet.offset, packet.offset + own), at);
  count -= own;
  if (count === 0) return;
  const first = Math.min(count, packet.piece0Length);
  target.set(packet.piece0!.bytes.subarray(packet.piece0Offset, packet.piece0Offset + first), at + own);
  count -= first;
  if (count === 0) return;
  target.set(
    packet.piece1!.bytes.subarray(packet.piece1Offset, packet.piece1Offset + count),
    at + own + first,
  );
}
