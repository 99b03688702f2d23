/**
 * Packets of a device that wraps another one: they stand for the inner device's packets and share their memory, but
 * name the wrapper as their device, so that an answer in place goes through it.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import { Packet } from "../stack/packet.ts";

/** Stands for a packet of the inner device. */
export class MirrorPacket extends Packet {
  /** The packet it stands for. */
  readonly inner: Packet;

  /** Makes one over the same slot. @param device The wrapper. @param inner The packet it stands for. */
  constructor(device: Device, inner: Packet) {
    super(device, inner.region, inner.slot, inner.base, inner.limit);
    this.inner = inner;
  }
}

/** The mirrors of a wrapper: one for each slot of the inner device, made when the slot is first seen. */
export class Mirrors {
  readonly #device: Device;
  readonly #mirrors = new Map<Packet, MirrorPacket>();
  /** The last one; a device with one receive slot is asked for it again and again. */
  #last: MirrorPacket | null = null;

  /** Makes none yet. @param device The wrapper. */
  constructor(device: Device) {
    this.#device = device;
  }

  /** The packet that stands for `inner`, with its cursor and everything known about it. */
  of(inner: Packet): MirrorPacket {
    let mirror = this.#last;
    if (mirror === null || mirror.inner !== inner) {
      mirror = this.#mirrors.get(inner) ?? null;
      if (mirror === null) this.#mirrors.set(inner, mirror = new MirrorPacket(this.#device, inner));
      this.#last = mirror;
    }
    mirror.reset(inner.offset, inner.end);
    copyMetadata(inner, mirror);
    return mirror;
  }
}

/** Copies the cursor, the pieces and what a device has to know of a packet from one over the same slot to the other. */
export function copyMetadata(from: Packet, to: Packet): void {
  to.offset = from.offset;
  to.end = from.end;
  to.interface = from.interface;
  to.flags = from.flags;
  to.gsoType = from.gsoType;
  to.gsoSize = from.gsoSize;
  to.checksumStart = from.checksumStart;
  to.checksumOffset = from.checksumOffset;
  if ((from.piece0Length | to.piece0Length) !== 0) {
    to.piece0 = from.piece0;
    to.piece0Offset = from.piece0Offset;
    to.piece0Length = from.piece0Length;
    to.piece1 = from.piece1;
    to.piece1Offset = from.piece1Offset;
    to.piece1Length = from.piece1Length;
  }
}
