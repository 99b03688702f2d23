/**
 * Makes a name ours on one link: asks whether it is free, tells that it is ours, and defends it (RFC 6762, sections 8
 * and 9).
 *
 * @module
 */

import { Alarm } from "../clock.ts";
import { lowerName, sameName } from "../dns/names.ts";
import type { DnsRecord } from "../dns/records.ts";
import type { MdnsLink } from "./link.ts";
import { compareSets, OwnRecord, recordKey } from "./own_record.ts";
import type { Publication } from "./publication.ts";

/** Probes, µs between them, and the most before the first. */
const PROBES = 3, PROBE_INTERVAL = 250_000;
/** Announcements, and µs between them. */
const ANNOUNCEMENTS = 2, ANNOUNCE_INTERVAL = 1_000_000;
/** µs until it is tried again after another host that asks for the name at the same time has won. */
const DEFER = 1_000_000;
/** After so many conflicts within so many µs, each attempt waits so long (section 8.1). */
const MANY_CONFLICTS = 15, CONFLICT_WINDOW = 10_000_000, CONFLICT_DELAY = 5_000_000;

/** How far it is. */
export enum AnnouncerState {
  /** The link is not ready, or it has ended. */
  Idle,
  /** Asking whether the name is free. */
  Probing,
  /** The name is ours; the link is being told. */
  Announcing,
  /** The name is ours. */
  Established,
}

/** One publication on one link. */
export class Announcer {
  /** What is published. */
  readonly publication: Publication;
  /** What is told. */
  records: OwnRecord[] = [];
  readonly #link: MdnsLink;
  readonly #alarm: Alarm;
  #state: AnnouncerState = AnnouncerState.Idle;
  #sent = 0;
  #conflicts: number[] = [];
  /** By name in lower case, made when first asked for. */
  readonly #denials = new Map<string, OwnRecord>();

  /** @param link Where. @param publication What. */
  constructor(link: MdnsLink, publication: Publication) {
    this.#link = link;
    this.publication = publication;
    this.#alarm = new Alarm(link.context.clock, () => this.#next());
  }

  /** How far it is. */
  get state(): AnnouncerState {
    return this.#state;
  }

  set state(state: AnnouncerState) {
    this.#state = state;
    this.#link.responder.changed();
  }

  /** Whether the name is ours, and questions about it are answered. */
  get answers(): boolean {
    return this.state >= AnnouncerState.Announcing;
  }

