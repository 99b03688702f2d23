/**
 * One question to a list of servers: tries, time-outs, and the way over TCP, until one of them has answered or all have
 * failed.
 *
 * @module
 */

import type { Stack } from "../../stack/stack.ts";
import { Alarm, type Clock } from "../clock.ts";
import type { DnsCounters } from "./counters.ts";
import { type DnsMessage, Rcode } from "./records.ts";
import { type NameServer, parseNameServer } from "./server.ts";
import { TcpExchange } from "./tcp_exchange.ts";
import { UdpExchange, type UdpExchangeHandler } from "./udp_exchange.ts";

/** How long to wait, and how often to ask. */
export interface QueryLimits {
  /** µs to wait for the first server; doubled with each round. */
  timeout: number;
  /** Rounds over all servers. */
  rounds: number;
}

/** Servers that are asked at most. */
const MOST_SERVERS = 8;
/** Servers without EDNS, and connections, that are remembered. */
const MOST_REMEMBERED = 32;

/** What a question came to: an answer, or why there is none. */
export type Answer = DnsMessage | "serverFailure" | "timedOut" | "noServer";

/** Knows the servers, and what each is good for. */
export class Servers {
  readonly #stack: Stack;
  readonly #clock: Clock;
  readonly #counters: DnsCounters;
  readonly #limits: QueryLimits;
  /** Those that understand no EDNS (RFC 6891, section 7). */
  readonly #plain = new Set<string>();
  readonly #tcp = new Map<string, TcpExchange>();
  readonly #open = new Set<Query>();
  /** The one that has answered last is asked first. */
  #preferred = "";
  #closed = false;

  /** @param stack Who asks. @param clock Its time. @param counters What is counted. @param limits How often. */
  constructor(stack: Stack, clock: Clock, counters: DnsCounters, limits: QueryLimits) {
    this.#stack = stack;
    this.#clock = clock;
    this.#counters = counters;
    this.#limits = limits;
  }

