/**
 * Frames of one device on their way out by another.
 *
 * @module
 */

import { type Device, OFFLOAD_CHECKSUM } from "../stack/device.ts";
import { completeChecksum, gsoOffload, MALFORMED, partsOf, segment } from "../stack/link/offload.ts";
import { CHECKSUM_PARTIAL, GSO_NONE, type Packet } from "../stack/packet.ts";
import * as ethernet from "../stack/wire/ethernet.ts";
import { TAG_LENGTH } from "../stack/wire/vlan.ts";
import { linkHeader } from "./frame.ts";

/** Tags in front of a packet that are looked behind (802.1Q in 802.1ad). */
const MOST_TAGS = 2;

/** What a {@link Relay} has done. */
export class RelayCounters {
  /** Frames that the device took; a super-frame that is cut here counts each part. */
  sent = 0;
  /** Super-frames that were cut, because the device does not. */
  cut = 0;
  /** Checksums that were completed, because the device does not. */
  checksummed = 0;
  /** Frames lost because the device had no free slot. */
  exhausted = 0;
  /** Frames lost because they are longer than the device takes. */
  tooLong = 0;
  /** Frames lost because what they say about their checksum or their parts cannot be. */
  malformed = 0;
  /** Frames that the device refused for a reason of its own. */
  refused = 0;
}

/**
 * Copies frames into slots of a device and sends them there. What is left to the device and it does not do is done here:
 * checksums are completed, and super-frames cut.
 */
export class Relay {
  /** Where the frames go. */
  readonly device: Device;
  /** What happened. */
  readonly counters: RelayCounters = new RelayCounters();
  readonly #header: number;

  /** Makes the way out by a device. @param device Where the frames go. */
  constructor(device: Device) {
    this.device = device;
    this.#header = linkHeader(device);
  }

  /** Sends a copy of a packet (cursor at its link header), which stays as it is. @returns False when it, or a part of it, was lost. */
  send(packet: Packet): boolean {
    if (packet.gsoType !== GSO_NONE && (this.device.offloads & gsoOffload(packet.gsoType)) === 0) {
      return this.#cut(packet);
    }
    const { counters, device } = this;
    const copy = this.#reserve();
    if (copy === null) return false;
    const start = copy.offset -= this.#header;
    if (start + packet.length > copy.limit) {
      device.release(copy);
      // It would cut the super-frame itself, but has no slot that takes it whole.
      if (packet.gsoType !== GSO_NONE) return this.#cut(packet);
      counters.tooLong++;
      return false;
    }
    packet.copyInto(copy);
    const shift = start - packet.offset;
    copy.flags = packet.flags & CHECKSUM_PARTIAL;
    copy.checksumStart = packet.checksumStart + shift;
    copy.checksumOffset = packet.checksumOffset;
    copy.gsoType = packet.gsoType;
    copy.gsoSize = packet.gsoSize;
    if (copy.flags !== 0 && (device.offloads & OFFLOAD_CHECKSUM) === 0) {
      counters.checksummed++;
      if (!completeChecksum(copy)) {
        counters.malformed++;
        device.release(copy);
        return false;
      }
    }
    const tooLong = packet.gsoType === GSO_NONE && packet.length > device.mtu + this.#header + TAG_LENGTH;
    if (!device.transmit(copy)) {
      if (tooLong) counters.tooLong++;
      else counters.refused++;
      return false;
    }
    counters.sent++;
    return true;
  }

  /** Takes a slot. A device whose frames all wait to be handed over hands them over first. */
  #reserve(): Packet | null {
    let packet = this.device.reserve();
    if (packet === null) {
      this.device.flush();
      packet = this.device.reserve();
    }
    if (packet === null) this.counters.exhausted++;
    return packet;
  }

  #cut(packet: Packet): boolean {
    const { counters, device } = this;
    if (!findHeaders(packet, this.#header)) {
      counters.malformed++;
      return false;
    }
    if (device.mtu < partLength(packet)) {
      counters.tooLong++;
      return false;
    }
    const sent = segment(packet, device, null);
    if (sent === MALFORMED) {
      counters.malformed++;
      return false;
    }
    counters.cut++;
    counters.sent += sent;
    const whole = sent >= partsOf(packet);
    if (!whole) counters.exhausted++;
    return whole;
  }
}

/** Finds the IP and the transport header of a super-frame. @returns False when they are not where they have to be. */
function findHeaders(packet: Packet, header: number): boolean {
  const { view, offset, end } = packet;
  let at = offset + header;
  if (header > 0) {
    if (at > end) return false;
    let type = ethernet.ethertype(view, offset);
    for (let tags = 0; type === ethernet.VLAN || type === ethernet.SERVICE_VLAN; tags++) {
      if (tags === MOST_TAGS || at + TAG_LENGTH > end) return false;
      type = view.getUint16(at + 2);
      at += TAG_LENGTH;
    }
    if (type !== ethernet.IPV4 && type !== ethernet.IPV6) return false;
  }
  if (at + 20 > end || (packet.flags & CHECKSUM_PARTIAL) === 0) return false;
  packet.network = at;
  packet.transport = packet.checksumStart;
  return packet.transport >= at + 20 && packet.transport + 8 <= end && packet.gsoSize > 0;
}

/** Bytes of the transport header of a super-frame, which {@link findHeaders} has found: TCP's when its checksum is where TCP has it. */
function transportLength({ view, transport, checksumOffset, end }: Packet): number {
  if (checksumOffset !== 16) return 8;
  return transport + 20 > end ? 20 : (view.getUint8(transport + 12) >>> 4) << 2;
}

/** Bytes of the IP packet of one part. */
function partLength(packet: Packet): number {
  return packet.transport - packet.network + transportLength(packet) + packet.gsoSize;
}
