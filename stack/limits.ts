/**
 * How much the layers below TCP may hold, and for how long.
 *
 * @module
 */

/** Limits of one stack. Every one has a default in {@link DEFAULT_LIMITS}. */
export interface Limits {
  /**
   * Entries of one interface's neighbour cache. When full, the one not used for longest (second chance) goes. Half of them at most
   * have not proved to be there yet: beyond, the oldest of those goes.
   */
  neighbours: number;
  /** Packets that wait for one neighbour: as many as the fragments of the largest. When full, the oldest is dropped. */
  neighbourQueue: number;
  /** Bytes of the packets that wait for one neighbour; one may wait whatever its size. When full, the oldest are dropped. */
  neighbourQueueBytes: number;
  /**
   * Packets that wait for all neighbours of one interface. When full, or when the device has few free slots left, that which has
   * waited longest for another neighbour is dropped, or the newcomer.
   */
  neighbourQueueTotal: number;
  /** µs for which a neighbour counts as reachable after it has answered. */
  neighbourReachable: number;
  /** µs between two requests for one neighbour. */
  neighbourRetransmit: number;
  /** Requests before a neighbour counts as unreachable. */
  neighbourTries: number;
  /** µs for which an unreachable neighbour is not asked again. */
  neighbourNegative: number;
  /** µs from the first packet to an IPv6 neighbour that was not heard for a while to the question whether it is there. */
  neighbourDelay: number;
  /** Probes for an IPv6 address of ours before it is used (RFC 4862). */
  duplicateProbes: number;
  /** IPv6 addresses that one interface makes for itself. When full, no more are made. */
  addresses: number;
  /** Default routers of one interface. When full, newcomers are ignored. */
  routers: number;
  /** Prefixes, and routes, that routers may advertise on one interface. When full, newcomers are ignored. */
  prefixes: number;
  /** Name servers, and search domains, that routers may advertise on one interface. When full, newcomers are ignored. */
  nameServers: number;
  /** Memberships in multicast groups, of all interfaces, not counting those of addresses. When full, `join` throws `TooMany`. */
  groups: number;
  /** Sources that one listener may name in one group. Beyond, `join` throws `TooMany`. */
  groupSources: number;
  /** Packets that are put together from fragments at a time, 65 KiB each. When full, the oldest is given up. */
  reassemblies: number;
  /** Paths that are shared. When full, one not used lately goes; its holders keep it. */
  paths: number;
  /** Routes. When full, `addRoute` throws `TooMany`. */
  routes: number;
  /** µs after which a learned path MTU is forgotten (RFC 1191, section 6.3). */
  pathMtuLifetime: number;
  /** ICMP errors a second. */
  icmpRate: number;
  /** ICMP errors at once. */
  icmpBurst: number;
  /** Echo sessions. When full, `echo` throws `TooMany`. */
  echoSessions: number;
  /** UDP sockets. When full, `bind` throws `TooMany`. */
  udpSockets: number;
  /** Raw sockets of one protocol. When full, `open` throws `TooMany`. */
  rawSockets: number;
  /** Slots of the loopback device, 65 KiB each, made when first used. When none is free, sending fails. */
  loopbackSlots: number;
}

/** What holds unless the stack's options say otherwise. */
export const DEFAULT_LIMITS: Readonly<Limits> = {
  neighbours: 1024,
  neighbourQueue: 64,
  neighbourQueueBytes: 212_992,
  neighbourQueueTotal: 128,
  neighbourReachable: 30_000_000,
  neighbourRetransmit: 1_000_000,
  neighbourTries: 3,
  neighbourNegative: 5_000_000,
  neighbourDelay: 5_000_000,
  duplicateProbes: 1,
  addresses: 16,
  routers: 8,
  prefixes: 16,
  nameServers: 8,
  groups: 1024,
  groupSources: 64,
  reassemblies: 32,
  paths: 4096,
  routes: 65536,
  pathMtuLifetime: 600_000_000,
  icmpRate: 1000,
  icmpBurst: 50,
  echoSessions: 256,
  udpSockets: 16384,
  rawSockets: 64,
  loopbackSlots: 64,
};
