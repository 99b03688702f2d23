/**
 * Devices that carry frames between stacks of one process, for simulations and tests. The same calls give the same
 * frames in the same order, in every run.
 *
 * @module
 */

import type { Device, Medium as FrameMedium } from "../stack/device.ts";
import { CHECKSUM_PARTIAL, CHECKSUM_VALID, type Handler, HEADROOM, Packet, Region } from "../stack/packet.ts";
import { FRAME_OVERHEAD, MAX_SUPER_FRAME } from "./frame.ts";
import { numberedLinkAddress } from "./link_address.ts";
import { checkRange, SlotDevice } from "./slot_device.ts";
import { slotSizeFor } from "./slot_pool.ts";

/** What the devices of one medium have in common. */
export interface MemoryOptions {
  /** Prefix of the devices' names; `memory` by default, which gives `memory0`, `memory1`, … */
  name?: string;
  /** What the frames are; `ethernet` by default. On `ip` nobody has a link address, and a cable is all there can be. */
  medium?: FrameMedium;
  /** Largest IP packet, in bytes, 68 to 65535; 1500 by default. */
  mtu?: number;
  /** `OFFLOAD_*` bits; none by default. What they leave undone stays metadata of the packet on the way across. */
  offloads?: number;
  /** Slots of each device that can be reserved at a time; 256 by default. */
  slots?: number;
  /** Frames that wait in front of each device; 256 by default. A frame that finds the queue full is dropped. */
  queue?: number;
  /** The link address of each device; `02:e7:00:00:00:00`, `…:01`, … by default. */
  macs?: readonly Uint8Array[];
}

/** What lies between memory devices. */
interface Medium {
  /** Takes a frame to whoever is to have it. @returns False when it was dropped. */
  carry(from: MemoryDevice, packet: Packet): boolean;
  /** Makes what was carried since the last call visible. */
  deliver(from: MemoryDevice): void;
  /** Whether a cable leads from this device to anyone. */
  connected(from: MemoryDevice): boolean;
  /** A device is gone. */
  leave(device: MemoryDevice): void;
}

/** One end of a {@link MemoryDevice.pair}, or one port of a {@link MemoryHub}. */
export class MemoryDevice extends SlotDevice implements Device {
  /** @internal The device's place on its medium. */
  readonly port: number;
  readonly #medium: Medium;
  /** Frames that came, in a ring: `#head` to `#visible` can be delivered, `#visible` to `#tail` wait for a flush. */
  readonly #queue: Packet[] = [];
  #head = 0;
  #visible = 0;
  #tail = 0;
  #waking = false;

  /** @internal Use {@link MemoryDevice.pair} or {@link MemoryHub}. */
  constructor(medium: Medium, port: number, options: MemoryOptions) {
    const { name = "memory", mtu = 1500, offloads = 0, slots, queue = 256 } = options;
    checkRange("mtu", mtu, 68, 65535);
    checkRange("queue", queue, 1, 65536);
    const mac = options.medium === "ip"
      ? new Uint8Array(6)
      : options.macs?.[port] ?? numberedLinkAddress(port);
    super({ name: `${name}${port}`, medium: options.medium ?? "ethernet", mac, mtu, offloads, slots });
    this.#medium = medium;
    this.port = port;
    const frame = offloads === 0 ? mtu + FRAME_OVERHEAD : MAX_SUPER_FRAME;
    const size = slotSizeFor(frame);
    const region = new Region(new ArrayBuffer(queue * size));
    for (let slot = 0; slot < queue; slot++) {
      this.#queue.push(new Packet(this, region, slot, slot * size, (slot + 1) * size));
    }
  }

  /**
   * Two devices joined by a cable. A frame is refused while the peer's queue is full, or when the peer is closed.
   * @example
   * ```ts
   * import { MemoryDevice } from "./memory.ts";
   *
   * const [a, b] = MemoryDevice.pair({ mtu: 9000 });
   * const packet = a.reserve()!;
   * packet.bytes.set([...b.mac, ...a.mac, 0x88, 0xb5], packet.push(14));
   * a.transmit(packet);
   * a.flush();
   * b.poll({ receive: (frame) => console.assert(frame.length === 14) }, 64, 0);
   * ```
   */
  static pair(options: MemoryOptions = {}): [MemoryDevice, MemoryDevice] {
    const cable = new Cable();
    const a = new MemoryDevice(cable, 0, options);
    const b = new MemoryDevice(cable, 1, options);
    cable.a = a;
    cable.b = b;
    return [a, b];
  }

