/**
 * What is told to the links under names that have to be ours alone: the host, and its services.
 *
 * @module
 */

import { AddressOrigin, AddressState } from "../../stack/ip/own_address.ts";
import type { Interface } from "../../stack/link/interface.ts";
import { escapeLabel, reverseName } from "../dns/names.ts";
import { HOST_TTL, OTHER_TTL, OwnRecord } from "./own_record.ts";

/** Bytes of a label. */
const LABEL = 63;

/** Something under a name of its own. The same on all links; another host that has the name makes it choose another. */
export abstract class Publication {
  /** @internal Told when another name was chosen. */
  onrenamed: (() => void) | null = null;
  /** @internal Told once: when the name is ours on a link, or why it never will be. */
  onsettled: ((failed: Error | null) => void) | null = null;
  /** @internal On which links the name is ours. */
  readonly established: Set<Interface> = new Set();
  readonly #base: string;
  #attempt = 1;

  /** @param base What it is called if nobody else is. */
  constructor(base: string) {
    this.#base = base;
  }

  /** The first label of the name: what people see. */
  get label(): string {
    return this.#attempt === 1 ? this.#base : numbered(this.#base, this.#attempt, this.separators);
  }

  /** The whole name. */
  abstract get name(): string;

  /** What stands around the number of a name that was not free. */
  protected abstract readonly separators: readonly [string, string];

  /** What a link is told. */
  abstract recordsFor(link: Interface): OwnRecord[];

  /** Another host has the name: takes the next. */
  rename(): void {
    this.#attempt++;
    this.established.clear();
    this.onrenamed?.();
  }

  /** The name is ours on a link. */
  establish(link: Interface): void {
    this.established.add(link);
    this.onsettled?.(null);
    this.onsettled = null;
  }

  /** It is taken back. */
  end(): void {
    this.established.clear();
    this.onsettled?.(new Deno.errors.Interrupted(`Name "${this.label}" was taken back before it was ours`));
    this.onsettled = this.onrenamed = null;
  }
}

/** The host itself: `NAME.local`, with its addresses on each link. */
export class HostPublication extends Publication {
  protected readonly separators: readonly [string, string] = ["-", ""];

  get name(): string {
    return `${escapeLabel(this.label)}.local`;
  }

  recordsFor(link: Interface): OwnRecord[] {
    const { name } = this, { stack } = link;
    const records: OwnRecord[] = [];
    for (const { address } of link.addresses) {
      const own = address.version === 6 ? stack.ipv6.own(address, link) : null;
      // Nobody shall know that a temporary address is ours.
      if (own?.origin === AddressOrigin.Temporary) continue;
      // An address that may turn out to be another's is told to nobody.
      if (
        address.version === 6 && own?.state !== AddressState.Preferred &&
        own?.state !== AddressState.Deprecated
      ) continue;
      const type = address.version === 4 ? "A" : "AAAA";
      records.push(new OwnRecord({ name, type, ttl: HOST_TTL, data: `${address}` }, true));
      records.push(
        new OwnRecord({ name: reverseName(address), type: "PTR", ttl: HOST_TTL, data: name }, true),
      );
    }
    return records;
  }
}

/** A service of the host (RFC 6763). */
export class ServicePublication extends Publication {
  protected readonly separators: readonly [string, string] = [" (", ")"];
  /** `_http._tcp.local`, for example. */
  readonly type: string;
  readonly #host: HostPublication;
  readonly #port: number;
  readonly #txt: readonly Uint8Array[];
  readonly #subtypes: readonly string[];

  /**
   * @param base What people see. @param type `_http._tcp`. @param host Where. @param port At which port.
   * @param txt What else is to be known. @param subtypes `_printer`, under which it can be found too.
   */
  constructor(
    base: string,
    type: string,
    host: HostPublication,
    port: number,
    txt: readonly Uint8Array[],
    subtypes: readonly string[],
  ) {
    super(base);
    this.type = `${type}.local`;
    this.#host = host;
    this.#port = port;
    this.#txt = txt.length === 0 ? [new Uint8Array(0)] : txt;
    this.#subtypes = subtypes;
  }

  get name(): string {
    return `${escapeLabel(this.label)}.${this.type}`;
  }

  recordsFor(): OwnRecord[] {
    const { name, type } = this;
    const target = this.#host.name;
    return [
      new OwnRecord(
        { name, type: "SRV", ttl: HOST_TTL, data: { priority: 0, weight: 0, port: this.#port, target } },
        true,
      ),
      new OwnRecord({ name, type: "TXT", ttl: OTHER_TTL, data: [...this.#txt] }, true),
      new OwnRecord({ name: type, type: "PTR", ttl: OTHER_TTL, data: name }, false),
      ...this.#subtypes.map((subtype) =>
        new OwnRecord({ name: `${subtype}._sub.${type}`, type: "PTR", ttl: OTHER_TTL, data: name }, false)
      ),
      new OwnRecord({ name: "_services._dns-sd._udp.local", type: "PTR", ttl: OTHER_TTL, data: type }, false),
    ];
  }
}

/** A name with its number, cut so that it stays a label. */
function numbered(base: string, number: number, [before, after]: readonly [string, string]): string {
  const tail = `${before}${number}${after}`;
  const encoder = new TextEncoder();
  let head = [...base];
  while (encoder.encode(head.join("") + tail).length > LABEL) head = head.slice(0, -1);
  return head.join("") + tail;
}
