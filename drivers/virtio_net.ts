/**
 * The driver of virtio network devices (virtio 1.2, section 5.1).
 *
 * Frames lie in slots of memory that the device reaches itself, and are never copied on the way in; on the way out
 * only pieces are, which lie elsewhere. While it is polled the device raises no interrupts; {@link VirtioNet.arm}
 * asks for one.
 *
 * @module
 */

import { type Device, DeviceCounters } from "../stack/device.ts";
import {
  FREE,
  GSO_ECN,
  type Handler,
  HEADROOM,
  Packet,
  RECEIVED,
  Region,
  RESERVED,
  SENT,
} from "../stack/packet.ts";
import { ETHERNET_HEADER, FRAME_OVERHEAD, MAX_SUPER_FRAME, RECEIVE_OFFSET, sendable } from "./frame.ts";
import { misused, slotSizeFor } from "./slot_pool.ts";
import { HugePages } from "./virtio/dma.ts";
import { NET_HEADER, readNetHeader, writeNetHeader } from "./virtio/header.ts";
import {
  CTRL_RX,
  CTRL_VQ,
  HOST_ECN,
  MAC,
  MTU,
  negotiate,
  offloadsOf,
  STATUS,
  superFrames,
} from "./virtio/net_features.ts";
import { CONTROL_ENTRIES, ReceiveFilter } from "./virtio/receive_filter.ts";
import { DESCRIPTOR_WRITE, type QueueFaults, QueueLayout, SplitQueue } from "./virtio/queue.ts";
import { chain, endLoans, gather, reachable } from "./virtio/pieces.ts";
import { VirtioPci } from "./virtio/pci.ts";
import { RingMemory } from "./virtio/ring_memory.ts";
import {
  localAddress,
  queueSize,
  readLink,
  readMac,
  readMtu,
  reset,
  slotOffsets,
} from "./virtio/net_setup.ts";
import {
  FEATURE_EVENT_IDX,
  FEATURE_HIGH_IN_ORDER,
  INTERRUPT_CONFIG,
  STATUS_ACKNOWLEDGE,
  STATUS_DRIVER,
  STATUS_DRIVER_OK,
  STATUS_FAILED,
  STATUS_FEATURES_OK,
  STATUS_NEEDS_RESET,
  type VirtioTransport,
} from "./virtio/transport.ts";
import { checkBound, findVirtioNet, uioNumber } from "./virtio/uio.ts";

const RECEIVE = 0;
const TRANSMIT = 1;
const CONTROL = 2;

/** Where a device writes into a slot: its header ends where the frame starts. */
const BUFFER_OFFSET = RECEIVE_OFFSET - NET_HEADER;
/** Bytes that a device which may deliver super-frames must find in a buffer (section 5.1.6.3.1). */
const SUPER_BUFFER = NET_HEADER + ETHERNET_HEADER + 65536;

/** Options of {@link VirtioNet}. */
export interface VirtioNetOptions {
  /** What a person calls it; `virtio0` by default. */
  name?: string;
  /** `OFFLOAD_*` bits that may be used; all that the device offers by default. */
  offloads?: number;
}

/** A virtio network device. */
export class VirtioNet implements Device {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly offloads: number;
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly deadline: number = Infinity;

  readonly #transport: VirtioTransport;
  readonly #receiveQueue: SplitQueue;
  readonly #transmitQueue: SplitQueue;
  /** Says which frames are wanted; null for a device that delivers all. */
  readonly #filter: ReceiveFilter | null;
  readonly #features: number;
  /** Whether frames of more than the MTU may come or go. */
  readonly #bigBuffers: boolean;
  /** Physical address of each slot, in two words. A slot never crosses 4 GiB: it lies within a chunk. */
  readonly #low: Int32Array;
  readonly #high: Int32Array;
  /** The packets on loan to the device, by descriptor. */
  readonly #receiving: (Packet | null)[];
  readonly #sending: (Packet | null)[];
  /** Buffers that the device should have for frames which come in. */
  readonly #receiveTarget: number;
  readonly #bufferLength: number;
  /** Free slots, and how many. The one given back last is handed out first: it is in the cache. */
  #head: Packet | null = null;
  #pooled = 0;
  /** Slots that somebody reserved and has not handed in. */
  #reserved = 0;
  /** Where what connections send may lie, once one has asked for it. */
  #rings: RingMemory | null = null;
  #linkUp = true;
  #closed = false;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;
  readonly #interrupted = (): void => this.#onInterrupt();
  readonly #unloaded = (): void => this.close();