  override get linkUp(): boolean {
    return !this.closed && this.#medium.connected(this);
  }

  /** Frames that {@link poll} would deliver now. */
  get waiting(): number {
    const count = this.#visible - this.#head;
    return count < 0 ? count + 2 * this.#queue.length : count;
  }

  override poll(receiver: Handler, budget: number, _now: number): number {
    let delivered = 0;
    while (delivered < budget && this.#head !== this.#visible && !this.closed) {
      const packet = this.#queue[this.#slotOf(this.#head)]!;
      delivered++;
      try {
        this.lend(packet, receiver);
      } finally {
        packet.interface = null;
        // After a close the ring is empty, and stays so.
        if (!this.closed) this.#head = this.#after(this.#head);
      }
    }
    return delivered;
  }

  /** Copies the frame to whom it goes. */
  protected override sendFrame(packet: Packet): boolean {
    return this.#medium.carry(this, packet);
  }

  override flush(): void {
    if (!this.closed) this.#medium.deliver(this);
  }

  override arm(wake: () => void): boolean {
    if (this.closed) return true;
    if (this.#head !== this.#visible) {
      this.wake = null;
      return false;
    }
    this.wake = wake;
    return true;
  }

  override disarm(): void {
    this.wake = null;
  }

  /** Drops what waits, and leaves the medium. */
  protected override shut(): void {
    this.#head = this.#visible = this.#tail = 0;
    this.#medium.leave(this);
  }

  /** @internal Copies a peer's frame into the queue. @returns False when the queue is full. */
  accept(packet: Packet): boolean {
    const tail = this.#tail;
    const used = tail - this.#head;
    const size = this.#queue.length;
    if (this.closed || (used < 0 ? used + 2 * size : used) === size) return false;
    const copy = this.#queue[this.#slotOf(tail)]!;
    const start = copy.base + HEADROOM - this.header;
    const length = packet.length;
    if (start + length > copy.limit) return false;
    packet.copyTo(copy.bytes, start);
    copy.reset(start, start + length);
    if ((packet.flags & CHECKSUM_PARTIAL) !== 0) {
      // Nothing on the way could damage it, so it counts as verified as well.
      copy.flags = CHECKSUM_PARTIAL | CHECKSUM_VALID;
      copy.checksumStart = packet.checksumStart - packet.offset + start;
      copy.checksumOffset = packet.checksumOffset;
    }
    copy.gsoType = packet.gsoType;
    copy.gsoSize = packet.gsoSize;
    this.#tail = this.#after(tail);
    return true;
  }

  /** @internal Lets {@link poll} see what was accepted. */
  reveal(): void {
    if (this.#visible === this.#tail) return;
    this.#visible = this.#tail;
    this.notify();
  }

  /** @internal Wakes whoever has armed the device, in a turn of its own. */
  notify(): void {
    if (this.wake === null || this.#waking) return;
    this.#waking = true;
    setImmediate(() => {
      this.#waking = false;
      const wake = this.wake;
      this.wake = null;
      wake?.();
    });
  }

  /** Positions run over twice the ring, so that a full ring differs from an empty one. */
  #after(position: number): number {
    return position + 1 === 2 * this.#queue.length ? 0 : position + 1;
  }

  #slotOf(position: number): number {
    return position < this.#queue.length ? position : position - this.#queue.length;
  }
}

/** Joins two devices. */
class Cable implements Medium {
  a!: MemoryDevice;
  b!: MemoryDevice;

  carry(from: MemoryDevice, packet: Packet): boolean {
    return this.#peer(from).accept(packet);
  }

  deliver(from: MemoryDevice): void {
    this.#peer(from).reveal();
  }

