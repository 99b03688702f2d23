/**
 * Socket options by their Linux names: kept, given back, and applied where the stack has them.
 *
 * @module
 */

import { State } from "../../../stack/tcp/api.ts";
import { output } from "../../../stack/tcp/output.ts";
import { FAST_OPEN_CLIENT, makeCongestion, type TcpSettings } from "../../../stack/tcp/settings.ts";
import { SignatureKeys } from "../../../stack/tcp/signatures.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { deferRetries } from "../../../stack/tcp/listener.ts";
import type { Expression } from "./ast.ts";
import { setKeyBytes } from "./fast_open.ts";
import { type Host, SysError } from "./file.ts";
import { checkOption, checkSize, DEFAULTS, FLAGS, type Level, levelOf, nameOf } from "./option_names.ts";
import { LinuxReceiveMemory } from "./receive_memory.ts";
import { setSignatureKey, SIGNATURE_SIZE, signatureKey } from "./signatures.ts";
import { field, isOpen, number } from "./values.ts";

/** Bytes of a window to which TCP_WINDOW_CLAMP bounds it at least. */
const LEAST_CLAMP = 1152;

/** The options of one socket. */
export class SocketOptions {
  readonly #values = new Map<string, number | string>();
  /** SO_LINGER. */
  linger = { on: false, seconds: 0 };
  /** Keys that TCP_MD5SIG has set; null for none. */
  signatures: SignatureKeys | null = null;
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

  /** Whether an option is set. */
  flag(level: Level, name: string): boolean {
    return this.#number(level, name) !== 0;
  }

  /** Where MSG_PEEK begins (SO_PEEK_OFF); less than 0 for what comes next. */
  get peekOffset(): number {
    return this.#number("SOL_SOCKET", "SO_PEEK_OFF");
  }

  /** Moves it on by what was looked at, or back by what was taken. */
  peeked(bytes: number): void {
    const at = this.peekOffset;
    if (at >= 0 && bytes !== 0) this.#values.set("SO_PEEK_OFF", Math.max(0, at + bytes));
  }

  /** UDP_CORK. */
  get corked(): boolean {
    return this.#number("SOL_UDP", "UDP_CORK") !== 0;
  }

  /** Whether larger packets than the path takes are refused (IP_PMTUDISC_DO and IP_PMTUDISC_PROBE). */
  get neverFragments(): boolean {
    const how = this.#number("SOL_IP", "IP_MTU_DISCOVER"),
      how6 = this.#number("SOL_IPV6", "IPV6_MTU_DISCOVER");
    return how === 2 || how === 3 || how6 === 2 || how6 === 3;
  }

  /** How datagrams are sent. */
  datagram(version: 4 | 6): { hopLimit?: number; trafficClass?: number; segment?: number } {
    const hops = this.#values.get(version === 4 ? "IP_TTL" : "IPV6_UNICAST_HOPS");
    const tos = this.#values.get(version === 4 ? "IP_TOS" : "IPV6_TCLASS");
    const segment = this.#number("SOL_UDP", "UDP_SEGMENT");
    return {
      ...hops !== undefined && Number(hops) > 0 ? { hopLimit: Number(hops) } : {},
      ...tos !== undefined && Number(tos) >= 0 ? { trafficClass: Number(tos) } : {},
      ...segment > 0 ? { segment } : {},
    };
  }

  /** Whether SYNs are kept for TCP_SAVED_SYN. */
  get saveSyn(): boolean {
    return this.#number("SOL_TCP", "TCP_SAVE_SYN") !== 0;
  }