  /**
   * Brings up the device behind `transport` (section 3.1.1).
   * @throws {Error} When it lacks what the driver needs. The transport is closed then.
   */
  constructor(transport: VirtioTransport, options: VirtioNetOptions = {}) {
    this.#transport = transport;
    this.name = options.name ?? "virtio0";
    try {
      reset(transport);
      transport.status = STATUS_ACKNOWLEDGE;
      transport.status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
      const features = negotiate(transport, this.name, options.offloads ?? ~0);
      this.#features = features.low;
      this.offloads = offloadsOf(features);
      this.#bigBuffers = superFrames(features);
      this.mac = (this.#features & MAC) !== 0 ? readMac(transport) : localAddress();
      this.mtu = (this.#features & MTU) !== 0 ? readMtu(transport) : 1500;

      const sizes = [RECEIVE, TRANSMIT].map((index) => queueSize(transport, index, this.name)) as [
        number,
        number,
      ];
      const eventIndex = (this.#features & FEATURE_EVENT_IDX) !== 0;
      const inOrder = (features.high & FEATURE_HIGH_IN_ORDER) !== 0;
      const layouts = [new QueueLayout(0, sizes[0])];
      layouts.push(new QueueLayout(layouts[0]!.end, sizes[1]));
      let end = layouts[1]!.end;
      this.#filter = this.#openFilter(end, eventIndex, inOrder);
      if (this.#filter !== null) end = this.#filter.end;
      const slotSize = slotSizeFor(this.#bigBuffers ? MAX_SUPER_FRAME : this.mtu + FRAME_OVERHEAD);
      this.#bufferLength = this.#bigBuffers ? SUPER_BUFFER : NET_HEADER + this.mtu + FRAME_OVERHEAD;
      const { memory } = transport;
      this.#receiveQueue = new SplitQueue(memory.buffer, layouts[0]!, sizes[0], eventIndex, inOrder);
      this.#transmitQueue = new SplitQueue(memory.buffer, layouts[1]!, sizes[1], eventIndex, inOrder);
      this.#receiving = new Array(sizes[0]).fill(null);
      this.#sending = new Array(sizes[1]).fill(null);

      const offsets = slotOffsets(memory.buffer.byteLength, memory.chunk, end, slotSize);
      // Half of the slots wait for frames; the others are for sending.
      const slots = Math.min(offsets.length, sizes[0] + sizes[1]);
      if (slots < 2) {
        throw new Error(`Memory of ${memory.buffer.byteLength} bytes is too small for "${this.name}"`);
      }
      this.#receiveTarget = Math.min(sizes[0], slots >> 1);
      this.#low = new Int32Array(slots);
      this.#high = new Int32Array(slots);
      const region = new Region(memory.buffer);
      region.address = memory.address;
      for (let slot = slots - 1; slot >= 0; slot--) {
        const base = offsets[slot]!;
        const physical = memory.physical(base);
        this.#low[slot] = physical | 0;
        this.#high[slot] = Math.floor(physical / 2 ** 32);
        this.#give(new Packet(this, region, slot, base, base + slotSize));
      }

      const queues = [this.#receiveQueue, this.#transmitQueue];
      for (const [index, { layout, size }] of queues.entries()) {
        transport.enableQueue(index, size, layout.descriptors, layout.available, layout.used);
      }
      this.#filter?.enable();
      transport.status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
      this.#readLink();
      this.#refill();
    } catch (error) {
      transport.status = STATUS_FAILED;
      reset(transport);
      transport.close();
      transport.memory.release();
      throw error;
    }
    // A device that is not reset would write to memory which is somebody else's by then.
    globalThis.addEventListener("unload", this.#unloaded);
  }

  /**
   * Opens a device of the PCI bus that is bound to the kernel driver `uio_pci_generic`.
   * @param where Its address, such as `0000:00:02.0`; `auto` takes the first one.
   * @throws {Error} When there is none, or it can't be taken over.
   */
  static open(where = "auto", options: VirtioNetOptions = {}): VirtioNet {
    const found = findVirtioNet();
    // One that the kernel drives itself is not taken from it.
    const address = where === "auto" ? found.find((one) => uioNumber(one) >= 0) ?? found[0] : where;
    if (address === undefined) {
      throw new Error(
        "Cannot find a modern virtio-net device on the PCI bus: give the machine one, or use a TAP",
      );
    }
    if (!found.includes(address)) {
      throw new Error(
        `Cannot find a modern virtio-net device at "${where}"; use ${found.join(" or ") || "a TAP"}`,
      );
    }
    checkBound(address);
    const memory = HugePages.allocate(MEMORY_PAGES);
    let transport: VirtioPci;
    try {
      transport = new VirtioPci(address, memory);
    } catch (error) {
      memory.release();
      throw error;
    }
    return new VirtioNet(transport, { name: `virtio${found.indexOf(address)}`, ...options });
  }

  get linkUp(): boolean {
    return this.#linkUp && !this.#closed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get failure(): Error | null {
    return this.#failure;
  }

  get free(): number {
    if (this.#closed) return 0;
    const room = this.#transmitQueue.free - this.#reserved;
    return this.#pooled < room ? this.#pooled : room;
  }

  /** What the device said about the queues that can't be true: of receiving and of sending. */
  get faults(): readonly [QueueFaults, QueueFaults] {
    return [this.#receiveQueue.faults, this.#transmitQueue.faults];
  }

  poll(receiver: Handler, budget: number, _now: number): number {
    if (this.#closed) return 0;
    this.#reap();
    if (this.#closed) return 0;
    if (this.#filter !== null && this.#filter.busy) this.#filter.proceed();
    const queue = this.#receiveQueue;
    const { counters } = this;
    let delivered = 0;
    try {
      // What is not delivered is bounded as well: the device can't give back more than it has.
      for (let looked = queue.size + budget; delivered < budget && looked > 0; looked--) {
        const id = queue.next();
        if (id < 0) break;
        const packet = this.#receiving[id]!;
        this.#receiving[id] = null;
        if (!this.#accept(packet, queue.usedLength)) {
          counters.receiveErrors++;
          this.#give(packet);
          continue;
        }
        counters.receivedFrames++;
        counters.receivedBytes += packet.end - packet.offset;
        delivered++;
        try {
          receiver.receive(packet);
        } finally {
          // Unless it was answered in place: then it comes back when it is sent.
          if (packet.state === RECEIVED) this.#give(packet);
        }
        if (this.#closed) return delivered;
      }
    } finally {
      if (!this.#closed) this.#refill();
    }
    if (queue.broken) this.#fail("gave back more receive buffers than it had");
    return delivered;
  }

  reserve(): Packet | null {
    if (this.#closed) return null;
    if (this.free <= 0) {
      this.#reap();
      if (this.free <= 0) {
        this.counters.transmitExhausted++;
        return null;
      }
    }
    const packet = this.#take()!;
    const start = packet.base + HEADROOM;
    packet.reset(start, start);
    packet.interface = null;
    packet.state = RESERVED;
    this.#reserved++;
    return packet;
  }

  transmit(packet: Packet): boolean {
    if (this.#closed) return false;
    const state = packet.state;
    if (packet.device !== this || (state !== RESERVED && state !== RECEIVED)) {
      misused("transmit", this, packet);
    }
    if (state === RESERVED) this.#reserved--;
    const length = packet.length;
    const room = packet.offset - NET_HEADER >= packet.base && packet.offset + length <= packet.limit;
    const ecn = (packet.gsoType & GSO_ECN) === 0 || (this.#features & HOST_ECN) !== 0;
    let id = -1;
    if (room && ecn && sendable(packet, this.offloads, this.mtu)) {
      writeNetHeader(packet);
      const rings = this.#rings;
      let chained = false;
      if (packet.piece0Length !== 0) {
        // One descriptor is kept for each slot that somebody has.
        chained = rings !== null && reachable(packet, rings, this.#transmitQueue.free - this.#reserved);
        if (!chained) gather(packet);
      }
      const { slot } = packet;
      const at = packet.offset - NET_HEADER - packet.base;
      const own = packet.end - packet.offset + NET_HEADER;
      id = this.#transmitQueue.add(this.#low[slot]! + at | 0, this.#high[slot]!, own, 0);
      if (chained) chain(packet, rings!, this.#transmitQueue);
    }
    if (id < 0) {
      this.counters.transmitErrors++;
      this.#give(packet);
      return false;
    }
    packet.state = SENT;
    this.#sending[id] = packet;
    this.counters.sentFrames++;
    this.counters.sentBytes += length;
    return true;
  }

  release(packet: Packet): void {
    if (this.#closed) return;
    if (packet.device !== this || packet.state !== RESERVED) misused("release", this, packet);
    this.#reserved--;
    this.#give(packet);
  }

  block(bytes: number): Region | null {
    if (this.#closed) return null;
    if (this.#rings === null) {
      const memory = this.#transport.shared();
      if (memory === null) return null;
      this.#rings = RingMemory.of(memory);
    }
    return this.#rings.block(bytes);
  }

  flush(): void {
    if (!this.#closed && this.#transmitQueue.publish()) this.#transport.notify(TRANSMIT);
  }

  arm(wake: () => void): boolean {
    if (this.#closed) return true;
    this.flush();
    this.#reap();
    if (this.#closed) return true;
    this.#wake = wake;
    const sending = this.#transmitQueue;
    // Whoever waits for slots is woken when half of what is on its way has left.
    if (this.free <= this.#receiveTarget >> 1 && sending.onLoan > 0) {
      sending.enableInterrupts((sending.onLoan >> 1) + 1);
    }
    if (!this.#receiveQueue.enableInterrupts(1)) {
      this.disarm();
      return false;
    }
    this.#transport.arm(this.#interrupted);
    return true;
  }

  /** The device drops the others, if it has the means; until it has said that it does, they may come. */
  filterGroups(groups: readonly number[] | null): void {
    if (!this.#closed) this.#filter?.set(groups);
  }

  disarm(): void {
    if (this.#closed || this.#wake === null) return;
    this.#wake = null;
    this.#receiveQueue.disableInterrupts();
    this.#transmitQueue.disableInterrupts();
    this.#transport.disarm();
  }

  close(): void {
    if (this.#closed) return;
    this.disarm();
    this.#closed = true;
    globalThis.removeEventListener("unload", this.#unloaded);
    reset(this.#transport);
    for (const packet of this.#sending) if (packet !== null) endLoans(packet);
    this.#transport.close();
    this.#transport.memory.release();
  }

  #onInterrupt(): void {
    const reasons = this.#transport.interrupts();
    if (this.#closed) return;
    if ((reasons & INTERRUPT_CONFIG) !== 0) {
      if ((this.#transport.status & STATUS_NEEDS_RESET) !== 0) return this.#fail("needs a reset");
      this.#readLink();
    }
    const wake = this.#wake;
    this.disarm();
    wake?.();
  }

  /** The medium is gone: the device did what no working device does. */
  #fail(what: string): void {
    if (this.#closed) return;
    const wake = this.#wake;
    this.#failure = new Error(`Device "${this.name}" ${what}`);
    this.close();
    wake?.();
  }

  /** @param start First byte of the memory that it may use, aligned to 64. */
  #openFilter(start: number, eventIndex: boolean, inOrder: boolean): ReceiveFilter | null {
    const needed = CTRL_VQ | CTRL_RX;
    const transport = this.#transport;
    if ((this.#features & needed) !== needed || transport.queueSize(CONTROL) < CONTROL_ENTRIES) return null;
    return new ReceiveFilter(transport, CONTROL, start, eventIndex, inOrder);
  }

  #readLink(): void {
    if ((this.#features & STATUS) === 0) return;
    this.#linkUp = readLink(this.#transport);
  }

  /** Makes a frame of what the device wrote. @returns False when that is none. */
  #accept(packet: Packet, length: number): boolean {
    if (length < NET_HEADER + ETHERNET_HEADER || length > this.#bufferLength) return false;
    const start = packet.base + RECEIVE_OFFSET;
    packet.reset(start, packet.base + BUFFER_OFFSET + length);
    packet.interface = null;
    packet.state = RECEIVED;
    return readNetHeader(packet);
  }

  /** Takes back what the device has sent, and uses it for receiving if that is short of buffers. */
  #reap(): void {
    const queue = this.#transmitQueue;
    for (let id = queue.next(); id >= 0; id = queue.next()) {
      const packet = this.#sending[id]!;
      this.#sending[id] = null;
      endLoans(packet);
      this.#give(packet);
    }
    if (queue.broken) this.#fail("gave back more transmit buffers than it had");
    else this.#refill();
  }

  /** Gives the device buffers until it has as many as it should. */
  #refill(): void {
    const queue = this.#receiveQueue;
    while (queue.onLoan < this.#receiveTarget) {
      const packet = this.#take();
      if (packet === null) break;
      const { slot } = packet;
      const id = queue.add(
        this.#low[slot]! + BUFFER_OFFSET | 0,
        this.#high[slot]!,
        this.#bufferLength,
        DESCRIPTOR_WRITE,
      );
      this.#receiving[id] = packet;
    }
    if (queue.publish()) this.#transport.notify(RECEIVE);
  }

  #take(): Packet | null {
    const packet = this.#head;
    if (packet === null) return null;
    this.#head = packet.next;
    packet.next = null;
    this.#pooled--;
    return packet;
  }

  #give(packet: Packet): void {
    packet.state = FREE;
    // The pieces belong to somebody's connection, which must not be kept alive from here.
    if (packet.piece0Length !== 0) packet.dropPieces();
    packet.next = this.#head;
    this.#head = packet;
    this.#pooled++;
  }
}

/** Huge pages of one device: enough for 256 slots with super-frames in flight, and room for the queues. */
const MEMORY_PAGES = 10;
