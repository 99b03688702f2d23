/**
 * A resolver: what applications ask becomes questions to servers, and answers are remembered.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import type { Stack } from "../../stack/stack.ts";
import type { Clock } from "../clock.ts";
import { type CacheLimits, DnsCache } from "./cache.ts";
import { DnsCounters } from "./counters.ts";
import { type Hosts, HostTable } from "./hosts.ts";
import { canonicalName, isLinkName, isWithin, lowerName } from "./names.ts";
import { failure, type Outcome } from "./outcome.ts";
import { type QueryLimits, Servers } from "./query.ts";
import { type DnsMessage, type DnsRecord, Rcode, type SoaData } from "./records.ts";
import { parseNameServer } from "./server.ts";

/** How names are resolved. */
export interface DnsOptions {
  /**
   * Name servers in their order, as `10.0.0.1`, `10.0.0.1:5353`, `fd00::1`, `[fd00::1]:53` or `fe80::1%tap0`. Default: what
   * the network tells (DHCP, router advertisements).
   */
  servers?: readonly string[];
  /** Domains in which short names are looked up. Default: what the network tells. */
  search?: readonly string[];
  /** Dots from which on a name is first taken as it is. Default 1. */
  ndots?: number;
  /** Names that no server is asked about, with their addresses; or the text of a file in the form of hosts(5). */
  hosts?: Hosts;
  /** Milliseconds to wait for an answer before the next server is asked; doubled with each round. Default 1000. */
  timeout?: number;
  /** How often each server is asked. Default 3. */
  attempts?: number;
  /** Questions that may be under way at a time; further ones fail with `Busy`. Default 256. */
  concurrency?: number;
  /** Answers that are remembered; 0 for none. Default 1024. */
  cacheEntries?: number;
  /** Least seconds for which an answer is remembered. Default 0: as long as it says. */
  minTtl?: number;
  /** Most seconds for which an answer is remembered. Default 86,400. */
  maxTtl?: number;
  /** Most seconds for which it is remembered that something is not there. Default 3,600. */
  maxNegativeTtl?: number;
  /** False: names under `.local` are nobody's, and nothing is answered on the link. Default true. */
  mdns?: boolean;
}

/** Answers questions about names of the link. */
export interface LinkResolver {
  /** Asks the link. @param name In lower case. @param type Of record. @returns The records; none when nobody answers. */
  query(name: string, type: string, signal: AbortSignal | null): Promise<readonly DnsRecord[]>;
}

/** What the network tells. */
export interface DnsConfiguration {
  /** Name servers. */
  readonly nameServers: readonly string[];
  /** Search list. */
  readonly searchDomains: readonly string[];
}

/** Aliases that one name may have before its address (RFC 1034, section 3.6.2 says one; the world says more). */
const ALIASES = 8;
/** Seconds for which it is remembered that servers fail (RFC 2308, section 7.1), or that none answers (RFC 9520). */
const FAILED_TTL = 5, SILENT_TTL = 1;
/** Search domains that are tried, as many as resolvers elsewhere take. */
const SEARCHES = 6;

/** Refused: too many questions. */
export class TooManyQuestions extends Error {}

/** A resolver of one stack. */
export class Resolver {
  /** What happened. */
  readonly counters: DnsCounters = new DnsCounters();
  readonly #options: DnsOptions;
  readonly #configuration: DnsConfiguration;
  readonly #clock: Clock;
  readonly #hosts: HostTable;
  readonly #cache: DnsCache;
  readonly #servers: Servers;
  readonly #pending = new Map<string, Promise<Outcome>>();
  /** Answers questions about the link, when there is anyone. */
  link: LinkResolver | null = null;

