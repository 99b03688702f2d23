/**
 * A device for micro-benchmarks: it costs nothing and loses what it is given.
 *
 * @module
 */

import { type Device, DeviceCounters } from "../device.ts";
import { type Bytes, type Handler, HEADROOM, Packet, RECEIVED, Region, RESERVED } from "../packet.ts";

/** Bytes of the slot: enough for one frame. */
const SLOT = 2048;

/** A device with a slot for what comes in and one that is lent to whoever sends. Both are used again and again. */
export class SinkDevice implements Device {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly mtu = 1500;
  readonly offloads = 0;
  readonly linkUp = true;
  readonly closed = false;
  readonly failure = null;
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly deadline = Infinity;
  readonly free = 8;
  /** What comes in lies here, {@link START} bytes behind its beginning. */
  readonly received: Packet;
  /** What was sent last. */
  readonly sent: Packet;

  /** @param mac Last byte of the link address 02:00:00:00:00:xx. */
  constructor(mac: number) {
    this.name = `sink${mac}`;
    this.mac = Uint8Array.of(2, 0, 0, 0, 0, mac);
    const region = new Region(new ArrayBuffer(2 * SLOT));
    this.received = new Packet(this, region, 0, 0, SLOT);
    this.sent = new Packet(this, region, 1, SLOT, 2 * SLOT);
  }

  /** Puts a frame where {@link deliver} finds it. */
  place(frame: Bytes): void {
    this.received.bytes.set(frame, START);
  }

  /** Lets the frame that lies there, of so many bytes, come in. @param flags `Packet.flags`. */
  deliver(receiver: Handler, length: number, flags = 0): void {
    const { received } = this;
    received.reset(START, START + length);
    received.flags = flags;
    received.state = RECEIVED;
    receiver.receive(received);
  }

  poll(): number {
    return 0;
  }

  reserve(): Packet {
    this.sent.reset(SLOT + HEADROOM, SLOT + HEADROOM);
    this.sent.state = RESERVED;
    return this.sent;
  }

  transmit(): boolean {
    this.counters.sentFrames++;
    return true;
  }

  release(): void {}
  flush(): void {}
  arm(): boolean {
    return true;
  }
  disarm(): void {}
  close(): void {}
}

/** Where a frame begins in {@link SinkDevice.received}. */
export const START: number = HEADROOM - 14;
