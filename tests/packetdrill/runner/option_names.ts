/**
 * The options that sockets have, by their Linux names, and what Linux refuses.
 *
 * @module
 */

import type { Expression } from "./ast.ts";
import { CONSTANTS as K } from "./constants.ts";
import { SysError } from "./file.ts";
import { constant, number } from "./values.ts";

/** Names of the levels. */
export type Level = "SOL_SOCKET" | "SOL_TCP" | "SOL_IP" | "SOL_IPV6" | "SOL_UDP";

/** What each option is before it is set. Those that are not here do not exist. */
export const DEFAULTS: Record<Level, Record<string, number | string>> = {
  SOL_SOCKET: {
    SO_REUSEADDR: 0,
    SO_REUSEPORT: 0,
    SO_BROADCAST: 0,
    SO_SNDBUF: 16384,
    SO_RCVBUF: 131072,
    SO_SNDBUFFORCE: 0,
    SO_RCVBUFFORCE: 0,
    SO_KEEPALIVE: 0,
    SO_OOBINLINE: 0,
    SO_PRIORITY: 0,
    SO_RCVLOWAT: 1,
    SO_SNDLOWAT: 1,
    SO_TIMESTAMP: 0,
    SO_TIMESTAMPNS: 0,
    SO_TIMESTAMPING: 0,
    SO_MARK: 0,
    SO_DONTROUTE: 0,
    SO_DEBUG: 0,
    SO_BUSY_POLL: 0,
    SO_MAX_PACING_RATE: 0xffffffff,
    SO_INCOMING_CPU: 0,
    SO_ZEROCOPY: 0,
    SO_BINDTODEVICE: "",
    SO_PEEK_OFF: -1,
    SO_LOCK_FILTER: 0,
    SO_NO_CHECK: 0,
    SO_PASSCRED: 0,
    SO_RXQ_OVFL: 0,
    SO_TXREHASH: 1,
    SO_PREFER_BUSY_POLL: 0,
    SO_BUSY_POLL_BUDGET: 8,
    SO_SELECT_ERR_QUEUE: 0,
    SO_BSDCOMPAT: 0,
    SO_COOKIE: 1,
    SO_MEMINFO: 0,
    SO_INCOMING_NAPI_ID: 0,
    SO_BUF_LOCK: 0,
    SO_RESERVE_MEM: 0,
    SO_BINDTOIFINDEX: 0,
    SO_NETNS_COOKIE: 1,
    SO_BPF_EXTENSIONS: 64,
    SO_RCVMARK: 0,
    SO_RCVPRIORITY: 0,
    SO_TXTIME: 0,
    SO_TIMESTAMP_NEW: 0,
    SO_TIMESTAMPNS_NEW: 0,
    SO_TIMESTAMPING_NEW: 0,
    SO_WIFI_STATUS: 0,
    SO_NOFCS: 0,
  },
  SOL_TCP: {
    TCP_NODELAY: 0,
    TCP_MAXSEG: 536,
    TCP_CORK: 0,
    TCP_KEEPIDLE: 7200,
    TCP_KEEPINTVL: 75,
    TCP_KEEPCNT: 9,
    TCP_SYNCNT: 6,
    TCP_LINGER2: 60,
    TCP_DEFER_ACCEPT: 0,
    TCP_WINDOW_CLAMP: 0,
    TCP_QUICKACK: 1,
    TCP_CONGESTION: "cubic",
    TCP_USER_TIMEOUT: 0,
    TCP_FASTOPEN: 0,
    TCP_FASTOPEN_CONNECT: 0,
    TCP_FASTOPEN_NO_COOKIE: 0,
    TCP_FASTOPEN_KEY: "",
    TCP_NOTSENT_LOWAT: 0,
    TCP_TIMESTAMP: 0,
    TCP_SAVE_SYN: 0,
    TCP_THIN_LINEAR_TIMEOUTS: 0,
    TCP_THIN_DUPACK: 0,
    TCP_INQ: 0,
    TCP_TX_DELAY: 0,
    TCP_RTO_MAX_MS: 120000,
    TCP_ULP: "",
    TCP_CC_INFO: 0,
    TCP_REPAIR: 0,
    TCP_REPAIR_QUEUE: 0,
    TCP_QUEUE_SEQ: 0,
    TCP_REPAIR_OPTIONS: 0,
    TCP_REPAIR_WINDOW: 0,
    TCP_RTO_MIN_US: 200000,
    TCP_DELACK_MAX_US: 200000,
    TCP_SAVED_SYN: 0,
    TCP_IS_MPTCP: 0,
    TCP_INFO: 0,
  },
  SOL_IP: {
    IP_TOS: 0,
    IP_TTL: 64,
    IP_MTU_DISCOVER: 1,
    IP_RECVERR: 0,
    IP_RECVTTL: 0,
    IP_RECVTOS: 0,
    IP_FREEBIND: 0,
    IP_TRANSPARENT: 0,
    IP_BIND_ADDRESS_NO_PORT: 0,
    IP_PKTINFO: 0,
    IP_RECVOPTS: 0,
    IP_RETOPTS: 0,
    IP_OPTIONS: "",
    IP_HDRINCL: 0,
    IP_ROUTER_ALERT: 0,
    IP_PASSSEC: 0,
    IP_RECVORIGDSTADDR: 0,
    IP_MINTTL: 0,
    IP_NODEFRAG: 0,
    IP_CHECKSUM: 0,
    IP_RECVFRAGSIZE: 0,
    IP_RECVERR_RFC4884: 0,
    IP_MULTICAST_TTL: 1,
    IP_MULTICAST_LOOP: 1,
    IP_MULTICAST_ALL: 1,
    IP_UNICAST_IF: 0,
    IP_LOCAL_PORT_RANGE: 0,
    IP_MTU: 0,
  },
  SOL_UDP: {
    UDP_CORK: 0,
    UDP_ENCAP: 0,
    UDP_NO_CHECK6_TX: 0,
    UDP_NO_CHECK6_RX: 0,
    UDP_SEGMENT: 0,
    UDP_GRO: 0,
  },
  SOL_IPV6: {
    IPV6_UNICAST_HOPS: 64,
    IPV6_MTU_DISCOVER: 1,
    IPV6_RECVERR: 0,
    IPV6_V6ONLY: 0,
    IPV6_RECVTCLASS: 0,
    IPV6_TCLASS: 0,
    IPV6_RECVPKTINFO: 0,
    IPV6_RECVHOPLIMIT: 0,
    IPV6_RECVHOPOPTS: 0,
    IPV6_RECVPATHMTU: 0,
    IPV6_DONTFRAG: 0,
    IPV6_AUTOFLOWLABEL: 1,
    IPV6_FLOWINFO_SEND: 0,
    IPV6_FLOWINFO: 0,
    IPV6_MINHOPCOUNT: 0,
    IPV6_ADDR_PREFERENCES: 0,
    IPV6_RECVORIGDSTADDR: 0,
    IPV6_TRANSPARENT: 0,
    IPV6_UNICAST_IF: 0,
    IPV6_RECVFRAGSIZE: 0,
    IPV6_FREEBIND: 0,
    IPV6_MULTICAST_HOPS: 1,
    IPV6_MULTICAST_LOOP: 1,
    IPV6_MTU: 0,
  },
};

