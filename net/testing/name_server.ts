/**
 * A name server for tests: a table of records, and every way of lying that a test wants.
 *
 * @module
 */

import type { Bytes, Packet } from "../../stack/packet.ts";
import { sourceOf, sourcePortOf } from "../../stack/udp/datagram.ts";
import type { UdpSocket } from "../../stack/udp/socket.ts";
import { decodeMessage, encodeMessage, type OutgoingMessage } from "../dns/message.ts";
import { lowerName } from "../dns/names.ts";
import type { DnsMessage, DnsRecord } from "../dns/records.ts";
import type { Network } from "../network.ts";
import type { TcpListener } from "../listener.ts";

/** What came, and how to answer it. */
export interface Asked {
  /** The question. */
  readonly query: DnsMessage;
  /** What the honest server would say. */
  readonly honest: OutgoingMessage;
  /** Whether it came over TCP. */
  readonly tcp: boolean;
  /** Sends to who asked, from another port or host if that is given. */
  send(bytes: Bytes, from?: UdpSocket): void;
}

/** Takes a question away from the honest server. @returns Whether it has. */
export type Liar = (asked: Asked) => boolean | void;

/** A name server on a host of a test. */
export class NameServer {
  /** Everything that was asked. */
  readonly questions: DnsMessage[] = [];
  /** Connections that were accepted. */
  connections = 0;
  /** Lies, while it is set. */
  liar: Liar | null = null;
  /** Servers answer what was asked over UDP with so many bytes at most. */
  most = 1232;
  readonly #records: readonly DnsRecord[];
  readonly #zone: string;
  readonly #listener: TcpListener;

  /** @param network Where it listens, on port 53. @param zone What it is the authority of. @param records What it knows. */
  constructor(network: Network, zone: string, records: readonly DnsRecord[]) {
    this.#records = records;
    this.#zone = zone;
    network.stack.udp.bind({ port: 53 }, { receive: (packet, socket) => this.#receive(packet, socket) });
    this.#listener = network.listen({ port: 53 });
    this.#serve();
  }

  /** What the honest server says. */
  answerTo(query: DnsMessage): OutgoingMessage {
    const { name, type } = query.questions[0]!;
    const answers: DnsRecord[] = [];
    let current = lowerName(name), exists = false;
    for (let i = 0; i < 20; i++) {
      const own = this.#records.filter((record) => record.name === current);
      exists = own.length > 0;
      const found = own.filter((record) => record.type === type);
      const alias = own.find((record) => record.type === "CNAME");
      answers.push(...found);
      if (found.length > 0 || alias === undefined) break;
      answers.push(alias);
      current = alias.data as string;
    }
    const complete = answers.some((record) => record.type === type);
    const soa: DnsRecord = {
      name: this.#zone,
      type: "SOA",
      ttl: 60,
      data: { mname: "ns", rname: "me", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 30 },
    };
    return {
      id: query.id,
      response: true,
      authoritative: true,
      rcode: exists ? 0 : 3,
      questions: query.questions,
      answers,
      authorities: complete ? [] : [soa],
      ...(query.edns ? { edns: 1232 } : {}),
    };
  }

  /** Gives the ports back. */
  close(): void {
    this.#listener.close();
  }

  #receive(packet: Packet, socket: UdpSocket): void {
    const query = decodeMessage(packet.bytes.subarray(packet.offset, packet.end));
    if (typeof query === "string") throw new Error(`The resolver has sent what is malformed: ${query}`);
    this.questions.push(query);
    const to = sourceOf(packet), port = sourcePortOf(packet);
    const send = (bytes: Bytes, from = socket) => void from.send(bytes, 0, bytes.length, to, port);
    const honest = this.answerTo(query);
    if (this.liar?.({ query, honest, tcp: false, send })) return;
    let bytes = encodeMessage(honest);
    if (bytes.length > this.most) bytes = encodeMessage({ ...honest, truncated: true, answers: [] });
    send(bytes);
  }

  async #serve(): Promise<void> {
    for await (const conn of this.#listener) {
      this.connections++;
      (async () => {
        let buffer = new Uint8Array(0);
        for await (const chunk of conn.readable) {
          buffer = Uint8Array.from([...buffer, ...chunk]);
          while (buffer.length >= 2) {
            const length = buffer[0]! << 8 | buffer[1]!;
            if (buffer.length < length + 2) break;
            const query = decodeMessage(buffer.subarray(2, 2 + length));
            buffer = buffer.slice(2 + length);
            if (typeof query === "string") throw new Error(`Malformed: ${query}`);
            this.questions.push(query);
            const send = (bytes: Bytes) =>
              void conn.write(Uint8Array.from([bytes.length >> 8, bytes.length & 255, ...bytes]));
            const honest = this.answerTo(query);
            if (!this.liar?.({ query, honest, tcp: true, send })) send(encodeMessage(honest));
          }
        }
      })().catch(() => {});
    }
  }
}
