/**
 * A virtio network device made of TypeScript: the other side of the queues, in plain memory. Two of them joined
 * behave like two guests on one switch. For tests of the driver, which sees what it would see of a real device.
 *
 * @module
 */

import type { DmaMemory } from "./dma.ts";
import { NET_HEADER } from "./header.ts";
import type { QueueLayout } from "./queue.ts";
import {
  FEATURE_HIGH_IN_ORDER,
  INTERRUPT_CONFIG,
  INTERRUPT_QUEUE,
  type VirtioTransport,
} from "./transport.ts";

/** What a simulated device offers and how it is made. */
export interface SimulatedOptions {
  /** Feature bits 0 to 31. */
  features?: number;
  /** Feature bits 32 to 63; VERSION_1 by default. */
  featuresHigh?: number;
  /** Feature bits that it refuses when the driver takes them. */
  refused?: number;
  /** Entries of each queue; 256 by default, 0 for a device without queues. */
  queueSize?: number;
  /** Link address, 6 bytes. */
  mac?: readonly number[];
  /** MTU in its configuration; 1500 by default. */
  mtu?: number;
  /** Memory in bytes; 8 MiB by default. */
  memory?: number;
  /** Memory for what connections send; none by default. */
  shared?: SimulatedMemory | null;
  /** What it answers to commands of each class; 0 (done) by default. */
  answers?: readonly number[];
}

const DESCRIPTOR_NEXT = 1;
const DESCRIPTOR_WRITE = 2;
const CHUNK = 2 ** 21;
/** The chunk of the device's in which memory begins, above 4 GiB. */
const TOP = 4095;

/** Plain memory whose chunks the device sees in another order, above 4 GiB. */
export class SimulatedMemory implements DmaMemory {
  readonly buffer: ArrayBuffer;
  readonly chunk: number = CHUNK;
  readonly address = 0;
  /** Whether the driver has given it back. */
  released = false;

  readonly #top: number;

  /** @param length Bytes. @param top Number of the chunk in which it begins for the device, a multiple of 3; it goes down from there. */
  constructor(length: number, top: number = TOP) {
    this.buffer = new ArrayBuffer(length);
    this.#top = top;
  }

