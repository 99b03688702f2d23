/**
 * Two TCP layers joined by a wire in virtual time, without the layers below: for tests that look at every segment.
 *
 * @module
 */

import { type Device, DeviceCounters, OFFLOAD_CHECKSUM, OFFLOAD_TSO4 } from "../device.ts";
import { KeyedHash } from "../hash.ts";
import { IpAddress } from "../ip/address.ts";
import type { Path } from "../ip/path.ts";
import { CHECKSUM_VALID, FREE, HEADROOM, Packet, Region, RESERVED, SLOT_SIZE } from "../packet.ts";
import type { Stack } from "../stack.ts";
import type { Connection, ConnectionHandler } from "../tcp/api.ts";
import { Tcp } from "../tcp/tcp.ts";
import { TimerWheel } from "../timer_wheel.ts";
import * as wire from "../wire/tcp.ts";
import type { StackError } from "../errors.ts";

/** A segment on its way. */
export interface Flying {
  /** When it arrives, in µs. */
  at: number;
  /** Which side sent it: 0 or 1. */
  from: number;
  /** TCP header and payload. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Traffic class, with its two ECN bits. */
  trafficClass: number;
}

/** What a segment says, for asserting. */
export interface Told {
  from: number;
  flags: string;
  /** Relative to the sender's ISN. */
  sequence: number;
  /** Relative to the peer's ISN. */
  acknowledgment: number;
  length: number;
  window: number;
}

class Host {
  readonly timers = new TimerWheel();
  readonly address: IpAddress;
  readonly slot: Packet;
  readonly route: Path;
  readonly errors: unknown[] = [];
  readonly tcp: Tcp;
  readonly random: () => number;
  readonly hash: KeyedHash;
  readonly pair: TcpPair;

  constructor(pair: TcpPair, index: number, seed: number) {
    this.pair = pair;
    this.address = IpAddress.parse(`10.0.0.${index + 1}`);
    let state = seed + index;
    this.random = () => state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    this.hash = new KeyedHash(this.random);
    const region = new Region(new ArrayBuffer(SLOT_SIZE));
    const device = { offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4, free: 64, counters: new DeviceCounters() };
    this.slot = new Packet(device as unknown as Device, region, 0, 0, SLOT_SIZE);
    const other = IpAddress.parse(`10.0.0.${2 - index}`);
    const sum = (word: number) => (word >>> 16) + (word & 0xffff);
    this.route = {
      version: 4,
      source: this.address,
      destination: other,
      interface: { device, mtu: pair.mtu } as unknown as Path["interface"],
      mtu: pair.mtu,
      headerLength: 20,
      addressSum: sum(this.address.d) + sum(other.d),
      local: false,
      group: false,
      reserve: () => {
        if (this.slot.state !== FREE) throw new Error("The slot was not given back");
        this.slot.reset(HEADROOM, HEADROOM);
        this.slot.state = RESERVED;
        return this.slot;
      },
      send: (packet, _protocol, trafficClass) => {
        const bytes = new Uint8Array(packet.length);
        packet.copyTo(bytes, 0);
        packet.state = FREE;
        pair.sent(index, bytes, packet.gsoSize, trafficClass);
        return true;
      },
      learnMtu: () => {},
      confirm: () => {},
    } as Path;
    this.tcp = new Tcp(this as unknown as Stack);
  }

  get now(): number {
    return this.pair.now;
  }

  wake(): void {}
  isLocal(): boolean {
    return true;
  }
  path(): Path {
    return this.route;
  }
  pathBack(): Path {
    return this.route;
  }
  report(error: unknown): void {
    this.errors.push(error);
  }
}

/** What becomes of a frame. */
export type Fate = (segment: Told, count: number) => boolean | number | "mark";

/** Options of a pair. */
export interface TcpPairOptions {
  /** One-way delay in µs. Default 10,000. */
  delay?: number;
  /** Default 1500. */
  mtu?: number;
  /** Decides for every frame: false loses it; a number adds that many µs; "mark" marks it if it may be marked. */
  fate?: Fate;
}

/** Two hosts and time. */
export class TcpPair {
  now = 1_000_000;
  readonly mtu: number;
  readonly hosts: [Host, Host];
  /** All that was sent, lost or not. */
  readonly log: Told[] = [];
  /** Hop limit with which everything arrives. */
  hopLimit = 64;
  /** Sees, and may change, the bytes of every frame that leaves; false loses it. */
  watch: ((bytes: Uint8Array<ArrayBuffer>, from: number) => boolean | void) | null = null;
  readonly #delay: number;
  readonly #fate: Fate;
  #flying: Flying[] = [];
  readonly #isn: [number | null, number | null] = [null, null];
  readonly #scratch: Packet;

