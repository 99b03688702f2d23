/**
 * The multicast groups of one UDP socket (RFC 3678 in its sense).
 *
 * @module
 */

import { StackError } from "../errors.ts";
import type { IpAddress } from "../ip/address.ts";
import type { Interface } from "../link/interface.ts";
import type { GroupListener } from "../multicast/groups.ts";
import { SourceFilter } from "../multicast/source_filter.ts";
import type { Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";

/** Where, and from whom, a socket takes packets to a group. */
export interface GroupOptions {
  /** On which interface. Default: the one that packets to the group leave by. */
  interface?: Interface;
  /** The only sender that is wanted; join again for another one. Default: all. */
  source?: IpAddress;
}

/** Which groups a socket has joined. `UdpSocket.groups` is made with the socket. */
export class SocketGroups {
  readonly #stack: Stack;
  readonly #joined: GroupListener[] = [];

  /** @internal */
  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /** What was joined, in order. */
  get joined(): readonly GroupListener[] {
    return this.#joined;
  }

  /**
   * Takes packets to a group, from all senders or from one more.
   * @throws {StackError} `AddressInUse` when that is so already; `AddressNotAvailable` without an interface for it;
   *   `TooMany`. @throws {TypeError} The group, or the source, is none.
   */
  join(group: IpAddress, options: GroupOptions = {}): void {
    const { source } = options;
    const by = this.#interfaceFor(group, options);
    const found = this.#find(group, by);
    if (found === null) {
      const filter = source === undefined ? SourceFilter.ANYONE : new SourceFilter(false, [source]);
      this.#joined.push(this.#stack.groups.join(group, by, filter));
    } else if (source === undefined || found.filter.exclude || found.filter.names(source)) {
      const from = source === undefined ? "" : ` for ${source}`;
      throw new StackError("AddressInUse", `Cannot join ${group}${from} on ${by.name}: it is joined already`);
    } else found.filter = found.filter.with(source);
  }

  /**
   * Undoes {@link join}: for one sender, or for all.
   * @throws {StackError} `AddressNotAvailable` when it was not joined so.
   */
  leave(group: IpAddress, options: GroupOptions = {}): void {
    const { source } = options;
    const found = this.#joinedOn(group, options);
    if (source === undefined) {
      this.#drop(found);
      return;
    }
    if (found.filter.exclude || !found.filter.names(source)) {
      throw new StackError(
        "AddressNotAvailable",
        `Cannot leave ${group} for ${source}: it is not joined for it`,
      );
    }
    const rest = found.filter.without(source);
    if (rest.isEmpty) this.#drop(found);
    else found.filter = rest;
  }

  /**
   * Says which senders to a joined group are wanted, all at once: blocks some of them, or names the only ones.
   * @throws {StackError} `AddressNotAvailable` when the group is not joined; `TooMany`. @throws {TypeError} A source that is none.
   */
  setFilter(group: IpAddress, filter: SourceFilter, options: GroupOptions = {}): void {
    this.#joinedOn(group, options).filter = filter;
  }

  /**
   * Whether the socket takes a packet that was sent to a group. One that has joined nothing takes what others of the
   * stack have it receive. Allocates nothing.
   */
  admits(packet: Packet): boolean {
    const joined = this.#joined;
    if (joined.length === 0) return true;
    const { view, version, network } = packet;
    const by = packet.looped ?? packet.interface;
    const at = network + (version === 4 ? 16 : 24);
    for (let i = 0; i < joined.length; i++) {
      const one = joined[i]!;
      if (one.interface === by && one.group.version === version && one.group.isAt(view, at)) {
        return one.filter.admits(packet);
      }
    }
    return false;
  }

  /** @internal The socket is closed. */
  leaveAll(): void {
    for (const one of this.#joined) one.leave();
    this.#joined.length = 0;
  }

  #drop(listener: GroupListener): void {
    listener.leave();
    this.#joined.splice(this.#joined.indexOf(listener), 1);
  }

  #find(group: IpAddress, by: Interface): GroupListener | null {
    return this.#joined.find((one) => one.interface === by && one.group.equals(group)) ?? null;
  }

  #joinedOn(group: IpAddress, options: GroupOptions): GroupListener {
    const by = this.#interfaceFor(group, options);
    const found = this.#find(group, by);
    if (found === null) {
      throw new StackError("AddressNotAvailable", `Cannot change ${group} on ${by.name}: it is not joined`);
    }
    return found;
  }

  #interfaceFor(group: IpAddress, { interface: by }: GroupOptions): Interface {
    const { interfaces } = this.#stack;
    const found = by ?? this.#stack.path(group)?.interface ??
      interfaces.find((one) => group.version === 4 || one.nd !== null);
    if (found === undefined || (group.version === 6 && found.nd === null && !found.loopback)) {
      throw new StackError(
        "AddressNotAvailable",
        `Cannot join ${group}: no interface speaks IPv${group.version}`,
      );
    }
    return found;
  }
}
