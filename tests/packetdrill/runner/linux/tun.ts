/**
 * The interface that a script's packets go through: a TUN device of the namespace that this process is in.
 *
 * @module
 */

import { cString, errno, libc, O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../../../../drivers/ffi/libc.ts";
import type { RunOptions } from "../options.ts";

const TUNSETIFF = 0x400454ca, TUNSETOFFLOAD = 0x400454d0;
const IFF_TUN = 1, IFF_NO_PI = 0x1000, IFF_VNET_HDR = 0x4000;
/** Checksums and segmentation of TCP are ours: super-segments come whole. */
const OFFLOADS = 1 | 2 | 4 | 8;
/** Bytes of the virtio_net_hdr, and of the link header that frames of the runner begin with. */
const VNET = 10, LINK = 14;

/** The name that scripts know it by. */
export const INTERFACE = "tun0";

/** A TUN device. */
export class Tun {
  readonly fd: number;
  /** Payload of each segment that the device is to make of the last packet, in bytes; 0 for none. */
  segment = 0;
  readonly #buffer = new Uint8Array(new ArrayBuffer(VNET + LINK + 65_600));
  readonly #pointer: Deno.PointerObject;

  constructor() {
    const calls = libc();
    this.fd = calls.open(cString("/dev/net/tun"), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
    if (this.fd < 0) throw new Error(`Cannot open /dev/net/tun (errno ${errno()}); run as root`);
    const request = new Uint8Array(new ArrayBuffer(40));
    request.set(new TextEncoder().encode(INTERFACE));
    new DataView(request.buffer).setUint16(16, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, true);
    if (calls.ioctl(this.fd, TUNSETIFF, request) < 0) {
      throw new Error(`Cannot make the interface "${INTERFACE}" (errno ${errno()}); run as root`);
    }
    calls.ioctlValue(this.fd, TUNSETOFFLOAD, OFFLOADS);
    // The packet lies where the link header ends, so the virtio_net_hdr is read in front of it, over the link header.
    this.#pointer = Deno.UnsafePointer.of(this.#buffer.subarray(LINK))!;
  }

  /** The next packet as a frame, in memory of its own; null when there is none. */
  read(): Uint8Array | null {
    const length = libc().read(this.fd, this.#pointer, this.#buffer.length - LINK);
    if (length <= VNET) return null;
    // The virtio header's type and size of segments.
    this.segment = this.#buffer[LINK + 1] === 0 ? 0 : this.#buffer[LINK + 4]! | this.#buffer[LINK + 5]! << 8;
    const frame = this.#buffer.slice(VNET, VNET + LINK + length - VNET);
    new DataView(frame.buffer).setUint16(12, frame[LINK]! >> 4 === 4 ? 0x0800 : 0x86dd);
    return frame;
  }

  /** Lets a frame's packet come in. */
  write(frame: Uint8Array): void {
    const bytes = new Uint8Array(new ArrayBuffer(VNET + frame.length - LINK));
    bytes.set(frame.subarray(LINK), VNET);
    if (libc().write(this.fd, Deno.UnsafePointer.of(bytes)!, bytes.length) < 0) {
      throw new Error(`Cannot hand a packet to the kernel (errno ${errno()})`);
    }
  }
}

/** Gives the namespace its addresses and routes. */
export function configure(options: RunOptions, local: string, via: string[]): void {
  const v6 = options.ipVersion === "ipv6";
  const lines = [
    "link set lo up",
    `link set ${INTERFACE} addrgenmode none`,
    `link set ${INTERFACE} mtu ${options.mtu} up`,
    `address add ${local}/${v6 ? "48 nodad" : "16"} dev ${INTERFACE}`,
    `${v6 ? "-6 " : ""}route add default ${[...via, "dev", INTERFACE].join(" ")}`,
  ];
  for (const line of lines) ip(line.split(" "));
}

/** Runs `ip`. @throws {Error} It failed. */
export function ip(args: string[]): void {
  const { success, stderr } = new Deno.Command("ip", { args, stdout: "null", stderr: "piped" }).outputSync();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** Sets a key of the namespace. @throws {Error} The kernel refuses, or has no such key. */
export function setKey(key: string, value: string): void {
  Deno.writeTextFileSync(`/proc/sys/${key.replaceAll(".", "/")}`, value, { create: false });
}
