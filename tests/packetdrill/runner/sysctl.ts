/**
 * What scripts set on Linux, set on the stack's TCP layer.
 *
 * @module
 */

import type { TcpSettings } from "../../../stack/tcp/settings.ts";
import type { Tcp } from "../../../stack/tcp/tcp.ts";
import type { Stack } from "../../../stack/stack.ts";
import type { RouteMetrics } from "./route_metrics.ts";
import { DEFAULT_KEY, setKeyText } from "./fast_open.ts";
import type { Settings } from "./shell.ts";

type Setter = (settings: TcpSettings, value: string) => void;

const flag = (name: keyof TcpSettings): Setter => (s, value) => {
  (s as unknown as Record<string, unknown>)[name] = Number(value) !== 0;
};
const count = (name: keyof TcpSettings, scale = 1): Setter => (s, value) => {
  (s as unknown as Record<string, unknown>)[name] = Number(value) * scale;
};

/** Keys below net.ipv4; those of net.ipv6 and net.core as they are. */
const SETTERS: Record<string, Setter> = {
  tcp_sack: flag("sack"),
  tcp_dsack: flag("duplicateSack"),
  tcp_timestamps: flag("timestamps"),
  tcp_window_scaling: flag("windowScaling"),
  tcp_slow_start_after_idle: flag("slowStartAfterIdle"),
  tcp_early_retrans: (s, value) => s.tailLossProbe = Number(value) >= 3,
  tcp_reordering: count("reordering"),
  tcp_retrans_collapse: flag("retransmitCollapse"),
  tcp_syn_retries: count("synRetries"),
  tcp_syn_linear_timeouts: count("synLinearTimeouts"),
  tcp_synack_retries: count("synAckRetries"),
  tcp_mtu_probing: (s, value) => s.mtuProbing = Number(value) as TcpSettings["mtuProbing"],
  tcp_base_mss: count("baseMss"),
  tcp_mtu_probe_floor: count("mtuProbeFloor"),
  tcp_probe_threshold: count("mtuProbeThreshold"),
  tcp_probe_interval: count("mtuProbeInterval", 1e6),
  tcp_min_snd_mss: count("leastSendMss"),
  tcp_retries1: count("softRetries"),
  tcp_retries2: count("dataRetries"),
  tcp_orphan_retries: (s, value) => s.orphanRetries = Number(value) || 8,
  tcp_max_orphans: count("orphans"),
  tcp_abort_on_overflow: flag("abortOnOverflow"),
  tcp_reflect_tos: flag("reflectTrafficClass"),
  tcp_frto: flag("forwardRto"),
  tcp_syncookies: (s, value) => s.synCookies = Math.min(2, Number(value)) as TcpSettings["synCookies"],
  tcp_comp_sack_nr: count("compressedSacks"),
  tcp_comp_sack_delay_ns: count("compressedSackDelay", 1e-3),
  tcp_ecn_fallback: flag("ecnFallback"),
  tcp_thin_linear_timeouts: flag("thinLinearTimeouts"),
  tcp_moderate_rcvbuf: flag("receiveAutoTuning"),
  tcp_wmem: (s, value) => {
    const [, middle, most] = value.trim().split(/\s+/).map(Number);
    if (middle !== undefined) s.sendDefault = middle;
    if (most !== undefined) s.sendMaximum = most;
  },
  tcp_fin_timeout: count("finTimeout", 1e6),
  tcp_keepalive_time: count("keepAliveTime", 1e6),
  tcp_keepalive_intvl: count("keepAliveInterval", 1e6),
  tcp_keepalive_probes: count("keepAliveProbes"),
  tcp_invalid_ratelimit: count("invalidInterval", 1000),
  tcp_min_tso_segs: count("leastSuperSegments"),
  tcp_ecn: (s, value) => s.ecn = Number(value) as TcpSettings["ecn"],
  tcp_ecn_option: (s, value) => s.ecnOption = Number(value) as TcpSettings["ecnOption"],
  tcp_rmem: (s, value) => {
    const [, middle, most] = value.trim().split(/\s+/).map(Number);
    if (middle !== undefined) s.receiveDefault = middle;
    if (most !== undefined) s.receiveMaximum = most;
  },
  tcp_fastopen: (s, value) => s.fastOpen = Number(value),
  tcp_fastopen_blackhole_timeout_sec: count("fastOpenBlackHole", 1e6),
  tcp_congestion_control: (s, value) => {
    if (value !== "cubic" && value !== "reno" && value !== "bbr") {
      throw new TypeError(`No congestion control "${value}"`);
    }
    s.congestion = value;
  },
};

