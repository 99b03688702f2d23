/**
 * A Linux TAP device: an Ethernet whose other station is the kernel.
 *
 * @module
 */

import { interfaceMac } from "./ffi/interface.ts";
import { libc } from "./ffi/libc.ts";
import { isPersistent, setReceiveFilter, type Tun } from "./ffi/tun.ts";
import { KernelDevice, type KernelDeviceOptions, openKernelSide } from "./kernel_device.ts";
import { formatLinkAddress, randomLinkAddress } from "./link_address.ts";

/** Options of {@link TapDevice.open}. */
export interface TapDeviceOptions extends KernelDeviceOptions {
  /** Our link address; random by default. It differs from that of the kernel's side. */
  mac?: Uint8Array;
}

/** Frames of Ethernet to and from the kernel. */
export class TapDevice extends KernelDevice {
  readonly #tun: Tun;
  /** Whether the kernel is told which frames are wanted. A device that stays would keep it, to the harm of whoever opens it next. */
  readonly #filters: boolean;

  private constructor(tun: Tun, mac: Uint8Array, options: TapDeviceOptions) {
    super(tun, mac, options);
    this.#tun = tun;
    this.#filters = !isPersistent(tun);
  }

  /**
   * Opens a TAP device. One that does not exist is made, and goes away with the process; make one that stays, with
   * addresses for the kernel's side, by `ip tuntap add dev tap0 mode tap`.
   * @throws {TypeError} If the name or the link address can't be used.
   * @throws {Deno.errors.PermissionDenied | Deno.errors.NotFound | Deno.errors.Busy | Error} If it can't be opened:
   *   the message says what to do.
   */
  static open(options: TapDeviceOptions = {}): TapDevice {
    const tun = openKernelSide("tap", options);
    try {
      return new TapDevice(tun, chooseMac(tun, options.mac), options);
    } catch (error) {
      libc().close(tun.fd);
      libc().close(tun.socket);
      throw error;
    }
  }

  /** The kernel drops the others before they are read, if the device goes away with us: they cost nothing here. */
  filterGroups(groups: readonly number[] | null): void {
    if (this.#filters && !this.closed) setReceiveFilter(this.#tun, this.mac, groups);
  }
}

function chooseMac(tun: Tun, wanted: Uint8Array | undefined): Uint8Array {
  const theirs = formatLinkAddress(interfaceMac(tun));
  if (wanted === undefined) {
    let mac = randomLinkAddress();
    while (formatLinkAddress(mac) === theirs) mac = randomLinkAddress();
    return mac;
  }
  if (wanted.length !== 6 || (wanted[0]! & 1) !== 0) {
    throw new TypeError(
      `Link address "${formatLinkAddress(wanted)}" is not that of a host; give 6 bytes, the first one even`,
    );
  }
  if (formatLinkAddress(wanted) === theirs) {
    throw new TypeError(
      `Link address "${theirs}" belongs to the kernel's side of "${tun.name}"; give the stack another one`,
    );
  }
  return wanted.slice();
}
