/**
 * Routes as an application writes them.
 *
 * @module
 */

import { Cidr, IpAddress } from "../stack/ip/address.ts";
import { RouteKind, type RouteOptions } from "../stack/ip/routes.ts";
import type { Interface } from "../stack/link/interface.ts";

/** A route of a `Network`. */
export interface RouteSpec {
  /** The network, as in `10.1.0.0/16`. */
  destination: string;
  /** The router. Default: none, the network is on the link. */
  gateway?: string;
  /** Name of the interface. Default: the one whose network has the gateway, or the first. */
  interface?: string;
  /** Among routes to the same network, the smallest is used. Default 0. */
  metric?: number;
  /** Only packets from this network go this way, as in `10.0.0.0/24`; the longest such network goes first. Default: all. */
  from?: string;
  /** What is done with packets: they are sent, or dropped, with or without telling their sender. Default `unicast`. */
  kind?: "unicast" | "unreachable" | "blackhole" | "prohibit";
  /** Largest IP packet that is sent this way, in bytes. Default: what the interface takes. */
  mtu?: number;
  /** TTL or hop limit of packets whose sender has chosen none: 1 to 255. */
  hopLimit?: number;
  /** DSCP of packets whose sender has chosen none: 0 to 63. */
  dscp?: number;
}

const KINDS = {
  unicast: RouteKind.Unicast,
  unreachable: RouteKind.Unreachable,
  blackhole: RouteKind.Blackhole,
  prohibit: RouteKind.Prohibit,
} as const;

/**
 * What the stack is told of a route.
 * @throws {TypeError} It is of no known form, or its gateway is in none of the networks.
 */
export function routeOptions(spec: RouteSpec, interfaces: readonly Interface[]): RouteOptions {
  const destination = parseCidr(spec.destination);
  const gateway = spec.gateway === undefined ? null : IpAddress.tryParse(spec.gateway);
  if (spec.gateway !== undefined && gateway === null) {
    throw new TypeError(
      `Cannot parse gateway "${spec.gateway}": expected an IP address, for example 10.0.0.1`,
    );
  }
  const { from, kind = "unicast", metric, mtu, hopLimit, dscp } = spec;
  return {
    destination,
    kind: KINDS[kind],
    ...(kind === "unicast" && { interface: interfaceFor(spec, gateway, interfaces) }),
    ...(gateway !== null && { gateway }),
    ...(from !== undefined && { from: parseCidr(from) }),
    ...(metric !== undefined && { metric }),
    ...(mtu !== undefined && { mtu }),
    ...(hopLimit !== undefined && { hopLimit }),
    ...(dscp !== undefined && { dscp }),
  };
}

/** Reads a CIDR that must have a prefix, lest a forgotten one makes a host without a network. */
export function parseCidr(text: string): Cidr {
  const cidr = Cidr.parse(text);
  if (!text.includes("/")) {
    throw new TypeError(`Address "${text}" has no prefix length: write ${text}/24, for example`);
  }
  return cidr;
}

function interfaceFor(
  spec: RouteSpec,
  gateway: IpAddress | null,
  interfaces: readonly Interface[],
): Interface {
  const found = spec.interface !== undefined
    ? interfaces.find((one) => one.name === spec.interface)
    : gateway !== null
    ? interfaces.find((one) => one.addresses.some((cidr) => cidr.contains(gateway)))
    : interfaces[0];
  if (found !== undefined) return found;
  const networks = interfaces.flatMap((one) => one.addresses.map((cidr) => cidr.network)).join(", ") ||
    "none";
  throw new TypeError(
    spec.interface !== undefined
      ? `No interface is called "${spec.interface}"; there are ${
        interfaces.map((one) => one.name).join(", ")
      }`
      : `Gateway "${spec.gateway}" is in no network of this host (${networks}): give one that is`,
  );
}
