/**
 * A simulated host: a stack over one device.
 *
 * @module
 */

import { Cidr, IpAddress } from "../../stack/ip/address.ts";
import type { Interface } from "../../stack/link/interface.ts";
import { Stack } from "../../stack/stack.ts";
import type { TcpSettings } from "../../stack/tcp/settings.ts";
import type { Link } from "./link.ts";
import { Nic } from "./nic.ts";
import { Random } from "./random.ts";

/** How often a turn that could not send everything is tried again at least, in µs. */
const RETRY = 500;

/** What differs between hosts. */
export interface HostOptions {
  mtu: number;
  offloads: number;
  slots: number;
  ecn: boolean;
  /** What differs from TCP's usual settings. */
  settings: Partial<TcpSettings>;
}

/** One host. */
export class Host {
  readonly stack: Stack;
  readonly nic: Nic;
  readonly interface: Interface;
  readonly address: IpAddress;
  /** Its IPv6 address, or null with an MTU that IPv6 does not take. */
  readonly address6: IpAddress | null;
  readonly index: number;
  /** When it has to be called, in µs. */
  deadline = 0;
  /** Something waits for its turn. */
  ready = true;

  /** @param fail Takes exceptions of handlers. */
  constructor(seed: number, index: number, link: Link, options: HostOptions, fail: (what: string) => void) {
    this.index = index;
    const random = new Random(seed, 100 + index);
    this.address = IpAddress.v4(10 << 24 | index + 1);
    this.stack = new Stack({
      random: () => random.word(),
      limits: { neighbours: 64, paths: 64, duplicateProbes: 0 },
      report: (error, where) =>
        fail(`Exception in ${where}: ${error instanceof Error ? error.stack : error}`),
    });
    this.stack.onWork = () => this.ready = true;
    this.stack.tcp.ecn = options.ecn;
    Object.assign(this.stack.tcp.settings, options.settings);
    this.nic = new Nic(link, index, options.mtu, options.offloads, options.slots);
    link.nics.push(this.nic);
    const addresses = [Cidr.parse(`10.0.0.${index + 1}/24`)];
    this.address6 = options.mtu < 1280 ? null : IpAddress.v6(0xfd000000 | 0, 0, 0, index + 1);
    if (this.address6 !== null) addresses.push(new Cidr(this.address6, 64));
    this.interface = this.stack.addInterface(this.nic, { addresses });
  }

  /** One turn of its event loop. */
  turn(now: number): void {
    this.ready = false;
    this.stack.advance(now);
    while (this.nic.poll(this.interface, 64) === 64);
    this.deadline = this.stack.poll(now);
    if (this.deadline <= now) this.deadline = now + RETRY;
  }
}
