/**
 * Name servers, as they are written and as they are asked.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import type { Interface } from "../../stack/link/interface.ts";
import { formatHostPort } from "../address.ts";

/** Where servers listen. */
export const DNS_PORT = 53;

/** One name server. */
export interface NameServer {
  /** Its address. */
  readonly address: IpAddress;
  /** Its port. */
  readonly port: number;
  /** The interface of a link-local address, or null. */
  readonly interface: Interface | null;
  /** As it is told to people and kept in tables. */
  readonly text: string;
}

/**
 * Reads `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`, each with the zone of a link-local address (`fe80::1%tap0`).
 *
 * @param text What was written. @param interfaces Where zones are looked up.
 * @throws {TypeError} It is none of these.
 */
export function parseNameServer(text: string, interfaces: readonly Interface[]): NameServer {
  const match = /^\[([^\]%]+)(?:%(.+))?\](?::([0-9]+))?$/.exec(text) ??
    /^([0-9.]+)()(?::([0-9]+))?$/.exec(text) ?? /^([^%]+)(?:%(.+))?()$/.exec(text);
  const address = match === null ? null : IpAddress.tryParse(match[1]!);
  const port = match?.[3] ? Number(match[3]) : DNS_PORT;
  if (address === null || !(port >= 1 && port <= 65535)) {
    throw new TypeError(
      `Cannot use name server "${text}": expected an IP address, for example 10.0.0.1 or [fd00::1]:53`,
    );
  }
  const zone = match![2];
  const found = zone ? interfaces.find((one) => one.name === zone) : undefined;
  if (zone && found === undefined) {
    throw new TypeError(`Cannot use name server "${text}": no interface is called "${zone}"`);
  }
  return serverOf(address, port, found ?? null);
}

/** A server from its parts. */
export function serverOf(address: IpAddress, port: number, by: Interface | null): NameServer {
  const host = by === null ? address.toString() : `${address}%${by.name}`;
  return { address, port, interface: by, text: formatHostPort(host, port) };
}
