/**
 * VLANs (IEEE 802.1Q and 802.1ad): interfaces on top of an interface, one on top of another if need be.
 *
 * @module
 */

import {
  type Device,
  DeviceCounters,
  OFFLOAD_CHECKSUM,
  OFFLOAD_TSO4,
  OFFLOAD_TSO6,
  OFFLOAD_USO,
} from "../device.ts";
import { VlanCounters } from "../counters.ts";
import { StackError } from "../errors.ts";
import type { Handler, Packet } from "../packet.ts";
import * as ethernet from "../wire/ethernet.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as wire from "../wire/vlan.ts";
import type { Interface, InterfaceOptions } from "./interface.ts";

/** What `Stack.addVlan` takes. */
export interface VlanOptions extends InterfaceOptions {
  /** The VLAN's identifier, 1 to 4094. */
  id: number;
  /** Whose tag it is: a customer's (802.1Q, 0x8100, the default) or a service provider's (802.1ad, 0x88a8). */
  protocol?: "802.1Q" | "802.1ad";
  /** Priority of the frames, 0 to 7; `class`: the first three bits of the packet's traffic class. Default 0. */
  priority?: number | "class";
}

/** The ethertype of each protocol's tag. */
const ETHERTYPES = { "802.1Q": ethernet.VLAN, "802.1ad": ethernet.SERVICE_VLAN } as const;

/**
 * The device of one VLAN. Its slots are those of the interface below, which also completes checksums and cuts
 * super-frames as far as its own device does not; a tag goes in front of each frame.
 */
export class VlanDevice implements Device {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly offloads: number = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO;
  readonly counters: DeviceCounters = new DeviceCounters();
  readonly deadline: number = Infinity;
  /** The VLAN's identifier. */
  readonly id: number;
  /** The ethertype of its tags. */
  readonly ethertype: number;
  /** The interface below. */
  readonly parent: Interface;
  /** The device whose memory it lends. */
  readonly memory: Device;
  /** @internal Gets its frames. */
  receiver: Handler | null = null;
  readonly #priority: number;
  /** The groups that the interface below takes for us, and what has it take all frames in their place. */
  #groups: readonly number[] = [];
  #endWatch: (() => void) | null = null;
  #closed = false;

  /** @internal `Stack.addVlan` makes them. */
  constructor(parent: Interface, options: VlanOptions) {
    const { id, protocol = "802.1Q", priority = 0 } = options;
    if (!Number.isInteger(id) || id < 1 || id > wire.MOST_ID) {
      throw new RangeError(`VLAN must be a whole number from 1 to ${wire.MOST_ID}, got ${id}`);
    }
    if (priority !== "class" && (!Number.isInteger(priority) || priority < 0 || priority > 7)) {
      throw new RangeError(`Priority must be a whole number from 0 to 7 or "class", got ${priority}`);
    }
    this.parent = parent;
    this.id = id;
    this.ethertype = ETHERTYPES[protocol];
    this.#priority = priority === "class" ? -1 : priority;
    this.name = `${parent.name}.${id}`;
    this.mac = parent.device.mac;
    this.memory = parent.memory;
    // Devices have room for one tag; a second one has to come out of the packet.
    this.mtu = parent.device instanceof VlanDevice ? parent.mtu - wire.TAG_LENGTH : parent.mtu;
  }