  /**
   * Asks.
   *
   * @param texts The servers, in their order. @param name In lower case. @param type Of record.
   * @param signal Gives up: the promise is then settled with `timedOut`.
   * @returns The first answer that says something.
   */
  ask(texts: readonly string[], name: string, type: string, signal: AbortSignal | null): Promise<Answer> {
    const servers = this.#order(texts);
    if (servers.length === 0 || this.#closed) return Promise.resolve("noServer");
    return new Promise((resolve) => {
      const query: Query = new Query(this, servers, name, type, (answer) => {
        this.#open.delete(query);
        signal?.removeEventListener("abort", abort);
        resolve(answer);
      });
      const abort = () => query.finish("timedOut");
      this.#open.add(query);
      signal?.addEventListener("abort", abort, { once: true });
      query.start();
    });
  }

  /** Ends what is under way. */
  close(): void {
    this.#closed = true;
    for (const query of [...this.#open]) query.finish("noServer");
    for (const exchange of this.#tcp.values()) exchange.close();
    this.#tcp.clear();
  }

  /** @internal */
  get stack(): Stack {
    return this.#stack;
  }

  /** @internal */
  get clock(): Clock {
    return this.#clock;
  }

  /** @internal */
  get counters(): DnsCounters {
    return this.#counters;
  }

  /** @internal */
  get limits(): QueryLimits {
    return this.#limits;
  }

  /** @internal Whether a server is told that more than 512 bytes may come back. */
  speaksEdns(server: NameServer): boolean {
    return !this.#plain.has(server.text);
  }

  /** @internal */
  withoutEdns(server: NameServer): void {
    if (this.#plain.size >= MOST_REMEMBERED) this.#plain.clear();
    this.#plain.add(server.text);
  }

  /** @internal */
  prefer(server: NameServer): void {
    this.#preferred = server.text;
  }

  /** @internal The connection to a server. */
  tcp(server: NameServer): TcpExchange {
    const found = this.#tcp.get(server.text);
    if (found !== undefined) return found;
    if (this.#tcp.size >= MOST_REMEMBERED) {
      const [text, oldest] = this.#tcp.entries().next().value!;
      oldest.close();
      this.#tcp.delete(text);
    }
    const made = new TcpExchange(this.#stack.tcp, this.#clock, this.#stack.random, server, this.#counters);
    this.#tcp.set(server.text, made);
    return made;
  }

  /** The servers, from the preferred one on. What can't be read is passed over: it may come from the network. */
  #order(texts: readonly string[]): NameServer[] {
    const servers: NameServer[] = [];
    for (const text of texts.slice(0, MOST_SERVERS)) {
      try {
        const server = parseNameServer(text, this.#stack.interfaces);
        if (!servers.some((other) => other.text === server.text)) servers.push(server);
      } catch {
        // A zone that is gone, or something that a router has made up.
      }
    }
    const first = servers.findIndex((server) => server.text === this.#preferred);
    return first <= 0 ? servers : [...servers.slice(first), ...servers.slice(0, first)];
  }
}

/** One question under way. */
class Query implements UdpExchangeHandler {
  readonly #servers: Servers;
  readonly #list: readonly NameServer[];
  readonly #name: string;
  readonly #type: string;
  readonly #done: (answer: Answer) => void;
  readonly #alarm: Alarm;
  /** Earlier ones stay open: an answer that comes late is an answer. */
  readonly #exchanges: UdpExchange[] = [];
  /** Servers that have said no, or can't be reached, and are not asked again. */
  readonly #out = new Set<NameServer>();
  #attempt = 0;
  #tcp = 0;
  #refused = false;
  #over = false;

  constructor(
    servers: Servers,
    list: readonly NameServer[],
    name: string,
    type: string,
    done: (answer: Answer) => void,
  ) {
    this.#servers = servers;
    this.#list = list;
    this.#name = name;
    this.#type = type;
    this.#done = done;
    this.#alarm = new Alarm(servers.clock, () => {
      servers.counters.timeouts++;
      this.#next();
    });
  }

  start(): void {
    this.#next();
  }

  finish(answer: Answer): void {
    if (this.#over) return;
    this.#over = true;
    this.#alarm.cancel();
    for (const exchange of this.#exchanges) exchange.close();
    this.#done(answer);
  }

  answered(message: DnsMessage, server: NameServer): void {
    const { counters } = this.#servers;
    const { rcode } = message;
    if (message.truncated) return this.#overTcp(server);
    if (rcode === Rcode.NoError || rcode === Rcode.NameError) {
      const lame = rcode === Rcode.NoError && message.answers.length === 0 && !message.authoritative &&
        !message.recursionAvailable && !message.authorities.some(({ type }) => type === "SOA");
      if (!lame) {
        this.#servers.prefer(server);
        return this.finish(message);
      }
      counters.lame++;
    } else if (
      (rcode === Rcode.FormatError || rcode === Rcode.NotImplemented) && this.#servers.speaksEdns(server)
    ) {
      this.#servers.withoutEdns(server);
      if (this.#send(server)) return;
    } else {
      counters.serverFailures++;
    }
    this.#refused = true;
    this.failed(server);
  }

  mangled(server: NameServer): void {
    this.#overTcp(server);
  }

  failed(server: NameServer): void {
    this.#out.add(server);
    if (!this.#over && this.#tcp === 0) this.#next();
  }

  #next(): void {
    const { timeout, rounds } = this.#servers.limits;
    while (this.#attempt < rounds * this.#list.length) {
      const round = Math.floor(this.#attempt / this.#list.length);
      const server = this.#list[this.#attempt++ % this.#list.length]!;
      if (this.#out.has(server)) continue;
      if (this.#send(server)) {
        this.#alarm.set(timeout * 2 ** round);
        return;
      }
      this.#out.add(server);
    }
    if (this.#tcp > 0) return;
    this.finish(this.#refused ? "serverFailure" : "timedOut");
  }

  #send(server: NameServer): boolean {
    const { stack, counters } = this.#servers;
    const edns = this.#servers.speaksEdns(server);
    const exchange = new UdpExchange(stack, server, this.#name, this.#type, edns, counters, this);
    if (!exchange.sent) return false;
    this.#exchanges.push(exchange);
    return true;
  }

  /** The alarm goes on: another server may be faster. */
  #overTcp(server: NameServer): void {
    const { timeout } = this.#servers.limits;
    this.#tcp++;
    // What takes longer over TCP is not lost: it has its own limit.
    this.#alarm.set(timeout * 4);
    this.#servers.tcp(server).ask(this.#name, this.#type, timeout * 4).then((message) => {
      this.#tcp--;
      if (this.#over) return;
      if (message === null || message.truncated) return this.failed(server);
      this.answered(message, server);
    });
  }
}