const ALIASES: Record<string, Level> = {
  IPPROTO_TCP: "SOL_TCP",
  IPPROTO_IP: "SOL_IP",
  IPPROTO_IPV6: "SOL_IPV6",
  IPPROTO_UDP: "SOL_UDP",
};

/** Those that the kernel gives back as 0 or 1 whatever was set. */
export const FLAGS = new Set([
  "SO_REUSEADDR",
  "SO_REUSEPORT",
  "SO_BROADCAST",
  "SO_KEEPALIVE",
  "SO_OOBINLINE",
  "TCP_NODELAY",
  "TCP_CORK",
]);

/** Name of a level in an expression, numbers included. */
export function levelOf(e: Expression): Level | null {
  if (e.kind === "symbol") {
    if (e.name in DEFAULTS) return e.name as Level;
    return ALIASES[e.name] ?? null;
  }
  const value = number(e);
  return (Object.keys(DEFAULTS) as Level[]).find((level) => K[level] === value) ?? null;
}

export function nameOf(level: Level, e: Expression): string | null {
  if (e.kind === "symbol") {
    constant(e.name);
    return e.name;
  }
  const value = number(e);
  const prefix =
    { SOL_SOCKET: "SO_", SOL_TCP: "TCP_", SOL_IP: "IP_", SOL_IPV6: "IPV6_", SOL_UDP: "UDP_" }[level];
  return Object.keys(K).find((name) => name.startsWith(prefix) && K[name] === value) ?? null;
}

