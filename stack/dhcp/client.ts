/**
 * A DHCPv4 client (RFC 2131, section 4.4): a function of what servers say, the time, and random words.
 *
 * @module
 */

import type { IpAddress } from "../ip/address.ts";
import {
  type AddressClaim,
  type ClaimHandler,
  PROBE_TIMING,
  QUICK_PROBE_TIMING,
} from "../link/address_claim.ts";
import type { Interface } from "../link/interface.ts";
import { transportChecksumOk } from "../link/offload.ts";
import type { Packet, Tap } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { Timer, type TimerOwner } from "../timer_wheel.ts";
import * as wire from "../wire/dhcp.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as udp from "../wire/udp.ts";
import { DhcpCounters } from "./counters.ts";
import { type DhcpOffer, parseMessage, readOffer } from "./message.ts";
import { type DhcpHandler, type DhcpLease, type DhcpOptions, DhcpState } from "./options.ts";
import { sendMessage } from "./output.ts";

const SECOND = 1_000_000;
/** Longest time between two repetitions (RFC 2131, section 4.1). */
const MOST_RETRANSMIT = 64 * SECOND;
/** Least time between two requests for more time (RFC 2131, section 4.4.5). */
const LEAST_RENEWAL = 60 * SECOND;
/** Time before it begins anew when the address was somebody else's (RFC 2131, section 3.1). */
const DECLINE_WAIT = 10 * SECOND;
/** Requests for one offer, and for an address that it had before. */
const REQUESTS = 4, REBOOTS = 2;

/** The client of one interface. It gives the interface nothing by itself: its handler does. */
export class DhcpClient implements TimerOwner, ClaimHandler, Tap {
  /** What happened. */
  readonly counters: DhcpCounters = new DhcpCounters();
  /** Where it is. */
  state: DhcpState = DhcpState.Stopped;
  /** What it has been given, or null. */
  lease: DhcpLease | null = null;
  readonly #interface: Interface;
  readonly #stack: Stack;
  readonly #options: DhcpOptions;
  readonly #handler: DhcpHandler;
  readonly #timer: Timer = new Timer(this);
  #untap: (() => void) | null = null;
  #claim: AddressClaim | null = null;
  #offer: DhcpOffer | null = null;
  /** What the server has acknowledged, while it is being checked. */
  #checked: DhcpLease | null = null;
  #transaction = 0;
  #tries = 0;
  /** Times in a row that a server has taken back what it offered. */
  #refusals = 0;
  /** When the exchange began, for the server to see how long the client waits. */
  #began = 0;
  /** When the request was sent that is being answered: from there on the lease counts. */
  #askedAt = 0;

  /**
   * Makes a client that does nothing yet.
   * @param owner Its interface. @param handler Uses what it is given. @param options How it behaves.
   */
  constructor(owner: Interface, handler: DhcpHandler, options: DhcpOptions = {}) {
    this.#interface = owner;
    this.#stack = owner.stack;
    this.#handler = handler;
    this.#options = options;
  }

  /** Begins to ask; for the earlier address first, if there is one. Does nothing when it has begun. */
  start(): void {
    if (this.state !== DhcpState.Stopped) return;
    const { earlier } = this.#options;
    this.#begin();
    if (earlier === undefined) this.#enter(DhcpState.Selecting);
    else this.#enter(DhcpState.Rebooting);
  }

  /**
   * Gives up: nothing is asked or heard any more. The handler is not told, and takes the address away itself.
   * @param release Whether the server is told that the address is free. Then the address must still be there.
   */
  stop(release = false): void {
    if (this.state === DhcpState.Stopped) return;
    const { lease } = this;
    if (release && lease !== null) {
      this.#transaction = this.#stack.random() | 0;
      this.#send(wire.MessageType.Release, lease.address.address, lease.server);
    }
    this.#clear();
    this.state = DhcpState.Stopped;
    this.lease = null;
  }

  /**
   * The link was lost and is back: it may be another one. Asks whether the address may be kept, and keeps it until
   * a server says no; without one, begins anew.
   */
  reconfirm(): void {
    if (this.state === DhcpState.Stopped) return;
    this.#clear();
    this.#begin();
    this.#enter(this.lease === null ? DhcpState.Selecting : DhcpState.Rebooting);
  }

