/**
 * The network device of a simulated host.
 *
 * @module
 */

import { sendable } from "../../drivers/frame.ts";
import { type Device, DeviceCounters } from "../../stack/device.ts";
import {
  FREE,
  type Handler,
  HEADROOM,
  Packet,
  RECEIVED,
  Region,
  RESERVED,
  SENT,
} from "../../stack/packet.ts";
import type { Frame, Link } from "./link.ts";

const ETHERNET_HEADER = 14;

/** A device whose frames go over a {@link Link}. It counts what is misused instead of throwing. */
export class Nic implements Device {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly offloads: number;
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly deadline = Infinity;
  readonly failure = null;
  closed = false;
  /** Which end of the link it is. */
  readonly port: number;
  /** Slots in all. */
  readonly slots: number;
  /** Packets given back twice, sent without having been reserved, or of another device. */
  misuses = 0;
  readonly #link: Link;
  readonly #free: Packet[] = [];
  readonly #received: Packet;
  readonly #inbox: Frame[] = [];
  #first = 0;

  /** @param slots How many packets can be reserved at a time. */
  constructor(link: Link, port: number, mtu: number, offloads: number, slots: number) {
    this.#link = link;
    this.port = port;
    this.mtu = mtu;
    this.offloads = offloads;
    this.slots = slots;
    this.name = `nic${port}`;
    this.mac = Uint8Array.of(2, 0, 0, 0, 0, port + 1);
    const size = HEADROOM + 32 + (offloads === 0 ? mtu : 65535);
    const region = new Region(new ArrayBuffer(size * (slots + 1)));
    for (let i = 0; i < slots; i++) this.#free.push(new Packet(this, region, i, i * size, (i + 1) * size));
    this.#received = new Packet(this, region, slots, slots * size, (slots + 1) * size);
  }

  get linkUp(): boolean {
    return this.#link.up(this.port);
  }

  get free(): number {
    return this.#free.length;
  }

  /** Frames that have arrived. */
  get waiting(): number {
    return this.#inbox.length - this.#first;
  }

  /** A frame has arrived. */
  arrive(frame: Frame): void {
    this.#inbox.push(frame);
  }

  poll(receiver: Handler, budget: number): number {
    let delivered = 0;
    const packet = this.#received;
    while (delivered < budget && this.#first < this.#inbox.length) {
      const frame = this.#inbox[this.#first++]!;
      const at = packet.base + HEADROOM - ETHERNET_HEADER;
      packet.bytes.set(frame.bytes.subarray(0, frame.length), at);
      packet.reset(at, at + frame.length);
      packet.state = RECEIVED;
      packet.flags = frame.flags;
      packet.gsoType = frame.gsoType;
      packet.gsoSize = frame.gsoSize;
      packet.checksumStart = frame.checksumStart + at;
      packet.checksumOffset = frame.checksumOffset;
      this.#link.recycle(frame);
      this.counters.receivedFrames++;
      delivered++;
      receiver.receive(packet);
      packet.state = FREE;
      packet.interface = null;
    }
    if (this.#first === this.#inbox.length) this.#inbox.length = this.#first = 0;
    return delivered;
  }

  reserve(): Packet | null {
    const packet = this.#free.pop();
    if (packet === undefined) {
      this.counters.transmitExhausted++;
      return null;
    }
    packet.reset(packet.base + HEADROOM, packet.base + HEADROOM);
    packet.interface = null;
    packet.state = RESERVED;
    return packet;
  }

  transmit(packet: Packet): boolean {
    const { state } = packet;
    if (packet.device !== this || (state !== RESERVED && state !== RECEIVED)) {
      this.misuses++;
      return false;
    }
    packet.state = SENT;
    const sent = sendable(packet, this.offloads, this.mtu) && this.#link.carry(this, packet);
    if (sent) this.counters.sentFrames++;
    else this.counters.transmitErrors++;
    if (packet.piece0Length !== 0) packet.dropPieces();
    // The link gives a slot back by `complete` when it keeps it for a while.
    if (state === RESERVED && packet.state === SENT && !(sent && this.#link.holds(this.port))) {
      this.complete(packet);
    }
    return sent;
  }

  /** The frame in this slot has left. */
  complete(packet: Packet): void {
    packet.state = FREE;
    this.#free.push(packet);
  }

  release(packet: Packet): void {
    if (packet.device !== this || packet.state !== RESERVED) {
      this.misuses++;
      return;
    }
    if (packet.piece0Length !== 0) packet.dropPieces();
    this.complete(packet);
  }

  flush(): void {}

  arm(): boolean {
    return this.waiting === 0;
  }

  disarm(): void {}

  close(): void {
    this.closed = true;
  }
}
