/**
 * Datagrams between two hosts of a world, from a few bytes to what takes many fragments, in one piece or as answers in the
 * slot that they came in: none may come changed, and on a link that harms nothing each comes once.
 *
 * @module
 */

import { StackError } from "../../stack/errors.ts";
import type { IpAddress } from "../../stack/ip/address.ts";
import type { IcmpError } from "../../stack/ip/path.ts";
import type { Bytes, Packet } from "../../stack/packet.ts";
import type { UdpHandler, UdpSocket } from "../../stack/udp/socket.ts";
import type { Host } from "./host.ts";
import { Payload } from "./payload.ts";
import type { Random } from "./random.ts";

/** What a flow needs of its world. */
export interface DatagramSurroundings {
  /** Whether frames may be lost. */
  readonly harsh: boolean;
  /** Whether one may come twice, and whether one may overtake another. */
  readonly doubles: boolean;
  readonly overtakes: boolean;
  /** Calls later. @param delay In µs. */
  after(delay: number, run: () => void): void;
  /** Reports what must not be. */
  fail(what: string): void;
  /** A flow has sent all that it wants to. */
  sentAll(): void;
}

/** Port of the first flow's receiver; each has its own. */
const PORT = 7000;
/** Bytes that tell a datagram's number, and its length. */
const HEADER = 8;
/** Longest time in which a flow sends, in µs. */
const LONGEST = 8_000_000;

/** What one flow does. */
export interface DatagramPlan {
  from: number;
  to: number;
  version: 4 | 6;
  /** Bytes of payload of each, {@link HEADER} at least. */
  sizes: readonly number[];
  /** µs between two. */
  gap: number;
  /** When the first is sent. */
  at: number;
  /** Every so many datagrams one is answered; 0 for none. */
  answers: number;
}

/** Draws a flow. @param budget Most bytes that it sends, about. */
export function drawDatagrams(random: Random, hosts: number, budget: number): DatagramPlan {
  const from = random.between(0, hosts - 1);
  const most = random.pick([500, 1400, 9000, 9000, 20_000, 65_507]);
  const sizes: number[] = [];
  let left = budget;
  for (let count = random.scaled(1, 200); count > 0 && left > 0; count--) {
    const size = random.scaled(HEADER, most);
    sizes.push(size);
    left -= size;
  }
  return {
    from,
    to: (from + random.between(1, hosts - 1)) % hosts,
    version: random.chance(0.5) ? 6 : 4,
    sizes,
    gap: random.scaled(10, LONGEST / sizes.length),
    at: random.scaled(1, 1_000_000),
    answers: random.pick([0, 1, 1, 3]),
  };
}

/** Which datagrams came, and whether they are what was sent. */
class Inbox {
  /** Times that each came. */
  readonly seen: Uint8Array;
  #last = -1;

  constructor(count: number) {
    this.seen = new Uint8Array(count);
  }

  get missing(): number {
    return this.seen.reduce((sum, times) => times === 0 ? sum + 1 : sum, 0);
  }

  /** @returns What is wrong with the datagram at the cursor, or null. */
  take(packet: Packet, flow: DatagramFlow): string | null {
    const { view, offset, bytes, length } = packet;
    if (length < HEADER) return `A datagram of ${length} bytes, which nobody sent`;
    const number = view.getUint32(offset), size = view.getUint32(offset + 4);
    if (flow.plan.sizes[number] !== size || size !== length) {
      return `Datagram ${number} came with ${length} bytes, and says it has ${size}`;
    }
    const right = flow.payload(number).matches(0, bytes, offset + HEADER, length - HEADER);
    if (right < length - HEADER) return `Datagram ${number} of ${length} bytes has a wrong byte at ${right}`;
    if (++this.seen[number]! > 1) return flow.world.doubles ? null : `Datagram ${number} came twice`;
    if (number < this.#last && !flow.world.overtakes) {
      return `Datagram ${number} came after ${this.#last}`;
    }
    this.#last = Math.max(this.#last, number);
    return null;
  }
}

/** One flow; it receives at its first host what it has sent to the second and was answered. */
export class DatagramFlow implements UdpHandler {
  readonly plan: DatagramPlan;
  readonly world: DatagramSurroundings;
  readonly #index: number;
  readonly #from: Host;
  readonly #to: Host;
  readonly #address: IpAddress;
  readonly #sender: UdpSocket;
  readonly #receiver: UdpSocket;
  readonly #came: Inbox;
  readonly #back: Inbox;
  /** Handed to the stack, and taken by it. */
  #sent = 0;
  #answered = 0;