  expire(): void {
    const { now } = this.#stack;
    const { lease } = this;
    switch (this.state) {
      case DhcpState.Init:
        this.#begin();
        this.#enter(DhcpState.Selecting);
        return;
      case DhcpState.Selecting:
        this.#handler.silent?.(now - this.#began);
        if (this.state === DhcpState.Selecting) this.#ask();
        return;
      case DhcpState.Requesting:
        if (this.#tries < REQUESTS) this.#ask();
        else this.#restart(0);
        return;
      case DhcpState.Rebooting:
        if (this.#tries < REBOOTS) this.#ask();
        else if (lease !== null && now < lease.expiresAt) this.#rest();
        else this.#enter(DhcpState.Selecting);
        return;
      case DhcpState.Bound:
      case DhcpState.Renewing:
      case DhcpState.Rebinding:
        if (now >= lease!.expiresAt) {
          this.counters.expired++;
          if (this.#lose()) this.#restart(0);
        } else if (now >= lease!.rebindAt) this.#enter(DhcpState.Rebinding);
        else this.#enter(DhcpState.Renewing);
    }
  }

  claimed(): void {
    this.#bind(this.#checked!);
  }

  conflict(claim: AddressClaim): void {
    if (this.state === DhcpState.Stopped) return;
    this.counters.declined++;
    const lease = this.#checked ?? this.lease!;
    this.#claim = null;
    this.#transaction = this.#stack.random() | 0;
    const goesOn = this.lease === null || this.#lose();
    this.#offer = lease;
    this.#send(wire.MessageType.Decline, claim.address, lease.server);
    this.#offer = null;
    if (goesOn) this.#restart(DECLINE_WAIT);
  }

  receive(packet: Packet): boolean {
    const { view, transport: at, end } = packet;
    if (
      packet.protocol !== ipv4.UDP || packet.interface !== this.#interface || packet.looped !== null ||
      end - at < udp.HEADER_LENGTH + wire.HEADER_LENGTH || ipv4.isFragment(view, packet.network) ||
      udp.destinationPort(view, at) !== wire.CLIENT_PORT || udp.sourcePort(view, at) !== wire.SERVER_PORT
    ) return false;
    const { macHigh, macLow } = this.#interface;
    const from = at + udp.HEADER_LENGTH;
    if (
      wire.transaction(view, from) !== this.#transaction || !wire.isForClient(view, from, macHigh, macLow)
    ) return false;
    this.counters.received++;
    const length = udp.length(view, at);
    const { offset } = packet;
    packet.offset = at;
    const sound = length >= udp.HEADER_LENGTH && length <= end - at &&
      (udp.checksum(view, at) === 0 || transportChecksumOk(packet));
    packet.offset = offset;
    const { dropped } = this.counters;
    if (!sound) {
      dropped.badDatagram++;
      return true;
    }
    const message = parseMessage(packet.bytes.slice(from, at + length));
    if (message === null) {
      dropped.malformed++;
      return true;
    }
    const offers = this.state === DhcpState.Selecting;
    if (message.type === wire.MessageType.Nak && !offers) this.#refused(message.options);
    else if (message.type === (offers ? wire.MessageType.Offer : wire.MessageType.Ack)) {
      const offer = readOffer(message, () => this.counters.badOptions++);
      if (offer === null) dropped.useless++;
      else if (offers) this.#take(offer);
      else this.#acknowledged(offer);
    } else dropped.unexpected++;
    return true;
  }

  #take(offer: DhcpOffer): void {
    this.counters.delivered++;
    this.#offer = offer;
    this.#enter(DhcpState.Requesting, this.#transaction);
  }

  #acknowledged(offer: DhcpOffer): void {
    const { state, counters } = this;
    const chosen = this.#offer;
    const wanted = state === DhcpState.Requesting ? chosen!.address.address : this.#kept();
    // The address that was asked for; and after an offer, from who has made it.
    if (
      !offer.address.address.equals(wanted!) ||
      (state === DhcpState.Requesting && !offer.server.equals(chosen!.server))
    ) {
      counters.dropped.unexpected++;
      return;
    }
    counters.delivered++;
    counters.acknowledged++;
    const since = this.#askedAt;
    const lease: DhcpLease = {
      ...offer,
      since,
      renewAt: since + offer.renewal * SECOND,
      rebindAt: since + offer.rebinding * SECOND,
      expiresAt: since + offer.lifetime * SECOND,
    };
    this.#offer = null;
    this.#refusals = 0;
    this.#unhear();
    const probe = this.#options.probe ?? "quick";
    // What the interface has already is defended, and need not be asked for.
    if (probe === "off" || this.#interface.hasV4(wanted!.d)) {
      this.#bind(lease);
      return;
    }
    this.state = DhcpState.Checking;
    this.#checked = lease;
    this.#stack.timers.cancel(this.#timer);
    const timing = probe === "full" ? PROBE_TIMING : QUICK_PROBE_TIMING;
    this.#claim = this.#interface.arp.claim(wanted!, this, timing);
  }

  #refused(options: ReadonlyMap<number, Uint8Array>): void {
    const { counters } = this;
    const server = options.get(wire.Option.Server);
    const chosen = this.state === DhcpState.Requesting ? this.#offer!.server : null;
    const word = server?.length === 4 ? new DataView(server.buffer, server.byteOffset).getInt32(0) : 0;
    // While a lease is renewed, another server may know better, but not while one of several is asked.
    if (word === 0 || (chosen !== null && word !== chosen.d)) {
      counters.dropped.unexpected++;
      return;
    }
    counters.delivered++;
    counters.refused++;
    if (this.lease !== null && !this.#lose()) return;
    // The first time at once; a server that goes on refusing is asked less and less.
    this.#restart(this.#refusals === 0 ? 0 : Math.min(SECOND << this.#refusals, MOST_RETRANSMIT));
    this.#refusals = Math.min(this.#refusals + 1, 6);
  }

  #bind(lease: DhcpLease): void {
    const before = this.lease;
    this.lease = lease;
    this.#checked = null;
    this.#rest();
    this.#handler.bound(lease, before);
    // Without a handler that took it, the claim is nobody's.
    if (this.#claim !== null && !this.#interface.hasV4(lease.address.address.d)) this.#claim.end();
  }

  /** Waits until the lease has to be renewed. */
  #rest(): void {
    this.#unhear();
    this.state = DhcpState.Bound;
    this.#arm(this.lease!.renewAt);
  }

