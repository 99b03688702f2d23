/**
 * A wire between two devices, for hosts that are not ours: two kernels with a bad link between them, say.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import type { Handler, Packet } from "../stack/packet.ts";
import { Loop, type LoopOptions, type Pollable } from "./loop.ts";
import { Relay } from "./relay.ts";

/**
 * Copies each frame that one device receives to the other, both ways. Checksums and super-frames that are left to a device which
 * does not do them are completed and cut. A frame that the other has no slot for, or refuses, is lost and in its counters.
 * @throws {TypeError} If they carry different things: frames of Ethernet, and packets without a link header.
 * @returns The loop that does it; it closes both devices in the end.
 * @example Two kernels, 20 ms apart
 * ```ts ignore
 * import { ImpairDevice, joinDevices, TapDevice } from "@ethox/ethox/drivers";
 *
 * const near = TapDevice.open({ name: "near", offloads: "none" });
 * const far = TapDevice.open({ name: "far", offloads: "none", namespace: "elsewhere" });
 * joinDevices(new ImpairDevice(near, { send: { delay: 10_000 }, receive: { delay: 10_000 } }), far);
 * ```
 */
export function joinDevices(one: Device, other: Device, options: LoopOptions = {}): Loop {
  if ((one.medium ?? "ethernet") !== (other.medium ?? "ethernet")) {
    throw new TypeError(
      `Cannot join "${one.name}" and "${other.name}": one has link headers, the other has not`,
    );
  }
  const loop = new Loop(new Nothing(), options);
  loop.add(one, new Forwarder(other));
  loop.add(other, new Forwarder(one));
  return loop;
}

/** In the place of a stack. */
class Nothing implements Pollable {
  onWork: (() => void) | null = null;

  advance(): void {}

  poll(): number {
    return Infinity;
  }
}

class Forwarder implements Handler {
  readonly #relay: Relay;

  constructor(to: Device) {
    this.#relay = new Relay(to);
  }

  receive(packet: Packet): void {
    this.#relay.send(packet);
  }
}
