/**
 * The figures over a network: who takes part, what is loaded, and which rows of the table they make.
 *
 * @module
 */

import type { ForwardingNetwork, Links } from "./forwarding.ts";
import type { BenchNetwork, Contender } from "./network.ts";
import type { Measured } from "./peer/main.ts";

/**
 * Where the contenders are: on the two links of the host with every offload, on two without any (plain frames of 1,500
 * bytes), there without the thread of the kernel's that takes what we send, or in two virtual machines.
 */
export type Place = "host" | "plain" | "direct" | "guest";

/** Gives the networks that figures are measured in, each made when it is first asked for. */
export interface Networks {
  /** Where services are. */
  get(place: Place): Promise<BenchNetwork>;
  /** Where packets are forwarded. */
  router(links: Links): Promise<ForwardingNetwork>;
}

/** A row of the table. */
export interface Row {
  readonly title: string;
  /** The measured value's name. */
  readonly value: string;
  readonly unit: string;
  /** What to divide the value by for the unit. */
  readonly divisor: number;
  /** Whether less is better. */
  readonly less?: boolean;
}

/** One figure over a network. */
export interface Figure {
  readonly place: Place | "router";
  /** Who takes part. */
  readonly contenders: readonly Contender[];
  /** What the load measures. */
  measure(networks: Networks, contender: Contender, seconds: number): Promise<Measured>;
  readonly rows: readonly Row[];
}

const ALL = ["callbacks", "connections", "packet", "kernel"] as const;
/** The same in a guest. */
const GUESTS = ["callbacks", "connections", "kernel"] as const;
const GUEST_SERVERS = ["connections", "kernel"] as const;
/** HTTP is served on connections. */
const SERVERS = ["connections", "packet", "kernel"] as const;
/** What the stack does by itself. */
const STACKS = ["callbacks", "packet", "kernel"] as const;
/** Between two TAPs. */
const ROUTERS = ["callbacks", "kernel"] as const;

function on(
  place: Place,
  measure: (network: BenchNetwork, contender: Contender, seconds: number) => Promise<Measured>,
): Figure["measure"] {
  return async (networks, contender, seconds) => await measure(await networks.get(place), contender, seconds);
}

function forwarding(title: string, links: Links): Figure {
  return {
    place: "router",
    contenders: ROUTERS,
    measure: async (networks, contender, seconds) =>
      await (await networks.router(links)).measure(contender, seconds),
    rows: [
      { title, value: "bits_per_second", unit: "Gbit/s", divisor: 1e9 },
      { title: `${title}: of what bare reads and writes carry`, value: "of_bare", unit: "×", divisor: 1 },
    ],
  };
}

function bulk(title: string, mode: "send" | "receive", place: Place, version: 4 | 6 = 4): Figure {
  return {
    place,
    contenders: place === "guest" ? GUESTS : ALL,
    measure: on(place, (network, contender, seconds) => network.load(contender, mode, seconds, 1, version)),
    rows: [{ title, value: "bits_per_second", unit: "Gbit/s", divisor: 1e9 }],
  };
}

function datagrams(title: string, mode: "udp_send" | "udp_receive"): Figure {
  return {
    place: "host",
    contenders: STACKS,
    measure: on("host", (network, contender, seconds) => network.load(contender, mode, seconds)),
    rows: [
      { title, value: "bits_per_second", unit: "Gbit/s", divisor: 1e9 },
      { title: `${title}: lost`, value: "lost_percent", unit: "%", divisor: 1, less: true },
    ],
  };
}

function requestResponse(title: string, place: Place): Figure {
  return {
    place,
    contenders: place === "guest" ? GUEST_SERVERS : ALL,
    measure: on(place, (network, contender, seconds) => network.load(contender, "rr", seconds)),
    rows: [
      { title, value: "requests_per_second", unit: "1/s", divisor: 1 },
      { title: `${title}, p50`, value: "p50_us", unit: "µs", divisor: 1, less: true },
      { title: `${title}, p99`, value: "p99_us", unit: "µs", divisor: 1, less: true },
    ],
  };
}

