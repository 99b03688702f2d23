/**
 * A device for unit tests: frames go in and out as byte arrays, one at a time.
 *
 * @module
 */

import { type Device, DeviceCounters, type Medium } from "../device.ts";
import { type Bytes, FREE, type Handler, HEADROOM, Packet, RECEIVED, Region, RESERVED } from "../packet.ts";

/** A frame as it left, with what the virtio header would say. */
export interface SentFrame {
  /** The bytes, pieces included. */
  bytes: Bytes;
  /** `Packet.flags`. */
  flags: number;
  /** `Packet.gsoType`. */
  gsoType: number;
  /** `Packet.gsoSize`. */
  gsoSize: number;
}

/** What {@link TestDevice} takes. */
export interface TestDeviceOptions {
  /** `ip` for one without link header and link address. */
  medium?: Medium;
  /** Last byte of the link address 02:00:00:00:00:xx. Default 1. */
  mac?: number;
  /** Default 1500. */
  mtu?: number;
  /** `OFFLOAD_*` bits. Default none. */
  offloads?: number;
  /** Slots. Default 64. */
  slots?: number;
  /** Bytes of a slot. Default enough for the MTU. */
  slotSize?: number;
}

/** Collects what is sent in {@link sent}; {@link deliver} lets a frame come in. */
export class TestDevice implements Device {
  readonly name: string = "test";
  readonly medium: Medium;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly offloads: number;
  readonly linkUp = true;
  closed = false;
  readonly failure = null;
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly deadline = Infinity;
  /** What was sent and not taken yet. */
  sent: SentFrame[] = [];
  /** True to refuse what is transmitted. */
  refuse = false;
  readonly #packets: Packet[] = [];
  readonly #incoming: { bytes: Uint8Array; prepare: ((packet: Packet) => void) | null }[] = [];
  /** Slots that were lent or reserved more than once, or given back twice. */
  faults = 0;

  constructor(options: TestDeviceOptions = {}) {
    this.medium = options.medium ?? "ethernet";
    this.mac = this.medium === "ip" ? new Uint8Array(6) : new Uint8Array([2, 0, 0, 0, 0, options.mac ?? 1]);
    this.mtu = options.mtu ?? 1500;
    this.offloads = options.offloads ?? 0;
    const size = options.slotSize ?? ((HEADROOM + 14 + this.mtu + 63) & ~63);
    const slots = options.slots ?? 64;
    const region = new Region(new ArrayBuffer(size * slots));
    for (let i = 0; i < slots; i++) this.#packets.push(new Packet(this, region, i, i * size, (i + 1) * size));
  }

  get free(): number {
    return this.#packets.length;
  }

  /** Queues a frame for the next {@link poll}. */
  queue(bytes: Uint8Array, prepare: ((packet: Packet) => void) | null = null): void {
    this.#incoming.push({ bytes, prepare });
  }

  /** Lets one frame come in now. */
  deliver(receiver: Handler, bytes: Uint8Array, prepare: ((packet: Packet) => void) | null = null): void {
    this.queue(bytes, prepare);
    this.poll(receiver, 1);
  }

  poll(receiver: Handler, budget: number): number {
    let done = 0;
    while (done < budget && this.#incoming.length > 0) {
      const { bytes, prepare } = this.#incoming.shift()!;
      const packet = this.#packets.pop()!;
      const at = packet.base + HEADROOM - (this.medium === "ip" ? 0 : 14);
      packet.bytes.set(bytes, at);
      packet.reset(at, at + bytes.length);
      packet.state = RECEIVED;
      prepare?.(packet);
      done++;
      this.counters.receivedFrames++;
      receiver.receive(packet);
      if (packet.state === RECEIVED) this.#give(packet);
    }
    return done;
  }

  reserve(): Packet | null {
    const packet = this.#packets.pop();
    if (packet === undefined) {
      this.counters.transmitExhausted++;
      return null;
    }
    packet.reset(packet.base + HEADROOM, packet.base + HEADROOM);
    packet.state = RESERVED;
    return packet;
  }

  transmit(packet: Packet): boolean {
    if (packet.state !== RESERVED && packet.state !== RECEIVED) this.faults++;
    if (!this.refuse) {
      const bytes = new Uint8Array(packet.length);
      packet.copyTo(bytes, 0);
      this.sent.push({ bytes, flags: packet.flags, gsoType: packet.gsoType, gsoSize: packet.gsoSize });
      this.counters.sentFrames++;
    } else this.counters.transmitErrors++;
    this.#give(packet);
    return !this.refuse;
  }

  release(packet: Packet): void {
    if (packet.state !== RESERVED) this.faults++;
    this.#give(packet);
  }

  flush(): void {}

  arm(): boolean {
    return true;
  }

  disarm(): void {}

  close(): void {
    this.closed = true;
  }

  /** Takes all frames sent so far. */
  take(): SentFrame[] {
    const taken = this.sent;
    this.sent = [];
    return taken;
  }

  #give(packet: Packet): void {
    if (packet.state === FREE) this.faults++;
    packet.dropPieces();
    packet.state = FREE;
    this.#packets.push(packet);
  }
}
