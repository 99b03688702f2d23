/**
 * What our stack answers to odd packets.
 *
 * @module
 */

import { Cidr, IpAddress } from "../../stack/ip/address.ts";
import { Stack } from "../../stack/stack.ts";
import { xorshift } from "../../stack/testing/pair.ts";
import { TestDevice } from "../../stack/testing/test_device.ts";
import type { Case } from "./cases.ts";
import type { Answer } from "./describe.ts";

/** The host under test, as `kernel.ts` sets the kernel up. */
class Host {
  readonly #stack: Stack;
  readonly #devices: TestDevice[];

  constructor(forwarding: boolean) {
    this.#stack = new Stack({
      random: xorshift(1),
      forwarding,
      limits: { icmpRate: 1e6, icmpBurst: 1e6 },
      report: (error) => {
        throw error;
      },
    });
    this.#devices = [
      new TestDevice({ mac: 1, slotSize: 4096 }),
      new TestDevice({ mac: 2, mtu: 1280, slotSize: 4096 }),
    ];
    const addresses = [["10.9.0.1/24", "fd09::1/64", "fe80::1/64"], [
      "10.9.1.1/24",
      "fd09:1::1/64",
      "fe80::1:1/64",
    ]];
    const neighbours = [["10.9.0.2", "fd09::2", "fe80::2"], ["10.9.1.2", "fd09:1::2"]];
    const interfaces = this.#devices.map((device, i) => {
      const added = this.#stack.addInterface(device, {
        addresses: addresses[i]!.map((text) => Cidr.parse(text)),
        ipv6: { linkLocal: false, routers: false, duplicates: "off" },
        name: `k${i}`,
        announce: false,
      });
      for (const text of neighbours[i]!) {
        const address = IpAddress.parse(text);
        (address.version === 4 ? added.arp : added.nd!).neighbours.setPermanent(address, 0x0200, 10 + i);
      }
      return added;
    });
    for (
      const [destination, gateway] of [["192.0.2.0/24", "10.9.0.2"], ["2001:db8::/64", "fd09::2"]] as const
    ) {
      this.#stack.addRoute({
        destination: Cidr.parse(destination),
        gateway: IpAddress.parse(gateway),
        interface: interfaces[0]!,
      });
    }
    this.#turn();
  }

  ask({ frames }: Case): Answer[] {
    const [near] = this.#devices;
    for (const frame of frames) near!.deliver(this.#stack.interfaces[0]!, frame);
    return this.#turn();
  }

  #turn(): Answer[] {
    this.#stack.poll(1_000_000);
    return this.#devices.flatMap((device, port) =>
      device.take().map(({ bytes }) => ({ port, frame: bytes }))
    );
  }
}

/** What our host answers to each case. */
export function answersOfOurs(cases: readonly Case[], forwarding: boolean): Answer[][] {
  const host = new Host(forwarding);
  return cases.map((one) => host.ask(one));
}
