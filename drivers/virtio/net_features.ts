/**
 * Features of virtio network devices, and agreeing on them.
 *
 * @module
 */

import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../../stack/device.ts";
import { readMtu } from "./net_setup.ts";
import {
  FEATURE_EVENT_IDX,
  FEATURE_HIGH_IN_ORDER,
  FEATURE_HIGH_VERSION_1,
  STATUS_ACKNOWLEDGE,
  STATUS_DRIVER,
  STATUS_FEATURES_OK,
  type VirtioTransport,
} from "./transport.ts";

/** Features of network devices (virtio 1.2, section 5.1.3), bits 0 to 31. */
const CSUM = 1 << 0;
const GUEST_CSUM = 1 << 1;
/** The configuration has the MTU. */
export const MTU: number = 1 << 3;
/** The configuration has the link address. */
export const MAC: number = 1 << 5;
/** TCP over IPv4 may come in super-frames. */
const GUEST_TSO4 = 1 << 7;
/** TCP over IPv6 may come in super-frames. */
const GUEST_TSO6 = 1 << 8;
const GUEST_ECN = 1 << 9;
/** TCP over IPv4 may be sent in super-frames. */
const HOST_TSO4 = 1 << 11;
/** TCP over IPv6 may be sent in super-frames. */
const HOST_TSO6 = 1 << 12;
/** Super-frames that are sent may carry ECN's CWR. */
export const HOST_ECN: number = 1 << 13;
/** The configuration tells whether the cable is in. */
export const STATUS: number = 1 << 16;
/** There is a queue for commands. */
export const CTRL_VQ: number = 1 << 17;
/** Commands say which frames are wanted. */
export const CTRL_RX: number = 1 << 18;
/** The same, bits 32 to 63: 54, 55 and 56 of the whole. UDP may come in super-frames, and be sent so. */
const HIGH_GUEST_USO4 = 1 << 22;
const HIGH_GUEST_USO6 = 1 << 23;
const HIGH_HOST_USO = 1 << 24;

/** What was agreed on. */
export interface Features {
  /** Bits 0 to 31. */
  readonly low: number;
  /** Bits 32 to 63. */
  readonly high: number;
}

/**
 * Agrees on features (section 3.1.1, steps 4 to 6).
 * @param name For messages. @param offloads `OFFLOAD_*` bits that may be used.
 * @throws {Error} If the device is too old, or refuses what it has offered.
 */
export function negotiate(transport: VirtioTransport, name: string, offloads: number): Features {
  if ((transport.features(1) & FEATURE_HIGH_VERSION_1) === 0) {
    throw new Error(`Device "${name}" is older than virtio 1.0: start it with disable-legacy=on`);
  }
  let high = FEATURE_HIGH_VERSION_1 | FEATURE_HIGH_IN_ORDER;
  let wanted = MAC | MTU | STATUS | CTRL_VQ | CTRL_RX | FEATURE_EVENT_IDX;
  if ((offloads & OFFLOAD_CHECKSUM) !== 0) {
    wanted |= CSUM | GUEST_CSUM | HOST_ECN | GUEST_ECN;
    if ((offloads & OFFLOAD_TSO4) !== 0) wanted |= HOST_TSO4 | GUEST_TSO4;
    if ((offloads & OFFLOAD_TSO6) !== 0) wanted |= HOST_TSO6 | GUEST_TSO6;
    if ((offloads & OFFLOAD_USO) !== 0) high |= HIGH_HOST_USO | HIGH_GUEST_USO4 | HIGH_GUEST_USO6;
  }
  high &= transport.features(1);
  let bits = transport.features(0) & wanted;
  // What depends on another feature goes with it (section 5.1.3.1).
  if ((bits & CSUM) === 0) {
    bits &= ~(HOST_TSO4 | HOST_TSO6);
    high &= ~HIGH_HOST_USO;
  }
  if ((bits & GUEST_CSUM) === 0) {
    bits &= ~(GUEST_TSO4 | GUEST_TSO6);
    high &= ~(HIGH_GUEST_USO4 | HIGH_GUEST_USO6);
  }
  if ((bits & (HOST_TSO4 | HOST_TSO6)) === 0) bits &= ~HOST_ECN;
  if ((bits & (GUEST_TSO4 | GUEST_TSO6)) === 0) bits &= ~GUEST_ECN;
  if ((bits & CTRL_VQ) === 0 || (bits & CTRL_RX) === 0) bits &= ~(CTRL_VQ | CTRL_RX);
  if ((bits & MTU) !== 0 && readMtu(transport) < 68) bits &= ~MTU;
  transport.accept(0, bits);
  transport.accept(1, high);
  transport.status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
  if ((transport.status & STATUS_FEATURES_OK) === 0) {
    const words = [high, bits].map((word) => (word >>> 0).toString(16).padStart(8, "0"));
    throw new Error(`Device "${name}" refuses the features 0x${words.join("")}`);
  }
  return { low: bits, high };
}

/** The `OFFLOAD_*` bits of features. */
export function offloadsOf({ low, high }: Features): number {
  // A receiver takes what it agreed to; what counts for the stack is what it may send.
  let offloads = 0;
  if ((low & CSUM) !== 0) offloads |= OFFLOAD_CHECKSUM;
  if ((low & HOST_TSO4) !== 0) offloads |= OFFLOAD_TSO4;
  if ((low & HOST_TSO6) !== 0) offloads |= OFFLOAD_TSO6;
  if ((high & HIGH_HOST_USO) !== 0) offloads |= OFFLOAD_USO;
  return offloads;
}

/** Whether frames of more than the MTU may come or go. */
export function superFrames({ low, high }: Features): boolean {
  return (low & (GUEST_TSO4 | GUEST_TSO6 | HOST_TSO4 | HOST_TSO6)) !== 0 ||
    (high & (HIGH_GUEST_USO4 | HIGH_GUEST_USO6 | HIGH_HOST_USO)) !== 0;
}