  /** The frames come by the interface below, which has to take them. */
  filterGroups(groups: readonly number[] | null): void {
    if (this.#closed) return;
    const { linkGroups } = this.parent;
    const end = this.#endWatch, before = this.#groups;
    // What is new first, so that nothing is lost in between.
    this.#endWatch = groups === null ? linkGroups.watch() : null;
    this.#groups = groups?.slice() ?? [];
    if (this.#groups.length > 0) linkGroups.take(this.#groups, 1);
    if (before.length > 0) linkGroups.take(before, -1);
    end?.();
  }

  get linkUp(): boolean {
    return !this.closed && this.parent.device.linkUp;
  }

  get closed(): boolean {
    return this.#closed || this.parent.device.closed;
  }

  get failure(): Error | null {
    return this.parent.device.failure;
  }

  get free(): number {
    return this.#closed ? 0 : this.parent.device.free;
  }

  /** Nothing: frames come in by the interface below. */
  poll(): number {
    return 0;
  }

  reserve(): Packet | null {
    const packet = this.#closed ? null : this.parent.reserve();
    if (packet === null) this.counters.transmitExhausted++;
    return packet;
  }

  transmit(packet: Packet): boolean {
    const { counters } = this;
    if (this.#closed) {
      packet.discard();
      counters.transmitErrors++;
      return false;
    }
    const { length } = packet;
    const control = this.#priorityOf(packet) << 13 | this.id;
    packet.link = packet.offset = wire.tag(packet.view, packet.offset, this.ethertype, control);
    packet.interface = this.parent;
    if (!this.parent.output(packet)) {
      counters.transmitErrors++;
      return false;
    }
    counters.sentFrames++;
    counters.sentBytes += length;
    return true;
  }

  release(packet: Packet): void {
    packet.device.release(packet);
  }

  flush(): void {
    if (!this.#closed) this.parent.device.flush();
  }

  arm(wake: () => void): boolean {
    void wake;
    return true;
  }

  disarm(): void {}

  close(): void {
    if (this.#closed) return;
    this.filterGroups([]);
    this.#closed = true;
    this.parent.vlans.remove(this);
  }

  #priorityOf(packet: Packet): number {
    if (this.#priority >= 0) return this.#priority;
    const { view, network } = packet;
    if (packet.version === 4) return ipv4.trafficClass(view, network) >>> 5;
    return packet.version === 6 ? ipv6.trafficClass(view, network) >>> 5 : 0;
  }
}

/** The VLANs on top of one interface. Gets frames with a tag, and hands each to its VLAN without it. */
export class Vlans implements Handler {
  /** What happened. */
  readonly counters: VlanCounters = new VlanCounters();
  readonly #parent: Interface;
  /** By identifier, and 4096 further for service tags. */
  readonly #devices = new Map<number, VlanDevice>();

  /** @internal Every interface has one. */
  constructor(parent: Interface) {
    this.#parent = parent;
  }

  /** @internal Enters a VLAN. @throws {StackError} `AddressInUse` when it is there already. */
  add(device: VlanDevice): void {
    const key = keyOf(device.ethertype, device.id);
    if (this.#devices.has(key)) {
      throw new StackError(
        "AddressInUse",
        `Cannot add VLAN ${device.id} on ${this.#parent.name}: it has an interface already`,
      );
    }
    this.#devices.set(key, device);
  }

  /** @internal */
  remove(device: VlanDevice): void {
    const key = keyOf(device.ethertype, device.id);
    if (this.#devices.get(key) === device) this.#devices.delete(key);
  }

  /** The devices of the VLANs. Allocates. */
  get devices(): VlanDevice[] {
    return [...this.#devices.values()];
  }

  receive(packet: Packet): void {
    const { counters } = this;
    const { dropped } = counters;
    const { view, link, offset: at } = packet;
    counters.received++;
    if (packet.end - at < wire.TAG_LENGTH) {
      dropped.truncated++;
      return;
    }
    const id = wire.id(view, at);
    if (id === 0) {
      // A priority, and no VLAN: it is for the interface itself. A second tag of the same kind means nothing.
      const ethertype = view.getUint16(link + 12);
      if (view.getUint16(at + 2) === ethertype) {
        dropped.malformed++;
        return;
      }
      counters.priorityTagged++;
      counters.delivered++;
      packet.offset = wire.untag(view, link);
      this.#parent.receive(packet);
      return;
    }
    if (id > wire.MOST_ID) {
      dropped.malformed++;
      return;
    }
    const device = this.#devices.get(keyOf(view.getUint16(link + 12), id));
    if (device === undefined || device.receiver === null) {
      dropped.unknownVlan++;
      return;
    }
    counters.delivered++;
    packet.offset = wire.untag(view, link);
    device.counters.receivedFrames++;
    device.counters.receivedBytes += packet.end - packet.offset;
    device.receiver.receive(packet);
  }
}

function keyOf(ethertype: number, id: number): number {
  return ethertype === ethernet.VLAN ? id : id + 4096;
}
