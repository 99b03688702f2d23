/**
 * What is known about a neighbour, and what a neighbour cache needs from around it.
 *
 * @module
 */

import type { KeyedHash } from "../hash.ts";
import type { Limits } from "../limits.ts";
import type { Packet } from "../packet.ts";
import type { TimerWheel } from "../timer_wheel.ts";
import type { Neighbour } from "./neighbour.ts";

/** What is known about a neighbour. */
export enum NeighbourState {
  /** It is being asked for the first time; packets wait. */
  Incomplete,
  /** It has answered lately. */
  Reachable,
  /** It has not been heard for a while; the next packet goes out and asks. */
  Stale,
  /** It has not been heard for a while; packets go out, and it is asked soon unless it is heard. */
  Delay,
  /** It is being asked again, at its old address; packets go out. */
  Probe,
  /** It did not answer; packets are dropped for a while. */
  Failed,
  /** Set by hand; never asked, never thrown out. */
  Permanent,
  /** Not in the cache any more; whoever holds it looks the address up again. */
  Gone,
}

/** How a protocol asks for a neighbour. */
export interface Solicitor {
  /** Asks everyone, or only the neighbour itself when its link address is known. */
  solicit(neighbour: Neighbour, unicast: boolean): void;
  /** A neighbour has not answered. */
  unreachable?(neighbour: Neighbour): void;
}

/** What the cache needs from around it. */
export interface NeighbourContext {
  /** The time, in µs. */
  readonly now: number;
  /** The stack's timers. */
  readonly timers: TimerWheel;
  /** For the table. */
  readonly hash: KeyedHash;
  /** How much and how long. */
  readonly limits: Limits;
  /** Tells the transport of `packet` that its destination did not answer. The caller releases the packet. */
  hostUnreachable(packet: Packet): void;
}
