/**
 * Which groups the interfaces of a stack listen to, and to whom in them.
 *
 * @module
 */

import { StackError } from "../errors.ts";
import type { IpAddress } from "../ip/address.ts";
import { AddressTable } from "../ip/address_table.ts";
import type { Limits } from "../limits.ts";
import type { Interface } from "../link/interface.ts";
import type { Packet } from "../packet.ts";
import { SourceFilter } from "./source_filter.ts";

/** A group that an interface takes packets to. */
export class Membership {
  /** The group. */
  readonly address: IpAddress;
  /** Where. */
  readonly interface: Interface;
  /** What all who listen together want. */
  filter: SourceFilter = SourceFilter.NOBODY;
  /** @internal Who listens. */
  readonly listeners: Set<GroupListener> = new Set();

  /** @internal `Groups` makes them. */
  constructor(address: IpAddress, owner: Interface) {
    this.address = address;
    this.interface = owner;
  }
}

/** One listener of a group on an interface; there may be several. {@link Groups.join} makes them. */
export class GroupListener {
  readonly #groups: Groups;
  readonly #membership: Membership;
  #filter: SourceFilter;

  /** @internal */
  constructor(groups: Groups, membership: Membership, filter: SourceFilter) {
    this.#groups = groups;
    this.#membership = membership;
    this.#filter = filter;
  }

  /** The group. */
  get group(): IpAddress {
    return this.#membership.address;
  }

  /** Where. */
  get interface(): Interface {
    return this.#membership.interface;
  }

  /** Whom it wants to hear. */
  get filter(): SourceFilter {
    return this.#filter;
  }

  set filter(filter: SourceFilter) {
    this.#groups.check(this.group, filter);
    this.#filter = filter;
    if (this.#membership.listeners.has(this)) this.#groups.changed(this.#membership);
  }

  /** Listens no more. Idempotent. */
  leave(): void {
    if (this.#membership.listeners.delete(this)) this.#groups.changed(this.#membership);
  }
}

/** Gets told what an interface listens to: whoever speaks IGMP or MLD for it. */
export interface GroupReporter {
  /** What `membership` wants has changed from `before` to its present filter. */
  changed(membership: Membership, before: SourceFilter): void;
}

/** The memberships of all interfaces of a stack, for both IP versions. Looking up allocates nothing. */
export class Groups {
  readonly #table = new AddressTable<Membership>();
  readonly #limits: Readonly<Limits>;
  #count = 0;

  /** @internal The stack makes it. */
  constructor(limits: Readonly<Limits>) {
    this.#limits = limits;
  }

  /** Memberships: pairs of an interface and a group. */
  get size(): number {
    return this.#count;
  }

  /**
   * Takes packets to `group` on `owner` from now on. What is joined several times is left when all have left.
   * @throws {TypeError} `group` is no multicast address, or a source none of one host of the same version.
   * @throws {StackError} `TooMany` beyond {@link Limits.groups} or {@link Limits.groupSources}.
   */
  join(
    group: IpAddress,
    owner: Interface,
    filter: SourceFilter = SourceFilter.ANYONE,
    limited = true,
  ): GroupListener {
    if (!group.isMulticast) throw new TypeError(`Cannot join ${group}: it is no multicast address`);
    this.check(group, filter);
    let membership = this.get(group, owner);
    if (membership === null) {
      if (limited && this.#count >= this.#limits.groups) {
        throw new StackError("TooMany", `Cannot join ${group}: there are ${this.#count} memberships already`);
      }
      membership = new Membership(group, owner);
      this.#table.add(membership);
      this.#count++;
      owner.linkGroups.join(group);
    }
    const listener = new GroupListener(this, membership, filter);
    membership.listeners.add(listener);
    this.changed(membership);
    return listener;
  }

  /** The membership of `owner` in `group`, or null. */
  get(group: IpAddress, owner: Interface): Membership | null {
    for (const found of this.#table.chain(group.d)) {
      if (found.interface === owner && found.address.equals(group)) return found;
    }
    return null;
  }

  /** The membership in the group that a received packet was sent to on `by`, or null. Allocates nothing. */
  of(packet: Packet, by: Interface): Membership | null {
    const { view, version } = packet;
    const at = packet.network + (version === 4 ? 16 : 24);
    const list = this.#table.chain(view.getInt32(version === 4 ? at : at + 12));
    for (let i = 0; i < list.length; i++) {
      const { address, interface: owner } = list[i]!;
      if (owner === by && address.version === version && address.isAt(view, at)) return list[i]!;
    }
    return null;
  }

  /** The membership in the group that a packet of ours is sent to by `by`, if its sender (we) is heard; or null. */
  sentTo(packet: Packet, by: Interface): Membership | null {
    const found = this.of(packet, by);
    return found !== null && found.filter.admits(packet) ? found : null;
  }

  /** The memberships of an interface. Allocates. */
  on(owner: Interface): Membership[] {
    return this.#table.all().filter((one) => one.interface === owner);
  }

  /** @internal An interface is gone: so are its memberships. */
  removeInterface(owner: Interface): void {
    for (const membership of this.on(owner)) {
      membership.listeners.clear();
      this.#remove(membership);
    }
  }

  /** @internal Somebody wants something else. */
  changed(membership: Membership): void {
    const before = membership.filter;
    const after = SourceFilter.merge([...membership.listeners].map((one) => one.filter));
    if (membership.listeners.size === 0) this.#remove(membership);
    if (before.equals(after)) return;
    membership.filter = after;
    const { address, interface: owner } = membership;
    const reporter = address.version === 4 ? owner.igmp : owner.nd?.listener;
    reporter?.changed(membership, before);
  }

  /** @internal */
  check(group: IpAddress, filter: SourceFilter): void {
    const { sources } = filter;
    if (sources.length > this.#limits.groupSources) {
      throw new StackError(
        "TooMany",
        `Cannot name ${sources.length} sources of ${group}: at most ${this.#limits.groupSources} are kept`,
      );
    }
    for (const source of sources) {
      if (source.version === group.version && !source.isMulticast && !source.isUnspecified) continue;
      throw new TypeError(`Cannot use source ${source} of group ${group}: give the address of one host`);
    }
  }

  #remove(membership: Membership): void {
    this.#table.remove(membership);
    this.#count--;
    membership.interface.linkGroups.leave(membership.address);
  }
}
