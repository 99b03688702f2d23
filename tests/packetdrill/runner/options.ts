/**
 * The options of packetdrill: at the head of scripts, and on the command line, which wins.
 *
 * @module
 */

/** What the options decide. */
export interface RunOptions {
  /** `ipv4`, `ipv6` or `ipv4-mapped-ipv6`. */
  ipVersion: "ipv4" | "ipv6" | "ipv4-mapped-ipv6";
  localIp: string | null;
  remoteIp: string | null;
  gatewayIp: string | null;
  bindPort: number;
  connectPort: number;
  mtu: number;
  /** How far from its time a packet or a call may be, in µs. */
  tolerance: number;
  /** How far it may be as a part of the time that it waits. */
  tolerancePart: number;
  /** µs of one tick of our timestamps, when they are to be checked; 0 when not. */
  timestampTick: number;
  /** Failures that do not end a script: of packets, of calls. */
  nonFatal: Set<string>;
  /** Commands to run first. */
  initScripts: string[];
  /** Whether a super-segment must be cut as the script says. */
  strictSegments: boolean;
  /** Whether to print what happens, as a script, in place of comparing it; `windows` tells windows as well. */
  record: "no" | "yes" | "windows" | "exact";
}

/** Addresses where no option says otherwise, by version. */
export const DEFAULT_ADDRESSES = {
  4: { local: "192.168.0.1", remote: "192.0.2.1", gateway: "192.168.0.2" },
  6: { local: "fd3d:a0b:17d6::1", remote: "2001:db8::1", gateway: "fd3d:a0b:17d6::2" },
} as const;

/** What holds unless an option says otherwise. */
export function defaultOptions(): RunOptions {
  return {
    ipVersion: "ipv4",
    localIp: null,
    remoteIp: null,
    gatewayIp: null,
    bindPort: 8080,
    connectPort: 8080,
    mtu: 1500,
    tolerance: 4000,
    tolerancePart: 0,
    timestampTick: 0,
    nonFatal: new Set(),
    initScripts: [],
    strictSegments: false,
    record: "no",
  };
}

/** Options that say how packetdrill itself runs, which means nothing in virtual time. */
const IGNORED = new Set([
  ...["verbose", "debug", "dry_run", "define", "speed", "send_omit_free", "netmask_ip", "is_anyip", "help"],
  ...[
    "code_command",
    "code_format",
    "code_sockopt",
    "so_filename",
    "so_flags",
    "persistent_tun_dev",
    "tun_dev",
  ],
  ...["tcp_ts_ecr_scaled", "v"],
]);

/** Options whose value may stand in an argument of its own. */
export const NEED_VALUE: ReadonlySet<string> = new Set([
  ...["ip_version", "local_ip", "remote_ip", "gateway_ip", "netmask_ip", "bind_port", "connect_port", "mtu"],
  ...[
    "tolerance_usecs",
    "tolerance_percent",
    "tcp_ts_tick_usecs",
    "non_fatal",
    "init_scripts",
    "define",
    "speed",
  ],
  ...[
    "code_command",
    "code_format",
    "code_sockopt",
    "so_filename",
    "so_flags",
    "tun_dev",
    "persistent_tun_dev",
  ],
]);

/**
 * Takes one option.
 * @returns A warning when it means nothing here, or null. @throws {RangeError} A value that can't be.
 */
export function takeOption(options: RunOptions, name: string, value: string): string | null {
  const number = () => {
    const parsed = Number(value.trim());
    if (value === "" || !Number.isFinite(parsed) || parsed < 0) {
      throw new RangeError(`Option --${name} needs a number, got "${value}"`);
    }
    return parsed;
  };
  switch (name.replaceAll("-", "_")) {
    case "ip_version":
      if (value !== "ipv4" && value !== "ipv6" && value !== "ipv4-mapped-ipv6") {
        throw new RangeError(`Option --ip_version must be ipv4, ipv6 or ipv4-mapped-ipv6, got "${value}"`);
      }
      options.ipVersion = value;
      return null;
    case "local_ip":
      options.localIp = value;
      return null;
    case "remote_ip":
      // A whole network may be given; its first address is the peer's.
      options.remoteIp = value.replace(/\/\d+$/, "");
      return null;
    case "gateway_ip":
      options.gatewayIp = value;
      return null;
    case "bind_port":
      options.bindPort = number();
      return null;
    case "connect_port":
      options.connectPort = number();
      return null;
    case "mtu":
      options.mtu = number();
      return null;
    case "tolerance_usecs":
      options.tolerance = number();
      return null;
    case "tolerance_percent":
      options.tolerancePart = number() / 100;
      return null;
    case "tcp_ts_tick_usecs":
      options.timestampTick = number();
      return null;
    case "non_fatal":
      for (const kind of value.split(",")) options.nonFatal.add(kind.trim());
      return null;
    case "init_scripts":
      options.initScripts.push(...value.split(",").map((script) => script.trim()));
      return null;
    case "record":
      options.record = value === "windows" || value === "exact" ? value : "yes";
      return null;
    case "strict_segments":
      options.strictSegments = value !== "0" && value !== "false";
      return null;
  }
  return IGNORED.has(name.replaceAll("-", "_"))
    ? null
    : `Option --${name} has no meaning here and is passed over`;
}
