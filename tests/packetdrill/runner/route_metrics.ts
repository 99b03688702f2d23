/**
 * What a route says of the way, as `ip route` sets it: for the connections that begin from then on.
 *
 * @module
 */

import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import type { CongestionName, TcpSettings } from "../../../stack/tcp/settings.ts";

/** Metrics of a route with their values. `features` may stand in front of several words. */
const VALUED = new Set([
  ...[
    "mtu",
    "advmss",
    "window",
    "initcwnd",
    "initrwnd",
    "hoplimit",
    "rto_min",
    "quickack",
    "congctl",
    "features",
  ],
  ...["rtt", "rttvar", "ssthresh", "cwnd", "reordering", "fastopen_no_cookie"],
]);

/** Bytes of a TCP header without options. */
const HEADER = 20;

/** The metrics of the one route of a script. */
export class RouteMetrics {
  readonly #values = new Map<string, string>();
  readonly #device: number;
  /** Bytes of a packet of the device, as a script has set them. */
  deviceMtu: number;
  /** TTL where neither a route nor a socket says otherwise; 0 for the usual one. */
  hopLimit = 0;
  /** µs of a time-out at least and at most, or null for the usual ones. */
  leastTimeout: number | null = null;
  greatestTimeout: number | null = null;

  /** @param device Bytes of a packet of the device. */
  constructor(device: number) {
    this.#device = this.deviceMtu = device;
  }

  /** Takes the words of `ip route add …`, which replace what was said before. @returns Those that mean nothing here. */
  set(words: readonly string[]): string[] {
    this.#values.clear();
    const unknown: string[] = [];
    for (let i = 0; i < words.length; i++) {
      const name = words[i]!;
      if (!VALUED.has(name)) continue;
      if (words[i + 1] === "lock") i++;
      const value = words[++i] ?? "";
      if (APPLIED.has(name)) this.#values.set(name, value);
      else unknown.push(`${name} ${value}`);
    }
    return unknown;
  }

  #number(name: string): number | null {
    const value = this.#values.get(name);
    return value === undefined ? null : Number.parseInt(value, 10);
  }

  /** Bytes of a packet, or null for those of the device. */
  get mtu(): number | null {
    const mtu = Math.min(this.#number("mtu") ?? Infinity, this.deviceMtu);
    return mtu < this.#device ? mtu : null;
  }

  /** Before the first packet of a connection. */
  apply(c: TcpConnection): void {
    const advmss = this.#number("advmss"), window = this.#number("window"), first = this.#number("initrwnd");
    const { mtu } = this;
    if (mtu !== null) c.offeredMss = mtu - c.path.headerLength - HEADER;
    if (advmss !== null) c.offeredMss = advmss;
    if (window !== null) c.windowClamp = window;
    if (first !== null) c.firstWindowLimit = first;
    c.cwnd = this.#number("initcwnd") ?? c.cwnd;
    c.hopLimit = this.#number("hoplimit") ?? this.hopLimit;
    if (this.#number("quickack") === 1) c.promptAcks = true;
    const least = this.#values.get("rto_min");
    c.leastRto = least === undefined ? this.leastTimeout ?? c.leastRto : microseconds(least);
    c.mostRto = this.greatestTimeout ?? c.mostRto;
  }

  /** What it says of connections altogether. @param before What holds where it says nothing. */
  applyAll(settings: TcpSettings, before: { congestion: CongestionName; ecn: TcpSettings["ecn"] }): void {
    const congestion = this.#values.get("congctl");
    settings.congestion = congestion === "cubic" || congestion === "reno" || congestion === "bbr"
      ? congestion
      : before.congestion;
    settings.ecn = this.#values.get("features") === "ecn" && before.ecn !== 1 && before.ecn < 3
      ? 1
      : before.ecn;
  }
}

const APPLIED = new Set([
  ...[
    "mtu",
    "advmss",
    "window",
    "initcwnd",
    "initrwnd",
    "hoplimit",
    "rto_min",
    "quickack",
    "congctl",
    "features",
  ],
]);

/** Times of routes are milliseconds unless they name their unit. */
function microseconds(text: string): number {
  const [, digits, unit] = /^([\d.]+)\s*(s|ms|us)?$/.exec(text) ?? ["", "200", "ms"];
  return Number(digits) * (unit === "s" ? 1e6 : unit === "us" ? 1 : 1000);
}
