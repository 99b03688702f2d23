/**
 * Shell lines of scripts: what they set on Linux is set on the stack's TCP layer. Nothing is ever executed.
 *
 * @module
 */

import type { TcpSettings } from "../../../stack/tcp/settings.ts";
import type { Tcp } from "../../../stack/tcp/tcp.ts";
import { setKeyText } from "./fast_open.ts";

type Setter = (settings: TcpSettings, value: string) => void;

const flag = (name: keyof TcpSettings): Setter => (s, value) => {
  (s as unknown as Record<string, unknown>)[name] = Number(value) !== 0;
};
const count = (name: keyof TcpSettings, scale = 1): Setter => (s, value) => {
  (s as unknown as Record<string, unknown>)[name] = Number(value) * scale;
};

/** Keys below net.ipv4. */
const SETTERS: Record<string, Setter> = {
  tcp_sack: flag("sack"),
  tcp_dsack: flag("duplicateSack"),
  tcp_timestamps: flag("timestamps"),
  tcp_window_scaling: flag("windowScaling"),
  tcp_slow_start_after_idle: flag("slowStartAfterIdle"),
  tcp_early_retrans: (s, value) => s.tailLossProbe = Number(value) >= 3,
  tcp_reordering: count("reordering"),
  tcp_syn_retries: count("synRetries"),
  tcp_syn_linear_timeouts: count("synLinearTimeouts"),
  tcp_synack_retries: count("synAckRetries"),
  tcp_retries2: count("dataRetries"),
  tcp_orphan_retries: (s, value) => s.orphanRetries = Number(value) || 8,
  tcp_max_orphans: count("orphans"),
  tcp_fin_timeout: count("finTimeout", 1e6),
  tcp_keepalive_time: count("keepAliveTime", 1e6),
  tcp_keepalive_intvl: count("keepAliveInterval", 1e6),
  tcp_keepalive_probes: count("keepAliveProbes"),
  tcp_invalid_ratelimit: count("invalidInterval", 1000),
  tcp_min_tso_segs: count("leastSuperSegments"),
  tcp_ecn: (s, value) => s.ecn = Number(value) as TcpSettings["ecn"],
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
  tcp_recovery: ["1"],
  tcp_frto: ["1", "2"],
  tcp_no_metrics_save: ["1"],
  tcp_moderate_rcvbuf: ["1"],
  tcp_fack: ["0"],
  tcp_rfc1337: ["1"],
  tcp_mtu_probing: ["0"],
  tcp_abort_on_overflow: ["0"],
  tcp_autocorking: ["0"],
  ip_no_pmtu_disc: ["0"],
  tcp_fwmark_accept: ["0"],
  tcp_thin_linear_timeouts: ["0"],
  tcp_comp_sack_nr: ["0"],
};

/** The key of Fast Open that a shared defaults script sets. */
const DEFAULT_KEY = "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4";

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
  s.ecn = 0;
  s.slowStartAfterIdle = false;
  s.reordering = 3;
  // Both sides, and every listener.
  s.fastOpen = 0x403;
  s.synRetries = s.synAckRetries = 5;
}

/** Runs a command's lines. @param warn Gets what is passed over. */
export function runCommand(text: string, tcp: Tcp, warn: (message: string) => void): void {
  const joined = text.replace(/\\\r?\n/g, " ");
  for (const line of joined.split(/\r?\n|&&|;|\|\|/)) {
    const command = line.replace(/(^|\s)#.*$/, "").replace(/\s*\d?>{1,2}\s*(?:&\d|\/dev\/null)/g, "").trim();
    if (command !== "") runOne(command, tcp, warn);
  }
}

function words(command: string): string[] {
  const found = command.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  return found.map((word) => word.replace(/(["'])(.*?)\1/g, "$2"));
}

function runOne(command: string, tcp: Tcp, warn: (message: string) => void): void {
  const { settings } = tcp;
  const [program = "", ...args] = words(command);
  const name = program.slice(program.lastIndexOf("/") + 1);
  if (/defaults?\.sh$/.test(name)) {
    setDefaults(settings);
    setKey("tcp_fastopen_key", DEFAULT_KEY, tcp, warn);
    return;
  }
  if (name === "sysctl" || name === "set_sysctls.py") {
    for (const arg of args) {
      if (arg.startsWith("-")) continue;
      const at = arg.indexOf("=");
      if (at > 0) setKey(arg.slice(0, at), arg.slice(at + 1), tcp, warn);
    }
    return;
  }
  const echo = /^echo\s+["']?([^"'>]*?)["']?\s*>\s*(\/proc\/sys\/\S+)$/.exec(command);
  if (echo !== null) {
    setKey(echo[2]!, echo[1]!, tcp, warn);
    return;
  }
  const window = /\binitcwnd\s+(\d+)/.exec(command);
  if (name === "ip" && window !== null) {
    settings.initialWindow = Number(window[1]);
    return;
  }
  warn(`Command "${command}" is passed over`);
}

function setKey(key: string, value: string, tcp: Tcp, warn: (message: string) => void): void {
  const plain = key.trim().replace(/^\/proc\/sys\//, "").replaceAll("/", ".");
  const name = plain.replace(/^net\.ipv4\./, "");
  const text = value.trim();
  const setter: Setter | undefined = name === "tcp_fastopen_key"
    ? (_settings, key) => setKeyText(tcp.fastOpen.server, key)
    : SETTERS[name];
  if (setter !== undefined) {
    try {
      setter(tcp.settings, text);
    } catch (error) {
      warn((error as Error).message);
    }
  } else if (AS_IS[name]?.includes(text) !== true) {
    warn(`Setting "${plain}=${text}" has no meaning here and is passed over`);
  }
}
