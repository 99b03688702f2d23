/**
 * A Linux TUN device: a link of bare IP packets whose other end is the kernel.
 *
 * @module
 */

import { libc } from "./ffi/libc.ts";
import { KernelDevice, type KernelDeviceOptions, openKernelSide } from "./kernel_device.ts";

/** Options of {@link TunDevice.open}. */
export type TunDeviceOptions = KernelDeviceOptions;

/** Packets of IPv4 and IPv6 to and from the kernel, without link header or link addresses (layer 3). */
export class TunDevice extends KernelDevice {
  /**
   * Opens a TUN device. One that does not exist is made, and goes away with the process; make one that stays, with
   * addresses for the kernel's side, by `ip tuntap add dev tun0 mode tun`.
   * @throws {TypeError} If the name can't be used.
   * @throws {Deno.errors.PermissionDenied | Deno.errors.NotFound | Deno.errors.Busy | Error} If it can't be opened:
   *   the message says what to do.
   */
  static open(options: TunDeviceOptions = {}): TunDevice {
    const tun = openKernelSide("tun", options);
    try {
      return new TunDevice(tun, new Uint8Array(6), options);
    } catch (error) {
      libc().close(tun.fd);
      libc().close(tun.socket);
      throw error;
    }
  }
}
