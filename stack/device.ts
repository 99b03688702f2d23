/**
 * What the stack needs from a network device. Drivers implement it; devices that wrap a device do too. All of
 * them pass one suite, `drivers/device_conformance.ts`.
 *
 * @module
 */

import type { Handler, Packet, Region } from "./packet.ts";

/** {@link Device.offloads}: completes partial checksums it sends, and says which it verified. */
export const OFFLOAD_CHECKSUM = 1;
/** {@link Device.offloads}: cuts TCP over IPv4 super-frames, and may deliver them. */
export const OFFLOAD_TSO4 = 2;
/** {@link Device.offloads}: cuts TCP over IPv6 super-frames, and may deliver them. */
export const OFFLOAD_TSO6 = 4;
/** {@link Device.offloads}: cuts UDP super-frames, and may deliver them. */
export const OFFLOAD_USO = 8;

/**
 * What a device's frames are: `ethernet` frames, or `ip` packets as they are, between two ends that have no link
 * addresses (layer 3: Linux's TUN).
 */
export type Medium = "ethernet" | "ip";

/** What a device has done, in frames and bytes (link header included, checksum trailer not). */
export class DeviceCounters {
  /** Frames delivered to the receiver. */
  receivedFrames = 0;
  /** Bytes delivered to the receiver. */
  receivedBytes = 0;
  /** Frames accepted by the medium. */
  sentFrames = 0;
  /** Bytes accepted by the medium. */
  sentBytes = 0;
  /** Frames lost on the way in: too long for a slot, cut short, or the medium reported an error. */
  receiveErrors = 0;
  /** Frames the medium refused. */
  transmitErrors = 0;
  /** Times `reserve` found no free slot. */
  transmitExhausted = 0;
}

/**
 * A network device that moves frames between a medium and slots of its own memory. Everything is
 * synchronous. Methods other than the constructor never allocate in the steady state and never throw because of
 * what the medium delivers; a medium that is gone sets {@link closed} and {@link failure}.
 */
export interface Device {
  /** What a person calls it: `tap0`, `virtio0`. */
  readonly name: string;
  /** What its frames are; `ethernet` by default. */
  readonly medium?: Medium;
  /** Link address, 6 bytes; all of them 0 on a medium without link addresses. */
  readonly mac: Uint8Array;
  /** Largest IP packet of one frame on the wire, in bytes. */
  readonly mtu: number;
  /** `OFFLOAD_*` bits which are in force. Fixed once the device is open. */
  readonly offloads: number;
  /** False while the medium is known to be unplugged. */
  readonly linkUp: boolean;
  /** True after {@link close}, or once the medium is gone. */
  readonly closed: boolean;
  /** Why the medium is gone, when it went by itself. */
  readonly failure: Error | null;
  /** Running totals. */
  readonly counters: DeviceCounters;
  /** When {@link poll} must be called even if nothing wakes it, in µs; `Infinity` for never. */
  readonly deadline: number;
  /** The device whose slots this one lends, when they are not its own: a device on top of another. */
  readonly memory?: Device;
  /** Slots that {@link reserve} can still hand out before something completes. */
  readonly free: number;

  /**
   * Delivers frames that have arrived, in order.
   * @param receiver Gets each frame, its cursor over the link header, if the medium has one, to the end. The frame is lent: when
   *   `receive` returns, the device takes the slot back unless the receiver passed it to {@link transmit}.
   * @param budget Most frames to deliver, at least 1.
   * @param now The time, in µs; never goes back.
   * @returns Frames delivered. Less than `budget` means that nothing more was waiting.
   */
  poll(receiver: Handler, budget: number, now: number): number;

  /**
   * Takes a free slot to fill and send. The cursor is empty, at `base + HEADROOM`, and every field is clear.
   * @returns The packet, which must go to {@link transmit} or {@link release}; null when no slot is free.
   */
  reserve(): Packet | null;

  /**
   * Sends what lies between the packet's cursor and its end, pieces included. Takes reserved packets, and
   * received ones while they are lent (an answer in place). The packet is the device's from here on. The
   * pieces' memory must stay as it is until the next {@link flush} returns.
   * @returns False when the medium refused the frame; it is then dropped and counted.
   */
  transmit(packet: Packet): boolean;

  /** Gives back a reserved packet unsent. */
  release(packet: Packet): void;

  /**
   * Memory which the medium reads by itself: payload that lies in it hangs behind a packet without ever being copied. Absent
   * where any memory serves, or none. It outlives the device.
   * @param bytes A power of two. @returns Null when there is no more of it.
   */
  block?(bytes: number): Region | null;

  /** Hands everything transmitted so far to the medium. Called once a turn. */
  flush(): void;

  /**
   * Says which frames to groups are wanted, so that a device which can does not deliver the others, nor those to other stations.
   * It may deliver more than is asked for, and one without a filter lacks this.
   * @param groups Pairs of the first 16 and the last 32 bits (signed) of a link address; null for every frame there is, as at
   *   the start. The caller keeps it.
   */
  filterGroups?(groups: readonly number[] | null): void;

  /**
   * Asks to be woken: `wake` is called at most once, from the event loop, when {@link poll} may have something to
   * deliver, the link changed or the medium is gone. A later call replaces the former.
   * @returns False when something is waiting already (poll again instead of sleeping).
   */
  arm(wake: () => void): boolean;

  /** Cancels {@link arm}, so that the device does not hold the event loop open. */
  disarm(): void;

  /** Gives everything back. Further calls of any method but this do nothing. Idempotent. */
  close(): void;
}