/** Keys whose usual values say what the stack does anyway. */
const AS_IS: Record<string, string[]> = {
  // Since 6.17 Linux knows no other loss detection than RACK, whatever this says.
  tcp_recovery: ["0", "1"],
  tcp_no_metrics_save: ["1"],
  tcp_fack: ["0"],
  tcp_rfc1337: ["1"],
  tcp_mtu_probing: ["0"],
  tcp_autocorking: ["0"],
  ip_no_pmtu_disc: ["0"],
  tcp_fwmark_accept: ["0"],
};

/** What a shared defaults script sets. */
function setDefaults(s: TcpSettings): void {
  s.congestion = "cubic";
  s.initialWindow = 10;
  s.sack =
    s.duplicateSack =
    s.tailLossProbe =
    s.windowScaling =
    s.timestamps =
      true;
  s.receiveDefault = 540_000;
  s.receiveMaximum = 15 << 20;
  s.sendDefault = 262_144;
  s.sendMaximum = 4 << 20;
  s.ecn = 0;
  s.slowStartAfterIdle = false;
  s.reordering = 3;
  // Both sides, and every listener.
  s.fastOpen = 0x403;
  s.synRetries = s.synAckRetries = 5;
}

/** What Linux has set about receive buffers beside TCP's own settings. */
export interface MemorySettings {
  /** Bytes that SO_RCVBUF may ask for: windows leave room for them (net.core.rmem_max). */
  mostAsked: number;
  /** Windows may shrink (net.ipv4.tcp_shrink_window). */
  shrinkWindow: boolean;
}

/** What is beside the TCP layer and can be set. */
export interface Surroundings {
  stack: Stack;
  metrics: RouteMetrics;
  memory: MemorySettings;
  /** Bounds packets behind the gateway; null for the device's bound. */
  bound(mtu: number | null): void;
}

/** The settings of a stack, by their names on Linux. */
export class StackSettings implements Settings {
  readonly #tcp: Tcp;
  readonly #around: Surroundings;
  readonly #warn: (message: string) => void;
  /** What holds where a route says nothing. */
  readonly #before: Pick<TcpSettings, "congestion" | "ecn">;

  /** @param warn Gets what is passed over. */
  constructor(around: Surroundings, warn: (message: string) => void) {
    this.#tcp = around.stack.tcp;
    this.#around = around;
    this.#warn = warn;
    this.#before = { ...this.#tcp.settings };
  }

  set(key: string, text: string): void {
    const name = key.replace(/^net\.ipv4\./, "");
    const setter = this.#setter(name);
    if (setter !== undefined) {
      try {
        setter(this.#tcp.settings, text);
        if (name === "tcp_congestion_control") this.#before.congestion = this.#tcp.settings.congestion;
        if (name === "tcp_ecn") this.#before.ecn = this.#tcp.settings.ecn;
      } catch (error) {
        this.#warn((error as Error).message);
      }
    } else if (AS_IS[name]?.includes(text) !== true) {
      this.#warn(`Setting "${key}=${text}" has no meaning here and is passed over`);
    }
  }

  #setter(name: string): Setter | undefined {
    const { stack, metrics } = this.#around;
    switch (name) {
      case "tcp_fastopen_key":
        return (_settings, key) => setKeyText(this.#tcp.fastOpen.server, key);
      case "net.core.rmem_max":
        return (_settings, bytes) => this.#around.memory.mostAsked = Number(bytes);
      case "tcp_shrink_window":
        return (_settings, on) => this.#around.memory.shrinkWindow = Number(on) !== 0;
      case "ip_default_ttl":
        return (_settings, hops) => metrics.hopLimit = Number(hops);
      case "net.ipv6.auto_flowlabels":
        return (_settings, how) => stack.ipv6.flowLabels = Number(how) % 3 !== 0;
      case "tcp_rto_min_us":
        return (_settings, least) => metrics.leastTimeout = Number(least);
      case "tcp_rto_max_ms":
        return (_settings, most) => metrics.greatestTimeout = 1000 * Number(most);
    }
    return SETTERS[name];
  }

  defaults(): void {
    setDefaults(this.#tcp.settings);
    this.#before.congestion = "cubic";
    this.#before.ecn = 0;
    this.set("tcp_fastopen_key", DEFAULT_KEY);
  }

  route(words: string[]): boolean {
    if (!/^(?:a(?:dd)?|c(?:h(?:ange)?)?|r(?:e(?:place)?)?|app(?:end)?|prep(?:end)?)$/.test(words[0] ?? "")) {
      return false;
    }
    const { metrics } = this.#around;
    for (const words_ of metrics.set(words)) this.#warn(`Route metric "${words_}" has no meaning here`);
    metrics.applyAll(this.#tcp.settings, this.#before);
    this.#around.bound(metrics.mtu);
    return true;
  }

  setMtu(mtu: number): void {
    const { metrics } = this.#around;
    metrics.deviceMtu = mtu;
    this.#around.bound(metrics.mtu);
  }
}
