/**
 * The slots that a device hands out with `reserve`.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import { FREE, HEADROOM, Packet, Region, RESERVED } from "../stack/packet.ts";

/** A fixed number of slots in one block of memory. The slot given back last is handed out first: it is in the cache. */
export class SlotPool {
  /** The memory of all slots. */
  readonly region: Region;
  /** Slots that are free. */
  free: number;
  #head: Packet | null = null;

  /**
   * @param device Owns the packets. @param slots How many, at least 1. @param slotSize Bytes of each, headroom included.
   */
  constructor(device: Device, slots: number, slotSize: number) {
    this.region = new Region(new ArrayBuffer(slots * slotSize));
    this.free = slots;
    for (let slot = slots - 1; slot >= 0; slot--) {
      const packet = new Packet(device, this.region, slot, slot * slotSize, (slot + 1) * slotSize);
      packet.next = this.#head;
      this.#head = packet;
    }
  }

  /** Takes a slot: empty, at the end of its headroom, every field clear. Null when none is free. */
  take(): Packet | null {
    const packet = this.#head;
    if (packet === null) return null;
    this.#head = packet.next;
    this.free--;
    const start = packet.base + HEADROOM;
    packet.reset(start, start);
    packet.interface = null;
    packet.state = RESERVED;
    return packet;
  }

  /** Puts a slot back. */
  give(packet: Packet): void {
    packet.state = FREE;
    // The pieces belong to somebody's connection, which must not be kept alive from here.
    if (packet.piece0Length !== 0) packet.dropPieces();
    packet.next = this.#head;
    this.#head = packet;
    this.free++;
  }
}

/** Bytes of a slot for frames of up to `length` bytes, headroom included, in whole cache lines. */
export function slotSizeFor(length: number): number {
  return (HEADROOM + length + 63) & ~63;
}

/**
 * Reports a packet that was handed in twice, or to a device that is not its own. That is a bug of the caller which
 * would otherwise corrupt the pool, long before anyone sees it.
 */
export function misused(verb: string, device: Device, packet: Packet): never {
  if (packet.device !== device) {
    throw new TypeError(
      `Cannot ${verb} slot ${packet.slot} of "${packet.device.name}" on "${device.name}"; use the packet's own device`,
    );
  }
  const state = ["free", "received", "reserved", "sent"][packet.state] ?? String(packet.state);
  throw new TypeError(
    `Cannot ${verb} slot ${packet.slot} of "${device.name}" while it is "${state}"; hand each packet in once`,
  );
}
