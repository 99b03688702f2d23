/**
 * Interfaces as an application describes them.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import type { ReversePath } from "../stack/ip/forwarding.ts";
import type { InterfaceOptions } from "../stack/link/interface.ts";
import type { Ipv6Options } from "../stack/nd/options.ts";
import type { ConfigureOptions } from "./configuration.ts";
import { parseCidr } from "./route_spec.ts";

/** One interface of a `Network`. */
export interface InterfaceSpec<D = Device | string> {
  /** An open device, which is closed with the network, or one of `tap:NAME`, `virtio:auto`, `qemu:PATH`. */
  device: D;
  /** Addresses with their prefixes, as in `10.0.0.2/24`. */
  addresses?: readonly string[];
  /** What a person calls it. Default: the device's name. */
  name?: string;
  /** Largest IP packet, in bytes. Default: the device's. */
  mtu?: number;
  /** Whether packets that come in here and are for others are sent on. Default: what `NetworkOptions.forwarding` says. */
  forwarding?: boolean;
  /** Whether packets must come from where they would be answered to (RFC 3704). Default: nothing is checked. */
  reversePath?: ReversePath;
  /**
   * Whether the link configures it: IPv4 by DHCP (RFC 2131), or by itself where nobody answers (RFC 3927). Default: when it
   * is given no addresses and no VLANs, and the network no gateway, for `Network.open`; not for `Network.create`.
   */
  configure?: boolean | ConfigureOptions;
  /** How it speaks IPv6: see {@link Ipv6Options}; false: not at all. Default: it makes itself addresses. */
  ipv6?: boolean | Ipv6Options;
  /** VLANs on top of it, each an interface of its own, called `NAME.ID` by default. */
  vlans?: readonly VlanSpec[];
}

/** A VLAN of an {@link InterfaceSpec}, or of another VLAN. */
export interface VlanSpec extends Omit<InterfaceSpec, "device"> {
  /** The VLAN's identifier, 1 to 4094. */
  id: number;
  /** Whose tag it is: a customer's (802.1Q, 0x8100, the default) or a service provider's (802.1ad, 0x88a8). */
  protocol?: "802.1Q" | "802.1ad";
  /** Priority of the frames, 0 to 7, or `class`: that of the packet. Default 0. */
  priority?: number | "class";
}

/** @internal What the stack is told of an interface. */
export function interfaceOptions(spec: Omit<InterfaceSpec, "device">): InterfaceOptions {
  const options: InterfaceOptions = { addresses: (spec.addresses ?? []).map((text) => parseCidr(text)) };
  if (spec.name !== undefined) options.name = spec.name;
  if (spec.mtu !== undefined) options.mtu = spec.mtu;
  if (spec.ipv6 !== undefined) options.ipv6 = spec.ipv6;
  if (spec.forwarding !== undefined) options.forwarding = spec.forwarding;
  if (spec.reversePath !== undefined) options.reversePath = spec.reversePath;
  return options;
}
