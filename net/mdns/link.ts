/**
 * Multicast DNS on one link: what comes in is handed to those who want it, what goes out is cut to fit a packet.
 *
 * @module
 */

import { StackError } from "../../stack/errors.ts";
import { IpAddress } from "../../stack/ip/address.ts";
import type { Interface } from "../../stack/link/interface.ts";
import type { Packet } from "../../stack/packet.ts";
import type { Stack } from "../../stack/stack.ts";
import type { SendOptions } from "../../stack/udp/datagram.ts";
import { destinationOf, sourceOf, sourcePortOf, type UdpSocket } from "../../stack/udp/socket.ts";
import type { Clock } from "../clock.ts";
import { lowerName } from "../dns/names.ts";
import { decodeMessage, encodeMessage, type OutgoingMessage } from "../dns/message.ts";
import type { DnsMessage, DnsQuestion, DnsRecord } from "../dns/records.ts";
import type { MdnsCounters } from "./counters.ts";
import { Querier } from "./querier.ts";
import { Responder } from "./responder.ts";

/** Where multicast DNS is spoken (RFC 6762, section 3). */
export const MDNS_PORT = 5353;
/** The groups. */
export const GROUP_V4: IpAddress = IpAddress.parse("224.0.0.251");
/** The groups. */
export const GROUP_V6: IpAddress = IpAddress.parse("ff02::fb");
/** Hop limit of what is sent (section 11). */
const HOPS = 255;
/** Bytes of IPv6 and UDP headers. */
const HEADERS = 48;
/** Bytes of a message, whatever the link takes (section 17). */
const MOST_BYTES = 8952;
/** µs in which an answer to us alone may come, when one was asked for (section 6). */
const UNICAST_PATIENCE = 2_000_000;
/** Names that are remembered for it. The oldest makes room. */
const MOST_ASKED = 512;

/** Who has sent a message. */
export interface Sender {
  /** From where. */
  readonly address: IpAddress;
  /** From which port; other than 5353 for a simple resolver (section 6.7). */
  readonly port: number;
  /** Whether it was sent to us alone. */
  readonly unicast: boolean;
}

/** What all links share. */
export interface LinkContext {
  /** The stack. */
  readonly stack: Stack;
  /** Its time. */
  readonly clock: Clock;
  /** What is counted. */
  readonly counters: MdnsCounters;
}

/** One interface. */
export class MdnsLink {
  /** The interface. */
  readonly interface: Interface;
  /** What all links share. */
  readonly context: LinkContext;
  /** Answers. */
  readonly responder: Responder;
  /** Asks. */
  readonly querier: Querier;
  readonly #socket: UdpSocket;
  /** What is sent to a link-local address stays on this link. */
  readonly #options: SendOptions;
  /** Names for which an answer to us alone was asked for, in lower case, and until when it is taken (µs). */
  readonly #asked = new Map<string, number>();

  /**
   * Joins the groups of an interface.
   *
   * @param context What all links share. @param by The interface.
   * @param receive Takes packets of port 5353, of whatever interface they are.
   * @throws {StackError} The port is taken, or there are too many groups.
   */
  constructor(context: LinkContext, by: Interface, receive: (packet: Packet) => void) {
    this.context = context;
    this.interface = by;
    this.#options = { hopLimit: HOPS, interface: by };
    this.#socket = context.stack.udp.bind({ port: MDNS_PORT, reuse: true }, { receive });
    try {
      this.#socket.multicastInterface = by;
      this.#socket.multicastLoop = false;
      this.#socket.multicastHops = HOPS;
      this.#socket.groups.join(GROUP_V4, { interface: by });
      if (by.nd !== null) this.#socket.groups.join(GROUP_V6, { interface: by });
    } catch (error) {
      this.#socket.close();
      throw error;
    }
    this.querier = new Querier(this);
    this.responder = new Responder(this);
  }

  /** The time, in µs. */
  get now(): number {
    return this.context.clock.time();
  }

  /** A random whole number of µs from `least` to `most`. */
  random(least: number, most: number): number {
    return least + (this.context.stack.random() >>> 0) % (most - least + 1);
  }

  /** Whether an address of ours is good for sending. */
  get ready(): boolean {
    const { stack } = this.context;
    return this.interface.active && (
      stack.path(GROUP_V4, null, this.interface) !== null && this.#has(4) ||
      this.interface.nd !== null && stack.path(GROUP_V6, null, this.interface) !== null
    );
  }

  /** Takes a packet that came by this interface. */
  receive(packet: Packet): void {
    const { counters } = this.context;
    const { dropped } = counters;
    const from: Sender = {
      address: sourceOf(packet),
      port: sourcePortOf(packet),
      unicast: !destinationOf(packet).isMulticast,
    };
    if (!this.#onLink(from.address)) {
      dropped.offLink++;
      return;
    }
    const message = decodeMessage(packet.bytes.subarray(packet.offset, packet.end));
    if (typeof message === "string") {
      dropped[message]++;
      return;
    }
    if (message.opcode !== 0 || message.rcode !== 0) {
      dropped.wrongCode++;
      return;
    }
    if (!message.response) {
      counters.queries++;
      this.querier.heard(message, from);
      this.responder.asked(message, from);
      return;
    }
    if (from.port !== MDNS_PORT) {
      dropped.wrongPort++;
      return;
    }
    // A packet to a group has to come from the link; one to us alone may come from anywhere, whatever source it tells.
    if (from.unicast && !this.#awaited(message)) {
      dropped.unasked++;
      return;
    }
    counters.responses++;
    const records = [...message.answers, ...message.additionals];
    for (const record of records) record.interface = this.interface;
    this.responder.told(records);
    this.querier.told(records);
  }

