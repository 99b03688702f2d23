/**
 * ARP on one interface (RFC 826; RFC 1122, section 2.3.2; conflicts as in RFC 5227; for others as in RFC 1027).
 *
 * @module
 */

import { type Cidr, IpAddress } from "../ip/address.ts";
import type { Handler, Packet } from "../packet.ts";
import * as arp from "../wire/arp.ts";
import type { TimerWheel } from "../timer_wheel.ts";
import * as ethernet from "../wire/ethernet.ts";
import { StackError } from "../errors.ts";
import {
  AddressClaim,
  type ClaimHandler,
  type ClaimOutput,
  PROBE_TIMING,
  type ProbeTiming,
} from "./address_claim.ts";
import type { Interface } from "./interface.ts";
import { type Neighbour, NeighbourCache } from "./neighbour.ts";
import type { NeighbourContext, Solicitor } from "./neighbour_state.ts";
import { ArpCounters } from "../counters.ts";

/** Networks that one interface may answer for. */
const MOST_PROXIES = 256;

/** What ARP needs of its stack. */
export interface ArpContext extends NeighbourContext {
  /** Gives 32 random bits. */
  readonly random: () => number;
}

/** Answers for the interface's addresses, and asks for its neighbours'. */
export class Arp implements Handler, Solicitor, ClaimOutput {
  /** What happened. */
  readonly counters: ArpCounters = new ArpCounters();
  /** Who was found. */
  readonly neighbours: NeighbourCache;
  /**
   * Called when somebody else uses an address of ours: his link address is 16 and 32 bits. Each time, so whoever
   * listens limits what he makes of it.
   */
  onConflict: ((address: IpAddress, macHigh: number, macLow: number) => void) | null = null;
  readonly #interface: Interface;
  readonly #context: ArpContext;
  #claims: readonly AddressClaim[] = [];
  #proxies: readonly Cidr[] = [];

  /**
   * Makes the resolver of one interface.
   * @param owner The interface.
   * @param context The stack.
   */
  constructor(owner: Interface, context: ArpContext) {
    this.#interface = owner;
    this.#context = context;
    this.neighbours = new NeighbourCache(owner, this.counters, this, context);
  }

