/**
 * What devices with slots of their own have in common: slots are reserved, handed in and taken back in one way.
 *
 * @module
 */

import { type Device, DeviceCounters, type Medium } from "../stack/device.ts";
import { FREE, type Handler, type Packet, RECEIVED, RESERVED, SENT } from "../stack/packet.ts";
import { linkHeader, MAX_SUPER_FRAME, sendable } from "./frame.ts";
import { misused, SlotPool, slotSizeFor } from "./slot_pool.ts";

/** What a {@link SlotDevice} is, as {@link Device} has it. */
export interface DeviceShape {
  /** What a person calls it. */
  name: string;
  /** `ethernet` by default. */
  medium?: Medium;
  /** 6 bytes. */
  mac: Uint8Array;
  /** Bytes. */
  mtu: number;
  /** `OFFLOAD_*` bits. */
  offloads: number;
  /** Slots that can be reserved at a time, 1 to 65536; 256 by default. */
  slots?: number | undefined;
  /** Frames that were taken go out later: they stay the subclass's until it calls `sent`. */
  defers?: boolean;
}

/**
 * A device that lends slots out of a pool of its own: the base of all here but those that use memory of somebody else's, and of
 * yours. A subclass moves the frames.
 * @example A device that swallows everything
 * ```ts
 * import { SlotDevice } from "./slot_device.ts";
 *
 * class Sink extends SlotDevice {
 *   readonly linkUp = true;
 *   constructor() {
 *     super({ name: "sink", mac: Uint8Array.of(2, 0, 0, 0, 0, 1), mtu: 1500, offloads: 0 });
 *   }
 *   protected sendFrame = () => true;
 *   poll = () => 0;
 *   flush() {}
 *   arm = () => true;
 *   disarm() {}
 *   protected shut() {}
 * }
 * const sink = new Sink();
 * const packet = sink.reserve()!;
 * packet.push(14);
 * console.assert(sink.transmit(packet) && sink.counters.sentFrames === 1);
 * ```
 */
export abstract class SlotDevice implements Device {
  readonly name: string;
  readonly medium: Medium;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly offloads: number;
  readonly counters: DeviceCounters = new DeviceCounters();
  /** Bytes of a link header. */
  protected readonly header: number;
  /** Who has asked to be woken. */
  protected wake: (() => void) | null = null;
  readonly #pool: SlotPool;
  readonly #defers: boolean;
  #closed = false;
  #failure: Error | null = null;

  /** Takes memory for the slots. @throws {RangeError} If there can't be as many. */
  protected constructor(shape: DeviceShape) {
    const { slots = 256 } = shape;
    checkRange("slots", slots, 1, 65536);
    this.name = shape.name;
    this.medium = shape.medium ?? "ethernet";
    this.mac = shape.mac;
    this.mtu = shape.mtu;
    this.offloads = shape.offloads;
    this.header = linkHeader(this);
    this.#defers = shape.defers ?? false;
    this.#pool = new SlotPool(this, slots, slotSizeFor(MAX_SUPER_FRAME));
  }

  get closed(): boolean {
    return this.#closed;
  }

  get failure(): Error | null {
    return this.#failure;
  }

  get deadline(): number {
    return Infinity;
  }

  get free(): number {
    return this.closed ? 0 : this.#pool.free;
  }

  reserve(): Packet | null {
    if (this.closed) return null;
    const packet = this.#pool.take();
    if (packet === null) this.counters.transmitExhausted++;
    return packet;
  }

  transmit(packet: Packet): boolean {
    if (this.closed) return false;
    const { state } = packet;
    if (packet.device !== this || (state !== RESERVED && state !== RECEIVED)) {
      misused("transmit", this, packet);
    }
    packet.state = SENT;
    const { length } = packet;
    const sent = sendable(packet, this.offloads, this.mtu, this.header) && this.sendFrame(packet);
    if (sent) {
      this.counters.sentFrames++;
      this.counters.sentBytes += length;
      if (this.#defers) return true;
    } else {
      this.counters.transmitErrors++;
    }
    this.#recycle(packet, state === RESERVED);
    return sent;
  }

  release(packet: Packet): void {
    if (this.closed) return;
    if (packet.device !== this || packet.state !== RESERVED) misused("release", this, packet);
    this.#pool.give(packet);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.wake = null;
    this.shut();
  }

  /**
   * Takes back a packet that was handed in, of a device that defers.
   * @param pooled Whether it came from {@link reserve}. @param refused Whether the medium did not take it after all.
   */
  protected sent(packet: Packet, pooled: boolean, refused: boolean): void {
    if (refused) {
      this.counters.sentFrames--;
      this.counters.sentBytes -= packet.length;
      this.counters.transmitErrors++;
    }
    this.#recycle(packet, pooled);
  }

  #recycle(packet: Packet, pooled: boolean): void {
    if (pooled) this.#pool.give(packet);
    else if (packet.piece0Length !== 0) packet.dropPieces();
  }

  /** Lends a frame that came to whoever polls. */
  protected lend(packet: Packet, receiver: Handler): void {
    const { counters } = this;
    packet.interface = null;
    counters.receivedFrames++;
    counters.receivedBytes += packet.length;
    packet.state = RECEIVED;
    try {
      receiver.receive(packet);
    } finally {
      packet.state = FREE;
    }
  }

  /** Wakes whoever has asked for it, once. */
  protected rouse(): void {
    const { wake } = this;
    this.disarm();
    wake?.();
  }

  /** Ends a device whose medium is gone. */
  protected fail(error: Error): void {
    if (this.#closed) return;
    this.#failure = error;
    this.close();
  }

  /** Takes a frame that may be sent; it is the pool's again afterwards. @returns False if the medium refused it. */
  protected abstract sendFrame(packet: Packet): boolean;

  /** Gives back all but the slots, when the device is closed. Called once. */
  protected abstract shut(): void;

  abstract get linkUp(): boolean;
  abstract poll(receiver: Handler, budget: number, now: number): number;
  abstract flush(): void;
  abstract arm(wake: () => void): boolean;
  abstract disarm(): void;
}

/** @throws {RangeError} If `value` is not a whole number from `low` to `high`. */
export function checkRange(name: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`Option ${name} is "${value}"; give a whole number from ${low} to ${high}`);
  }
}
