/**
 * A DHCPv4 server for unit tests, beside one host on a {@link TestDevice}. It reads what the host sends and answers as
 * it is told.
 *
 * @module
 */

import { IpAddress } from "../ip/address.ts";
import type { Bytes } from "../packet.ts";
import { MessageType, Option } from "../wire/dhcp.ts";
import { checksumsOk, udpFrame } from "./frames.ts";
import type { Host } from "./pair.ts";

/** A request of a client. */
export interface SeenRequest {
  /** Its kind. */
  type: string;
  /** When it came, in seconds. */
  at: number;
  /** Source and destination of the packet. */
  from: string;
  to: string;
  /** `ciaddr`. */
  client: string;
  flags: number;
  options: Map<number, Bytes>;
}

/** Answers one host. */
export class TestDhcpServer {
  /** What the host has asked. */
  readonly seen: SeenRequest[] = [];
  /** The kinds of messages that are answered. */
  answers = new Set<MessageType>([MessageType.Discover, MessageType.Request]);
  /** Whether requests are refused. */
  refuses = false;
  /** The address that is given. */
  address = "10.0.0.50";
  /** Further options, by number. */
  options: [number, number[]][] = [[Option.SubnetMask, [255, 255, 255, 0]], [Option.Router, [10, 0, 0, 1]]];
  /** Seconds of a lease. */
  lease = 1000;
  /** ARP questions for these addresses are answered: they are somebody else's. */
  readonly taken = new Set<string>();
  now = 0;
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Lets time pass. */
  pass(seconds: number): void {
    const end = this.now + seconds * 1_000_000;
    const { stack } = this.#host;
    for (;;) {
      const next = stack.poll(this.now);
      const frames = this.#host.device.take();
      if (frames.length > 0) {
        for (const { bytes } of frames) this.#hear(bytes);
        continue;
      }
      if (next > end) break;
      this.now = Math.max(next, this.now + 1);
    }
    this.now = end;
    stack.advance(end);
  }

  /** Kinds of what was asked since the last call. */
  kinds(): string {
    return this.seen.splice(0).map(({ type }) => type).join(" ");
  }

  /** Lets a frame come in. */
  deliver(frame: Bytes): void {
    this.#host.device.deliver(this.#host.interface, frame);
  }

  /** A message of the server, from `op` on. */
  message(
    type: MessageType,
    transaction: number,
    options: [number, number[]][],
    address = this.address,
  ): Bytes {
    const bytes = new Uint8Array(600);
    const view = new DataView(bytes.buffer);
    view.setInt32(0, 0x02010600);
    view.setInt32(4, transaction);
    if (type !== MessageType.Nak) IpAddress.parse(address).write(view, 16);
    bytes.set([2, 0, 0, 0, 0, 1], 28);
    view.setInt32(236, 0x63825363);
    let at = 240;
    for (const [code, value] of [[Option.MessageType, [type]] as [number, number[]], ...options]) {
      bytes.set([code, value.length, ...value], at);
      at += 2 + value.length;
    }
    bytes[at] = 255;
    return bytes;
  }

  /** A datagram of the server. */
  frame(payload: ArrayLike<number>, to = "255.255.255.255", checksum?: number): Bytes {
    return udpFrame(67, 68, payload, {
      source: "10.0.0.1",
      from: 9,
      destination: to,
      to: to === "255.255.255.255" ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, 1],
      ...(checksum === undefined ? {} : { checksum }),
    });
  }

  /** What every lease says. */
  terms(): [number, number[]][] {
    const { lease } = this;
    return [
      [Option.Server, [10, 0, 0, 1]],
      [Option.LeaseTime, [lease >>> 24, lease >>> 16 & 255, lease >>> 8 & 255, lease & 255]],
      ...this.options,
    ];
  }

  #hear(bytes: Bytes): void {
    const view = new DataView(bytes.buffer);
    if (view.getUint16(12) === 0x0806) {
      this.#arp(bytes, view);
      return;
    }
    if (view.getUint16(12) !== 0x0800 || view.getUint8(23) !== 17 || view.getUint16(36) !== 67) return;
    if (!checksumsOk(bytes)) throw new Error("A checksum is wrong");
    const options = new Map<number, Bytes>();
    for (let at = 42 + 240; bytes[at] !== 255; at += 2 + bytes[at + 1]!) {
      options.set(bytes[at]!, bytes.slice(at + 2, at + 2 + bytes[at + 1]!));
    }
    const type = options.get(Option.MessageType)![0]! as MessageType;
    this.seen.push({
      type: MessageType[type]!,
      at: Math.round(this.now / 1e5) / 10,
      from: `${IpAddress.read(4, view, 26)}`,
      to: `${IpAddress.read(4, view, 30)}`,
      client: `${IpAddress.read(4, view, 42 + 12)}`,
      flags: view.getUint16(42 + 10),
      options,
    });
    if (!this.answers.has(type)) return;
    const transaction = view.getInt32(42 + 4);
    const to = view.getInt32(42 + 12) !== 0 ? `${IpAddress.read(4, view, 54)}` : this.address;
    if (this.refuses && type === MessageType.Request) {
      const nak = this.message(MessageType.Nak, transaction, [[Option.Server, [10, 0, 0, 1]]]);
      this.deliver(this.frame(nak));
      return;
    }
    const answer = type === MessageType.Discover ? MessageType.Offer : MessageType.Ack;
    this.deliver(this.frame(this.message(answer, transaction, this.terms()), to));
  }

  #arp(bytes: Bytes, view: DataView): void {
    const target = `${IpAddress.read(4, view, 38)}`;
    if (view.getUint16(20) !== 1 || !(this.taken.has(target) || target === "10.0.0.1")) return;
    const answer = bytes.slice();
    answer.set(bytes.subarray(6, 12), 0);
    answer.set([2, 0, 0, 0, 0, 9], 6);
    answer[21] = 2;
    answer.set([2, 0, 0, 0, 0, 9, ...bytes.subarray(38, 42), ...bytes.subarray(22, 32)], 22);
    this.deliver(answer);
  }
}