  /** @returns Whether it goes on: its handler may have stopped it, or begun anew. */
  #lose(): boolean {
    const { lease } = this;
    this.#clear();
    this.state = DhcpState.Init;
    this.lease = null;
    this.#handler.lost(lease!);
    return this.state === DhcpState.Init;
  }

  #restart(delay: number): void {
    this.#clear();
    this.state = DhcpState.Init;
    this.#arm(this.#stack.now + delay);
  }

  /** Counts the time that the servers see from here on. */
  #begin(): void {
    this.#began = this.#stack.now;
  }

  #clear(): void {
    this.#stack.timers.cancel(this.#timer);
    this.#unhear();
    if (this.#claim !== null && this.#checked !== null) this.#claim.end();
    this.#claim = null;
    this.#checked = this.#offer = null;
  }

  #enter(state: DhcpState, transaction = this.#stack.random() | 0): void {
    this.state = state;
    this.#transaction = transaction;
    this.#tries = 0;
    this.#untap ??= this.#stack.ipv4.tap("in", this);
    if (state === DhcpState.Renewing || state === DhcpState.Rebinding) this.#began = this.#stack.now;
    this.#ask();
  }

  #unhear(): void {
    this.#untap?.();
    this.#untap = null;
  }

  /** Asks for what the state is about, and says when to ask again. */
  #ask(): void {
    const { now } = this.#stack;
    const { lease } = this;
    this.#tries++;
    this.#askedAt = now;
    switch (this.state) {
      case DhcpState.Selecting:
        this.#send(wire.MessageType.Discover, null, null);
        break;
      case DhcpState.Requesting:
        this.#send(wire.MessageType.Request, this.#offer!.address.address, this.#offer!.server);
        break;
      case DhcpState.Rebooting:
        this.#send(wire.MessageType.Request, this.#kept(), null);
        break;
      default: {
        this.#send(wire.MessageType.Request, null, null);
        const until = this.state === DhcpState.Renewing ? lease!.rebindAt : lease!.expiresAt;
        const wait = Math.max((until - now) / 2, LEAST_RENEWAL);
        this.#arm(Math.min(until, now + wait));
        return;
      }
    }
    const first = this.#options.retransmit ?? 4 * SECOND;
    const jitter = Math.min(first / 4, SECOND) * ((this.#stack.random() | 0) / 2 ** 31);
    this.#arm(now + Math.min(first * 2 ** (this.#tries - 1), MOST_RETRANSMIT) + jitter);
  }

  /** The address that it would like to keep. */
  #kept(): IpAddress | null {
    return this.lease?.address.address ?? this.#options.earlier ?? null;
  }

  #arm(at: number): void {
    if (at === Infinity) this.#stack.timers.cancel(this.#timer);
    else this.#stack.timers.arm(this.#timer, at);
    this.#stack.wake();
  }

  #send(type: wire.MessageType, requested: IpAddress | null, server: IpAddress | null): void {
    const { lease, state } = this;
    const bound = lease !== null && type !== wire.MessageType.Decline && state !== DhcpState.Rebooting;
    const sent = sendMessage(this.#interface, this.#options, {
      type,
      transaction: this.#transaction,
      seconds: Math.floor((this.#stack.now - this.#began) / SECOND),
      // Who has the address says so, and is answered there.
      client: bound ? lease.address.address : null,
      requested: bound ? null : requested,
      server: bound && type === wire.MessageType.Request ? null : server,
      // To the server alone while it is thought to be there, and when it is told something.
      to: bound && state !== DhcpState.Rebinding ? lease.server : null,
    });
    if (sent) this.counters.sent++;
    else this.counters.sendFailed++;
  }
}