function http(title: string, connections: number, place: Place, pipelined = 1): Figure {
  return {
    place,
    contenders: place === "guest" ? GUEST_SERVERS : SERVERS,
    measure: on(
      place,
      (network, contender, seconds) => network.http(contender, seconds, connections, pipelined),
    ),
    rows: [
      { title, value: "requests_per_second", unit: "1/s", divisor: 1 },
      // wrk times a whole pipeline, not a request.
      ...pipelined === 1
        ? [{ title: `${title}, p99`, value: "p99_us", unit: "µs", divisor: 1, less: true } as const]
        : [],
    ],
  };
}

/** Every figure by name, in the order of the table. */
export const FIGURES: Readonly<Record<string, Figure>> = {
  bulk_receive: bulk("Bulk, kernel peer to us", "send", "host"),
  bulk_send: bulk("Bulk, us to kernel peer", "receive", "host"),
  bulk6_receive: bulk("Bulk over IPv6, kernel peer to us", "send", "host", 6),
  bulk6_send: bulk("Bulk over IPv6, us to kernel peer", "receive", "host", 6),
  udp_receive: datagrams("UDP in super-datagrams, kernel peer to us", "udp_send"),
  udp_send: datagrams("UDP in super-datagrams, us to kernel peer", "udp_receive"),
  plain_receive: bulk("Bulk in plain frames, kernel peer to us", "send", "plain"),
  plain_send: bulk("Bulk in plain frames, us to kernel peer", "receive", "plain"),
  direct_send: bulk("The same, taken within our write", "receive", "direct"),
  plain_request_response: requestResponse("Request/response in plain frames", "plain"),
  direct_request_response: requestResponse("The same, taken within our write", "direct"),
  forward_plain: forwarding("TCP forwarded in plain frames", "plain"),
  forward_direct: forwarding("The same, taken within our write", "direct"),
  forward_super: forwarding("TCP forwarded in super-frames", "super"),
  request_response: requestResponse("Request/response, 1 byte", "host"),
  ping: {
    place: "host",
    contenders: STACKS,
    measure: on("host", (network, contender, seconds) => network.ping(contender, seconds)),
    rows: [
      { title: "Ping, p50", value: "p50_us", unit: "µs", divisor: 1, less: true },
      { title: "Ping, p99", value: "p99_us", unit: "µs", divisor: 1, less: true },
    ],
  },
  connect: {
    place: "host",
    contenders: ALL,
    measure: on("host", (network, contender, seconds) => network.load(contender, "connect", seconds, 16)),
    rows: [{ title: "Connections, 16 at a time", value: "connections_per_second", unit: "1/s", divisor: 1 }],
  },
  http_16: http("HTTP requests, 16 connections", 16, "host"),
  http_64: http("HTTP requests, 64 connections", 64, "host"),
  http_256: http("HTTP requests, 256 connections", 256, "host"),
  http_pipelined: http("HTTP requests, 16 connections, 16 pipelined", 16, "host", 16),
  idle: {
    place: "host",
    contenders: SERVERS,
    measure: on("host", (network, contender, seconds) => network.idle(contender, seconds)),
    rows: [{ title: "CPU time while idle", value: "cpu_percent", unit: "%", divisor: 1, less: true }],
  },
  guest_http: http("In a guest: HTTP requests, 16 connections", 16, "guest"),
  guest_bulk_receive: bulk("In a guest: bulk, peer to guest", "send", "guest"),
  guest_bulk_send: bulk("In a guest: bulk, guest to peer", "receive", "guest"),
  guest_request_response: requestResponse("In a guest: request/response", "guest"),
  guest_idle: {
    place: "guest",
    contenders: GUEST_SERVERS,
    measure: on("guest", (network, contender, seconds) => network.idle(contender, seconds)),
    rows: [{
      title: "In a guest: CPU time of QEMU while idle",
      value: "cpu_percent",
      unit: "%",
      divisor: 1,
      less: true,
    }],
  },
};
