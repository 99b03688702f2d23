/**
 * Multicast DNS of one host, on all its links (RFC 6762): its own name and services, and those of others.
 *
 * @module
 */

import type { Interface } from "../../stack/link/interface.ts";
import type { Packet } from "../../stack/packet.ts";
import type { Stack } from "../../stack/stack.ts";
import { checkPort } from "../address.ts";
import { Alarm, type Clock } from "../clock.ts";
import { checkName, escapeLabel, lowerName } from "../dns/names.ts";
import type { DnsRecord } from "../dns/records.ts";
import type { LinkResolver } from "../dns/resolver.ts";
import { Browser } from "./browser.ts";
import { MdnsCounters } from "./counters.ts";
import { MdnsLink } from "./link.ts";
import { recordKey } from "./own_record.ts";
import { HostPublication, type Publication, ServicePublication } from "./publication.ts";
import { Advertisement, type AdvertiseOptions, checkServiceType, encodeTxt } from "./service.ts";

/** µs that a single question waits for its answer; asked again after one second. */
const PATIENCE = 3_000_000;
/** µs after the first answer, in which other links, or hosts, may answer too. */
const GRACE = 100_000;
/** µs after an address of the other version, in which one of this may come. */
const SIBLING_GRACE = 250_000;
/** Services of ours. Further ones are refused. */
const MOST_SERVICES = 64;
/** µs between looks whether our addresses are other ones. */
const WATCH = 500_000;

/** The responder and resolver of one host. */
export class Mdns implements LinkResolver {
  /** What happened on all links. */
  readonly counters: MdnsCounters = new MdnsCounters();
  /** The stack. */
  readonly stack: Stack;
  /** Its time. */
  readonly clock: Clock;
  readonly #links = new Map<Interface, MdnsLink>();
  readonly #publications = new Set<Publication>();
  readonly #browsers = new Set<Browser>();
  readonly #watch: Alarm;
  readonly #label: string;
  #host: HostPublication | null = null;
  #generation = -1;
  #started = false;
  #closed = false;

  /**
   * Makes it; nothing is heard or told before it is needed.
   *
   * @param stack The stack. @param clock Its time. @param hostname What the host is called on the link, without `.local`.
   * @throws {TypeError} A name that is none.
   */
  constructor(stack: Stack, clock: Clock, hostname: string | null) {
    this.stack = stack;
    this.clock = clock;
    this.#label = (hostname ?? "").replace(/\.local\.?$/i, "");
    if (hostname !== null) {
      if (this.#label.includes(".")) {
        throw new TypeError(`Cannot use "${hostname}" as the host's name: give one without dots`);
      }
      checkName(`${this.#label}.local`);
    }
    this.#watch = new Alarm(clock, () => this.#look());
  }

  /** What the host is called now, with `.local`; null while it has not told anybody. */
  get hostname(): string | null {
    return this.#host?.name ?? null;
  }

  /** Whether the host's name is known to be its own on some link. */
  get established(): boolean {
    return this.#host !== null && this.#host.established.size > 0;
  }

