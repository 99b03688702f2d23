/**
 * What happens to frames on one direction of a bad link.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import type { Packet } from "../stack/packet.ts";
import { linkHeader } from "./frame.ts";
import { FrameSchedule } from "./frame_schedule.ts";
import { SeededRandom } from "./random.ts";

/** Loss in bursts: the two states of Gilbert and Elliott, one step a frame. */
export interface BurstLoss {
  /** Probability of going from the good state to the bad one. */
  enter: number;
  /** Probability of going back; 1 / the mean length of a burst, in frames. */
  leave: number;
  /** Probability of loss in the bad state; 1 by default. */
  bad?: number;
  /** Probability of loss in the good state; 0 by default. */
  good?: number;
}

/** How one direction treats its frames. Probabilities go from 0 to 1 and are 0 by default, as are times. */
export interface Impairment {
  /** Probability that a frame is lost. */
  loss?: number;
  /** Loss in bursts, besides {@link loss}. */
  burst?: BurstLoss | null;
  /** µs that every frame takes. */
  delay?: number;
  /** µs by which the delay varies, evenly to both sides, without changing the order. At most {@link delay}. */
  jitter?: number;
  /** Probability that a frame is held back by {@link reorderDelay} more, so that later ones overtake it. */
  reorder?: number;
  /** µs; 1000 by default. */
  reorderDelay?: number;
  /** Probability that a frame comes twice. */
  duplicate?: number;
  /** Probability that one bit behind the Ethernet header is flipped. */
  corrupt?: number;
  /** Bits a second that get through, link header included; unlimited by default. */
  rate?: number;
  /** Frames that may wait for their turn at {@link rate}; 1000 by default. */
  queueFrames?: number;
  /** Bytes that may wait for their turn at {@link rate}; unlimited by default. */
  queueBytes?: number;
  /** Largest IP packet that gets through, in bytes; longer ones are lost without a word. Unlimited by default. */
  mtu?: number;
  /** True while nothing gets through. Frames that are on their way arrive. */
  blackout?: boolean;
}

/** What one direction did, in frames. */
export class ImpairmentCounters {
  /** Came in. */
  offered = 0;
  /** Went out, duplicates included. */
  passed = 0;
  /** Lost by chance, in bursts or not. */
  lost = 0;
  /** Lost in a blackout. */
  blackedOut = 0;
  /** Lost for being longer than the MTU of the link, or of the device. */
  tooLong = 0;
  /** Lost because the queue in front of the rate limit was full. */
  queueFull = 0;
  /** Lost because every slot was taken: more frames were on their way than the device was made for. */
  slotsFull = 0;
  /** Came twice. */
  duplicated = 0;
  /** Had a bit flipped. */
  corrupted = 0;
  /** Were held back for others to overtake. */
  reordered = 0;
  /** µs, in all, by which frames went out later than they should have, since nobody asked sooner. */
  lateness = 0;
  /** µs, at most. */
  latest = 0;
}

type Settings = Required<Impairment>;

const PERFECT: Settings = {
  loss: 0,
  burst: null,
  delay: 0,
  jitter: 0,
  reorder: 0,
  reorderDelay: 1000,
  duplicate: 0,
  corrupt: 0,
  rate: Infinity,
  queueFrames: 1000,
  queueBytes: Infinity,
  mtu: Infinity,
  blackout: false,
};

/** Most frames in the queue of a rate limit. */
const LONGEST_QUEUE = 1 << 16;

/** One direction: what it does is a function of its seed, its frames and their times. */
export class ImpairedDirection {
  /** Running totals. */
  readonly counters: ImpairmentCounters = new ImpairmentCounters();
  readonly #random: SeededRandom;
  readonly #schedule: FrameSchedule;
  readonly #longest: number;
  /** Bytes of a link header, which is never damaged. */
  readonly #header: number;
  #settings: Settings = PERFECT;
  /** The burst model is in its bad state. */
  #bad = false;
  /** When the rate limit has sent all that it got. */
  #lineFree = 0;
  /** When each frame in the queue of the rate limit leaves it: a ring, filled only while there is a limit. */
  readonly #departures = new Float64Array(LONGEST_QUEUE);
  #firstDeparture = 0;
  #queued = 0;
  /** No frame that is not reordered is due before. */
  #lastDue = 0;

  /** @internal Made by the impaired device. */
  constructor(device: Device, seed: number, slots: number, length: number, impairment: Impairment) {
    this.#random = new SeededRandom(seed);
    this.#schedule = new FrameSchedule(device, slots, length);
    this.#longest = length;
    this.#header = linkHeader(device);
    this.change(impairment);
  }

  /** When the next frame comes out, in µs; `Infinity` when none is on its way. */
  get next(): number {
    return this.#schedule.next;
  }

  /** Frames on their way. */
  get held(): number {
    return this.#schedule.size;
  }

