/**
 * What a guest is told: the addresses of its network device and the arguments of its program. It lies in the image
 * as an archive of its own, or comes from QEMU when the guest is started, so changing it needs no build.
 *
 * @module
 */

import { Cidr, IpAddress } from "../stack/ip/address.ts";
import { file, writeCpio } from "./cpio.ts";

/** Where the configuration lies in the guest. */
export const CONFIG_PATH = "etc/ethox/config.json";

/** The name under which QEMU hands over a configuration that replaces the image's (its fw_cfg device). */
export const CONFIG_FW_CFG = "opt/ethox/config";

/** The configuration of one guest. */
export interface GuestConfig {
  /**
   * The `--device` argument of the program; empty for a program without network. `kernel` in an image that was built
   * with `--kernel-network`: process 1 gives the addresses to the kernel's interface, and the program gets no argument.
   */
  readonly device: string;
  /** The addresses with their prefixes, each an `--address` argument. Without any, the guest asks the network (DHCP, routers). */
  readonly addresses: readonly string[];
  /** The gateway: the `--gateway` argument. Empty for none. */
  readonly gateway: string;
  /** What the link calls the guest, without `.local`: the `--hostname` argument. Empty: it tells nobody a name. */
  readonly hostname: string;
  /** Link address for the guest's network device. Empty takes the runner's default. */
  readonly mac: string;
  /** Arguments of the program, after those above. */
  readonly args: readonly string[];
}

/** The network tells the guest what it needs. */
export const DEFAULT_CONFIG: GuestConfig = {
  device: "virtio:auto",
  addresses: [],
  gateway: "",
  hostname: "",
  mac: "",
  args: [],
};

/** {@link GuestConfig.device} where the network is the kernel's. */
export const KERNEL_DEVICE = "kernel";

/** The configuration of a guest whose network is the kernel's: that asks nobody, so it is given what fits QEMU's user network. */
export const KERNEL_CONFIG: GuestConfig = {
  ...DEFAULT_CONFIG,
  device: KERNEL_DEVICE,
  addresses: ["10.0.2.15/24"],
  gateway: "10.0.2.2",
};

/** Raised for a configuration that can't be used; the message is one line for the user. */
export class InvalidConfig extends Error {
  /** What the class is called, for those who print it. */
  override readonly name = "InvalidConfig";
}

/**
 * Checks a configuration.
 * @param value An object with any of {@link GuestConfig}'s fields, such as a parsed JSON file.
 * @param base Where the missing fields come from.
 * @throws {InvalidConfig} When a field is unknown or its value can't be used.
 */
export function parseConfig(value: unknown, base: GuestConfig = DEFAULT_CONFIG): GuestConfig {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidConfig("Configuration must be a JSON object");
  }
  const known = value as { [K in keyof GuestConfig]?: unknown };
  for (const key of Object.keys(known)) {
    if (!(key in DEFAULT_CONFIG)) {
      throw new InvalidConfig(
        `Unknown configuration field "${key}": use ${Object.keys(DEFAULT_CONFIG).join(", ")}`,
      );
    }
  }
  const config: GuestConfig = {
    device: text(known.device ?? base.device, "device"),
    addresses: texts(known.addresses ?? base.addresses, "addresses"),
    gateway: text(known.gateway ?? base.gateway, "gateway"),
    hostname: text(known.hostname ?? base.hostname, "hostname"),
    mac: text(known.mac ?? base.mac, "mac").toLowerCase(),
    args: texts(known.args ?? base.args, "args"),
  };
  for (const address of config.addresses) {
    try {
      Cidr.parse(address);
    } catch (error) {
      throw new InvalidConfig((error as Error).message);
    }
    if (!address.includes("/")) {
      throw new InvalidConfig(`Address "${address}" has no prefix length: write ${address}/24, for example`);
    }
  }
  if (config.gateway !== "" && IpAddress.tryParse(config.gateway) === null) {
    throw new InvalidConfig(`Gateway "${config.gateway}" is not an IP address`);
  }
  if (config.hostname !== "" && !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(config.hostname)) {
    throw new InvalidConfig(
      `Host name "${config.hostname}" is none: use up to 63 letters, digits and hyphens, without a dot`,
    );
  }
  if (config.mac !== "") {
    if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(config.mac)) {
      throw new InvalidConfig(`MAC address "${config.mac}" is not of the form 52:54:00:12:34:56`);
    }
    if (parseInt(config.mac.slice(0, 2), 16) & 1) {
      throw new InvalidConfig(`MAC address "${config.mac}" is a group address: make its first byte even`);
    }
  }
  return config;
}

function text(value: unknown, field: string): string {
  if (typeof value !== "string") throw new InvalidConfig(`Configuration field "${field}" must be a string`);
  return value;
}

function texts(value: unknown, field: string): string[] {
  if (!Array.isArray(value) || value.some((item) => typeof item !== "string")) {
    throw new InvalidConfig(`Configuration field "${field}" must be an array of strings`);
  }
  return [...value];
}

/** The program's arguments that a configuration stands for. */
export function programArguments(config: GuestConfig): string[] {
  const args: string[] = [];
  if (config.device !== "" && config.device !== KERNEL_DEVICE) {
    args.push("--device", config.device);
    for (const address of config.addresses) args.push("--address", address);
    if (config.gateway !== "") args.push("--gateway", config.gateway);
    if (config.hostname !== "") args.push("--hostname", config.hostname);
  }
  return [...args, ...config.args];
}

/** The archive that is appended to an image. */
export function configArchive(config: GuestConfig): Uint8Array<ArrayBuffer> {
  return writeCpio([file(CONFIG_PATH, JSON.stringify(config, null, 2) + "\n")]);
}
