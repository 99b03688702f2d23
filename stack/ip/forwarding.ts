/**
 * What a router decides beyond its routes, for both IP versions, and what it counts.
 *
 * @module
 */

import type { Interface } from "../link/interface.ts";
import type { GroupListener, Groups } from "../multicast/groups.ts";
import type { Packet } from "../packet.ts";
import { IpAddress } from "./address.ts";

/** All routers of a link, and of a site. */
const ROUTERS: readonly IpAddress[] = ["224.0.0.2", "ff02::2", "ff05::2"].map((text) =>
  IpAddress.parse(text)
);

/** Whether the source of a packet must be reachable by the interface that it came in on (RFC 3704). */
export enum ReversePath {
  /** Nothing is checked. */
  Off,
  /** Some route must lead to the source (section 2.4), one that leads nowhere not counted. */
  Loose,
  /** The best route to the source must leave by the interface that the packet came in on (section 2.2). */
  Strict,
}

/** What a {@link ForwardHook} wants to be done with a packet. */
export enum Verdict {
  /** It goes on. */
  Accept,
  /** It is dropped, and nobody is told. */
  Drop,
  /** It is dropped, and its sender is told that it is forbidden (ICMP code 13, ICMPv6 code 1). */
  Reject,
  /** The hook has kept or sent a copy, or sent the packet itself: nothing more is done with it. */
  Taken,
}

/**
 * Decides about each packet that is to be forwarded: a firewall, or the outgoing half of a translator (NAT).
 *
 * What a translator has to change before it is known whom a packet is for, it changes in a tap on
 * `stack.ipv4.tap("in", …)` or `stack.ipv6.tap("in", …)`.
 */
export interface ForwardHook {
  /**
   * Looks at a packet, its cursor at the IP header, `packet.interface` where it came in, hops not yet counted down.
   * It may change the packet with the functions of `rewrite.ts`; one with another destination is routed again, once.
   * @param output Where it is to leave. @param version 4 or 6.
   */
  forward(packet: Packet, output: Interface, version: 4 | 6): Verdict;
}

/** Why a packet was not forwarded. */
export class ForwardDrops {
  /** The interface that it came in on does not forward. */
  notForwarding = 0;
  /** The link addressed it to a group, or it is to a multicast or a directed broadcast address (RFC 1812, 5.3.4, 5.3.5). */
  group = 0;
  /** From 0.0.0.0/8, ::, a loopback or a link-local address. */
  badSource = 0;
  /** To 240.0.0.0/4 or a link-local address. */
  badDestination = 0;
  /** No route leads there. The sender is told. */
  noRoute = 0;
  /** The route says that it leads nowhere. The sender is told. */
  unreachable = 0;
  /** The route says that it leads nowhere. */
  blackhole = 0;
  /** The route says that it is forbidden. The sender is told. */
  prohibited = 0;
  /** It came in from the other end of a link without link addresses, and would go back there. The sender is told. */
  backwards = 0;
  /** No hops are left. The sender is told. */
  hopsExceeded = 0;
  /** Larger than the next link takes, and not to be cut. The sender is told. */
  tooBig = 0;
  /** {@link Forwarding.hook} dropped it. */
  hook = 0;
  /** {@link Forwarding.hook} rejected it. */
  rejected = 0;
  /** {@link Forwarding.hook} threw an exception. */
  hookFailed = 0;
  /** The next hop does not answer, or there was no slot, or the device refused. */
  sendFailed = 0;
}

/** What forwarding of one IP version counts: `received` = `forwarded` + `taken` + the sum of `dropped`. */
export class ForwardCounters {
  /** Packets that are not for us, on interfaces of a stack that may forward. */
  received = 0;
  /** Packets handed to the next link, or to the queue of a neighbour; a super-frame counts once. */
  forwarded = 0;
  /** Packets that {@link Forwarding.hook}, a tap or a raw handler of router alerts took. */
  taken = 0;
  /** Packets that were cut into fragments. */
  fragmented = 0;
  /** Redirects sent. */
  redirects = 0;
  /** Reasons for the others. */
  readonly dropped: ForwardDrops = new ForwardDrops();
}

/** What `StackOptions.forwarding` may say beyond yes and no. */
export interface ForwardingOptions {
  /** Whether interfaces forward unless their own options say otherwise. Default true. */
  default?: boolean;
  /** Whether hosts are told of better first hops (RFC 1812, section 5.2.7.2; RFC 4861, section 8.2). Default false. */
  redirects?: boolean;
  /** Decides about each packet. Default: every packet goes on. */
  hook?: ForwardHook;
}

/** The settings of a stack's forwarding. They may be changed at any time. */
export class Forwarding {
  /** Whether interfaces that say nothing else forward. */
  readonly enabled: boolean;
  /** Whether hosts are told of better first hops. */
  redirects: boolean;
  /** Decides about each packet; null lets all go on. */
  hook: ForwardHook | null;
  /** What happened to IPv4 packets. */
  readonly ipv4: ForwardCounters = new ForwardCounters();
  /** What happened to IPv6 packets. */
  readonly ipv6: ForwardCounters = new ForwardCounters();
  readonly #report: (error: unknown, where: string) => void;
  readonly #joined = new WeakMap<Interface, GroupListener[]>();

  /**
   * Takes the settings.
   * @param report Gets what the hook throws.
   */
  constructor(options: boolean | ForwardingOptions, report: (error: unknown, where: string) => void) {
    const rules = typeof options === "boolean" ? { default: options } : options;
    this.enabled = rules.default ?? true;
    this.redirects = rules.redirects ?? false;
    this.hook = rules.hook ?? null;
    this.#report = report;
  }

  /** @internal Listens to the groups of routers on an interface that forwards (RFC 1112; RFC 4291, section 2.8), or no more. */
  join(owner: Interface, groups: Groups): void {
    const joined = this.#joined.get(owner) ?? [];
    if (owner.forwarding === joined.length > 0) return;
    for (const listener of joined) listener.leave();
    const wanted = ROUTERS.filter((group) => group.version === 4 || owner.nd !== null);
    this.#joined.set(
      owner,
      owner.forwarding ? wanted.map((group) => groups.join(group, owner, undefined, false)) : [],
    );
  }

  /** @internal Asks the hook, and counts what it does not let go on. @returns What it said. */
  ask(hook: ForwardHook, packet: Packet, output: Interface, version: 4 | 6): Verdict {
    const counters = version === 4 ? this.ipv4 : this.ipv6;
    let verdict: Verdict;
    try {
      verdict = hook.forward(packet, output, version);
    } catch (error) {
      this.#report(error, "forward hook");
      counters.dropped.hookFailed++;
      return Verdict.Drop;
    }
    if (verdict === Verdict.Drop) counters.dropped.hook++;
    else if (verdict === Verdict.Reject) counters.dropped.rejected++;
    else if (verdict === Verdict.Taken) counters.taken++;
    return verdict;
  }
}
