/**
 * The way out of an interface: what a frame asks for and the device does not do is done here.
 *
 * @module
 */

import { OFFLOAD_CHECKSUM } from "../device.ts";
import { CHECKSUM_PARTIAL, GSO_NONE, type Packet } from "../packet.ts";
import { Taps } from "../taps.ts";
import type { Interface } from "./interface.ts";
import { completeChecksum, gsoOffload, MALFORMED, partsOf, segment } from "./offload.ts";

/** Sends the frames of one interface, finished as its device needs them. */
export class Egress {
  /** Who sees every frame that goes out. */
  readonly taps: Taps;
  readonly #interface: Interface;
  readonly #offloads: number;

  /** @param from The interface, whose counters tell what happened. */
  constructor(from: Interface) {
    this.#interface = from;
    this.#offloads = from.device.offloads;
    this.taps = new Taps(`tap on ${from.name}`, (error, where) => from.stack.report(error, where));
  }

  /** Sends a frame, cursor at the link header. Takes ownership. @returns False when it, or a part of it, was dropped. */
  output(packet: Packet): boolean {
    const from = this.#interface;
    if (this.taps.show(packet)) {
      from.counters.sendTaken++;
      packet.discard();
      return true;
    }
    from.stack.wake();
    // A super-frame of another device that has to be cut is cut into our slots, and needs none of its own size.
    const cut = packet.gsoType !== GSO_NONE && !this.#cuts(packet.gsoType);
    return cut || packet.device === from.memory ? this.#emit(packet) : this.#forward(packet);
  }

  #emit(packet: Packet): boolean {
    const { counters, device } = this.#interface;
    if (packet.gsoType !== GSO_NONE && !this.#cuts(packet.gsoType)) return this.#cut(packet);
    if ((packet.flags & CHECKSUM_PARTIAL) !== 0 && (this.#offloads & OFFLOAD_CHECKSUM) === 0) {
      counters.checksummed++;
      if (!completeChecksum(packet)) {
        counters.segmentMalformed++;
        packet.discard();
        return false;
      }
    }
    if (!device.transmit(packet)) {
      counters.sendRefused++;
      return false;
    }
    counters.sent++;
    return true;
  }

  /** Sends a super-frame in the frames that it stands for. */
  #cut(packet: Packet): boolean {
    const { counters, device } = this.#interface;
    const sent = segment(packet, device, this.#interface);
    if (sent === MALFORMED) {
      counters.segmentMalformed++;
      packet.discard();
      return false;
    }
    const whole = sent === partsOf(packet);
    packet.discard();
    counters.segmented++;
    counters.sent += sent;
    if (!whole) counters.segmentExhausted++;
    return whole;
  }

  #cuts(gsoType: number): boolean {
    return (this.#offloads & gsoOffload(gsoType)) !== 0;
  }

  /** A frame in another device's memory (forwarded, or bridged by a tap) moves into a slot of ours. */
  #forward(packet: Packet): boolean {
    const from = this.#interface;
    const { device } = from;
    const own = device.reserve();
    if (own === null || !packet.copyInto(own)) {
      if (own !== null) device.release(own);
      // The device would cut it, but has no slot that takes it whole.
      if (own !== null && packet.gsoType !== GSO_NONE) return this.#cut(packet);
      from.counters.sendRefused++;
      packet.discard();
      return false;
    }
    own.describeAs(packet, own.offset - packet.offset);
    own.interface = from;
    packet.discard();
    return this.#emit(own);
  }
}
