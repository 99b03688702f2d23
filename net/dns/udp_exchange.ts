/**
 * One question in one datagram to one server, and what comes back. Who answers has to know the port, the ID and the
 * letters of the question, all three random (RFC 5452), and to be the server.
 *
 * @module
 */

import { StackError } from "../../stack/errors.ts";
import type { IpAddress } from "../../stack/ip/address.ts";
import type { Packet } from "../../stack/packet.ts";
import type { Stack } from "../../stack/stack.ts";
import { sourceOf, sourcePortOf } from "../../stack/udp/datagram.ts";
import type { UdpSocket } from "../../stack/udp/socket.ts";
import type { DnsCounters } from "./counters.ts";
import { decodeMessage, encodeMessage } from "./message.ts";
import { lowerName, randomCase } from "./names.ts";
import type { DnsMessage } from "./records.ts";
import type { NameServer } from "./server.ts";

/** Bytes of an answer that no link has to cut (DNS flag day 2020). */
export const EDNS_SIZE = 1232;
/** Tries to find a free port at random. */
const PORT_TRIES = 16;

/** Told how it went; once. */
export interface UdpExchangeHandler {
  /** The server's answer. */
  answered(message: DnsMessage, server: NameServer): void;
  /** The server has answered to other letters than were asked: it may not keep them, or it is not the server. */
  mangled(server: NameServer): void;
  /** It can't be reached. */
  failed(server: NameServer): void;
}

/** A question under way. */
export class UdpExchange {
  readonly #server: NameServer;
  readonly #handler: UdpExchangeHandler;
  readonly #counters: DnsCounters;
  readonly #socket: UdpSocket | null;
  readonly #id: number;
  readonly #name: string;
  readonly #type: string;
  #over = false;

  /**
   * Asks.
   *
   * @param stack Who asks. @param server Who is asked. @param name In lower case. @param type Of record.
   * @param edns Whether more than 512 bytes may come back. @param counters What is counted. @param handler Who is told;
   *   not before this returns.
   */
  constructor(
    stack: Stack,
    server: NameServer,
    name: string,
    type: string,
    edns: boolean,
    counters: DnsCounters,
    handler: UdpExchangeHandler,
  ) {
    this.#server = server;
    this.#handler = handler;
    this.#counters = counters;
    this.#id = stack.random() & 0xffff;
    this.#name = randomCase(name, stack.random);
    this.#type = type;
    const bytes = encodeMessage({
      id: this.#id,
      recursionDesired: true,
      questions: [{ name: this.#name, type }],
      ...(edns ? { edns: EDNS_SIZE } : {}),
    });
    let socket: UdpSocket | null = null;
    try {
      socket = bindRandom(stack, {
        receive: (packet) => this.#receive(packet),
        error: (_kind, remote, port) => this.#refused(remote, port),
      });
      socket.send(bytes, 0, bytes.length, server.address, server.port, { interface: server.interface });
      counters.queries++;
    } catch (error) {
      if (!(error instanceof StackError)) throw error;
      // No way there, or no port: as if nobody answered, and known at once.
      socket?.close();
      socket = null;
    }
    this.#socket = socket;
  }

  /** Whether the question has left. */
  get sent(): boolean {
    return this.#socket !== null;
  }

  /** Who is asked. */
  get server(): NameServer {
    return this.#server;
  }

  /** Nobody is told anything more. Idempotent. */
  close(): void {
    this.#over = true;
    this.#socket?.close();
  }

  #receive(packet: Packet): void {
    if (this.#over) return;
    const { dropped } = this.#counters;
    const { address, port } = this.#server;
    if (sourcePortOf(packet) !== port || !sourceOf(packet).equals(address)) {
      dropped.wrongSource++;
      return;
    }
    if (packet.length > EDNS_SIZE) {
      dropped.oversized++;
      return;
    }
    const message = decodeMessage(packet.bytes.subarray(packet.offset, packet.end));
    if (typeof message === "string") {
      dropped[message]++;
      return;
    }
    if (message.id !== this.#id) {
      dropped.wrongId++;
      return;
    }
    if (!message.response || message.opcode !== 0) {
      dropped.notResponse++;
      return;
    }
    const question = message.questions[0];
    if (
      message.questions.length !== 1 || question!.type !== this.#type ||
      lowerName(question!.name) !== lowerName(this.#name)
    ) {
      dropped.wrongQuestion++;
      return;
    }
    if (question!.name !== this.#name) {
      dropped.wrongCase++;
      this.#over = true;
      this.#handler.mangled(this.#server);
      return;
    }
    this.#over = true;
    this.#counters.responses++;
    this.#handler.answered(message, this.#server);
  }

  /** An ICMP error about our question. */
  #refused(remote: IpAddress, port: number): void {
    const { address, port: asked } = this.#server;
    if (this.#over || port !== asked || !remote.equals(address)) return;
    this.#over = true;
    this.#handler.failed(this.#server);
  }
}

/** Binds one of all ports that no system service has: dynamic ones alone would be a quarter as hard to guess. */
function bindRandom(
  stack: Stack,
  handler: { receive(packet: Packet): void; error(kind: unknown, remote: IpAddress, port: number): void },
): UdpSocket {
  for (let i = 0; i < PORT_TRIES; i++) {
    const port = 1024 + (stack.random() >>> 0) % (65536 - 1024);
    try {
      return stack.udp.bind({ port }, handler);
    } catch (error) {
      if (!(error instanceof StackError) || error.code !== "AddressInUse") throw error;
    }
  }
  return stack.udp.bind({}, handler);
}
