/**
 * What a DHCP server says (RFC 2131, RFC 2132, RFC 3396): nothing in it is believed before it was checked.
 *
 * @module
 */

import { type Cidr, Cidr as Network, IpAddress } from "../ip/address.ts";
import type { Bytes } from "../packet.ts";
import * as wire from "../wire/dhcp.ts";
import { readNames } from "../wire/domain_names.ts";

/** Addresses, routes and names of one option that are taken; the rest is left out. */
const MOST_VALUES = 32;

/** A message with its options, each put together from its parts (RFC 3396). */
export interface DhcpMessage {
  /** What kind it is. */
  readonly type: number;
  /** The address that is given, signed; 0 for none. */
  readonly address: number;
  /** The bytes of each option by its number. */
  readonly options: ReadonlyMap<number, Bytes>;
}

/** A route that a server tells (RFC 3442). */
export interface DhcpRoute {
  /** The network. */
  readonly destination: Cidr;
  /** The router; null for a network on the link. */
  readonly gateway: IpAddress | null;
}

/** What a server gives. */
export interface DhcpOffer {
  /** The address with its network. */
  readonly address: Cidr;
  /** The server's address, as it names itself. */
  readonly server: IpAddress;
  /** Default routers, the best first. Empty when the server tells classless routes instead. */
  readonly routers: readonly IpAddress[];
  /** Further routes. */
  readonly routes: readonly DhcpRoute[];
  /** Servers of names. */
  readonly nameServers: readonly IpAddress[];
  /** Domains in which short names are looked up: the search list, or else the domain. */
  readonly searchDomains: readonly string[];
  /** The domain of the host, or null. */
  readonly domain: string | null;
  /** What the host is called, or null. */
  readonly hostname: string | null;
  /** Servers of time. */
  readonly timeServers: readonly IpAddress[];
  /** Largest IPv4 packet of the link, in bytes; 0 when the server does not say. */
  readonly mtu: number;
  /** Seconds for which the address is given; `Infinity` for ever. */
  readonly lifetime: number;
  /** Seconds until it is asked for again from this server. */
  readonly renewal: number;
  /** Seconds until it is asked for again from any. */
  readonly rebinding: number;
}

/** Shortest lease that is taken, in seconds: whoever gives shorter ones wants a flood of requests. */
const LEAST_LEASE = 10;
/** Smallest MTU that is taken: what every host has to take (RFC 791). */
const LEAST_MTU = 576;

/**
 * Reads a server's message.
 * @returns null when it is none, or its options run over their field.
 */
export function parseMessage(bytes: Bytes): DhcpMessage | null {
  if (bytes.length < wire.HEADER_LENGTH) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== wire.REPLY_OP || view.getUint16(1) !== 0x0106) return null;
  if (view.getInt32(wire.COOKIE) !== wire.MAGIC) return null;
  const parts = new Map<number, Bytes[]>();
  if (!collect(bytes, wire.HEADER_LENGTH, bytes.length, parts)) return null;
  const overload = parts.get(wire.Option.Overload)?.[0]?.[0] ?? 0;
  // The file's field first (RFC 3396, section 5).
  if ((overload & 1) !== 0 && !collect(bytes, wire.FILE, wire.COOKIE, parts)) return null;
  if ((overload & 2) !== 0 && !collect(bytes, wire.SNAME, wire.FILE, parts)) return null;
  const options = new Map<number, Bytes>();
  for (const [code, list] of parts) options.set(code, join(list));
  const type = options.get(wire.Option.MessageType);
  if (type === undefined || type.length !== 1) return null;
  return { type: type[0]!, address: wire.yourAddress(view, 0), options };
}

function collect(bytes: Bytes, at: number, end: number, parts: Map<number, Bytes[]>): boolean {
  while (at < end) {
    const code = bytes[at++]!;
    if (code === wire.Option.Pad) continue;
    if (code === wire.Option.End) return true;
    if (at >= end) return false;
    const length = bytes[at++]!;
    if (at + length > end) return false;
    const part = bytes.subarray(at, at + length);
    const known = parts.get(code);
    if (known === undefined) parts.set(code, [part]);
    else known.push(part);
    at += length;
  }
  // Servers that forget the end of a full field mean well.
  return true;
}

