/**
 * The command line of QEMU for one guest.
 *
 * @module
 */

import { Cidr, IpAddress } from "../stack/ip/address.ts";
import { CONFIG_FW_CFG, type GuestConfig } from "./config.ts";
import { ImageError } from "./errors.ts";

/** The program. */
export const QEMU = "qemu-system-x86_64";

/** One `--forward`: a TCP or UDP port of the host's loopback address that leads to a port of the guest. */
export interface Forward {
  /** `tcp` or `udp`. */
  readonly protocol: "tcp" | "udp";
  /** Port of 127.0.0.1 on the host. */
  readonly host: number;
  /** Port of the guest. */
  readonly guest: number;
}

/** What the guest's network device is connected to. */
export type Network =
  | { readonly kind: "user"; readonly forwards: readonly Forward[] }
  | { readonly kind: "tap"; readonly name: string }
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "none" };

/** How the guest's processor is made. */
export type Accelerator = "kvm" | "tcg";

/**
 * The model of the guest's processor: the host's own, or one with what V8 and cryptography use but without AVX, which
 * software emulates at a higher price than the code for processors that lack it.
 */
export function processor(accelerator: Accelerator): string {
  return accelerator === "kvm" ? "host" : "Nehalem,+rdrand,+aes,+pclmulqdq";
}

/**
 * The accelerator as QEMU is told it. Emulated processors share one thread: with one each, QEMU before 8.1 may run code
 * that another processor has just replaced for ever, as Linux does with its own, and the guest hangs.
 */
function acceleratorArgument(accelerator: Accelerator): string {
  return accelerator === "tcg" ? "tcg,thread=single" : accelerator;
}

/** What {@link qemuArguments} takes. */
export interface GuestOptions {
  /** The kernel. */
  readonly kernel: string;
  /** The initramfs. */
  readonly initramfs: string;
  /** The kernel's command line. */
  readonly commandLine: string;
  /** Memory in MiB. */
  readonly memory: number;
  /** Processors. */
  readonly processors: number;
  /** How they are made. */
  readonly accelerator: Accelerator;
  /** The network. */
  readonly network: Network;
  /** What the guest is told. */
  readonly config: GuestConfig;
  /** Whether {@link config} is not the image's own and has to be handed over. */
  readonly handOver: boolean;
  /** File for every frame that passes (pcap), or empty. */
  readonly capture: string;
  /** More arguments, at the end. */
  readonly extra: readonly string[];
}

/**
 * Parses `tcp:8080:80`.
 * @throws {ImageError} When `text` has another form or a port is out of range.
 */
export function parseForward(text: string): Forward {
  const parts = /^(tcp|udp):([0-9]{1,5}):([0-9]{1,5})$/.exec(text);
  const host = Number(parts?.[2]);
  const guest = Number(parts?.[3]);
  if (parts === null || host < 1 || host > 65535 || guest < 1 || guest > 65535) {
    throw new ImageError(
      `Cannot parse the port forward "${text}": write tcp:HOST:GUEST, for example tcp:8080:80`,
    );
  }
  return { protocol: parts[1] as "tcp" | "udp", host, guest };
}

/**
 * Parses `user`, `none`, `tap:NAME` or `socket:PATH`.
 * @throws {ImageError} When `text` has another form.
 */
export function parseNetwork(text: string, forwards: readonly Forward[]): Network {
  if (text === "user") return { kind: "user", forwards };
  if (forwards.length !== 0) {
    throw new ImageError(`Ports can be forwarded on the user network only, not "${text}"`);
  }
  if (text === "none") return { kind: "none" };
  const parts = /^(tap|socket):(.+)$/.exec(text);
  if (parts?.[1] === "tap" && /^[^/\s]{1,15}$/.test(parts[2]!)) return { kind: "tap", name: parts[2]! };
  if (parts?.[1] === "socket") return { kind: "socket", path: parts[2]! };
  throw new ImageError(`Cannot parse the network "${text}": write user, none, tap:NAME or socket:PATH`);
}

/** Doubles the commas, which separate QEMU's options. */
function escape(text: string): string {
  return text.replaceAll(",", ",,");
}

/** The arguments with which {@link QEMU} starts the guest, its console on the standard output. */
export function qemuArguments(options: GuestOptions): string[] {
  const args = [
    "-machine",
    "q35",
    "-accel",
    acceleratorArgument(options.accelerator),
    "-cpu",
    processor(options.accelerator),
    "-smp",
    String(options.processors),
    "-m",
    `${options.memory}M`,
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    "-display",
    "none",
    "-serial",
    "stdio",
    "-kernel",
    options.kernel,
    "-initrd",
    options.initramfs,
    "-append",
    options.commandLine,
  ];
  if (options.handOver) {
    args.push("-fw_cfg", `name=${CONFIG_FW_CFG},string=${escape(JSON.stringify(options.config))}`);
  }
  if (options.network.kind !== "none") {
    args.push("-netdev", `${backend(options.network, options.config)}`);
    const mac = options.config.mac === "" ? "" : `,mac=${options.config.mac}`;
    // No boot ROM: it would need another package, and nothing boots from the network.
    args.push("-device", `virtio-net-pci,netdev=net0,disable-legacy=on,romfile=${mac}`);
    if (options.capture !== "") {
      args.push("-object", `filter-dump,id=dump0,netdev=net0,file=${escape(options.capture)}`);
    }
  }
  return [...args, ...options.extra];
}

function backend(network: Exclude<Network, { kind: "none" }>, config: GuestConfig): string {
  switch (network.kind) {
    case "tap":
      return `tap,id=net0,ifname=${escape(network.name)},script=no,downscript=no`;
    case "socket":
      return `stream,id=net0,server=off,addr.type=unix,addr.path=${escape(network.path)}`;
    case "user":
      return userBackend(network.forwards, config);
  }
}

/** QEMU's own NAT, on the network that the guest's first IPv4 address is of. */
function userBackend(forwards: readonly Forward[], config: GuestConfig): string {
  const parts = ["user", "id=net0"];
  const own = config.addresses.map((text) => Cidr.parse(text)).find((cidr) => cidr.address.version === 4);
  if (own !== undefined && own.prefix < 31) {
    parts.push(`net=${own.network}`);
    const gateway = IpAddress.tryParse(config.gateway);
    if (gateway !== null && own.contains(gateway)) parts.push(`host=${gateway}`);
  }
  const target = own?.address ?? "";
  for (const { protocol, host, guest } of forwards) {
    parts.push(`hostfwd=${protocol}:127.0.0.1:${host}-${target}:${guest}`);
  }
  return parts.join(",");
}

/** One line for a POSIX shell. */
export function shellLine(words: readonly string[]): string {
  return words.map((word) =>
    /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
  ).join(" ");
}
