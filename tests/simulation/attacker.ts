/**
 * A victim, an honest host that it talks with, and somebody on the same link who sends whatever he likes.
 *
 * @module
 */

import type { StackError } from "../../stack/errors.ts";
import type { Handler, Packet } from "../../stack/packet.ts";
import type { Connection, ConnectionHandler } from "../../stack/tcp/api.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import * as tcp from "../../stack/wire/tcp.ts";
import { EventQueue } from "./event_queue.ts";
import { Host } from "./host.ts";
import { judgeConnection } from "./invariants.ts";
import { Link } from "./link.ts";
import { checksum } from "./middlebox.ts";
import { Nic } from "./nic.ts";
import { Payload } from "./payload.ts";
import { perfect } from "./profile.ts";
import { Random } from "./random.ts";

/** The victim's port. */
export const PORT = 80;
/** Where it takes the honest host's stream. */
const HONEST_PORT = 443;
/** µs from one host to the other. */
const DELAY = 500;
const ETHERNET = 14, IP = 20;

/** A segment that the attacker sends or has got. */
export interface Forged {
  /** Last byte of the source address in 10.0.0.0/24; 3, the attacker's own, by default. */
  source?: number;
  sourcePort: number;
  port: number;
  flags: number;
  sequence: number;
  acknowledgment: number;
  window: number;
  /** As they go on the wire; the header is padded to 4 bytes. */
  options?: ArrayLike<number>;
  payload?: Uint8Array;
}

/** A segment that the victim has sent to the attacker. */
export interface Seen extends Required<Omit<Forged, "options" | "payload" | "source">> {
  length: number;
  options: tcp.TcpOptions;
}

/** Takes everything, or nothing. */
class Recorder implements ConnectionHandler {
  readonly reads: boolean;
  received = 0;
  error: StackError | null | undefined;

  constructor(reads: boolean) {
    this.reads = reads;
  }
  connected(): void {}
  receive(_c: Connection, _bytes: Uint8Array, _offset: number, length: number): number {
    if (!this.reads) return 0;
    this.received += length;
    return length;
  }
  finished(): void {}
  writable(): void {}
  closed(_c: Connection, error: StackError | null): void {
    this.error = error;
  }
}