  /** Asks the group. What the asker knows already may need several packets (section 7.2). */
  ask(
    questions: readonly DnsQuestion[],
    known: readonly DnsRecord[],
    authorities: readonly DnsRecord[] = [],
  ): void {
    for (const { name, unicast } of questions) if (unicast) this.#expect(lowerName(name));
    const parts = this.#parts(known, encodeMessage({ questions, authorities }).length);
    parts.forEach((answers, i) => {
      const first = i === 0 ? { questions, authorities } : {};
      this.#send({ ...first, answers, truncated: i + 1 < parts.length }, null);
    });
  }

  /** Tells the group, or one host. @returns Whether all of it has left. */
  tell(answers: readonly DnsRecord[], additionals: readonly DnsRecord[], to: Sender | null): boolean {
    const parts = this.#parts(answers, 12);
    let sent = true;
    parts.forEach((part, i) => {
      const message = { response: true, authoritative: true, answers: part };
      // What is only of use is left out where it finds no room.
      const rest = i + 1 < parts.length ? [] : this.#fitting(additionals, encodeMessage(message).length);
      if (!this.#send({ ...message, additionals: rest }, to)) sent = false;
    });
    return sent;
  }

  /** Answers a simple resolver as a name server does (section 6.7). */
  tellSimple(
    query: DnsMessage,
    answers: readonly DnsRecord[],
    additionals: readonly DnsRecord[],
    to: Sender,
  ): boolean {
    const { id, questions } = query;
    const base = { id, response: true, authoritative: true, questions };
    const size = encodeMessage(base).length;
    const fitting = this.#fitting(answers, size);
    const rest = this.#fitting(additionals, encodeMessage({ ...base, answers: fitting }).length);
    return this.#send({
      ...base,
      answers: fitting,
      additionals: rest,
      truncated: fitting.length < answers.length,
    }, to);
  }

  /** Leaves the groups. */
  close(): void {
    this.responder.close();
    this.querier.close();
    this.#socket.close();
  }

  #send(message: OutgoingMessage, to: Sender | null): boolean {
    const bytes = encodeMessage(message);
    if (to !== null) return this.#sendTo(bytes, to.address, to.port);
    const four = this.#has(4) && this.#sendTo(bytes, GROUP_V4, MDNS_PORT);
    const six = this.interface.nd !== null && this.#sendTo(bytes, GROUP_V6, MDNS_PORT);
    if (!four && !six) this.context.counters.sendFailed++;
    return four || six;
  }

  #sendTo(bytes: Uint8Array<ArrayBuffer>, address: IpAddress, port: number): boolean {
    try {
      return this.#socket.send(bytes, 0, bytes.length, address, port, this.#options);
    } catch (error) {
      // Without an address, or a route, there is nobody to tell.
      if (error instanceof StackError) return false;
      throw error;
    }
  }

  #has(version: 4 | 6): boolean {
    return this.interface.addresses.some(({ address }) => address.version === version);
  }

  /** Takes answers to us alone about a name for a while. */
  #expect(name: string): void {
    this.#asked.delete(name);
    if (this.#asked.size >= MOST_ASKED) this.#asked.delete(this.#asked.keys().next().value!);
    this.#asked.set(name, this.now + UNICAST_PATIENCE);
  }

  /** Whether an answer to us alone answers what we have asked lately. */
  #awaited({ answers }: DnsMessage): boolean {
    const { now } = this;
    return answers.some(({ name }) => (this.#asked.get(lowerName(name)) ?? -1) >= now);
  }

  /** Link-local, or of one of the networks of the interface. */
  #onLink(address: IpAddress): boolean {
    return address.isLinkLocal || this.interface.addresses.some((own) => own.contains(address));
  }

  /** Records in parts that fit a packet each; one part when there is nothing. */
  #parts(records: readonly DnsRecord[], first: number): DnsRecord[][] {
    const parts: DnsRecord[][] = [[]];
    let left = this.#room - first;
    for (const record of records) {
      const size = encodeMessage({ answers: [record] }).length - 12;
      if (size > left && parts.at(-1)!.length > 0) {
        parts.push([]);
        left = this.#room - 12;
      }
      parts.at(-1)!.push(record);
      left -= size;
    }
    return parts;
  }

  #fitting(records: readonly DnsRecord[], used: number): DnsRecord[] {
    const fitting: DnsRecord[] = [];
    for (const record of records) {
      used += encodeMessage({ answers: [record] }).length - 12;
      if (used > this.#room) break;
      fitting.push(record);
    }
    return fitting;
  }

  get #room(): number {
    return Math.min(this.interface.mtu - HEADERS, MOST_BYTES);
  }
}
