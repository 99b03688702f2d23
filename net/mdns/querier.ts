/**
 * Asks the hosts of one link (RFC 6762, section 5), once or for as long as somebody wants to know.
 *
 * @module
 */

import { Alarm } from "../clock.ts";
import { type DnsMessage, type DnsQuestion, type DnsRecord, type NsecData, TYPES } from "../dns/records.ts";
import { sameName } from "../dns/names.ts";
import { type CacheWatcher, MdnsCache } from "./cache.ts";
import { MDNS_PORT, type MdnsLink, type Sender } from "./link.ts";
import { questionKey, recordKey } from "./own_record.ts";

/** µs: from the first question to the second, doubled each time, and the longest (section 5.2). */
const FIRST_INTERVAL = 1_000_000, LONGEST_INTERVAL = 3_600_000_000;
/** Questions that are asked at a time on one link, and records that are remembered. */
const MOST_QUESTIONS = 256, MOST_RECORDS = 4096;

/** Wants to know of the records of one name and type. */
export interface QueryListener {
  /** A record is there. */
  added(record: DnsRecord): void;
  /** A record has gone. */
  removed?(record: DnsRecord): void;
  /** The host of this name says that it has none (section 6.1). */
  none?(): void;
}

interface Question {
  readonly name: string;
  readonly type: string;
  readonly listeners: Set<QueryListener>;
  interval: number;
  due: number;
  sent: number;
  /** When it was asked last, in µs. */
  last: number;
}

/** The questions of one link, and what was heard. */
export class Querier implements CacheWatcher {
  /** What was heard. */
  readonly cache: MdnsCache;
  readonly #link: MdnsLink;
  readonly #questions = new Map<string, Question>();
  readonly #alarm: Alarm;

  /** @internal {@link MdnsLink} makes it. */
  constructor(link: MdnsLink) {
    const { clock, stack } = link.context;
    this.#link = link;
    this.cache = new MdnsCache(clock, stack.random, MOST_RECORDS, this);
    this.#alarm = new Alarm(clock, () => this.#ask());
  }

  /** Questions that are asked. */
  get size(): number {
    return this.#questions.size;
  }

  /**
   * Asks for records until it is told to stop. What is known already is told before this returns.
   *
   * @param delay µs until the first question.
   * @returns Stops; or null when too many questions are asked.
   */
  watch(name: string, type: string, listener: QueryListener, delay: number): (() => void) | null {
    const key = questionKey(name, type);
    let question = this.#questions.get(key);
    if (question === undefined) {
      if (this.#questions.size >= MOST_QUESTIONS) return null;
      question = {
        name,
        type,
        listeners: new Set(),
        interval: FIRST_INTERVAL,
        due: this.#link.now + delay,
        sent: 0,
        last: -Infinity,
      };
      this.#questions.set(key, question);
      this.#arm();
    }
    const own = question;
    own.listeners.add(listener);
    for (const record of this.cache.get(name, type)) listener.added(record);
    return () => {
      own.listeners.delete(listener);
      if (own.listeners.size === 0 && this.#questions.get(key) === own) this.#questions.delete(key);
      this.#arm();
    };
  }

  /** @internal Records of an answer. */
  told(records: readonly DnsRecord[]): void {
    this.#link.context.counters.cacheFull += this.cache.take(records.filter(({ type }) => type !== "NSEC"));
    for (const { name, type, data } of records) {
      if (type !== "NSEC") continue;
      const { rrtypes } = data as NsecData;
      for (const absent of Object.keys(TYPES)) {
        if (rrtypes.includes(absent)) continue;
        const question = this.#questions.get(questionKey(name, absent));
        if (question !== undefined) { for (const listener of [...question.listeners]) listener.none?.(); }
      }
    }
  }

  /** @internal Another host asks: what it asks need not be asked again (section 7.3). */
  heard(message: DnsMessage, from: Sender): void {
    if (from.port !== MDNS_PORT || from.unicast || message.truncated || message.authorities.length > 0) {
      return;
    }
    for (const { name, type, unicast } of message.questions) {
      const question = this.#questions.get(questionKey(name, type));
      if (question === undefined || unicast || question.sent === 0) continue;
      const known = new Set(this.cache.known(name, type).map(recordKey));
      if (!message.answers.every((record) => known.has(recordKey(record)) || !sameName(record.name, name))) {
        continue;
      }
      if (question.due - this.#link.now > FIRST_INTERVAL) continue;
      this.#link.context.counters.suppressedQueries++;
      this.#postpone(question);
    }
    this.#arm();
  }

  /** @internal For the cache. */
  wants(name: string, type: string): boolean {
    return this.#questions.has(questionKey(name, type));
  }

  /** @internal For the cache. */
  added(record: DnsRecord): void {
    const question = this.#questions.get(questionKey(record.name, record.type));
    if (question !== undefined) { for (const listener of [...question.listeners]) listener.added(record); }
  }

  /** @internal For the cache. */
  removed(record: DnsRecord): void {
    const question = this.#questions.get(questionKey(record.name, record.type));
    if (question !== undefined) {
      for (const listener of [...question.listeners]) {
        listener.removed?.(record);
      }
    }
  }

  /** @internal For the cache. */
  fading(record: DnsRecord): void {
    const question = this.#questions.get(questionKey(record.name, record.type));
    if (question === undefined) return;
    // Never twice within a second, however short the lives are that others give their records (section 5.2).
    question.due = Math.min(question.due, Math.max(this.#link.now, question.last + FIRST_INTERVAL));
    this.#arm();
  }

  /** Asks nothing more, and forgets. */
  close(): void {
    this.#questions.clear();
    this.#alarm.cancel();
    this.cache.clear();
  }

  /** Asks all that is due, in one message. */
  #ask(): void {
    const { now } = this.#link;
    const questions: DnsQuestion[] = [], known: DnsRecord[] = [];
    for (const question of this.#questions.values()) {
      if (question.due > now) continue;
      const { name, type } = question;
      // Who asks for the first time has missed what was told before: the answer may come to it alone (section 5.4).
      questions.push(question.sent === 0 ? { name, type, unicast: true } : { name, type });
      known.push(...this.cache.known(name, type));
      question.sent++;
      question.last = now;
      this.#postpone(question);
    }
    if (questions.length > 0) {
      this.#link.context.counters.queriesSent++;
      this.#link.ask(questions, known);
    }
    this.#arm();
  }

  #postpone(question: Question): void {
    question.due = this.#link.now + question.interval;
    question.interval = Math.min(question.interval * 2, LONGEST_INTERVAL);
  }

  #arm(): void {
    let next = Infinity;
    for (const { due } of this.#questions.values()) next = Math.min(next, due);
    if (next === Infinity) this.#alarm.cancel();
    else if (next !== this.#alarm.deadline) this.#alarm.set(Math.max(0, next - this.#link.now));
  }
}
