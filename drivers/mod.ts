/**
 * What moves frames: devices, what wraps them, and the event loop that drives a stack with them.
 *
 * @module
 */

export * from "./bridge.ts";
export * from "./bridge_port.ts";
export * from "./capture.ts";
export { ForwardingTable } from "./forwarding_table.ts";
export * from "./frame.ts";
export * from "./impair.ts";
export * from "./impairment.ts";
export type { KernelDevice, KernelDeviceOptions } from "./kernel_device.ts";
export * from "./link_address.ts";
export * from "./loop.ts";
export * from "./memory.ts";
export * from "./open.ts";
export { PacketSocketDevice, type PacketSocketOptions } from "./packet_socket.ts";
export { type CaptureSink } from "./pcapng.ts";
export * from "./qemu.ts";
export * from "./random.ts";
export * from "./relay.ts";
export { type DeviceShape, SlotDevice } from "./slot_device.ts";
export * from "./tap.ts";
export * from "./tun.ts";
export * from "./wire.ts";
export type { TunDelivery } from "./ffi/tun.ts";
export type { WaitMethod } from "./ffi/waiter.ts";
export { VirtioNet, type VirtioNetOptions } from "./virtio_net.ts";
export type { DmaMemory } from "./virtio/dma.ts";
export type { QueueFaults } from "./virtio/queue.ts";
export type { VirtioTransport } from "./virtio/transport.ts";
