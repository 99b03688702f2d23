/**
 * A peer for tests of multicast DNS.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import type { UdpSocket } from "../../stack/udp/socket.ts";
import { decodeMessage, encodeMessage, type OutgoingMessage } from "../dns/message.ts";
import type { DnsMessage, DnsRecord } from "../dns/records.ts";
import type { Network } from "../network.ts";
import { VirtualLink } from "./virtual_link.ts";

const GROUP = IpAddress.parse("224.0.0.251");

/** A host that hears everything, and says what a test wants. */
export class Peer {
  /** What came. */
  readonly heard: { message: DnsMessage; unicast: boolean; at: number }[] = [];
  /** Its host. */
  readonly network: Network;
  readonly #socket: UdpSocket;

  constructor(link: VirtualLink, address: string) {
    this.network = link.host([`${address}/24`]);
    this.#socket = this.network.stack.udp.bind({ port: 5353 }, {
      receive: (packet) => {
        const message = decodeMessage(packet.bytes.subarray(packet.offset, packet.end));
        if (typeof message === "string") throw new Error(message);
        this.heard.push({ message, unicast: packet.view.getUint8(packet.network + 16) < 224, at: link.now });
      },
    });
    this.#socket.groups.join(GROUP);
    this.#socket.multicastLoop = false;
  }

  say(message: OutgoingMessage): void {
    this.raw(encodeMessage(message));
  }

  raw(bytes: Uint8Array<ArrayBuffer>): void {
    this.#socket.send(bytes, 0, bytes.length, GROUP, 5353, { hopLimit: 255 });
  }

  tell(...answers: DnsRecord[]): void {
    this.say({ response: true, authoritative: true, answers });
  }

  ask(name: string, type: string, more: OutgoingMessage & { unicast?: boolean } = {}): void {
    const { unicast, ...rest } = more;
    this.say({ questions: [unicast ? { name, type, unicast } : { name, type }], ...rest });
  }

  responses(): DnsMessage[] {
    return this.heard.filter(({ message }) => message.response).map(({ message }) => message);
  }

  queries(): DnsMessage[] {
    return this.heard.filter(({ message }) => !message.response).map(({ message }) => message);
  }
}

/** An address that only its host may have. */
export function a(name: string, data: string, ttl = 120): DnsRecord {
  return { name, type: "A", ttl, data, flush: true };
}

/** A host of ours that has its name, and a peer whose ears are empty. */
export async function scene(hostname = "printer") {
  const link = new VirtualLink();
  const host = link.host(["10.0.0.1/24"], { hostname });
  const peer = new Peer(link, "10.0.0.2");
  await link.pass(4_000_000);
  peer.heard.length = 0;
  return { link, host, peer, counters: host.mdns.counters, [Symbol.dispose]: () => link[Symbol.dispose]() };
}
