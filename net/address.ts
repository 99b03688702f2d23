/**
 * Addresses as applications write and see them.
 *
 * @module
 */

import { IpAddress } from "../stack/ip/address.ts";

/** Formats `address:port`, with brackets around IPv6. */
export function formatHostPort(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * Reads the IP address that a host name is; names need a resolver, which this stack does not have yet.
 *
 * @param hostname An IP address, with or without the brackets of a URL.
 * @throws {TypeError} When it is a name.
 */
export function parseHost(hostname: string): IpAddress {
  const bare = hostname.startsWith("[") && hostname.endsWith("]") ? hostname.slice(1, -1) : hostname;
  const address = IpAddress.tryParse(bare);
  if (address === null) {
    throw new TypeError(
      `Cannot resolve "${hostname}": give an IP address, names need DNS which is not there yet`,
    );
  }
  return address;
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
