/**
 * Socket options by their Linux names: kept, given back, and applied where the stack has them.
 *
 * @module
 */

import { State } from "../../../stack/tcp/api.ts";
import { output } from "../../../stack/tcp/output.ts";
import { FAST_OPEN_CLIENT, makeCongestion, type TcpSettings } from "../../../stack/tcp/settings.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { deferRetries } from "../../../stack/tcp/listener.ts";
import type { Expression } from "./ast.ts";
import { CONSTANTS as K } from "./constants.ts";
import { setKeyBytes } from "./fast_open.ts";
import { type Host, SysError } from "./file.ts";
import { constant, field, number } from "./values.ts";

type Level = "SOL_SOCKET" | "SOL_TCP" | "SOL_IP" | "SOL_IPV6";

/** What each option is before it is set. Those that are not here do not exist. */
const DEFAULTS: Record<Level, Record<string, number | string>> = {
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
  },
  SOL_IPV6: {
    IPV6_UNICAST_HOPS: 64,
    IPV6_MTU_DISCOVER: 1,
    IPV6_RECVERR: 0,
    IPV6_V6ONLY: 0,
    IPV6_RECVTCLASS: 0,
    IPV6_TCLASS: 0,
  },
};

const ALIASES: Record<string, Level> = {
  IPPROTO_TCP: "SOL_TCP",
  IPPROTO_IP: "SOL_IP",
  IPPROTO_IPV6: "SOL_IPV6",
};

/** Those that the kernel gives back as 0 or 1 whatever was set. */
const FLAGS = new Set([
  "SO_REUSEADDR",
  "SO_REUSEPORT",
  "SO_BROADCAST",
  "SO_KEEPALIVE",
  "SO_OOBINLINE",
  "TCP_NODELAY",
  "TCP_CORK",
]);

/** Name of a level in an expression, numbers included. */
function levelOf(e: Expression): Level | null {
  if (e.kind === "symbol") {
    if (e.name in DEFAULTS) return e.name as Level;
    return ALIASES[e.name] ?? null;
  }
  const value = number(e);
  return (Object.keys(DEFAULTS) as Level[]).find((level) => K[level] === value) ?? null;
}

function nameOf(level: Level, e: Expression): string | null {
  if (e.kind === "symbol") {
    constant(e.name);
    return e.name;
  }
  const value = number(e);
  const prefix = { SOL_SOCKET: "SO_", SOL_TCP: "TCP_", SOL_IP: "IP_", SOL_IPV6: "IPV6_" }[level];
  return Object.keys(K).find((name) => name.startsWith(prefix) && K[name] === value) ?? null;
}

/** The options of one socket. */
export class SocketOptions {
  readonly #values = new Map<string, number | string>();
  /** SO_LINGER. */
  linger = { on: false, seconds: 0 };
  /** SO_RCVTIMEO and SO_SNDTIMEO, in µs; 0 for none. */
  receiveTimeout = 0;
  sendTimeout = 0;
  /** Gets what the stack can't do, once each. */
  warn: (message: string) => void = () => {};

