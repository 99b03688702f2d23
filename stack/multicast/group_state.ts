/**
 * What routers are still to be told about one group of one interface.
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import { SourceFilter } from "./source_filter.ts";

/** Types of a group record (RFC 3376, section 4.2.12; RFC 3810, section 5.2.12). */
export enum RecordType {
  IsInclude = 1,
  IsExclude = 2,
  ToInclude = 3,
  ToExclude = 4,
  Allow = 5,
  Block = 6,
}

/** A group record, as reports carry them. */
export interface GroupRecord {
  /** What it says. */
  readonly type: RecordType;
  /** The group. */
  readonly group: IpAddress;
  /** The senders that it names. */
  readonly sources: readonly IpAddress[];
}

/** A sender that is wanted or not wanted any more. */
interface SourceChange {
  readonly source: IpAddress;
  readonly allowed: boolean;
  left: number;
}

/** One group, as its reporter sees it. */
export class GroupState implements TimerOwner {
  /** The group. */
  readonly group: IpAddress;
  /** Whom the interface wants to hear. */
  filter: SourceFilter = SourceFilter.NOBODY;
  /** Runs until a question about the group is answered, or until its next report of an older version. */
  readonly timer: Timer = new Timer(this);
  /** The senders that are asked about while {@link timer} runs; none: about the group as a whole. */
  asked: readonly IpAddress[] = [];
  /** Reports of an older version that are still due. */
  oldLeft = 0;
  /** Whether ours was the last report of an older version that was heard on the link. */
  lastReporter = false;
  #modeLeft = 0;
  #changes: SourceChange[] = [];
  readonly #due: (state: GroupState) => void;

  /**
   * Makes the state of a group that nobody listens to.
   * @param group The group. @param due Called when {@link timer} is due.
   */
  constructor(group: IpAddress, due: (state: GroupState) => void) {
    this.group = group;
    this.#due = due;
  }

  /** Whether a change is not told often enough yet. */
  get changing(): boolean {
    return this.#modeLeft > 0 || this.#changes.length > 0;
  }

  expire(): void {
    this.#due(this);
  }

  /** Takes note of a change, to be told `times` times (RFC 3376, section 5.1). */
  change(before: SourceFilter, times: number): void {
    const { filter } = this;
    if (before.exclude !== filter.exclude) {
      this.#modeLeft = times;
      this.#changes = [];
      return;
    }
    for (const source of filter.sources) {
      if (!before.names(source)) this.#changeSource(source, !filter.exclude, times);
    }
    for (const source of before.sources) {
      if (!filter.names(source)) this.#changeSource(source, filter.exclude, times);
    }
  }

  /** Tells no changes any more. */
  forgetChanges(): void {
    this.#modeLeft = 0;
    this.#changes = [];
  }

  /** The records that tell what has changed, once; counts them as told. */
  takeChanges(): GroupRecord[] {
    const { group, filter } = this;
    const records: GroupRecord[] = [];
    if (this.#modeLeft > 0) {
      this.#modeLeft--;
      records.push({
        type: filter.exclude ? RecordType.ToExclude : RecordType.ToInclude,
        group,
        sources: filter.sources,
      });
    } else {
      for (const allowed of [true, false]) {
        const sources = this.#changes.filter((one) => one.allowed === allowed).map((one) => one.source);
        if (sources.length > 0) {
          records.push({ type: allowed ? RecordType.Allow : RecordType.Block, group, sources });
        }
      }
    }
    for (const change of this.#changes) change.left--;
    this.#changes = this.#changes.filter((change) => change.left > 0);
    return records;
  }

  /** The record that tells how things are, or that answers what was asked; null when there is nothing to say (section 5.2). */
  current(asked: readonly IpAddress[]): GroupRecord | null {
    const { group, filter } = this;
    if (filter.isEmpty) return null;
    if (asked.length === 0) {
      const type = filter.exclude ? RecordType.IsExclude : RecordType.IsInclude;
      return { type, group, sources: filter.sources };
    }
    const sources = asked.filter((source) => filter.names(source) !== filter.exclude);
    return sources.length === 0 ? null : { type: RecordType.IsInclude, group, sources };
  }

  #changeSource(source: IpAddress, allowed: boolean, left: number): void {
    this.#changes = this.#changes.filter((change) => !change.source.equals(source));
    this.#changes.push({ source, allowed, left });
  }
}
