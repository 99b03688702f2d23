/**
 * A DHCPv6 client (RFC 8415, section 18.2): a function of what servers say, the time, and random words. It refuses to be
 * reconfigured (section 18.2.11).
 *
 * @module
 */

import { DhcpCounters } from "../dhcp/counters.ts";
import { IpAddress } from "../ip/address.ts";
import type { Interface } from "../link/interface.ts";
import type { Bytes, Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import { sourcePortOf, type UdpHandler, type UdpSocket } from "../udp/socket.ts";
import * as wire from "../wire/dhcpv6.ts";
import { type Association, type Dhcpv6Message, parseMessage } from "./message.ts";
import {
  type Dhcpv6Given,
  type Dhcpv6Lease,
  type Dhcpv6Options,
  Dhcpv6State,
  NOTHING_GIVEN,
} from "./options.ts";
import { clientIdentifier, writeMessage } from "./output.ts";

const SECOND = 1_000_000;
/** ff02::1:2, all servers and relays of the link. */
const ALL_SERVERS = IpAddress.v6(0xff020000, 0, 0, 0x00010002);
/** Times to the first repetition, and the longest between two, in µs; times that a message is sent (section 7.6). */
const SOLICIT = { first: SECOND, most: 3600 * SECOND, tries: Infinity };
const REQUEST = { first: SECOND, most: 30 * SECOND, tries: 10 };
const RENEW = { first: 10 * SECOND, most: 600 * SECOND, tries: Infinity };
const INFORM = { first: SECOND, most: 3600 * SECOND, tries: Infinity };
/** Least time between renewals, whatever a server says. */
const LEAST_RENEWAL = 5 * SECOND;
/** Time after which information is asked for again (section 21.23). */
const REFRESH = 86400 * SECOND;
/** Time before it looks for servers again when it was refused. */
const REFUSED_WAIT = 10 * SECOND;

/** The client of one interface. It gives the interface nothing by itself. */
export class Dhcpv6Client implements TimerOwner, UdpHandler {
  /** What happened. */
  readonly counters: DhcpCounters = new DhcpCounters();
  /** Where it is. */
  state: Dhcpv6State = Dhcpv6State.Stopped;
  /** What it has been given. */
  given: Dhcpv6Given = NOTHING_GIVEN;
  readonly #interface: Interface;
  readonly #stack: Stack;
  readonly #options: Dhcpv6Options;
  readonly #changed: () => void;
  readonly #timer: Timer = new Timer(this);
  readonly #client: Bytes;
  #socket: UdpSocket | null = null;
  #server: Bytes | null = null;
  #transaction = 0;
  #tries = 0;
  #interval = 0;
  #began = 0;
  #renewAt = Infinity;
  #rebindAt = Infinity;
  #solicitMost = SOLICIT.most;
  #informMost = INFORM.most;

  /**
   * Makes a client that does nothing yet.
   * @param owner Its interface. @param options How it behaves. @param changed Called when {@link given} is another.
   */
  constructor(owner: Interface, options: Dhcpv6Options, changed: () => void) {
    this.#interface = owner;
    this.#stack = owner.stack;
    this.#options = options;
    this.#changed = changed;
    this.#client = options.duid ?? clientIdentifier(owner);
  }

  /** Asks for addresses, and for prefixes if it is to (M in a router's advertisement). Does nothing when it does so. */
  start(): void {
    if (this.state !== Dhcpv6State.Stopped && this.state !== Dhcpv6State.Informing) return;
    this.#enter(Dhcpv6State.Soliciting);
  }

  /** Asks for servers of names and such alone (O in a router's advertisement). Does nothing when it has begun with anything. */
  inform(): void {
    if (this.state === Dhcpv6State.Stopped) this.#enter(Dhcpv6State.Informing);
  }

  /** Gives up. @param release Whether the server is told. */
  stop(release = false): void {
    if (release && this.given.addresses.length + this.given.prefixes.length > 0) {
      this.#send(wire.MessageType.Release, this.given);
    }
    this.#stack.timers.cancel(this.#timer);
    this.#socket?.close();
    this.#socket = null;
    this.state = Dhcpv6State.Stopped;
    this.given = NOTHING_GIVEN;
  }

  /** One of the addresses is somebody else's: tells the server, and asks anew (section 18.2.8). */
  decline(address: IpAddress): void {
    const refused = this.given.addresses.filter(({ network }) => network.address.equals(address));
    if (refused.length === 0) return;
    this.counters.declined++;
    this.#send(wire.MessageType.Decline, { ...NOTHING_GIVEN, addresses: refused });
    this.given = NOTHING_GIVEN;
    this.#restart();
    this.#changed();
  }

  /** The link was lost and is back: asks every server whether things are as they were. */
  reconfirm(): void {
    if (this.state === Dhcpv6State.Stopped) return;
    if (this.state === Dhcpv6State.Informing) this.#enter(Dhcpv6State.Informing);
    else if (this.given.addresses.length + this.given.prefixes.length > 0) this.#enter(Dhcpv6State.Rebinding);
    else this.#enter(Dhcpv6State.Soliciting);
  }

  expire(): void {
    const { now } = this.#stack;
    switch (this.state) {
      case Dhcpv6State.Bound:
        if (now >= this.#rebindAt) this.#enter(Dhcpv6State.Rebinding);
        else this.#enter(Dhcpv6State.Renewing);
        return;
      case Dhcpv6State.Requesting:
        if (this.#tries < REQUEST.tries) this.#ask();
        else this.#enter(Dhcpv6State.Soliciting);
        return;
      case Dhcpv6State.Renewing:
      case Dhcpv6State.Rebinding:
        if (now >= this.#endsAt()) {
          this.counters.expired++;
          this.given = NOTHING_GIVEN;
          this.#enter(Dhcpv6State.Soliciting);
          this.#changed();
        } else if (this.state === Dhcpv6State.Renewing && now >= this.#rebindAt) {
          this.#enter(Dhcpv6State.Rebinding);
        } else this.#ask();
        return;
      default:
        this.#ask();
    }
  }

  receive(packet: Packet): void {
    const { bytes, offset, end, view } = packet;
    const waits = this.state !== Dhcpv6State.Bound && this.state !== Dhcpv6State.Stopped;
    if (
      !waits || packet.interface !== this.#interface || sourcePortOf(packet) !== wire.SERVER_PORT ||
      end - offset < wire.HEADER_LENGTH || (view.getUint32(offset) & 0xffffff) !== this.#transaction
    ) return;
    const { counters } = this;
    const { dropped } = counters;
    counters.received++;
    const message = parseMessage(bytes.slice(offset, end), () => counters.badOptions++);
    if (message === null) {
      dropped.malformed++;
      return;
    }
    // Both have to say who is meant, and by whom (section 16).
    if (message.client === null || !equal(message.client, this.#client) || message.server === null) {
      dropped.unexpected++;
      return;
    }
    if (message.solicitMost > 0) this.#solicitMost = message.solicitMost * SECOND;
    if (message.informationMost > 0) this.#informMost = message.informationMost * SECOND;
    const rapid = this.state === Dhcpv6State.Soliciting && message.rapid && (this.#options.rapid ?? true);
    if (message.type === wire.MessageType.Advertise && this.state === Dhcpv6State.Soliciting) {
      this.#offered(message);
    } else if (
      message.type !== wire.MessageType.Reply || (this.state === Dhcpv6State.Soliciting && !rapid) ||
      (this.state === Dhcpv6State.Requesting && !equal(message.server, this.#server!))
    ) {
      dropped.unexpected++;
    } else if (this.state === Dhcpv6State.Informing) {
      counters.delivered++;
      this.#informed(message);
    } else this.#replied(message);
  }

  #offered(message: Dhcpv6Message): void {
    if (leases(message.addresses).length + leases(message.prefixes).length === 0) {
      this.counters.dropped.useless++;
      return;
    }
    this.counters.delivered++;
    this.#server = message.server;
    this.#enter(Dhcpv6State.Requesting);
  }

  #replied(message: Dhcpv6Message): void {
    const { counters } = this;
    const { now } = this.#stack;
    const addresses = absolute(leases(message.addresses), now),
      prefixes = absolute(leases(message.prefixes), now);
    const refused = message.status !== wire.Status.Success &&
      message.status !== wire.Status.UnspecifiedFailure;
    const unbound = message.addresses?.status === wire.Status.NoBinding;
    if (refused || unbound || addresses.length + prefixes.length === 0) {
      if (
        !refused && !unbound && this.state !== Dhcpv6State.Renewing && this.state !== Dhcpv6State.Rebinding
      ) {
        counters.dropped.useless++;
        return;
      }
      counters.delivered++;
      counters.refused++;
      this.given = NOTHING_GIVEN;
      this.#restart();
      this.#changed();
      return;
    }
    counters.delivered++;
    counters.acknowledged++;
    this.#server = message.server;
    const { nameServers, searchDomains, timeServers } = message;
    this.given = { addresses, prefixes, nameServers, searchDomains, timeServers };
    this.#schedule(message);
    this.#changed();
  }

  #informed(message: Dhcpv6Message): void {
    const { nameServers, searchDomains, timeServers } = message;
    this.given = { ...NOTHING_GIVEN, nameServers, searchDomains, timeServers };
    this.#tries = 0;
    this.#transaction = -1;
    this.#arm(this.#stack.now + (message.refresh > 0 ? message.refresh * SECOND : REFRESH));
    this.#changed();
  }

  /** When to renew: as the server says, or at half and at eight tenths of the shortest preferred time (section 21.4). */
  #schedule(message: Dhcpv6Message): void {
    const { now } = this.#stack;
    const { addresses, prefixes } = this.given;
    let shortest = Infinity;
    for (const { preferredUntil, validUntil } of [...addresses, ...prefixes]) {
      shortest = Math.min(shortest, preferredUntil > now ? preferredUntil - now : validUntil - now);
    }
    let renewal = Infinity, rebinding = Infinity;
    for (const association of [message.addresses, message.prefixes]) {
      if (association === null || leases(association).length === 0) continue;
      renewal = Math.min(renewal, association.renewal === 0 ? shortest * 0.5 : association.renewal * SECOND);
      const second = association.rebinding === 0 ? shortest * 0.8 : association.rebinding * SECOND;
      rebinding = Math.min(rebinding, second);
    }
    this.#renewAt = now + Math.max(renewal, LEAST_RENEWAL);
    this.#rebindAt = Math.max(now + rebinding, this.#renewAt);
    this.state = Dhcpv6State.Bound;
    this.#arm(this.#renewAt);
  }

  /** When the last of what was given has gone. */
  #endsAt(): number {
    const all = [...this.given.addresses, ...this.given.prefixes];
    return all.reduce((end, { validUntil }) => Math.max(end, validUntil), 0);
  }

  #restart(): void {
    this.state = Dhcpv6State.Soliciting;
    this.#tries = 0;
    this.#began = this.#stack.now + REFUSED_WAIT;
    this.#transaction = this.#stack.random() & 0xffffff;
    this.#arm(this.#began);
  }

  #enter(state: Dhcpv6State): void {
    this.state = state;
    this.#tries = 0;
    this.#began = this.#stack.now;
    this.#transaction = this.#stack.random() & 0xffffff;
    // Many hosts may have heard the same router (sections 18.2.1 and 18.2.6).
    const waits = state === Dhcpv6State.Soliciting || state === Dhcpv6State.Informing;
    if (waits) this.#arm(this.#stack.now + (this.#stack.random() >>> 0) / 2 ** 32 * SECOND);
    else this.#ask();
  }

  #ask(): void {
    const { now } = this.#stack;
    const { state } = this;
    // Asked again after a while, it is another question.
    if (this.#transaction < 0) {
      this.#transaction = this.#stack.random() & 0xffffff;
      this.#began = now;
    }
    if (this.#tries === 0) this.#began = now;
    const terms = state === Dhcpv6State.Soliciting
      ? { ...SOLICIT, most: this.#solicitMost }
      : state === Dhcpv6State.Informing
      ? { ...INFORM, most: this.#informMost }
      : state === Dhcpv6State.Requesting
      ? REQUEST
      : RENEW;
    // Section 15: doubled each time, a tenth more or less; the first solicitation is never early.
    const tenth = (this.#stack.random() | 0) / 2 ** 31 / 10;
    const base = this.#tries === 0 ? terms.first : Math.min(2 * this.#interval, terms.most);
    const factor = this.#tries === 0 && state === Dhcpv6State.Soliciting ? Math.abs(tenth) : tenth;
    this.#interval = base * (1 + factor);
    this.#tries++;
    let until = Infinity;
    if (state === Dhcpv6State.Renewing) until = this.#rebindAt;
    if (state === Dhcpv6State.Rebinding) until = this.#endsAt();
    this.#arm(Math.min(now + this.#interval, until));
    this.#send(typeOf(state), this.given);
  }

  #arm(at: number): void {
    if (at === Infinity) this.#stack.timers.cancel(this.#timer);
    else this.#stack.timers.arm(this.#timer, at);
    this.#stack.wake();
  }

  #send(type: wire.MessageType, given: Dhcpv6Given): void {
    const { counters } = this;
    try {
      this.#socket ??= this.#stack.udp.bind({
        port: wire.CLIENT_PORT,
        version: 6,
        interface: this.#interface,
        reuse: true,
      }, this);
      const bytes = writeMessage({
        type,
        transaction: type === wire.MessageType.Release || type === wire.MessageType.Decline
          ? this.#stack.random() & 0xffffff
          : this.#transaction,
        client: this.#client,
        server: needsServer(type) ? this.#server : null,
        elapsed: Math.min(Math.floor((this.#stack.now - this.#began) / 10_000), 0xffff),
        association: this.#interface.macLow,
        given,
        prefixes: this.#options.prefixes ?? false,
        rapid: type === wire.MessageType.Solicit && (this.#options.rapid ?? true),
      });
      if (this.#socket.send(bytes, 0, bytes.length, ALL_SERVERS, wire.SERVER_PORT)) counters.sent++;
      else counters.sendFailed++;
    } catch {
      // No address of the link yet, or the port is taken: it is tried again when it is asked again.
      counters.sendFailed++;
    }
  }
}

function typeOf(state: Dhcpv6State): wire.MessageType {
  switch (state) {
    case Dhcpv6State.Requesting:
      return wire.MessageType.Request;
    case Dhcpv6State.Renewing:
      return wire.MessageType.Renew;
    case Dhcpv6State.Rebinding:
      return wire.MessageType.Rebind;
    case Dhcpv6State.Informing:
      return wire.MessageType.InformationRequest;
    default:
      return wire.MessageType.Solicit;
  }
}

function needsServer(type: wire.MessageType): boolean {
  return type === wire.MessageType.Request || type === wire.MessageType.Renew ||
    type === wire.MessageType.Release || type === wire.MessageType.Decline;
}

function leases(association: Association | null): Association["networks"] {
  if (association === null || association.status !== wire.Status.Success) return [];
  return association.networks.filter(({ valid }) => valid > 0);
}

function absolute(networks: Association["networks"], now: number): Dhcpv6Lease[] {
  return networks.map(({ network, preferred, valid }) => ({
    network,
    preferredUntil: now + preferred * SECOND,
    validUntil: now + valid * SECOND,
  }));
}

function equal(one: Bytes, other: Bytes): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}