  connected(from: MemoryDevice): boolean {
    return !this.#peer(from).closed;
  }

  leave(device: MemoryDevice): void {
    this.#peer(device).notify();
  }

  #peer(device: MemoryDevice): MemoryDevice {
    return device === this.a ? this.b : this.a;
  }
}

/** Options of a {@link MemoryHub}. */
export interface MemoryHubOptions extends MemoryOptions {
  /** How many devices, 2 to 4096. */
  ports: number;
  /** True for a switch, which learns who is behind which port; by default every frame goes to every other port. */
  learn?: boolean;
}

/** Addresses a learning hub remembers; the latest of two which share a place stays. */
const LEARNED = 1024;

/**
 * Many devices on one link: a hub, or a learning switch. A port whose queue is full loses the frame, which counts as
 * its `receiveErrors`; the sender does not notice.
 */
export class MemoryHub {
  /** The devices. */
  readonly ports: readonly MemoryDevice[];

  /**
   * Makes the hub and its devices.
   * @param options Of them all. @throws {RangeError} If one is out of range. @throws {TypeError} For a medium other than Ethernet.
   */
  constructor(options: MemoryHubOptions) {
    if (options.medium === "ip") {
      throw new TypeError("A hub joins devices by link addresses; on IP there are none");
    }
    checkRange("ports", options.ports, 2, 4096);
    const ports: MemoryDevice[] = [];
    const medium = new HubMedium(ports, options.learn === true);
    for (let port = 0; port < options.ports; port++) ports.push(new MemoryDevice(medium, port, options));
    this.ports = ports;
  }

  /** The device at `index`. @throws {RangeError} If there is none. */
  port(index: number): MemoryDevice {
    const port = this.ports[index];
    if (port === undefined) {
      throw new RangeError(`Port ${index} does not exist; the hub has ${this.ports.length} ports`);
    }
    return port;
  }
}

class HubMedium implements Medium {
  readonly #ports: readonly MemoryDevice[];
  readonly #learn: boolean;
  readonly #high = new Int32Array(LEARNED);
  readonly #low = new Int32Array(LEARNED);
  /** Port of each address that was learned, plus 1. */
  readonly #where = new Int32Array(LEARNED);

  constructor(ports: readonly MemoryDevice[], learn: boolean) {
    this.#ports = ports;
    this.#learn = learn;
  }

  carry(from: MemoryDevice, packet: Packet): boolean {
    const ports = this.#ports;
    if (this.#learn) {
      const { view, offset } = packet;
      const high = view.getUint16(offset + 6), low = view.getInt32(offset + 8);
      const place = placeOf(high, low);
      this.#high[place] = high;
      this.#low[place] = low;
      this.#where[place] = from.port + 1;
      const target = this.#find(view.getUint16(offset), view.getInt32(offset + 2));
      if (target >= 0) {
        const port = ports[target]!;
        if (port !== from && !port.accept(packet)) port.counters.receiveErrors++;
        return true;
      }
    }
    for (let index = 0; index < ports.length; index++) {
      const port = ports[index]!;
      if (port !== from && !port.closed && !port.accept(packet)) port.counters.receiveErrors++;
    }
    return true;
  }

  deliver(from: MemoryDevice): void {
    for (let index = 0; index < this.#ports.length; index++) {
      const port = this.#ports[index]!;
      if (port !== from) port.reveal();
    }
  }

  connected(): boolean {
    return true;
  }

  leave(device: MemoryDevice): void {
    for (let place = 0; place < LEARNED; place++) {
      if (this.#where[place] === device.port + 1) this.#where[place] = 0;
    }
  }

  /** The port of an address, or -1 for all of them. */
  #find(high: number, low: number): number {
    if ((high & 0x100) !== 0) return -1;
    const place = placeOf(high, low);
    return this.#high[place] === high && this.#low[place] === low ? this.#where[place]! - 1 : -1;
  }
}

function placeOf(high: number, low: number): number {
  return (Math.imul(high ^ low, 0x9e3779b1) >>> 22) & (LEARNED - 1);
}