  constructor(options: TcpPairOptions = {}) {
    this.#delay = options.delay ?? 10_000;
    this.mtu = options.mtu ?? 1500;
    this.#fate = options.fate ?? (() => true);
    this.hosts = [new Host(this, 0, 1), new Host(this, 1, 1000)];
    this.#scratch = new Packet(
      null as unknown as Device,
      new Region(new ArrayBuffer(2 * SLOT_SIZE)),
      0,
      0,
      2 * SLOT_SIZE,
    );
  }

  /** The TCP layer of side 0 or 1. */
  tcp(side: 0 | 1): Tcp {
    return this.hosts[side].tcp;
  }

  /** A segment leaves: super-frames are cut into frames. */
  sent(from: number, bytes: Uint8Array<ArrayBuffer>, frame: number, trafficClass: number): void {
    const view = new DataView(bytes.buffer);
    const header = wire.headerLength(view, 0);
    const payload = bytes.length - header;
    const size = frame === 0 ? Math.max(payload, 1) : frame;
    for (let at = 0; at === 0 || at < payload; at += size) {
      const length = Math.min(size, payload - at);
      const part = new Uint8Array(header + length);
      part.set(bytes.subarray(0, header));
      part.set(bytes.subarray(header + at, header + at + length), header);
      const partView = new DataView(part.buffer);
      partView.setInt32(4, wire.sequence(view, 0) + at);
      if (at + length < payload) partView.setUint8(13, wire.flags(view, 0) & ~(wire.FIN | wire.PSH));
      if (at > 0) partView.setUint8(13, partView.getUint8(13) & ~wire.CWR);
      this.#launch(from, part, trafficClass);
    }
  }

  /** Sends hand-made bytes (TCP header and payload) as if from `from`, at once. */
  inject(from: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#deliver({ at: this.now, from, bytes, trafficClass: 0 });
    this.hosts[1 - from as 0 | 1].tcp.finish();
  }

  #launch(from: number, bytes: Uint8Array<ArrayBuffer>, trafficClass: number): void {
    const told = this.#tell(from, bytes);
    this.log.push(told);
    const fate = this.#fate(told, this.log.length);
    if (fate === false || this.watch?.(bytes, from) === false) return;
    if (fate === "mark" && (trafficClass & 3) !== 0) trafficClass |= 3;
    const at = this.now + this.#delay + (typeof fate === "number" ? fate : 0);
    this.#flying.push({ at, from, bytes, trafficClass });
  }

  #tell(from: number, bytes: Uint8Array<ArrayBuffer>): Told {
    const view = new DataView(bytes.buffer);
    const flags = wire.flags(view, 0);
    const sequence = wire.sequence(view, 0);
    if (flags & wire.SYN) this.#isn[from] = sequence;
    const names: [number, string][] = [
      [wire.CWR, "W"],
      [wire.ECE, "E"],
      [wire.SYN, "S"],
      [wire.FIN, "F"],
      [wire.RST, "R"],
      [wire.PSH, "P"],
      [
        wire.ACK,
        ".",
      ],
    ];
    return {
      from,
      flags: names.filter(([bit]) => flags & bit).map(([, name]) => name).join(""),
      sequence: sequence - (this.#isn[from] ?? 0) | 0,
      acknowledgment: flags & wire.ACK ? wire.acknowledgment(view, 0) - (this.#isn[1 - from] ?? 0) | 0 : 0,
      length: bytes.length - wire.headerLength(view, 0),
      window: wire.window(view, 0),
    };
  }

  #deliver(segment: Flying): void {
    const packet = this.#scratch;
    const to = this.hosts[1 - segment.from as 0 | 1];
    packet.reset(40, 40 + segment.bytes.length);
    packet.bytes.set(segment.bytes, 40);
    packet.network = 20;
    packet.view.setUint8(21, segment.trafficClass);
    packet.view.setUint8(28, this.hopLimit);
    packet.version = 4;
    packet.flags = CHECKSUM_VALID;
    packet.transport = 40;
    packet.view.setInt32(32, this.hosts[segment.from as 0 | 1].address.d);
    packet.view.setInt32(36, to.address.d);
    to.tcp.receive(packet);
  }

  /** Lets `duration` µs pass, or less when `until` comes true. @returns Whether it did. */
  run(duration: number, until: () => boolean = () => false): boolean {
    const end = this.now + duration;
    for (;;) {
      for (const host of this.hosts) host.timers.advance(this.now);
      for (const host of this.hosts) host.tcp.finish();
      if (until()) return true;
      for (const host of this.hosts) host.tcp.finish();
      let next = end;
      for (const segment of this.#flying) if (segment.at < next) next = segment.at;
      for (const host of this.hosts) next = Math.min(next, host.timers.next());
      if (next >= end) {
        this.now = end;
        return until();
      }
      this.now = Math.max(this.now, next);
      const due = this.#flying.filter((segment) => segment.at <= this.now);
      if (due.length > 0) {
        this.#flying = this.#flying.filter((segment) => segment.at > this.now);
        due.sort((a, b) => a.at - b.at);
        for (const segment of due) this.#deliver(segment);
      }
    }
  }
}

/** A handler that keeps all it is told. */
export class Recording implements ConnectionHandler {
  readonly events: string[] = [];
  readonly chunks: Uint8Array[] = [];
  received = 0;
  /** How many bytes it takes at most in all. */
  appetite = Infinity;
  error: StackError | null | undefined;

  connected(): void {
    this.events.push("connected");
  }
  receive(_connection: Connection, bytes: Uint8Array, offset: number, length: number): number {
    const taken = Math.max(0, Math.min(length, this.appetite - this.received));
    this.chunks.push(bytes.slice(offset, offset + taken));
    this.received += taken;
    return taken;
  }
  finished(): void {
    this.events.push("finished");
  }
  writable(): void {
    this.events.push("writable");
  }
  closed(_connection: Connection, error: StackError | null): void {
    this.events.push(error === null ? "closed" : `closed ${error.code}`);
    this.error = error;
  }
  /** All bytes taken. */
  get bytes(): Uint8Array {
    const all = new Uint8Array(this.received);
    let at = 0;
    for (const chunk of this.chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}
