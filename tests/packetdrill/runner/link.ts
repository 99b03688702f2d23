/**
 * The link between the stack and a script: frames in virtual time, with segmentation offload.
 *
 * @module
 */

import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 } from "../../../stack/device.ts";
import { Cidr, IpAddress } from "../../../stack/ip/address.ts";
import type { RouteOptions } from "../../../stack/ip/routes.ts";
import type { Interface } from "../../../stack/link/interface.ts";
import { CHECKSUM_VALID } from "../../../stack/packet.ts";
import { Stack } from "../../../stack/stack.ts";
import { xorshift } from "../../../stack/testing/pair.ts";
import { TestDevice } from "../../../stack/testing/test_device.ts";
import { type Captured, decode, encodeIp } from "./codec.ts";
import { DEFAULT_ADDRESSES, type RunOptions } from "./options.ts";

const GATEWAY_MAC = [2, 0, 0, 0, 0, 2];

/** Where the script's clock stands at its start, in µs. */
export const START = 1_000_000_000;

/** A stack with one interface, whose other end is the script. */
export class Link {
  readonly stack: Stack;
  readonly localAddress: IpAddress;
  readonly remoteAddress: IpAddress;
  readonly #device: TestDevice;
  readonly #interface: Interface;
  readonly #route: RouteOptions;
  /** What the stack sent and no step has taken. */
  queue: Captured[] = [];
  /** What the stack reported as thrown by handlers. */
  readonly errors: unknown[] = [];

  constructor(options: RunOptions) {
    const v6 = options.ipVersion === "ipv6";
    const defaults = DEFAULT_ADDRESSES[v6 ? 6 : 4];
    this.localAddress = IpAddress.parse(options.localIp ?? defaults.local);
    this.remoteAddress = IpAddress.parse(options.remoteIp ?? defaults.remote);
    const own = new Cidr(this.localAddress, v6 ? 48 : 16);
    const gateway = IpAddress.parse(options.gatewayIp ?? defaults.gateway);
    this.#device = new TestDevice({
      mtu: options.mtu,
      offloads: OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6,
      slotSize: 66_048,
    });
    this.stack = new Stack({ random: xorshift(7), report: (error) => this.errors.push(error) });
    this.stack.advance(START);
    this.#interface = this.stack.addInterface(this.#device, {
      addresses: [own],
      announce: false,
      ipv6: v6 ? { linkLocal: false, routers: false, duplicates: "off" } : false,
    });
    this.#route = {
      destination: Cidr.parse(v6 ? "::/0" : "0.0.0.0/0"),
      ...reachable(own, gateway) ? { gateway } : {},
      interface: this.#interface,
    };
    this.stack.addRoute(this.#route);
  }

  /** Bounds packets to everyone behind the gateway. @param mtu Bytes, or null for those of the device. */
  bound(mtu: number | null): void {
    this.stack.replaceRoute({ ...this.#route, ...mtu === null ? {} : { mtu } });
  }

  /** Lets a frame come in. */
  deliver(frame: Uint8Array): void {
    this.#device.deliver(this.#interface, frame, (packet) => packet.flags = CHECKSUM_VALID);
  }

  /** Lets a frame come in whose checksum the stack has to look at. */
  deliverUnchecked(frame: Uint8Array): void {
    this.#device.deliver(this.#interface, frame);
  }

  /** Ends the stack's turn and takes what it sent. @returns When it wants the next one, in µs of the stack's clock. */
  poll(): number {
    for (let round = 0;; round++) {
      const deadline = this.stack.poll(this.stack.now);
      const frames = this.#device.take();
      let asked = false;
      for (const { bytes, gsoSize } of frames) {
        if (this.#answerArp(bytes) || this.#answerSolicitation(bytes)) asked = true;
        else {
          const packet = decode(bytes, this.stack.now - START, gsoSize);
          if (packet !== null) this.queue.push(packet);
        }
      }
      if (!asked || round > 16) return deadline;
    }
  }

  /** Answers neighbour solicitations for all other hosts (RFC 4861, section 7.2.4). */
  #answerSolicitation(frame: Uint8Array): boolean {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    if (frame.length < 78 || view.getUint16(12) !== 0x86dd || frame[20] !== 58 || frame[54] !== 135) {
      return false;
    }
    const target = IpAddress.read(6, view, 62);
    if (target.equals(this.localAddress)) return false;
    const message = new Uint8Array(32);
    const out = new DataView(message.buffer);
    out.setUint16(0, 136 << 8);
    // Solicited, and to replace what was known.
    out.setUint32(4, 0x60000000);
    target.write(out, 8);
    message.set([2, 1, ...GATEWAY_MAC], 24);
    const ip = { trafficClass: 0, hopLimit: 255, flowLabel: 0 };
    const destination = IpAddress.read(6, view, 22);
    this.deliverUnchecked(encodeIp({ ...ip, source: target, destination }, 58, message, 2));
    return true;
  }

  /** Answers for all other hosts, at once. */
  #answerArp(frame: Uint8Array): boolean {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    if (view.getUint16(12) !== 0x0806 || view.getUint16(20) !== 1) return false;
    const target = view.getUint32(38);
    if (this.localAddress.version === 4 && target === this.localAddress.number) return false;
    const answer = frame.slice();
    const out = new DataView(answer.buffer);
    answer.set(frame.subarray(6, 12), 0);
    answer.set(GATEWAY_MAC, 6);
    out.setUint16(20, 2);
    answer.set(frame.subarray(22, 32), 32);
    answer.set(GATEWAY_MAC, 22);
    out.setUint32(28, target);
    this.deliver(answer);
    return true;
  }
}

/** Whether a gateway is a host of the network that `own` is an address of, and another one. */
export function reachable(own: Cidr, gateway: IpAddress): boolean {
  return own.contains(gateway) && !own.address.equals(gateway);
}
