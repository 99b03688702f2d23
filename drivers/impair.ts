/**
 * A bad link in front of any device: loss, delay, reordering, duplicates, corruption, a limited rate.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import type { Handler, Packet } from "../stack/packet.ts";
import { FRAME_OVERHEAD } from "./frame.ts";
import { ImpairedDirection, type Impairment } from "./impairment.ts";
import { checkRange, SlotDevice } from "./slot_device.ts";

/** Options of an {@link ImpairDevice}. */
export interface ImpairOptions {
  /** 32 bits from which all that happens by chance follows; 1 by default. */
  seed?: number;
  /** What happens to frames that are sent. */
  send?: Impairment;
  /** What happens to frames that are received. */
  receive?: Impairment;
  /**
   * Frames that can be on their way in each direction, 1 to 65536; 4096 by default. A link of `rate` and `delay`
   * needs rate × delay / (8 × frame length) of them; a frame that finds none is lost.
   */
  slots?: number;
  /**
   * The time in µs, by the clock of who polls, at which a frame gets to the link. By default that of the last `poll`, so that what
   * happens follows from the times that it got; but a turn that takes long, or is held up by other programs, lets a frame out
   * too early then by as much. With a clock none takes less than its delay.
   */
  clock?: () => number;
}

/** Seeds of the two directions differ by this, so that they lose different frames. */
const OTHER_DIRECTION = 0x5bd1e995;
/** Batches taken from the inner device in one poll; a flood must not hold the event loop. */
const MOST_ROUNDS = 16;
/** Slots that can be reserved at a time. */
const RESERVABLE = 256;

/**
 * What it does is a function of the seed, the frames and the times that `poll` gets (or its clock): the same in every run. It cuts
 * no super-frames, so the device that it wraps has no offloads.
 * @example A link of 100 Mbit/s and 20 ms that loses one frame in a hundred
 * ```ts
 * import { ImpairDevice } from "./impair.ts";
 * import { MemoryDevice } from "./memory.ts";
 *
 * const [device, peer] = MemoryDevice.pair();
 * const link = new ImpairDevice(device, { seed: 7, send: { rate: 100e6, delay: 10_000, loss: 0.01 }, receive: { delay: 10_000 } });
 * link.send.change({ blackout: true });
 * link.close();
 * peer.close();
 * ```
 */
export class ImpairDevice extends SlotDevice implements Device {
  /** The way out. */
  readonly send: ImpairedDirection;
  /** The way in. */
  readonly receive: ImpairedDirection;
  readonly #inner: Device;
  readonly #clock: (() => number) | null;
  readonly #relay: Handler = {
    receive: (packet) => this.receive.offer(packet, this.#clock?.() ?? this.#now),
  };
  #now = 0;
  /** The inner device may have more than the last poll took. */
  #more = false;

  /**
   * Puts the link in front of `inner`, which is closed with it.
   * @throws {TypeError} If `inner` has offloads. @throws {RangeError} If an option is out of range.
   */
  constructor(inner: Device, options: ImpairOptions = {}) {
    const { seed = 1, slots = 4096, clock = null } = options;
    if (inner.offloads !== 0) {
      throw new TypeError(
        `Device "${inner.name}" has offloads; open it without, since a bad link cuts no super-frames`,
      );
    }
    checkRange("slots", slots, 1, 65536);
    const { name, medium = "ethernet", mac, mtu } = inner;
    super({ name, medium, mac, mtu, offloads: 0, slots: RESERVABLE });
    this.#inner = inner;
    this.#clock = clock;
    const length = inner.mtu + FRAME_OVERHEAD;
    this.send = new ImpairedDirection(this, seed, slots, length, options.send ?? {});
    this.receive = new ImpairedDirection(this, seed ^ OTHER_DIRECTION, slots, length, options.receive ?? {});
  }

  override get linkUp(): boolean {
    return !this.closed && this.#inner.linkUp;
  }

  override get closed(): boolean {
    return super.closed || this.#inner.closed;
  }

  override get failure(): Error | null {
    return this.#inner.failure;
  }

  override get deadline(): number {
    if (this.closed) return Infinity;
    if (this.#more) return this.#now;
    return Math.min(this.send.next, this.receive.next, this.#inner.deadline);
  }

  override poll(receiver: Handler, budget: number, now: number): number {
    if (this.closed) return 0;
    this.#now = now;
    this.#release();
    this.#more = this.#inner.poll(this.#relay, budget, now) >= budget;
    let delivered = 0;
    let rounds = MOST_ROUNDS;
    while (delivered < budget && !this.closed) {
      const packet = this.receive.take(now);
      if (packet === null) {
        // Nothing is due of what has come; the inner device may have something that is.
        if (!this.#more || --rounds === 0) break;
        this.#more = this.#inner.poll(this.#relay, budget, now) >= budget;
        continue;
      }
      delivered++;
      this.lend(packet, receiver);
    }
    return delivered;
  }

  /** Takes the frame; whether it arrives is another matter, and not known to the sender. */
  protected override sendFrame(packet: Packet): boolean {
    this.send.offer(packet, this.#clock?.() ?? this.#now);
    return true;
  }

  override flush(): void {
    if (this.closed) return;
    this.#release();
    this.#inner.flush();
  }

  override arm(wake: () => void): boolean {
    if (this.closed) return true;
    return this.deadline > this.#now && this.#inner.arm(wake);
  }

  override disarm(): void {
    this.#inner.disarm();
  }

  /** Drops what is on its way, and closes the inner device. */
  protected override shut(): void {
    this.send.clear();
    this.receive.clear();
    this.#inner.close();
  }

  /** Hands frames whose time has come to the inner device; while it has no slot they wait. */
  #release(): void {
    const { send } = this;
    while (send.next <= this.#now && this.#inner.free > 0) {
      const packet = send.take(this.#now)!;
      const copy = this.#inner.reserve();
      if (copy === null) return;
      const length = packet.length;
      copy.offset -= this.header;
      copy.end = copy.offset + length;
      packet.copyTo(copy.bytes, copy.offset);
      this.#inner.transmit(copy);
    }
  }
}
