/**
 * The device behind our own addresses. What is sent on it comes in again when it is next polled.
 *
 * @module
 */

import {
  type Device,
  DeviceCounters,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
} from "../device.ts";
import {
  FREE,
  type Handler,
  HEADROOM,
  Packet,
  RECEIVED,
  Region,
  RESERVED,
  SENT,
  SLOT_SIZE,
} from "../packet.ts";

/**
 * A queue of frames in plain memory, bounded by its slots. Super-frames and partial checksums come in as they
 * went out. Pieces outside a slot are copied into it, so that the receiver finds a frame in one place.
 */
export class LoopbackDevice implements Device {
  readonly name = "lo";
  readonly mac: Uint8Array = new Uint8Array(6);
  readonly mtu = 65535;
  readonly offloads: number = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO;
  readonly linkUp = true;
  closed = false;
  readonly failure = null;
  readonly counters: DeviceCounters = new DeviceCounters();
  free: number;
  #unmade: number;
  #slots = 0;
  #pool: Packet | null = null;
  #head: Packet | null = null;
  #tail: Packet | null = null;
  #waiting = 0;
  #wake: (() => void) | null = null;

  /**
   * Makes the device.
   * @param slots Most frames under way. The memory of each is made when it is first needed.
   */
  constructor(slots: number) {
    this.free = this.#unmade = slots;
  }

  /** Frames that wait to come in. */
  get waiting(): number {
    return this.#waiting;
  }

  get deadline(): number {
    return this.#waiting > 0 ? 0 : Infinity;
  }

  poll(receiver: Handler, budget: number): number {
    let done = 0;
    // What is sent meanwhile waits for the next poll: an answer to an answer must not hold the turn.
    const last = this.#tail;
    while (done < budget && this.#head !== null) {
      const packet = this.#head;
      this.#head = packet.next;
      if (this.#head === null) this.#tail = null;
      this.#waiting--;
      packet.next = null;
      packet.state = RECEIVED;
      done++;
      this.counters.receivedFrames++;
      this.counters.receivedBytes += packet.end - packet.offset;
      receiver.receive(packet);
      if (packet.state === RECEIVED) this.#give(packet);
      if (packet === last) break;
    }
    return done;
  }

  reserve(): Packet | null {
    let packet = this.#pool;
    if (packet !== null) {
      this.#pool = packet.next;
    } else {
      if (this.#unmade === 0 || this.closed) {
        this.counters.transmitExhausted++;
        return null;
      }
      this.#unmade--;
      packet = new Packet(this, new Region(new ArrayBuffer(SLOT_SIZE)), this.#slots++, 0, SLOT_SIZE);
    }
    this.free--;
    packet.reset(packet.base + HEADROOM, packet.base + HEADROOM);
    packet.state = RESERVED;
    return packet;
  }

  transmit(packet: Packet): boolean {
    if (this.closed || !packet.gather()) {
      this.counters.transmitErrors++;
      this.#give(packet);
      return false;
    }
    this.counters.sentFrames++;
    this.counters.sentBytes += packet.end - packet.offset;
    packet.state = SENT;
    packet.path = null;
    packet.next = null;
    if (this.#tail === null) this.#head = packet;
    else this.#tail.next = packet;
    this.#tail = packet;
    this.#waiting++;
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
    return true;
  }

  release(packet: Packet): void {
    this.#give(packet);
  }

  flush(): void {}

  arm(wake: () => void): boolean {
    if (this.#waiting > 0) return false;
    this.#wake = wake;
    return true;
  }

  disarm(): void {
    this.#wake = null;
  }

  close(): void {
    this.closed = true;
    this.#wake = null;
    while (this.#head !== null) {
      const packet = this.#head;
      this.#head = packet.next;
      this.#give(packet);
    }
    this.#tail = null;
    this.#waiting = 0;
  }

  #give(packet: Packet): void {
    packet.dropPieces();
    packet.state = FREE;
    packet.next = this.#pool;
    this.#pool = packet;
    this.free++;
  }
}
