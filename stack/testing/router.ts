/**
 * A router between two links, for unit tests.
 *
 * @module
 */

import { Cidr, IpAddress } from "../ip/address.ts";
import type { Interface, InterfaceOptions } from "../link/interface.ts";
import { Stack, type StackOptions } from "../stack.ts";
import { xorshift } from "./pair.ts";
import { TestDevice, type TestDeviceOptions } from "./test_device.ts";

/**
 * 10.0.0.1 and fd00::1 on the left, 10.0.1.1 and fd01::1 on the right, link addresses 02:…:01 and 02:…:02. The hosts
 * 10.0.0.2 and fd00::2 (02:…:0a) and 10.0.1.2 and fd01::2 (02:…:0b) are known neighbours.
 */
export class Router {
  readonly stack: Stack;
  readonly leftDevice: TestDevice;
  readonly rightDevice: TestDevice;
  readonly left: Interface;
  readonly right: Interface;
  /** What handlers have thrown. */
  readonly errors: unknown[] = [];

  constructor(
    devices: { left?: TestDeviceOptions; right?: TestDeviceOptions } = {},
    options: Partial<StackOptions> = {},
    own: Partial<InterfaceOptions> = {},
  ) {
    this.stack = new Stack({
      random: xorshift(7),
      forwarding: true,
      report: (error) => this.errors.push(error),
      ...options,
    });
    this.leftDevice = new TestDevice({ mac: 1, ...devices.left });
    this.rightDevice = new TestDevice({ mac: 2, ...devices.right });
    const add = (device: TestDevice, addresses: string[]) =>
      this.stack.addInterface(device, {
        addresses: addresses.map((text) => Cidr.parse(text)),
        ipv6: { duplicates: "off", routers: false },
        announce: false,
        ...own,
      });
    this.left = add(this.leftDevice, ["10.0.0.1/24", "fd00::1/64"]);
    this.right = add(this.rightDevice, ["10.0.1.1/24", "fd01::1/64"]);
    const know = (by: Interface, mac: number, ...addresses: string[]) => {
      for (const text of addresses) {
        const address = IpAddress.parse(text);
        const { neighbours } = address.version === 4 ? by.arp : by.nd!;
        neighbours.setPermanent(address, 0x0200, mac);
      }
    };
    know(this.left, 10, "10.0.0.2", "10.0.0.254", "fd00::2", "fe80::254");
    know(this.right, 11, "10.0.1.2", "fd01::2");
    this.stack.poll(1_000_000);
    this.leftDevice.take();
    this.rightDevice.take();
  }
}
