/**
 * Opening `/dev/net/tun` and asking the kernel about the interface behind it (linux/if_tun.h, netdevice(7)).
 *
 * @module
 */

import { EACCES, EBUSY, EINVAL, EMFILE, ENODEV, ENOENT, ENXIO, EPERM, errnoText } from "./errno.ts";
import { cString, errno, libc, O_CLOEXEC, O_NONBLOCK, O_RDWR } from "./libc.ts";
import {
  IFF_UP,
  IFNAMSIZ,
  IFREQ,
  InterfaceProbe,
  type KernelInterface,
  openLinkSocket,
  requestFor,
} from "./interface.ts";
import { setInterface } from "./sysfs.ts";
import { inNamespace } from "./namespace.ts";
import { VNET_HEADER } from "../virtio/header.ts";

/** Checksums may be left to us and to the kernel. */
export const TUN_F_CSUM = 1;
/** TCP over IPv4 may come and go in super-frames. */
export const TUN_F_TSO4 = 2;
/** TCP over IPv6 may come and go in super-frames. */
export const TUN_F_TSO6 = 4;
/** Super-frames may carry ECN's CWR. */
export const TUN_F_TSO_ECN = 8;
/** UDP may come and go in super-frames; Linux wants it for both IP versions or for none. */
export const TUN_F_USO: number = 0x20 | 0x40;

const IFF_TUN = 1, IFF_TAP = 2, IFF_NAPI = 0x10, IFF_NO_PI = 0x1000, IFF_VNET_HDR = 0x4000;
const TUNSETIFF = 0x400454ca, TUNSETOFFLOAD = 0x400454d0, TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETTXFILTER = 0x400454d1;
const TUNGETIFF = 0x800454d2;
const IFF_PERSIST = 0x0800;
const CONTROL = "/dev/net/tun";

/** What a device carries: frames of Ethernet (`tap`), or bare IP packets (`tun`). */
export type TunKind = "tap" | "tun";

/**
 * How the kernel takes what is written: within the write (`direct`), or on a thread of its own that joins segments first
 * (`threaded`; NAPI and GRO).
 */
export type TunDelivery = "direct" | "threaded";

/** An open TAP or TUN device. */
export interface Tun extends KernelInterface {
  /** What it carries. */
  readonly kind: TunKind;
  /** The non-blocking descriptor that frames go through. */
  readonly fd: number;
  /** How the kernel takes what is written. */
  readonly delivery: TunDelivery;
}

/** As {@link openTun}, in the network namespace of that `ip netns` name; undefined for the current one. */
export function openTunIn(
  namespace: string | undefined,
  name: string,
  kind: TunKind,
  delivery?: TunDelivery,
): Tun {
  const open = () => openTun(name, kind, delivery);
  return namespace === undefined ? open() : inNamespace(namespace, open);
}

/**
 * Opens, or makes, a TAP or TUN device with a virtio_net_hdr in front of each frame.
 * @param kind Which of them. @param name Of the interface, at most 15 bytes; empty for one that the kernel chooses.
 * @param delivery How the kernel takes what is written; `direct` by default.
 * @throws {TypeError} If the name cannot be one.
 * @throws {Deno.errors.PermissionDenied | Deno.errors.NotFound | Deno.errors.Busy | Error} If it cannot be opened.
 */
