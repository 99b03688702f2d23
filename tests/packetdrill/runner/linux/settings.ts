/**
 * What scripts set, set in the kernel's namespace.
 *
 * @module
 */

import type { Settings } from "../shell.ts";
import { INTERFACE, ip, setKey } from "./tun.ts";

/** What the shared defaults script of the language sets, as far as the kernel has it. */
const DEFAULTS: Record<string, string> = {
  "net.ipv4.tcp_early_retrans": "3",
  "net.ipv4.tcp_ecn": "0",
  "net.ipv4.tcp_fastopen": "0x70403",
  "net.ipv4.tcp_fastopen_key": "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
  "net.ipv4.tcp_keepalive_intvl": "75",
  "net.ipv4.tcp_keepalive_probes": "9",
  "net.ipv4.tcp_keepalive_time": "7200",
  "net.ipv4.tcp_max_syn_backlog": "1280",
  "net.ipv4.tcp_mtu_probing": "0",
  "net.ipv4.tcp_no_metrics_save": "1",
  "net.ipv4.tcp_recovery": "1",
  "net.ipv4.tcp_reordering": "3",
  "net.ipv4.tcp_rmem": "4096 540000 15728640",
  "net.ipv4.tcp_sack": "1",
  "net.ipv4.tcp_dsack": "1",
  "net.ipv4.tcp_slow_start_after_idle": "0",
  "net.ipv4.tcp_syn_retries": "5",
  "net.ipv4.tcp_synack_retries": "5",
  "net.ipv4.tcp_timestamps": "1",
  "net.ipv4.tcp_window_scaling": "1",
  "net.ipv4.tcp_wmem": "4096 262144 4194304",
};

/** What a route may say of the way, each with a value (ip-route(8)). */
const METRICS = new Set([
  ...["mtu", "advmss", "rtt", "rttvar", "window", "cwnd", "initcwnd", "initrwnd", "ssthresh", "reordering"],
  ...["hoplimit", "rto_min", "quickack", "features", "congctl", "fastopen_no_cookie"],
]);

/** The settings of the namespace that this process is in. */
export class KernelSettings implements Settings {
  /** Set on each new socket: a namespace may not be able to have it as its default. */
  congestion: string | null = null;
  readonly #v6: boolean;
  readonly #via: string[];
  readonly #warn: (message: string) => void;

  /** @param warn Gets what the kernel refuses. */
  constructor(v6: boolean, via: string[], warn: (message: string) => void) {
    this.#v6 = v6;
    this.#via = via;
    this.#warn = warn;
  }

  set(key: string, value: string): void {
    const name = key.includes(".") ? key : `net.ipv4.${key}`;
    if (name === "net.ipv4.tcp_congestion_control") {
      this.congestion = value;
      return;
    }
    try {
      setKey(name, value);
    } catch (error) {
      this.#warn(`Setting "${key}=${value}": ${(error as Error).message}`);
    }
  }

  defaults(): void {
    this.congestion = "cubic";
    for (const [key, value] of Object.entries(DEFAULTS)) this.set(key, value);
  }

  setMtu(mtu: number): void {
    ip(["link", "set", INTERFACE, "mtu", String(mtu)]);
  }

  route(words: string[]): boolean {
    if (/^(?:s(?:how)?|l(?:ist)?|get|del(?:ete)?|flush|save|restore)?$/.test(words[0] ?? "")) return false;
    const metrics = words.flatMap((word, i) =>
      METRICS.has(word) ? words.slice(i, i + (words[i + 1] === "lock" ? 3 : 2)) : []
    );
    const version = this.#v6 ? ["-6"] : [];
    try {
      ip([...version, "route", "replace", "default", ...this.#via, "dev", INTERFACE, ...metrics]);
    } catch (error) {
      this.#warn((error as Error).message);
    }
    return true;
  }
}
