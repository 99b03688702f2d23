/**
 * IPv6 addresses of ours, and how far each may be used (RFC 4862, section 5.5.4; RFC 4429).
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { GroupListener } from "../multicast/groups.ts";
import type { Cidr, IpAddress } from "./address.ts";

/** How far an address may be used. */
export enum AddressState {
  /** Nobody has been asked yet whether somebody else uses it: it can be bound to, and nothing more. */
  Tentative,
  /** It is used while the others are being asked (RFC 4429), without disturbing them if it is theirs. */
  Optimistic,
  /** It is ours. */
  Preferred,
  /** It is ours, but new conversations take another (RFC 4862, section 5.5.4). */
  Deprecated,
  /** Somebody else uses it. */
  Duplicate,
}

/** Where an address comes from. */
export enum AddressOrigin {
  /** Given by the owner of the stack. */
  Manual,
  /** Made for the link alone (RFC 4862, section 5.3). */
  LinkLocal,
  /** Made of a prefix that a router has advertised (RFC 4862, section 5.5). */
  Router,
  /** As {@link Router}, of chance and for a while (RFC 8981). */
  Temporary,
}

/** One IPv6 address of one interface. */
export class OwnAddress {
  /** The address. */
  readonly address: IpAddress;
  /** With its network. */
  readonly cidr: Cidr;
  /** Whose it is. */
  readonly interface: Interface;
  /** Where it comes from. */
  readonly origin: AddressOrigin;
  /** How far it may be used. */
  state: AddressState;
  /** When it stops to be preferred, in µs. */
  preferredUntil: number = Infinity;
  /** When it goes, in µs. */
  validUntil: number = Infinity;
  /** Latest {@link preferredUntil} that it may be given, in µs: nobody shall keep a temporary address for long. */
  preferredLimit: number = Infinity;
  /** Latest {@link validUntil} that it may be given, in µs. */
  validLimit: number = Infinity;
  /** Goes first as a source when it is larger (RFC 6724, section 5, rule 7): 1 or -1 for temporary addresses, 0 for others. */
  preference = 0;

  /** The routers that have told its prefix: what goes by one of them comes best from an address that it knows (RFC 6724, section 5, rule 5.5). */
  routers: readonly IpAddress[] = [];

  /** Listens to its solicited-node group. */
  listener: GroupListener | null = null;

  /** How many addresses before it were given up because somebody else had them. */
  attempt = 0;

  /** Makes the entry; {@link Interface.addAddress} does. */
  constructor(owner: Interface, cidr: Cidr, origin: AddressOrigin, state: AddressState) {
    this.interface = owner;
    this.cidr = cidr;
    this.address = cidr.address;
    this.origin = origin;
    this.state = state;
  }

  /** Whether packets come from it and are taken to it. */
  get usable(): boolean {
    return this.state !== AddressState.Tentative && this.state !== AddressState.Duplicate;
  }
  /** Gives it lifetimes, within its limits. @param now The time. All in µs. @returns Whether it may be used further, or less far, than before. */
  live(now: number, preferredUntil: number, validUntil: number): boolean {
    this.preferredUntil = Math.min(preferredUntil, this.preferredLimit);
    this.validUntil = Math.min(validUntil, this.validLimit);
    return this.age(now);
  }

  /** Becomes deprecated when it is time, or preferred again. @param now The time, in µs. @returns Whether it did. */
  age(now: number): boolean {
    const state = this.preferredUntil > now ? AddressState.Preferred : AddressState.Deprecated;
    if (this.state === state) return false;
    if (this.state !== AddressState.Preferred && this.state !== AddressState.Deprecated) return false;
    this.state = state;
    return true;
  }
}
