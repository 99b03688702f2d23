/**
 * What hosts of one link have told (RFC 6762, section 10).
 *
 * @module
 */

import type { DnsRecord } from "../dns/records.ts";
import { Alarm, type Clock } from "../clock.ts";
import { questionKey, recordKey } from "./own_record.ts";

/** µs. */
const SECOND = 1_000_000;
/** Parts of its life, in percent, after which a record that somebody wants is asked for again (section 5.2). */
const REFRESHES = [80, 85, 90, 95];
/** Percent that a refresh may come later, so that not all hosts ask at a time. */
const JITTER = 2;

/** Told of changes. */
export interface CacheWatcher {
  /** Whether somebody wants to know of these records. */
  wants(name: string, type: string): boolean;
  /** A record is there that was not. */
  added(record: DnsRecord): void;
  /** A record has gone. */
  removed(record: DnsRecord): void;
  /** A record goes soon unless it is asked for. */
  fading(record: DnsRecord): void;
}

interface Entry {
  record: DnsRecord;
  readonly key: string;
  received: number;
  expires: number;
  /** Refreshes that were asked for. */
  asked: number;
  /** When the next refresh, or the end, is due. */
  due: number;
}

/** Records of one link. */
export class MdnsCache {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #watcher: CacheWatcher;
  readonly #most: number;
  readonly #sets = new Map<string, Map<string, Entry>>();
  readonly #alarm: Alarm;
  #size = 0;

  /** @param clock Time. @param random 32 random bits. @param most Records that are held. @param watcher Who is told. */
  constructor(clock: Clock, random: () => number, most: number, watcher: CacheWatcher) {
    this.#clock = clock;
    this.#random = random;
    this.#most = most;
    this.#watcher = watcher;
    this.#alarm = new Alarm(clock, () => this.#sweep());
  }

  /** Records that are held. */
  get size(): number {
    return this.#size;
  }

  /** The records of a name and type, with the lifetimes that are left. */
  get(name: string, type: string): DnsRecord[] {
    const now = this.#clock.time();
    return this.#entries(name, type).filter(({ expires }) => expires > now)
      .map(({ record, expires }) => ({ ...record, ttl: Math.ceil((expires - now) / SECOND) }));
  }

  /** The records of a name and type that have more than half of their lives left: what a question tells as known. */
  known(name: string, type: string): DnsRecord[] {
    const now = this.#clock.time();
    return this.#entries(name, type)
      .filter(({ record, expires }) => expires - now > record.ttl * SECOND / 2)
      .map(({ record, expires }) => ({ ...plain(record), ttl: Math.floor((expires - now) / SECOND) }));
  }

  /**
   * Takes the records of one answer.
   *
   * @returns How many found no room.
   */
  take(records: readonly DnsRecord[]): number {
    const now = this.#clock.time();
    // What is told anew replaces what was known before, but not what has come in this very second (section 10.2).
    const flushed = new Set<string>();
    for (const { name, type, flush, ttl } of records) {
      if (flush && ttl > 0) flushed.add(questionKey(name, type));
    }
    for (const key of flushed) {
      for (const entry of this.#sets.get(key)?.values() ?? []) {
        if (entry.received < now - SECOND) this.#expireIn(entry, SECOND, now);
      }
    }
    let refused = 0, room = true;
    const added: DnsRecord[] = [];
    for (const record of records) {
      const key = recordKey(record);
      const found = this.#sets.get(questionKey(record.name, record.type))?.get(key);
      if (found !== undefined) {
        if (record.ttl === 0) {
          this.#expireIn(found, SECOND, now);
        } else {
          found.record = record;
          found.received = now;
          found.expires = now + record.ttl * SECOND;
          found.asked = 0;
          this.#plan(found);
        }
      } else if (record.ttl > 0) {
        // Looked for in vain once, room is not looked for again: hostile answers are to cost no more than others.
        if (this.#size >= this.#most && !(room = room && this.#makeRoom())) {
          refused++;
          continue;
        }
        this.#insert({ record, key, received: now, expires: now + record.ttl * SECOND, asked: 0, due: 0 });
        added.push(record);
      }
    }
    this.#arm();
    // Watchers see the whole answer, the address beside the service.
    for (const record of added) this.#watcher.added(record);
    return refused;
  }

  /** Forgets everything, and tells nobody. */
  clear(): void {
    this.#sets.clear();
    this.#size = 0;
    this.#alarm.cancel();
  }

  #entries(name: string, type: string): Entry[] {
    return [...this.#sets.get(questionKey(name, type))?.values() ?? []];
  }

  #insert(entry: Entry): void {
    const key = questionKey(entry.record.name, entry.record.type);
    const set = this.#sets.get(key);
    if (set === undefined) this.#sets.set(key, new Map([[entry.key, entry]]));
    else set.set(entry.key, entry);
    this.#size++;
    this.#plan(entry);
  }

  /** The oldest set of records that nobody wants makes room. */
  #makeRoom(): boolean {
    for (const [key, set] of this.#sets) {
      const { name, type } = set.values().next().value!.record;
      if (this.#watcher.wants(name, type)) continue;
      this.#sets.delete(key);
      this.#size -= set.size;
      return true;
    }
    return false;
  }

  #expireIn(entry: Entry, delay: number, now: number): void {
    if (entry.expires <= now + delay) return;
    entry.expires = entry.due = now + delay;
    entry.asked = REFRESHES.length;
  }

  /** Finds out when the entry is next looked at. */
  #plan(entry: Entry): void {
    const { received, expires, asked } = entry;
    const percent = REFRESHES[asked];
    if (percent === undefined) {
      entry.due = expires;
      return;
    }
    const part = percent + (this.#random() >>> 0) / 2 ** 32 * JITTER;
    entry.due = received + (expires - received) * part / 100;
  }

  #sweep(): void {
    const now = this.#clock.time();
    const removed: DnsRecord[] = [], fading: DnsRecord[] = [];
    for (const [key, set] of this.#sets) {
      for (const entry of set.values()) {
        if (entry.due > now) continue;
        if (entry.expires <= now) {
          removed.push(entry.record);
          set.delete(entry.key);
          this.#size--;
        } else {
          entry.asked++;
          this.#plan(entry);
          fading.push(entry.record);
        }
      }
      if (set.size === 0) this.#sets.delete(key);
    }
    this.#arm();
    for (const record of removed) this.#watcher.removed(record);
    for (const record of fading) this.#watcher.fading(record);
  }

  #arm(): void {
    let next = Infinity;
    for (const set of this.#sets.values()) for (const { due } of set.values()) next = Math.min(next, due);
    if (next === Infinity) this.#alarm.cancel();
    else if (next !== this.#alarm.deadline) this.#alarm.set(Math.max(0, next - this.#clock.time()));
  }
}

function plain({ name, type, ttl, data }: DnsRecord): DnsRecord {
  return { name, type, ttl, data };
}
