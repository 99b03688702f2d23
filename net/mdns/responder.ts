/**
 * Answers questions on one link about what is ours (RFC 6762, section 6).
 *
 * @module
 */

import { TokenBucket } from "../../stack/icmp/token_bucket.ts";
import { Alarm } from "../clock.ts";
import { lowerName } from "../dns/names.ts";
import type { DnsMessage, DnsQuestion, DnsRecord, SrvData } from "../dns/records.ts";
import { Announcer } from "./announcer.ts";
import { MDNS_PORT, type MdnsLink, type Sender } from "./link.ts";
import { type OwnRecord, recordKey } from "./own_record.ts";
import type { Publication } from "./publication.ts";

/** µs that an answer waits which others may give too (section 6). */
const LEAST_DELAY = 20_000, MOST_DELAY = 120_000;
/** µs that is waited for the rest of what the asker knows (section 7.2). */
const LEAST_HOLD = 400_000, MOST_HOLD = 500_000;
/** µs within which a record is not told to the group again; and when a host asks for a name of ours (section 6). */
const QUIET = 1_000_000, QUIET_FOR_PROBES = 250_000;
/** Askers that are waited for. Further ones are answered at once. */
const MOST_HELD = 32;
/** Questions of one message that are answered. */
const MOST_QUESTIONS = 64;
/** Answers to single hosts a second, and at once. */
const UNICAST_RATE = 50;
/** Seconds that an answer to a simple resolver is good for (section 6.7). */
const SIMPLE_TTL = 10;

/** A question whose asker tells more of what it knows. */
interface Held {
  readonly message: DnsMessage;
  readonly from: Sender;
  readonly alarm: Alarm;
}

/** Everything that is ours on one link. */
export class Responder {
  readonly #link: MdnsLink;
  readonly #announcers = new Map<Publication, Announcer>();
  #index: Map<string, OwnRecord[]> | null = null;
  /** What the group will be told, and when (µs). */
  readonly #pending = new Map<OwnRecord, number>();
  readonly #held = new Map<string, Held>();
  readonly #alarm: Alarm;
  readonly #unicast: TokenBucket;

  /** @internal {@link MdnsLink} makes it. */
  constructor(link: MdnsLink) {
    this.#link = link;
    this.#alarm = new Alarm(link.context.clock, () => this.#flush());
    this.#unicast = new TokenBucket(UNICAST_RATE, UNICAST_RATE);
  }

