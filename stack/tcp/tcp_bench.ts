/**
 * What a segment costs between the frame and the connection: `deno bench -A stack/tcp/tcp_bench.ts`. Each is a request of one
 * byte, which acknowledges the last response, and makes the next one. The cost may grow with the number of connections only by the
 * processor's caches.
 *
 * @module
 */

import { Cidr, IpAddress } from "../ip/address.ts";
import { CHECKSUM_VALID } from "../packet.ts";
import { Stack } from "../stack.ts";
import { ipv4Frame } from "../testing/frames.ts";
import { xorshift } from "../testing/pair.ts";
import { SinkDevice } from "../testing/sink_device.ts";
import * as wire from "../wire/tcp.ts";
import type { ConnectionHandler } from "./api.ts";

/** Segments of one iteration. */
const BATCH = 1000;
/** Segments between two polls of the stack. */
const TURN = 10;
/** Where the segment begins in a frame. */
const SEGMENT = 14 + 20;
/** The peers' first sequence number. */
const FIRST = 1000;

const service: ConnectionHandler = {
  connected() {},
  receive: (connection, bytes, offset, length) => connection.write(bytes, offset, length),
  finished() {},
  writable() {},
  closed() {},
};

/** A server with so many connections, and their peers, who know no more than two numbers. */
class Peers {
  readonly #count: number;
  readonly #device = new SinkDevice(1);
  readonly #stack = new Stack({ random: xorshift(1) });
  readonly #interface;
  readonly #frame = ipv4Frame(wire.PROTOCOL, new Uint8Array(wire.HEADER_LENGTH + 1), { source: "10.0.0.2" });
  readonly #view = new DataView(this.#frame.buffer);
  readonly #sequences: Int32Array;
  readonly #acknowledgments: Int32Array;
  #now = 1;
  #next = 0;

  constructor(count: number) {
    this.#count = count;
    this.#sequences = new Int32Array(count).fill(FIRST);
    this.#acknowledgments = new Int32Array(count);
    this.#interface = this.#stack.addInterface(this.#device, {
      addresses: [Cidr.parse("10.0.0.1/24")],
      ipv6: false,
    });
    this.#interface.arp.neighbours.setPermanent(IpAddress.parse("10.0.0.2"), 0x0200, 2);
    this.#stack.tcp.listen({ port: 80 }, {
      ready(listener) {
        for (let connection; (connection = listener.take()) !== null;) connection.handler = service;
      },
    });
    for (let i = 0; i < count; i++) {
      this.#send(i, wire.SYN, 0);
      this.#poll();
      // The answer lies where it was sent.
      const { view, link } = this.#device.sent;
      this.#acknowledgments[i] = wire.sequence(view, link + SEGMENT) + 1 | 0;
      this.#sequences[i] = FIRST + 1;
      this.#send(i, wire.ACK, 0);
      this.#poll();
    }
    if (this.#stack.tcp.size !== count) throw new Error(`${this.#stack.tcp.size} connections of ${count}`);
  }

  /** So many requests, on one connection after the other. */
  ask(requests: number): void {
    const before = this.#device.counters.sentFrames;
    for (let done = 0; done < requests; done += TURN) {
      for (let i = 0; i < TURN; i++) {
        const at = this.#next;
        this.#next = at + 1 === this.#count ? 0 : at + 1;
        this.#send(at, wire.ACK | wire.PSH, 1);
        this.#sequences[at] = this.#sequences[at]! + 1 | 0;
        this.#acknowledgments[at] = this.#acknowledgments[at]! + 1 | 0;
      }
      this.#poll();
    }
    const answers = this.#device.counters.sentFrames - before;
    if (answers !== requests) throw new Error(`${answers} of ${requests} requests were answered`);
  }

  #send(i: number, flags: number, length: number): void {
    const view = this.#view;
    view.setUint16(SEGMENT, 1024 + i);
    view.setUint16(SEGMENT + 2, 80);
    view.setInt32(SEGMENT + 4, this.#sequences[i]!);
    view.setInt32(SEGMENT + 8, this.#acknowledgments[i]!);
    view.setUint16(SEGMENT + 12, wire.HEADER_LENGTH / 4 << 12 | flags);
    view.setUint16(SEGMENT + 14, 0xffff);
    view.setUint16(16, 20 + wire.HEADER_LENGTH + length);
    // The header's sum follows its length.
    view.setUint16(24, 0);
    let sum = 0;
    for (let at = 14; at < SEGMENT; at += 2) sum += view.getUint16(at);
    sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(24, ~(sum + (sum >>> 16)));
    this.#device.place(this.#frame);
    this.#device.deliver(this.#interface, SEGMENT + wire.HEADER_LENGTH + length, CHECKSUM_VALID);
  }

  #poll(): void {
    this.#stack.poll(this.#now += 100);
  }
}

for (const count of [10, 10_000]) {
  const peers = new Peers(count);
  Deno.bench({
    name: `${BATCH} × a byte there and back, ${count} connections in turn`,
    group: "requests",
    baseline: count === 10,
    fn: () => peers.ask(BATCH),
  });
}