/** The name of an option, numbers included; null when it has none. @throws {Unsupported} A name that nobody knows. */
export function optionName(level: Expression, name: Expression): string | null {
  const known = levelOf(level);
  return known === null ? null : nameOf(known, name);
}

/** Bounds of options; what lies outside is EINVAL. */
const BOUNDS: Record<string, [least: number, most: number]> = {
  SO_ZEROCOPY: [0, 1],
  SO_PEEK_OFF: [-1, 0x7fffffff],
  SO_TXREHASH: [-1, 1],
  SO_RESERVE_MEM: [0, 0x7fffffff],
  TCP_KEEPIDLE: [1, 32767],
  TCP_KEEPINTVL: [1, 32767],
  TCP_KEEPCNT: [1, 127],
  TCP_SYNCNT: [1, 127],
  TCP_SAVE_SYN: [0, 2],
  TCP_THIN_LINEAR_TIMEOUTS: [0, 1],
  TCP_THIN_DUPACK: [0, 1],
  TCP_USER_TIMEOUT: [0, 0x7fffffff],
  TCP_INQ: [0, 1],
  TCP_REPAIR: [-1, 1],
  TCP_RTO_MAX_MS: [1000, 120_000],
  TCP_RTO_MIN_US: [1, 200_000],
  TCP_DELACK_MAX_US: [1, 200_000],
  IP_MTU_DISCOVER: [0, 5],
  IPV6_MTU_DISCOVER: [0, 5],
  IP_MINTTL: [0, 255],
  IPV6_MINHOPCOUNT: [0, 255],
  IPV6_UNICAST_HOPS: [-1, 255],
  IPV6_TCLASS: [-1, 255],
};
/** Options that can only be read. */
const READ_ONLY = new Set([
  ...[
    "SO_SNDLOWAT",
    "SO_TYPE",
    "SO_PROTOCOL",
    "SO_DOMAIN",
    "SO_ERROR",
    "SO_ACCEPTCONN",
    "SO_PEERNAME",
    "SO_COOKIE",
  ],
  ...["SO_MEMINFO", "SO_BPF_EXTENSIONS", "SO_INCOMING_NAPI_ID", "SO_NETNS_COOKIE"],
  ...["TCP_INFO", "TCP_CC_INFO", "TCP_SAVED_SYN", "IP_MTU"],
]);

/** @throws {SysError} What Linux refuses to set. */
export function checkOption(name: string, value: number | string): void {
  if (READ_ONLY.has(name)) throw new SysError("ENOPROTOOPT");
  const n = Number(value);
  const bounds = BOUNDS[name];
  if (bounds !== undefined && !(n >= bounds[0] && n <= bounds[1])) throw new SysError("EINVAL");
  switch (name) {
    case "TCP_MAXSEG":
      if (n !== 0 && (n < 88 || n > 32767)) throw new SysError("EINVAL");
      return;
    case "IP_TTL":
      if (n !== -1 && (n < 1 || n > 255)) throw new SysError("EINVAL");
      return;
    case "TCP_CONGESTION":
      if (value !== "cubic" && value !== "reno" && value !== "bbr") {
        throw new SysError(value === "" ? "EINVAL" : "ENOENT");
      }
      return;
    case "TCP_ULP":
      throw new SysError(value === "" ? "EINVAL" : "ENOENT");
    case "TCP_TIMESTAMP":
    case "TCP_REPAIR_QUEUE":
    case "TCP_QUEUE_SEQ":
    case "TCP_REPAIR_OPTIONS":
    case "TCP_REPAIR_WINDOW":
      // Only of a socket that is taken out of the stack (TCP_REPAIR).
      throw new SysError("EPERM");
  }
}

/** Options that Linux takes with any number of bytes; all others need four. */
const ANY_SIZE = /^(?:IP_|TCP_CONGESTION|TCP_ULP|TCP_FASTOPEN_KEY|TCP_MD5SIG|SO_BINDTODEVICE|SO_ATTACH)/;

/** @throws {SysError} EINVAL: fewer bytes than the option has. */
export function checkSize(name: string, size: number): void {
  if (size < 4 && !ANY_SIZE.test(name)) throw new SysError("EINVAL");
}