/** The three of them. */
export class Scene {
  now = 1_000_000;
  readonly victim: Host;
  readonly honest: Host;
  /** What the victim has sent to the attacker. */
  readonly seen: Seen[] = [];
  /** Connections that the victim has accepted from the attacker. */
  readonly accepted: TcpConnection[] = [];
  readonly recorders: Recorder[] = [];
  /** Exceptions, and invariants that do not hold. */
  readonly faults: string[] = [];
  readonly random: Random;
  /** Whether the victim's application reads what the attacker sends. */
  reads = true;
  readonly #queue = new EventQueue();
  readonly #link: Link;
  readonly #nic: Nic;
  readonly #stream = new Payload(12345);
  #bystander: TcpConnection | null = null;
  #streamed = 0;
  #arrived = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    const profiles = [perfect(DELAY), perfect(DELAY), perfect(DELAY)];
    const watcher = { sent: () => {}, harmed: () => {}, arrived: () => {} };
    const randoms = profiles.map((_, i) => new Random(seed, i + 1));
    const hosts: Host[] = [];
    this.#link = new Link(profiles, randoms, this.#queue, this, this.now, watcher, (port) => {
      if (port < 2) hosts[port]!.ready = true;
    });
    const options = { mtu: 1500, offloads: 0, slots: 256, ecn: false, settings: {} };
    const fault = (what: string) => this.faults.push(what);
    this.victim = new Host(seed, 0, this.#link, options, fault);
    this.honest = new Host(seed, 1, this.#link, options, fault);
    hosts.push(this.victim, this.honest);
    this.#nic = new Nic(this.#link, 2, 1500, 0, 4096);
    this.#link.nics.push(this.#nic);
    this.victim.stack.tcp.listen({ port: PORT }, {
      ready: (listener) => {
        for (let c = listener.take(); c !== null; c = listener.take()) {
          const recorder = new Recorder(this.reads);
          c.handler = recorder;
          this.recorders.push(recorder);
          this.accepted.push(c as TcpConnection);
        }
      },
    });
  }

  /** Starts a stream from the honest host to the victim that must not notice anything. */
  startBystander(): void {
    this.honest.stack.advance(this.now);
    const stream = this.#stream;
    this.victim.stack.tcp.listen({ port: HONEST_PORT }, {
      ready: (listener) => {
        const sink = new Recorder(true);
        sink.receive = (_c, bytes, offset, length) => {
          if (stream.matches(this.#arrived, bytes as Uint8Array<ArrayBuffer>, offset, length) < length) {
            this.faults.push(`The bystander's stream is wrong near ${this.#arrived}`);
          }
          this.#arrived += length;
          return length;
        };
        sink.closed = (_c, error) =>
          this.faults.push(`The bystander was closed: ${error?.message ?? "in order"}`);
        listener.take()!.handler = sink;
      },
    });
    const source = new Recorder(true);
    source.closed = (_c, error) =>
      this.faults.push(`The bystander was closed: ${error?.message ?? "in order"}`);
    const address = this.victim.address;
    this.#bystander = this.honest.stack.tcp.connect({ address, port: HONEST_PORT }, source) as TcpConnection;
    const feed = () => {
      const c = this.#bystander!;
      const length = Math.min(1000, stream.contiguous(this.#streamed));
      this.#streamed += c.write(stream.bytes, stream.position(this.#streamed), length);
      this.#queue.at(this.now + 5000, feed);
    };
    this.#queue.at(this.now + 5000, feed);
  }

  /** @returns What the bystander has noticed, or null. */
  harmToBystander(): string | null {
    this.run(100_000);
    if (this.#arrived < this.#streamed - 20_000 || this.#arrived === 0) {
      return `${this.#arrived} of ${this.#streamed} bytes have arrived`;
    }
    const { retransmissions } = this.#bystander!;
    return retransmissions === 0 ? null : `${retransmissions} segments were sent again`;
  }

  /** Sends a segment; it arrives when time passes. */
  send(forged: Forged): void {
    const packet = this.#nic.reserve();
    if (packet === null) throw new Error("The attacker has no slot");
    const { options = [], payload = new Uint8Array(0) } = forged;
    const header = tcp.HEADER_LENGTH + (options.length + 3 & ~3);
    const at = packet.offset;
    const { bytes, view } = packet;
    packet.end = at + ETHERNET + IP + header + payload.length;
    bytes.fill(0, at, packet.end);
    bytes.set(this.victim.nic.mac, at);
    bytes.set(this.#nic.mac, at + 6);
    view.setUint16(at + 12, 0x0800);
    const ip = at + ETHERNET, segment = ip + IP;
    bytes[ip] = 0x45;
    view.setUint16(ip + 2, packet.end - ip);
    bytes[ip + 8] = 64;
    bytes[ip + 9] = tcp.PROTOCOL;
    view.setUint32(ip + 12, 0x0a000000 + (forged.source ?? 3));
    view.setUint32(ip + 16, 0x0a000001);
    view.setUint16(ip + 10, checksum(bytes, ip, segment));
    const { sourcePort, port, sequence, acknowledgment, flags, window } = forged;
    tcp.writeHeader(view, segment, sourcePort, port, sequence, acknowledgment, header, flags, window);
    bytes.set(Array.from(options), segment + tcp.HEADER_LENGTH);
    bytes.set(payload, segment + header);
    let sum = tcp.PROTOCOL + packet.end - segment;
    for (let i = ip + 12; i < segment; i += 2) sum += view.getUint16(i);
    tcp.setChecksum(view, segment, checksum(bytes, segment, packet.end, sum));
    this.#nic.transmit(packet);
  }

  /** Lets time pass. */
  run(duration: number): void {
    const end = this.now + duration;
    for (;;) {
      let next = this.#queue.next;
      for (const host of [this.victim, this.honest]) {
        next = Math.min(next, host.ready ? this.now : host.deadline);
      }
      if (next > end) break;
      this.now = Math.max(this.now, next);
      for (const host of [this.victim, this.honest]) host.stack.advance(this.now);
      while (this.#queue.next <= this.now) this.#queue.take().run();
      for (const host of [this.victim, this.honest]) {
        if (host.ready || host.deadline <= this.now) host.turn(this.now);
      }
      while (this.#nic.poll(this.#look, 64) === 64);
      this.#judge();
    }
    this.now = end;
    for (const host of [this.victim, this.honest]) host.stack.advance(this.now);
  }

  /** Opens a connection by hand. @returns The attacker's end. */
  open(sourcePort: number, options: ArrayLike<number> = [], sequence = 1000): Peer {
    this.send({
      sourcePort,
      port: PORT,
      flags: tcp.SYN,
      sequence,
      acknowledgment: 0,
      window: 65535,
      options,
    });
    this.run(5 * DELAY);
    const answer = this.seen.findLast((s) => s.port === sourcePort && s.flags === (tcp.SYN | tcp.ACK));
    if (answer === undefined) throw new Error("The victim does not answer a SYN");
    const peer = new Peer(this, sourcePort, sequence + 1 | 0, answer);
    peer.acknowledge();
    this.run(2 * DELAY);
    return peer;
  }

  readonly #look: Handler = {
    receive: (packet: Packet) => {
      const { view, offset } = packet;
      if (view.getUint16(offset + 12) === 0x0806 && view.getUint32(offset + 38) > 0x0a000002) {
        this.#claim(packet);
      }
      if (view.getUint16(offset + 12) !== 0x0800 || view.getUint8(offset + ETHERNET + 9) !== tcp.PROTOCOL) {
        return;
      }
      const at = offset + ETHERNET + IP;
      const options = new tcp.TcpOptions();
      const header = tcp.headerLength(view, at);
      options.parse(view, at + tcp.HEADER_LENGTH, at + header);
      this.seen.push({
        sourcePort: tcp.sourcePort(view, at),
        port: tcp.destinationPort(view, at),
        flags: tcp.flags(view, at),
        sequence: tcp.sequence(view, at),
        acknowledgment: tcp.acknowledgment(view, at),
        window: tcp.window(view, at),
        length: packet.end - at - header,
        options,
      });
    },
  };

  #judge(): void {
    for (const c of this.accepted) {
      const wrong = judgeConnection(c, this.now, true, false);
      if (wrong !== null && this.faults.length < 10) this.faults.push(wrong);
    }
  }

  /** Is everybody for whom the victim asks. */
  #claim(asked: Packet): void {
    const packet = this.#nic.reserve()!;
    const at = packet.offset, from = asked.offset;
    packet.end = at + 42;
    packet.bytes.fill(0, at, packet.end);
    packet.bytes.set(this.victim.nic.mac, at);
    packet.bytes.set(this.#nic.mac, at + 6);
    packet.bytes.set([8, 6, 0, 1, 8, 0, 6, 4, 0, 2, ...this.#nic.mac], at + 12);
    packet.bytes.set(asked.bytes.subarray(from + 38, from + 42), at + 28);
    packet.bytes.set([...this.victim.nic.mac, 10, 0, 0, 1], at + 32);
    this.#nic.transmit(packet);
  }
}

/** The attacker's end of a connection. */
export class Peer {
  readonly scene: Scene;
  readonly port: number;
  /** The next sequence number to send. */
  next: number;
  /** The victim's first. */
  readonly first: number;

  constructor(scene: Scene, port: number, next: number, answer: Seen) {
    this.scene = scene;
    this.port = port;
    this.next = next;
    this.first = answer.sequence + 1 | 0;
  }

  /** The victim's end. */
  get victim(): TcpConnection {
    const c = this.scene.accepted.find((other) => other.remotePort === this.port);
    if (c === undefined) throw new Error("The victim has not accepted the connection");
    return c;
  }

  /** Sends a segment; what is not said is as it should be. */
  send(forged: Partial<Forged> = {}): void {
    this.scene.send({
      sourcePort: this.port,
      port: PORT,
      flags: tcp.ACK,
      sequence: this.next,
      acknowledgment: this.victim.sndNxt,
      window: 65535,
      ...forged,
    });
  }

  /** Acknowledges what the victim has sent first, nothing more. */
  acknowledge(): void {
    const { port: sourcePort, next: sequence, first: acknowledgment } = this;
    this.scene.send({ sourcePort, port: PORT, flags: tcp.ACK, sequence, acknowledgment, window: 65535 });
  }
}
