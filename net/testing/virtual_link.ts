/**
 * Several hosts on one hub, in virtual time: nothing waits, and the same test goes the same way on any machine.
 *
 * @module
 */

import { MemoryHub } from "../../drivers/memory.ts";
import { Network } from "../network.ts";
import type { NetworkOptions } from "../network_options.ts";

/** What a host of a {@link VirtualLink} may differ in. */
export type VirtualHostOptions = Omit<NetworkOptions, "device" | "interfaces" | "loop" | "clock">;

/** The hub, its hosts, and their time. */
export class VirtualLink implements Disposable {
  /** The time, in µs. */
  now = 0;
  readonly #hub = new MemoryHub({ ports: 8 });
  readonly #hosts: Network[] = [];
  readonly #planned: { readonly time: number; readonly action: () => void }[] = [];
  #ports = 0;
  #seed: number;

  /** @param seed What random numbers are made of. */
  constructor(seed = 1) {
    this.#seed = seed;
  }

  /** Adds a host. IPv6 is off unless an address or the options say otherwise; duplicates are not looked for. */
  host(addresses: readonly string[], options: VirtualHostOptions & { ipv6?: boolean } = {}): Network {
    return this.router([addresses], options);
  }

  /** Adds a host with several interfaces, all of them on the hub. */
  router(
    interfaces: readonly (readonly string[])[],
    options: VirtualHostOptions & { ipv6?: boolean } = {},
  ): Network {
    const { ipv6 = interfaces.flat().some((text) => text.includes(":")), ...rest } = options;
    const network = Network.create({
      random: () => this.random(),
      ...rest,
      limits: { duplicateProbes: 0, ...rest.limits },
      interfaces: interfaces.map((addresses) => ({ device: this.#hub.port(this.#ports++), addresses, ipv6 })),
      loop: false,
      clock: () => this.now,
    });
    this.#hosts.push(network);
    return network;
  }

  /** Has something done at a time, in µs. */
  at(time: number, action: () => void): void {
    this.#planned.push({ time, action });
    this.#planned.sort((one, other) => one.time - other.time);
  }

  /** 32 random bits, the same in each run. */
  random(): number {
    this.#seed = Math.imul(this.#seed, 1664525) + 1013904223 | 0;
    const mixed = Math.imul(this.#seed ^ this.#seed >>> 15, 0x2c1b3c6d);
    return mixed ^ mixed >>> 13;
  }

  /**
   * Lets time pass until a promise is settled.
   *
   * @param limit µs at most.
   * @returns What it resolves with.
   */
  async until<T>(promise: Promise<T>, limit = 120_000_000): Promise<T> {
    let settled = false;
    promise.then(() => settled = true, () => settled = true);
    const end = this.now + limit;
    await this.#turn();
    while (!settled) {
      const next = await this.#turn();
      if (settled) break;
      if (next > end) throw new Error(`Nothing settled it within ${limit} µs`);
      this.now = Math.max(next, this.now);
    }
    return await promise;
  }

  /** Lets `duration` µs pass. */
  async pass(duration: number): Promise<void> {
    const end = this.now + duration;
    for (;;) {
      const next = await this.#turn();
      if (next > end) break;
      this.now = Math.max(next, this.now);
    }
    this.now = end;
    await this.#turn();
  }

  /** Closes the hosts. */
  [Symbol.dispose](): void {
    for (const host of this.#hosts) host.close();
  }

  /** Does everything that is due now. @returns When the next is. */
  async #turn(): Promise<number> {
    let before = -1, next = Infinity;
    for (let quiet = 0; quiet < 2;) {
      while (this.#planned.length > 0 && this.#planned[0]!.time <= this.now) this.#planned.shift()!.action();
      next = this.#planned[0]?.time ?? Infinity;
      for (const host of this.#hosts) next = Math.min(next, host.step(this.now));
      await new Promise<void>((resolve) => setImmediate(resolve));
      let after = 0;
      for (const { stack } of this.#hosts) {
        for (const { counters } of stack.interfaces) after += counters.received + counters.sent;
        after += stack.loopback.counters.sent;
      }
      quiet = after === before && next > this.now ? quiet + 1 : 0;
      before = after;
      if (next <= this.now) this.now++;
    }
    return next;
  }
}
