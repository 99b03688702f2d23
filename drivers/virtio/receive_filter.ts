/**
 * Telling a virtio network device which frames are wanted, by its control queue (virtio 1.2, section 5.1.6.5).
 *
 * @module
 */

import { DESCRIPTOR_WRITE, QueueLayout, SplitQueue } from "./queue.ts";
import type { VirtioTransport } from "./transport.ts";

/** Entries of the queue: there is one command at a time, of two parts. */
export const CONTROL_ENTRIES = 2;
/** Classes of commands, and commands. */
const RECEIVE_MODE = 0, PROMISCUOUS = 0;
const ADDRESSES = 1, SET_TABLE = 0;
/** What the device writes when it has done what it was told. */
const OK = 0;
/** Bytes of class and command; and of the number of addresses in front of each of the two lists. */
const HEAD = 2, NUMBER = 4;
/** Groups that are told; with more the device is to deliver all. */
const MOST_GROUPS = 256;
/** Bytes of the longest command with the device's answer. */
const AREA = (HEAD + 2 * NUMBER + 6 * MOST_GROUPS + 1 + 63) & ~63;

/** What is to be told next. */
enum Step {
  Nothing,
  /** The groups, while all frames still come. */
  Groups,
  /** That no others are wanted. */
  Only,
  /** That all are wanted. */
  All,
}

/**
 * The filter of one device. Nothing waits for the device: each command is sent when the one before is done, which
 * {@link proceed} finds out. A device that does not do what it is told delivers everything, and that is all there is to it.
 */
export class ReceiveFilter {
  /** One past the last byte of the memory that it uses, aligned to 64. */
  readonly end: number;
  readonly #transport: VirtioTransport;
  readonly #index: number;
  readonly #layout: QueueLayout;
  readonly #queue: SplitQueue;
  readonly #area: number;
  readonly #view: DataView<ArrayBuffer>;
  readonly #low: number;
  readonly #high: number;
  #wanted: readonly number[] | null = null;
  #next: Step = Step.Nothing;
  #sent: Step = Step.Nothing;
  #answer = 0;

  /**
   * Prepares the queue.
   * @param index Its number. @param start First byte of memory that it may use, aligned to 64.
   * @param eventIndex Whether FEATURE_EVENT_IDX is agreed on. @param inOrder Whether FEATURE_HIGH_IN_ORDER is.
   */
  constructor(
    transport: VirtioTransport,
    index: number,
    start: number,
    eventIndex: boolean,
    inOrder: boolean,
  ) {
    const { memory } = transport;
    this.#transport = transport;
    this.#index = index;
    this.#layout = new QueueLayout(start, CONTROL_ENTRIES);
    this.#queue = new SplitQueue(memory.buffer, this.#layout, CONTROL_ENTRIES, eventIndex, inOrder);
    this.#area = this.#layout.end;
    this.end = this.#area + AREA;
    this.#view = new DataView(memory.buffer);
    const physical = memory.physical(this.#area);
    this.#low = physical | 0;
    this.#high = Math.floor(physical / 2 ** 32);
  }

  /** Starts the queue. To be called before the device is told that its driver is ready. */
  enable(): void {
    const { descriptors, available, used } = this.#layout;
    this.#transport.enableQueue(this.#index, CONTROL_ENTRIES, descriptors, available, used);
  }

  /** Whether {@link proceed} has something to do. */
  get busy(): boolean {
    return this.#sent !== Step.Nothing;
  }

  /** Says what is wanted: see `Device.filterGroups`. */
  set(groups: readonly number[] | null): void {
    this.#wanted = groups === null || groups.length > 2 * MOST_GROUPS ? null : groups.slice();
    this.#next = this.#wanted === null ? Step.All : Step.Groups;
    this.proceed();
  }

  /** Takes note of what the device has done, and sends the next command. */
  proceed(): void {
    if (this.#sent !== Step.Nothing) {
      if (this.#queue.next() < 0) return;
      const done = this.#view.getUint8(this.#answer) === OK;
      // Whoever does not know the groups is not to leave out the others.
      if (this.#sent === Step.Groups && this.#next === Step.Nothing) this.#next = done ? Step.Only : Step.All;
      this.#sent = Step.Nothing;
    }
    const step = this.#next;
    if (step === Step.Nothing) return;
    this.#next = Step.Nothing;
    this.#send(step);
  }

  #send(step: Step): void {
    const view = this.#view;
    let at = this.#area;
    if (step === Step.Groups) {
      const groups = this.#wanted ?? [];
      view.setUint8(at, ADDRESSES);
      view.setUint8(at + 1, SET_TABLE);
      // No other station's frames; our own address is the device's.
      view.setUint32(at + HEAD, 0, true);
      view.setUint32(at + HEAD + NUMBER, groups.length / 2, true);
      at += HEAD + 2 * NUMBER;
      for (let i = 0; i < groups.length; i += 2, at += 6) {
        view.setUint16(at, groups[i]!);
        view.setInt32(at + 2, groups[i + 1]!);
      }
    } else {
      view.setUint8(at, RECEIVE_MODE);
      view.setUint8(at + 1, PROMISCUOUS);
      view.setUint8(at + 2, step === Step.All ? 1 : 0);
      at += 3;
    }
    this.#answer = at;
    view.setUint8(at, 255);
    const length = at - this.#area;
    if (this.#queue.free < CONTROL_ENTRIES) return;
    this.#queue.add(this.#low, this.#high, length, 0);
    this.#queue.extend(this.#low + length | 0, this.#high, 1, DESCRIPTOR_WRITE);
    this.#sent = step;
    if (this.#queue.publish()) this.#transport.notify(this.#index);
  }
}
