/**
 * The reusable cursor over one frame in a device's memory.
 *
 * A device makes its packets once, one per slot, and reuses them for every frame. Nothing here allocates after
 * construction, and nothing here throws on what a frame contains.
 *
 * @module
 */

import type { Device } from "./device.ts";
import type { PacketHeaders } from "./ip/packet_headers.ts";
import type { Path } from "./ip/path.ts";
import type { Interface } from "./link/interface.ts";

/** A byte array over memory that is never shared between threads. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** A block of memory in which frames or payload lie. Made once, never resized. */
export class Region {
  /** Every byte of the block. */
  readonly bytes: Bytes;
  /** The same bytes, for fields of more than one byte in network order. */
  readonly view: DataView<ArrayBuffer>;
  /** The bytes from {@link skew} on as 32-bit words in the machine's order, for sums over many bytes. */
  readonly words: Int32Array<ArrayBuffer>;
  /** Bytes in front of the first word: 0 unless the block begins at an odd place of its buffer. */
  readonly skew: number;
  /**
   * Machine address of the first byte, or 0 while no driver has asked for it. It belongs to the drivers: a
   * device which hands memory to the kernel or to hardware fills it in once.
   */
  address = 0;
  /** Frames under way that a device reads out of this memory: until there are none, what lies in it must stay. */
  loans = 0;
  /** Whether it is part of what {@link Device.block} gives, of which there is not much: who has it keeps it for the next one. */
  lent = false;
  /**
   * Sums the 16-bit words from one place to another in the machine's order, a multiple of 64 bytes and at most 128 KiB; null
   * for memory that has none (see `arena.ts`).
   */
  vectorSum: ((at: number, end: number) => number) | null = null;

  /**
   * Spans a block of memory.
   * @param buffer The memory.
   * @param offset First byte of the block.
   * @param length Bytes of the block.
   */
  constructor(buffer: ArrayBuffer, offset = 0, length: number = buffer.byteLength - offset) {
    this.bytes = new Uint8Array(buffer, offset, length);
    this.view = new DataView(buffer, offset, length);
    this.skew = Math.min(-offset & 3, length);
    const aligned = this.skew === (-offset & 3) ? offset + this.skew : 0;
    this.words = new Int32Array(buffer, aligned, (length - this.skew) >> 2);
  }
}

/** Bytes in front of the place where a reserved packet's payload goes: room for every header of every layer. */
export const HEADROOM = 256;

/** Bytes of a slot that takes a segment of 64 KiB with all headers in front. */
export const SLOT_SIZE: number = HEADROOM + 65536;

/** {@link Packet.copyInto}: what sizes are multiples of, and the largest. */
const WINDOW_STEP = 256, LARGEST_WINDOW = 2048;

/** {@link Packet.flags}: the transport checksum field holds the folded pseudo-header sum and is to be completed. */
export const CHECKSUM_PARTIAL = 1;
/** {@link Packet.flags}: the device has verified the transport checksum. */
export const CHECKSUM_VALID = 2;

/** {@link Packet.gsoType}: one frame on the wire. Values are those of virtio_net_hdr. */
export const GSO_NONE = 0;
/** {@link Packet.gsoType}: TCP over IPv4, to be cut every {@link Packet.gsoSize} bytes. */
export const GSO_TCPV4 = 1;
/** {@link Packet.gsoType}: TCP over IPv6, to be cut every {@link Packet.gsoSize} bytes. */
export const GSO_TCPV6 = 4;
/** {@link Packet.gsoType}: UDP, to be cut into datagrams of {@link Packet.gsoSize} bytes. */
export const GSO_UDP = 5;
/** {@link Packet.gsoType}, as a bit beside the type: the segment carries ECN's CWR. */
export const GSO_ECN = 0x80;

/** {@link Packet.state}: in the device's pool. */
export const FREE = 0;
/** {@link Packet.state}: lent to a receiver, until its `receive` returns. */
export const RECEIVED = 1;
/** {@link Packet.state}: taken with `reserve`; its holder must `transmit` or `release` it. */
export const RESERVED = 2;
/** {@link Packet.state}: handed to `transmit`; the device owns it. */
export const SENT = 3;

/** {@link Packet.cast}: sent to this interface's own link address. */
export const UNICAST = 0;
/** {@link Packet.cast}: sent to the link's broadcast address. */
export const BROADCAST = 1;
/** {@link Packet.cast}: sent to a link multicast address. */
export const MULTICAST = 2;
/** {@link Packet.cast}: sent to another station (seen by catch-all handlers only). */
export const OTHER = 3;

/**
 * One frame. `offset` is the first byte of the layer being worked on and `end` is one past the last byte in the
 * slot; both are absolute in {@link Packet.bytes}. Receiving layers move `offset` forward with {@link pull};
 * sending layers move it back with {@link push}. Payload that lies elsewhere (a connection's ring) hangs behind
 * the slot's bytes as up to two pieces and is never copied by the stack.
 */
