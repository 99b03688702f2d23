/**
 * Names that no server is asked about: those in a table of the application's, and those of RFC 6761.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import { canonicalName, isWithin, reverseName } from "./names.ts";

/** Names with their addresses, or the text of a file in the form of hosts(5). */
export type Hosts = string | Readonly<Record<string, string | readonly string[]>>;

const LOCALHOST = [IpAddress.parse("::1"), IpAddress.parse("127.0.0.1")];
/** Domains that do not exist (RFC 6761, section 6.4; RFC 7686). */
const NOWHERE = ["invalid", "onion"];

/** The table. */
export class HostTable {
  readonly #addresses = new Map<string, IpAddress[]>();
  readonly #names = new Map<string, string>();

  /** @throws {TypeError} An address or name of no known form. */
  constructor(hosts: Hosts = {}) {
    const pairs = typeof hosts === "string"
      ? parseHosts(hosts)
      : Object.entries(hosts).flatMap(([name, value]) =>
        (typeof value === "string" ? [value] : value).map((address): [string, string] => [name, address])
      );
    for (const [name, text] of pairs) {
      const address = IpAddress.tryParse(text);
      if (address === null) {
        throw new TypeError(`Cannot use "${text}" as the address of "${name}": give an IP address`);
      }
      const canonical = canonicalName(name);
      const list = this.#addresses.get(canonical) ?? [];
      list.push(address);
      this.#addresses.set(canonical, list);
      const reverse = reverseName(address);
      if (!this.#names.has(reverse)) this.#names.set(reverse, canonical);
    }
  }

  /**
   * The addresses of a name.
   *
   * @returns null when servers are to be asked; an empty list when there is no such name.
   */
  addresses(name: string): readonly IpAddress[] | null {
    const found = this.#addresses.get(name);
    if (found !== undefined) return found;
    if (isWithin(name, "localhost")) return LOCALHOST;
    return NOWHERE.some((domain) => isWithin(name, domain)) ? [] : null;
  }

  /** The name of an address (in the form of `reverseName`), or null when servers are to be asked. */
  name(reverse: string): string | null {
    const found = this.#names.get(reverse);
    if (found !== undefined) return found;
    return LOCALHOST.some((address) => reverseName(address) === reverse) ? "localhost" : null;
  }
}

function* parseHosts(text: string): Generator<[name: string, address: string]> {
  for (const line of text.split("\n")) {
    const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    for (const name of names) yield [name, address!];
  }
}
