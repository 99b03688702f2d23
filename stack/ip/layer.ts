/**
 * What the layers of both IP versions have in common: who looks on, and who gets what is for us.
 *
 * @module
 */

import type { IpCounters } from "../counters.ts";
import type { Limits } from "../limits.ts";
import type { Interface } from "../link/interface.ts";
import type { Handler, Packet, Tap } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Taps } from "../taps.ts";
import { PROTOCOL as IGMP } from "../wire/igmp.ts";
import { HOP_BY_HOP } from "../wire/ipv6.ts";

/** One IP version of a stack. */
export abstract class IpLayer implements Handler {
  /** What happened. */
  abstract readonly counters: IpCounters;
  /** Takes fragments (cursor at the IP header, validated), and gives whole packets back to {@link resume}. */
  reassembler: Handler | null = null;
  /** Takes packets that are not for us (cursor at the IP header, validated): a router. */
  forwarder: Handler | null = null;
  /** The owner. */
  protected readonly stack: Stack;
  /** Those who see what comes in. */
  protected readonly tapsIn: Taps;
  /** Those who see what is to be forwarded and has a router alert. */
  protected readonly alerts: Taps;
  readonly #tapsOut: Taps;
  readonly #raw: (Taps | null)[] = new Array(256).fill(null);
  readonly #report: (error: unknown, where: string) => void;
  readonly #name: string;

  /**
   * Makes the layer.
   * @param stack The owner. @param name What the version is called, for reports.
   */
  constructor(stack: Stack, name: string) {
    this.stack = stack;
    this.#name = name;
    this.#report = (error, where) => stack.report(error, where);
    this.tapsIn = new Taps(`tap on ${name}`, this.#report);
    this.alerts = new Taps(`router alert on ${name}`, this.#report);
    this.#tapsOut = new Taps(`tap on ${name}`, this.#report);
  }

  /** The stack's generation of addresses and routes. */
  get generation(): number {
    return this.stack.generation;
  }

  /** The stack's time, in µs. */
  get now(): number {
    return this.stack.now;
  }

  /** The stack's limits. */
  get limits(): Readonly<Limits> {
    return this.stack.limits;
  }

  abstract receive(packet: Packet): void;

  /** Protocol number that belongs to the other version alone: its ICMP. */
  protected abstract readonly foreign: number;

  /** Tells the sender of `packet` that nobody is attached to its protocol. */
  protected abstract refuseProtocol(packet: Packet): void;

  /**
   * Shows every well-formed packet to `tap`, cursor at the IP header: what comes in before it is known whether it
   * is for us, or what goes out before its link header is there.
   * @returns Takes it away again.
   */
  tap(direction: "in" | "out", tap: Tap): () => void {
    if (direction === "out") return this.#tapsOut.add(tap);
    const end = this.stack.observe(), remove = this.tapsIn.add(tap);
    return () => {
      remove();
      end();
    };
  }

  /**
   * Shows packets of one protocol (0 to 255) that are for us to `tap` before the transport, cursor behind the IP
   * header. No ICMP error is sent for what it takes.
   * @returns Takes it away again.
   */
  raw(protocol: number, tap: Tap): () => void {
    return (this.#raw[protocol] ??= new Taps(`tap on ${this.#name}`, this.#report)).add(tap);
  }

  /** Whether a packet to a group is for us: somebody listens, and to its sender. Loopback copies count where they were sent. */
  protected listens(packet: Packet, by: Interface): boolean {
    const membership = this.stack.groups.of(packet, packet.looped ?? by);
    // Routers ask about a group whoever else is heard in it: by IGMP, or behind a hop-by-hop header (RFC 3810).
    return membership !== null &&
      (packet.protocol === IGMP || packet.protocol === HOP_BY_HOP || membership.filter.admits(packet));
  }

  /** @internal Hands a copy of a packet to a group (cursor at its IP header) to our own listeners, as if it came from outside. */
  loop(packet: Packet, ethertype: number): void {
    const by = packet.looped!;
    const { loopback } = this.stack;
    if (this.stack.groups.sentTo(packet, by) === null) return;
    const copy = loopback.reserve();
    const { length } = packet;
    if (copy === null || copy.offset + length > copy.limit) {
      copy?.discard();
      this.counters.loopFailed++;
      return;
    }
    const at = copy.offset;
    copy.end = at + packet.copyTo(copy.bytes, at);
    copy.describeAs(packet, at - packet.offset);
    copy.looped = by;
    loopback.send(copy, 0, 0, ethertype);
  }

  /**
   * Shows packets that are to be forwarded and have a router alert (RFC 2113, RFC 2711) to `tap`, cursor at the IP
   * header. What it takes is not forwarded.
   * @returns Takes it away again.
   */
  routerAlert(tap: Tap): () => void {
    return this.alerts.add(tap);
  }

  /** @internal */
  reserveLarge(): Packet | null {
    return this.stack.reassembler.reserveLarge();
  }

  /** Goes on with a packet that was put together from fragments. */
  resume(packet: Packet): void {
    this.deliver(packet);
  }

  /** Hands a whole packet for us to its protocol. `network`, `transport`, `protocol` and `end` are set. */
  deliver(packet: Packet): void {
    const { protocol } = packet;
    packet.offset = packet.transport;
    const raw = this.#raw[protocol]!;
    if (raw !== null && raw.show(packet)) {
      this.counters.delivered++;
      return;
    }
    const transport = this.stack.transports[protocol]!;
    if (transport === null || protocol === this.foreign) {
      this.refuseProtocol(packet);
      return;
    }
    this.counters.delivered++;
    transport.receive(packet);
  }

  /** @internal Shows a packet to the outgoing taps. @returns True when one has taken it. */
  tapOutgoing(packet: Packet): boolean {
    if (!this.#tapsOut.show(packet)) return false;
    this.counters.sendTaken++;
    packet.discard();
    return true;
  }
}
