/**
 * What the resolver remembers, for as long as it may (RFC 1035, section 3.2.1; RFC 2308; RFC 9520).
 *
 * @module
 */

import type { DnsCounters } from "./counters.ts";
import type { Outcome } from "./outcome.ts";

/** Limits of a {@link DnsCache}. */
export interface CacheLimits {
  /** Outcomes; the one not used for longest makes room. */
  entries: number;
  /** Least seconds for which what was found is remembered. */
  minTtl: number;
  /** Most seconds for which what was found is remembered. */
  maxTtl: number;
  /** Most seconds for which it is remembered that something is not there (RFC 2308, section 5). */
  maxNegativeTtl: number;
}

interface Entry {
  readonly outcome: Outcome;
  /** µs. */
  readonly stored: number;
  /** µs. */
  readonly until: number;
}

/** Outcomes by question. */
export class DnsCache {
  readonly #limits: CacheLimits;
  readonly #counters: DnsCounters;
  /** The first is the one not used for longest. */
  readonly #entries = new Map<string, Entry>();

  /** @param limits How much. @param counters Where evictions are counted. */
  constructor(limits: CacheLimits, counters: DnsCounters) {
    this.#limits = limits;
    this.#counters = counters;
  }

  /** Outcomes that are held. */
  get size(): number {
    return this.#entries.size;
  }

  /** What is remembered of a question at `now` (µs), with the lifetimes that are left; or null. */
  get(key: string, now: number): Outcome | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (now >= entry.until) return null;
    this.#entries.set(key, entry);
    const left = Math.ceil((entry.until - now) / 1_000_000);
    const { kind, records, name } = entry.outcome;
    return {
      kind,
      name,
      ttl: left,
      records: records.map((record) => ({ ...record, ttl: Math.min(record.ttl, left) })),
    };
  }

  /** Remembers an outcome, if it may be. */
  set(key: string, outcome: Outcome, now: number): void {
    const { minTtl, maxTtl, maxNegativeTtl, entries } = this.#limits;
    const ttl = outcome.kind === "found"
      ? Math.min(Math.max(outcome.ttl, minTtl), maxTtl)
      : Math.min(outcome.ttl, maxNegativeTtl);
    if (ttl <= 0 || entries <= 0) return;
    this.#entries.delete(key);
    if (this.#entries.size >= entries) {
      this.#entries.delete(this.#entries.keys().next().value!);
      this.#counters.evicted++;
    }
    this.#entries.set(key, { outcome, stored: now, until: now + ttl * 1_000_000 });
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
  }
}
