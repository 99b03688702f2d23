/**
 * A bridge: a device made of devices, which are its ports.
 *
 * @module
 */

import { type Device, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../stack/device.ts";
import { type Handler, type Packet, RECEIVED } from "../stack/packet.ts";
import * as ethernet from "../stack/wire/ethernet.ts";
import { BridgePort, type BridgePortOptions } from "./bridge_port.ts";
import { ForwardingTable } from "./forwarding_table.ts";
import { sendable } from "./frame.ts";
import { formatLinkAddress, randomLinkAddress } from "./link_address.ts";
import { copyMetadata, MirrorPacket } from "./mirror.ts";
import { checkRange, SlotDevice } from "./slot_device.ts";

/** Options of a {@link BridgeDevice}. */
export interface BridgeOptions {
  /** What a person calls it; `bridge0` by default. */
  name?: string;
  /** Our own link address on it; random by default. */
  mac?: Uint8Array;
  /** Largest IP packet that we send, in bytes, 68 at least; by default the least of the ports', and never more than that. */
  mtu?: number;
  /** Addresses that it learns at most, 4 to 1,048,576, rounded up to a power of two; 4,096 by default. */
  addresses?: number;
  /** µs after which an address that is silent is forgotten, 1 at least; 300,000,000 by default (IEEE 802.1D, table 7-5). */
  ageing?: number;
  /**
   * Frames a second that come in on one port and go to several (to groups, to all, or to addresses that are not known), 1 at
   * least; `Infinity` for no limit, 10,000 by default. A tenth of a second's worth may come at once. What is more is dropped: this
   * is what ends the storm of a loop.
   */
  floodRate?: number;
  /** Slots for frames of our own, 1 to 65536; 256 by default. */
  slots?: number;
  /** 32 bits for the table of addresses; random by default, given for the same run again. */
  secret?: number;
}

/** An address that a bridge has learned. */
export interface BridgeAddress {
  /** `02:e7:00:00:00:01`. */
  mac: string;
  /** Where it was heard. */
  port: BridgePort;
  /** µs since it was last heard. */
  age: number;
}

/** Rounds in which one poll goes over the ports: what is bridged is not for us, and is not what `poll` may count. */
const ROUNDS = 8;
/** First 16 and next 32 bits of 01:80:c2:00:00:00 to …:0f, which no bridge forwards (IEEE 802.1D, table 7-10). */
const RESERVED_HIGH = 0x0180, RESERVED_LOW = 0xc2000000 | 0;

/**
 * Joins networks at the link: a frame that comes in by one port goes out by the port behind which its receiver was heard, and by
 * all of them when it is not known or a group. What is for our own address, or for a group, comes in here as well; a stack on top
 * of this device is one more station of the network. It needs no stack: with a receiver that does nothing it is a switch.
 *
 * - No frame goes back to the port it came from, and none to 01:80:c2:00:00:0x goes further (spanning tree, pause, link aggregation, LLDP).
 * - It speaks no spanning tree: of a loop, {@link BridgeOptions.floodRate} keeps the storm small.
 * - Tags of VLANs pass, and addresses are learned for all VLANs together.
 * - A port that does not complete checksums or cut super-frames gets complete, cut ones; frames too long for a port are dropped.
 * @example
 * ```ts ignore
 * const bridge = new BridgeDevice([await openDevice("tap:left"), await openDevice("tap:right")]);
 * await using network = await Network.open({ device: bridge, addresses: ["10.0.0.1/24"] });
 * ```
 */
export class BridgeDevice extends SlotDevice implements Device {
  /** Who is behind which port. */
  readonly table: ForwardingTable;
  readonly #macHigh: number;
  readonly #macLow: number;
  readonly #floodRate: number;
  #ports: readonly BridgePort[] = [];
  #numbers = 0;
  /** Where the next poll begins, so that no port is always the last. */
  #turn = 0;
  #receiver: Handler | null = null;
  #delivered = 0;
  #now = 0;
  #more = false;
  readonly #woken = (): void => this.rouse();

  /**
   * Makes a bridge of open devices, which are closed with it. Further ones are added by {@link addPort}.
   * @throws {TypeError} If one has no link header, or the address is that of a group.
   * @throws {RangeError} If an option is out of range.
   */
  constructor(devices: readonly Device[], options: BridgeOptions = {}) {
    const { name = "bridge0", addresses = 4096, ageing = 300_000_000, floodRate = 10_000, slots } = options;
    const least = devices.reduce((mtu, device) => Math.min(mtu, device.mtu), 65535);
    const mtu = options.mtu ?? least;
    checkRange("mtu", mtu, 68, least);
    checkRange("addresses", addresses, 4, 1 << 20);
    if (!(ageing >= 1)) throw new RangeError(`Option ageing is "${ageing}"; give µs, 1 at least`);
    if (!(floodRate >= 1)) {
      throw new RangeError(`Option floodRate is "${floodRate}"; give frames a second, 1 at least`);
    }
    const mac = options.mac?.slice() ?? randomLinkAddress();
    if (mac.length !== 6 || (mac[0]! & 1) !== 0) {
      throw new TypeError(`Link address "${formatLinkAddress(mac)}" is not that of a host`);
    }
    const offloads = OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO;
    super({ name, mac, mtu, offloads, slots });
    const view = new DataView(mac.buffer);
    this.#macHigh = view.getUint16(0);
    this.#macLow = view.getInt32(2);
    this.#floodRate = floodRate;
    const secret = options.secret ?? crypto.getRandomValues(new Int32Array(1))[0]!;
    this.table = new ForwardingTable(addresses, ageing, secret);
    for (const device of devices) this.addPort(device);
  }

  /** The ports, in the order in which they were added. Those whose devices are gone are not among them. */
  get ports(): readonly BridgePort[] {
    return this.#ports;
  }

  /** What it knows of the stations on its ports. Allocates. */
  get addresses(): BridgeAddress[] {
    const ports = new Map(this.#ports.map((port) => [port.number, port]));
    const bytes = new DataView(new ArrayBuffer(6));
    return this.table.entries(this.#now).map(({ high, low, port, age }) => {
      bytes.setUint16(0, high);
      bytes.setInt32(2, low);
      return { mac: formatLinkAddress(new Uint8Array(bytes.buffer)), port: ports.get(port)!, age };
    });
  }

  override get linkUp(): boolean {
    return !this.closed && this.#ports.some(({ device }) => device.linkUp);
  }

  override get deadline(): number {
    if (this.closed) return Infinity;
    let next = this.#more ? this.#now : Infinity;
    for (const { device } of this.#ports) if (device.deadline < next) next = device.deadline;
    return next;
  }

  /**
   * Adds a port.
   * @throws {TypeError} If the device has no link header, or is a port already.
   * @throws {RangeError} If its MTU is less than the bridge's.
   */
  addPort(device: Device, options: BridgePortOptions = {}): BridgePort {
    if (device.medium === "ip") {
      throw new TypeError(`Cannot bridge "${device.name}": its packets have no link header`);
    }
    if (this.#ports.some((port) => port.device === device)) {
      throw new TypeError(`Device "${device.name}" is a port of "${this.name}" already`);
    }
    if (device.mtu < this.mtu) {
      throw new RangeError(
        `Cannot bridge "${device.name}": its MTU of ${device.mtu} is less than the ${this.mtu} of "${this.name}"`,
      );
    }
    const port = new BridgePort(this, device, this.#numbers++, this.#floodRate, options, (packet, from) => {
      this.#receive(packet, from);
    });
    this.#ports = [...this.#ports, port];
    // Whoever sleeps has to watch one device more.
    if (this.wake !== null) this.#woken();
    return port;
  }

  /** Takes a port away and forgets who was behind it. Its device is left to the caller. Idempotent. */
  removePort(port: BridgePort): void {
    if (!this.#ports.includes(port)) return;
    this.#ports = this.#ports.filter((other) => other !== port);
    port.device.disarm();
    this.table.forget(port.number);
  }

  override poll(receiver: Handler, budget: number, now: number): number {
    if (this.closed) return 0;
    this.#now = now;
    this.#receiver = receiver;
    this.#delivered = 0;
    this.#more = true;
    for (let i = 0; i < this.#ports.length; i++) {
      if (!this.#ports[i]!.watch()) this.table.forget(this.#ports[i]!.number);
    }
    try {
      for (let round = 0; round < ROUNDS && this.#more; round++) this.#more = this.#pollPorts(budget, now);
    } finally {
      this.#receiver = null;
    }
    return this.#delivered;
  }

  override flush(): void {
    if (this.closed) return;
    const ports = this.#ports;
    for (let i = 0; i < ports.length; i++) ports[i]!.device.flush();
    for (let i = 0; i < ports.length; i++) if (ports[i]!.device.closed) this.#lose(ports[i]!);
  }

  override arm(wake: () => void): boolean {
    if (this.closed) return true;
    this.wake = wake;
    for (let i = 0; i < this.#ports.length; i++) {
      if (!this.#ports[i]!.device.arm(this.#woken)) {
        this.disarm();
        return false;
      }
    }
    return true;
  }

  override disarm(): void {
    this.wake = null;
    for (let i = 0; i < this.#ports.length; i++) this.#ports[i]!.device.disarm();
  }

  /** Closes the ports' devices. */
  protected override shut(): void {
    for (const { device } of this.#ports) device.close();
  }

  /** @returns Whether a port may have more. */
  #pollPorts(budget: number, now: number): boolean {
    const ports = this.#ports;
    let more = false;
    if (++this.#turn >= ports.length) this.#turn = 0;
    for (let i = 0; i < ports.length; i++) {
      const port = ports[(this.#turn + i) % ports.length]!;
      // Each frame comes in here at most once, so that no more come than may.
      const left = budget - this.#delivered;
      if (left <= 0 || this.closed) return !this.closed;
      if (port.device.poll(port.relayIn, left, now) >= left) more = true;
      if (port.device.closed && !this.closed) this.#lose(port);
    }
    return more;
  }

  /** A port's device is gone: the bridge is one of the others. */
  #lose(port: BridgePort): void {
    this.removePort(port);
    // A wrapper may hold more than the device which is gone (a file).
    port.device.close();
  }

  #receive(packet: Packet, from: BridgePort): void {
    const { dropped } = from.counters;
    const { view, offset: at } = packet;
    from.counters.received++;
    if (packet.end - at < ethernet.HEADER_LENGTH) {
      dropped.truncated++;
      return;
    }
    const sourceHigh = ethernet.sourceHigh(view, at), sourceLow = ethernet.sourceLow(view, at);
    if (ethernet.isGroup(sourceHigh)) {
      dropped.badSource++;
      return;
    }
    if (sourceHigh === this.#macHigh && sourceLow === this.#macLow) {
      dropped.looped++;
      return;
    }
    this.table.learn(sourceHigh, sourceLow, from.number, this.#now);
    const high = ethernet.destinationHigh(view, at), low = ethernet.destinationLow(view, at);
    if (high === this.#macHigh && low === this.#macLow) {
      from.counters.delivered++;
      this.#deliver(packet, from);
      return;
    }
    if (ethernet.isGroup(high)) {
      if (high === RESERVED_HIGH && (low & ~15) === RESERVED_LOW) {
        from.counters.delivered++;
        this.#deliver(packet, from);
        return;
      }
      if (!from.mayFlood(this.#now)) {
        dropped.floodLimit++;
        return;
      }
      from.counters.delivered++;
      from.counters.flooded++;
      this.#flood(packet, from);
      this.#deliver(packet, from);
      return;
    }
    this.#forward(packet, from, high, low);
  }

  /** Sends a frame to one station on. */
  #forward(packet: Packet, from: BridgePort, high: number, low: number): void {
    const { counters } = from;
    const number = this.table.find(high, low, this.#now);
    if (number === from.number) {
      counters.dropped.samePort++;
      return;
    }
    const to = number < 0 ? null : this.#portOf(number);
    if (to !== null) {
      if (from.isolated && to.isolated) counters.dropped.isolated++;
      else {
        counters.delivered++;
        to.out.send(packet);
      }
      return;
    }
    if (!from.mayFlood(this.#now)) {
      counters.dropped.floodLimit++;
      return;
    }
    counters.delivered++;
    counters.flooded++;
    this.#flood(packet, from);
  }

  /** Sends a frame out by all ports but the one it came from. @returns Whether one took it. */
  #flood(packet: Packet, from: BridgePort | null): boolean {
    const ports = this.#ports;
    let sent = false;
    for (let i = 0; i < ports.length; i++) {
      const port = ports[i]!;
      if (port === from || (from !== null && from.isolated && port.isolated)) continue;
      if (port.out.send(packet)) sent = true;
    }
    return sent;
  }

  /** Lends a frame to whoever polls. */
  #deliver(packet: Packet, from: BridgePort): void {
    this.#delivered++;
    this.lend(from.mirrors.of(packet), this.#receiver!);
  }

  /** Sends a frame of ours. */
  protected override sendFrame(packet: Packet): boolean {
    const { view, offset: at } = packet;
    const high = ethernet.destinationHigh(view, at);
    if (ethernet.isGroup(high)) return this.#flood(packet, null);
    const number = this.table.find(high, ethernet.destinationLow(view, at), this.#now);
    const to = number < 0 ? null : this.#portOf(number);
    if (to === null) return this.#flood(packet, null);
    const inner = packet instanceof MirrorPacket ? packet.inner : null;
    if (
      inner !== null && inner.device === to.device && inner.state === RECEIVED &&
      sendable(packet, to.device.offloads, to.device.mtu)
    ) {
      // An answer in the slot that its question came in, by the port that it came by.
      copyMetadata(packet, inner);
      if (to.device.transmit(inner)) to.out.counters.sent++;
      else {
        to.out.counters.refused++;
        return false;
      }
      return true;
    }
    return to.out.send(packet);
  }

  #portOf(number: number): BridgePort | null {
    const ports = this.#ports;
    for (let i = 0; i < ports.length; i++) if (ports[i]!.number === number) return ports[i]!;
    return null;
  }
}
