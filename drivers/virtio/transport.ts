/**
 * What a virtio driver needs of the bus its device is on: PCI for real devices, plain memory for simulated ones.
 *
 * @module
 */

import type { DmaMemory } from "./dma.ts";

/** Device status (virtio 1.2, section 2.1): the guest has seen the device. */
export const STATUS_ACKNOWLEDGE = 1;
/** Device status: the guest knows how to drive it. */
export const STATUS_DRIVER = 2;
/** Device status: the driver is set up. */
export const STATUS_DRIVER_OK = 4;
/** Device status: the features are agreed. */
export const STATUS_FEATURES_OK = 8;
/** Device status: the device has met an error from which only a reset helps. */
export const STATUS_NEEDS_RESET = 64;
/** Device status: the driver has given up. */
export const STATUS_FAILED = 128;

/** Feature bit 29: {@link SplitQueue} suppresses events by index (section 2.7.10). */
export const FEATURE_EVENT_IDX: number = 1 << 29;
/** Feature bit 32, in the high word: the device is of virtio 1.0 or later (section 6). */
export const FEATURE_HIGH_VERSION_1 = 1;

/** Feature bit 35, in the high word: the device is done with buffers in the order in which it gets them (section 2.7.9). */
export const FEATURE_HIGH_IN_ORDER: number = 1 << 3;

/** Interrupt reason (section 4.1.4.5): a queue has something. */
export const INTERRUPT_QUEUE = 1;
/** Interrupt reason: the device's configuration has changed. */
export const INTERRUPT_CONFIG = 2;

/** A virtio device as its driver sees it. */
export interface VirtioTransport {
  /** Memory that the device reaches. */
  readonly memory: DmaMemory;
  /** Memory that the device reaches as well and that outlives it, for what connections send; null where there is none. */
  shared(): DmaMemory | null;
  /** The device status bits. Writing 0 resets; the reset is complete when 0 is read. */
  status: number;
  /** Changes when the configuration does (section 2.5). */
  readonly configGeneration: number;

  /** Features offered: word 0 has bits 0 to 31, word 1 bits 32 to 63. Signed. */
  features(word: 0 | 1): number;
  /** Says which features the driver takes. */
  accept(word: 0 | 1, bits: number): void;
  /** Most entries of queue `index`; 0 when there is no such queue. */
  queueSize(index: number): number;
  /** Starts queue `index`, whose three parts lie at these offsets of {@link memory}. */
  enableQueue(index: number, size: number, descriptors: number, available: number, used: number): void;
  /** Tells the device that queue `index` has new buffers. */
  notify(index: number): void;
  /** Reads the `INTERRUPT_*` reasons and clears them. */
  interrupts(): number;
  /** Reads a byte of the device's configuration. */
  configByte(offset: number): number;

  /** Calls `interrupt` once, from the event loop, with the next interrupt; keeps the loop alive until then. */
  arm(interrupt: () => void): void;
  /** Ends {@link arm}; what comes meanwhile is told after the next one. */
  disarm(): void;
  /** Gives the device back. The driver has reset it. */
  close(): void;
}