  /** Whether it may be bound to addresses that are not ours. */
  get freeBind(): boolean {
    return ["IP_FREEBIND", "IP_TRANSPARENT"].some((name) => this.#number("SOL_IP", name) !== 0) ||
      ["IPV6_FREEBIND", "IPV6_TRANSPARENT"].some((name) => this.#number("SOL_IPV6", name) !== 0);
  }

  /** Whether two sockets may have one port. @param listening Whether the other one listens. */
  reuse(other: SocketOptions, listening: boolean): boolean {
    const both = (name: string) =>
      this.#number("SOL_SOCKET", name) !== 0 && other.#number("SOL_SOCKET", name) !== 0;
    return both("SO_REUSEPORT") || (both("SO_REUSEADDR") && !listening);
  }

  /** TCP_DEFER_ACCEPT, in seconds. */
  get deferAccept(): number {
    return this.#number("SOL_TCP", "TCP_DEFER_ACCEPT");
  }

  /** IP_MINTTL and IPV6_MINHOPCOUNT. */
  get leastHops(): number {
    return this.#number("SOL_IP", "IP_MINTTL") || this.#number("SOL_IPV6", "IPV6_MINHOPCOUNT");
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

  /** setsockopt. @param c The connection, if there is one. @param version Of the socket. */
  set(
    levelAt: Expression,
    nameAt: Expression,
    value: Expression,
    size: Expression | undefined,
    c: TcpConnection | null,
    host: Host,
    version: 4 | 6,
  ): void {
    const level = levelOf(levelAt);
    if (level === null) throw new SysError("ENOPROTOOPT");
    const name = nameOf(level, nameAt);
    if (value.kind === "symbol" && value.name === "NULL") throw new SysError("EFAULT");
    if (name !== null && size !== undefined && !isOpen(size)) checkSize(name, number(size));
    if (name === "SO_LINGER") {
      const part = (key: string, place: number) =>
        number(field(unwrap(value), key, place) ?? { kind: "number", value: 0 });
      const on = part("onoff", 0) || optionalPart(value, "l_onoff");
      const seconds = part("linger", 1) || optionalPart(value, "l_linger");
      this.linger = { on: on !== 0, seconds };
      return;
    }
    if (name === "TCP_MD5SIG" || name === "TCP_MD5SIG_EXT") {
      this.signatures ??= new SignatureKeys();
      const key = signatureKey(unwrap(value), isOpen(size) ? SIGNATURE_SIZE : number(size));
      setSignatureKey(this.signatures, key, version, name === "TCP_MD5SIG_EXT", host);
      if (c !== null) c.signatureKey = this.signatures.find(c.remote);
      return;
    }
    if (name === "SO_RCVTIMEO" || name === "SO_SNDTIMEO") {
      const part = (key: string, place: number) =>
        number(field(unwrap(value), key, place) ?? { kind: "number", value: 0 });
      const usec = part("tv_usec", 1);
      if (usec < 0 || usec >= 1e6) throw new SysError("EDOM");
      const micros = Math.max(0, part("tv_sec", 0) * 1e6 + usec);
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
    checkOption(name, given);
    // It decides about addresses that are taken by then.
    if (name === "IPV6_V6ONLY" && c !== null) throw new SysError("EINVAL");
    if (name === "TCP_WINDOW_CLAMP") {
      this.#clamp(Number(given), c);
      return;
    }
    this.#values.set(name, FLAGS.has(name) ? (given === 0 ? 0 : 1) : given);
    if (
      name === "SO_RCVBUF" || name === "SO_SNDBUF" || name === "SO_RCVBUFFORCE" || name === "SO_SNDBUFFORCE"
    ) {
      const least = name.startsWith("SO_RCV") ? 2304 : 4608;
      this.#values.set(name.slice(0, 9), Math.max(2 * Number(given), least));
    }
    if (c !== null) this.#applyOne(name, c, host);
  }

  #memory(c: TcpConnection): LinuxReceiveMemory | null {
    return c.receiveMemory instanceof LinuxReceiveMemory ? c.receiveMemory : null;
  }

  /** TCP_WINDOW_CLAMP: no less than Linux lets a window be; 0, for none, only before there is a connection. */
  #clamp(bytes: number, c: TcpConnection | null): void {
    if (bytes === 0 && c !== null && c.state !== State.Closed) throw new SysError("EINVAL");
    const clamp = bytes === 0 ? 0 : Math.max(bytes, LEAST_CLAMP);
    this.#values.set("TCP_WINDOW_CLAMP", clamp);
    if (c === null) return;
    c.windowClamp = clamp || Infinity;
    if (clamp > 0) this.#memory(c)?.clamp(c, clamp);
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
      case "IP_TOS":
      case "IPV6_TCLASS":
        // A connection may have that of its SYN (tcp_reflect_tos).
        return this.#values.get(name) ?? c?.trafficClass ?? 0;
      case "TCP_MAXSEG":
        return c === null ? this.#number(level, name) || 536 : c.mss;
      case "TCP_CONGESTION":
        return c?.congestion.name ?? String(this.#values.get(name) ?? host.stack.tcp.settings.congestion);
      case "TCP_THIN_DUPACK":
        return 0;
      case "TCP_WINDOW_CLAMP":
        return c === null || this.#values.has(name)
          ? this.#number(level, name)
          : Math.min(c.windowClamp, c.receiveMost);
      case "SO_RCVLOWAT":
        return this.receiveLowWater;
      case "TCP_LINGER2": {
        const value = this.#number(level, name);
        const { finTimeout } = host.stack.tcp.settings;
        if (value < 0) return -1;
        return this.#values.has(name) && value > 0 ? Math.min(value, 120) : finTimeout / 1e6;
      }
      case "TCP_DEFER_ACCEPT":
        return deferSeconds(this.deferAccept);
      case "TCP_SYNCNT":
        return this.#values.has(name) ? this.#number(level, name) : host.stack.tcp.settings.synRetries;
      case "TCP_QUICKACK":
        return c === null ? 1 : c.interactive ? 0 : 1;
      case "SO_RCVBUF":
        return (c === null ? null : this.#memory(c)?.bytes) ?? this.#values.get(name) ??
          host.stack.tcp.settings.receiveDefault;
      case "SO_SNDBUF":
        return this.#values.get(name) ?? c?.sendLimit ?? host.stack.tcp.settings.sendDefault;
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
    host.metrics.apply(c);
    const { settings } = host.stack.tcp;
    const set = this.#values.get("SO_RCVBUF");
    c.receiveLimit = c.receiveMost;
    c.receiveMemory = new LinuxReceiveMemory({
      bytes: set === undefined ? settings.receiveDefault : Number(set),
      most: settings.receiveMaximum,
      fixed: set !== undefined,
      anybody: host.memory.mostAsked,
      grows: settings.receiveAutoTuning,
      shrinks: host.memory.shrinkWindow,
    });
    if (this.signatures !== null) c.signatureKey = this.signatures.find(c.remote);
    for (const name of this.#values.keys()) this.#applyOne(name, c, host);
  }

  /** Once it has a socket. */
  apply(c: TcpConnection, host: Host): void {
    if (c.signatureKey !== null) (this.signatures ??= new SignatureKeys()).set(c.remote, c.signatureKey);
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
        this.#memory(c)?.resize(c, this.#number("SOL_SOCKET", "SO_RCVBUF"));
        break;
      case "SO_RCVLOWAT":
        this.#memory(c)?.reserve(c, n);
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
      // 0 is the setting's.
      c.finTimeout = value < 0 ? -1 : value === 0 ? settings.finTimeout : Math.min(value, 120) * 1e6;
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
    case "IP_MINTTL":
    case "IPV6_MINHOPCOUNT":
      c.leastHops = value;
      break;
    case "TCP_WINDOW_CLAMP":
      c.windowClamp = value || Infinity;
      break;
    case "TCP_THIN_LINEAR_TIMEOUTS":
      c.thinLinearTimeouts = value !== 0;
      break;
    case "TCP_RTO_MAX_MS":
      c.mostRto = value * 1000;
      break;
    case "TCP_RTO_MIN_US":
      c.leastRto = value;
      break;
    default:
      if (CHANGES_PACKETS.has(name) && value !== 0) options.unsupported(`Socket option ${name}`);
  }
}

/** Options that would change what the peer sees, and do not. */
const CHANGES_PACKETS = new Set([
  ...["IP_OPTIONS", "IPV6_FLOWINFO_SEND", "TCP_REPAIR", "TCP_DELACK_MAX_US"],
  "SO_DONTROUTE",
]);

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