  receive(packet: Packet): void {
    const { view, offset: at } = packet;
    const { counters, neighbours } = this;
    const own = this.#interface;
    counters.received++;
    if (packet.end - at < arp.LENGTH) {
      counters.dropped.truncated++;
      return;
    }
    if (!arp.isIpv4OverEthernet(view, at)) {
      counters.dropped.unsupported++;
      return;
    }
    const high = arp.senderHigh(view, at), low = arp.senderLow(view, at);
    const sender = arp.senderAddress(view, at), target = arp.targetAddress(view, at);
    if (ethernet.isGroup(high) || (high | low) === 0 || sender >>> 28 >= 14 || sender >>> 24 === 127) {
      counters.dropped.badSender++;
      return;
    }
    const operation = arp.operation(view, at);
    // What we have said ourselves comes back from some switches and access points.
    const ours = high === own.macHigh && low === own.macLow;
    if (!ours && this.#claims.length > 0) this.#contest(sender, target, operation);
    if (sender !== 0 && own.hasV4(sender)) {
      // Neither may change what we know.
      counters.dropped.conflict++;
      if (!ours) this.onConflict?.(IpAddress.v4(sender), high, low);
      return;
    }
    const forUs = own.hasV4(target) || (this.#proxies.length > 0 && this.#answersFor(sender, target));
    const entry = sender === 0 ? null : neighbours.findV4(sender);
    if (entry !== null) {
      neighbours.learn(entry, high, low, operation === arp.REPLY && forUs);
    }
    if (operation !== arp.REQUEST || !forUs) {
      if (entry !== null) counters.delivered++;
      else counters.dropped.unsolicited++;
      return;
    }
    counters.delivered++;
    // It is about to talk to us, so the answer's answer will need the entry (RFC 826, "Packet Reception").
    if (entry === null && sender !== 0) neighbours.add(IpAddress.v4(sender), high, low);
    counters.answered++;
    arp.write(view, at, arp.REPLY, own.macHigh, own.macLow, target, high, low, sender);
    packet.end = at + arp.LENGTH;
    own.send(packet, high, low, ethernet.ARP);
  }

  unreachable(neighbour: Neighbour): void {
    this.#interface.redirects.unreachable(neighbour.address);
  }

  solicit(neighbour: Neighbour, unicast: boolean): void {
    const target = neighbour.address.d;
    const source = this.#interface.sourceV4For(target);
    if (unicast) this.#request(source, target, neighbour.macHigh, neighbour.macLow);
    else this.#request(source, target, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW);
  }

  /** The time, in µs. */
  get now(): number {
    return this.#context.now;
  }

  /** The stack's timers. */
  get timers(): TimerWheel {
    return this.#context.timers;
  }

  /** Gives 32 random bits. */
  random(): number {
    return this.#context.random();
  }

  /** Networks, or single addresses, that questions are answered for as if they were ours (RFC 1027). */
  get proxies(): readonly Cidr[] {
    return this.#proxies;
  }

  /** Answers for a network as if it were ours, but not to those in it who ask for themselves. @throws {StackError} `TooMany` beyond 256. */
  addProxy(network: Cidr): void {
    if (this.#proxies.length >= MOST_PROXIES) {
      throw new StackError(
        "TooMany",
        `Cannot answer for ${network}: there are ${MOST_PROXIES} networks already`,
      );
    }
    this.#proxies = [...this.#proxies, network];
  }

  /** Does not answer for a network any more. Does nothing when it was not answered for. */
  removeProxy(network: Cidr): void {
    this.#proxies = this.#proxies.filter((other) =>
      other.prefix !== network.prefix || !other.network.address.equals(network.network.address)
    );
  }

  /**
   * Finds out whether somebody else has an address before it is used (RFC 5227, section 2.1). When nobody has, give it to
   * the interface or let the claim go: the interface then announces and defends it.
   * @param timing How long to ask. Default: as the RFC says, 4 to 7 seconds.
   */
  claim(address: IpAddress, handler: ClaimHandler, timing: ProbeTiming = PROBE_TIMING): AddressClaim {
    this.#claimOf(address)?.end();
    const claim = new AddressClaim(this, address, handler, timing);
    this.#claims = [...this.#claims, claim];
    claim.start();
    return claim;
  }

  /** @internal The interface has got an address. */
  hold(address: IpAddress, announce: boolean): void {
    let claim = this.#claimOf(address);
    if (claim === null) {
      claim = new AddressClaim(this, address, null, PROBE_TIMING);
      this.#claims = [...this.#claims, claim];
    }
    claim.hold(announce);
  }

  /** @internal The interface has lost an address. */
  letGo(address: IpAddress): void {
    this.#claimOf(address)?.end();
  }

  /** @internal */
  ended(claim: AddressClaim): void {
    this.#claims = this.#claims.filter((other) => other !== claim);
  }

  /** @internal Asks who has `address` without a word about ourselves (RFC 5227, section 2.1.1). */
  probe(address: IpAddress): void {
    this.counters.requested++;
    this.#request(0, address.d, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW);
  }

  #claimOf(address: IpAddress): AddressClaim | null {
    return this.#claims.find((claim) => claim.address.equals(address)) ?? null;
  }

  /** Somebody else has spoken: of an address that we claim? */
  #contest(sender: number, target: number, operation: number): void {
    const claims = this.#claims;
    for (let i = 0; i < claims.length; i++) {
      const claim = claims[i]!;
      const word = claim.address.d;
      if (sender === word) claim.contested(false);
      else if (sender === 0 && target === word && operation === arp.REQUEST) claim.contested(true);
    }
  }

  #answersFor(sender: number, target: number): boolean {
    if (sender === 0 || sender === target) return false;
    const proxies = this.#proxies;
    for (let i = 0; i < proxies.length; i++) {
      const { address } = proxies[i]!;
      if (((address.d ^ target) & proxies[i]!.maskWord(3)) === 0) return true;
    }
    return false;
  }

  /** Tells everyone the link address of `address`, which is ours. */
  announce(address: IpAddress): void {
    this.counters.requested++;
    this.#request(address.d, address.d, ethernet.BROADCAST_HIGH, ethernet.BROADCAST_LOW);
  }

  #request(source: number, target: number, high: number, low: number): void {
    const own = this.#interface;
    const packet = own.reserve();
    if (packet === null) return;
    const at = packet.offset;
    arp.write(packet.view, at, arp.REQUEST, own.macHigh, own.macLow, source, 0, 0, target);
    packet.end = at + arp.LENGTH;
    own.send(packet, high, low, ethernet.ARP);
  }
}