  constructor(world: DatagramSurroundings, index: number, plan: DatagramPlan, hosts: readonly Host[]) {
    this.world = world;
    this.plan = plan;
    this.#index = index;
    this.#from = hosts[plan.from]!;
    this.#to = hosts[plan.to]!;
    this.#address = (plan.version === 6 ? this.#to.address6 : null) ?? this.#to.address;
    this.#came = new Inbox(plan.sizes.length);
    this.#back = new Inbox(plan.sizes.length);
    this.#sender = this.#from.stack.udp.bind({}, this);
    this.#receiver = this.#to.stack.udp.bind({ port: PORT + index }, {
      receive: (packet, socket) => this.#answer(packet, socket),
      error: (kind) => this.error(kind),
    });
    world.after(plan.at, () => this.#send(0));
  }

  /** What datagram `number` holds behind its header. */
  payload(number: number): Payload {
    return new Payload(this.#index * 65_537 + number * 977);
  }

  receive(packet: Packet): void {
    this.#check(this.#back.take(packet, this));
  }

  error(kind: IcmpError): void {
    // What was dropped here has cost a packet in pieces its rest, of which the other host tells.
    if (!this.world.harsh && this.#dropped === 0) this.#check(`Was told of ${kind}`);
  }

  /** Judges what came, and gives the ports back. */
  end(): void {
    this.#sender.close();
    this.#receiver.close();
    if (this.world.harsh) return;
    const sizes = this.plan.sizes.length;
    // What a full queue, or a lack of slots or of room for fragments, has cost was counted where it happened.
    const excused = this.#dropped;
    const lost = this.#came.missing - (sizes - this.#sent);
    const unanswered = this.#back.missing - (sizes - this.#answered);
    if (lost > excused) {
      this.#check(`${lost} of ${this.#sent} datagrams are lost, and ${excused} were dropped`);
    }
    if (unanswered > excused) {
      this.#check(`${unanswered} of ${this.#answered} answers are lost, and ${excused} were dropped`);
    }
  }

  /** What it is and how far it came, for people. */
  tell(): string {
    const { from, to, version, sizes, gap, answers } = this.plan;
    return `datagrams ${this.#index}: host ${from} to ${to}, IPv${version}, ${sizes.length} of up to ${
      Math.max(...sizes)
    } bytes every ${gap} µs, answers ${answers}: sent ${this.#sent}, ${this.#came.missing} missing, answered ` +
      `${this.#answered}, ${this.#back.missing} missing`;
  }

  /** Packets that either host has dropped, and those that lack a piece for it. */
  get #dropped(): number {
    const causes = dropped(this.#from) + dropped(this.#to);
    const late = [this.#from, this.#to].map(({ stack }) => stack.reassembler.counters.timedOut);
    return causes === 0 ? 0 : causes + late[0]! + late[1]!;
  }

  #send(number: number): void {
    const { sizes, gap } = this.plan;
    const size = sizes[number]!;
    if (this.#try(this.#datagram(number, size), size)) this.#sent++;
    if (number + 1 === sizes.length) this.world.sentAll();
    else this.world.after(gap, () => this.#send(number + 1));
  }

  #datagram(number: number, size: number): Bytes {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, number);
    view.setUint32(4, size);
    const payload = this.payload(number);
    for (let at = HEADER; at < size;) {
      const from = payload.position(at - HEADER);
      const length = Math.min(size - at, payload.contiguous(at - HEADER));
      bytes.set(payload.bytes.subarray(from, from + length), at);
      at += length;
    }
    return bytes;
  }

  #try(bytes: Bytes, size: number): boolean {
    try {
      return this.#sender.send(bytes, 0, size, this.#address, this.#receiver.port);
    } catch (error) {
      if (!(error instanceof StackError)) throw error;
      if (!this.world.harsh) this.#check(`Sending failed: ${error.message}`);
      return false;
    }
  }

  #answer(packet: Packet, socket: UdpSocket): void {
    this.#check(this.#came.take(packet, this));
    const { answers } = this.plan;
    const number = packet.view.getUint32(packet.offset);
    if (answers === 0 || number % answers !== 0) return;
    const again = this.#came.seen[number]! > 1;
    if (socket.answer(packet, packet.length) && !again) this.#answered++;
  }

  #check(wrong: string | null): void {
    if (wrong !== null) this.world.fail(`Datagrams ${this.#index}: ${wrong}`);
  }
}

/** Packets that a host has dropped for want of something. */
function dropped({ stack, nic, interface: { counters, arp, nd } }: Host): number {
  const { evicted, dropped: { exhausted } } = stack.reassembler.counters;
  return evicted + exhausted + nic.counters.transmitExhausted + counters.sendRefused +
    arp.counters.queueOverflow + (nd?.counters.queueOverflow ?? 0);
}
