/**
 * The IPv6 addresses of a stack.
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { IpAddress } from "./address.ts";
import { AddressTable } from "./address_table.ts";
import type { OwnAddress } from "./own_address.ts";

/**
 * Our addresses by their bytes. A link-local address belongs to its link (RFC 4007): the same one may be ours on several
 * links, and somebody else's on others. Looking up allocates nothing.
 */
export class OwnAddresses extends AddressTable<OwnAddress> {
  /** Our entry of the address whose 16 bytes are at `at`, as it is seen on `by`; or null. */
  findOn(view: DataView, at: number, by: Interface | null): OwnAddress | null {
    const list = this.chain(view.getInt32(at + 12));
    for (let i = 0; i < list.length; i++) {
      const own = list[i]!;
      if (own.address.isAt(view, at) && isSeen(own, by)) return own;
    }
    return null;
  }

  /** Our entry of `address`, as it is seen on `by`; or null. */
  getOn(address: IpAddress, by: Interface | null): OwnAddress | null {
    const list = this.chain(address.d);
    for (let i = 0; i < list.length; i++) {
      const own = list[i]!;
      if (own.address.equals(address) && isSeen(own, by)) return own;
    }
    return null;
  }
}

/** Whether an address means this entry on `by`. Where nobody says which link, and to ourselves, the first entry is meant. */
function isSeen(own: OwnAddress, by: Interface | null): boolean {
  return !own.address.isLinkLocal || by === null || by.loopback || own.interface === by;
}
