/**
 * What moves frames: devices, what wraps them, and the event loop that drives a stack with them.
 *
 * @module
 */

export * from "./frame.ts";
export * from "./link_address.ts";
export * from "./loop.ts";
export * from "./memory.ts";
export * from "./open.ts";
export * from "./qemu.ts";
export * from "./tap.ts";
export type { WaitMethod } from "./ffi/waiter.ts";
