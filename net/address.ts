/**
 * Addresses as applications write and see them.
 *
 * @module
 */

import { IpAddress } from "../stack/ip/address.ts";
import type { Interface } from "../stack/link/interface.ts";

/** Formats `address:port`, with brackets around IPv6. */
export function formatHostPort(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Reads the IP address that a host name is, where no name can be resolved.
 *
 * @param hostname An IP address, with or without the brackets of a URL and the zone of RFC 4007 (`fe80::1%tap0`).
 * @throws {TypeError} When it is a name, or has a zone without being link-local.
 */
export function parseHost(hostname: string): IpAddress {
  const [bare, zone] = splitZone(hostname);
  const address = IpAddress.tryParse(bare);
  if (
    address !== null && zone !== null &&
    !(address.version === 6 && (address.isLinkLocal || address.isMulticast))
  ) {
    throw new TypeError(
      `Cannot use zone "${zone}" with ${address}: only link-local and multicast addresses have one`,
    );
  }
  if (address === null) {
    throw new TypeError(
      `Cannot use "${hostname}" as an IP address: write one, for example 10.0.0.1 or fd00::1`,
    );
  }
  return address;
}

/**
 * The interface that the zone of a host name means (RFC 4007, section 11).
 *
 * @returns null when it has no zone.
 * @throws {TypeError} When no interface has that name.
 */
export function zoneOf(hostname: string, interfaces: readonly Interface[]): Interface | null {
  const [, zone] = splitZone(hostname);
  if (zone === null) return null;
  const found = interfaces.find((one) => one.name === zone);
  if (found !== undefined) return found;
  const names = interfaces.map((one) => one.name).join(", ");
  throw new TypeError(`No interface is called "${zone}", as "${hostname}" says; there are ${names}`);
}

/** A host name without brackets, and its zone. In a URL the `%` is written `%25` (RFC 6874). */
function splitZone(hostname: string): [bare: string, zone: string | null] {
  const url = hostname.startsWith("[") && hostname.endsWith("]");
  const bare = url ? hostname.slice(1, -1) : hostname;
  const at = bare.indexOf("%");
  if (at < 0) return [bare, null];
  const skip = url && bare.startsWith("%25", at) ? 3 : 1;
  return [bare.slice(0, at), bare.slice(at + skip)];
}

/**
 * The port and host that an application named.
 *
 * @throws {RangeError} When `port` is not a whole number from `least` to 65535.
 */
export function checkPort(port: number, least: 0 | 1): number {
  if (!Number.isInteger(port) || port < least || port > 65535) {
    throw new RangeError(`Port must be a whole number from ${least} to 65535, got ${port}`);
  }
  return port;
}
