/**
 * What a network is made of.
 *
 * @module
 */

import type { Device } from "../stack/device.ts";
import type { ForwardingOptions } from "../stack/ip/forwarding.ts";
import type { Limits } from "../stack/limits.ts";
import type { ConfigureOptions } from "./configuration.ts";
import type { DnsOptions } from "./dns/resolver.ts";
import type { InterfaceSpec } from "./interface_spec.ts";
import type { RouteSpec } from "./route_spec.ts";

/** What `Network.open` and `Network.create` take. */
export interface NetworkOptions<D = Device | string> {
  /** The device of the only interface; use {@link interfaces} for several. */
  device?: D;
  /** Addresses of the only interface. */
  addresses?: readonly string[];
  /** How the link configures the only interface: see {@link InterfaceSpec.configure}. */
  configure?: boolean | ConfigureOptions;
  /**
   * µs that `Network.open` waits for interfaces to be configured by the link; it then goes on with what there is, and
   * the rest comes later. Default 20 seconds.
   */
  patience?: number;
  /** Several interfaces. */
  interfaces?: readonly InterfaceSpec<D>[];
  /** Router to everywhere else. It must be in one of the interfaces' networks. */
  gateway?: string;
  /** Further routes. */
  routes?: readonly RouteSpec[];
  /** Whether it is a router, which sends packets for others on (RFC 1812), and how. Default false. */
  forwarding?: boolean | ForwardingOptions;
  /** Whether an address belongs to its interface alone: see `StackOptions.strongHost`. Default false. */
  strongHost?: boolean;
  /** How names are resolved. Default: as the network tells. */
  dns?: DnsOptions;
  /**
   * What the link calls this host: it answers to `HOSTNAME.local` (RFC 6762), or to `HOSTNAME-2.local` if another host has
   * the name. Default: it tells nobody its name.
   */
  hostname?: string;
  /** What differs from the stack's usual limits. */
  limits?: Partial<Limits>;
  /** µs for which the loop stays awake after the last activity. Default 100. */
  spin?: number;
  /** Frames that one device may deliver in a turn. Default 64. */
  budget?: number;
  /** The time in µs. Default: since the process started. */
  clock?: () => number;
  /** 16 secret bytes that outlive the process: see `StackOptions.secret`. Default: addresses made of link addresses. */
  secret?: Uint8Array;
  /** 32 random bits. Default: from the system's generator. */
  random?: () => number;
  /** False for a network that is driven by `Network.step` alone, in the time that it is told. Default true. */
  loop?: boolean;
  /** Gets what the application's callbacks throw, and why a device is gone. Default: prints the former; the latter is uncaught. */
  onError?: (error: unknown, where: string) => void;
}

/** The interfaces that options stand for. */
export function specsOf<D>(options: NetworkOptions<D>): readonly InterfaceSpec<D>[] {
  const { device, addresses, configure, interfaces } = options;
  if (device === undefined) {
    if (addresses !== undefined) {
      throw new TypeError("Option addresses needs a device: give one, or use interfaces");
    }
    return interfaces ?? [];
  }
  if (interfaces !== undefined) {
    throw new TypeError("Options device and interfaces exclude each other: use one of them");
  }
  return [{
    device,
    ...(addresses === undefined ? {} : { addresses }),
    ...(configure === undefined ? {} : { configure }),
  }];
}