  /**
   * Makes a resolver; `Network.resolver` is the network's own.
   *
   * @param stack Who asks. @param clock Its time. @param options How. @param configuration Where servers and domains come
   * from that the options do not give.
   * @throws {TypeError} A server, domain or host of no known form.
   */
  constructor(stack: Stack, clock: Clock, options: DnsOptions, configuration: DnsConfiguration) {
    this.#clock = clock;
    this.#options = { ...options, ...options.search && { search: options.search.map(canonicalName) } };
    this.#configuration = configuration;
    this.#hosts = new HostTable(options.hosts);
    // Zones are known when their interfaces are.
    for (const text of options.servers ?? []) if (!text.includes("%")) parseNameServer(text, []);
    const limits: CacheLimits = {
      entries: options.cacheEntries ?? 1024,
      minTtl: options.minTtl ?? 0,
      maxTtl: options.maxTtl ?? 86_400,
      maxNegativeTtl: options.maxNegativeTtl ?? 3600,
    };
    this.#cache = new DnsCache(limits, this.counters);
    const queries: QueryLimits = { timeout: (options.timeout ?? 1000) * 1000, rounds: options.attempts ?? 3 };
    this.#servers = new Servers(stack, clock, this.counters, queries);
  }

  /** The servers that are asked. */
  get servers(): readonly string[] {
    return this.#options.servers ?? this.#configuration.nameServers;
  }

  /** The search list, in lower case. */
  get search(): readonly string[] {
    return (this.#options.search ?? this.#configuration.searchDomains.map(lowerName)).slice(0, SEARCHES);
  }

  /** Answers that are remembered, and questions under way. */
  get sizes(): { cached: number; pending: number } {
    return { cached: this.#cache.size, pending: this.#pending.size };
  }

  /**
   * The names that a name of a person may stand for, in the order in which they are tried.
   *
   * @throws {TypeError} It is not a name.
   */
  candidates(hostname: string): string[] {
    const name = canonicalName(hostname);
    if (hostname.endsWith(".") || this.#hosts.addresses(name) !== null || isLinkName(name)) return [name];
    const searched = this.search.map((domain) => `${name}.${domain}`).filter((one) => one.length <= 253);
    const dots = name.split(".").length - 1;
    return dots >= (this.#options.ndots ?? 1) ? [name, ...searched] : [...searched, name];
  }

  /**
   * Resolves one full name, over hosts, the link, what is remembered, and the servers.
   *
   * @param name As {@link candidates} gives it. @param type Of record.
   * @param signal Ends waiting; a question that others wait for goes on. @param servers Ask these, and remember nothing.
   * @throws What `signal` says. @throws {TooManyQuestions}
   */
  async resolve(
    name: string,
    type: string,
    signal: AbortSignal | null = null,
    servers: readonly string[] | null = null,
  ): Promise<Outcome> {
    signal?.throwIfAborted();
    this.counters.lookups++;
    if (servers !== null) return await this.#follow(name, type, servers, signal);
    const known = this.#known(name, type);
    if (known !== null) return known;
    if (isLinkName(name)) return await this.#onLink(name, type, signal);
    const key = `${type} ${name}`;
    const cached = this.#cache.get(key, this.#clock.time());
    if (cached !== null) {
      this.counters.cacheHits++;
      return cached;
    }
    let pending = this.#pending.get(key);
    if (pending !== undefined) {
      this.counters.coalesced++;
    } else {
      if (this.#pending.size >= (this.#options.concurrency ?? 256)) {
        this.counters.refused++;
        throw new TooManyQuestions(
          `Cannot resolve "${name}": ${this.#pending.size} questions are under way; ask fewer at a time`,
        );
      }
      pending = this.#follow(name, type, this.servers, null).then((outcome) => {
        this.#pending.delete(key);
        this.#cache.set(key, outcome, this.#clock.time());
        return outcome;
      });
      this.#pending.set(key, pending);
    }
    return await withSignal(pending, signal);
  }

  /** Forgets what is remembered. */
  clear(): void {
    this.#cache.clear();
  }

  /** Ends what is under way: nobody answers any more. */
  close(): void {
    this.#servers.close();
  }

  /** What no server is asked about. */
  #known(name: string, type: string): Outcome | null {
    if (type === "PTR") {
      const host = this.#hosts.name(name);
      if (host !== null) {
        return { kind: "found", name, ttl: 0, records: [{ name, type, ttl: 0, data: host }] };
      }
    }
    const literal = IpAddress.tryParse(name);
    const addresses = literal !== null ? [literal] : this.#hosts.addresses(name);
    if (addresses === null) return null;
    if (addresses.length === 0) return failure("noName", name);
    const version = type === "A" ? 4 : type === "AAAA" ? 6 : 0;
    const records = addresses.filter((address) => address.version === version)
      .map((address): DnsRecord => ({ name, type, ttl: 0, data: address.toString() }));
    return records.length === 0 ? failure("noData", name) : { kind: "found", name, ttl: 0, records };
  }

  async #onLink(name: string, type: string, signal: AbortSignal | null): Promise<Outcome> {
    const records = await this.link?.query(name, type, signal) ?? [];
    return records.length === 0 ? failure("noName", name) : { kind: "found", name, records, ttl: 0 };
  }

