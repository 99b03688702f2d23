/**
 * Two stacks on one wire, for unit tests.
 *
 * @module
 */

import { Cidr } from "../ip/address.ts";
import type { Interface } from "../link/interface.ts";
import type { Ipv6Options } from "../nd/options.ts";
import { Stack, type StackOptions } from "../stack.ts";
import { TestDevice, type TestDeviceOptions } from "./test_device.ts";

/** A reproducible source of 32-bit words (Marsaglia, 2003). */
export function xorshift(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    return state ^= state << 5;
  };
}

/** One host of a {@link Pair}. */
export class Host {
  readonly stack: Stack;
  readonly device: TestDevice;
  readonly interface: Interface;
  /** What handlers have thrown. */
  readonly errors: unknown[] = [];

  constructor(
    mac: number,
    address: string,
    device: TestDeviceOptions = {},
    options: Partial<StackOptions> = {},
    ipv6: boolean | Ipv6Options = false,
  ) {
    this.device = new TestDevice({ mac, ...device });
    this.stack = new Stack({
      random: xorshift(mac),
      report: (error) => this.errors.push(error),
      ...options,
    });
    const addresses = address === "" ? [] : [Cidr.parse(address)];
    this.interface = this.stack.addInterface(this.device, { addresses, ipv6 });
  }
}

/** Two hosts on a wire without delay or loss: 10.0.0.1 (`a`) and 10.0.0.2 (`b`), unless told otherwise. */
export class Pair {
  readonly a: Host;
  readonly b: Host;
  now = 0;

  constructor(
    device: TestDeviceOptions = {},
    options: Partial<StackOptions> = {},
    addresses: readonly [string, string] = ["10.0.0.1/24", "10.0.0.2/24"],
    ipv6: boolean | Ipv6Options = false,
  ) {
    this.a = new Host(1, addresses[0], device, options, ipv6);
    this.b = new Host(2, addresses[1], device, options, ipv6);
    this.run();
  }

  /** Moves frames and polls both until nothing moves. @returns The next deadline of either, in µs. */
  run(): number {
    let deadline = Infinity;
    for (let round = 0; round < 1000; round++) {
      deadline = Math.min(this.a.stack.poll(this.now), this.b.stack.poll(this.now));
      const fromA = this.a.device.take(), fromB = this.b.device.take();
      if (fromA.length + fromB.length === 0) return deadline;
      for (const frame of fromA) this.b.device.deliver(this.b.interface, frame.bytes);
      for (const frame of fromB) this.a.device.deliver(this.a.interface, frame.bytes);
    }
    throw new Error("The wire does not come to rest");
  }

  /** Lets `micros` pass, deadline by deadline. */
  pass(micros: number): void {
    const end = this.now + micros;
    for (;;) {
      const next = this.run();
      if (next > end) break;
      this.now = Math.max(next, this.now + 1);
    }
    this.now = end;
    this.run();
  }
}