export function openTun(name: string, kind: TunKind, delivery: TunDelivery = "direct"): Tun {
  const what = kind.toUpperCase();
  const encoded = new TextEncoder().encode(name);
  if (encoded.length >= IFNAMSIZ) {
    throw new TypeError(
      `${what} name "${name}" has ${encoded.length} bytes; Linux allows ${
        IFNAMSIZ - 1
      }, choose a shorter one`,
    );
  }
  if (/[\s/:\0]/.test(name) || name === "." || name === "..") {
    throw new TypeError(`${what} name "${name}" is not valid for an interface; use letters and digits`);
  }
  const calls = libc();
  const fd = calls.open(cString(CONTROL), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) throw controlFailure(errno());
  const request = new Uint8Array(new ArrayBuffer(IFREQ));
  request.set(encoded);
  new DataView(request.buffer).setUint16(
    IFNAMSIZ,
    (kind === "tap" ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR |
      (delivery === "threaded" ? IFF_NAPI : 0),
    true,
  );
  if (calls.ioctl(fd, TUNSETIFF, request) < 0) {
    const number = errno();
    calls.close(fd);
    throw attachFailure(name, kind, number);
  }
  const size = new Uint8Array(new ArrayBuffer(4));
  size[0] = VNET_HEADER;
  // A persistent device keeps the size that its last user has set.
  const sized = calls.ioctl(fd, TUNSETVNETHDRSZ, size) === 0;
  const socket = sized ? openLinkSocket() : -1;
  if (socket < 0) {
    const number = errno();
    calls.close(fd);
    throw new Error(`Cannot set up the ${what} device "${name}": ${errnoText(number)}`);
  }
  const tun = { kind, fd, name: decodeName(request), socket, delivery };
  if (delivery === "threaded" && !setInterface(tun.name, "threaded", "1")) {
    calls.close(fd);
    calls.close(socket);
    throw new Deno.errors.PermissionDenied(
      `Cannot have "${tun.name}" served by a thread of the kernel's; run as root on Linux 5.12 or newer, or take the delivery "direct"`,
    );
  }
  return tun;
}

function controlFailure(number: number): Error {
  const what = `Cannot open "${CONTROL}": ${errnoText(number)}`;
  switch (number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return new Deno.errors.NotFound(`${what}; load the kernel module with "modprobe tun" as root`);
    case EACCES:
    case EPERM:
      return new Deno.errors.PermissionDenied(`${what}; run as root, or let root "chmod 666 ${CONTROL}"`);
    case EMFILE:
      return new Error(`${what}; raise the limit with "ulimit -n"`);
    default:
      return new Error(what);
  }
}

function attachFailure(name: string, kind: TunKind, number: number): Error {
  const what = `Cannot open the ${kind.toUpperCase()} device "${name}": ${errnoText(number)}`;
  switch (number) {
    case EPERM:
    case EACCES:
      return new Deno.errors.PermissionDenied(
        `${what}; run as root, or let root run "ip tuntap add dev ${
          name || `${kind}0`
        } mode ${kind} user $USER"`,
      );
    case EBUSY:
      return new Deno.errors.Busy(`${what}; another program has it open: end that one, or use another name`);
    case EINVAL:
      return new Error(
        `${what}; an interface of that name exists which is no ${kind.toUpperCase()} device with one queue: use another name`,
      );
    default:
      return new Error(what);
  }
}

/** Turns offloads on and off. @param flags `TUN_F_*` bits. @returns False if the kernel does not know them all. */
export function setOffload(tun: Tun, flags: number): boolean {
  return libc().ioctlValue(tun.fd, TUNSETOFFLOAD, flags) === 0;
}

/**
 * Has the kernel send only frames to `mac`, to all, and to these groups of its link; null for every frame. More than a few
 * groups are told apart by a hash, so that some others may come as well.
 * @param groups Pairs of the first 16 and the last 32 bits of an address. @returns False if the kernel can't.
 */
export function setReceiveFilter(tun: Tun, mac: Uint8Array, groups: readonly number[] | null): boolean {
  const count = groups === null ? 0 : 2 + groups.length / 2;
  const filter = new DataView(new ArrayBuffer(4 + 6 * count));
  filter.setUint16(2, count, true);
  if (groups !== null) {
    const bytes = new Uint8Array(filter.buffer);
    bytes.set(mac, 4);
    bytes.fill(255, 10, 16);
    for (let i = 0, at = 16; i < groups.length; i += 2, at += 6) {
      filter.setUint16(at, groups[i]!);
      filter.setInt32(at + 2, groups[i + 1]!);
    }
  }
  return libc().ioctl(tun.fd, TUNSETTXFILTER, new Uint8Array(filter.buffer)) >= 0;
}

/** Whether the interface stays when nobody has it open any more. */
export function isPersistent(tun: Tun): boolean {
  const request = requestFor(tun);
  if (libc().ioctl(tun.fd, TUNGETIFF, request) < 0) return true;
  return (new DataView(request.buffer).getUint16(IFNAMSIZ, true) & IFF_PERSIST) !== 0;
}

/** Asks again and again how the kernel's side is, without allocating. */
export class LinkProbe extends InterfaceProbe {
  readonly #fd: number;

  /** Prepares the questions. @param tun The interface. */
  constructor(tun: Tun) {
    super(tun);
    this.#fd = tun.fd;
  }

  /** Whether the interface is administratively up. */
  up(): boolean {
    return (this.flags() & IFF_UP) !== 0;
  }

  /** Whether the interface is still there. Tells so by its result, not by errno. */
  attached(): boolean {
    return libc().ioctl(this.#fd, TUNGETIFF, this.request) === 0;
  }
}

function decodeName(request: Uint8Array): string {
  return new TextDecoder().decode(request.subarray(0, request.indexOf(0)));
}