  /** Asks, and follows aliases that the server has not followed. */
  async #follow(
    name: string,
    type: string,
    servers: readonly string[],
    signal: AbortSignal | null,
  ): Promise<Outcome> {
    let current = name, ttl = Infinity;
    for (let left = ALIASES; left > 0;) {
      const answer = await this.#servers.ask(servers, current, type, signal);
      signal?.throwIfAborted();
      if (answer === "noServer") return failure("noServer", name);
      if (answer === "timedOut") return failure("timedOut", name, SILENT_TTL);
      if (answer === "serverFailure") return failure("serverFailure", name, FAILED_TTL);
      const chain = chase(answer, current, type, left);
      if (chain === null) break;
      left -= Math.max(1, chain.length);
      ttl = Math.min(ttl, chain.ttl);
      const { records } = chain;
      if (records.length > 0) {
        for (const record of records) ttl = Math.min(ttl, record.ttl);
        return { kind: "found", records, name: chain.name, ttl };
      }
      if (answer.rcode === Rcode.NameError) {
        return failure("noName", chain.name, Math.min(ttl, negativeTtl(answer, chain.name)));
      }
      if (chain.length === 0 || answer.authorities.some((record) => record.type === "SOA")) {
        return failure("noData", chain.name, Math.min(ttl, negativeTtl(answer, chain.name)));
      }
      current = chain.name;
      // An alias may lead to a name that servers know nothing of.
      const known = this.#known(current, type);
      if (known !== null) return known;
    }
    this.counters.aliasLoops++;
    return failure("serverFailure", name, FAILED_TTL);
  }
}

/** Where a chain of aliases ends. */
interface Chain {
  readonly name: string;
  readonly records: readonly DnsRecord[];
  /** Seconds: the least of the aliases. */
  readonly ttl: number;
  /** Aliases. */
  readonly length: number;
}

/** Follows aliases within an answer; what belongs to other names is not looked at. @returns null when there are too many. */
function chase(message: DnsMessage, name: string, type: string, most: number): Chain | null {
  let ttl = Infinity;
  for (let length = 0; length <= most; length++) {
    const own = message.answers.filter((record) => lowerName(record.name) === name);
    const records = own.filter((record) => record.type === type);
    const alias = own.find((record) => record.type === "CNAME");
    if (records.length > 0 || alias === undefined) return { name, records, ttl, length };
    ttl = Math.min(ttl, alias.ttl);
    name = lowerName(alias.data as string);
  }
  return null;
}

/** Seconds for which it is remembered that something is not there (RFC 2308, sections 3 and 5): none without a SOA. */
function negativeTtl(message: DnsMessage, name: string): number {
  for (const { type, ttl, data, name: zone } of message.authorities) {
    if (type === "SOA" && (zone === "" || isWithin(name, lowerName(zone)))) {
      return Math.min(ttl, (data as SoaData).minimum);
    }
  }
  return 0;
}

/** The promise, or what the signal says if that is first. */
export function withSignal<T>(promise: Promise<T>, signal: AbortSignal | null): Promise<T> {
  if (signal === null) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