function join(parts: readonly Bytes[]): Bytes {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Reads what an offer or acknowledgement gives.
 * @param bad Called for each option that makes no sense; it is left out.
 * @returns null when the address, the server or the lease makes no sense.
 */
export function readOffer(message: DhcpMessage, bad: () => void): DhcpOffer | null {
  const reader = new OptionReader(message.options, bad);
  const [server] = reader.addresses(wire.Option.Server);
  const lease = reader.number(wire.Option.LeaseTime, 4);
  if (server === undefined || lease === null || lease < LEAST_LEASE) return null;
  const address = IpAddress.v4(message.address);
  if (!isHost(address) || address.isLoopback) return null;
  const prefix = prefixOf(reader.addressWord(wire.Option.SubnetMask), address, bad);
  const cidr = new Network(address, prefix);
  if (prefix < 31 && (cidr.network.address.equals(address) || cidr.broadcast!.equals(address))) return null;
  const routes = reader.routes();
  const domain = reader.name(wire.Option.DomainName);
  const search = reader.search();
  const lifetime = lease === 0xffffffff ? Infinity : lease;
  return {
    address: cidr,
    server,
    // Whoever tells classless routes means them instead (RFC 3442, "DHCP Client Behavior").
    routers: routes.length > 0 ? [] : reader.addresses(wire.Option.Router),
    routes,
    nameServers: reader.addresses(wire.Option.NameServer),
    searchDomains: search.length > 0 ? search : domain === null ? [] : [domain],
    domain,
    hostname: reader.name(wire.Option.HostName),
    timeServers: reader.addresses(wire.Option.NtpServer),
    mtu: reader.mtu(),
    lifetime,
    ...reader.times(lifetime),
  };
}

function isHost(address: IpAddress): boolean {
  const first = address.d >>> 24;
  return first !== 0 && first < 224;
}

/** The bits of a mask; without one, or with one that has holes, those of the address's class (RFC 791). */
function prefixOf(mask: number | null, address: IpAddress, bad: () => void): number {
  if (mask !== null) {
    const bits = Math.clz32(~mask);
    if (bits > 0 && (bits === 32 ? mask === -1 : mask << bits === 0)) return bits;
    bad();
  }
  const first = address.d >>> 24;
  return first < 128 ? 8 : first < 192 ? 16 : 24;
}

/** Reads single options. What makes no sense counts as not said. */
class OptionReader {
  readonly #options: ReadonlyMap<number, Bytes>;
  readonly #bad: () => void;

  constructor(options: ReadonlyMap<number, Bytes>, bad: () => void) {
    this.#options = options;
    this.#bad = bad;
  }

  /** A number of `size` bytes. */
  number(code: number, size: 2 | 4): number | null {
    const view = this.#view(code);
    if (view === null) return null;
    if (view.byteLength !== size) {
      this.#bad();
      return null;
    }
    return size === 2 ? view.getUint16(0) : view.getUint32(0);
  }

  /** One address as it is, signed. */
  addressWord(code: number): number | null {
    const number = this.number(code, 4);
    return number === null ? null : number | 0;
  }

  /** Addresses of hosts. */
  addresses(code: number): IpAddress[] {
    const view = this.#view(code);
    if (view === null) return [];
    if (view.byteLength % 4 !== 0) {
      this.#bad();
      return [];
    }
    const found: IpAddress[] = [];
    for (let at = 0; at < view.byteLength && found.length < MOST_VALUES; at += 4) {
      const address = IpAddress.v4(view.getInt32(at));
      if (!isHost(address)) this.#bad();
      else found.push(address);
    }
    return found;
  }

  /** A host's or domain's name as text. Some servers end it with a zero. */
  name(code: number): string | null {
    const bytes = this.#options.get(code);
    if (bytes === undefined) return null;
    const text = String.fromCharCode(...bytes.subarray(0, 256)).replace(/\0+$|\.\0*$/, "").toLowerCase();
    if (/^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(text)) return text;
    this.#bad();
    return null;
  }

  /** RFC 3397. */
  search(): string[] {
    const view = this.#view(wire.Option.SearchList);
    if (view === null) return [];
    const names = readNames(view, 0, view.byteLength, true);
    if (names === null) this.#bad();
    return names ?? [];
  }

  /** RFC 3442: bits of the prefix, as many of its bytes as matter, the router. */
  routes(): DhcpRoute[] {
    const view = this.#view(wire.Option.ClasslessRoutes);
    if (view === null) return [];
    const found: DhcpRoute[] = [];
    let at = 0;
    while (at < view.byteLength && found.length < MOST_VALUES) {
      const bits = view.getUint8(at++);
      const size = (bits + 7) >> 3;
      if (bits > 32 || at + size + 4 > view.byteLength) {
        // Half of the routes may lead astray.
        this.#bad();
        return [];
      }
      let word = 0;
      for (let i = 0; i < size; i++) word |= view.getUint8(at + i) << (24 - 8 * i);
      const gateway = IpAddress.v4(view.getInt32(at + size));
      at += size + 4;
      const destination = new Network(IpAddress.v4(word), bits).network;
      if (gateway.d !== 0 && (!isHost(gateway) || gateway.isLoopback)) this.#bad();
      else found.push({ destination, gateway: gateway.d === 0 ? null : gateway });
    }
    return found;
  }

  /** The MTU, or 0. */
  mtu(): number {
    const mtu = this.number(wire.Option.Mtu, 2) ?? 0;
    if (mtu === 0 || mtu >= LEAST_MTU) return mtu;
    this.#bad();
    return 0;
  }

  /** T1 and T2 (RFC 2131, section 4.4.5): what the server says, if it is in order. */
  times(lifetime: number): { renewal: number; rebinding: number } {
    if (lifetime === Infinity) return { renewal: Infinity, rebinding: Infinity };
    const renewal = this.number(wire.Option.RenewalTime, 4) ?? lifetime * 0.5;
    const rebinding = this.number(wire.Option.RebindingTime, 4) ?? Math.max(renewal, lifetime * 0.875);
    if (renewal >= 1 && renewal <= rebinding && rebinding <= lifetime) return { renewal, rebinding };
    this.#bad();
    return { renewal: lifetime * 0.5, rebinding: lifetime * 0.875 };
  }

  #view(code: number): DataView | null {
    const bytes = this.#options.get(code);
    return bytes === undefined ? null : new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}