  /**
   * Changes some settings and keeps the others; frames on their way are not touched.
   * @throws {RangeError} If a value is out of range; nothing is changed then.
   */
  change(impairment: Impairment): void {
    const settings = { ...this.#settings, ...impairment };
    check(settings);
    this.#settings = settings;
  }

  /** @internal Takes a frame, which is copied. */
  offer(packet: Packet, now: number): void {
    const { counters } = this;
    const random = this.#random;
    const settings = this.#settings;
    counters.offered++;
    if (settings.blackout) {
      counters.blackedOut++;
      return;
    }
    const length = packet.length;
    if (length - this.#header > settings.mtu || length > this.#longest) {
      counters.tooLong++;
      return;
    }
    // The line is busy with a lost frame, too: it is lost on the way and not in front of it.
    let due = now;
    if (settings.rate !== Infinity) {
      due = this.#enqueue(length, now);
      if (due < 0) {
        counters.queueFull++;
        return;
      }
    }
    if ((settings.burst !== null && this.#burstLoses(settings.burst)) || random.chance(settings.loss)) {
      counters.lost++;
      return;
    }
    due += settings.delay;
    if (settings.jitter > 0) due += (2 * random.fraction() - 1) * settings.jitter;
    if (random.chance(settings.reorder)) {
      counters.reordered++;
      due += settings.reorderDelay;
    } else {
      if (due < this.#lastDue) due = this.#lastDue;
      this.#lastDue = due;
    }
    const twice = random.chance(settings.duplicate);
    if (this.#hold(packet, due) && twice && this.#hold(packet, due)) counters.duplicated++;
  }

  /** @internal Takes out the next frame that is due; null when there is none. Valid until the next {@link offer}. */
  take(now: number): Packet | null {
    const late = now - this.#schedule.next;
    const packet = this.#schedule.take(now);
    if (packet === null) return null;
    const { counters } = this;
    counters.passed++;
    counters.lateness += late;
    if (late > counters.latest) counters.latest = late;
    return packet;
  }

  /** @internal Forgets all frames. */
  clear(): void {
    this.#schedule.clear();
  }

  #hold(packet: Packet, due: number): boolean {
    const copy = this.#schedule.add(packet, due);
    if (copy === null) {
      this.counters.slotsFull++;
      return false;
    }
    if (this.#random.chance(this.#settings.corrupt) && copy.length > this.#header) {
      const bit = this.#random.below((copy.length - this.#header) * 8);
      const at = copy.offset + this.#header + (bit >> 3);
      copy.bytes[at] = copy.bytes[at]! ^ (1 << (bit & 7));
      this.counters.corrupted++;
    }
    return true;
  }

  #burstLoses(burst: BurstLoss): boolean {
    this.#bad = this.#bad ? !this.#random.chance(burst.leave) : this.#random.chance(burst.enter);
    return this.#random.chance(this.#bad ? burst.bad ?? 1 : burst.good ?? 0);
  }

  /** @returns When the frame has left the line, or -1 when the queue in front of it is full. */
  #enqueue(length: number, now: number): number {
    const { rate, queueFrames, queueBytes } = this.#settings;
    const departures = this.#departures;
    while (this.#queued > 0 && departures[this.#firstDeparture]! <= now) {
      this.#firstDeparture = (this.#firstDeparture + 1) & (LONGEST_QUEUE - 1);
      this.#queued--;
    }
    const start = Math.max(now, this.#lineFree);
    // The frame on the line is not in the queue any more.
    if (this.#queued > queueFrames) return -1;
    if (((start - now) * rate) / 8e6 + length > queueBytes) return -1;
    const end = start + (length * 8e6) / rate;
    this.#lineFree = end;
    departures[(this.#firstDeparture + this.#queued++) & (LONGEST_QUEUE - 1)] = end;
    return end;
  }
}

function check(settings: Settings): void {
  for (const name of ["loss", "reorder", "duplicate", "corrupt"] as const) {
    probability(name, settings[name]);
  }
  const { burst, delay, jitter, reorderDelay, rate, queueFrames, queueBytes, mtu } = settings;
  if (burst !== null) {
    probability("burst.enter", burst.enter);
    probability("burst.leave", burst.leave);
    probability("burst.bad", burst.bad ?? 1);
    probability("burst.good", burst.good ?? 0);
  }
  for (
    const [name, value] of [["delay", delay], ["jitter", jitter], ["reorderDelay", reorderDelay]] as const
  ) {
    if (!(value >= 0 && value < Infinity)) {
      throw new RangeError(
        `Option ${name} is "${value}"; give µs, 0 or more`,
      );
    }
  }
  if (jitter > delay) {
    throw new RangeError(
      `Option jitter is "${jitter}", more than the delay of "${delay}" µs; make the delay longer`,
    );
  }
  if (!(rate > 0)) throw new RangeError(`Option rate is "${rate}"; give bits a second, more than 0`);
  if (!(queueFrames >= 1 && queueFrames < LONGEST_QUEUE)) {
    throw new RangeError(
      `Option queueFrames is "${queueFrames}"; give a number from 1 to ${LONGEST_QUEUE - 1}`,
    );
  }
  if (!(queueBytes > 0)) {
    throw new RangeError(`Option queueBytes is "${queueBytes}"; give bytes, more than 0`);
  }
  if (!(mtu > 0)) throw new RangeError(`Option mtu is "${mtu}"; give bytes, more than 0`);
}

function probability(name: string, value: number): void {
  if (!(value >= 0 && value <= 1)) {
    throw new RangeError(`Option ${name} is "${value}"; give a probability from 0 to 1`);
  }
}
