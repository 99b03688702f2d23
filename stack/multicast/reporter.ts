/**
 * Telling a link's routers and snooping switches which groups an interface listens to, and to whom in them: what IGMPv3
 * (RFC 3376, section 5) and MLDv2 (RFC 3810, section 6) have in common, older queriers included (sections 7 and 8).
 *
 * @module
 */

import { MembershipCounters } from "../counters.ts";
import type { IpAddress } from "../ip/address.ts";
import type { Interface } from "../link/interface.ts";
import type { Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import { type GroupRecord, GroupState, RecordType } from "./group_state.ts";
import type { GroupReporter, Membership } from "./groups.ts";
import type { SourceFilter } from "./source_filter.ts";

/** Bytes of a report before its records, and of a record before its group. */
const HEADER = 8, RECORD = 4;
/** µs within which the next report of a change follows (RFC 3376, section 8.11). */
const UNSOLICITED = 1_000_000;
/** µs from one query to the next while nobody has said otherwise (section 8.2). */
const QUERY_INTERVAL = 125_000_000;
/** µs within which no more than one answer goes out, whatever the questions ask for. */
const LEAST_DELAY = 20_000;
const SECOND = 1_000_000;

/** How the routers of the link speak: as IGMPv1; as IGMPv2 or MLDv1; as IGMPv3 or MLDv2. */
export enum QuerierLevel {
  First = 1,
  Groups,
  Sources,
}

/** The memberships of one interface in groups of one IP version, as it tells them. */
export abstract class MembershipReporter implements GroupReporter, TimerOwner {
  /** What happened. */
  readonly counters: MembershipCounters = new MembershipCounters();
  /** How often each change is told (Robustness Variable): 2, or as queriers say, up to 7. */
  robustness = 2;
  /** The owner. */
  protected readonly interface: Interface;
  /** Its stack. */
  protected readonly stack: Stack;
  /** µs within which a report of an older version follows the first (RFC 2236, section 8.10; RFC 2710, section 7.10). */
  protected abstract readonly unsolicited: number;
  /** Bytes of an address. */
  protected abstract readonly addressLength: number;
  /** First byte of a report. */
  protected abstract readonly reportType: number;
  /** Largest message, in bytes. */
  protected abstract readonly most: number;
  readonly #groups = new Map<string, GroupState>();
  readonly #changed: Timer = new Timer(this);
  readonly #general: Timer = new Timer(this);
  /** When routers of each older level are forgotten, in µs. */
  #firstUntil = -1;
  #groupsUntil = -1;
  #interval = QUERY_INTERVAL;

  /** @internal */
  constructor(owner: Interface, stack: Stack) {
    this.interface = owner;
    this.stack = stack;
  }

  /** How the oldest router of the link speaks that was heard lately. */
  get level(): QuerierLevel {
    const { now } = this.stack;
    if (now < this.#firstUntil) return QuerierLevel.First;
    return now < this.#groupsUntil ? QuerierLevel.Groups : QuerierLevel.Sources;
  }

  changed(membership: Membership, before: SourceFilter): void {
    const { address: group, filter } = membership;
    if (!this.isTold(group)) return;
    const key = group.toString();
    let state = this.#groups.get(key);
    if (state === undefined) {
      state = new GroupState(group, this.#due);
      this.#groups.set(key, state);
    }
    state.filter = filter;
    const { timers, now } = this.stack;
    if (this.level === QuerierLevel.Sources) {
      state.change(before, this.robustness);
      timers.arm(this.#changed, now);
    } else if (before.isEmpty) {
      state.oldLeft = this.robustness;
      state.asked = [];
      timers.arm(state.timer, now);
    } else if (filter.isEmpty) {
      if (this.level === QuerierLevel.Groups && state.lastReporter) {
        this.counters.leaves++;
        this.sendOld(group, this.level, true);
      }
      this.#forget(state);
    }
    this.stack.wake();
  }

  /** @internal Tells nothing more. */
  stop(): void {
    const { timers } = this.stack;
    timers.cancel(this.#changed);
    timers.cancel(this.#general);
    for (const state of this.#groups.values()) timers.cancel(state.timer);
    this.#groups.clear();
  }

  /** @internal */
  expire(timer: Timer, now: number): void {
    if (timer === this.#general) {
      this.#report([...this.#groups.values()].map((state) => state.current([])));
      return;
    }
    const records: GroupRecord[] = [];
    let more = false;
    for (const state of [...this.#groups.values()]) {
      records.push(...state.takeChanges());
      if (state.changing) more = true;
      else if (state.filter.isEmpty) this.#forget(state);
    }
    this.#report(records);
    if (more) this.stack.timers.arm(this.#changed, now + this.#within(UNSOLICITED));
  }

  /** Whether routers are told of a group. */
  protected abstract isTold(group: IpAddress): boolean;

  /** Sends a report of an older level, or says that the group was left. */
  protected abstract sendOld(group: IpAddress, level: QuerierLevel, leaves: boolean): void;

  /** Sends a report (cursor at its first byte, checksum 0) to all routers that speak the newest version. Takes ownership. */
  protected abstract sendReport(packet: Packet): void;

  /** Takes note of a querier of an older version. @param delay µs that it gives for answers. */
  protected heardOlder(level: QuerierLevel.First | QuerierLevel.Groups, delay: number): void {
    const before = this.level;
    const until = this.stack.now + this.robustness * this.#interval + Math.max(delay, 10 * SECOND);
    if (level === QuerierLevel.First) this.#firstUntil = until;
    else this.#groupsUntil = until;
    if (this.level !== before) this.#restart();
  }

  /** Takes over what a querier of the newest version says about itself. @param robustness 0 to 7. @param interval Seconds. */
  protected heardQuerier(robustness: number, interval: number): void {
    this.robustness = robustness === 0 ? 2 : robustness;
    this.#interval = interval === 0 ? QUERY_INTERVAL : interval * SECOND;
  }

  /**
   * Takes a question.
   * @param group About which group; null for all. @param sources About whom in it; none for the group as a whole.
   * @param delay µs within which it is to be answered.
   */
  protected asked(group: IpAddress | null, sources: readonly IpAddress[], delay: number): void {
    const { timers, now } = this.stack;
    this.counters.queries++;
    const wait = Math.max(delay, LEAST_DELAY);
    if (this.level !== QuerierLevel.Sources) {
      for (const state of this.#groups.values()) {
        if (group !== null && !state.group.equals(group)) continue;
        const due = now + this.#within(wait);
        if (!state.filter.isEmpty && due < state.timer.deadline) timers.arm(state.timer, due);
      }
      return;
    }
    const due = now + this.#within(wait);
    if (due >= this.#general.deadline) return;
    if (group === null) {
      timers.arm(this.#general, due);
      return;
    }
    const state = this.#groups.get(group.toString());
    if (state === undefined || state.filter.isEmpty) return;
    const waits = state.timer.armed;
    const known = state.asked;
    // A question about the whole group, there already or now, answers all others; so does one about too many.
    let all: readonly IpAddress[] = [];
    if (sources.length > 0 && (!waits || known.length > 0)) {
      const added = sources.filter((source) => !known.some((one) => one.equals(source)));
      if (known.length + added.length <= this.stack.limits.groupSources) all = [...known, ...added];
    }
    state.asked = all;
    if (due < state.timer.deadline) timers.arm(state.timer, due);
  }

  /** Somebody else has told a router of an older level of a group: that is enough (RFC 2236, section 3). */
  protected heardReport(group: IpAddress): void {
    const state = this.#groups.get(group.toString());
    if (state === undefined || this.level === QuerierLevel.Sources) return;
    if (state.timer.armed) this.counters.suppressed++;
    this.stack.timers.cancel(state.timer);
    state.oldLeft = 0;
    state.lastReporter = false;
  }

  readonly #due = (state: GroupState): void => {
    if (this.level === QuerierLevel.Sources) {
      const { asked } = state;
      state.asked = [];
      this.#report([state.current(asked)]);
      return;
    }
    if (state.filter.isEmpty) return;
    this.counters.reports++;
    state.lastReporter = true;
    this.sendOld(state.group, this.level, false);
    if (--state.oldLeft > 0) {
      this.stack.timers.arm(state.timer, this.stack.now + this.#within(this.unsolicited));
    } else state.oldLeft = 0;
  };

  /** Another version is spoken from now on: what was under way in the former one is forgotten (RFC 3376, section 7.2.1). */
  #restart(): void {
    const { timers } = this.stack;
    timers.cancel(this.#changed);
    timers.cancel(this.#general);
    for (const state of [...this.#groups.values()]) {
      timers.cancel(state.timer);
      state.forgetChanges();
      state.asked = [];
      state.oldLeft = 0;
      state.lastReporter = true;
      if (state.filter.isEmpty) this.#forget(state);
    }
  }

  #forget(state: GroupState): void {
    this.stack.timers.cancel(state.timer);
    this.#groups.delete(state.group.toString());
  }

  /** Sends records in as few reports as they fit in. */
  #report(records: readonly (GroupRecord | null)[]): void {
    let batch: GroupRecord[] = [];
    let length = HEADER;
    const base = RECORD + this.addressLength;
    const flush = () => {
      if (batch.length > 0) this.#send(batch);
      batch = [];
      length = HEADER;
    };
    for (const record of records) {
      if (record === null) continue;
      const most = Math.floor((this.most - HEADER - base) / this.addressLength);
      const excludes = record.type === RecordType.IsExclude || record.type === RecordType.ToExclude;
      let at = 0;
      do {
        // A list of those who are not wanted can't go on in another record: it is cut short (section 4.2.16).
        const sources = record.sources.slice(at, at + most);
        const size = base + sources.length * this.addressLength;
        if (length + size > this.most) flush();
        batch.push({ ...record, sources });
        length += size;
        at += most;
      } while (at < record.sources.length && !excludes);
    }
    flush();
  }

  #send(records: readonly GroupRecord[]): void {
    const packet = this.interface.reserve();
    if (packet === null) return;
    const { view, offset: start } = packet;
    view.setInt32(start, this.reportType << 24);
    view.setInt32(start + 4, records.length);
    let at = start + HEADER;
    for (const { type, group, sources } of records) {
      view.setInt32(at, type << 24 | sources.length);
      group.write(view, at + RECORD);
      at += RECORD + this.addressLength;
      for (const source of sources) {
        source.write(view, at);
        at += this.addressLength;
      }
    }
    packet.end = at;
    this.counters.reports++;
    this.sendReport(packet);
  }

  #within(span: number): number {
    return (this.stack.random() >>> 0) / 2 ** 32 * span;
  }
}

/** The value of a code whose upper half is a floating-point number (RFC 3376, section 4.1.1; RFC 3810, section 5.1.3). */
export function decodeFloat(code: number, mantissaBits: 4 | 12): number {
  const exponentAndMantissa = mantissaBits + 3;
  if (code < 1 << exponentAndMantissa) return code;
  const exponent = (code >>> mantissaBits) & 7;
  return ((code & ((1 << mantissaBits) - 1)) | 1 << mantissaBits) << (exponent + 3);
}
