/**
 * What the driver of virtio network devices reads and works out while it brings a device up.
 *
 * @module
 */

import type { VirtioTransport } from "./transport.ts";

/** Offsets in the device's configuration (section 5.1.4). */
const CONFIG_MAC = 0;
const CONFIG_STATUS = 6;
const CONFIG_MTU = 10;
const LINK_UP = 1;

/** Entries of each queue, at most. */
const QUEUE_LIMIT = 256;
/** Resets a device and waits until it is (section 4.1.4.3.2). A device that never is has lost its power. */
export function reset(transport: VirtioTransport): void {
  transport.status = 0;
  for (let tries = 0; transport.status !== 0 && tries < 1_000_000; tries++);
}

/** The link address in the configuration. */
export function readMac(transport: VirtioTransport): Uint8Array {
  // Read again when it changed meanwhile (section 2.5.1).
  for (let tries = 0;; tries++) {
    const generation = transport.configGeneration;
    const mac = Uint8Array.from({ length: 6 }, (_, i) => transport.configByte(CONFIG_MAC + i));
    if (transport.configGeneration === generation || tries === 100) return mac;
  }
}

/** A link address of our own, for a device which has none: locally administered, unicast. */
export function localAddress(): Uint8Array {
  const mac = crypto.getRandomValues(new Uint8Array(6));
  mac[0] = mac[0]! & 0xfc | 2;
  return mac;
}

/** The MTU in the configuration, which is there with the feature of that name only. */
export function readMtu(transport: VirtioTransport): number {
  return transport.configByte(CONFIG_MTU) | transport.configByte(CONFIG_MTU + 1) << 8;
}

/**
 * @returns The largest power of two that the queue and we can do.
 * @throws {Error} When there is no such queue.
 */
export function queueSize(transport: VirtioTransport, index: number, name: string): number {
  const most = Math.min(transport.queueSize(index), QUEUE_LIMIT);
  if (most < 1) throw new Error(`Device "${name}" has no queue ${index}`);
  return 2 ** Math.floor(Math.log2(most));
}

/** Where slots lie: none crosses a chunk, within which alone memory is contiguous for the device. */
export function slotOffsets(length: number, chunk: number, start: number, size: number): number[] {
  const offsets: number[] = [];
  for (let at = start; at + size <= length; at += size) {
    const end = (Math.floor(at / chunk) + 1) * chunk;
    if (at + size > end) at = end;
    if (at + size <= length) offsets.push(at);
  }
  return offsets;
}

/** Whether the cable is in; the configuration says so with the feature STATUS only. */
export function readLink(transport: VirtioTransport): boolean {
  return (transport.configByte(CONFIG_STATUS) & LINK_UP) !== 0;
}