  physical(offset: number): number {
    const chunk = Math.floor(offset / CHUNK);
    return (this.#top - 3 * chunk) * CHUNK + offset % CHUNK;
  }

  /** Whether an address of the device's is one of this memory. */
  has(physical: number): boolean {
    const chunk = (this.#top - Math.floor(physical / CHUNK)) / 3;
    return Number.isInteger(chunk) && chunk >= 0 && chunk * CHUNK < this.buffer.byteLength;
  }

  /** The offset that the device means. @throws {RangeError} When the driver never told it such an address. */
  offset(physical: number, length: number): number {
    const chunk = (this.#top - Math.floor(physical / CHUNK)) / 3;
    const within = physical % CHUNK;
    const offset = chunk * CHUNK + within;
    if (
      !Number.isInteger(chunk) || chunk < 0 || within + length > CHUNK ||
      offset + length > this.buffer.byteLength
    ) {
      throw new RangeError(`Device was given a bad address: ${physical} with ${length} bytes`);
    }
    return offset;
  }

  release(): void {
    this.released = true;
  }
}

/** A part of a buffer: where it lies. */
export interface BufferPart {
  /** In which memory. */
  readonly memory: SimulatedMemory;
  /** First byte there. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** Whether the device may write it. */
  readonly writable: boolean;
}

/** A buffer that the device has taken; the fields of its first part stand beside all of them. */
export interface TakenBuffer extends BufferPart {
  /** Number of its first descriptor. */
  readonly id: number;
  /** Its parts. */
  readonly parts: readonly BufferPart[];
}

/** The device's side of one queue. */
export class DeviceQueue {
  /** Entries. */
  readonly size: number;
  /** Whether events are suppressed by index. */
  readonly eventIndex: boolean;
  /** Whether the driver is held to the rules; one that was lied to can't keep them. */
  strict = true;
  /** Memory that buffers may lie in as well. */
  shared: SimulatedMemory | null = null;
  readonly #memory: SimulatedMemory;
  readonly #view: DataView<ArrayBuffer>;
  readonly #descriptors: number;
  readonly #available: number;
  readonly #used: number;
  #seen = 0;
  #next = 0;
  #told = 0;

  /** @param layout Where the parts lie. */
  constructor(
    memory: SimulatedMemory,
    size: number,
    layout: Pick<QueueLayout, "descriptors" | "available" | "used">,
    eventIndex: boolean,
  ) {
    this.#memory = memory;
    this.#view = new DataView(memory.buffer);
    this.size = size;
    this.eventIndex = eventIndex;
    this.#descriptors = layout.descriptors;
    this.#available = layout.available;
    this.#used = layout.used;
  }

  /** Buffers that the driver has made available and the device has not taken. */
  get waiting(): number {
    return (this.#view.getUint16(this.#available + 2, true) - this.#seen) & 0xffff;
  }

  /** Takes the next buffer, in its parts. @returns null when there is none. */
  take(): TakenBuffer | null {
    if (this.waiting === 0) {
      if (this.eventIndex) this.#view.setUint16(this.#used + 4 + 8 * this.size, this.#seen, true);
      return null;
    }
    if (this.waiting > this.size && !this.strict) return null;
    if (this.waiting > this.size) throw new RangeError("Driver made more buffers available than there are");
    const id = this.#view.getUint16(this.#available + 4 + 2 * (this.#seen % this.size), true);
    this.#seen = (this.#seen + 1) & 0xffff;
    const parts: BufferPart[] = [];
    for (let number = id;;) {
      const at = this.#descriptors + 16 * number;
      const physical = this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
      const length = this.#view.getUint32(at + 8, true);
      const flags = this.#view.getUint16(at + 12, true);
      const memory = this.shared?.has(physical) ? this.shared : this.#memory;
      const offset = memory.offset(physical, length);
      parts.push({ memory, offset, length, writable: (flags & DESCRIPTOR_WRITE) !== 0 });
      if (parts.length > this.size) throw new RangeError("Driver made a chain that goes round in circles");
      if ((flags & DESCRIPTOR_NEXT) === 0) break;
      number = this.#view.getUint16(at + 14, true);
    }
    return { id, parts, ...parts[0]! };
  }

  /** Takes the next command: bytes to read, and where its answer goes. @returns null when there is none. */
  takeCommand(): { id: number; bytes: Uint8Array; answer: number } | null {
    if (this.waiting === 0) {
      if (this.eventIndex) this.#view.setUint16(this.#used + 4 + 8 * this.size, this.#seen, true);
      return null;
    }
    const id = this.#view.getUint16(this.#available + 4 + 2 * (this.#seen % this.size), true);
    this.#seen = (this.#seen + 1) & 0xffff;
    const part = (number: number) => {
      const at = this.#descriptors + 16 * number;
      const physical = this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
      const length = this.#view.getUint32(at + 8, true);
      const [flags, next] = [this.#view.getUint16(at + 12, true), this.#view.getUint16(at + 14, true)];
      return { offset: this.#memory.offset(physical, length), length, flags, next };
    };
    const command = part(id);
    if (command.flags !== DESCRIPTOR_NEXT) throw new RangeError("Driver sends a command without an answer");
    const answer = part(command.next);
    if (answer.flags !== DESCRIPTOR_WRITE || answer.length !== 1) {
      throw new RangeError("Driver has no room for the answer to a command");
    }
    const bytes = new Uint8Array(this.#memory.buffer, command.offset, command.length).slice();
    return { id, bytes, answer: answer.offset };
  }

  /** Gives a buffer back: an entry of the used ring, whatever is in it. */
  give(id: number, length: number): void {
    const at = this.#used + 4 + 8 * (this.#next % this.size);
    this.#view.setUint32(at, id, true);
    this.#view.setUint32(at + 4, length, true);
    this.#next = (this.#next + 1) & 0xffff;
    this.#view.setUint16(this.#used + 2, this.#next, true);
  }

  /** Gives `count` buffers back in one entry that names the last of them, as a device may that keeps to the order. */
  giveInOrder(id: number, length: number, count: number): void {
    if (count === 0) return;
    this.give(id, length);
    this.#next = (this.#next + count - 1) & 0xffff;
    this.#view.setUint16(this.#used + 2, this.#next, true);
  }

  /** Writes any index into the used ring, as only a broken device does. */
  lie(index: number): void {
    this.#view.setUint16(this.#used + 2, index, true);
  }

  /** @returns Whether the driver wants an interrupt for what was given since the last call. */
  wantsInterrupt(): boolean {
    const before = this.#told;
    this.#told = this.#next;
    if (this.#next === before) return false;
    if (!this.eventIndex) return (this.#view.getUint16(this.#available, true) & 1) === 0;
    const event = this.#view.getUint16(this.#available + 4 + 2 * this.size, true);
    return ((this.#next - event - 1) & 0xffff) < ((this.#next - before) & 0xffff);
  }
}

/** The device, with the bus that it is on. */
export class SimulatedVirtioNet implements VirtioTransport {
  readonly memory: SimulatedMemory;
  /** Gets each frame that the driver sends, header included. */
  onFrame: ((bytes: Uint8Array<ArrayBuffer>) => void) | null = null;
  /** Features that the driver took, bits 0 to 31. */
  accepted = 0;
  /** The same, bits 32 to 63. */
  acceptedHigh = 0;
  /** Whether the driver has closed it. */
  closed = false;
  /** Times the driver has notified it. */
  notifications = 0;
  /** Interrupts that it raised. */
  raised = 0;
  /** Parts of the last frame that the driver has sent. */
  partsOfLast = 0;
  /** Frames that found no buffer. */
  dropped = 0;
  /** Whether it delivers every frame; it does until it is told otherwise. */
  promiscuous = true;
  /** The groups that it was told, as 12 hexadecimal digits. */
  groups: string[] = [];
  /** True to leave commands where they are. */
  deaf = false;
  /** Its queues, once they are set up: for frames to the driver, and from it; and for commands. */
  readonly queues: DeviceQueue[] = [];
  configGeneration = 0;
  readonly #options: Required<SimulatedOptions>;
  readonly #config = new Uint8Array(12);
  #status = 0;
  #reasons = 0;
  #interrupt: (() => void) | null = null;
  #pending = false;

  /** @param options What it offers. */
  constructor(options: SimulatedOptions = {}) {
    this.#options = {
      features: 0,
      featuresHigh: 1,
      refused: 0,
      queueSize: 256,
      mac: [0x52, 0x54, 0, 0, 0, 1],
      mtu: 1500,
      memory: 8 * 2 ** 20,
      shared: null,
      answers: [],
      ...options,
    };
    this.memory = new SimulatedMemory(this.#options.memory);
    this.#config.set(this.#options.mac, 0);
    this.#config[6] = 1;
    new DataView(this.#config.buffer).setUint16(10, this.#options.mtu, true);
  }

  /** Joins two devices: what one driver sends, the other gets. */
  static join(a: SimulatedVirtioNet, b: SimulatedVirtioNet): void {
    a.onFrame = (bytes) => b.send(bytes);
    b.onFrame = (bytes) => a.send(bytes);
  }

  shared(): DmaMemory | null {
    return this.#options.shared;
  }

  get status(): number {
    return this.#status;
  }

  set status(bits: number) {
    if (bits === 0) {
      this.queues.length = 0;
      this.promiscuous = true;
      this.groups = [];
      this.accepted = this.acceptedHigh = this.#reasons = 0;
    }
    const refused = (this.accepted & this.#options.refused) !== 0;
    this.#status = refused ? bits & ~8 : bits;
  }

  features(word: 0 | 1): number {
    return word === 0 ? this.#options.features : this.#options.featuresHigh;
  }

  accept(word: 0 | 1, bits: number): void {
    if (word === 0) this.accepted = bits;
    else this.acceptedHigh = bits;
  }

  queueSize(): number {
    return this.#options.queueSize;
  }

  enableQueue(index: number, size: number, descriptors: number, available: number, used: number): void {
    const eventIndex = (this.accepted & 1 << 29) !== 0;
    const queue = new DeviceQueue(this.memory, size, { descriptors, available, used }, eventIndex);
    queue.shared = this.#options.shared;
    this.queues[index] = queue;
  }

  notify(index: number): void {
    this.notifications++;
    if (index === 2 && this.#status !== 0) this.obey();
    if (index !== 1 || this.#status === 0) return;
    const queue = this.queues[1]!;
    // One that keeps to the order names the last of several only.
    const inOrder = (this.acceptedHigh & FEATURE_HIGH_IN_ORDER) !== 0;
    let last = 0, count = 0;
    for (let buffer = queue.take(); buffer !== null; buffer = queue.take()) {
      const { parts } = buffer;
      if (parts.some(({ writable }) => writable)) {
        throw new RangeError("Driver sends a buffer that the device is to write");
      }
      this.partsOfLast = parts.length;
      const frame = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const { memory, offset, length } of parts) {
        frame.set(new Uint8Array(memory.buffer, offset, length), at);
        at += length;
      }
      last = buffer.id;
      count++;
      if (!inOrder) queue.give(last, 0);
      this.onFrame?.(frame);
    }
    if (inOrder) queue.giveInOrder(last, 0, count);
    this.#raise(queue);
  }

  /** Does what commands say, unless it is {@link deaf}. */
  obey(): void {
    const queue = this.queues[2];
    if (queue === undefined || this.deaf) return;
    for (let command = queue.takeCommand(); command !== null; command = queue.takeCommand()) {
      const { bytes } = command;
      const view = new DataView(bytes.buffer);
      const answer = this.#options.answers[bytes[0]!] ?? 0;
      if (answer === 0 && bytes[0] === 0) this.promiscuous = bytes[2] === 1;
      else if (answer === 0 && bytes[0] === 1) {
        if (view.getUint32(2, true) !== 0) throw new RangeError("Driver names stations, of which it is none");
        const count = view.getUint32(6, true);
        if (bytes.length !== 10 + 6 * count) throw new RangeError("Driver counts its groups wrongly");
        this.groups = Array.from({ length: count }, (_, i) => bytes.slice(10 + 6 * i, 16 + 6 * i).toHex());
      }
      new Uint8Array(this.memory.buffer)[command.answer] = answer;
      queue.give(command.id, 1);
    }
    this.#raise(queue);
  }

  #wants(bytes: Uint8Array): boolean {
    const to = bytes.slice(NET_HEADER, NET_HEADER + 6);
    const own = to.every((byte, i) => byte === this.#config[i]) || to.every((byte) => byte === 255);
    return this.promiscuous || own || this.groups.includes(to.toHex());
  }

  /** Writes a frame, header included, to the driver. @returns False when the driver has no buffer for it. */
  send(bytes: Uint8Array<ArrayBuffer>, usedLength: number = bytes.length): boolean {
    if (!this.#wants(bytes)) return true;
    const queue = this.queues[0];
    const buffer = queue?.take() ?? null;
    if (buffer === null || bytes.length > buffer.length) {
      this.dropped++;
      return false;
    }
    if (!buffer.writable) throw new RangeError("Driver lends a buffer that the device may not write");
    new Uint8Array(this.memory.buffer).set(bytes, buffer.offset);
    queue!.give(buffer.id, usedLength);
    this.#raise(queue!);
    return true;
  }

  /** Plugs the cable in or out, and says so. */
  setLink(up: boolean): void {
    this.#config[6] = up ? 1 : 0;
    this.configGeneration++;
    this.#reasons |= INTERRUPT_CONFIG;
    this.#fire();
  }

  /** Says that only a reset helps. */
  break(): void {
    this.#status |= 64;
    this.#reasons |= INTERRUPT_CONFIG;
    this.#fire();
  }

  #raise(queue: DeviceQueue): void {
    if (!queue.wantsInterrupt()) return;
    this.raised++;
    this.#reasons |= INTERRUPT_QUEUE;
    this.#fire();
  }

  #fire(): void {
    if (this.#interrupt === null || this.#pending) return;
    this.#pending = true;
    setImmediate(() => {
      this.#pending = false;
      if (this.#reasons === 0) return;
      const interrupt = this.#interrupt;
      this.#interrupt = null;
      interrupt?.();
    });
  }

  interrupts(): number {
    const reasons = this.#reasons;
    this.#reasons = 0;
    return reasons;
  }

  configByte(offset: number): number {
    return this.#config[offset] ?? 0;
  }

  arm(interrupt: () => void): void {
    this.#interrupt = interrupt;
    if (this.#reasons !== 0) this.#fire();
  }

  disarm(): void {
    this.#interrupt = null;
  }

  close(): void {
    this.closed = true;
    this.#interrupt = null;
  }
}
