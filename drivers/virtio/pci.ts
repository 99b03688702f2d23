/**
 * A modern virtio device on the PCI bus, taken over through UIO (virtio 1.2, section 4.1).
 *
 * Registers are touched through elements of typed arrays only: a DataView's store may become single bytes, which
 * a device does not understand. 64-bit registers take two 32-bit stores.
 *
 * @module
 */

import {
  closeFile,
  map,
  MAP_SHARED,
  type Mapping,
  O_CLOEXEC,
  O_RDWR,
  openFile,
  PROT_READ,
  PROT_WRITE,
  readAt,
  unmap,
  writeAt,
} from "../ffi/system.ts";
import { type DmaMemory, HugePages } from "./dma.ts";
import type { VirtioTransport } from "./transport.ts";
import { checkBound, PCI_DEVICES } from "./uio.ts";
import { UioInterrupt } from "./uio_interrupt.ts";

/** Offsets in the PCI configuration space. */
const COMMAND = 0x04;
const STATUS = 0x06;
const CAPABILITIES = 0x34;

const COMMAND_MEMORY = 1 << 1;
const COMMAND_BUS_MASTER = 1 << 2;
const COMMAND_INTX_DISABLE = 1 << 10;
const STATUS_CAPABILITIES = 1 << 4;
const CAPABILITY_VENDOR = 0x09;

/** Types of the virtio capabilities (section 4.1.4). */
const COMMON = 1;
const NOTIFY = 2;
const INTERRUPT = 3;
const DEVICE = 4;

/** Offsets in the common configuration (section 4.1.4.3). */
const DEVICE_FEATURE_SELECT = 0x00;
const DEVICE_FEATURE = 0x04;
const DRIVER_FEATURE_SELECT = 0x08;
const DRIVER_FEATURE = 0x0c;
const QUEUES = 0x12;
const DEVICE_STATUS = 0x14;
const CONFIG_GENERATION = 0x15;
const QUEUE_SELECT = 0x16;
const QUEUE_SIZE = 0x18;
const QUEUE_ENABLE = 0x1c;
const QUEUE_NOTIFY_OFFSET = 0x1e;
const QUEUE_DESCRIPTORS = 0x20;
const QUEUE_AVAILABLE = 0x28;
const QUEUE_USED = 0x30;
const COMMON_LENGTH = 0x38;

/** A place in a BAR that a capability points to. */
export interface VirtioCapability {
  /** 1 common, 2 notify, 3 interrupt status, 4 device configuration. */
  readonly type: number;
  /** Number of the BAR, 0 to 5. */
  readonly bar: number;
  /** Bytes from the BAR's start. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** For type 2: bytes between the registers of two queues. */
  readonly multiplier: number;
}

/**
 * Walks the capability list for virtio's entries, the first of each type (section 4.1.4).
 * @param space The PCI configuration space, 256 bytes. Anything may be in it.
 */
export function virtioCapabilities(space: Uint8Array<ArrayBuffer>): VirtioCapability[] {
  const view = new DataView(space.buffer, space.byteOffset, space.byteLength);
  const found: VirtioCapability[] = [];
  if (space.length < 64 || (view.getUint16(STATUS, true) & STATUS_CAPABILITIES) === 0) return found;
  let at = space[CAPABILITIES]! & ~3;
  // There is room for 48 capabilities; a longer list goes round in circles.
  for (let hops = 0; hops < 48 && at >= 0x40 && at + 16 <= space.length; hops++) {
    if (space[at] === CAPABILITY_VENDOR) {
      const type = space[at + 3]!;
      const bar = space[at + 4]!;
      const room = type !== NOTIFY || at + 20 <= space.length;
      if (bar <= 5 && room && !found.some((known) => known.type === type)) {
        found.push({
          type,
          bar,
          offset: view.getUint32(at + 8, true),
          length: view.getUint32(at + 12, true),
          multiplier: type === NOTIFY ? view.getUint32(at + 16, true) : 0,
        });
      }
    }
    at = space[at + 1]! & ~3;
  }
  return found;
}

/** A window onto registers: one view for each width. */
class Registers {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly halves: Uint16Array<ArrayBuffer>;
  readonly words: Int32Array<ArrayBuffer>;

  constructor(bar: ArrayBuffer, offset: number, length: number) {
    this.bytes = new Uint8Array(bar, offset, length);
    this.halves = new Uint16Array(bar, offset & ~1, length >> 1);
    this.words = new Int32Array(bar, offset & ~3, length >> 2);
  }
}

/** A device bound to `uio_pci_generic`. */
export class VirtioPci implements VirtioTransport {
  readonly memory: DmaMemory;
  readonly #configFd: number;
  readonly #interrupt: UioInterrupt;
  readonly #bars = new Map<number, Mapping>();
  readonly #common: Registers;
  readonly #notify: Registers;
  readonly #multiplier: number;
  readonly #isr: Registers;
  readonly #device: Registers | null;
  /** For each queue, the index of its register in {@link #notify}'s halves. */
  readonly #notifyIndex: number[] = [];
  readonly #interrupted = (): void => this.#onInterrupt();
  #closed = false;
  #armed: (() => void) | null = null;
  readonly #command = new Uint16Array(1);
  readonly #commandBytes = new Uint8Array(this.#command.buffer);