export class Packet {
  /** The device whose memory this is. */
  readonly device: Device;
  /** The memory that holds the slot. */
  readonly region: Region;
  /** All bytes of {@link region}. */
  readonly bytes: Bytes;
  /** {@link region} as a DataView. */
  readonly view: DataView<ArrayBuffer>;
  /** First byte of the slot. */
  readonly base: number;
  /** One past the last byte of the slot. */
  readonly limit: number;
  /** The slot's number in its device. */
  readonly slot: number;

  /** First byte of the current layer. */
  offset = 0;
  /** One past the last byte that lies in the slot. */
  end = 0;

  /** {@link FREE}, {@link RECEIVED}, {@link RESERVED} or {@link SENT}. Kept by the device. */
  state: number = FREE;
  /** Where the link header starts, once known. */
  link = 0;
  /** Where the IP header starts, once known. */
  network = 0;
  /** Where the transport header starts, once known. */
  transport = 0;
  /** Where the IP header of an ICMP error starts while transports look at what it quotes; otherwise -1. */
  outer: number = -1;
  /** IP version of the packet: 0 while unknown, 4 or 6. */
  version = 0;
  /** Upper-layer protocol (IANA number), once known. */
  protocol = 0;
  /** How the link addressed it: {@link UNICAST}, {@link BROADCAST}, {@link MULTICAST} or {@link OTHER}. */
  cast: number = UNICAST;
  /** The interface it came in on. */
  interface: Interface | null = null;

  /**
   * The interface that a packet to a group leaves by, while a copy of it is (to be) handed to our own listeners
   * there; otherwise null. Such a copy comes in by the loopback interface.
   */
  looped: Interface | null = null;

  /** {@link CHECKSUM_PARTIAL} and {@link CHECKSUM_VALID} bits. */
  flags = 0;
  /** {@link GSO_NONE}, {@link GSO_TCPV4}, {@link GSO_TCPV6} or {@link GSO_UDP}. */
  gsoType: number = GSO_NONE;
  /** Payload bytes of each frame a super-frame is cut into. */
  gsoSize = 0;
  /** Absolute offset at which the partial checksum starts to sum. */
  checksumStart = 0;
  /** Distance from {@link checksumStart} to the checksum field. */
  checksumOffset = 0;

  /** First piece of payload outside the slot, or null. */
  piece0: Region | null = null;
  /** First byte of {@link piece0} that is payload. */
  piece0Offset = 0;
  /** Bytes of payload in {@link piece0}. */
  piece0Length = 0;
  /** Second piece (a ring's wrap), or null. */
  piece1: Region | null = null;
  /** First byte of {@link piece1} that is payload. */
  piece1Offset = 0;
  /** Bytes of payload in {@link piece1}. */
  piece1Length = 0;

  /** The way out that a sending layer has chosen between `reserve` and `transmit`, or null. */
  path: Path | null = null;
  /** What the path is to add to the IP header, or null. */
  headers: PacketHeaders | null = null;
  /** A link for whoever holds the packet: a free list, a queue of packets that wait for a neighbour. */
  next: Packet | null = null;

  /** Views of the slot that {@link copyInto} has made, by their size; they start at {@link #windowsAt}. */
  #windows: (Bytes | null)[] | null = null;
  #windowsAt = -1;

  /**
   * Makes the packet of one slot; devices do.
   * @param device The owner.
   * @param region Its memory.
   * @param slot The number.
   * @param base First byte.
   * @param limit One past the last byte.
   */
  constructor(device: Device, region: Region, slot: number, base: number, limit: number) {
    this.device = device;
    this.region = region;
    this.bytes = region.bytes;
    this.view = region.view;
    this.slot = slot;
    this.base = base;
    this.limit = limit;
    this.offset = this.end = base;
  }

  /** Bytes from {@link offset} to the end of the packet, pieces outside the slot included. */
  get length(): number {
    return this.end - this.offset + this.piece0Length + this.piece1Length;
  }

  /** Clears what the last frame left behind; the cursor then spans `offset` to `end`. For devices. */
  reset(offset: number, end: number): void {
    this.offset = offset;
    this.end = end;
    this.link = this.network = this.transport = offset;
    this.outer = -1;
    this.version = 0;
    this.protocol = 0;
    this.cast = UNICAST;
    this.flags = 0;
    this.gsoType = GSO_NONE;
    this.gsoSize = 0;
    this.checksumStart = 0;
    this.checksumOffset = 0;
    this.next = null;
    this.path = null;
    this.headers = null;
    this.looped = null;
    if (this.piece0Length !== 0) this.dropPieces();
  }

  /** Forgets the pieces outside the slot. */
  dropPieces(): void {
    this.piece0 = null;
    this.piece1 = null;
    this.piece0Offset =
      this.piece0Length =
      this.piece1Offset =
      this.piece1Length =
        0;
  }

