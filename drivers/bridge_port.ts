/**
 * One port of a bridge.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import type { Handler, Packet } from "../stack/packet.ts";
import { Mirrors } from "./mirror.ts";
import { Relay } from "./relay.ts";

/** How a port differs from others. */
export interface BridgePortOptions {
  /** Whether it exchanges nothing with other isolated ports, but only with those that are not and with ourselves. Default false. */
  isolated?: boolean;
}

/** Why a frame that came in by a port went nowhere. */
export class BridgePortDrops {
  /** Shorter than an Ethernet header. */
  truncated = 0;
  /** The source is a group address. */
  badSource = 0;
  /** The source is our own address: there is a loop, or somebody has taken it. */
  looped = 0;
  /** Its receiver is behind the port that it came from. */
  samePort = 0;
  /** This port and that of its receiver are isolated. */
  isolated = 0;
  /** More than may be flooded. */
  floodLimit = 0;
}

/** What came in by a port: `received` = `delivered` + the sum of `dropped`. What went out is in {@link BridgePort.out}. */
export class BridgePortCounters {
  /** Frames from the device. */
  received = 0;
  /** Frames that were for another port or for us. */
  delivered = 0;
  /** Frames that went to all ports. */
  flooded = 0;
  /** Reasons for the others. */
  readonly dropped: BridgePortDrops = new BridgePortDrops();
}

/** A device that is part of a bridge. {@link BridgeDevice.addPort} makes them. */
export class BridgePort {
  /** What frames come and go by. */
  readonly device: Device;
  /** Its number, which no other port of the bridge has had. */
  readonly number: number;
  /** Whether it exchanges nothing with other isolated ports. May be changed at any time. */
  isolated: boolean;
  /** What came in. */
  readonly counters: BridgePortCounters = new BridgePortCounters();
  /** The way out, with what it counts. */
  readonly out: Relay;
  /** @internal Stand for the device's packets while they are lent to the bridge's receiver. */
  readonly mirrors: Mirrors;
  /** @internal Gets what the device delivers. */
  readonly relayIn: Handler;
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt = 0;
  #up: boolean;

  /** @internal */
  constructor(
    bridge: Device,
    device: Device,
    number: number,
    floodRate: number,
    options: BridgePortOptions,
    receive: (packet: Packet, from: BridgePort) => void,
  ) {
    this.device = device;
    this.number = number;
    this.isolated = options.isolated ?? false;
    this.out = new Relay(device);
    this.mirrors = new Mirrors(bridge);
    this.relayIn = { receive: (packet) => receive(packet, this) };
    this.#rate = floodRate / 1e6;
    this.#burst = this.#tokens = Math.max(1, floodRate / 10);
    this.#up = device.linkUp;
  }

  /** @internal Whether one frame more may go to several ports. */
  mayFlood(now: number): boolean {
    if (this.#rate === Infinity) return true;
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#filledAt) * this.#rate);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** @internal @returns False when the link has gone down since the last call: nobody is behind the port any more. */
  watch(): boolean {
    const was = this.#up;
    this.#up = this.device.linkUp;
    return this.#up || !was;
  }
}
