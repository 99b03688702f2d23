/**
 * What Linux's TAP and TUN devices have in common: the kernel's network on the other side of a descriptor.
 *
 * @module
 */

import { allocateArena } from "../stack/arena.ts";
import { type Device, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../stack/device.ts";
import { CHECKSUM_PARTIAL, GSO_NONE, type Handler, HEADROOM, Packet } from "../stack/packet.ts";
import { EAGAIN, EBADFD, EINTR, EIO, errnoText } from "./ffi/errno.ts";
import { interfaceMtu } from "./ffi/interface.ts";
import { errno, type Libc, libc } from "./ffi/libc.ts";
import { IoVectors, pointerTo } from "./ffi/memory.ts";
import {
  LinkProbe,
  openTunIn,
  setOffload,
  type Tun,
  TUN_F_CSUM,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_TSO_ECN,
  TUN_F_USO,
  type TunDelivery,
  type TunKind,
} from "./ffi/tun.ts";
import { openWaiter, type Waiter, type WaitMethod } from "./ffi/waiter.ts";
import { MAX_SUPER_FRAME } from "./frame.ts";
import { SlotDevice } from "./slot_device.ts";
import { slotSizeFor } from "./slot_pool.ts";
import { readNetHeader, VNET_HEADER, writeNetHeader } from "./virtio/header.ts";

/** Options of both. */
export interface KernelDeviceOptions {
  /** Interface to open, or to make if it does not exist; the kernel chooses one (`tap0`, `tun0`, …) by default. */
  name?: string;
  /** The network namespace the interface is in, by its `ip netns` name; the current one by default. */
  namespace?: string;
  /** `all` that the kernel has (the default), or `none`: every frame as on a wire. */
  offloads?: "all" | "none";
  /**
   * How the kernel takes what we send. `direct`, the default with offloads: each frame goes through its stack within our write, which is
   * best for latency. `threaded`, the default without offloads where the kernel lets us: a thread of the kernel's joins the segments of a
   * stream (NAPI with GRO) and takes them on another core, which about doubles what is sent or forwarded in plain frames where a core is free, and
   * adds some 4 µs to each answer. It needs root and Linux 5.12; only who asks for it is told that it can't be had.
   */
  delivery?: TunDelivery;
  /** Slots that can be reserved at a time, 1 to 65536; 256 by default. */
  slots?: number;
  /** How to wait for frames; see `ffi/waiter.ts`. */
  wait?: WaitMethod;
}

/** Bytes for messages about interfaces; their content does not matter, only that they are read. */
const LINK_MESSAGES = 65536;

/** Failed reads in a row, none of them explained, after which the device is given up. */
const UNEXPLAINED = 100;

/**
 * Frames go in and out by one system call each, at once. The frame that was received lies in the only receive slot:
 * whoever answers in place sends it before the next one is read.
 */
export abstract class KernelDevice extends SlotDevice implements Device {
  /** How the kernel takes what we send. */
  readonly delivery: TunDelivery;
  readonly #calls: Libc;
  readonly #fd: number;
  readonly #kind: TunKind;
  /** Where a received frame starts in its slot, and the virtio_net_hdr in front of it. */
  readonly #start: number;
  readonly #readOffset: number;
  readonly #probe: LinkProbe;
  readonly #vectors = new IoVectors(3);
  readonly #received: Packet;
  readonly #readPointer: Deno.PointerObject;
  readonly #readLength: number;
  readonly #waiter: Waiter;
  /** Tells that an interface has changed: up, down or deleted. */
  readonly #watcher: Waiter;
  readonly #linkChanged = (): void => {
    this.#watcher.pending = 0;
    this.#up = this.#probe.up();
    this.rouse();
  };
  readonly #framesCame = (): void => this.rouse();
  #up: boolean;
  /** Reads in a row that failed for no reason that is known. */
  #unexplained = 0;

  /** Takes an open device over. @param mac Our link address; all 0 for TUN. @throws {Error} If the interface is gone. */
  protected constructor(tun: Tun, mac: Uint8Array, options: KernelDeviceOptions) {
    super({
      name: tun.name,
      medium: tun.kind === "tun" ? "ip" : "ethernet",
      mac,
      mtu: interfaceMtu(tun),
      offloads: negotiate(tun, options.offloads ?? "all"),
      slots: options.slots,
    });
    this.#calls = libc();
    this.#fd = tun.fd;
    this.#kind = tun.kind;
    this.delivery = tun.delivery;
    this.#start = HEADROOM - this.header;
    this.#readOffset = this.#start - VNET_HEADER;
    this.#probe = new LinkProbe(tun);
    this.#up = this.#probe.up();
    const size = slotSizeFor(MAX_SUPER_FRAME);
    const region = allocateArena(size);
    this.#received = new Packet(this, region, 0, 0, size);
    this.#readPointer = pointerTo(region.bytes, this.#readOffset);
    this.#readLength = size - this.#readOffset;
    this.#waiter = openWaiter(tun.fd, region.bytes.subarray(this.#readOffset), options.wait);
    this.#watcher = openWaiter(tun.socket, new Uint8Array(new ArrayBuffer(LINK_MESSAGES)), options.wait);
  }

  override get linkUp(): boolean {
    if (this.closed) return false;
    // The kernel does not tell when its side comes up; so whoever asks while it is down makes us look.
    if (!this.#up) this.#up = this.#probe.up();
    return this.#up;
  }

  override poll(receiver: Handler, budget: number, _now: number): number {
    let delivered = 0;
    const pending = this.#waiter.pending;
    if (pending !== 0 && !this.closed) {
      // What the wake-up has read already.
      this.#waiter.pending = 0;
      if (pending < 0) this.#readFailed(-pending);
      else if (this.#deliver(receiver, pending)) delivered++;
    }
    while (delivered < budget && !this.closed) {
      const length = this.#calls.read(this.#fd, this.#readPointer, this.#readLength);
      if (length < 0) {
        if (this.#readFailed(errno())) break;
      } else if (this.#deliver(receiver, length)) {
        delivered++;
      }
    }
    return delivered;
  }

  /** Nothing to do: {@link transmit} has written the frame. */
  override flush(): void {}

  override arm(wake: () => void): boolean {
    if (this.closed) return true;
    if (this.#waiter.pending !== 0) return false;
    this.wake = wake;
    this.#waiter.start(this.#framesCame);
    this.#watcher.start(this.#linkChanged);
    return true;
  }

  override disarm(): void {
    if (this.closed) return;
    this.wake = null;
    this.#waiter.stop();
    this.#watcher.stop();
  }

  /** Closes the descriptors. */
  protected override shut(): void {
    this.#waiter.close();
    this.#watcher.close();
  }

  /** Hands on what was read into the receive slot. @returns False if it was no frame. */
  #deliver(receiver: Handler, length: number): boolean {
    if (length <= VNET_HEADER + this.header || length >= this.#readLength) {
      this.counters.receiveErrors++;
      return false;
    }
    this.#unexplained = 0;
    const packet = this.#received;
    const { view } = packet;
    packet.reset(this.#start, this.#readOffset + length);
    // Most frames have neither; one load tells.
    if (view.getUint16(this.#readOffset, true) !== 0 && !readNetHeader(packet, VNET_HEADER)) {
      this.counters.receiveErrors++;
      return false;
    }
    this.lend(packet, receiver);
    return true;
  }

  /** Puts the virtio_net_hdr in front of the frame and writes both, in one call. */
  protected override sendFrame(packet: Packet): boolean {
    const { region } = packet;
    const start = packet.offset - VNET_HEADER;
    if (start < packet.base) return false;
    if (packet.gsoType !== GSO_NONE && (packet.flags & CHECKSUM_PARTIAL) === 0) return false;
    writeNetHeader(packet, VNET_HEADER);
    const vectors = this.#vectors;
    vectors.clear();
    vectors.add(region, start, packet.end - start);
    if (packet.piece0Length !== 0) {
      vectors.add(packet.piece0!, packet.piece0Offset, packet.piece0Length);
      if (packet.piece1Length !== 0) vectors.add(packet.piece1!, packet.piece1Offset, packet.piece1Length);
    }
    if (this.#calls.writev(this.#fd, vectors.pointer, vectors.count) >= 0) return true;
    const number = errno();
    if (number === EIO) this.#up = false;
    else if (number === EBADFD && !this.#probe.attached()) this.#lose(number);
    return false;
  }

  /** @returns True if nothing more can be read now. */
  #readFailed(number: number): boolean {
    if (number === EAGAIN) {
      this.#unexplained = 0;
      return true;
    }
    if (number === EINTR) return false;
    if (number === EIO) this.#up = false;
    // The number may not be that of the read (see `errno`): one alone does not end a device that is there.
    else if (!this.#probe.attached() || ++this.#unexplained >= UNEXPLAINED) this.#lose(number);
    return true;
  }

  #lose(number: number): void {
    this.fail(
      new Error(
        `${this.#kind.toUpperCase()} device "${this.name}" failed: ${
          errnoText(number)
        }; create it again and open it anew`,
      ),
    );
  }
}

/**
 * Opens the kernel's side of a device, with the delivery that is asked for, or the one that suits its offloads.
 * @throws {TypeError | Deno.errors.PermissionDenied | Deno.errors.NotFound | Deno.errors.Busy | Error} As `openTun`.
 */
export function openKernelSide(kind: TunKind, options: KernelDeviceOptions): Tun {
  const { name = "", namespace, delivery, offloads } = options;
  if (delivery !== undefined || offloads !== "none") return openTunIn(namespace, name, kind, delivery);
  try {
    return openTunIn(namespace, name, kind, "threaded");
  } catch {
    // It may take rights or a kernel that are not there; whatever else is wrong is so again.
    return openTunIn(namespace, name, kind, "direct");
  }
}

/** Turns on what the kernel has, most first. */
function negotiate(tun: Tun, wanted: "all" | "none"): number {
  if (wanted === "all") {
    const tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    const base = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6;
    if (setOffload(tun, tso | TUN_F_USO)) return base | OFFLOAD_USO;
    if (setOffload(tun, tso)) return base;
    if (setOffload(tun, TUN_F_CSUM)) return OFFLOAD_CHECKSUM;
  }
  // Also turns off what a former user of a persistent device has set.
  setOffload(tun, 0);
  return 0;
}