  /** Moves past a header of `bytes` bytes. The caller has checked that they are there. */
  pull(bytes: number): void {
    this.offset += bytes;
  }

  /** Makes room for a header of `bytes` bytes in front and returns where it starts. Headroom is {@link HEADROOM}. */
  push(bytes: number): number {
    return this.offset -= bytes;
  }

  /** Hangs `length` bytes of `region` at `offset` behind what is there. At most two pieces. */
  append(region: Region, offset: number, length: number): void {
    if (this.piece0Length === 0) {
      this.piece0 = region;
      this.piece0Offset = offset;
      this.piece0Length = length;
    } else {
      this.piece1 = region;
      this.piece1Offset = offset;
      this.piece1Length = length;
    }
  }

  /** Gives a reserved packet back unsent. A lent one goes back by itself when its receiver returns. */
  discard(): void {
    if (this.state === RESERVED) this.device.release(this);
  }

  /** Takes over what `other` knows about its layers and offloads, for a copy whose cursor is where `other`'s was. */
  describeAs(other: Packet, shift: number): void {
    this.interface = other.interface;
    this.link = other.link + shift;
    this.network = other.network + shift;
    this.transport = other.transport + shift;
    this.version = other.version;
    this.protocol = other.protocol;
    this.cast = other.cast;
    this.flags = other.flags;
    this.gsoType = other.gsoType;
    this.gsoSize = other.gsoSize;
    this.checksumStart = other.checksumStart + shift;
    this.checksumOffset = other.checksumOffset;
  }

  /**
   * Copies the pieces outside the slot behind what lies in it, and forgets them: for packets that outlive the
   * turn in which they were made.
   * @returns False when the slot has no room; the packet is then as it was.
   */
  gather(): boolean {
    const total = this.piece0Length + this.piece1Length;
    if (total === 0) return true;
    if (this.end + total > this.limit) return false;
    this.bytes.set(
      this.piece0!.bytes.subarray(this.piece0Offset, this.piece0Offset + this.piece0Length),
      this.end,
    );
    this.end += this.piece0Length;
    if (this.piece1Length !== 0) {
      this.bytes.set(
        this.piece1!.bytes.subarray(this.piece1Offset, this.piece1Offset + this.piece1Length),
        this.end,
      );
      this.end += this.piece1Length;
    }
    this.dropPieces();
    return true;
  }

  /**
   * Copies the whole packet from `offset`, pieces included, into another's slot at its `offset`, and sets its `end`.
   * What is behind that in the slot may change. Allocates nothing in the long run for packets of up to 2 KiB.
   * @returns False when it does not fit.
   */
  copyInto(other: Packet): boolean {
    const { offset, end } = this;
    const own = end - offset, at = other.offset;
    if (at + this.length > other.limit) return false;
    // Views are kept for the next packet of about this size in this place: a little too much is copied.
    const size = (own + WINDOW_STEP - 1) & -WINDOW_STEP;
    if (
      this.piece0Length !== 0 || size > LARGEST_WINDOW || offset + size > this.limit ||
      at + size > other.limit
    ) {
      other.end = at + this.copyTo(other.bytes, at);
      return true;
    }
    if (this.#windowsAt !== offset) {
      this.#windowsAt = offset;
      this.#windows = new Array(LARGEST_WINDOW / WINDOW_STEP + 1).fill(null);
    }
    const step = size / WINDOW_STEP;
    other.bytes.set(this.#windows![step] ??= this.bytes.subarray(offset, offset + size), at);
    other.end = at + own;
    return true;
  }

  /**
   * Copies the whole packet from `offset`, pieces included, into `target`.
   * @returns The bytes copied; the caller has made sure that `target` has {@link length} bytes after `at`.
   */
  copyTo(target: Bytes, at: number): number {
    const own = this.end - this.offset;
    target.set(this.bytes.subarray(this.offset, this.end), at);
    at += own;
    if (this.piece0Length !== 0) {
      target.set(this.piece0!.bytes.subarray(this.piece0Offset, this.piece0Offset + this.piece0Length), at);
      at += this.piece0Length;
      if (this.piece1Length !== 0) {
        target.set(this.piece1!.bytes.subarray(this.piece1Offset, this.piece1Offset + this.piece1Length), at);
      }
    }
    return own + this.piece0Length + this.piece1Length;
  }
}

/** Whoever takes packets: a layer, or an application's callback at any layer. */
export interface Handler {
  /**
   * Takes one packet. It is lent until this returns: read it, answer in it with `packet.device.transmit`, or
   * copy what is to be kept.
   */
  receive(packet: Packet): void;
}

/** A handler that looks at packets before anybody else does. */
export interface Tap {
  /**
   * Looks at a packet.
   * @returns true when it has taken the packet, which then goes no further.
   */
  receive(packet: Packet): boolean;
}