  /** What an accepted socket begins with. */
  inherit(): SocketOptions {
    const copy = new SocketOptions();
    for (const [name, value] of this.#values) copy.#values.set(name, value);
    copy.linger = { ...this.linger };
    copy.receiveTimeout = this.receiveTimeout;
    copy.sendTimeout = this.sendTimeout;
    copy.warn = this.warn;
    return copy;
  }

  get receiveLowWater(): number {
    return Math.max(1, this.#number("SOL_SOCKET", "SO_RCVLOWAT"));
  }

  get notSentLowWater(): number {
    const value = this.#number("SOL_TCP", "TCP_NOTSENT_LOWAT");
    return value === 0 ? Infinity : value;
  }

  /** TCP_FASTOPEN, or null where it was not set. */
  get fastOpenLimit(): number | null {
    const value = this.#values.get("TCP_FASTOPEN");
    return value === undefined ? null : Number(value);
  }

  get fastOpenConnect(): boolean {
    return this.#number("SOL_TCP", "TCP_FASTOPEN_CONNECT") !== 0;
  }

  get fastOpenNoCookie(): boolean {
    return this.#number("SOL_TCP", "TCP_FASTOPEN_NO_COOKIE") !== 0;
  }

  /** TCP_DEFER_ACCEPT, in seconds. */
  get deferAccept(): number {
    return this.#number("SOL_TCP", "TCP_DEFER_ACCEPT");
  }

  /** Whether IP_RECVERR was asked for. */
  get receiveErrors(): boolean {
    return this.#number("SOL_IP", "IP_RECVERR") !== 0 || this.#number("SOL_IPV6", "IPV6_RECVERR") !== 0;
  }

  /** SO_TIMESTAMPING's bits. */
  get stamping(): number {
    return this.#number("SOL_SOCKET", "SO_TIMESTAMPING");
  }

  /** Whether SO_ZEROCOPY is set. */
  get zeroCopy(): boolean {
    return this.#number("SOL_SOCKET", "SO_ZEROCOPY") !== 0;
  }

  /** Whether TCP_INQ was asked for. */
  get inq(): boolean {
    return this.#number("SOL_TCP", "TCP_INQ") !== 0;
  }

  unsupported(what: string): void {
    this.warn(`${what} is not supported`);
  }

  #number(level: Level, name: string): number {
    return Number(this.#values.get(name) ?? DEFAULTS[level][name]);
  }

  /** setsockopt. @param c The connection, if there is one. */
  set(levelAt: Expression, nameAt: Expression, value: Expression, c: TcpConnection | null, host: Host): void {
    const level = levelOf(levelAt);
    if (level === null) throw new SysError("ENOPROTOOPT");
    const name = nameOf(level, nameAt);
    if (name === "SO_LINGER") {
      const part = (key: string, place: number) =>
        number(field(unwrap(value), key, place) ?? { kind: "number", value: 0 });
      const on = part("onoff", 0) || optionalPart(value, "l_onoff");
      const seconds = part("linger", 1) || optionalPart(value, "l_linger");
      this.linger = { on: on !== 0, seconds };
      return;
    }
    if (name === "SO_RCVTIMEO" || name === "SO_SNDTIMEO") {
      const part = (key: string, place: number) =>
        number(field(unwrap(value), key, place) ?? { kind: "number", value: 0 });
      const micros = part("tv_sec", 0) * 1e6 + part("tv_usec", 1);
      if (name === "SO_RCVTIMEO") this.receiveTimeout = micros;
      else this.sendTimeout = micros;
      return;
    }
    if (name === null || DEFAULTS[level][name] === undefined) throw new SysError("ENOPROTOOPT");
    const text = unwrap(value);
    if (name === "TCP_FASTOPEN_KEY") {
      if (text.kind !== "string") throw new SysError("EINVAL");
      setKeyBytes(host.stack.tcp.fastOpen.server, text.value);
      return;
    }
    if (name.startsWith("TCP_FASTOPEN")) checkFastOpen(name, number(value), c, host);
    const given = text.kind === "string" ? text.value.replace(/\0.*$/s, "") : number(value);
    this.#check(name, given);
    this.#values.set(name, FLAGS.has(name) ? (given === 0 ? 0 : 1) : given);
    if (
      name === "SO_RCVBUF" || name === "SO_SNDBUF" || name === "SO_RCVBUFFORCE" || name === "SO_SNDBUFFORCE"
    ) {
      const least = name.startsWith("SO_RCV") ? 2304 : 4608;
      this.#values.set(name.slice(0, 9), Math.max(2 * Number(given), least));
    }
    if (c !== null) this.#applyOne(name, c, host);
  }

  /** What Linux refuses. */
  #check(name: string, value: number | string): void {
    const refuse = (bad: boolean) => {
      if (bad) throw new SysError("EINVAL");
    };
    const n = Number(value);
    switch (name) {
      case "TCP_MAXSEG":
        return refuse(n !== 0 && (n < 88 || n > 32767));
      case "TCP_KEEPIDLE":
      case "TCP_KEEPINTVL":
        return refuse(n < 1 || n > 32767);
      case "TCP_KEEPCNT":
      case "TCP_SYNCNT":
        return refuse(n < 1 || n > 127);
      case "TCP_USER_TIMEOUT":
        return refuse(n < 0);
      case "TCP_INQ":
      case "SO_ZEROCOPY":
        return refuse(n < 0 || n > 1);
      case "IP_TTL":
        return refuse(n !== -1 && (n < 1 || n > 255));
      case "TCP_CONGESTION":
        if (value !== "cubic" && value !== "reno" && value !== "bbr") throw new SysError("ENOENT");
    }
  }

  /** getsockopt: the value. @throws {SysError} */
  get(levelAt: Expression, nameAt: Expression, c: TcpConnection | null, host: Host): number | string {
    const level = levelOf(levelAt);
    if (level === null) throw new SysError("ENOPROTOOPT");
    const name = nameOf(level, nameAt);
    if (name === null) throw new SysError("ENOPROTOOPT");
    switch (name) {
      case "IP_MTU":
      case "IPV6_MTU":
        if (c === null) throw new SysError("ENOTCONN");
        return c.path.mtu;
      case "TCP_MAXSEG":
        return c === null ? this.#number(level, name) || 536 : c.mss;
      case "TCP_CONGESTION":
        return c?.congestion.name ?? String(this.#values.get(name) ?? host.stack.tcp.settings.congestion);
      case "TCP_LINGER2": {
        const value = this.#number(level, name);
        const { finTimeout } = host.stack.tcp.settings;
        if (value < 0) return -1;
        return this.#values.has(name) && value > 0 && value <= 120 ? value : finTimeout / 1e6;
      }
      case "TCP_DEFER_ACCEPT":
        return deferSeconds(this.deferAccept);
      case "TCP_SYNCNT":
        return this.#values.has(name) ? this.#number(level, name) : host.stack.tcp.settings.synRetries;
      case "TCP_QUICKACK":
        return c === null ? 1 : c.interactive ? 0 : 1;
      case "SO_SNDBUFFORCE":
      case "SO_RCVBUFFORCE":
        throw new SysError("ENOPROTOOPT");
    }
    const value = this.#values.get(name) ?? DEFAULTS[level][name];
    if (value === undefined) throw new SysError("ENOPROTOOPT");
    return value;
  }

  /** Before the first packet of a connection. */
  prepare(c: TcpConnection, host: Host): void {
    for (const name of this.#values.keys()) this.#applyOne(name, c, host);
  }

  /** Once it has a socket. */
  apply(c: TcpConnection, host: Host): void {
    if (this.#values.has("SO_KEEPALIVE")) this.#applyOne("SO_KEEPALIVE", c, host);
  }

  #applyOne(name: string, c: TcpConnection, host: Host): void {
    const value = this.#values.get(name)!;
    const n = Number(value);
    switch (name) {
      case "TCP_NODELAY":
        c.noDelay = n !== 0;
        if (c.noDelay) {
          // Pushes out what waits, corked or not.
          c.pushSmall = true;
          output(c);
          c.pushSmall = false;
        }
        break;
      case "TCP_CORK":
        c.corked = n !== 0;
        if (!c.corked) {
          c.moreComing = false;
          host.stack.tcp.markDirty(c);
        }
        break;
      case "TCP_QUICKACK":
        if (n !== 0) {
          c.interactive = false;
          c.quickAcks = Math.max(c.quickAcks, 1);
          if (c.unacked > 0) {
            c.ackNow = true;
            host.stack.tcp.markDirty(c);
          }
        } else c.interactive = true;
        break;
      case "SO_KEEPALIVE":
      case "TCP_KEEPIDLE":
        if (this.#number("SOL_SOCKET", "SO_KEEPALIVE") !== 0) {
          const idle = this.#values.get("TCP_KEEPIDLE");
          c.keepAlive = idle === undefined ? host.stack.tcp.settings.keepAliveTime : Number(idle) * 1e6;
        } else if (c.keepAlive !== 0) c.keepAlive = 0;
        break;
      case "SO_RCVBUF":
        // Half of the buffer is for what the kernel needs beside the payload.
        c.receiveLimit = c.receiveMost = Math.max(this.#number("SOL_SOCKET", "SO_RCVBUF") >> 1, 1024);
        break;
      case "SO_SNDBUF":
        c.sendLimit = c.sendMost = this.#number("SOL_SOCKET", "SO_SNDBUF");
        break;
      case "TCP_CONGESTION":
        if (value !== "cubic" && value !== "reno" && value !== "bbr") {
          this.unsupported(`Congestion control "${value}"`);
        } else if (c.congestion.name !== value) {
          c.congestion = makeCongestion(value, host.stack.random);
          c.pacingRate = 0;
        }
        break;
      case "TCP_NOTSENT_LOWAT":
      case "TCP_INQ":
      case "TCP_FASTOPEN":
      case "TCP_FASTOPEN_CONNECT":
      case "TCP_FASTOPEN_NO_COOKIE":
      case "TCP_TIMESTAMP":
      case "TCP_DEFER_ACCEPT":
      case "IP_MTU_DISCOVER":
      case "IPV6_MTU_DISCOVER":
      case "IP_RECVERR":
      case "IPV6_RECVERR":
      case "IPV6_V6ONLY":
      case "SO_ZEROCOPY":
      case "SO_TIMESTAMPING":
      case "SO_TIMESTAMP":
      case "SO_TIMESTAMPNS":
      case "TCP_SAVE_SYN":
      case "SO_REUSEADDR":
      case "SO_REUSEPORT":
      case "SO_RCVLOWAT":
      case "SO_PRIORITY":
      case "SO_OOBINLINE":
        break;
      default:
        applyMore(name, n, c, this, host.stack.tcp.settings);
    }
  }
}

/** Options that are a field of the connection. */
function applyMore(
  name: string,
  value: number,
  c: TcpConnection,
  options: SocketOptions,
  settings: TcpSettings,
): void {
  switch (name) {
    case "TCP_KEEPINTVL":
      c.keepAliveInterval = value * 1e6;
      break;
    case "TCP_KEEPCNT":
      c.keepAliveLimit = value;
      break;
    case "TCP_USER_TIMEOUT":
      c.userTimeout = value * 1000;
      break;
    case "TCP_SYNCNT":
      c.synRetries = value;
      break;
    case "TCP_LINGER2":
      // 0 is the setting's; more than two minutes are that as well.
      c.finTimeout = value < 0 ? -1 : value === 0 || value > 120 ? settings.finTimeout : value * 1e6;
      break;
    case "SO_MAX_PACING_RATE":
      c.maxPacingRate = value === 0xffffffff || value < 0 ? Infinity : value;
      break;
    case "TCP_MAXSEG":
      c.mssLimit = value;
      if (value > 0 && c.state >= State.Established) {
        c.peerMss = Math.min(c.peerMss, value);
        c.mssMtu = 0;
      }
      break;
    case "IP_TOS":
    case "IPV6_TCLASS":
      c.trafficClass = value & 0xfc;
      break;
    case "IP_TTL":
    case "IPV6_UNICAST_HOPS":
      c.hopLimit = Math.max(0, value);
      break;
    default:
      options.unsupported(`Socket option ${name}`);
  }
}

/** What TCP_DEFER_ACCEPT says once it was counted in time-outs. */
function deferSeconds(seconds: number): number {
  let period = 0;
  for (let left = deferRetries(seconds * 1e6), timeout = 1; left > 0; left--) {
    period += timeout;
    timeout = Math.min(2 * timeout, 120);
  }
  return period;
}

/** What Linux refuses of Fast Open's options. */
function checkFastOpen(name: string, value: number, c: TcpConnection | null, host: Host): void {
  const flag = name !== "TCP_FASTOPEN";
  if (value < 0 || (flag && value > 1)) throw new SysError("EINVAL");
  if (name === "TCP_FASTOPEN_CONNECT" && (host.stack.tcp.settings.fastOpen & FAST_OPEN_CLIENT) === 0) {
    throw new SysError("EOPNOTSUPP");
  }
  if (c !== null && c.state !== State.Closed) throw new SysError("EINVAL");
}

/** `[x]` and `x` are the same. */
function unwrap(e: Expression): Expression {
  return e.kind === "list" && e.items.length === 1 ? e.items[0]! : e;
}

function optionalPart(value: Expression, name: string): number {
  const part = unwrap(value);
  const found = part.kind === "struct" ? part.fields.get(name) : undefined;
  return found === undefined ? 0 : number(found);
}