  /** Asks for the name, from the beginning. */
  start(delay: number = this.#link.random(0, PROBE_INTERVAL)): void {
    this.records = this.#build();
    this.state = AnnouncerState.Probing;
    this.#sent = 0;
    this.publication.established.delete(this.#link.interface);
    this.#alarm.set(delay);
  }

  /** Addresses or the host's name have changed: what was told is taken back, and what is new is told. */
  update(): void {
    if (!this.answers) {
      if (this.state === AnnouncerState.Probing) this.records = this.#build();
      return;
    }
    const before = this.records;
    this.records = this.#build();
    const keys = new Set(this.records.map(({ key }) => key));
    const gone = before.filter(({ key }) => !keys.has(key));
    const known = new Set(before.map(({ key }) => key));
    const fresh = this.records.some(({ key }) => !known.has(key));
    if (gone.length > 0) this.#goodbye(gone);
    if (!fresh) return;
    this.state = AnnouncerState.Announcing;
    this.#sent = 0;
    this.#alarm.set(0);
  }

  /** Takes the name back (section 10.1), and does nothing more. */
  stop(): void {
    this.#alarm.cancel();
    // While the name is asked for again, what was told of it is still remembered.
    this.#goodbye(this.records.filter(({ sentAt }) => sentAt > -Infinity));
    this.state = AnnouncerState.Idle;
  }

  /** As {@link stop}, but tells nobody: the link is gone, or the name is another's. */
  drop(): void {
    this.#alarm.cancel();
    this.state = AnnouncerState.Idle;
  }

  /** Another host asks for names. */
  probed(authorities: readonly DnsRecord[]): void {
    if (this.state !== AnnouncerState.Probing) return;
    const { name } = this.publication;
    const theirs = authorities.filter((record) => sameName(record.name, name));
    if (theirs.length === 0) return;
    const ours = this.#claimed().map(({ record }) => record);
    if (compareSets(ours, theirs) >= 0) return;
    // The other host wins, if it is there at all; then it answers the next probe.
    this.#sent = 0;
    this.#alarm.set(DEFER);
  }

  /** @param names Those of the records, in lower case. @returns Whether another host has told that the name is its own. */
  contradicted(records: readonly DnsRecord[], names: ReadonlySet<string>): boolean {
    if (this.state === AnnouncerState.Idle) return false;
    const { name } = this.publication;
    if (!names.has(lowerName(name))) return false;
    for (const record of records) {
      if (record.ttl === 0 || record.type === "NSEC" || !sameName(record.name, name)) continue;
      const same = this.records.filter((own) => own.unique && own.record.type === record.type);
      if (same.length === 0 && this.state !== AnnouncerState.Probing) continue;
      const key = recordKey(record);
      if (same.some((own) => own.key === key) || this.#isOurs(record)) continue;
      return true;
    }
    return false;
  }

  /** Another host has the name. One that was ours is asked for again; one that was asked for is given up. */
  conflict(): void {
    const { now } = this.#link;
    this.#link.context.counters.conflicts++;
    this.#conflicts = [...this.#conflicts.filter((time) => time > now - CONFLICT_WINDOW), now].slice(
      -MANY_CONFLICTS,
    );
    const slow = this.#conflicts.length >= MANY_CONFLICTS;
    if (this.state === AnnouncerState.Probing) this.publication.rename();
    this.start(slow ? CONFLICT_DELAY : this.#link.random(0, PROBE_INTERVAL));
  }

  /** What says which types a name of ours has (section 6.1). */
  denial(name: string): OwnRecord | null {
    const key = lowerName(name), made = this.#denials.get(key);
    if (made !== undefined) return made;
    const own = this.records.filter(({ record, unique }) => unique && sameName(record.name, name));
    if (own.length === 0) return null;
    const rrtypes = [...new Set(own.map(({ record }) => record.type))];
    const { record } = own[0]!;
    const denial = new OwnRecord(
      { name: record.name, type: "NSEC", ttl: record.ttl, data: { nextDomain: record.name, rrtypes } },
      true,
    );
    this.#denials.set(key, denial);
    return denial;
  }

  #next(): void {
    const { context, interface: by } = this.#link;
    if (this.state === AnnouncerState.Probing) {
      if (this.#sent < PROBES) {
        this.#sent++;
        context.counters.probesSent++;
        const { name } = this.publication;
        const proposed = this.#claimed().map(({ record }) => plain(record));
        this.#link.ask([{ name, type: "ANY", unicast: true }], [], proposed);
        this.#alarm.set(PROBE_INTERVAL);
        return;
      }
      this.state = AnnouncerState.Announcing;
      this.#sent = 0;
      this.publication.establish(by);
    }
    if (this.state !== AnnouncerState.Announcing) return;
    this.#sent++;
    context.counters.responsesSent++;
    for (const own of this.records) own.sentAt = this.#link.now;
    this.#link.tell(this.records.map(({ record }) => record), [], null);
    if (this.#sent < ANNOUNCEMENTS) this.#alarm.set(ANNOUNCE_INTERVAL);
    else this.state = AnnouncerState.Established;
  }

  #goodbye(records: readonly OwnRecord[]): void {
    // What others of ours still tell is not taken back: the address of the host, the type of a service.
    const kept = new Set(this.#link.responder.keysBeside(this));
    const gone = records.filter(({ key }) => !kept.has(key));
    if (gone.length === 0) return;
    this.#link.context.counters.responsesSent++;
    this.#link.tell(gone.map(({ record }) => ({ ...record, ttl: 0 })), [], null);
  }

  /** The records that are told, with the times of those that were told already. */
  #build(): OwnRecord[] {
    this.#denials.clear();
    this.#link.responder.changed();
    const before = new Map(this.records.map((own) => [own.key, own]));
    return this.publication.recordsFor(this.#link.interface).map((own) => before.get(own.key) ?? own);
  }

  /** The records that are ours alone, under the name. */
  #claimed(): OwnRecord[] {
    const { name } = this.publication;
    return this.records.filter(({ record, unique }) => unique && sameName(record.name, name));
  }

  /** Whether a record tells of an address of this host: it may be on the link twice. */
  #isOurs({ type, data }: DnsRecord): boolean {
    if (type !== "A" && type !== "AAAA") return false;
    return this.#link.context.stack.interfaces.some((one) =>
      one.addresses.some(({ address }) => `${address}` === data)
    );
  }
}

function plain({ name, type, ttl, data }: DnsRecord): DnsRecord {
  return { name, type, ttl, data };
}