  /** Publishes something here. */
  add(publication: Publication): void {
    if (this.#announcers.has(publication)) return;
    const announcer = new Announcer(this.#link, publication);
    this.#announcers.set(publication, announcer);
    if (this.#link.ready) announcer.start();
  }

  /** Takes it back. */
  remove(publication: Publication): void {
    const announcer = this.#announcers.get(publication);
    this.#announcers.delete(publication);
    this.changed();
    announcer?.stop();
    this.#forget();
  }

  /** Asks for all names again, because one of them has changed; or for this one alone. */
  renamed(publication: Publication): void {
    const announcer = this.#announcers.get(publication);
    if (announcer !== undefined && this.#link.ready) announcer.start();
    for (const other of this.#announcers.values()) if (other !== announcer) other.update();
    this.#forget();
  }

  /** Addresses have changed. */
  addressesChanged(): void {
    const { ready } = this.#link;
    for (const announcer of this.#announcers.values()) {
      if (!ready) announcer.drop();
      else if (announcer.state === 0) announcer.start();
      else announcer.update();
    }
    this.#forget();
  }

  /** The records of everything but one. */
  *keysBeside(but: Announcer): Generator<string> {
    for (const announcer of this.#announcers.values()) {
      if (announcer === but || !announcer.answers) continue;
      for (const { key } of announcer.records) yield key;
    }
  }

  /** @internal What is told has changed. */
  changed(): void {
    this.#index = null;
  }

  /** @internal A query has come. */
  asked(message: DnsMessage, from: Sender): void {
    if (message.authorities.length > 0) {
      for (const announcer of this.#announcers.values()) announcer.probed(message.authorities);
    }
    const who = `${from.address} ${from.port}`;
    const held = this.#held.get(who);
    if (held !== undefined) {
      // No more than is answered, and than a message may have, however many come.
      const { questions, answers } = held.message;
      questions.push(...message.questions.slice(0, Math.max(0, MOST_QUESTIONS - questions.length)));
      answers.push(...message.answers.slice(0, Math.max(0, 1024 - answers.length)));
      if (!message.truncated) held.alarm.set(0);
      return;
    }
    if (message.truncated && from.port === MDNS_PORT && this.#held.size < MOST_HELD) {
      const alarm = new Alarm(this.#link.context.clock, () => {
        this.#held.delete(who);
        this.#answer(message, from);
      });
      alarm.set(this.#link.random(LEAST_HOLD, MOST_HOLD));
      this.#held.set(who, { message, from, alarm });
      return;
    }
    this.#answer(message, from);
  }

  /** @internal An answer has come: of a host that has a name of ours, or that has told what we were about to tell. */
  told(records: readonly DnsRecord[]): void {
    const names = new Set(records.map(({ name }) => lowerName(name)));
    for (const announcer of this.#announcers.values()) {
      if (announcer.contradicted(records, names)) announcer.conflict();
    }
    if (this.#pending.size === 0) return;
    const keys = new Map(records.map((record) => [recordKey(record), record.ttl]));
    for (const own of [...this.#pending.keys()]) {
      if (own.unique || (keys.get(own.key) ?? -1) < own.record.ttl) continue;
      this.#pending.delete(own);
      this.#link.context.counters.suppressedDuplicate++;
    }
  }

  /** Takes everything back. */
  close(): void {
    for (const announcer of this.#announcers.values()) announcer.stop();
    this.#announcers.clear();
    for (const { alarm } of this.#held.values()) alarm.cancel();
    this.#held.clear();
    this.#pending.clear();
    this.#alarm.cancel();
  }

  #answer(message: DnsMessage, from: Sender): void {
    const { counters } = this.#link.context;
    const { now } = this.#link;
    const simple = from.port !== MDNS_PORT;
    const probe = message.authorities.length > 0;
    const known = new Map<string, number>();
    for (const record of message.answers) known.set(recordKey(record), record.ttl);
    const single = new Set<OwnRecord>();
    for (const question of message.questions.slice(0, MOST_QUESTIONS)) {
      const matching = this.#matching(question);
      // Ours alone is told at once; what others may have too, after a moment in which they may tell it.
      const shared = matching.some(({ unique }) => !unique);
      const delay = shared ? this.#link.random(LEAST_DELAY, MOST_DELAY) : 0;
      for (const own of matching) {
        if ((known.get(own.key) ?? -1) * 2 >= own.record.ttl) {
          counters.suppressedKnown++;
          continue;
        }
        // The group is told at times too, so that nobody's memory of it fades (section 5.4).
        const recent = now - own.sentAt <= own.record.ttl * 1_000_000 / 4;
        if (simple || ((question.unicast || from.unicast) && recent)) single.add(own);
        else this.#tellGroup(own, delay, probe);
      }
    }
    if (single.size > 0) this.#tellOne(message, from, [...single], simple);
  }

  #matching({ name, type }: DnsQuestion): OwnRecord[] {
    const own = this.#named().get(lowerName(name));
    if (own === undefined) return [];
    const found = new Map<string, OwnRecord>();
    for (const one of own) if (type === "ANY" || type === one.record.type) found.set(one.key, one);
    if (found.size > 0) return [...found.values()];
    for (const announcer of this.#announcers.values()) {
      const denial = announcer.answers ? announcer.denial(name) : null;
      if (denial !== null) return [denial];
    }
    return [];
  }

  /** What is told, by name in lower case: hostile questions are to cost no more than others. */
  #named(): Map<string, OwnRecord[]> {
    if (this.#index !== null) return this.#index;
    const index = this.#index = new Map<string, OwnRecord[]>();
    for (const announcer of this.#announcers.values()) {
      if (!announcer.answers) continue;
      for (const own of announcer.records) {
        const name = lowerName(own.record.name), list = index.get(name);
        if (list === undefined) index.set(name, [own]);
        else list.push(own);
      }
    }
    return index;
  }

  #tellGroup(own: OwnRecord, delay: number, probe: boolean): void {
    const { now } = this.#link;
    if (now - own.sentAt < (probe ? QUIET_FOR_PROBES : QUIET)) {
      this.#link.context.counters.suppressedRecent++;
      return;
    }
    const due = Math.min(now + delay, this.#pending.get(own) ?? Infinity);
    this.#pending.set(own, due);
    if (due < this.#alarm.deadline) this.#alarm.set(due - now);
  }

  #flush(): void {
    const { now, context } = this.#link;
    const answers: OwnRecord[] = [];
    let next = Infinity;
    for (const [own, due] of this.#pending) {
      // One packet for what is due soon and what is due now.
      if (due <= now + LEAST_DELAY) {
        answers.push(own);
        this.#pending.delete(own);
      } else next = Math.min(next, due);
    }
    if (next < Infinity) this.#alarm.set(next - now);
    if (answers.length === 0) return;
    const additionals = this.#additionals(answers);
    context.counters.responsesSent++;
    // Only what was asked for counts as told: what comes beside may have found no room.
    for (const own of answers) own.sentAt = now;
    this.#link.tell(answers.map(({ record }) => record), additionals.map(({ record }) => record), null);
  }

  #tellOne(message: DnsMessage, from: Sender, answers: OwnRecord[], simple: boolean): void {
    const { counters } = this.#link.context;
    if (!this.#unicast.take(this.#link.now)) {
      counters.rateLimited++;
      return;
    }
    const additionals = this.#additionals(answers);
    counters.unicastSent++;
    if (simple) {
      const short = ({ record: { name, type, ttl, data } }: OwnRecord): DnsRecord => ({
        name,
        type,
        ttl: Math.min(ttl, SIMPLE_TTL),
        data,
      });
      // To a simple resolver no answer means that there is none; what NSEC stands for here it does not know.
      const plain = (list: OwnRecord[]) => list.filter(({ record }) => record.type !== "NSEC").map(short);
      this.#link.tellSimple(message, plain(answers), plain(additionals), from);
    } else if (
      !this.#link.tell(
        answers.map(({ record }) => record),
        additionals.map(({ record }) => record),
        from,
      )
    ) {
      for (const own of answers) this.#tellGroup(own, 0, false);
    }
  }

  /** What the asker is going to ask next (RFC 6763, section 12). */
  #additionals(answers: readonly OwnRecord[]): OwnRecord[] {
    const given = new Set(answers.map(({ key }) => key));
    const added: OwnRecord[] = [];
    const add = (name: string, types: readonly string[]) => {
      for (const type of types) {
        for (const own of this.#matching({ name, type })) {
          if (given.has(own.key)) continue;
          given.add(own.key);
          added.push(own);
        }
      }
    };
    for (const { record } of [...answers]) {
      if (record.type === "PTR") add(record.data as string, ["SRV", "TXT"]);
    }
    for (const { record } of [...answers, ...added]) {
      if (record.type === "SRV") add((record.data as SrvData).target, ["A", "AAAA"]);
      if (record.type === "A") add(record.name, ["AAAA"]);
      if (record.type === "AAAA") add(record.name, ["A"]);
    }
    return added;
  }

  /** What is not told any more need not be told. */
  #forget(): void {
    const current = new Set<OwnRecord>();
    for (const { records } of this.#announcers.values()) for (const own of records) current.add(own);
    for (const own of this.#pending.keys()) {
      if (!current.has(own) && own.record.type !== "NSEC") this.#pending.delete(own);
    }
  }
}
