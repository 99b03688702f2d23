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
  /** µs of one tick of our timestamps, when they are to be checked; 0 when not. */
  timestampTick: number;
  /** Failures that do not end a script: of packets, of calls. */
  nonFatal: Set<string>;
  /** Commands to run first. */
  initScripts: string[];
  /** Whether a super-segment must be cut as the script says. */
  strictSegments: boolean;
  /** Whether to print what happens, as a script, in place of comparing it; `windows` tells windows as well. */
  record: "no" | "yes" | "windows";
}

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
    timestampTick: 0,
    nonFatal: new Set(),
    initScripts: [],
    strictSegments: false,
    record: "no",
  };
}

/** Options that say how packetdrill itself runs, which means nothing in virtual time. */
const IGNORED = new Set(["verbose", "debug", "dry_run", "define", "speed", "send_omit_free", "netmask_ip"]);

/**
 * Takes one option.
 * @returns A warning when it means nothing here, or null. @throws {RangeError} A value that can't be.
 */
export function takeOption(options: RunOptions, name: string, value: string): string | null {
  const number = () => {
    const parsed = Number(value);
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
      options.record = value === "windows" ? "windows" : "yes";
      return null;
    case "strict_segments":
      options.strictSegments = value !== "0" && value !== "false";
      return null;
  }
  return IGNORED.has(name) ? null : `Option --${name} has no meaning here and is passed over`;
}