  /** What is asked, remembered and told. */
  get sizes(): { links: number; questions: number; cached: number; services: number } {
    let questions = 0, cached = 0;
    for (const { querier } of this.#links.values()) {
      questions += querier.size;
      cached += querier.cache.size;
    }
    const services = this.#publications.size - (this.#host === null ? 0 : 1);
    return { links: this.#links.size, questions, cached, services };
  }

  /** Tells the links of the host, from now on. */
  publishHost(): void {
    this.#hostPublication();
  }

  /**
   * Tells the links of a service, until it is taken back.
   *
   * @returns Once its name is known to be free on one of the links.
   * @throws {TypeError} Something of it can't be told. @throws {Deno.errors.Busy} There are too many.
   */
  async advertise(options: AdvertiseOptions): Promise<Advertisement> {
    const { name, port, txt, subtypes = [], signal } = options;
    signal?.throwIfAborted();
    const type = checkServiceType(options.type);
    checkName(`${escapeLabel(name)}.${type}.local`);
    checkPort(port, 1);
    for (const subtype of subtypes) {
      if (!/^_[a-z0-9-]{1,62}$/i.test(subtype)) {
        throw new TypeError(`Cannot use "${subtype}" as a subtype: write it as _printer`);
      }
    }
    const strings = encodeTxt(txt);
    if (this.#publications.size > MOST_SERVICES) {
      throw new Deno.errors.Busy(`Cannot advertise "${name}": ${MOST_SERVICES} services are advertised`);
    }
    const service = new ServicePublication(name, type, this.#hostPublication(), port, strings, subtypes);
    const advertisement = new Advertisement(service, () => {
      signal?.removeEventListener("abort", abort);
      this.#withdraw(service);
    });
    const abort = () => advertisement.close();
    await new Promise<void>((resolve, reject) => {
      service.onsettled = (failed) => failed === null ? resolve() : reject(failed);
      signal?.addEventListener("abort", () => {
        abort();
        reject(signal.reason);
      }, { once: true });
      this.#publish(service);
    });
    return advertisement;
  }

  /**
   * Follows services of a type, on all links, from now on.
   *
   * @param type `_http._tcp`, with `_printer._sub.` in front for a subtype. @param signal Ends it.
   * @throws {TypeError} It is no type of service.
   */
  browse(type: string, signal?: AbortSignal): Browser {
    const [, subtype = "", plain] = /^(_[a-z0-9-]+\._sub\.)?(.*)$/i.exec(type)!;
    const browser = new Browser(subtype.toLowerCase() + checkServiceType(plain!));
    if (signal?.aborted || this.#closed) {
      browser.end();
      return browser;
    }
    const end = () => browser.end();
    signal?.addEventListener("abort", end, { once: true });
    this.#browsers.add(browser);
    browser.onended = () => {
      signal?.removeEventListener("abort", end);
      this.#browsers.delete(browser);
    };
    this.#start();
    for (const link of this.#links.values()) browser.add(link);
    return browser;
  }

  /** Asks all links once. The first answer is waited for, and a moment for what other links say. */
  async query(name: string, type: string, signal: AbortSignal | null): Promise<readonly DnsRecord[]> {
    if (this.#closed) return [];
    const own = this.#own(name, type);
    if (own.length > 0) return own;
    this.#start();
    const found = new Map<string, DnsRecord>();
    const denied = new Set<MdnsLink>();
    const stops: ((() => void) | null)[] = [];
    try {
      await new Promise<void>((resolve, reject) => {
        const patience = new Alarm(this.clock, resolve);
        const abort = () => reject(signal!.reason);
        signal?.addEventListener("abort", abort, { once: true });
        stops.push(() => patience.cancel(), () => signal?.removeEventListener("abort", abort));
        patience.set(PATIENCE);
        const links = [...this.#links.values()];
        const settle = () => {
          if (found.size > 0) patience.set(Math.min(GRACE, patience.deadline - this.clock.time()));
          else if (denied.size === links.length) resolve();
        };
        for (const link of links) {
          stops.push(link.querier.watch(name, type, {
            added: (record) => {
              found.set(`${recordKey(record)} ${link.interface.index}`, record);
              // One host has the name, and one link is most often all there is: nothing more can come.
              if (record.flush && links.length === 1) resolve();
              else settle();
            },
            none: () => {
              denied.add(link);
              settle();
            },
          }, 0));
        }
        if (links.length === 0) resolve();
        // A host that has said one address has said all: not every one says what it has not.
        const sibling = type === "A" ? "AAAA" : type === "AAAA" ? "A" : null;
        if (sibling === null) return;
        const hurry = () => patience.set(Math.min(SIBLING_GRACE, patience.deadline - this.clock.time()));
        for (const link of links) stops.push(link.querier.watch(name, sibling, { added: hurry }, 0));
      });
    } finally {
      for (const stop of stops) stop?.();
    }
    return [...found.values()];
  }

  /** @internal An interface has come. */
  interfaceAdded(by: Interface): void {
    if (this.#started) this.#join(by);
  }

  /** @internal An interface has gone. */
  interfaceRemoved(by: Interface): void {
    const link = this.#links.get(by);
    if (link === undefined) return;
    for (const browser of this.#browsers) browser.remove(link);
    this.#links.delete(by);
    link.close();
  }

  /** Takes everything back, and says goodbye. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.cancel();
    for (const browser of [...this.#browsers]) browser.end();
    for (const publication of this.#publications) publication.end();
    this.#publications.clear();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #hostPublication(): HostPublication {
    if (this.#host !== null) return this.#host;
    const { mac } = this.stack.interfaces[0]?.device ?? { mac: new Uint8Array(6) };
    const made = Array.from(mac.subarray(3), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const host = this.#host = new HostPublication(this.#label === "" ? `ethox-${made}` : this.#label);
    this.#publish(host);
    return host;
  }

  /** Our own records answer our own questions. */
  #own(name: string, type: string): DnsRecord[] {
    const records: DnsRecord[] = [];
    for (const publication of this.#publications) {
      for (const by of this.stack.interfaces) {
        for (const { record } of publication.recordsFor(by)) {
          if (record.type === type && lowerName(record.name) === name) {
            records.push({ ...record, interface: by });
          }
        }
      }
    }
    return records;
  }

  #start(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    for (const by of this.stack.interfaces) this.#join(by);
  }

  #join(by: Interface): void {
    if (by.loopback || this.#links.has(by) || this.#closed) return;
    const link = new MdnsLink(this, by, (packet) => this.#receive(packet));
    this.#links.set(by, link);
    for (const publication of this.#publications) link.responder.add(publication);
    for (const browser of this.#browsers) browser.add(link);
  }

  #receive(packet: Packet): void {
    this.#links.get(packet.interface!)?.receive(packet);
  }

  #publish(publication: Publication): void {
    publication.onrenamed = () => {
      for (const { responder } of this.#links.values()) responder.renamed(publication);
    };
    this.#publications.add(publication);
    this.#start();
    for (const { responder } of this.#links.values()) responder.add(publication);
    if (!this.#watch.armed) this.#watch.set(WATCH);
  }

  #withdraw(publication: Publication): void {
    publication.end();
    this.#publications.delete(publication);
    for (const { responder } of this.#links.values()) responder.remove(publication);
  }

  /** Addresses come and go by themselves: from routers, from servers. */
  #look(): void {
    if (this.#closed || this.#publications.size === 0) return;
    this.#watch.set(WATCH);
    if (this.#generation === this.stack.generation) return;
    this.#generation = this.stack.generation;
    for (const { responder } of this.#links.values()) responder.addressesChanged();
  }
}
