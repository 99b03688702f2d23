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
}
