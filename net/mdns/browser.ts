/**
 * Follows the services of one type on all links.
 *
 * @module
 */

import { labelsOf, lowerName } from "../dns/names.ts";
import type { DnsRecord, SrvData } from "../dns/records.ts";
import type { MdnsLink } from "./link.ts";
import { decodeTxt, type Service, type ServiceEvent } from "./service.ts";

/** Instances that one browser follows. Further ones are not heard of. */
const MOST_INSTANCES = 128;
/** µs until the first question: many may be started at a time. */
const LEAST_DELAY = 20_000, MOST_DELAY = 120_000;
/** Events that wait to be read. The oldest makes room. */
const MOST_EVENTS = 1024;

/** One instance on one link. */
interface Instance {
  readonly name: string;
  readonly link: MdnsLink;
  srv: SrvData | null;
  txt: readonly Uint8Array[] | null;
  told: Service | null;
  readonly stops: ((() => void) | null)[];
}

/** What becomes of the services of a type, until it is ended: by its signal, by leaving the loop, or with the network. */
export class Browser implements AsyncIterableIterator<ServiceEvent, undefined>, Disposable {
  /** @internal Called once, when it has ended. */
  onended: (() => void) | null = null;
  readonly #type: string;
  readonly #instances = new Map<string, Instance>();
  readonly #stops = new Map<MdnsLink, (() => void) | null>();
  readonly #events: ServiceEvent[] = [];
  readonly #waiting: (() => void)[] = [];
  #ended = false;

  /** @internal `Network.browse` makes it. @param type `_http._tcp`, or `_printer._sub._http._tcp`. */
  constructor(type: string) {
    this.#type = type;
  }

  /** @internal Listens on a link too. */
  add(link: MdnsLink): void {
    if (this.#ended || this.#stops.has(link)) return;
    const listener = {
      added: ({ data }: DnsRecord) => this.#appeared(data as string, link),
      removed: ({ data }: DnsRecord) => this.#disappeared(data as string, link),
    };
    this.#stops.set(link, null);
    const name = `${this.#type}.local`;
    this.#stops.set(link, link.querier.watch(name, "PTR", listener, link.random(LEAST_DELAY, MOST_DELAY)));
  }

  /** @internal A link is gone, with its services. */
  remove(link: MdnsLink): void {
    this.#stops.get(link)?.();
    this.#stops.delete(link);
    for (const instance of [...this.#instances.values()]) {
      if (instance.link === link) this.#disappeared(instance.name, link);
    }
  }

  /** The next event. */
  async next(): Promise<IteratorResult<ServiceEvent, undefined>> {
    while (this.#events.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.#ended ? { done: true, value: undefined } : { done: false, value: this.#events.shift()! };
  }

  /** Listens no more. */
  return(): Promise<IteratorResult<ServiceEvent, undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Listens no more; who waits is told. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const stop of this.#stops.values()) stop?.();
    for (const { stops } of this.#instances.values()) for (const stop of stops) stop?.();
    this.#stops.clear();
    this.#instances.clear();
    this.#wake();
    this.onended?.();
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** As {@link end}. */
  [Symbol.dispose](): void {
    this.end();
  }

  #appeared(name: string, link: MdnsLink): void {
    const key = this.#key(name, link);
    if (this.#instances.has(key) || this.#instances.size >= MOST_INSTANCES) return;
    const instance: Instance = { name, link, srv: null, txt: null, told: null, stops: [] };
    this.#instances.set(key, instance);
    const changed = () => this.#changed(instance);
    // A service that has lost one of its records has not gone: its PTR record tells that.
    instance.stops.push(
      link.querier.watch(name, "SRV", {
        added: ({ data }) => {
          instance.srv = data as SrvData;
          changed();
        },
      }, 0),
    );
    instance.stops.push(
      link.querier.watch(name, "TXT", {
        added: ({ data }) => {
          instance.txt = data as readonly Uint8Array[];
          changed();
        },
      }, 0),
    );
  }

  #disappeared(name: string, link: MdnsLink): void {
    const key = this.#key(name, link), instance = this.#instances.get(key);
    if (instance === undefined) return;
    this.#instances.delete(key);
    for (const stop of instance.stops) stop?.();
    if (instance.told !== null) this.#tell({ kind: "lost", service: instance.told });
  }

  #changed(instance: Instance): void {
    const { name, srv, txt, told, link } = instance;
    if (srv === null || txt === null) return;
    const service: Service = {
      name: labelsOf(name)[0]!,
      type: this.#type.replace(/^.*\._sub\./, ""),
      hostname: srv.target,
      port: srv.port,
      txt: decodeTxt(txt),
      interface: link.interface.name,
    };
    if (told !== null && JSON.stringify(told) === JSON.stringify(service)) return;
    instance.told = service;
    this.#tell({ kind: told === null ? "found" : "changed", service });
  }

  #tell(event: ServiceEvent): void {
    if (this.#events.length >= MOST_EVENTS) this.#events.shift();
    this.#events.push(event);
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #key(name: string, link: MdnsLink): string {
    return `${link.interface.index} ${lowerName(name)}`;
  }
}
