/**
 * A cable of memory that leaves no garbage: what {@link MemoryDevice} does, but for a copy byte by byte instead of through
 * a view. For figures that count what the stack itself leaves behind.
 *
 * @module
 */

import { misused, SlotPool, slotSizeFor } from "../drivers/slot_pool.ts";
import { type Device, DeviceCounters } from "../stack/device.ts";
import { FREE, type Handler, HEADROOM, Packet, RECEIVED, Region, RESERVED, SENT } from "../stack/packet.ts";

/** Frames that wait in front of an end. */
const QUEUE = 512;
const MTU = 1500, HEADER = 14;

/** One end of a cable that carries plain frames of 1,500 bytes. */
export class SteadyCable implements Device {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly mtu = MTU;
  readonly offloads = 0;
  readonly linkUp = true;
  readonly closed = false;
  readonly failure = null;
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly deadline = Infinity;
  readonly #pool: SlotPool;
  readonly #queue: Packet[] = [];
  #head = 0;
  #tail = 0;
  #peer: SteadyCable | null = null;

  private constructor(number: number) {
    this.name = `cable${number}`;
    this.mac = Uint8Array.of(2, 0, 0, 0, 0, number);
    const size = slotSizeFor(HEADER + 65536);
    this.#pool = new SlotPool(this, 256, size);
    const frame = slotSizeFor(HEADER + MTU);
    const region = new Region(new ArrayBuffer(QUEUE * frame));
    for (let i = 0; i < QUEUE; i++) {
      this.#queue.push(new Packet(this, region, i, i * frame, (i + 1) * frame));
    }
  }

  /** Two ends. @param number Of the first one. */
  static pair(number: number): [SteadyCable, SteadyCable] {
    const a = new SteadyCable(number), b = new SteadyCable(number + 1);
    a.#peer = b;
    b.#peer = a;
    return [a, b];
  }

  get free(): number {
    return this.#pool.free;
  }

  poll(receiver: Handler, budget: number): number {
    let delivered = 0;
    while (delivered < budget && this.#head !== this.#tail) {
      const packet = this.#queue[this.#head]!;
      this.counters.receivedFrames++;
      packet.state = RECEIVED;
      delivered++;
      receiver.receive(packet);
      packet.state = FREE;
      this.#head = (this.#head + 1) % QUEUE;
    }
    return delivered;
  }

  reserve(): Packet | null {
    return this.#pool.take();
  }

  transmit(packet: Packet): boolean {
    if (packet.device !== this) misused("transmit", this, packet);
    const reserved = packet.state === RESERVED;
    packet.state = SENT;
    const sent = this.#peer!.#accept(packet);
    if (sent) this.counters.sentFrames++;
    else this.counters.transmitErrors++;
    if (reserved) this.#pool.give(packet);
    else if (packet.piece0Length !== 0) packet.dropPieces();
    return sent;
  }

  release(packet: Packet): void {
    this.#pool.give(packet);
  }

  flush(): void {}
  arm(): boolean {
    return true;
  }
  disarm(): void {}
  close(): void {}

  #accept(packet: Packet): boolean {
    const next = (this.#tail + 1) % QUEUE;
    if (next === this.#head) return false;
    const copy = this.#queue[this.#tail]!;
    const start = copy.base + HEADROOM - HEADER;
    let at = start;
    at = put(packet.region, packet.offset, packet.end - packet.offset, copy, at);
    if (packet.piece0Length !== 0) {
      at = put(packet.piece0!, packet.piece0Offset, packet.piece0Length, copy, at);
      if (packet.piece1Length !== 0) {
        at = put(packet.piece1!, packet.piece1Offset, packet.piece1Length, copy, at);
      }
    }
    copy.reset(start, at);
    copy.interface = null;
    this.#tail = next;
    return true;
  }
}

/** Copies in whole words. @returns Where the next byte goes. */
function put(source: Region, from: number, length: number, copy: Packet, at: number): number {
  const { view } = source;
  const target = copy.view;
  const end = from + length;
  for (; from + 4 <= end; from += 4, at += 4) target.setInt32(at, view.getInt32(from));
  for (; from < end; from++, at++) target.setUint8(at, view.getUint8(from));
  return at;
}