  /**
   * Takes the device over.
   * @param address Where it is: `0000:00:02.0`. @param memory What it may reach.
   * @throws {Error} When it is not bound to UIO, or is not a modern virtio device.
   */
  constructor(address: string, memory: DmaMemory) {
    const uio = checkBound(address);
    this.memory = memory;
    const folder = `${PCI_DEVICES}/${address}`;
    this.#configFd = openFile(`${folder}/config`, O_RDWR | O_CLOEXEC);
    try {
      const space = new Uint8Array(256);
      readAt(this.#configFd, space, 0);
      this.#commandBytes.set(space.subarray(COMMAND, COMMAND + 2));
      const capabilities = virtioCapabilities(space);
      const registers = (type: number, least: number): Registers | null => {
        const capability = capabilities.find((known) => known.type === type);
        if (capability === undefined) return null;
        const bar = this.#map(folder, capability.bar).buffer;
        const { offset, length } = capability;
        if (length < least || offset + length > bar.byteLength || (offset & 3) !== 0) return null;
        return new Registers(bar, offset, length);
      };
      const common = registers(COMMON, COMMON_LENGTH);
      const notify = registers(NOTIFY, 2);
      const isr = registers(INTERRUPT, 1);
      if (common === null || notify === null || isr === null) {
        throw new Error(`PCI device "${address}" is not a modern virtio device`);
      }
      this.#common = common;
      this.#notify = notify;
      this.#isr = isr;
      this.#device = registers(DEVICE, 1);
      this.#multiplier = capabilities.find((known) => known.type === NOTIFY)!.multiplier;
      this.#interrupt = new UioInterrupt(`/dev/uio${uio}`);
    } catch (error) {
      this.#release();
      throw error;
    }
    this.#enable();
  }

  shared(): DmaMemory | null {
    return HugePages.shared();
  }

  get status(): number {
    return this.#common.bytes[DEVICE_STATUS]!;
  }

  set status(bits: number) {
    this.#common.bytes[DEVICE_STATUS] = bits;
  }

  get configGeneration(): number {
    return this.#common.bytes[CONFIG_GENERATION]!;
  }

  features(word: 0 | 1): number {
    this.#common.words[DEVICE_FEATURE_SELECT >> 2] = word;
    return this.#common.words[DEVICE_FEATURE >> 2]!;
  }

  accept(word: 0 | 1, bits: number): void {
    this.#common.words[DRIVER_FEATURE_SELECT >> 2] = word;
    this.#common.words[DRIVER_FEATURE >> 2] = bits;
  }

  queueSize(index: number): number {
    if (index >= this.#common.halves[QUEUES >> 1]!) return 0;
    this.#common.halves[QUEUE_SELECT >> 1] = index;
    return this.#common.halves[QUEUE_SIZE >> 1]!;
  }

  enableQueue(index: number, size: number, descriptors: number, available: number, used: number): void {
    const common = this.#common;
    common.halves[QUEUE_SELECT >> 1] = index;
    common.halves[QUEUE_SIZE >> 1] = size;
    this.#address(QUEUE_DESCRIPTORS, descriptors);
    this.#address(QUEUE_AVAILABLE, available);
    this.#address(QUEUE_USED, used);
    const offset = common.halves[QUEUE_NOTIFY_OFFSET >> 1]! * this.#multiplier;
    if ((offset & 1) !== 0 || offset + 2 > this.#notify.bytes.length) {
      throw new Error(`Queue ${index} has its notification register outside of the device, at ${offset}`);
    }
    this.#notifyIndex[index] = offset >> 1;
    common.halves[QUEUE_ENABLE >> 1] = 1;
  }

  #address(register: number, offset: number): void {
    const physical = this.memory.physical(offset);
    this.#common.words[register >> 2] = physical | 0;
    this.#common.words[(register >> 2) + 1] = Math.floor(physical / 2 ** 32);
  }

  notify(index: number): void {
    this.#notify.halves[this.#notifyIndex[index]!] = index;
  }

  interrupts(): number {
    return this.#isr.bytes[0]!;
  }

  configByte(offset: number): number {
    const device = this.#device;
    return device === null || offset >= device.bytes.length ? 0 : device.bytes[offset]!;
  }

  arm(interrupt: () => void): void {
    this.#armed = interrupt;
    this.#interrupt.start(this.#interrupted);
  }

  disarm(): void {
    this.#armed = null;
    this.#interrupt.stop();
  }

  #onInterrupt(): void {
    const armed = this.#armed;
    this.#armed = null;
    // The kernel's handler has switched the line off. Reading the reasons, which `armed` does, lowers it.
    if (armed === null) this.interrupts();
    else armed();
    if (!this.#closed) this.#enable();
  }

  close(): void {
    this.#closed = true;
    this.#interrupt.close();
    this.#setCommand(COMMAND_INTX_DISABLE, COMMAND_BUS_MASTER);
    this.#release();
  }

  /** Lets the device reach memory, and raise its interrupt line. */
  #enable(): void {
    this.#setCommand(COMMAND_MEMORY | COMMAND_BUS_MASTER, COMMAND_INTX_DISABLE);
  }

  /** The kernel changes nothing in this register but INTx disable: what was read first holds. */
  #setCommand(set: number, clear: number): void {
    this.#command[0] = this.#command[0]! & ~clear | set;
    writeAt(this.#configFd, this.#commandBytes, COMMAND);
  }

  #map(folder: string, bar: number): Mapping {
    let mapping = this.#bars.get(bar);
    if (mapping === undefined) {
      const path = `${folder}/resource${bar}`;
      const fd = openFile(path, O_RDWR | O_CLOEXEC);
      try {
        mapping = map(Deno.statSync(path).size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
      } finally {
        closeFile(fd);
      }
      this.#bars.set(bar, mapping);
    }
    return mapping;
  }

  #release(): void {
    for (const mapping of this.#bars.values()) unmap(mapping);
    this.#bars.clear();
    closeFile(this.#configFd);
  }
}
