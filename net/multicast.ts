/**
 * Multicast groups of a datagram socket, in the shape of Deno's.
 *
 * @module
 */

import { IpAddress } from "../stack/ip/address.ts";
import type { Interface } from "../stack/link/interface.ts";
import type { Stack } from "../stack/stack.ts";
import type { UdpSocket } from "../stack/udp/socket.ts";
import { toDenoError } from "./errors.ts";
import { checkHops } from "./packet_options.ts";

/** What joining a group takes beyond the group and the interface. */
export interface MulticastOptions {
  /** The only sender that is wanted (RFC 4607); join again for another one. Default: all. */
  source?: string;
}

/** A group that a socket has joined. */
export class MulticastMembership {
  readonly #socket: UdpSocket;
  readonly #group: IpAddress;
  readonly #interface: Interface;
  readonly #source: IpAddress | undefined;

  /** @internal `DatagramConn.joinMulticastV4` and `joinMulticastV6` make them. */
  constructor(socket: UdpSocket, group: IpAddress, by: Interface | null, source?: string) {
    this.#socket = socket;
    this.#group = group;
    this.#source = source === undefined ? undefined : parse(source, group.version);
    const options = {
      ...(by === null ? {} : { interface: by }),
      ...(this.#source === undefined ? {} : { source: this.#source }),
    };
    try {
      socket.groups.join(group, options);
      this.#interface = by ?? socket.groups.joined.findLast((one) => one.group.equals(group))!.interface;
    } catch (error) {
      throw toDenoError(error);
    }
  }

  /** Gets no more of the group, or of its source. @throws {Deno.errors.AddrNotAvailable} It was left already. */
  // deno-lint-ignore require-await -- the shape of Deno.MulticastV4Membership
  async leave(): Promise<void> {
    const options = this.#source === undefined ? {} : { source: this.#source };
    try {
      this.#socket.groups.leave(this.#group, { interface: this.#interface, ...options });
    } catch (error) {
      throw toDenoError(error);
    }
  }

  /** Whether listeners on this host hear what the socket sends to groups. Holds for the whole socket. */
  // deno-lint-ignore require-await -- the shape of Deno.MulticastV4Membership
  async setLoopback(loopback: boolean): Promise<void> {
    this.#socket.multicastLoop = loopback;
  }

  /**
   * How far what the socket sends to groups may go, 1 to 255 hops. Holds for the whole socket.
   * @throws {RangeError} Another number.
   */
  // deno-lint-ignore require-await -- the shape of Deno.MulticastV4Membership
  async setTTL(ttl: number): Promise<void> {
    this.#socket.multicastHops = checkHops(ttl);
  }
}

/** The interface with a name, a number ({@link Interface.index}) or an address; null for none in particular. */
export function interfaceOf(stack: Stack, which: string | number | undefined): Interface | null {
  if (which === undefined || which === "" || which === 0 || which === "0.0.0.0" || which === "::") {
    return null;
  }
  const all = [stack.loopback, ...stack.interfaces];
  const address = typeof which === "string" ? IpAddress.tryParse(which) : null;
  const found = all.find((one) =>
    one.name === which || one.index === which ||
    (address !== null && one.addresses.some((own) => own.address.equals(address)))
  );
  if (found !== undefined) return found;
  const known = all.map((one) => `${one.index} ${one.name}`).join(", ");
  throw new TypeError(
    `No interface is called or numbered "${which}", or has it as address; there are ${known}`,
  );
}

/** @throws {TypeError} When `text` is no address of the version. */
function parse(text: string, version: 4 | 6): IpAddress {
  const address = IpAddress.tryParse(text);
  if (address === null || address.version !== version) {
    throw new TypeError(`Cannot parse "${text}": expected an IPv${version} address`);
  }
  return address;
}

/** The address of a group. @throws {TypeError} When `text` is none of the version. */
export function parseGroup(text: string, version: 4 | 6): IpAddress {
  const address = parse(text, version);
  if (!address.isMulticast) {
    const range = version === 4 ? "224.0.0.0/4" : "ff00::/8";
    throw new TypeError(`Cannot join ${text}: it is no multicast address, which are in ${range}`);
  }
  return address;
}
